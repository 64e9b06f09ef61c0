//! Begins sessions with nodes of the address book, and searches for nodes, until there are as many as wanted. Those that
//! this node was with longest in its last run come first.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use farthing::TimeMs;

use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep_until, timeout};

use super::{
    backoff::Backoff,
    book::{NetGroup, SeenAddress, Source},
    client::DialError,
    handshake::Refusal,
    network::{Inner, State},
    run,
    session::{Direction, lock},
    standing::Culprit,
};
use crate::config::{HostPort, PortRange};

/// The book is looked at again after this time even if nothing changed: some addresses may be tried again.
const LOOK_AGAIN: Duration = Duration::from_secs(2);
/// Ports that are probed at the same time, and for how long each.
const PROBES: usize = 256;
const PROBE_DEADLINE: Duration = Duration::from_millis(300);
/// An address that was refused for a while is left alone for this long; one of another network for longer.
const REST: Duration = Duration::from_secs(10);
pub(super) const LONG_REST: Duration = Duration::from_secs(600);
/// Addresses taken of one name that the operator gave.
const MAX_ADDED: usize = 16;
/// Resting addresses that are remembered.
pub(super) const MAX_RESTING: usize = 4_096;

/// How long a name that the operator gave may take to be resolved.
const RESOLVE_DEADLINE: Duration = Duration::from_secs(10);

impl State {
    /// Leaves an address alone for a while, or for longer if that was decided already.
    pub(super) fn rest(&mut self, address: SocketAddr, now: Duration, rest: Duration) {
        if self.resting.len() >= MAX_RESTING {
            self.resting.retain(|_, until| *until > now);
        }
        if self.resting.len() >= MAX_RESTING && !self.resting.contains_key(&address) {
            // Whoever has rested nearly long enough makes room.
            let soonest = self.resting.iter().min_by_key(|(_, until)| **until).map(|(address, _)| *address);
            soonest.and_then(|soonest| self.resting.remove(&soonest));
        }
        let until = self.resting.entry(address).or_default();
        *until = now.saturating_add(rest).max(*until);
    }

    /// Whether this node has nothing to do with an address, and may.
    pub(super) fn is_free(&self, address: SocketAddr, now: Duration, wall: TimeMs) -> bool {
        !self.sessions.has(address, now)
            && !self.dialling.contains(&address)
            && self.probing != Some(address)
            && !self.own.has(address, now)
            && self.resting.get(&address).is_none_or(|until| *until <= now)
            && self.standing.ban(&Culprit::at(address), wall).is_none()
    }
}

/// Starts to look for peers.
pub(super) fn start(inner: &Arc<Inner>) {
    let book = Arc::clone(inner);
    if inner.config.outbound_target > 0 {
        return_to_anchors(inner);
        inner.spawn("peers: outbound", async move { fill(&book).await });
    }
    for range in inner.config.discover.clone() {
        let searcher = Arc::clone(inner);
        let name = format!("peers: discover {}", range.host());
        inner.spawn(name, async move { discover(&searcher, &range).await });
    }

    for target in inner.config.add.clone() {
        let adder = Arc::clone(inner);
        inner.spawn(format!("peers: add {target}"), async move { add(&adder, &target).await });
    }
}

/// Dials whom the last run was with longest.
fn return_to_anchors(inner: &Arc<Inner>) {
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let anchors: Vec<SocketAddr> = {
        let mut state = lock(&inner.state);
        let anchors = state.anchors.list();
        anchors
            .into_iter()
            .filter(|address| state.is_free(*address, now, wall) && state.dialling.insert(*address))
            .collect()
    };
    for address in anchors {
        dial(inner, address);
    }
}

/// Puts a node that the operator named into the book and dials it once.
async fn add(inner: &Arc<Inner>, target: &HostPort) {
    let resolved = timeout(RESOLVE_DEADLINE, inner.env.net().resolve(target.host(), target.port())).await;
    let Ok(Ok(addresses)) = resolved else {
        tracing::warn!(%target, "the name of a node to add cannot be resolved");
        return;
    };
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let mut chosen = None;
    for address in addresses.into_iter().take(MAX_ADDED) {
        let mut state = lock(&inner.state);
        if !state.own.has(address, now) {
            let seen = SeenAddress { address, last_seen: wall };
            state.book.learn(seen, Source::Operator, wall);
        }
        if chosen.is_none() && state.is_free(address, now, wall) && state.dialling.insert(address) {
            chosen = Some(address);
        }
    }
    if let Some(address) = chosen {
        dial(inner, address);
    }
}

