//! How a node finds others: what it keeps over a restart, whom it probes, what the operator allows.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use farthing::{BlockId, Height, Network as Known, TimeMs, Work};
use tokio_util::sync::CancellationToken;

use super::{Node, PATIENCE, alone, eventually, seeking};
use crate::{
    env::Env,
    peers::{
        BookStore, BookStoreError, Change, MemoryBookStore, NodeId, PeersConfig, Record, Shelf,
        blame::Misdeed,
        book::{SeenAddress, Source},
        client,
        convert::Tip,
        handshake::own_hello,
        laggards,
        limits::{BEHIND_TIME, NEARLY_EMPTY_BOOK, PROVING_TIME, STALE_TIME},
        outbound::{LONG_REST, MAX_RESTING},
        remote::{Caller, Remote},
        saved, seeds,
        session::{Direction, Identity, Session, lock},
        standing::Ban,
    },
    testing::dev,
};

impl Node {
    /// This node is told of another by a third one.
    fn hears_of(&self, other: &Self) {
        let inner = self.network.inner();
        let seen = SeenAddress { address: other.address, last_seen: inner.env.clock().now() };
        lock(&inner.state).book.learn(seen, Source::Seed, seen.last_seen);
        inner.changed.notify_waiters();
    }

    fn has_tried(&self, other: &Self) -> bool {
        lock(&self.network.inner().state).book.is_tried(other.address)
    }
}

