//! Peers that go beyond what the table of methods lets them.

use farthing::wire::peer::{deliver_request::Item, peer_service_client::PeerServiceClient};
use farthing::{
    Mites, Output, Transaction,
    codec::Canonical as _,
    tx::TransactionFields,
    wire::peer::{self as wire},
};
use prost::bytes::Bytes;
use tokio::time::timeout;
use tonic::{Status, service::Routes, transport::Channel};
use tonic_types::StatusExt as _;

use super::{Node, PATIENCE, Parts, alone, eventually, hostile};
use crate::{
    chain::{CheckpointOffer, Origin},
    env::Env,
    peers::{client, methods},
    server::{MethodTable, Rate, ServerSettings, Unit, exceeding::exceed_every_limit},
    testing::{ALICE, BOB, TestCheckpoint, dev, mine},
};

const SERVICE: &str = "/farthing.peer.v1.PeerService/";

#[tokio::test(start_paused = true)]
async fn a_client_that_exceeds_any_limit_of_any_method_is_refused_by_name() {
    let node = Node::start(alone()).await;
    let table = methods(&dev());
    assert_eq!(table.missing(farthing::wire::PEER_DESCRIPTORS).unwrap(), Vec::<String>::new());
    let routes = Routes::new(node.network.service());
    exceed_every_limit("/farthing.peer.", routes, ServerSettings::peers(table)).await;
}

/// The table of this node, in which what is counted beside the calls does not come back, however slow the machine.
fn without_refill() -> MethodTable {
    let table = methods(&dev());
    table.iter().fold(table.clone(), |changed, (path, policy)| match policy.items() {
        Some((unit, rate)) => changed.with(path, policy.counting(unit, 1, rate.burst)),
        None => changed,
    })
}

/// A session whose calls are made as they come, without the patience of a node.
struct Impatient {
    calls: PeerServiceClient<Channel>,
    session_id: Bytes,
    events: tonic::Streaming<wire::FollowResponse>,
}

impl Impatient {
    async fn meet(node: &Node, id: u8) -> Self {
        let env = Env::system().unwrap();
        let (mut calls, _) = client::connect(&env, "127.0.0.1", node.address.port()).await.unwrap();
        let (_, session_id) = client::shake_hands(&mut calls, &hostile::hello(id)).await.unwrap();
        let follow = wire::FollowRequest { session_id: session_id.clone() };
        let events = calls.follow(follow).await.unwrap().into_inner();
        Self { calls: calls.max_decoding_message_size(32 << 20), session_id, events }
    }

    /// A want that is over: what answers it is late, which no peer is blamed for.
    async fn closed_want(&mut self, node: &Node) -> u64 {
        let block = mine(&dev(), &node.chain.view(), Vec::new(), 9);
        let tip = Some(hostile::tip(block.header, 2_002, u128::MAX / 2).to_wire());
        let (session_id, transactions) = (self.session_id.clone(), None);
        self.calls.announce(wire::AnnounceRequest { session_id, tip, transactions, pool_query: None }).await.unwrap();
        loop {
            let event = timeout(PATIENCE, self.events.message()).await.expect("a want for its body");
            let event = event.unwrap().unwrap().event.unwrap();
            if let wire::follow_response::Event::Want(want) = event {
                let request = self.delivery(want.want_id, None);
                self.calls.deliver(request).await.unwrap();
                return want.want_id;
            }
        }
    }

    fn delivery(&self, want_id: u64, block: Option<Bytes>) -> wire::DeliverRequest {
        let (session_id, last) = (self.session_id.clone(), block.is_none());
        wire::DeliverRequest { session_id, want_id, item: block.map(Item::Block), last }
    }
}

