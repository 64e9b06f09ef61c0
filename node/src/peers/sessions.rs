//! The table of sessions, and who may have one.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    NodeId,
    convert::Tip,
    handshake::{Refusal, gives_way},
    limits::{FOLLOW_DEADLINE, MAX_INBOUND_PER_PREFIX, MAX_INBOUND_SESSIONS},
    session::{Direction, Identity, Session},
};
use crate::{chain::SessionId, env::prefix};

/// Names a session in the calls of its dialler: 16 random bytes.
pub(super) type Token = [u8; 16];

/// A session of the same two nodes that was heard this lately is alive: another one of its direction is refused.
const ALIVE: Duration = Duration::from_secs(5);

/// A handshake whose dialler has not followed yet.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) who: Identity,
    pub(super) tip: Tip,
    until: Duration,
}

/// All sessions.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    next: u64,
    live: BTreeMap<SessionId, Arc<Session>>,
    tokens: BTreeMap<Token, SessionId>,
    pending: BTreeMap<Token, Pending>,
}

/// What is known of the session that two nodes have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Existing {
    direction: Direction,
    host: IpAddr,
    is_alive: bool,
}

/// Whether a new session between two nodes takes the place of the one that they have.
fn replaces(own: NodeId, new: &Identity, existing: Existing) -> bool {
    // Whoever merely learnt a node's id, from any other host, must not be able to push it out; a node that this one
    // dialled itself is known to be where it says.
    let same_host = new.address.ip() == existing.host;
    match (new.direction, existing.direction) {
        (Direction::Inbound, _) if !same_host => false,
        // A node that lost its connection comes back before this side has noticed.
        (Direction::Inbound, Direction::Inbound) => !existing.is_alive,
        (Direction::Inbound, Direction::Outbound) => !gives_way(new.node_id, own),
        (Direction::Outbound, Direction::Inbound) => !same_host || !gives_way(own, new.node_id),
        (Direction::Outbound, Direction::Outbound) => false,
    }
}

impl Sessions {
    /// Whether there is room for this session; ends the one that it replaces.
    pub(super) fn admit(&mut self, own: NodeId, new: &Identity, now: Duration) -> Result<(), Refusal> {
        self.pending.retain(|_, pending| pending.until > now);
        let live = self.live.values().find(|session| session.who.node_id == new.node_id && !session.end.is_cancelled());
        if let Some(session) = live {
            let is_alive = now.saturating_sub(session.heard_at()) < ALIVE;
            let existing = Existing { direction: session.who.direction, host: session.who.address.ip(), is_alive };
            if !replaces(own, new, existing) {
                return Err(Refusal::Duplicate);
            }
            session.end.cancel();
        }
        let waiting = self.pending.iter().find(|(_, pending)| pending.who.node_id == new.node_id);
        if let Some((token, pending)) = waiting {
            let (direction, host) = (pending.who.direction, pending.who.address.ip());
            if !replaces(own, new, Existing { direction, host, is_alive: true }) {
                return Err(Refusal::Duplicate);
            }
            let token = *token;
            self.pending.remove(&token);
        }
        match new.direction {
            // Strangers must not be able to keep this node from beginning its own.
            Direction::Outbound => Ok(()),
            Direction::Inbound => self.check_room(new.address.ip()),
        }
    }

    fn check_room(&self, host: IpAddr) -> Result<(), Refusal> {
        let live = self.live.values().filter(|session| session.who.direction == Direction::Inbound);
        let hosts = live.map(|session| &session.who).chain(self.pending.values().map(|pending| &pending.who));
        let hosts: Vec<IpAddr> = hosts.map(|who| who.address.ip()).collect();
        if hosts.len() >= MAX_INBOUND_SESSIONS {
            return Err(Refusal::Full(MAX_INBOUND_SESSIONS));
        }
        let group = prefix(host);
        let same = hosts.into_iter().filter(|other| prefix(*other) == group).count();
        if !host.is_loopback() && same >= MAX_INBOUND_PER_PREFIX {
            return Err(Refusal::Full(MAX_INBOUND_PER_PREFIX));
        }
        Ok(())
    }

