//! What a session remembers, and its bounds.

use farthing::{BlockId, Height, Network, Work};

use super::*;
use crate::peers::{handshake::own_hello, limits::MAX_WAITING_WIRE_IDS, room::Room};

fn session() -> Session {
    let hello = own_hello(Network::Dev.params(), NodeId::from_bytes([1; 16]), String::new());
    let who = Identity::new(Direction::Inbound, "192.0.2.1:5".parse().unwrap(), &hello);
    let tip = Tip { height: hello.height, work: Work::ZERO, id: hello.tip, headers: Vec::new() };
    let (stream, _) = tokio::sync::mpsc::channel(1);
    let remote = Remote::Caller(crate::peers::remote::Caller::new(stream));
    Session::new(SessionId::new(1), who, remote, tip, CancellationToken::new(), Room::default().share())
}

fn ids(from: u32, to: u32) -> Vec<WireId> {
    let id = |number: u32| {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&number.to_le_bytes());
        WireId::from_bytes(bytes)
    };
    (from..to).map(id).collect()
}

#[test]
fn a_peer_cannot_pass_for_another_by_saying_where_it_listens() {
    let hello = own_hello(Network::Dev.params(), NodeId::from_bytes([1; 16]), String::new());
    let hello = Hello { listen_port: Some(7), listen_host: Some("203.0.113.1".parse().unwrap()), ..hello };
    let who = Identity::new(Direction::Inbound, "192.0.2.1:5".parse().unwrap(), &hello);
    assert_eq!(who.listens_at, Some("192.0.2.1:7".parse().unwrap()));
    assert_eq!(who.advertised, Some("203.0.113.1:7".parse().unwrap()));
}

#[test]
fn nothing_is_offered_to_whoever_told_it_nor_twice() {
    let session = session();
    session.take_wire_ids(ids(0, 5));
    session.offer(ids(0, 10));
    assert_eq!(session.take_outgoing(100), ids(5, 10));
    session.offer(ids(0, 10));
    assert!(session.take_outgoing(100).is_empty());
}

#[test]
fn a_queue_that_runs_over_ends_in_an_offer_of_the_whole_pool() {
    let session = session();
    assert_eq!((session.take_pool(), session.take_pool()), (Some(Arrival::FIRST), None));
    let many = u32::try_from(MAX_OUTGOING_WIRE_IDS).unwrap();
    session.offer(ids(0, many + 10));
    assert_eq!(session.outgoing_len(), MAX_OUTGOING_WIRE_IDS);
    assert_eq!(session.take_pool(), None, "first what is queued");
    while !session.take_outgoing(1_000).is_empty() {}
    assert_eq!(session.take_pool(), Some(Arrival::FIRST));
}

#[tokio::test]
async fn a_flood_of_announcements_is_bounded() {
    let session = session();
    for round in 0..70 {
        session.take_wire_ids(ids(round * 1_000, (round + 1) * 1_000));
    }
    assert_eq!(lock(&session.announced).len(), MAX_WAITING_WIRE_IDS);
    assert_eq!(session.next_announced(1_000).await.len(), 1_000);
    assert_eq!(lock(&session.announced).len(), MAX_WAITING_WIRE_IDS - 1_000);
}

#[tokio::test]
async fn whoever_has_missed_announcements_says_so_once_the_others_are_looked_at() {
    let session = session();
    let most = u32::try_from(MAX_WAITING_WIRE_IDS).unwrap();
    session.take_wire_ids(ids(0, most));
    assert!(!session.wants_pool_again());
    session.take_wire_ids(ids(most, most + 1));
    assert!(!session.wants_pool_again(), "first those that are here");
    session.next_announced(MAX_WAITING_WIRE_IDS).await;
    assert!(session.wants_pool_again());
    session.asks_for_pool();
    assert!(!session.wants_pool_again());
}

