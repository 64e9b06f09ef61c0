//! What the operator of a running node decides about peers.

use farthing::Network as Known;

use super::{Node, alone, eventually};
use crate::peers::{
    MemoryBookStore, OperatorError,
    limits::{MAX_BANS, MAX_KEPT},
};
use std::{sync::Arc, time::Duration};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_removed_peer_is_let_go_and_not_dialled_again() {
    let (one, two) = (Node::start(alone()).await, Node::start(alone()).await);
    one.connect(&two).await;
    let details = &one.network.peer_details()[0];
    assert_eq!((details.address, details.inbound, details.score), (two.address, false, 0));
    assert!(details.connected_at <= details.last_heard_at);
    let session = one.network.peers()[0].node_id;
    let removed = one.network.remove_peer(&two.target()).await.unwrap();
    assert_eq!((removed.sessions, removed.was_kept), (1, true));
    eventually("both have let go", || one.network.peers().is_empty() && two.network.peers().is_empty()).await;
    assert!(one.network.kept_peers().is_empty());
    let error = one.network.remove_peer(&two.target()).await.unwrap_err();
    assert_eq!(error, OperatorError::UnknownPeer { address: two.target().to_string() });
    one.connect(&two).await;
    assert_eq!(one.network.peers()[0].node_id, session);
}

#[tokio::test]
async fn a_session_that_the_other_side_keeps_is_ended_by_either_of_its_addresses() {
    let (one, two) = (Node::start(alone()).await, Node::start(alone()).await);
    one.connect(&two).await;
    let details = &two.network.peer_details()[0];
    assert!(details.inbound);
    assert_eq!(details.listens_at, Some(one.address));
    assert_eq!(details.ban_target, one.address.to_string());
    let end = Arc::clone(super::super::session::lock(&two.network.inner().state).sessions.all().next().unwrap());
    let from = details.address.to_string().parse().unwrap();
    let removed = two.network.remove_peer(&from).await.unwrap();
    assert_eq!((removed.sessions, removed.was_kept), (1, false));
    assert!(end.end.is_cancelled());
}

#[tokio::test]
async fn a_ban_ends_the_session_keeps_the_peer_away_and_outlives_the_run() {
    let store = Arc::new(MemoryBookStore::default());
    let one = Node::of(Known::Dev, alone(), Arc::clone(&store)).await;
    let two = Node::start(alone()).await;
    two.connect(&one).await;
    // By the address that the session comes from, which nobody listens at: its node is meant.
    let from = one.network.peer_details()[0].address.to_string();
    let (ban, sessions) = one.network.ban(&from, HOUR, "too loud").await.unwrap();
    assert_eq!((ban.target.as_str(), ban.reason.as_str(), sessions), (&*two.address.to_string(), "too loud", 1));
    assert_eq!(one.network.bans_in_force(), std::slice::from_ref(&ban));
    eventually("the other side is told why", || {
        let kept = two.network.kept_peers();
        kept[0].last_error.as_ref().is_some_and(|error| error.contains("too loud"))
    })
    .await;
    assert!(one.network.peers().is_empty());
    let error = one.network.add_peer(two.target()).unwrap_err();
    assert!(matches!(error, OperatorError::Banned { .. }), "{error}");
    // What is written at once is what a node finds that comes after one that was killed.
    let next = Node::of(Known::Dev, alone(), Arc::clone(&store)).await;
    assert_eq!(next.network.bans_in_force(), std::slice::from_ref(&ban));
    next.stop().await;
    one.network.unban(&ban.target).await.unwrap();
    assert_eq!(one.network.unban(&ban.target).await, Err(OperatorError::NotBanned { target: ban.target }));
    two.meets(&one).await;
    assert_eq!(two.network.kept_peers()[0].last_error, None);
    let next = Node::of(Known::Dev, alone(), store).await;
    assert!(next.network.bans_in_force().is_empty());
}

#[tokio::test]
async fn whom_a_ban_cannot_name_is_refused_with_what_was_expected() {
    let node = Node::start(alone()).await;
    for (target, expected) in [
        ("node.example", "expected an IP address"),
        ("192.0.2.1/64", "expected an IP address"),
        ("192.0.2.1/24", "expected an IP address"),
        ("", "expected an IP address"),
        ("127.0.0.1", "expected 127.0.0.1:PORT"),
        ("::1", "expected ::1:PORT"),
    ] {
        let error = node.network.ban(target, HOUR, "").await.unwrap_err().to_string();
        assert!(error.contains(expected), "{target}: {error}");
    }
    for (target, named) in [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.2:7", "192.0.2.2"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::/64", "2001:db8:1:3::/64"),
        ("[2001:db8:1:4::9]:7", "2001:db8:1:4::/64"),
        ("[2001:db8:1:5::9]", "2001:db8:1:5::/64"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        assert_eq!(node.network.ban(target, HOUR, "").await.unwrap().0.target, named, "{target}");
        node.network.unban(named).await.unwrap();
    }
    let length = node.network.ban("192.0.2.1", Duration::ZERO, "").await.unwrap_err();
    assert_eq!(length, OperatorError::Length { seconds: 0 });
    let reason = node.network.ban("192.0.2.1", HOUR, &"é".repeat(201)).await.unwrap_err();
    assert_eq!(reason, OperatorError::Reason { length: 201 });
    assert_eq!(node.network.bans_in_force(), [], "of at most {MAX_BANS}");
}

#[tokio::test]
async fn the_number_of_kept_peers_is_bounded() {
    let node = Node::start(alone()).await;
    // All of 127/8 is this machine; nobody listens on port 1.
    let target = |number: usize| format!("127.1.1.{number}:1").parse().unwrap();
    for number in 0..MAX_KEPT {
        assert_eq!(node.network.add_peer(target(number)), Ok(false));
    }
    assert_eq!(node.network.add_peer(target(0)), Ok(true), "it is kept already");
    let full = node.network.add_peer(target(MAX_KEPT));
    assert_eq!(full, Err(OperatorError::TooManyKept { limit: MAX_KEPT }));
    node.network.remove_peer(&target(0)).await.unwrap();
    assert_eq!(node.network.add_peer(target(MAX_KEPT)), Ok(false));
    node.stop().await;
}
