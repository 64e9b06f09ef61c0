//! Who gets a session with whom.

use std::{net::SocketAddr, sync::Arc};

use farthing::Network as Known;
use tokio::{task::JoinSet, time::Instant};

use super::{Node, alone, eventually, seeking};
use crate::{
    env::Env,
    peers::{
        MemoryBookStore, PeersConfig, SyncState,
        client::DialError,
        handshake::Refusal,
        keep,
        limits::{MAX_WANTS, SEND_DEADLINE},
        methods, run,
    },
    server::MethodPolicy,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_is_seen_from_both_ends() {
    let (a, b) = (Node::start(alone()).await, Node::start(alone()).await);
    a.mine(2, 1).await;
    a.connect(&b).await;
    let (of_a, of_b) = (a.network.peers().remove(0), b.network.peers().remove(0));
    assert!(!of_a.inbound && of_b.inbound);
    assert_eq!((of_a.address, of_b.listens_at), (b.address, Some(a.address)));
    assert!(of_b.version.starts_with("farthing-node/"));
    eventually("b hears of a's height", || b.network.peers()[0].height.get() == 2).await;
    assert_eq!(b.network.sync_state(), SyncState::Synced);
    a.stop().await;
    eventually("b sees a go", || b.network.peers().is_empty()).await;
    b.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_of_another_genesis_is_refused_by_name() {
    let dev = Node::start(alone()).await;
    let test = Node::of(Known::Test, alone(), Arc::default()).await;
    let error = run::outbound(dev.network.inner(), "127.0.0.1", test.address.port()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused(Refusal::OtherGenesis { .. })), "{error}");
    let text = error.to_string();
    assert!(
        text.starts_with("this node is on network dev (genesis ") && text.contains("the other one on test"),
        "{text}"
    );
    assert!(dev.network.peers().is_empty() && test.network.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dials_itself_is_refused() {
    let node = Node::start(alone()).await;
    let error = run::outbound(node.network.inner(), "127.0.0.1", node.address.port()).await.unwrap_err();
    assert!(matches!(error, DialError::Refused(Refusal::Itself)), "{error}");
    assert!(node.network.peers().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_that_dial_each_other_keep_one_session() {
    let (a, b) = (Node::start(alone()).await, Node::start(alone()).await);
    a.network.connect(b.target());
    b.network.connect(a.target());
    // Of two that cross, the smaller id's stays (see `sessions`); of two that do not, the one that was there first.
    eventually("both hold the same session and no other", || {
        let (of_a, of_b) = (a.network.peers(), b.network.peers());
        matches!((&of_a[..], &of_b[..]), ([one], [other]) if one.inbound != other.inbound)
    })
    .await;
    b.mine(3, 1).await;
    a.reaches(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_is_connected_to_again() {
    let (a, b) = (Node::start(alone()).await, Node::start(alone()).await);
    a.connect(&b).await;
    b.switch.pull();
    eventually("the session breaks", || a.network.peers().is_empty() && b.network.peers().is_empty()).await;
    b.mine(2, 1).await;
    b.switch.plug();
    a.meets(&b).await;
    a.reaches(2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_know_one_node_find_each_other() {
    let hub = Node::start(seeking()).await;
    let (a, b) = (Node::start(seeking()).await, Node::start(seeking()).await);
    a.network.connect(hub.target());
    b.network.connect(hub.target());
    a.meets(&b).await;
    a.meets(&hub).await;
    b.meets(&hub).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_remembers_whom_it_met() {
    let friend = Node::start(alone()).await;
    let store = Arc::new(MemoryBookStore::default());
    let first = Node::of(Known::Dev, alone(), Arc::clone(&store)).await;
    first.connect(&friend).await;
    first.stop().await;
    // Nobody tells the second run of anybody.
    let second = Node::of(Known::Dev, seeking(), store).await;
    second.meets(&friend).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_over_ports_finds_a_node() {
    // Of a network that no other test is on: what runs beside this one on those ports refuses the handshake, and so
    // neither gets a session from this test nor gives it one.
    let found = Node::of(Known::Main, alone(), Arc::default()).await;
    let (low, high) = (found.address.port().saturating_sub(200), found.address.port().saturating_add(200));
    let range = format!("127.0.0.1:{low}-{high}").parse().unwrap();
    let seeker = Node::of(Known::Main, PeersConfig { discover: vec![range], ..alone() }, Arc::default()).await;
    seeker.meets(&found).await;
    assert_eq!((seeker.network.peers().len(), found.network.peers().len()), (1, 1));
}

#[test]
fn only_who_follows_has_a_session_and_a_delivery_may_wait_as_long_as_its_dialler_does() {
    let params = Known::Dev.params();
    let table = methods(params);
    let policy = |method: &str| *table.get(&format!("/farthing.peer.v1.PeerService/{method}")).unwrap();
    let calls = |method: &str| policy(method).calls();
    assert_eq!(policy("Follow"), MethodPolicy::session(1024, calls("Follow")));
    let block = usize::try_from(params.max_block_bytes).unwrap() + 1024;
    assert_eq!((policy("Deliver").max_message(), policy("Deliver").deadline()), (block, Some(SEND_DEADLINE)));
    assert_eq!(calls("Follow").at_a_time, 1, "one connection is one session, and its limits are a peer's");
    assert!(calls("Deliver").at_a_time as usize > MAX_WANTS, "as many answers as there are wants");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_node_that_has_a_session_under_another_address_says_so_and_is_not_forgotten() {
    let (node, other) = (Node::start(alone()).await, Node::start(alone()).await);
    node.connect(&other).await;
    // What is sent to this port goes to the other node.
    let mut listener = Env::system().unwrap().net().listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let forwarded = listener.local_addr().unwrap();
    let (env, behind) = (Env::system().unwrap(), other.address);
    let mut forwarding = JoinSet::new();
    forwarding.spawn(async move {
        let mut cables = JoinSet::new();
        while let Ok(near) = listener.accept(&mut |_| true).await {
            let far = env.net().dial(&behind.ip().to_string(), behind.port()).await.unwrap();
            let (mut near, mut far) = (near.into_io(), far.into_io());
            cables.spawn(async move { tokio::io::copy_bidirectional(&mut near, &mut far).await });
        }
    });
    node.network.connect(forwarded.to_string().parse().unwrap());
    let error = |at: SocketAddr| {
        let kept = node.network.kept_peers().into_iter().find(|kept| kept.target == at.to_string());
        kept.unwrap().last_error
    };
    eventually("it is told", || error(forwarded) == Some(Refusal::Duplicate.to_string())).await;
    assert_eq!((error(behind), node.network.peers().len()), (None, 1));
    node.network.remove_peer(&other.target()).await.unwrap();
    eventually("the session is that one now", || {
        error(forwarded).is_none() && node.network.peers().iter().any(|peer| peer.address == forwarded)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kept_target_that_answers_with_the_own_id_is_kept_and_its_fault_shown() {
    let node = Node::start(alone()).await;
    node.network.connect(node.target());
    eventually("it is told", || node.network.kept_peers()[0].last_error == Some(Refusal::Itself.to_string())).await;
    assert_eq!(node.network.kept_peers()[0].target, node.target().to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_strangers_do_does_not_make_a_node_ask_for_a_name_again() {
    let (node, other) = (Node::start(alone()).await, Node::start(alone()).await);
    other.connect(&node).await;
    let target = format!("localhost:{}", other.address.port()).parse().unwrap();
    let (inner, mut addresses) = (node.network.inner(), keep::Addresses::default());
    let began = Instant::now();
    // As often as a session begins or ends, or an address is learnt.
    for _ in 0..1_000 {
        addresses.update(inner, &target).await;
        assert!(addresses.have_session(inner));
    }
    let most = 1 + began.elapsed().as_secs() / 5;
    let asked = node.switch.resolved();
    assert!(!asked.is_empty() && asked.len() as u64 <= most, "asked {} times", asked.len());
}
