//! A node that speaks the peer protocol and keeps to nothing: who it is, whom it attacks, and its sessions.

use std::{
    any::Any,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use farthing::{
    Address, Block, Header, Params, SignedTransaction,
    codec::Canonical as _,
    wire::peer::{self as wire, deliver_request::Item, peer_service_client::PeerServiceClient},
};
use farthing_node::chain::Chain;
use prost::bytes::Bytes;
use tokio::time::{sleep, timeout};
use tonic::{
    Code, Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::host::Host;
use crate::harness::{PATIENCE, cluster::Cluster};

/// How long a hostile node waits for a want that may not come, because the chain has moved on.
const WANT_WAIT: Duration = Duration::from_secs(2);
/// How soon it comes back after it was refused for a while.
const COME_BACK: Duration = Duration::from_millis(20);

/// A hostile node.
pub(crate) struct Hostile {
    pub(super) params: Arc<Params>,
    /// The victim's chain. A hostile node could follow it as every other does; it is spared the trouble.
    pub(super) chain: Chain,
    pub(super) victim: SocketAddr,
    /// An honest node beside the victim.
    pub(super) honest: SocketAddr,
    node_id: [u8; 16],
    /// Its own listener: a ban on loopback names it by the port.
    pub(super) host: Arc<Host>,
    /// Whether nothing else happens meanwhile, so that everything must go as it was meant.
    undisturbed: bool,
    kept: Mutex<Vec<Box<dyn Any + Send>>>,
}

impl Hostile {
    /// A hostile node that listens there, with an id of its own.
    pub(crate) fn against(cluster: &Cluster, victim: usize, honest: usize, host: &Arc<Host>) -> Self {
        let mut node_id = [0xee; 16];
        node_id[..8].copy_from_slice(&host.serial().to_be_bytes());
        Self {
            params: Arc::clone(&cluster.params),
            chain: cluster.chain(victim).clone(),
            victim: cluster.node(victim).p2p_address(),
            honest: cluster.node(honest).p2p_address(),
            node_id,
            host: Arc::clone(host),
            undisturbed: false,
            kept: Mutex::default(),
        }
    }

    /// The same where nothing else happens: neither is a block mined nor does anybody else attack.
    pub(crate) fn undisturbed(self) -> Self {
        Self { undisturbed: true, ..self }
    }

    /// Notes whether the victim was brought to do a thing. Where others are at work it may have had no reason to.
    pub(super) fn expects(&self, what: &str, happened: bool) {
        assert!(happened || !self.undisturbed, "{}: the victim did not do as was meant: {what}", self.culprit());
    }

    /// How a ban on loopback names it.
    pub(crate) fn culprit(&self) -> String {
        SocketAddr::from(([127, 0, 0, 1], self.host.port())).to_string()
    }

    /// Holds something open for as long as this node lives.
    pub(super) fn keep(&self, thing: impl Any + Send) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(thing));
    }

    /// A number that no other thing of this host has.
    pub(super) fn serial(&self) -> u64 {
        self.host.serial()
    }

    /// An address that nobody has.
    pub(super) fn nobody(&self) -> Address {
        let mut bytes = [0x66; 32];
        bytes[..8].copy_from_slice(&self.serial().to_be_bytes());
        Address::from_bytes(bytes)
    }

    /// A second id, of which nobody else has heard either.
    pub(super) fn other_id(&self) -> Bytes {
        let mut id = self.node_id;
        id[15] = 0;
        Bytes::copy_from_slice(&id)
    }

    /// What it says of itself.
    pub(super) fn hello(&self) -> wire::Hello {
        wire::Hello {
            protocol_version: 1,
            genesis_id: bytes(self.params.genesis_id().as_bytes()),
            network: self.params.name.clone(),
            node_id: Bytes::copy_from_slice(&self.node_id),
            listen_port: self.host.port().into(),
            tip_height: 0,
            tip_id: bytes(self.params.genesis_id().as_bytes()),
            total_work: work(0),
            version: "hostile".to_owned(),
            listen_host: String::new(),
            // It does not say that it relays compactly, so that it is asked for whole blocks.
            ..wire::Hello::default()
        }
    }

    /// Dials a node without a word.
    pub(super) async fn dial(&self, node: SocketAddr) -> Result<PeerServiceClient<Channel>, Status> {
        let endpoint = Endpoint::from_shared(format!("http://{node}")).expect("an address makes a URL");
        let channel = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await;
        let channel = channel.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(PeerServiceClient::new(channel).max_decoding_message_size(16 << 20))
    }

    /// Dials a node and introduces itself, but does not follow.
    pub(super) async fn introduce(
        &self,
        node: SocketAddr,
        hello: wire::Hello,
    ) -> Result<(PeerServiceClient<Channel>, wire::HandshakeResponse), Status> {
        let mut client = self.dial(node).await?;
        let request = wire::HandshakeRequest { hello: Some(hello), probe: false };
        // A handshake may be lost in a server that is short of places; it then comes again.
        let answer = timeout(PATIENCE, client.handshake(request)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded("no answer to the handshake"))??;
        Ok((client, answer.into_inner()))
    }

    /// A session with a node, as its dialler.
    pub(super) async fn session(&self, node: SocketAddr) -> Result<Session, Status> {
        self.session_as(node, self.hello()).await
    }

    async fn session_as(&self, node: SocketAddr, hello: wire::Hello) -> Result<Session, Status> {
        let (mut client, answer) = self.introduce(node, hello).await?;
        let session_id = answer.session_id;
        let follow = wire::FollowRequest { session_id: session_id.clone() };
        let events = client.follow(follow).await?.into_inner();
        Ok(Session { client, session_id, events, max_wait: WANT_WAIT })
    }

    /// A session with the victim, as soon as there is a place for one.
    ///
    /// # Panics
    /// If this node is banned, or there is none for long.
    pub(super) async fn meet(&self) -> Session {
        self.meet_at(self.victim).await
    }

    /// A session with any node.
    pub(super) async fn meet_at(&self, node: SocketAddr) -> Session {
        let start = std::time::Instant::now();
        loop {
            match self.session(node).await {
                Ok(session) => return session,
                Err(status) => assert!(
                    status.code() != Code::PermissionDenied && start.elapsed() < PATIENCE,
                    "no session for {}: {status:?}",
                    self.culprit()
                ),
            }
            sleep(COME_BACK).await;
        }
    }

    /// Does a thing with session after session until the victim has had enough of this node.
    pub(super) async fn until_banned(&self, deed: impl AsyncFnMut(&mut Session)) {
        self.until_banned_as(self.hello(), deed).await;
    }

    /// The same for a node that says of itself what it is told to say.
    pub(super) async fn until_banned_as(&self, hello: wire::Hello, mut deed: impl AsyncFnMut(&mut Session)) {
        loop {
            match self.session_as(self.victim, hello.clone()).await {
                Ok(mut session) => deed(&mut session).await,
                Err(status) if status.code() == Code::PermissionDenied => return,
                // The session before is not quite over.
                Err(_) => sleep(COME_BACK).await,
            }
        }
    }
}

