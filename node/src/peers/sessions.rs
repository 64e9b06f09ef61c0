//! The table of sessions, and who may have one. When those that others may begin are all taken, one leaves for the next.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    NodeId,
    book::{NetGroup, Salt},
    convert::Tip,
    eviction::{self, Candidate},
    handshake::{Refusal, gives_way},
    limits::{FOLLOW_DEADLINE, MAX_INBOUND_PER_PREFIX, MAX_INBOUND_SESSIONS},
    session::{Direction, Identity, Session},
    standing::Culprit,
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
    number: u64,
}

/// Whose place a newcomer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Live(SessionId),
    Pending(Token),
}

/// All sessions.
#[derive(Debug)]
pub(super) struct Sessions {
    /// The secret by which network groups are protected.
    secret: Salt,
    next: u64,
    live: BTreeMap<SessionId, Arc<Session>>,
    tokens: BTreeMap<Token, SessionId>,
    pending: BTreeMap<Token, Pending>,
}

/// What is known of a session that a node has from a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Existing {
    direction: Direction,
    is_alive: bool,
}

/// Whether a new session takes the place of one that the same node has from the same host.
fn replaces(own: NodeId, new: &Identity, existing: Existing) -> bool {
    match (new.direction, existing.direction) {
        // A node that lost its connection comes back before this side has noticed.
        (Direction::Inbound, Direction::Inbound) => !existing.is_alive,
        (Direction::Inbound, Direction::Outbound) => !existing.is_alive && !gives_way(new.node_id, own),
        // The two nodes dial each other.
        (Direction::Outbound, Direction::Inbound) => !gives_way(own, new.node_id),
        (Direction::Outbound, Direction::Outbound) => false,
    }
}

/// Whether these two are sessions with one node. Whoever is told a node's id can name it, but from no host but its own:
/// so an impostor elsewhere, dialled or dialling, neither pushes that node out nor keeps it out. A node that is met at
/// two hosts has two sessions, which do no harm.
fn is_same(one: &Identity, other: &Identity) -> bool {
    one.node_id == other.node_id && one.address.ip() == other.address.ip()
}

impl Sessions {
    pub(super) const fn new(secret: Salt) -> Self {
        Self { secret, next: 0, live: BTreeMap::new(), tokens: BTreeMap::new(), pending: BTreeMap::new() }
    }

    /// Whether this session may begin: no other one of the two nodes is against it, and there is room, or somebody leaves
    /// for it. The one that it would replace goes on until [`Sessions::enter`].
    pub(super) fn admit(&mut self, own: NodeId, new: &Identity, now: Duration) -> Result<(), Refusal> {
        self.pending.retain(|_, pending| pending.until > now);
        self.replaced_by(own, new, now)?;
        match new.direction {
            // Strangers must not be able to keep this node from beginning its own.
            Direction::Outbound => Ok(()),
            Direction::Inbound => self.make_room(new),
        }
    }

    /// Enters a session, and ends the one that it replaces.
    pub(super) fn enter(
        &mut self,
        own: NodeId,
        session: Arc<Session>,
        token: Option<Token>,
        now: Duration,
    ) -> Result<(), Refusal> {
        // Asked once more: meanwhile the same node may have called, or been called.
        for place in self.replaced_by(own, &session.who, now)? {
            self.end(place);
        }
        if let Some(token) = token {
            self.tokens.insert(token, session.id);
        }
        self.live.insert(session.id, session);
        Ok(())
    }

    /// What this session replaces.
    fn replaced_by(&self, own: NodeId, new: &Identity, now: Duration) -> Result<Vec<Place>, Refusal> {
        let live = self.live.values().filter(|session| is_same(&session.who, new) && !session.end.is_cancelled());
        let live = live.map(|session| {
            let is_alive = now.saturating_sub(session.heard_at()) < ALIVE;
            (Place::Live(session.id), Existing { direction: session.who.direction, is_alive })
        });
        let waiting = self.pending.iter().filter(|(_, pending)| is_same(&pending.who, new) && pending.until > now);
        let waiting = waiting.map(|(token, pending)| {
            (Place::Pending(*token), Existing { direction: pending.who.direction, is_alive: true })
        });
        let replaced =
            |(place, existing)| if replaces(own, new, existing) { Ok(place) } else { Err(Refusal::Duplicate) };
        live.chain(waiting).map(replaced).collect()
    }

