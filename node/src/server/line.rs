//! What the calls on one connection share: what waits to be sent, whether a session keeps it, places of their own, and
//! what they have used up.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::task::AtomicWaker;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tonic::transport::server::TcpConnectInfo;

use super::{ServerSettings, meters::Meters, rate::Rate};

/// When a stream on this connection must end by itself, because the connection is about to be as old as one may
/// become. In the extensions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaveBy(pub Instant);

/// Why a connection is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Cut {
    #[error("the client does not take its answers")]
    Unread,
    #[error("the client has no session")]
    NoSession,
    #[error("the head of the request is longer than {} bytes", super::http1::MAX_HEAD_BYTES)]
    Head,
    #[error("the client resets streams more often than {} at once and {} a second", .0.burst, .0.per_second)]
    Resets(Rate),
}

/// One connection, as far as its calls and its socket must know of each other.
#[derive(Debug)]
pub(super) struct Line {
    state: Mutex<State>,
    /// Wakes the socket when a deadline begins that it does not know of.
    pub(super) changed: AtomicWaker,
    own_short: Arc<Semaphore>,
    own_long: Arc<Semaphore>,
    own_answers: Arc<Semaphore>,
    /// None where nothing is counted.
    meters: Option<Arc<Meters>>,
    write_stall: Duration,
    without_session: Option<Duration>,
    leave_by: Option<Instant>,
}

#[derive(Debug)]
struct State {
    next: u64,
    /// Pieces of answers that are not sent yet. A client can keep them here by never opening its flow-control window,
    /// at which no write is ever pending. Ids grow with time, so the first entry is the oldest.
    unsent: BTreeMap<u64, Instant>,
    sessions: usize,
    no_session_since: Instant,
}

impl Line {
    pub(super) fn new(settings: &ServerSettings, peer: SocketAddr) -> Self {
        let now = Instant::now();
        let places = || Arc::new(Semaphore::new(settings.own_calls));
        Self {
            state: Mutex::new(State { next: 0, unsent: BTreeMap::new(), sessions: 0, no_session_since: now }),
            changed: AtomicWaker::new(),
            own_short: places(),
            own_long: places(),
            own_answers: Arc::new(Semaphore::new(settings.own_large_answers)),
            meters: settings.counts_calls_of(peer.ip()).then(|| Arc::new(Meters::new(settings.methods.len()))),
            write_stall: settings.write_stall,
            without_session: settings.without_session,
            leave_by: settings.max_age.map(|age| now + leave_after(age, peer.port())),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the connection is to be cut, as things stand.
    pub(super) fn cut_at(&self) -> Option<(Instant, Cut)> {
        let state = self.lock();
        let unread = state.unsent.first_key_value().map(|(_, since)| (*since + self.write_stall, Cut::Unread));
        let limit = self.without_session.filter(|_| state.sessions == 0);
        let alone = limit.map(|limit| (state.no_session_since + limit, Cut::NoSession));
        unread.into_iter().chain(alone).min_by_key(|(at, _)| *at)
    }
}

/// How old a connection is when its streams end. Spread by the caller's port, so that consumers that connected together
/// do not come again together.
fn leave_after(max_age: Duration, port: u16) -> Duration {
    const STEPS: u32 = 64;
    let spread = max_age / 24;
    max_age - spread / STEPS * (1 + u32::from(port) % STEPS)
}

/// What each call knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct CallOrigin {
    tcp: TcpConnectInfo,
    line: Arc<Line>,
}

impl CallOrigin {
    pub(super) fn new(tcp: TcpConnectInfo, line: Arc<Line>) -> Self {
        Self { tcp, line }
    }

    /// In the form from which tonic's `Request::remote_addr` reads it.
    pub(super) fn tcp(&self) -> TcpConnectInfo {
        self.tcp.clone()
    }

    /// The client's address.
    pub(super) fn ip(&self) -> IpAddr {
        self.tcp.remote_addr.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }

    /// When streams are to end by themselves, if the age of connections is limited.
    pub(super) fn leave_by(&self) -> Option<LeaveBy> {
        self.line.leave_by.map(LeaveBy)
    }

    /// One of the connection's own places for a call, if one is free.
    pub(super) fn own_place(&self, long: bool) -> Option<OwnedSemaphorePermit> {
        let places = if long { &self.line.own_long } else { &self.line.own_short };
        Arc::clone(places).try_acquire_owned().ok()
    }

    /// Large answers that the connection always has room for.
    pub(super) fn own_answers(&self) -> Arc<Semaphore> {
        Arc::clone(&self.line.own_answers)
    }

    /// What the connection's calls have used up, if that is counted.
    pub(super) fn meters(&self) -> Option<&Arc<Meters>> {
        self.line.meters.as_ref()
    }

    /// Notes that something waits to be sent, until the guard is dropped.
    pub(super) fn sending(&self) -> Sending {
        let mut state = self.line.lock();
        let id = state.next;
        state.next += 1;
        state.unsent.insert(id, Instant::now());
        Sending { line: Arc::clone(&self.line), id }
    }

    /// Notes that a session keeps the connection, until the guard is dropped.
    pub(super) fn session(&self) -> SessionMark {
        self.line.lock().sessions += 1;
        SessionMark { line: Arc::clone(&self.line) }
    }
}

/// Something that waits to be sent.
#[derive(Debug)]
pub(super) struct Sending {
    line: Arc<Line>,
    id: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.line.lock().unsent.remove(&self.id);
    }
}

/// A session on the connection.
#[derive(Debug)]
pub(super) struct SessionMark {
    line: Arc<Line>,
}

impl Drop for SessionMark {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.sessions -= 1;
        state.no_session_since = Instant::now();
        drop(state);
        self.line.changed.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_leave_before_their_connection_is_cut_and_not_all_at_once() {
        let day = Duration::from_secs(24 * 60 * 60);
        let ages: std::collections::BTreeSet<Duration> = (0..1000).map(|port| leave_after(day, port)).collect();
        assert_eq!(ages.len(), 64);
        assert!(ages.iter().all(|age| *age < day && *age >= day - day / 24), "{ages:?}");
    }
}