#[test]
fn a_peer_that_asks_for_the_pool_again_gets_what_it_was_told_before_but_not_at_once_again() {
    let session = session();
    session.take_pool();
    session.offer(ids(0, 5));
    assert_eq!(session.take_outgoing(100).len(), 5);
    session.offer_pool_again(Duration::ZERO);
    assert_eq!(session.take_pool(), Some(Arrival::FIRST));
    session.offer_pool(ids(0, 5), None);
    assert_eq!(session.take_outgoing(100), ids(0, 5));
    session.offer_pool_again(Duration::from_secs(1));
    assert_eq!(session.take_pool(), None);
    session.offer_pool_again(POOL_QUERY_INTERVAL);
    assert_eq!(session.take_pool(), Some(Arrival::FIRST));
}

#[test]
fn of_many_pushed_tips_the_newest_is_kept_and_given_once() {
    let session = session();
    let random = crate::env::Env::system().unwrap();
    let block = |nonce| {
        let mut block = Network::Dev.params().genesis().clone();
        block.header.nonce = nonce;
        CompactBlock::of(&block, &**random.random()).unwrap()
    };
    (0..100).for_each(|nonce| session.keep_pushed(block(nonce)));
    assert_eq!(session.take_pushed(block(98).id()), None);
    assert!(session.take_pushed(block(99).id()).is_some());
    assert_eq!(session.take_pushed(block(99).id()), None);
}

#[test]
fn a_peer_that_was_mute_about_a_block_is_asked_for_the_whole_one_and_for_others_as_before() {
    let hello =
        Hello { compact_relay: true, ..own_hello(Network::Dev.params(), NodeId::from_bytes([1; 16]), String::new()) };
    let mut session = session();
    assert!(!session.gives_compactly(BlockId::ZERO), "it does not say that it does");
    session.who = Identity::new(Direction::Inbound, "192.0.2.1:5".parse().unwrap(), &hello);
    assert!(session.gives_compactly(BlockId::ZERO));
    session.give_whole(BlockId::ZERO);
    assert!(!session.gives_compactly(BlockId::ZERO));
    assert!(session.gives_compactly(BlockId::from_bytes([1; 32])));
}

#[test]
fn a_tie_that_is_announced_behind_a_tip_does_not_hide_it() {
    let session = session();
    let tip = |byte, work| Tip {
        height: Height::new(work),
        work: Work::new(work.into()),
        id: BlockId::from_bytes([byte; 32]),
        headers: Vec::new(),
    };
    session.announced_tips();
    for tip in [tip(1, 5), tip(2, 5), tip(1, 5)] {
        session.take_tip(tip);
    }
    let ids: Vec<u8> = session.announced_tips().iter().map(|tip| tip.id.as_bytes()[0]).collect();
    assert_eq!(ids, [2, 1]);
    for byte in 0..20 {
        session.take_tip(tip(byte, 6));
    }
    assert_eq!(session.announced_tips().len(), MAX_WAITING_TIPS);
}

#[test]
fn what_there_is_no_room_for_to_wait_is_asked_for_again() {
    let session = session();
    while session.may_wait() {}
    assert!(session.wants_pool_again());
    session.asks_for_pool();
    session.waited(1);
    assert!(session.may_wait() && !session.wants_pool_again());
}

#[test]
fn a_tie_is_not_where_a_peer_is_and_neither_it_nor_what_came_before_is_echoed() {
    let session = session();
    let tip = |height, work, id: u8| Tip {
        height: Height::new(height),
        work: Work::new(work),
        id: BlockId::from_bytes([id; 32]),
        headers: Vec::new(),
    };
    session.take_tip(tip(7, 70, 1));
    session.take_tip(tip(6, 70, 2));
    assert_eq!(session.tip().height, Height::new(7));
    assert!([1, 2].iter().all(|id| session.announced(BlockId::from_bytes([*id; 32]))));
    session.take_tip(tip(8, 80, 3));
    assert_eq!(session.tip().height, Height::new(8));
    // This node may come to look at the earlier ones only now.
    assert!([1, 2, 3].iter().all(|id| session.announced(BlockId::from_bytes([*id; 32]))));
    assert!(!session.announced(BlockId::from_bytes([4; 32])));
}