fn feeling() -> PeersConfig {
    PeersConfig { feeler_interval: Duration::from_millis(20), ..alone() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_peers_of_the_last_run_are_dialled_first_in_the_next_one() {
    let friends = [Node::start(alone()).await, Node::start(alone()).await];
    let store = Arc::new(MemoryBookStore::default());
    let first = Node::of(Known::Dev, seeking(), Arc::clone(&store)).await;
    for friend in &friends {
        first.hears_of(friend);
        first.meets(friend).await;
    }
    first.stop().await;
    // Whatever became of the address book, nobody tells the second run of anybody.
    for (key, _) in store.load(Shelf::Addresses).unwrap() {
        store.write(vec![(Shelf::Addresses, key, None)]).unwrap();
    }
    let second = Node::of(Known::Dev, seeking(), Arc::clone(&store)).await;
    for friend in &friends {
        second.meets(friend).await;
    }
    second.stop().await;
    let notes = store.load(Shelf::Notes).unwrap();
    let keys: Vec<&[u8]> = notes.iter().map(|(key, _)| key.as_slice()).collect();
    assert_eq!(keys, [b"anchors".as_slice(), b"salt".as_slice()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_returns_to_whom_the_operator_removed_or_banned_or_who_misbehaved_to_the_end() {
    for deed in 0..3 {
        let friend = Node::start(alone()).await;
        let node = Node::start(seeking()).await;
        node.hears_of(&friend);
        node.meets(&friend).await;
        let inner = node.network.inner();
        let anchors = || lock(&inner.state).anchors.list();
        assert_eq!(anchors(), [friend.address]);
        let session = Arc::clone(lock(&inner.state).sessions.all().next().unwrap());
        match deed {
            0 => drop(node.network.remove_peer(&friend.target()).await.unwrap()),
            1 => drop(node.network.ban(&friend.address.to_string(), Duration::from_secs(60), "").await.unwrap()),
            _ => {
                // What it sent is found out after it has left.
                inner.leave(&session);
                inner.forget(session.id).await;
                assert_eq!(anchors(), [friend.address]);
                inner.blame(&session, &Misdeed::InvalidBlock("wrong root".to_owned()));
            }
        }
        assert_eq!(anchors(), [], "deed {deed}");
    }
}

/// A session of the node's own choice with somebody who says nothing from here on.
fn mute_peer(node: &Node, last: u8) -> Arc<Session> {
    let inner = node.network.inner();
    let address = SocketAddr::from(([192, 0, 2, last], 1));
    let who =
        Identity::new(Direction::Outbound, address, &own_hello(&dev(), NodeId::from_bytes([last; 16]), String::new()));
    let tip = Tip { height: Height::GENESIS, work: Work::ZERO, id: *dev().genesis_id(), headers: Vec::new() };
    let (stream, _) = tokio::sync::mpsc::channel(1);
    let remote = Remote::Caller(Caller::new(stream));
    let mut state = lock(&inner.state);
    let (id, end) = (state.sessions.next_id(), CancellationToken::new());
    let session = Arc::new(Session::new(id, who, remote, tip, end, inner.waiting.share()));
    session.heard(inner.elapsed());
    state.sessions.enter(inner.node_id, Arc::clone(&session), None, inner.elapsed()).unwrap();
    state.anchors.begin(id, address);
    session
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mute_peer_of_the_nodes_choice_gives_way_and_is_left_alone_for_a_while() {
    let node = Node::start(alone()).await;
    let (inner, mut watch) = (node.network.inner(), laggards::Watch::default());
    let mute = mute_peer(&node, 1);
    // Whatever it claims.
    let work = Work::new(u128::MAX);
    mute.is_at(Tip { height: Height::GENESIS, work, id: BlockId::from_bytes([7; 32]), headers: Vec::new() });
    let kept = mute_peer(&node, 2);
    lock(&inner.state).anchors.refuse(|address| address == kept.who.address);
    node.mine(1, 1).await;
    let now = inner.elapsed();
    laggards::look(inner, &mut watch, now).await;
    assert!(!mute.end.is_cancelled());
    laggards::look(inner, &mut watch, now + BEHIND_TIME).await;
    assert!(mute.end.is_cancelled() && !kept.end.is_cancelled());
    let wall = inner.env.clock().now();
    let state = lock(&inner.state);
    assert!(!state.is_free(mute.who.address, now + BEHIND_TIME, wall) && state.anchors.list().is_empty());
}

/// Nobody announces a tip to whoever announced it, so all peers of the only miner seem to stand still.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_has_all_that_this_node_told_it_is_not_let_go_although_it_tells_nothing() {
    let (miner, listener) = (Node::start(seeking()).await, Node::start(alone()).await);
    miner.hears_of(&listener);
    miner.meets(&listener).await;
    for height in 1..=3 {
        miner.mine(1, 1).await;
        listener.reaches(height).await;
    }
    let (inner, mut watch) = (miner.network.inner(), laggards::Watch::default());
    let session = Arc::clone(lock(&inner.state).sessions.all().next().unwrap());
    let now = inner.elapsed();
    laggards::look(inner, &mut watch, now).await;
    assert_eq!(session.tip().height, Height::GENESIS);
    laggards::look(inner, &mut watch, now + BEHIND_TIME).await;
    assert!(!session.end.is_cancelled());
    assert_eq!(miner.network.peers()[0].height, Height::new(3), "and it is known now");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_block_comes_one_more_peer_is_asked_and_the_one_that_brought_least_leaves_for_it() {
    let node = Node::start(alone()).await;
    let (inner, mut watch) = (node.network.inner(), laggards::Watch::default());
    let peers: Vec<_> = (1..=9).map(|last| mute_peer(&node, last)).collect();
    let left = || peers.iter().filter(|peer| !peer.end.is_cancelled()).count();
    let now = inner.elapsed() + PROVING_TIME;
    laggards::look(inner, &mut watch, now).await;
    assert_eq!((left(), lock(&inner.state).one_more), (9, false), "what was begun otherwise is nobody's loss");
    // One more brought a block; of the others the youngest has proved least.
    peers[8].merits.gave_block(now);
    laggards::look(inner, &mut watch, now + STALE_TIME).await;
    assert_eq!((left(), lock(&inner.state).one_more), (8, false));
    assert!(peers[7].end.is_cancelled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_more_is_still_wanted_after_a_look_in_which_others_left_for_another_reason() {
    let node = Node::start(alone()).await;
    let (inner, mut watch) = (node.network.inner(), laggards::Watch::default());
    let peers: Vec<_> = (1..=9).map(|last| mute_peer(&node, last)).collect();
    node.mine(1, 1).await;
    let now = inner.elapsed();
    laggards::look(inner, &mut watch, now).await;
    laggards::look(inner, &mut watch, now + BEHIND_TIME).await;
    assert!(peers.iter().all(|peer| peer.end.is_cancelled()), "all stayed behind");
    assert!(lock(&inner.state).one_more);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_let_go_is_left_alone_however_many_are_already() {
    let node = Node::start(alone()).await;
    let inner = node.network.inner();
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let mut state = lock(&inner.state);
    let address = |number: usize| {
        let [.., a, b] = number.to_be_bytes();
        SocketAddr::from(([10, 0, a, b], 1))
    };
    for number in 0..=MAX_RESTING {
        state.rest(address(number), now, LONG_REST + Duration::from_secs(number as u64));
    }
    assert_eq!(state.resting.len(), MAX_RESTING);
    assert!(state.is_free(address(0), now, wall), "it had rested nearly long enough");
    assert!(!state.is_free(address(MAX_RESTING), now, wall));
}

/// A store whose disk is full.
#[derive(Debug, Default)]
struct FullStore {
    real: MemoryBookStore,
    full: AtomicBool,
}

impl BookStore for FullStore {
    fn load(&self, shelf: Shelf) -> Result<Vec<Record>, BookStoreError> {
        self.real.load(shelf)
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), BookStoreError> {
        if self.full.load(Ordering::Relaxed) { Err("no space left".into()) } else { self.real.write(changes) }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_written_is_written_once_there_is_room() {
    let friend = Node::start(alone()).await;
    let store = Arc::new(FullStore::default());
    let book = Arc::<FullStore>::clone(&store);
    let node = Node::with(Known::Dev, seeking(), book, crate::chain::Settings::default()).await;
    store.full.store(true, Ordering::Relaxed);
    node.hears_of(&friend);
    node.meets(&friend).await;
    node.network.ban("192.0.2.1", Duration::from_secs(60), "").await.unwrap();
    let records = |shelf| store.load(shelf).unwrap().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
    assert_eq!((records(Shelf::Bans).len(), records(Shelf::Addresses).len()), (0, 0));
    store.full.store(false, Ordering::Relaxed);
    // Nothing changes any more.
    saved::write(node.network.inner()).await;
    assert_eq!(records(Shelf::Bans), [b"192.0.2.1"]);
    // The friend may have told of others, such as the node itself.
    assert!(records(Shelf::Addresses).contains(&friend.address.to_string().into_bytes()));
    assert_eq!(records(Shelf::Notes), [b"anchors".to_vec(), b"salt".to_vec()]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_far_ahead_of_the_tip_costs_neither_addresses_nor_bans() {
    let store = Arc::new(MemoryBookStore::default());
    // Its tip is genesis, so its clock is weeks ahead of that.
    let node = Node::of(Known::Dev, alone(), Arc::clone(&store)).await;
    let inner = node.network.inner();
    let wall = inner.env.clock().now();
    let ago = |days: u64| TimeMs::new(wall.get() - days * 24 * 60 * 60 * 1_000);
    {
        let mut state = lock(&inner.state);
        let seen = SeenAddress { address: SocketAddr::from(([192, 0, 2, 1], 1)), last_seen: ago(40) };
        state.book.learn(seen, Source::Seed, ago(40));
        let ban = Ban { until: ago(1), reason: String::new() };
        state.standing.impose("192.0.2.2".parse().unwrap(), ban, ago(2));
    }
    saved::write(inner).await;
    assert_eq!(lock(&inner.state).book.len(), 1);
    assert_eq!(store.load(Shelf::Bans).unwrap().len(), 1);
    assert!(node.network.bans().is_empty(), "by the clock it is over");
    let next = Node::of(Known::Dev, alone(), store).await;
    let state = lock(&next.network.inner().state);
    assert_eq!(state.book.len(), 1);
    assert!(state.standing.ban(&"192.0.2.2".parse().unwrap(), ago(2)).is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feeler_finds_out_that_an_address_answers_and_opens_no_session() {
    let (node, other) = (Node::start(feeling()).await, Node::start(alone()).await);
    node.hears_of(&other);
    assert!(!node.has_tried(&other));
    eventually("the address is tried", || node.has_tried(&other)).await;
    assert!(node.network.peers().is_empty() && other.network.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_feeler_forgets_a_node_of_another_network() {
    let (node, other) = (Node::start(feeling()).await, Node::of(Known::Test, alone(), Arc::default()).await);
    node.hears_of(&other);
    eventually("the address is forgotten", || lock(&node.network.inner().state).book.len() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_only_asks_who_is_there_reserves_nothing() {
    let node = Node::start(alone()).await;
    let env = Env::system().unwrap();
    for _ in 0..3 {
        // The same node each time: were there a session to come, the second would be refused as its duplicate.
        let (mut calls, _) = client::connect(&env, "127.0.0.1", node.address.port()).await.unwrap();
        let hello = own_hello(&dev(), NodeId::from_bytes([1; 16]), "asks".to_owned());
        let theirs = client::probe(&mut calls, &hello).await.unwrap();
        assert_eq!(theirs.node_id, node.network.node_id());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_added_peer_is_dialled_and_stays_in_the_book() {
    let friend = Node::start(alone()).await;
    let node = Node::start(PeersConfig { add: vec![friend.target()], ..alone() }).await;
    node.meets(&friend).await;
    assert!(node.has_tried(&friend));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_discovery_only_the_named_nodes_are_dialled() {
    let (named, other) = (Node::start(alone()).await, Node::start(alone()).await);
    let range = format!("127.0.0.1:{0}-{0}", other.address.port()).parse().unwrap();
    let config = PeersConfig {
        discovery: false,
        add: vec![other.target()],
        discover: vec![range],
        seeds: vec![other.target()],
        feeler_interval: Duration::from_millis(1),
        ..seeking()
    };
    let node = Node::start(config).await;
    node.hears_of(&other);
    node.connect(&named).await;
    // The named one tells of both, in time; to be told is not to dial.
    named.hears_of(&other);
    node.mine(1, 1).await;
    named.reaches(1).await;
    assert_eq!((node.network.peers().len(), other.network.peers().len()), (1, 0));
    let dialled = node.switch.dialled();
    assert!(dialled.iter().all(|address| *address == named.address), "{dialled:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_seed_is_asked_while_few_addresses_are_known_and_not_after() {
    let friend = Node::start(alone()).await;
    let node = Node::start(PeersConfig { seeds: vec![friend.target()], ..seeking() }).await;
    node.meets(&friend).await;
    let inner = node.network.inner();
    assert!(seeds::are_needed(inner));
    let now = inner.env.clock().now();
    for port in 1..=u16::try_from(NEARLY_EMPTY_BOOK).unwrap() {
        let seen = SeenAddress { address: ([192, 0, 2, 1], port).into(), last_seen: now };
        lock(&inner.state).book.learn(seen, Source::Seed, now);
    }
    assert!(!seeds::are_needed(inner));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn anchors_are_written_while_the_node_runs_for_it_may_not_end_cleanly() {
    let friend = Node::start(alone()).await;
    let store = Arc::new(MemoryBookStore::default());
    let node = Node::of(Known::Dev, seeking(), Arc::clone(&store)).await;
    node.hears_of(&friend);
    node.meets(&friend).await;
    let written = || store.load(Shelf::Notes).unwrap().iter().any(|(key, _)| key == b"anchors");
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !written() {
        assert!(tokio::time::Instant::now() < deadline, "not written while it runs");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
