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
    pub(super) const fn new(secret: Salt) -> Self {
        Self { secret, next: 0, live: BTreeMap::new(), tokens: BTreeMap::new(), pending: BTreeMap::new() }
    }

    /// Whether there is room for this session; ends the one that it replaces, or whose place it takes.
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
            Direction::Inbound => self.make_room(new.address.ip()),
        }
    }

    /// Sessions that others began and that go on.
    fn inbound(&self) -> impl Iterator<Item = &Arc<Session>> {
        let is_inbound = |session: &&Arc<Session>| session.who.direction == Direction::Inbound;
        self.live.values().filter(is_inbound).filter(|session| !session.end.is_cancelled())
    }

    fn make_room(&mut self, host: IpAddr) -> Result<(), Refusal> {
        let hosts = self.inbound().map(|session| &session.who);
        let hosts = hosts.chain(self.pending.values().map(|pending| &pending.who));
        let hosts: Vec<IpAddr> = hosts.map(|who| who.address.ip()).collect();
        let group = prefix(host);
        let same = hosts.iter().filter(|other| prefix(**other) == group).count();
        if !host.is_loopback() && same >= MAX_INBOUND_PER_PREFIX {
            return Err(Refusal::Full(MAX_INBOUND_PER_PREFIX));
        }
        if hosts.len() < MAX_INBOUND_SESSIONS {
            return Ok(());
        }
        let leaving = eviction::choose(self.candidates(), NetGroup::of(host), &self.secret);
        match leaving.map(|candidate| candidate.key) {
            None => return Err(Refusal::Full(MAX_INBOUND_SESSIONS)),
            Some(Place::Pending(token)) => drop(self.pending.remove(&token)),
            Some(Place::Live(id)) => {
                if let Some(session) = self.live.get(&id) {
                    // At debug level: a stranger decides how often this happens.
                    tracing::debug!(peer = %session.who.address, newcomer = %host, "session ended, to make room");
                    session.end.cancel();
                }
            }
        }
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
mod tests;