/// A block of about a megabyte, whose transfers have as many outputs as may be.
async fn grow_by_a_large_block(node: &Node) -> LargeBlock {
    let transfer = |nonce| {
        let sender = ALICE.pay(nonce, BOB.address(), 1).transaction().sender().clone();
        let fields = TransactionFields {
            sender,
            nonce,
            fee: Mites::new(1_000_000),
            valid_until: None,
            outputs: vec![Output { to: BOB.address(), amount: Mites::new(1) }; 64],
            memo: Vec::new(),
        };
        ALICE.sign(Transaction::new(fields).unwrap())
    };
    let block = mine(&dev(), &node.chain.view(), (0..350).map(transfer).collect(), 1);
    let large = LargeBlock {
        id: Bytes::copy_from_slice(block.id().as_bytes()),
        bytes: block.to_canonical().len() as u64,
        transactions: u32::try_from(block.transactions.len()).unwrap(),
    };
    node.chain.submit_block(block, Origin::Mined).await.unwrap();
    large
}

/// Calls until it is refused for its rate; counts what was let through. What one call asks for is `each`.
async fn until_limited(path: &str, each: u64, mut call: impl AsyncFnMut() -> Result<u64, Status>) {
    let table = methods(&dev());
    let (unit, rate) = table.get(path).unwrap().items().unwrap();
    let mut counted = 0;
    let refused = loop {
        match call().await {
            Ok(items) => counted += items,
            Err(status) => break status,
        }
        assert!(counted <= rate.burst + each, "{path}: {counted} {} and no end", unit.as_str());
    };
    let told = refused.get_details_error_info().map(|info| (info.reason, info.metadata.get("unit").cloned()));
    assert_eq!(told, Some(("RATE_LIMITED".to_owned(), Some(unit.as_str().to_owned()))), "{path}: {refused:?}");
    assert!(counted >= rate.burst, "{path}: refused after {counted} of {rate:?}");
    assert!(counted <= rate.burst + each, "{path}: {counted} of {rate:?}");
}

/// Bytes of a piece of a large checkpoint.
const PIECE_BYTES: usize = 600_000;

/// A checkpoint that is large, for the same.
fn large_checkpoint() -> TestCheckpoint {
    let offer = CheckpointOffer {
        height: farthing::Height::new(1),
        block: farthing::BlockId::from_bytes([1; 32]),
        accounts: 1,
        bytes: 16 * PIECE_BYTES as u64,
        digest: farthing::Hash::from_bytes([2; 32]),
    };
    TestCheckpoint {
        offer,
        hashes: vec![farthing::Hash::ZERO; farthing::checkpoint::MAX_PIECES],
        pieces: vec![vec![0; PIECE_BYTES]; 16],
    }
}

/// A block that is large, for those methods whose load is its bytes.
struct LargeBlock {
    id: Bytes,
    bytes: u64,
    transactions: u32,
}

/// Asks for the hashes of a large checkpoint until it is refused.
async fn exceed_hashes(path: &str, peer: &Impatient) {
    let offer = large_checkpoint().offer;
    let query = wire::CheckpointHashesQuery {
        block_id: Bytes::copy_from_slice(offer.block.as_bytes()),
        digest: Bytes::copy_from_slice(offer.digest.as_bytes()),
    };
    until_limited(path, 1 << 20, async || {
        let (session_id, query) = (peer.session_id.clone(), Some(query.clone()));
        let request = wire::GetCheckpointHashesRequest { session_id, query };
        Ok(peer.calls.clone().get_checkpoint_hashes(request).await?.into_inner().hashes.len() as u64)
    })
    .await;
}

/// And for its pieces.
async fn exceed_pieces(path: &str, peer: &Impatient) {
    let offer = large_checkpoint().offer;
    let query = wire::CheckpointPiecesQuery {
        block_id: Bytes::copy_from_slice(offer.block.as_bytes()),
        digest: Bytes::copy_from_slice(offer.digest.as_bytes()),
        first: 0,
        count: 16,
    };
    until_limited(path, 16 * PIECE_BYTES as u64, async || {
        let (session_id, query) = (peer.session_id.clone(), Some(query.clone()));
        let request = wire::GetCheckpointPiecesRequest { session_id, query };
        let mut answers = peer.calls.clone().get_checkpoint_pieces(request).await?.into_inner();
        let mut bytes = 0;
        while let Some(answer) = answers.message().await? {
            bytes += answer.piece.len() as u64;
        }
        Ok(bytes)
    })
    .await;
}

