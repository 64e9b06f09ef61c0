//! Who is admitted, whom a newcomer replaces and whose place it takes.

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::peers::remote::{Caller, Remote};

fn identity(direction: Direction, id: u8, address: &str) -> Identity {
    Identity {
        direction,
        node_id: NodeId::from_bytes([id; 16]),
        address: address.parse().unwrap(),
        listens_at: None,
        advertised: None,
        version: String::new(),
        compact_relay: false,
    }
}

fn sessions() -> Sessions {
    Sessions::new(Salt::from_bytes([3; 32]))
}

fn tip() -> Tip {
    Tip {
        height: farthing::Height::GENESIS,
        work: farthing::Work::ZERO,
        id: farthing::BlockId::ZERO,
        headers: Vec::new(),
    }
}

#[test]
fn a_second_handshake_of_one_node_is_refused_until_the_first_has_lapsed() {
    let mut sessions = sessions();
    let (own, dialler) = (NodeId::from_bytes([9; 16]), identity(Direction::Inbound, 1, "192.0.2.1:5"));
    sessions.admit(own, &dialler, Duration::ZERO).unwrap();
    sessions.await_follow([1; 16], dialler.clone(), tip(), Duration::ZERO);
    assert_eq!(sessions.admit(own, &dialler, Duration::ZERO), Err(Refusal::Duplicate));
    sessions.admit(own, &dialler, FOLLOW_DEADLINE).unwrap();
    assert!(sessions.take_pending(&[1; 16], FOLLOW_DEADLINE).is_none());
}

/// Where the number of a session leads: many network groups, or as many as told.
fn host(number: usize, groups: usize) -> String {
    format!("{}.{}.{}.{}:5", 20 + number % groups % 200, number % groups / 200, number / groups / 4, number % 256)
}

/// Begins to follow: the session is in the table.
fn follow(sessions: &mut Sessions, token: Token, now: Duration) -> Arc<Session> {
    let pending = sessions.take_pending(&token, now).unwrap();
    let (stream, _) = tokio::sync::mpsc::channel(1);
    let remote = Remote::Caller(Caller::new(stream));
    let end = CancellationToken::new();
    let session = Arc::new(Session::new(sessions.next_id(), pending.who, remote, pending.tip, end));
    sessions.insert(Arc::clone(&session), Some(token));
    session
}

fn token(number: usize) -> Token {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&(number as u64).to_le_bytes());
    token
}

/// A dialler from this address is greeted.
fn greet(sessions: &mut Sessions, number: usize, address: &str, now: Duration) -> Result<(), Refusal> {
    let who = Identity { node_id: NodeId::from_bytes(token(number)), ..identity(Direction::Inbound, 0, address) };
    sessions.admit(NodeId::from_bytes([255; 16]), &who, now)?;
    sessions.await_follow(token(number), who, tip(), now);
    Ok(())
}

#[test]
fn a_full_table_has_room_for_another_network_and_none_for_the_most_populous_one() {
    let mut table = sessions();
    let now = Duration::ZERO;
    let mut live = Vec::new();
    for number in 0..MAX_INBOUND_SESSIONS {
        greet(&mut table, number, &host(number, 4), now).unwrap();
        live.push(follow(&mut table, token(number), now));
    }
    let count = |table: &Sessions| table.inbound().count() + table.pending.len();
    for number in 0..4 {
        assert_eq!(greet(&mut table, 500 + number, "127.0.0.1:1", now), Ok(()), "loopback is one network of many");
    }
    assert_eq!(count(&table), MAX_INBOUND_SESSIONS);
    let ended = live.iter().filter(|session| session.end.is_cancelled());
    assert_eq!(ended.count(), 4);
    // The four networks have as many sessions each: the one with the youngest of all is the one to give way.
    let youngest = live.iter().rev().find(|session| !session.end.is_cancelled()).unwrap();
    let same = format!("{}:9", youngest.who.address.ip()).replace(".27.", ".99.");
    assert_eq!(NetGroup::of(same.parse::<SocketAddr>().unwrap().ip()), NetGroup::of(youngest.who.address.ip()));
    assert_eq!(greet(&mut table, 600, &same, now), Err(Refusal::Full(MAX_INBOUND_SESSIONS)));
    // Those that this node begins are not kept out.
    let own = NodeId::from_bytes([255; 16]);
    table.admit(own, &identity(Direction::Outbound, 201, "192.0.2.1:5"), now).unwrap();
}

#[test]
fn handshakes_without_a_follower_give_way_first() {
    let mut table = sessions();
    let mut live = Vec::new();
    for number in 0..MAX_INBOUND_SESSIONS - 1 {
        greet(&mut table, number, &host(number, 200), Duration::ZERO).unwrap();
        live.push(follow(&mut table, token(number), Duration::ZERO));
    }
    for number in 200..260 {
        greet(&mut table, number, &format!("198.{}.1.1:5", number - 180), Duration::ZERO).unwrap();
    }
    assert!(live.iter().all(|session| !session.end.is_cancelled()));
    assert_eq!((table.pending.len(), table.live.len()), (1, MAX_INBOUND_SESSIONS - 1));
    assert!(table.take_pending(&token(258), Duration::ZERO).is_none());
    assert!(table.take_pending(&token(259), Duration::ZERO).is_some());
}

