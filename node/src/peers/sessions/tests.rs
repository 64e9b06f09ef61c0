//! Who is admitted, whom a newcomer replaces and whose place it takes.

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::peers::{
    remote::{Caller, Remote},
    room::Room,
};

fn identity(direction: Direction, id: u8, address: &str) -> Identity {
    Identity {
        direction,
        node_id: NodeId::from_bytes([id; 16]),
        address: address.parse().unwrap(),
        listens_at: None,
        advertised: None,
        version: String::new(),
        lowest_body: farthing::Height::GENESIS,
        checkpoints: true,
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

const OWN: NodeId = NodeId::from_bytes([255; 16]);

fn session(table: &mut Sessions, who: Identity, now: Duration) -> Arc<Session> {
    let (stream, _) = tokio::sync::mpsc::channel(1);
    let remote = Remote::Caller(Caller::new(stream));
    let session =
        Arc::new(Session::new(table.next_id(), who, remote, tip(), CancellationToken::new(), Room::default().share()));
    session.heard(now);
    session
}

/// Begins to follow: the session is in the table.
fn follow(table: &mut Sessions, token: Token, now: Duration) -> Arc<Session> {
    let who = table.take_pending(&token, now).unwrap().who;
    let session = session(table, who, now);
    table.enter(OWN, Arc::clone(&session), Some(token), now).unwrap();
    session
}

/// This node dials, and the session comes about.
fn dial(table: &mut Sessions, who: &Identity, now: Duration) -> Result<Arc<Session>, Refusal> {
    table.admit(OWN, who, now)?;
    let session = session(table, who.clone(), now);
    table.enter(OWN, Arc::clone(&session), None, now)?;
    Ok(session)
}

fn token(number: usize) -> Token {
    let mut token = [0; 16];
    token[..8].copy_from_slice(&(number as u64).to_le_bytes());
    token
}

/// A dialler from this address is greeted.
fn greet(sessions: &mut Sessions, number: usize, address: &str, now: Duration) -> Result<(), Refusal> {
    let who = Identity { node_id: NodeId::from_bytes(token(number)), ..identity(Direction::Inbound, 0, address) };
    sessions.admit(OWN, &who, now)?;
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
    assert_eq!(meet(14, "192.0.2.99:5"), Err(Refusal::FullForNetwork(MAX_INBOUND_PER_PREFIX)));
    meet(15, "192.0.3.1:5").unwrap();
}

/// A node with the id of a number calls from an address, and follows.
fn call(table: &mut Sessions, number: usize, address: &str, now: Duration) -> Result<Arc<Session>, Refusal> {
    greet(table, number, address, now)?;
    Ok(follow(table, token(number), now))
}

/// The same node, dialled at an address.
fn dialled(number: usize, address: &str) -> Identity {
    Identity { node_id: NodeId::from_bytes(token(number)), ..identity(Direction::Outbound, 0, address) }
}

#[test]
fn a_node_that_came_back_takes_its_old_place_once_it_follows_and_not_while_the_old_one_is_heard() {
    let mut table = sessions();
    let first = call(&mut table, 1, "192.0.2.1:5", Duration::ZERO).unwrap();
    assert_eq!(greet(&mut table, 1, "192.0.2.1:6", ALIVE / 2), Err(Refusal::Duplicate));
    greet(&mut table, 1, "192.0.2.1:6", ALIVE).unwrap();
    assert!(!first.end.is_cancelled(), "a handshake alone ends nothing");
    // Heard again after all: the place is not free.
    first.heard(ALIVE);
    let who = table.take_pending(&token(1), ALIVE).unwrap().who;
    let second = session(&mut table, who, ALIVE);
    assert_eq!(table.enter(OWN, second, Some(token(1)), ALIVE), Err(Refusal::Duplicate));
    assert!(!first.end.is_cancelled());
    let second = call(&mut table, 1, "192.0.2.1:7", ALIVE * 2).unwrap();
    assert!(first.end.is_cancelled() && !second.end.is_cancelled());
}

#[test]
fn whoever_names_the_id_of_another_node_neither_ends_its_session_nor_keeps_it_out() {
    let (mut table, now) = (sessions(), Duration::ZERO);
    let (victim, impostor) = ("192.0.2.1:5", "198.51.100.1:5");
    // The victim called, and an impostor answers where this node dials.
    let called = call(&mut table, 1, victim, now).unwrap();
    let lie = dial(&mut table, &dialled(1, impostor), now).unwrap();
    assert!(!called.end.is_cancelled() && !lie.end.is_cancelled());
    called.end.cancel();
    // The impostor's session is no obstacle, neither to a call nor to dialling the victim.
    let called = call(&mut table, 1, victim, now).unwrap();
    called.end.cancel();
    let reached = dial(&mut table, &dialled(1, victim), now).unwrap();
    // Nor is its call, though silent sessions of one host would give way.
    call(&mut table, 1, "198.51.100.2:5", ALIVE).unwrap();
    assert!(!reached.end.is_cancelled() && !lie.end.is_cancelled());
}

#[test]
fn a_call_does_not_end_a_session_that_this_node_began_and_hears() {
    let mut table = sessions();
    let began = dial(&mut table, &dialled(1, "192.0.2.1:5"), Duration::ZERO).unwrap();
    // From behind the same address, with a smaller id than this node's.
    assert_eq!(greet(&mut table, 1, "192.0.2.1:6", ALIVE / 2), Err(Refusal::Duplicate));
    greet(&mut table, 1, "192.0.2.1:6", ALIVE).unwrap();
    assert!(!began.end.is_cancelled());
    follow(&mut table, token(1), ALIVE);
    assert!(began.end.is_cancelled());
}

#[test]
fn what_a_call_would_replace_stays_where_there_is_no_room_for_the_call() {
    let mut table = sessions();
    let began = dial(&mut table, &dialled(1, "192.0.2.1:5"), Duration::ZERO).unwrap();
    let others: Vec<_> = (2..6)
        .map(|number| call(&mut table, number, &format!("192.0.2.{number}:5"), Duration::ZERO).unwrap())
        .collect();
    let full = Err(Refusal::FullForNetwork(MAX_INBOUND_PER_PREFIX));
    assert_eq!(greet(&mut table, 1, "192.0.2.1:6", ALIVE), full);
    assert!(!began.end.is_cancelled());
    // One that comes back needs no other place than its own.
    let back = call(&mut table, 2, "192.0.2.2:6", ALIVE).unwrap();
    assert!(others[0].end.is_cancelled() && !back.end.is_cancelled());
}

#[test]
fn what_this_node_dials_replaces_a_call_only_once_it_is_established() {
    let mut table = sessions();
    // This node has the smaller id, so the session that it begins would stay.
    let own = NodeId::from_bytes([0; 16]);
    let called = call(&mut table, 1, "192.0.2.1:5", Duration::ZERO).unwrap();
    let who = dialled(1, "192.0.2.1:6");
    table.admit(own, &who, Duration::ZERO).unwrap();
    assert!(!called.end.is_cancelled(), "nobody may follow yet");
    let began = session(&mut table, who, Duration::ZERO);
    table.enter(own, began, None, Duration::ZERO).unwrap();
    assert!(called.end.is_cancelled());
}

#[test]
fn a_handshake_counts_as_a_session_only_for_as_long_as_it_may_be_followed() {
    let mut table = sessions();
    let address: SocketAddr = "192.0.2.1:50061".parse().unwrap();
    let who = Identity { listens_at: Some(address), ..identity(Direction::Inbound, 1, "192.0.2.1:5") };
    table.admit(OWN, &who, Duration::ZERO).unwrap();
    table.await_follow([1; 16], who, tip(), Duration::ZERO);
    let has = |now| table.has(address, now);
    assert!(has(Duration::ZERO) && has(FOLLOW_DEADLINE - Duration::from_millis(1)));
    assert!(!has(FOLLOW_DEADLINE), "though no other handshake came that would have cleared it away");
}

#[test]
fn whoever_is_shut_out_has_neither_sessions_nor_handshakes() {
    let (mut table, now) = (sessions(), Duration::ZERO);
    let live = call(&mut table, 1, "192.0.2.1:5", now).unwrap();
    let other = call(&mut table, 2, "192.0.2.2:5", now).unwrap();
    for (number, address) in [(3, "192.0.2.1:6"), (4, "192.0.2.2:6")] {
        greet(&mut table, number, address, now).unwrap();
    }
    assert_eq!(table.shut_out("192.0.2.1".parse().unwrap()), 1);
    assert!(live.end.is_cancelled() && !other.end.is_cancelled());
    assert!(table.take_pending(&token(3), now).is_none() && table.take_pending(&token(4), now).is_some());
}

/// One of two nodes that dial each other, with its table, and how far its dialling is.
struct Dialler {
    id: NodeId,
    address: &'static str,
    table: Sessions,
    /// What its dialling led to here and at the other one.
    ends: Vec<CancellationToken>,
    step: usize,
    refused: bool,
}

impl Dialler {
    fn new(id: u8, address: &'static str) -> Self {
        let id = NodeId::from_bytes([id; 16]);
        Self { id, address, table: sessions(), ends: Vec::new(), step: 0, refused: false }
    }

    fn seen(&self, direction: Direction) -> Identity {
        Identity { node_id: self.id, ..identity(direction, 0, self.address) }
    }

    /// The next of: the other greets it, it looks at the answer, the other takes it as a follower, it has the stream.
    fn go_on(&mut self, other: &mut Self) {
        let (caller, now) = (self.seen(Direction::Inbound), Duration::ZERO);
        let callee = other.seen(Direction::Outbound);
        let done = match self.step {
            0 => other.table.admit(other.id, &caller, now).map(|()| {
                other.table.await_follow([1; 16], caller, tip(), now);
            }),
            1 => self.table.admit(self.id, &callee, now),
            2 => match other.table.take_pending(&[1; 16], now) {
                None => Err(Refusal::Other("no such handshake".to_owned())),
                Some(pending) => {
                    let session = session(&mut other.table, pending.who, now);
                    self.ends.push(session.end.clone());
                    other.table.enter(other.id, session, Some([1; 16]), now)
                }
            },
            _ => {
                let session = session(&mut self.table, callee, now);
                self.ends.push(session.end.clone());
                self.table.enter(self.id, session, None, now)
            }
        };
        self.step += 1;
        self.refused |= done.is_err();
        self.hang_up_if_over();
    }

    fn is_over(&self) -> bool {
        self.refused || self.ends.iter().any(CancellationToken::is_cancelled)
    }

    fn hang_up_if_over(&self) {
        if self.is_over() {
            self.ends.iter().for_each(CancellationToken::cancel);
        }
    }
}

proptest! {
    #[test]
    fn two_nodes_that_dial_each_other_keep_exactly_one_session_however_it_crosses(
        a: u8, b: u8, order in prop::collection::vec(any::<bool>(), 8), prompt: bool,
    ) {
        prop_assume!(a != b);
        let (mut a, mut b) = (Dialler::new(a, "192.0.2.1:5"), Dialler::new(b, "192.0.2.2:5"));
        for a_first in order.into_iter().chain([true, false].repeat(4)) {
            let (next, other) = if a_first { (&mut a, &mut b) } else { (&mut b, &mut a) };
            if next.step < 4 && !next.is_over() {
                next.go_on(other);
            }
            // One end sees at once that the other is gone, or later.
            if prompt {
                a.hang_up_if_over();
                b.hang_up_if_over();
            }
        }
        prop_assert!(a.is_over() != b.is_over(), "one session, not {}", if a.is_over() { "none" } else { "two" });
    }
}