/// A session that this node began.
pub(super) struct Session {
    pub(super) client: PeerServiceClient<Channel>,
    pub(super) session_id: Bytes,
    pub(super) events: Streaming<wire::FollowResponse>,
    max_wait: Duration,
}

impl Session {
    /// Announces headers as those of a branch with more work than any.
    pub(super) async fn announce(&mut self, headers: &[Header]) -> Result<(), Status> {
        self.tell(Some(tip(headers, u128::MAX / 2)), None).await
    }

    /// Announces transactions.
    pub(super) async fn announce_transactions(&mut self, ids: Vec<Bytes>) -> Result<(), Status> {
        self.tell(None, Some(wire::TransactionIds { wire_ids: ids })).await
    }

    pub(super) async fn tell(
        &mut self,
        tip: Option<wire::Tip>,
        transactions: Option<wire::TransactionIds>,
    ) -> Result<(), Status> {
        let session_id = self.session_id.clone();
        let request = wire::AnnounceRequest { session_id, tip, transactions, pool_query: None };
        self.client.announce(request).await.map(drop)
    }

    pub(super) async fn deliver(&mut self, want_id: u64, item: Option<Item>, last: bool) -> Result<(), Status> {
        let request = wire::DeliverRequest { session_id: self.session_id.clone(), want_id, item, last };
        self.client.deliver(request).await.map(drop)
    }

    /// The next want, if one comes while this session lasts.
    pub(super) async fn want(&mut self) -> Option<(u64, wire::want::Item)> {
        let wants = async {
            loop {
                if let Some(wire::follow_response::Event::Want(want)) = self.events.message().await.ok()??.event {
                    return Some((want.want_id, want.item?));
                }
            }
        };
        timeout(self.max_wait, wants).await.ok()?
    }

    /// Answers the next want for blocks with these bytes; false if none came.
    pub(super) async fn answer_blocks(&mut self, body: Bytes) -> bool {
        while let Some((id, item)) = self.want().await {
            let is_it = matches!(item, wire::want::Item::Blocks(_));
            let item = is_it.then(|| Item::Block(body.clone()));
            // Refused or not: the node says with a ban what it thinks of it.
            let _ = self.deliver(id, item, true).await;
            if is_it {
                return true;
            }
        }
        false
    }

    /// Answers the next want for headers; false if none came.
    pub(super) async fn answer_headers(&mut self, headers: &[Header]) -> bool {
        while let Some((id, item)) = self.want().await {
            let is_it = matches!(item, wire::want::Item::HeadersAfter(_));
            let item = is_it.then(|| Item::Headers(headers_to_wire(headers)));
            let _ = self.deliver(id, item, true).await;
            if is_it {
                return true;
            }
        }
        false
    }

    /// Answers the next want for transactions, whichever are wanted; false if none came.
    pub(super) async fn answer_transactions(&mut self, transactions: &[SignedTransaction]) -> bool {
        while let Some((id, item)) = self.want().await {
            let is_it = matches!(item, wire::want::Item::Transactions(_));
            let transactions = transactions.iter().map(|transaction| transaction.to_canonical().into()).collect();
            let item = is_it.then_some(Item::Transactions(wire::Transactions { transactions }));
            let _ = self.deliver(id, item, true).await;
            if is_it {
                return true;
            }
        }
        false
    }
}

/// A tip with these headers.
pub(super) fn tip(headers: &[Header], total_work: u128) -> wire::Tip {
    let headers = headers_to_wire(headers).headers;
    wire::Tip { height: 1, total_work: work(total_work), headers, ..wire::Tip::default() }
}

pub(super) fn headers_to_wire(headers: &[Header]) -> wire::Headers {
    wire::Headers { headers: headers.iter().map(|header| Bytes::copy_from_slice(&header.to_bytes())).collect() }
}

pub(super) fn body(block: &Block) -> Bytes {
    block.to_canonical().into()
}

pub(super) fn bytes(hash: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(hash)
}

pub(super) fn work(work: u128) -> Bytes {
    Bytes::copy_from_slice(&work.to_be_bytes())
}
