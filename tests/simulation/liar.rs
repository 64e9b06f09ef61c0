//! Nodes that lie: they greet as any node does, and then do what none that keeps the rules would.

use std::{rc::Rc, time::Duration};

use farthing::{
    Address, Block, BlockId, Coinbase, Hash, Header, TimeMs,
    codec::Canonical as _,
    target::Bits,
    wire::peer::{self as wire, deliver_request::Item, peer_service_client::PeerServiceClient, want},
};
use prost::bytes::Bytes;
use tokio::time::{sleep, timeout};
use tonic::{Status, Streaming, transport::Channel};

use crate::{
    env::START,
    hosts::{Hosts, P2P_PORT},
    plan::Dice,
    wallet::connect,
};

/// Longest that one lie takes.
const PATIENCE: Duration = Duration::from_secs(8);
const HOUR_MS: u64 = 60 * 60 * 1000;

/// What a liar does with a session.
#[derive(Clone, Copy, Debug)]
enum Lie {
    /// A block whose commitment is not that of its ledger.
    WrongCommitment,
    /// A header whose difficulty is made up.
    WrongBits,
    /// A good header, and no body.
    NoBody,
    /// A header that stands on nothing, and no answer to what that is.
    Orphan,
    /// A header that is two hours ahead.
    Future,
    /// Transactions that do not exist.
    NoTransactions,
    /// A body that nobody asked for.
    Unwanted,
    /// A hundred addresses of nobody.
    NobodysAddresses,
    /// Nothing at all, for as long as it is let.
    Silence,
}

impl Lie {
    const ALL: [Self; 9] = [
        Self::WrongCommitment,
        Self::WrongBits,
        Self::NoBody,
        Self::Orphan,
        Self::Future,
        Self::NoTransactions,
        Self::Unwanted,
        Self::NobodysAddresses,
        Self::Silence,
    ];
}

/// Lies to one node after the other, for as long as the simulation lasts.
pub(crate) async fn run(hosts: Rc<Hosts>, liar: usize) -> turmoil::Result {
    let mut dice = Dice::new(hosts.seed ^ (0x11a5 + liar as u64));
    loop {
        sleep(Duration::from_millis(dice.between(300, 3_000) as u64)).await;
        let (node, lie) = (dice.below(hosts.len()), Lie::ALL[dice.below(Lie::ALL.len())]);
        // Who is banned is not even told so.
        let told = timeout(PATIENCE, tell(&hosts, liar, node, lie, &mut dice)).await;
        if matches!(told, Ok(Ok(())) | Err(_)) {
            hosts.trace.borrow_mut().count("lies told");
        }
    }
}

struct Session {
    client: PeerServiceClient<Channel>,
    id: Bytes,
    events: Streaming<wire::FollowResponse>,
}