    fn end(&mut self, place: Place) {
        match place {
            Place::Pending(token) => drop(self.pending.remove(&token)),
            Place::Live(id) => {
                if let Some(session) = self.live.get(&id) {
                    session.end.cancel();
                }
            }
        }
    }

    /// Ends all that a node has here, sessions and handshakes; returns how many sessions those were.
    pub(super) fn shut_out(&mut self, culprit: Culprit) -> usize {
        self.pending.retain(|_, pending| pending.who.culprit() != culprit);
        let sessions = self.live.values().filter(|session| session.who.culprit() == culprit);
        sessions.map(|session| session.end.cancel()).count()
    }

    /// Sessions that others began and that go on.
    fn inbound(&self) -> impl Iterator<Item = &Arc<Session>> {
        let is_inbound = |session: &&Arc<Session>| session.who.direction == Direction::Inbound;
        self.live.values().filter(is_inbound).filter(|session| !session.end.is_cancelled())
    }

    fn make_room(&mut self, new: &Identity) -> Result<(), Refusal> {
        let host = new.address.ip();
        let hosts = self.inbound().map(|session| &session.who);
        let hosts = hosts.chain(self.pending.values().map(|pending| &pending.who));
        // What it replaces leaves its place to it.
        let hosts: Vec<IpAddr> = hosts.filter(|who| !is_same(who, new)).map(|who| who.address.ip()).collect();
        let group = prefix(host);
        let same = hosts.iter().filter(|other| prefix(**other) == group).count();
        if !host.is_loopback() && same >= MAX_INBOUND_PER_PREFIX {
            return Err(Refusal::FullForNetwork(MAX_INBOUND_PER_PREFIX));
        }
        if hosts.len() < MAX_INBOUND_SESSIONS {
            return Ok(());
        }
        let leaving = eviction::choose(self.candidates(), NetGroup::of(host), &self.secret);
        let place = leaving.map(|candidate| candidate.key).ok_or(Refusal::Full(MAX_INBOUND_SESSIONS))?;
        // At debug level: a stranger decides how often this happens.
        tracing::debug!(newcomer = %host, ?place, "session or handshake ended, to make room");
        self.end(place);
        Ok(())
    }

    fn candidates(&self) -> Vec<Candidate<Place>> {
        let live = self.inbound().map(|session| Candidate {
            key: Place::Live(session.id),
            number: session.id.get(),
            group: NetGroup::of(session.who.address.ip()),
            follows: true,
            block_at: session.merits.block_at(),
            transactions_at: session.merits.transactions_at(),
            quickest: session.merits.quickest(),
        });
        let pending = self.pending.iter().map(|(token, pending)| Candidate {
            key: Place::Pending(*token),
            number: pending.number,
            group: NetGroup::of(pending.who.address.ip()),
            follows: false,
            block_at: None,
            transactions_at: None,
            quickest: None,
        });
        live.chain(pending).collect()
    }

    /// Notes a handshake that was granted.
    pub(super) fn await_follow(&mut self, token: Token, who: Identity, tip: Tip, now: Duration) {
        self.next += 1;
        let until = now.saturating_add(FOLLOW_DEADLINE);
        self.pending.insert(token, Pending { who, tip, until, number: self.next });
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

    /// Whether there is a session with the node at this address, whoever began it, or may be at any moment.
    pub(super) fn has(&self, address: SocketAddr, now: Duration) -> bool {
        let is_it = |who: &Identity| who.listens_at == Some(address);
        let mut waiting = self.pending.values().filter(|pending| pending.until > now);
        self.live.values().any(|session| is_it(&session.who)) || waiting.any(|pending| is_it(&pending.who))
    }

    /// Sessions that this node began.
    pub(super) fn outbound(&self) -> usize {
        self.live.values().filter(|session| session.who.direction == Direction::Outbound).count()
    }
}

#[cfg(test)]
mod tests;