/// Asks for more and more by one method until it is refused.
async fn exceed(path: &str, unit: Unit, peer: &Impatient, closed: u64, large: &LargeBlock) {
    let (calls, session_id) = (peer.calls.clone(), peer.session_id.clone());
    let ids = || Some(wire::TransactionIds { wire_ids: vec![Bytes::from_static(&[7; 32]); 1_000] });
    match (path.trim_start_matches(SERVICE), unit) {
        ("Announce", Unit::WireIds) => {
            until_limited(path, 1_000, async || {
                let request =
                    wire::AnnounceRequest { session_id: session_id.clone(), transactions: ids(), ..Default::default() };
                calls.clone().announce(request).await.map(|_| 1_000)
            })
            .await;
        }
        ("GetTransactions", Unit::WireIds) => {
            until_limited(path, 1_000, async || {
                let request = wire::GetTransactionsRequest { session_id: session_id.clone(), transactions: ids() };
                calls.clone().get_transactions(request).await.map(|_| 1_000)
            })
            .await;
        }
        ("GetHeaders", Unit::Headers) => {
            until_limited(path, 2_000, async || {
                let locator =
                    Some(wire::Locator { block_ids: vec![Bytes::copy_from_slice(dev().genesis_id().as_bytes())] });
                let request = wire::GetHeadersRequest { session_id: session_id.clone(), locator, max_headers: 2_000 };
                let answer = calls.clone().get_headers(request).await?.into_inner();
                Ok(answer.headers.unwrap_or_default().headers.len() as u64)
            })
            .await;
        }
        ("GetBlocks", Unit::BlockBytes) => {
            until_limited(path, 16 * large.bytes, async || {
                let blocks = Some(wire::BlockIds { block_ids: vec![large.id.clone(); 16] });
                let request = wire::GetBlocksRequest { session_id: session_id.clone(), blocks };
                let mut answers = calls.clone().get_blocks(request).await?.into_inner();
                let mut bytes = 0;
                while let Some(answer) = answers.message().await? {
                    bytes += answer.block.len() as u64;
                }
                Ok(bytes)
            })
            .await;
        }
        ("GetCheckpointHashes", Unit::BlockBytes) => exceed_hashes(path, peer).await,
        ("GetCheckpointPieces", Unit::BlockBytes) => exceed_pieces(path, peer).await,
        ("GetBlockTransactions", Unit::BlockBytes) => {
            until_limited(path, large.bytes, async || {
                let query = wire::BlockTransactionsQuery {
                    block_id: large.id.clone(),
                    indexes: (0..large.transactions).collect(),
                };
                let request = wire::GetBlockTransactionsRequest { session_id: session_id.clone(), query: Some(query) };
                Ok(calls.clone().get_block_transactions(request).await?.into_inner().transactions.len() as u64)
            })
            .await;
        }
        ("Deliver", Unit::BlockBytes) => {
            let body = Bytes::from(vec![0; 1 << 20]);
            until_limited(path, 1 << 20, async || {
                let delivered = calls.clone().deliver(peer.delivery(closed, Some(body.clone()))).await;
                match delivered {
                    Err(status) if status.code() == tonic::Code::NotFound => Ok(1 << 20),
                    other => other.map(|_| 0),
                }
            })
            .await;
        }
        ("ExchangePeers", Unit::Addresses) => {
            until_limited(path, 100, async || {
                let address = wire::PeerAddress { host: "192.0.2.1".to_owned(), port: 1, last_seen_ms: 0 };
                let request = wire::ExchangePeersRequest { session_id: session_id.clone(), peers: vec![address; 100] };
                calls.clone().exchange_peers(request).await.map(|_| 100)
            })
            .await;
        }
        (method, unit) => panic!("nobody exceeds the {} of {method} here", unit.as_str()),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_asks_for_more_than_its_methods_count_is_refused_by_the_unit() {
    let parts = Parts { table: without_refill(), gives: Some(large_checkpoint()), ..Parts::default() };
    let node = Node::build(parts).await;
    node.mine(2_000, 1).await;
    let large = grow_by_a_large_block(&node).await;
    let counting = methods(&dev());
    let counting = counting.iter().filter_map(|(path, policy)| Some((path, policy.items()?.0)));
    for (id, (path, unit)) in (1..).zip(counting) {
        let mut peer = Impatient::meet(&node, id).await;
        let closed = if path.ends_with("/Deliver") { peer.closed_want(&node).await } else { 0 };
        exceed(path, unit, &peer, closed, &large).await;
        assert!(node.network.scores().is_empty(), "{path}: to be told once is no misdeed");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_goes_on_after_having_been_told_loses_its_session_and_in_the_end_is_banned() {
    let node = Node::limited_by(alone(), without_refill()).await;
    let honest = Node::start(alone()).await;
    honest.connect(&node).await;
    for round in 1..=4 {
        let mut deaf = Impatient::meet(&node, 1).await;
        let ended = loop {
            let request = wire::ExchangePeersRequest { session_id: deaf.session_id.clone(), peers: Vec::new() };
            // Its calls end with a refusal, or with its session.
            let _ = deaf.calls.exchange_peers(request).await;
            let over = || node.network.peers().len() == 1;
            if over() {
                break true;
            }
        };
        assert!(ended);
        if round < 4 {
            assert_eq!(node.network.scores(), [("127.0.0.1:1".to_owned(), 25 * round)]);
        }
        drop(deaf);
    }
    let (whom, _, reason) = node.network.bans().remove(0);
    assert_eq!(whom, "127.0.0.1:1");
    assert_eq!(reason, format!("went on calling {SERVICE}ExchangePeers after having been told to wait"));
    eventually("the honest peer stays", || node.network.peers().len() == 1).await;
    assert_eq!(node.network.peers()[0].node_id, honest.network.node_id());
}

/// The table with far smaller rates than any honest node keeps to.
fn tight() -> MethodTable {
    let table = methods(&dev());
    table.iter().fold(table.clone(), |changed, (path, policy)| match path.trim_start_matches(SERVICE) {
        "Announce" => changed.with(path, policy.with_calls(4, Rate { per_second: 5, burst: 1 })),
        "GetHeaders" | "GetTransactions" => changed.with(path, policy.with_calls(4, Rate { per_second: 5, burst: 1 })),
        "GetBlocks" | "Deliver" => changed.with(path, policy.with_calls(24, Rate { per_second: 50, burst: 5 })),
        _ => changed,
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_honest_node_that_meets_a_limit_waits_and_neither_loses_anything_nor_is_blamed() {
    let (source, strict) = (Node::limited_by(alone(), tight()).await, Node::limited_by(alone(), tight()).await);
    source.mine(100, 1).await;
    // One dials the strict ones and pulls, and pushes.
    let node = Node::start(alone()).await;
    node.connect(&source).await;
    node.connect(&strict).await;
    node.reaches(100).await;
    strict.reaches(100).await;
    source.submit((0..20).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect()).await;
    node.pools(20).await;
    strict.pools(20).await;
    for blocks in 0..5 {
        source.mine(1, 1).await;
        strict.reaches(101 + blocks).await;
    }
    for one in [&source, &strict, &node] {
        assert!(one.network.bans().is_empty() && one.network.scores().is_empty(), "{:?}", one.network.scores());
    }
    assert_eq!(node.network.peers().len(), 2);
}
