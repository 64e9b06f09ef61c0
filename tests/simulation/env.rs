//! The world outside of one simulated node: TCP between turmoil's hosts, a clock that may be wrong.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use farthing::TimeMs;
use farthing_node::env::{Admission, Clock, Connection, Listener, Net};
use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// What the wall clocks say when a simulation begins: some hours behind the genesis of its network, so that a clock that
/// is two hours slow still stands behind genesis.
pub(crate) const START: TimeMs = TimeMs::new(1_700_000_000_000 + 6 * 60 * 60 * 1000);

/// How long the other end's system takes to refuse a connection to a port on which nobody listens.
const REFUSAL: Duration = Duration::from_millis(20);

/// Simulated time, for whoever is not within a host.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimTime(Arc<AtomicU64>);

impl SimTime {
    pub(crate) fn set(&self, elapsed: Duration) {
        self.0.store(u64::try_from(elapsed.as_nanos()).expect("a short simulation"), Ordering::Relaxed);
    }

    /// Time since the simulation began.
    pub(crate) fn now(&self) -> Duration {
        // Of a host that is being torn down turmoil would compare virtual with real time.
        let within = tokio::runtime::Handle::try_current().ok().and_then(|_| turmoil::sim_elapsed());
        within.unwrap_or_else(|| Duration::from_nanos(self.0.load(Ordering::Relaxed)))
    }
}

/// A node's clock: its wall may be wrong, and may jump. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SimClock {
    time: SimTime,
    skew_ms: Arc<AtomicI64>,
    fastest_ms: Arc<AtomicI64>,
}

impl SimClock {
    pub(crate) fn new(time: SimTime, skew_ms: i64) -> Self {
        Self { time, skew_ms: Arc::new(AtomicI64::new(skew_ms)), fastest_ms: Arc::new(AtomicI64::new(skew_ms)) }
    }

    /// Sets how far the wall is ahead of the truth, from now on.
    pub(crate) fn set_skew(&self, ms: i64) {
        self.skew_ms.store(ms, Ordering::Relaxed);
        self.fastest_ms.fetch_max(ms, Ordering::Relaxed);
    }

    /// How far the wall was ahead of the truth when it was furthest.
    pub(crate) fn fastest_ms(&self) -> i64 {
        self.fastest_ms.load(Ordering::Relaxed)
    }
}

impl Clock for SimClock {
    fn now(&self) -> TimeMs {
        let elapsed = u64::try_from(self.time.now().as_millis()).expect("a short simulation");
        let right = START.saturating_add(elapsed).get();
        TimeMs::new(right.saturating_add_signed(self.skew_ms.load(Ordering::Relaxed)))
    }

    fn elapsed(&self) -> Duration {
        self.time.now()
    }
}

/// What answers at a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// A process that listens.
    Listens,
    /// Its system, which refuses connections.
    Refuses,
    /// Nothing: it has no power.
    IsOff,
}

/// What answers where. Whoever is not there answers as a system that refuses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machines(Arc<Mutex<BTreeMap<IpAddr, Machine>>>);

impl Machines {
    pub(crate) fn set(&self, host: IpAddr, machine: Machine) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host, machine);
    }

    fn at(&self, host: IpAddr) -> Machine {
        let machines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        machines.get(&host).copied().unwrap_or(Machine::Refuses)
    }
}

/// The open connections of one process, in the order in which they were opened.
///
/// When a process dies its system closes them. Tokio drops the tasks of a runtime in an order that depends on how many
/// tasks the whole program has started so far, so that what the others would see first depended on it as well; hence
/// they are closed here before the tasks are dropped.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sockets(Arc<Mutex<Open>>);

#[derive(Debug, Default)]
struct Open {
    next: u64,
    streams: BTreeMap<u64, TcpStream>,
    closed: bool,
}

impl Sockets {
    /// Closes all, and every later one at once. To be called on the host.
    pub(crate) fn close(&self) {
        let mut open = self.lock();
        open.closed = true;
        let streams = std::mem::take(&mut open.streams);
        drop(open);
        // In their order.
        streams.into_values().for_each(drop);
    }

    fn connection(&self, stream: TcpStream, peer: SocketAddr) -> Connection {
        let mut open = self.lock();
        let id = open.next;
        open.next += 1;
        if !open.closed {
            open.streams.insert(id, stream);
        }
        Connection::new(Socket { id, all: self.clone() }, peer)
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection of a process.
struct Socket {
    id: u64,
    all: Sockets,
}

impl Socket {
    fn with<T>(&self, use_it: impl FnOnce(Pin<&mut TcpStream>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        match self.all.lock().streams.get_mut(&self.id) {
            Some(stream) => use_it(Pin::new(stream)),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let stream = self.all.lock().streams.remove(&self.id);
        drop(stream);
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_shutdown(cx))
    }
}

/// TCP as a process on a host of the simulation sees it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SimNet {
    pub(crate) machines: Machines,
    pub(crate) sockets: Sockets,
}

impl Net for SimNet {
    fn listen(&self, address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = TcpListener::bind(address).await?;
            Ok(Box::new(SimListener { listener, sockets: self.sockets.clone() }) as Box<dyn Listener>)
        })
    }

    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            let address = SocketAddr::new(address_of(host)?, port);
            // Asked here and not of turmoil, which keeps something of every attempt that fails.
            match self.machines.at(address.ip()) {
                Machine::Listens => {}
                Machine::Refuses => {
                    tokio::time::sleep(REFUSAL).await;
                    return Err(io::ErrorKind::ConnectionRefused.into());
                }
                Machine::IsOff => std::future::pending().await,
            }
            Ok(self.sockets.connection(TcpStream::connect(address).await?, address))
        })
    }

    fn resolve<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move { Ok(vec![SocketAddr::new(address_of(host)?, port)]) })
    }
}

fn address_of(host: &str) -> io::Result<IpAddr> {
    host.parse().map_err(|_| io::Error::new(io::ErrorKind::NotFound, format!("no such name: {host}")))
}

struct SimListener {
    listener: TcpListener,
    sockets: Sockets,
}

impl std::fmt::Debug for SimListener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SimListener")
    }
}

impl Listener for SimListener {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    fn accept<'a>(&'a mut self, admits: &'a mut Admission<'a>) -> BoxFuture<'a, io::Result<Connection>> {
        Box::pin(async move {
            loop {
                let (stream, peer) = self.listener.accept().await?;
                if admits(peer) {
                    return Ok(self.sockets.connection(stream, peer));
                }
            }
        })
    }
}
