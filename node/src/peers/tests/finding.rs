//! How a node finds others: what it keeps over a restart, whom it probes, what the operator allows.

use std::{sync::Arc, time::Duration};

use farthing::Network as Known;

use super::{Node, PATIENCE, alone, eventually, seeking};
use crate::{
    env::Env,
    peers::{
        BookStore as _, MemoryBookStore, NodeId, PeersConfig, Shelf,
        book::{SeenAddress, Source},
        client,
        handshake::own_hello,
        limits::NEARLY_EMPTY_BOOK,
        seeds,
        session::lock,
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
        store.remove(Shelf::Addresses, &key).unwrap();
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