async fn tell(hosts: &Hosts, liar: usize, node: usize, lie: Lie, dice: &mut Dice) -> Result<(), Status> {
    let Some(victim) = hosts.handles(node) else { return Err(Status::unavailable("it is down")) };
    let tip = victim.chain.view().tip;
    let mut session = begin(hosts, liar, node).await?;
    let time = TimeMs::new(START.get() + u64::try_from(hosts.time.now().as_millis()).unwrap_or_default());
    let mut block = Block {
        header: Header {
            previous: tip.id(),
            commitment: Hash::from_bytes([u8::try_from(dice.below(256)).unwrap_or_default(); 32]),
            tx_root: Hash::ZERO,
            time: time.max(tip.time().saturating_add(1)),
            bits: tip.header().bits,
            nonce: 0,
        },
        coinbase: Coinbase {
            height: tip.height().next(),
            to: Address::from_bytes([0x11; 32]),
            amount: hosts.params.subsidy(tip.height().next()),
            tag: vec![u8::try_from(liar).unwrap_or_default()],
        },
        transactions: Vec::new(),
    };
    block.header.tx_root = block.tx_root();
    match lie {
        Lie::Orphan => block.header.previous = BlockId::from_bytes([0x77; 32]),
        Lie::Future => block.header.time = time.saturating_add(2 * HOUR_MS),
        _ => {}
    }
    if matches!(lie, Lie::WrongBits) {
        block.header.bits = Bits::from_compact(block.header.bits.to_compact() ^ 1);
    }
    while !block.header.has_work() && !matches!(lie, Lie::WrongBits) {
        block.header.nonce += 1;
    }
    match lie {
        Lie::WrongCommitment => {
            session.announce(&block.header).await?;
            session.answer(Some(block.to_canonical().into())).await
        }
        Lie::WrongBits | Lie::NoBody | Lie::Orphan | Lie::Future => {
            session.announce(&block.header).await?;
            session.answer(None).await
        }
        Lie::NoTransactions => {
            let ids = (0..50).map(|at: u8| Bytes::copy_from_slice(&[at; 32])).collect();
            session.say(None, Some(wire::TransactionIds { wire_ids: ids })).await?;
            session.answer(None).await
        }
        Lie::Unwanted => session.deliver(7_777, Item::Block(block.to_canonical().into())).await,
        Lie::NobodysAddresses => {
            let address = |at: u8| wire::PeerAddress {
                host: format!("10.{}.7.{at}", 100 + dice.below(60)),
                port: P2P_PORT.into(),
                last_seen_ms: time.get(),
            };
            let peers = (0..100).map(address).collect();
            let request = wire::ExchangePeersRequest { session_id: session.id.clone(), peers };
            session.client.exchange_peers(request).await.map(drop)
        }
        Lie::Silence => std::future::pending().await,
    }
}

async fn begin(hosts: &Hosts, liar: usize, node: usize) -> Result<Session, Status> {
    let channel = connect(hosts, node, P2P_PORT).await.map_err(Status::unavailable)?;
    let mut client = PeerServiceClient::new(channel);
    let hello = wire::Hello {
        protocol_version: 1,
        genesis_id: Bytes::copy_from_slice(hosts.params.genesis_id().as_bytes()),
        network: hosts.params.name.clone(),
        node_id: Bytes::copy_from_slice(&[0xe0 + u8::try_from(liar).unwrap_or_default(); 16]),
        listen_port: P2P_PORT.into(),
        tip_id: Bytes::copy_from_slice(hosts.params.genesis_id().as_bytes()),
        total_work: Bytes::copy_from_slice(&0_u128.to_be_bytes()),
        version: "liar".to_owned(),
        ..wire::Hello::default()
    };
    let request = wire::HandshakeRequest { hello: Some(hello), probe: false };
    let id = client.handshake(request).await?.into_inner().session_id;
    let events = client.follow(wire::FollowRequest { session_id: id.clone() }).await?.into_inner();
    Ok(Session { client, id, events })
}

impl Session {
    /// Announces a header as that of a branch with more work than any.
    async fn announce(&mut self, header: &Header) -> Result<(), Status> {
        let headers = vec![Bytes::copy_from_slice(&header.to_bytes())];
        let total_work = Bytes::copy_from_slice(&(u128::MAX / 2).to_be_bytes());
        self.say(Some(wire::Tip { height: 1, total_work, headers, ..wire::Tip::default() }), None).await
    }

    async fn say(&mut self, tip: Option<wire::Tip>, transactions: Option<wire::TransactionIds>) -> Result<(), Status> {
        let session_id = self.id.clone();
        let request = wire::AnnounceRequest { session_id, tip, transactions, pool_query: None };
        self.client.announce(request).await.map(drop)
    }

    async fn deliver(&mut self, want_id: u64, item: Item) -> Result<(), Status> {
        let request = wire::DeliverRequest { session_id: self.id.clone(), want_id, item: Some(item), last: true };
        self.client.deliver(request).await.map(drop)
    }

    /// Answers wants for blocks with this body, and no others, until the session ends.
    async fn answer(&mut self, body: Option<Bytes>) -> Result<(), Status> {
        while let Some(event) = self.events.message().await? {
            if let Some(wire::follow_response::Event::Want(wanted)) = event.event
                && matches!(wanted.item, Some(want::Item::Blocks(_)))
                && let Some(body) = &body
            {
                self.deliver(wanted.want_id, Item::Block(body.clone())).await?;
            }
        }
        Ok(())
    }
}
