//! How blocks and transactions spread.

use tokio::time::Instant;

use super::{Node, alone, eventually, line};
use crate::{
    peers::{
        SyncState,
        book::{NetGroup, SeenAddress},
        session::lock,
    },
    testing::{ALICE, BOB},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_blocks_at_one_end_of_a_line_reaches_the_other() {
    let nodes = line(4).await;
    nodes[0].mine(50, 1).await;
    nodes[3].reaches(50).await;
    for node in &nodes[1..] {
        node.agrees_with(&nodes[0]).await;
    }
    assert!(nodes.iter().all(|node| node.network.bans().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_travels_against_the_direction_of_dialling_too() {
    let nodes = line(4).await;
    nodes[3].mine(50, 1).await;
    nodes[0].reaches(50).await;
    nodes[0].agrees_with(&nodes[3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_travel_over_several_hops_both_ways() {
    let nodes = line(3).await;
    let of_alice: Vec<_> = (0..300).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    let of_bob: Vec<_> = (0..300).map(|nonce| BOB.pay(nonce, ALICE.address(), 1)).collect();
    tokio::join!(nodes[0].submit(of_alice), nodes[2].submit(of_bob));
    for node in &nodes {
        node.pools(600).await;
    }
    assert!(nodes.iter().all(|node| node.network.bans().is_empty()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_ring_every_transaction_arrives_although_several_offer_it() {
    let nodes = line(4).await;
    nodes[3].connect(&nodes[0]).await;
    nodes[0].connect(&nodes[2]).await;
    let transfers: Vec<_> = (0..600).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    nodes[1].submit(transfers).await;
    for node in &nodes {
        node.pools(600).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_joins_late_gets_the_chain_and_the_pool() {
    let (old, late) = (Node::start(alone()).await, Node::start(alone()).await);
    old.mine(2_100, 1).await;
    old.submit(vec![ALICE.pay(0, BOB.address(), 1)]).await;
    let mut syncing = late.network.watch_syncing();
    late.network.connect(old.target());
    let began = tokio::time::timeout(super::PATIENCE, syncing.wait_for(|syncing| *syncing)).await;
    assert!(began.is_ok_and(|began| began.is_ok()), "it says that it is fetching");
    late.reaches(2_100).await;
    late.agrees_with(&old).await;
    eventually("it says that it has all", || late.network.sync_state() == SyncState::Synced).await;
    assert_eq!(late.network.best_header_height().get(), 2_100);
    late.pools(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_listener_gets_everything_from_a_node_that_it_cannot_dial() {
    let (old, late) = (Node::start(alone()).await, Node::start(alone()).await);
    old.mine(300, 1).await;
    old.submit((0..300).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect()).await;
    old.connect(&late).await;
    late.reaches(300).await;
    late.agrees_with(&old).await;
    late.pools(300).await;
    assert!(late.network.peers()[0].inbound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_blocks_of_a_tie_are_known_to_all_and_the_next_block_decides() {
    let nodes = line(3).await;
    let first = crate::testing::mine(nodes[0].chain.params(), &nodes[0].chain.view(), Vec::new(), 1);
    let second = crate::testing::mine(nodes[2].chain.params(), &nodes[2].chain.view(), Vec::new(), 2);
    let (one, two) = (first.id(), second.id());
    let (a, c) = tokio::join!(
        nodes[0].chain.submit_block(first, crate::chain::Origin::Mined),
        nodes[2].chain.submit_block(second, crate::chain::Origin::Mined)
    );
    a.unwrap();
    c.unwrap();
    for node in &nodes {
        for id in [one, two] {
            let deadline = Instant::now() + super::PATIENCE;
            while !node.chain.has_body(id).await.unwrap() {
                assert!(Instant::now() < deadline, "a block of the tie did not arrive");
                tokio::task::yield_now().await;
            }
        }
    }
    nodes[2].mine(1, 3).await;
    for node in &nodes {
        node.reaches(2).await;
        node.agrees_with(&nodes[2]).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_partition_all_follow_the_branch_with_more_work() {
    let nodes = line(4).await;
    nodes[0].mine(5, 1).await;
    nodes[3].reaches(5).await;
    nodes[2].switch.pull();
    eventually("the line is cut", || nodes[1].network.peers().len() == 1 && nodes[3].network.peers().is_empty()).await;
    nodes[0].mine(30, 2).await;
    nodes[1].reaches(35).await;
    nodes[3].mine(10, 3).await;
    nodes[3].submit(vec![ALICE.pay(0, BOB.address(), 1)]).await;
    nodes[2].switch.plug();
    for node in &nodes {
        node.reaches(35).await;
        node.agrees_with(&nodes[0]).await;
        node.pools(1).await;
        assert!(node.network.bans().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_begins_as_many_sessions_as_it_wants_and_no_more() {
    let seeker = Node::start(super::seeking()).await;
    let mut listeners = Vec::new();
    for _ in 0..10 {
        listeners.push(Node::start(alone()).await);
    }
    let inner = seeker.network.inner();
    for listener in &listeners {
        let seen = SeenAddress { address: listener.address, last_seen: inner.env.clock().now() };
        inner.learn(seen, NetGroup::of(listener.address.ip()));
    }
    eventually("eight sessions", || seeker.network.peers().len() == 8).await;
    // With all of them there, none is being dialled.
    eventually("no more", || lock(&inner.state).dialling.is_empty()).await;
    assert_eq!(seeker.network.peers().len(), 8);
}
