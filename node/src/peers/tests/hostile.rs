//! Peers that speak the protocol and lie. Only they pay.

use farthing::{
    Hash, Header, Height, SignedTransaction, Work,
    codec::Canonical as _,
    wire::peer::{self as wire, deliver_request::Item},
};
use prost::bytes::Bytes;
use tokio_stream::StreamExt as _;
use tonic::Code;

use super::{Node, alone, eventually};
use crate::{
    env::Env,
    peers::{
        NodeId, SyncState,
        client::{self, CallError, Client},
        convert::{Tip, headers_to_wire, transactions_to_wire, wire_ids_to_wire},
        handshake::{Hello, Refusal, own_hello},
    },
    testing::{ALICE, BOB, dev, mine, solve},
};

/// A node that does as the test says.
pub(super) struct Hostile {
    pub(super) client: Client,
    stream: tonic::Streaming<wire::FollowResponse>,
}

pub(super) fn hello(id: u8) -> Hello {
    Hello { listen_port: Some(1), ..own_hello(&dev(), NodeId::from_bytes([id; 16]), "hostile".to_owned()) }
}

impl Hostile {
    pub(super) async fn meet(node: &Node, hello: Hello) -> Result<Self, Refusal> {
        let env = Env::system().unwrap();
        let (mut calls, _) = client::connect(&env, "127.0.0.1", node.address.port()).await.unwrap();
        let (_, token) = client::shake_hands(&mut calls, &hello).await?;
        let client = Client::new(calls, token, 4 << 20);
        let stream = client.follow().await.unwrap();
        Ok(Self { client, stream })
    }