/// THREATS section 1, "Slot exhaustion": an attacker that calls from few networks, again and again, has all free sessions
/// in the end and none of those that speak for themselves.
#[test]
fn an_attacker_from_few_networks_does_not_push_out_honest_sessions() {
    let mut table = sessions();
    let mut honest = Vec::new();
    for number in 0..30 {
        greet(&mut table, number, &format!("{}.1.1.1:5", 100 + number), Duration::ZERO).unwrap();
        honest.push(follow(&mut table, token(number), Duration::ZERO));
    }
    for number in 1_000..6_000 {
        let now = Duration::from_secs(number as u64);
        if greet(&mut table, number, &host(number, 8), now).is_ok() {
            let session = follow(&mut table, token(number), now);
            // It does what it can to be kept.
            session.merits.answered(Duration::ZERO);
            session.merits.gave_transactions(now);
        }
        let ended: Vec<_> = table.live.values().filter(|one| one.end.is_cancelled()).map(|one| one.id).collect();
        ended.into_iter().for_each(|id| table.remove(id));
    }
    assert_eq!(table.inbound().count(), MAX_INBOUND_SESSIONS);
    assert!(honest.iter().all(|session| !session.end.is_cancelled()));
    // And an honest newcomer still finds a place.
    greet(&mut table, 9_000, "150.1.1.1:5", Duration::from_secs(9_000)).unwrap();
    let newcomer = follow(&mut table, token(9_000), Duration::from_secs(9_000));
    assert!(!newcomer.end.is_cancelled() && honest.iter().all(|session| !session.end.is_cancelled()));
}

#[test]
fn a_handshake_that_is_not_followed_lapses() {
    let mut table = sessions();
    for number in 0..MAX_INBOUND_SESSIONS {
        greet(&mut table, number, "127.0.0.1:5", Duration::ZERO).unwrap();
    }
    let full = Err(Refusal::Full(MAX_INBOUND_SESSIONS));
    assert_eq!(greet(&mut table, 500, "127.0.0.1:5", Duration::ZERO), full);
    greet(&mut table, 500, "127.0.0.1:5", FOLLOW_DEADLINE).unwrap();
}

#[test]
fn one_network_gets_few_sessions_and_loopback_as_many_as_there_are() {
    let mut sessions = sessions();
    let own = NodeId::from_bytes([255; 16]);
    let mut meet = |id: u8, address: &str| {
        let who = identity(Direction::Inbound, id, address);
        let admitted = sessions.admit(own, &who, Duration::ZERO);
        if admitted.is_ok() {
            sessions.await_follow([id; 16], who, tip(), Duration::ZERO);
        }
        admitted
    };
    for id in 0..10 {
        meet(id, "127.0.0.1:5").unwrap();
    }
    for id in 10..14 {
        meet(id, &format!("192.0.2.{id}:5")).unwrap();
    }
    assert_eq!(meet(14, "192.0.2.99:5"), Err(Refusal::Full(MAX_INBOUND_PER_PREFIX)));
    meet(15, "192.0.3.1:5").unwrap();
}

#[test]
fn a_node_that_came_back_takes_its_old_place_but_a_stranger_with_its_id_does_not() {
    let own = NodeId::from_bytes([9; 16]);
    let back = identity(Direction::Inbound, 1, "192.0.2.1:6");
    let stranger = identity(Direction::Inbound, 1, "198.51.100.1:6");
    let existing = |is_alive| Existing { direction: Direction::Inbound, host: "192.0.2.1".parse().unwrap(), is_alive };
    assert!(replaces(own, &back, existing(false)));
    assert!(!replaces(own, &back, existing(true)));
    assert!(!replaces(own, &stranger, existing(false)));
}

#[test]
fn whoever_names_the_id_of_a_node_that_was_dialled_does_not_push_it_out() {
    // The smaller id, whose own dialling would win.
    let own = NodeId::from_bytes([9; 16]);
    let existing = |direction| Existing { direction, host: "192.0.2.1".parse().unwrap(), is_alive: true };
    let stranger = identity(Direction::Inbound, 1, "198.51.100.1:6");
    assert!(!replaces(own, &stranger, existing(Direction::Outbound)));
    let itself = identity(Direction::Inbound, 1, "192.0.2.1:6");
    assert!(replaces(own, &itself, existing(Direction::Outbound)));
    // A stranger that was there first does not keep it out either.
    let dialled = identity(Direction::Outbound, 200, "198.51.100.1:6");
    assert!(replaces(own, &dialled, existing(Direction::Inbound)));
}

proptest! {
    #[test]
    fn of_a_mutual_dial_both_nodes_keep_the_same_one_whichever_they_saw_first(a: u8, b: u8, x_first: bool) {
        prop_assume!(a != b);
        // X is dialled by a, Y by b. Each node holds one of them and is asked about the other.
        let host: IpAddr = "127.0.0.1".parse().unwrap();
        let second_stays = |own: u8, other: u8, second: Direction| {
            let first = if second == Direction::Inbound { Direction::Outbound } else { Direction::Inbound };
            let existing = Existing { direction: first, host, is_alive: true };
            replaces(NodeId::from_bytes([own; 16]), &identity(second, other, "127.0.0.1:1"), existing)
        };
        let a_keeps_x = if x_first { !second_stays(a, b, Direction::Inbound) } else { second_stays(a, b, Direction::Outbound) };
        let b_keeps_x = if x_first { !second_stays(b, a, Direction::Outbound) } else { second_stays(b, a, Direction::Inbound) };
        prop_assert_eq!(a_keeps_x, a < b);
        prop_assert_eq!(b_keeps_x, a < b);
    }
}
