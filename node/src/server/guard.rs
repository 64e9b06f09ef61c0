//! A connection that cannot be held for nothing: it must speak HTTP/2 soon and take what it is sent.

use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::slots::Slot;
use crate::env::{Connection, Io};

/// The connection preface of HTTP/2 (RFC 9113, 3.4) and the header of the SETTINGS frame that must follow. Until a
/// client has sent these, HTTP/2's own keepalive does not watch it.
const PREFACE_BYTES: usize = 24 + 9;

/// The stream under a connection, with its slot and its deadlines.
pub(crate) struct GuardedIo {
    io: Box<dyn Io>,
    local: SocketAddr,
    peer: SocketAddr,
    _slot: Slot,
    preface: Option<Preface>,
    stall: Stall,
    unsent: Arc<Unsent>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
}

struct Preface {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

/// Runs while a write is pending.
struct Stall {
    limit: Duration,
    timer: Pin<Box<Sleep>>,
    running: bool,
}

impl GuardedIo {
    pub(crate) fn new(
        connection: Connection,
        local: SocketAddr,
        slot: Slot,
        first_bytes: Duration,
        write_stall: Duration,
        kill: CancellationToken,
    ) -> Self {
        let peer = connection.peer();
        Self {
            io: connection.into_io(),
            local,
            peer,
            _slot: slot,
            preface: Some(Preface { missing: PREFACE_BYTES, deadline: Box::pin(sleep(first_bytes)) }),
            unsent: Arc::default(),
            stall: Stall { limit: write_stall, timer: Box::pin(sleep(write_stall)), running: false },
            killed: Box::pin(kill.cancelled_owned()),
        }
    }

    /// Watches a write: an error once it has been pending for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stall.running = false;
            return outcome;
        }
        if !self.stall.running {
            self.stall.running = true;
            self.stall.timer.as_mut().reset(Instant::now() + self.stall.limit);
        }
        if self.stall.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
        }
        Poll::Pending
    }
}

/// What each call knows of its connection.
#[derive(Clone, Debug)]
pub(crate) struct CallOrigin {
    tcp: TcpConnectInfo,
    unsent: Arc<Unsent>,
}

impl CallOrigin {
    /// In the form from which tonic's `Request::remote_addr` reads it.
    pub(crate) fn tcp(&self) -> TcpConnectInfo {
        self.tcp.clone()
    }

    /// The client's address.
    pub(crate) fn ip(&self) -> IpAddr {
        self.tcp.remote_addr.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |address| address.ip())
    }

    /// Notes that an answer waits to be sent, until the guard is dropped.
    pub(crate) fn sending(&self) -> Sending {
        let mut waiting = self.unsent.lock();
        let id = waiting.next;
        waiting.next += 1;
        waiting.since.insert(id, Instant::now());
        Sending { unsent: Arc::clone(&self.unsent), id }
    }
}

/// The whole answers of a connection that are not sent yet. A client can keep them here by never opening its
/// flow-control window, at which no write is ever pending.
#[derive(Debug, Default)]
struct Unsent(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    /// Ids grow with time, so the first entry is the oldest.
    since: BTreeMap<u64, Instant>,
}

impl Unsent {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn oldest(&self) -> Option<Instant> {
        self.lock().since.first_key_value().map(|(_, since)| *since)
    }
}

/// An answer that waits to be sent.
#[derive(Debug)]
pub(crate) struct Sending {
    unsent: Arc<Unsent>,
    id: u64,
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.unsent.lock().since.remove(&self.id);
    }
}

impl Connected for GuardedIo {
    type ConnectInfo = CallOrigin;

    fn connect_info(&self) -> CallOrigin {
        let tcp = TcpConnectInfo { local_addr: Some(self.local), remote_addr: Some(self.peer) };
        CallOrigin { tcp, unsent: Arc::clone(&self.unsent) }
    }
}

impl AsyncRead for GuardedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the node stops")));
        }
        // Looked at whenever the connection is polled, which HTTP/2's keepalive does every 20 s at least.
        if this.unsent.oldest().is_some_and(|since| since.elapsed() > this.stall.limit) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not take its answers")));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.io).poll_read(cx, buffer);
        let Some(preface) = &mut this.preface else { return outcome };
        preface.missing = preface.missing.saturating_sub(buffer.filled().len() - before);
        if preface.missing == 0 {
            this.preface = None;
            return outcome;
        }
        if preface.deadline.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not speak HTTP/2")));
        }
        outcome
    }
}

impl AsyncWrite for GuardedIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.watch(cx, outcome)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_flush(cx);
        self.watch(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let outcome = Pin::new(&mut self.io).poll_shutdown(cx);
        self.watch(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let outcome = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.watch(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

    use super::*;
    use crate::server::slots::{Share, Slots};

    const FIRST: Duration = Duration::from_secs(3);
    const STALL: Duration = Duration::from_secs(30);

    fn guarded(kill: &CancellationToken) -> (GuardedIo, DuplexStream) {
        let (near, far) = duplex(64);
        let peer = "192.0.2.1:9".parse().unwrap();
        let slot = Slots::new(Share { total: 1, per_prefix: 1 }, true).take("192.0.2.1".parse().unwrap()).unwrap();
        (GuardedIo::new(Connection::new(near, peer), peer, slot, FIRST, STALL, kill.clone()), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_less_than_a_preface_is_dropped_at_the_deadline() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(b"PRI").await.unwrap();
        let start = Instant::now();
        let error = io.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_spoken_may_be_silent() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(&[0; PREFACE_BYTES]).await.unwrap();
        io.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let (read, _) = tokio::join!(io.read_u8(), async {
            sleep(FIRST * 10).await;
            client.write_all(&[7]).await
        });
        assert_eq!(read.unwrap(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_read_is_dropped_and_a_slow_one_is_not() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        let (written, _) = tokio::join!(io.write_all(&[0; 256]), async {
            for _ in 0..4 {
                sleep(STALL - Duration::from_secs(1)).await;
                client.read_exact(&mut [0; 64]).await.unwrap();
            }
        });
        written.unwrap();
        let start = Instant::now();
        let error = io.write_all(&[0; 256]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), STALL);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_an_answer_is_dropped_and_one_that_does_is_not() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(&[0; PREFACE_BYTES + 2]).await.unwrap();
        io.read_exact(&mut [0; PREFACE_BYTES]).await.unwrap();
        let origin = io.connect_info();
        let taken = origin.sending();
        sleep(STALL / 2).await;
        let left = origin.sending();
        drop(taken);
        sleep(STALL - Duration::from_secs(1)).await;
        io.read_u8().await.unwrap();
        sleep(Duration::from_secs(2)).await;
        assert_eq!(io.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(left);
        io.read_u8().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_connection_ends_a_pending_read() {
        let kill = CancellationToken::new();
        let (mut io, _client) = guarded(&kill);
        let (read, ()) = tokio::join!(io.read_u8(), async { kill.cancel() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }
}