    /// The next want of the node.
    pub(super) async fn want(&mut self) -> wire::Want {
        let wants = async {
            loop {
                let event = self.stream.next().await.unwrap().unwrap();
                if let Some(wire::follow_response::Event::Want(want)) = event.event {
                    return want;
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, wants).await.unwrap()
    }

    /// The next tip that the node tells.
    async fn told(&mut self) -> wire::Tip {
        let tips = async {
            loop {
                let event = self.stream.next().await.unwrap().unwrap();
                if let Some(wire::follow_response::Event::Tip(tip)) = event.event {
                    return tip;
                }
            }
        };
        tokio::time::timeout(super::PATIENCE, tips).await.unwrap()
    }

    pub(super) async fn announce(&self, tip: &Tip) -> Result<(), CallError> {
        self.client.announce(Some(tip.to_wire()), None).await
    }
}

pub(super) fn tip(header: Header, height: u64, work: u128) -> Tip {
    Tip { height: Height::new(height), work: Work::new(work), id: header.id(), headers: vec![header] }
}

pub(super) fn code(result: Result<(), CallError>) -> Code {
    match result {
        Err(CallError::Status(status)) => status.code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_without_work_bans_its_sender_and_an_honest_peer_stays() {
    let (node, honest) = (Node::start(alone()).await, Node::start(alone()).await);
    honest.connect(&node).await;
    let hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    let mut header = mine(&dev(), &node.chain.view(), Vec::new(), 1).header;
    while header.has_work() {
        header.nonce += 1;
    }
    hostile.announce(&tip(header, 1, 100)).await.unwrap();
    eventually("the hostile peer is banned", || node.network.bans().len() == 1).await;
    let (whom, _, reason) = node.network.bans().remove(0);
    assert_eq!(whom, "127.0.0.1:1");
    assert!(reason.starts_with("sent an invalid header"), "{reason}");
    eventually("only the honest peer is left", || node.network.peers().len() == 1).await;
    let refused = Hostile::meet(&node, hello(2)).await.err();
    assert!(matches!(refused, Some(Refusal::Banned(_))), "{refused:?}");
    honest.mine(2, 1).await;
    node.reaches(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_comes_before_a_header_that_is_ahead_of_the_clock_is_fetched() {
    let (node, source) = (Node::start(alone()).await, Node::start(alone()).await);
    source.mine(1, 1).await;
    let first = source.chain.block(source.chain.view().tip.id()).await.unwrap().unwrap();
    let mut ahead = mine(&dev(), &source.chain.view(), Vec::new(), 1);
    ahead.header.time = Env::system().unwrap().clock().now().saturating_add(3_600_000);
    let ahead = solve(ahead).header;
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    peer.announce(&Tip { headers: vec![first.header, ahead], ..tip(ahead, 2, 100) }).await.unwrap();
    let want = peer.want().await;
    let body = Some(Item::Block(Bytes::from(first.to_canonical())));
    peer.client.deliver(want.want_id, body, true).await.unwrap();
    node.reaches(1).await;
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handshake_from_before_a_ban_cannot_be_followed_during_it() {
    let node = Node::start(alone()).await;
    let env = Env::system().unwrap();
    let (mut calls, _) = client::connect(&env, "127.0.0.1", node.address.port()).await.unwrap();
    let (_, token) = client::shake_hands(&mut calls, &hello(1)).await.unwrap();
    let another = Hostile::meet(&node, hello(2)).await.unwrap();
    node.network.ban("127.0.0.1:1", std::time::Duration::from_secs(3_600), "").await.unwrap();
    let followed = Client::new(calls, token, 4 << 20).follow().await.map(drop);
    assert_eq!(code(followed), Code::Unauthenticated);
    eventually("nor is any session left", || node.network.peers().is_empty()).await;
    drop(another);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mutated_body_bans_its_sender_and_the_real_one_is_taken_from_another() {
    let (node, honest) = (Node::start(alone()).await, Node::start(alone()).await);
    honest.mine(1, 1).await;
    let block = honest.chain.block(honest.chain.view().tip.id()).await.unwrap().unwrap();
    let mut hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    hostile.announce(&tip(block.header, 1, 100)).await.unwrap();
    let want = hostile.want().await;
    let mut mutated = (*block).clone();
    mutated.coinbase.tag = b"mutated".to_vec();
    let bytes = Bytes::from(mutated.to_canonical());
    hostile.client.deliver(want.want_id, Some(Item::Block(bytes)), true).await.unwrap();
    eventually("the hostile peer is banned", || node.network.bans().len() == 1).await;
    assert!(node.network.bans()[0].2.starts_with("sent an invalid block"), "{:?}", node.network.bans());
    honest.connect(&node).await;
    node.agrees_with(&honest).await;
    assert_eq!(node.height(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tie_that_is_decided_is_no_news_to_whoever_comes_later() {
    let node = Node::start(alone()).await;
    let inner = node.network.inner();
    node.mine(1, 1).await;
    let beside = mine(&dev(), &crate::chain::ChainView::genesis(&dev()), Vec::new(), 2).header;
    let work = node.chain.view().tip.total_work();
    inner.ties.send_replace(Some(std::sync::Arc::new(Tip { work, ..tip(beside, 1, 0) })));
    let mut while_it_stands = Hostile::meet(&node, hello(1)).await.unwrap();
    assert_eq!([while_it_stands.told().await.height, while_it_stands.told().await.height], [1, 1]);
    node.mine(1, 1).await;
    eventually("it is announced", || inner.tips.borrow().height == Height::new(2)).await;
    let mut later = Hostile::meet(&node, Hello { listen_port: Some(2), ..hello(2) }).await.unwrap();
    assert_eq!(later.told().await.height, 2);
    node.mine(1, 1).await;
    assert_eq!(later.told().await.height, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_nobody_asked_for_is_refused_unread() {
    let node = Node::start(alone()).await;
    let hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    let block = mine(&dev(), &node.chain.view(), Vec::new(), 1);
    let bytes = Bytes::from(block.to_canonical());
    let refused = hostile.client.deliver(7, Some(Item::Block(bytes)), true).await;
    assert_eq!(code(refused), Code::InvalidArgument);
    eventually("the session is over", || node.network.peers().is_empty()).await;
    assert_eq!(node.height(), 0);
    assert!(node.network.bans().is_empty(), "once is not enough for a ban");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_block_than_the_wanted_one_is_a_wrong_answer() {
    let (node, other) = (Node::start(alone()).await, Node::start(alone()).await);
    other.mine(1, 1).await;
    let wanted = other.chain.view().tip.header().to_owned();
    let mut hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    hostile.announce(&tip(wanted, 1, 100)).await.unwrap();
    let want = hostile.want().await;
    let another = mine(&dev(), &node.chain.view(), Vec::new(), 9);
    let bytes = Bytes::from(another.to_canonical());
    hostile.client.deliver(want.want_id, Some(Item::Block(bytes)), true).await.unwrap();
    eventually("the session is over", || node.network.peers().is_empty()).await;
    assert_eq!(node.height(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_bounds_of_a_message_ends_the_session() {
    let node = Node::start(alone()).await;
    let hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    let ids = vec![Bytes::from_static(&[7; 32]); 1_001];
    let announced = hostile.client.announce(None, Some(wire::TransactionIds { wire_ids: ids })).await;
    assert_eq!(code(announced), Code::InvalidArgument);
    eventually("the session is over", || node.network.peers().is_empty()).await;
    // Larger than the method takes: refused by its length, before it is read.
    let hostile = Hostile::meet(&node, hello(2)).await.unwrap();
    let ids = vec![Bytes::from_static(&[7; 32]); 4_000];
    let announced = hostile.client.announce(None, Some(wire::TransactionIds { wire_ids: ids })).await;
    assert!(announced.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_peer_delays_but_does_not_stop_the_others() {
    let (node, honest) = (Node::start(alone()).await, Node::start(alone()).await);
    honest.mine(3, 1).await;
    let mut hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    let header = honest.chain.headers_after(vec![*dev().genesis_id()], 10).await.unwrap();
    let claimed = Tip { headers: header.clone(), ..tip(header[2], 3, 100) };
    hostile.announce(&claimed).await.unwrap();
    // It is asked for the bodies and says nothing.
    hostile.want().await;
    honest.connect(&node).await;
    node.reaches(3).await;
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_peers_that_owe_headers_do_not_keep_another_ones_out() {
    let (node, honest) = (Node::start(alone()).await, Node::start(alone()).await);
    honest.mine(50, 1).await;
    let orphan = *honest.chain.view().tip.header();
    let mut mute = Vec::new();
    // Were they waited for one after the other, it would take longer than this test has.
    for id in 1..=12 {
        let hello = Hello { listen_port: Some(id.into()), ..hello(id) };
        let hostile = Hostile::meet(&node, hello).await.unwrap();
        hostile.announce(&tip(orphan, 50, 1_000)).await.unwrap();
        mute.push(hostile);
    }
    // One is asked for the headers before it and says nothing; the others wait their turn.
    mute[0].want().await;
    honest.connect(&node).await;
    node.reaches(50).await;
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_stale_tips_and_blocks_of_the_near_future_are_nobodys_fault() {
    let (node, other) = (Node::start(alone()).await, Node::start(alone()).await);
    other.mine(3, 2).await;
    node.mine(2, 1).await;
    let mut hostile = Hostile::meet(&node, hello(1)).await.unwrap();
    // A tip with less work than the node's.
    let stale = other.chain.headers_after(vec![*dev().genesis_id()], 1).await.unwrap()[0];
    hostile.announce(&tip(stale, 1, 2)).await.unwrap();
    // A header whose parent is unknown: the node asks for those before it.
    let orphan = *other.chain.view().tip.header();
    hostile.announce(&tip(orphan, 3, 100)).await.unwrap();
    let want = hostile.want().await;
    assert!(matches!(want.item, Some(wire::want::Item::HeadersAfter(_))), "{want:?}");
    hostile.client.deliver(want.want_id, Some(Item::Headers(wire::Headers::default())), true).await.unwrap();
    // A block that is ahead of the node's clock.
    let mut future = mine(&dev(), &node.chain.view(), Vec::new(), 5);
    future.header.time = Env::system().unwrap().clock().now().saturating_add(90_000);
    let future = solve(future);
    hostile.announce(&tip(future.header, 3, 100)).await.unwrap();
    // A late answer to a want that is over.
    let late = hostile.client.deliver(want.want_id, Some(Item::Headers(wire::Headers::default())), true).await;
    assert_eq!(code(late), Code::NotFound);
    other.connect(&node).await;
    node.reaches(3).await;
    assert!(node.network.bans().is_empty());
    assert_eq!(node.network.peers().len(), 2);
    assert_ne!(future.header.commitment, Hash::ZERO);
}

impl Hostile {
    /// Announces transactions and gives the node's want for them.
    async fn offer(&mut self, transactions: &[SignedTransaction]) -> wire::Want {
        let ids: Vec<_> = transactions.iter().map(SignedTransaction::wire_id).collect();
        self.client.announce(None, Some(wire_ids_to_wire(&ids))).await.unwrap();
        self.want_transactions().await
    }

    async fn want_transactions(&mut self) -> wire::Want {
        let want = self.want().await;
        assert!(matches!(want.item, Some(wire::want::Item::Transactions(_))), "{want:?}");
        want
    }

    async fn give(&self, want: &wire::Want, transactions: &[SignedTransaction]) {
        let item = Item::Transactions(transactions_to_wire(transactions.iter()));
        self.client.deliver(want.want_id, Some(item), true).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_answer_loses_no_transfer() {
    let node = Node::start(alone()).await;
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    let transfers: Vec<_> = (0..3).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    let late = peer.offer(&transfers).await;
    // They are announced once and, after the answer's deadline, asked for again.
    let again = peer.want_transactions().await;
    assert_ne!(again.want_id, late.want_id);
    peer.give(&again, &transfers).await;
    node.pools(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_that_comes_before_the_block_that_pays_for_it_is_taken_with_the_block() {
    let node = Node::start(alone()).await;
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    let block = mine(&dev(), &node.chain.view(), vec![ALICE.pay(0, BOB.address(), 5)], 1);
    // More than bob has before it.
    let transfer = BOB.pay(0, ALICE.address(), 1_000_004);
    let want = peer.offer(std::slice::from_ref(&transfer)).await;
    peer.give(&want, std::slice::from_ref(&transfer)).await;
    eventually("it is refused for now", || !node.mempool.wanted(&[transfer.wire_id()]).contains(&transfer.wire_id()))
        .await;
    assert_eq!(node.mempool.stats().executable, 0);
    node.chain.submit_block(block, crate::chain::Origin::Mined).await.unwrap();
    node.pools(1).await;
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_sends_the_same_headers_in_a_circle_is_asked_for_bodies_next() {
    let (node, source) = (Node::start(alone()).await, Node::start(alone()).await);
    source.mine(2_001, 1).await;
    let all: Vec<Header> = {
        let locator = vec![*dev().genesis_id()];
        let mut headers = source.chain.headers_after(locator, 2_000).await.unwrap();
        headers.push(*source.chain.view().tip.header());
        headers
    };
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    peer.announce(&tip(all[2_000], 2_001, 1_000_000)).await.unwrap();
    for part in [&all[..2_000], &all[1..]] {
        let want = peer.want().await;
        assert!(matches!(want.item, Some(wire::want::Item::HeadersAfter(_))), "{want:?}");
        peer.client.deliver(want.want_id, Some(Item::Headers(headers_to_wire(part))), true).await.unwrap();
    }
    let want = peer.want().await;
    assert!(matches!(want.item, Some(wire::want::Item::Blocks(_))), "{want:?}");
    // Meanwhile others are asked too.
    source.connect(&node).await;
    node.reaches(2_001).await;
}

/// Headers that nobody has bodies for are forgotten with whoever told of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_does_not_wait_for_a_branch_whose_only_holder_is_gone() {
    let (node, source) = (Node::start(alone()).await, Node::start(alone()).await);
    source.mine(60, 1).await;
    let headers = source.chain.headers_after(vec![*dev().genesis_id()], 100).await.unwrap();
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    peer.announce(&tip(headers[59], 60, 1_000)).await.unwrap();
    let want = peer.want().await;
    peer.client.deliver(want.want_id, Some(Item::Headers(headers_to_wire(&headers))), true).await.unwrap();
    eventually("it fetches", || node.network.sync_state() == SyncState::Syncing).await;
    eventually("it says how far it is", || node.network.sync_progress().is_some()).await;
    let progress = node.network.sync_progress().unwrap();
    assert_eq!((progress.height.get(), progress.target.get()), (0, 60));
    drop(peer);
    eventually("it goes on without", || node.network.sync_state() == SyncState::Synced).await;
    assert_eq!(node.network.best_header_height().get(), 0);
    eventually("nor does it say that it does", || node.network.sync_progress().is_none()).await;
}