/// How many sessions this node wants to begin.
pub(super) fn wanted(inner: &Inner) -> usize {
    // Without a target of its own, a search goes on for as long as it is configured.
    match inner.config.outbound_target {
        0 => super::config::OUTBOUND_TARGET,
        target => target,
    }
}

async fn fill(inner: &Arc<Inner>) {
    loop {
        let changed = inner.changed.notified();
        while let Some(address) = choose(inner) {
            dial(inner, address);
        }
        let _ = timeout(LOOK_AGAIN, changed).await;
    }
}

/// An address of the book to dial now, if one more session is wanted.
fn choose(inner: &Inner) -> Option<SocketAddr> {
    let (now, wall) = (inner.elapsed(), inner.env.clock().now());
    let mut state = lock(&inner.state);
    let state = &mut *state;
    let wanted = wanted(inner) + usize::from(state.one_more);
    if state.sessions.outbound() + state.dialling.len() >= wanted {
        return None;
    }
    let outbound = state.sessions.all().filter(|session| session.who.direction == Direction::Outbound);
    let addresses = outbound.map(|session| session.who.address).chain(state.dialling.iter().copied());
    // On the own machine all nodes are of one group, and whoever holds it holds this node too.
    let hosts = addresses.map(|address| address.ip()).filter(|host| !host.is_loopback());
    let in_use: BTreeSet<NetGroup> = hosts.map(NetGroup::of).collect();
    let allowed = |address: &SocketAddr| state.is_free(*address, now, wall);
    let address = state.book.pick(&**inner.env.random(), now, &in_use, allowed)?;
    state.dialling.insert(address);
    Some(address)
}

/// Dials an address that is marked as being dialled.
fn dial(inner: &Arc<Inner>, address: SocketAddr) {
    let dialler = Arc::clone(inner);
    inner.spawn("peers: outbound session", async move {
        let began = dialler.elapsed();
        let outcome = run::outbound(&dialler, &address.ip().to_string(), address.port()).await;
        let (now, wall, jitter) = (dialler.elapsed(), dialler.env.clock().now(), dialler.env.random().fraction());
        let mut state = lock(&dialler.state);
        state.dialling.remove(&address);
        let rest = match &outcome {
            Ok(()) => {
                state.book.parted(address, wall, now, now.saturating_sub(began), jitter);
                // For a search over ports, which does not ask the book.
                Some(Duration::from_secs(1))
            }
            Err(DialError::Refused(refusal)) if refusal.is_lasting() => Some(LONG_REST),
            Err(DialError::Refused(Refusal::Duplicate | Refusal::Full(_) | Refusal::FullForNetwork(_))) => Some(REST),
            Err(_) => {
                state.book.failed(address, now, jitter);
                None
            }
        };
        if let Some(rest) = rest {
            state.rest(address, now, rest);
        }
        drop(state);
        if let Err(error) = outcome {
            tracing::debug!(peer = %address, %error, "no session");
        }
        dialler.changed.notify_waiters();
    });
}

/// Searches a range of ports at the start, and again for as long as peers are wanted.
async fn discover(inner: &Arc<Inner>, range: &PortRange) {
    let mut pauses = Backoff::new(Duration::from_secs(2), Duration::from_secs(60));
    loop {
        if lock(&inner.state).sessions.outbound() < wanted(inner) {
            for address in open_ports(inner, range).await {
                let free = {
                    let mut state = lock(&inner.state);
                    state.is_free(address, inner.elapsed(), inner.env.clock().now()) && state.dialling.insert(address)
                };
                if free {
                    dial(inner, address);
                }
            }
        }
        sleep_until(Instant::now() + pauses.next(inner.env.random().fraction())).await;
    }
}

/// Addresses of the range where somebody listens.
async fn open_ports(inner: &Inner, range: &PortRange) -> Vec<SocketAddr> {
    let Ok(addresses) = inner.env.net().resolve(range.host(), range.ports().next().unwrap_or_default()).await else {
        tracing::debug!(host = range.host(), "the host to search for nodes cannot be resolved");
        return Vec::new();
    };
    let Some(host) = addresses.first().map(SocketAddr::ip) else { return Vec::new() };
    let own_port = inner.config.listen_port.filter(|_| host.is_loopback());
    let ports = range.ports().filter(|port| Some(*port) != own_port);
    let probe = |port| async move {
        let address = SocketAddr::new(host, port);
        if lock(&inner.state).sessions.has(address, inner.elapsed()) {
            return None;
        }
        let dialled = timeout(PROBE_DEADLINE, inner.env.net().dial(&host.to_string(), port)).await;
        dialled.is_ok_and(|connection| connection.is_ok()).then_some(address)
    };
    stream::iter(ports).map(probe).buffer_unordered(PROBES).filter_map(std::future::ready).collect().await
}