    /// Notes a handshake that was granted.
    pub(super) fn await_follow(&mut self, token: Token, who: Identity, tip: Tip, now: Duration) {
        self.pending.insert(token, Pending { who, tip, until: now.saturating_add(FOLLOW_DEADLINE) });
    }

    /// The handshake of a dialler that begins to follow.
    pub(super) fn take_pending(&mut self, token: &Token, now: Duration) -> Option<Pending> {
        self.pending.remove(token).filter(|pending| pending.until > now)
    }

    /// A number for a new session.
    pub(super) const fn next_id(&mut self) -> SessionId {
        self.next += 1;
        SessionId::new(self.next)
    }

    /// Enters a session.
    pub(super) fn insert(&mut self, session: Arc<Session>, token: Option<Token>) {
        if let Some(token) = token {
            self.tokens.insert(token, session.id);
        }
        self.live.insert(session.id, session);
    }

    /// A session has ended.
    pub(super) fn remove(&mut self, id: SessionId) {
        self.live.remove(&id);
        self.tokens.retain(|_, session| *session != id);
    }

    /// The session of a call.
    pub(super) fn by_token(&self, token: &Token) -> Option<Arc<Session>> {
        self.tokens.get(token).and_then(|id| self.live.get(id)).cloned()
    }

    /// All sessions.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Session>> {
        self.live.values()
    }

    /// Whether there is a session with the node at this address, whoever began it.
    pub(super) fn has(&self, address: SocketAddr) -> bool {
        let is_it = |who: &Identity| who.listens_at == Some(address);
        self.live.values().any(|session| is_it(&session.who))
            || self.pending.values().any(|pending| is_it(&pending.who))
    }

    /// Sessions that this node began.
    pub(super) fn outbound(&self) -> usize {
        self.live.values().filter(|session| session.who.direction == Direction::Outbound).count()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

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
        let mut sessions = Sessions::default();
        let (own, dialler) = (NodeId::from_bytes([9; 16]), identity(Direction::Inbound, 1, "192.0.2.1:5"));
        sessions.admit(own, &dialler, Duration::ZERO).unwrap();
        sessions.await_follow([1; 16], dialler.clone(), tip(), Duration::ZERO);
        assert_eq!(sessions.admit(own, &dialler, Duration::ZERO), Err(Refusal::Duplicate));
        sessions.admit(own, &dialler, FOLLOW_DEADLINE).unwrap();
        assert!(sessions.take_pending(&[1; 16], FOLLOW_DEADLINE).is_none());
    }

    #[test]
    fn handshakes_without_a_follower_do_not_fill_the_table_for_longer_than_their_time() {
        let mut sessions = Sessions::default();
        let own = NodeId::from_bytes([255; 16]);
        for id in 0..u8::try_from(MAX_INBOUND_SESSIONS).unwrap() {
            let who = identity(Direction::Inbound, id, &format!("198.51.{id}.1:5"));
            sessions.admit(own, &who, Duration::ZERO).unwrap();
            sessions.await_follow([id; 16], who, tip(), Duration::ZERO);
        }
        let one_more = identity(Direction::Inbound, 200, "192.0.2.1:5");
        assert_eq!(sessions.admit(own, &one_more, Duration::ZERO), Err(Refusal::Full(MAX_INBOUND_SESSIONS)));
        // Those that this node begins are not kept out.
        sessions.admit(own, &identity(Direction::Outbound, 201, "192.0.2.1:5"), Duration::ZERO).unwrap();
        sessions.admit(own, &one_more, FOLLOW_DEADLINE).unwrap();
    }

    #[test]
    fn one_network_gets_few_sessions_and_loopback_as_many_as_there_are() {
        let mut sessions = Sessions::default();
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
        let existing =
            |is_alive| Existing { direction: Direction::Inbound, host: "192.0.2.1".parse().unwrap(), is_alive };
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
}
