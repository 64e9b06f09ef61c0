//! A connection that cannot be held for nothing: it must speak HTTP/2 soon, take what it is sent, and mostly wait for what
//! it asks for.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::{Connected, TcpConnectInfo};

use super::{
    ServerSettings,
    arrivals::Arrivals,
    frames::{Frames, HEADER_BYTES, PREFACE_BYTES, RST_STREAM, calm_down},
    http1::{Follow, Http1},
    line::{CallOrigin, Cut, Line},
    rate::{Bucket, Rate},
    slots::Slot,
};
use crate::env::{Connection, Io};

/// The connection preface of HTTP/2 and the header of the SETTINGS frame that must follow. Until a client has sent these,
/// HTTP/2's own keepalive does not watch it.
const FIRST_BYTES: usize = PREFACE_BYTES + HEADER_BYTES;

/// What a client is told that resets too many streams.
const TOO_MANY_RESETS: &str = "too_many_resets_in_time";

/// The stream under a connection, with its slot and its deadlines.
pub(crate) struct GuardedIo {
    io: Box<dyn Io>,
    local: SocketAddr,
    peer: SocketAddr,
    _slot: Slot,
    preface: Option<Preface>,
    /// None where only HTTP/2 is spoken.
    http1: Option<Http1>,
    stall: Stall,
    /// None where they are not counted.
    resets: Option<Resets>,
    arrivals: Arrivals,
    line: Arc<Line>,
    /// Fires when it is time to look at the line's deadlines, or a little before.
    look: Pin<Box<Sleep>>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
}

struct Preface {
    missing: usize,
    deadline: Pin<Box<Sleep>>,
}

/// What a connection has used up of the resets that it may send. HTTP/2 itself bounds only those of streams that were not
/// taken up yet, and a client can wait for that: its calls then began, for nothing.
struct Resets {
    rate: Rate,
    left: Bucket,
    read: Frames,
    written: Frames,
}

impl Resets {
    const fn new(rate: Rate) -> Self {
        Self { rate, left: Bucket::NEW, read: Frames::of_client(), written: Frames::of_server() }
    }

    /// Counts those in what was read; whether there are too many.
    fn exceeded_by(&mut self, read: &[u8]) -> bool {
        let now = Instant::now();
        (0..self.read.follow(read, RST_STREAM)).any(|_| !self.left.try_take(self.rate, now))
    }
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
        arrivals: &Arrivals,
        settings: &ServerSettings,
        kill: CancellationToken,
    ) -> Self {
        let peer = connection.peer();
        let ServerSettings { first_bytes, write_stall, .. } = *settings;
        Self {
            io: connection.into_io(),
            local,
            peer,
            _slot: slot,
            preface: Some(Preface { missing: FIRST_BYTES, deadline: Box::pin(sleep(first_bytes)) }),
            http1: settings.web.is_some().then(Http1::default),
            resets: settings.counts_calls_of(peer.ip()).then(|| Resets::new(settings.resets)),
            arrivals: arrivals.clone(),
            line: Arc::new(Line::new(settings, peer)),
            look: Box::pin(sleep(write_stall)),
            stall: Stall { limit: write_stall, timer: Box::pin(sleep(write_stall)), running: false },
            killed: Box::pin(kill.cancelled_owned()),
        }
    }

    /// An error once the connection is to end whatever its client does. Both directions ask: while a write is pending,
    /// HTTP/2 does not read.
    fn check_killed(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.killed.as_mut().poll(cx).is_ready() {
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "the node stops"));
        }
        Ok(())
    }

    /// Watches a write: an error once it has been pending for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.stall.running = false;
            return outcome;
        }
        self.check_killed(cx)?;
        if !self.stall.running {
            self.stall.running = true;
            self.stall.timer.as_mut().reset(Instant::now() + self.stall.limit);
        }
        if self.stall.timer.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client does not read")));
        }
        Poll::Pending
    }

    /// Ends a connection with too many resets: with the reason, if that can go out at once, and so that its network does
    /// not come back as quickly.
    fn end_for_resets(&mut self, cx: &mut Context<'_>, rate: Rate) -> io::Error {
        let cut = Cut::Resets(rate);
        self.arrivals.punish(self.peer.ip());
        if let Some(count) = self.arrivals.cut.note() {
            tracing::warn!(count, last = %self.peer, %cut, "connections cut");
        }
        if self.resets.as_ref().is_some_and(|resets| resets.written.are_whole()) {
            // A client that leaves no room for it does without.
            let _ = Pin::new(&mut self.io).poll_write(cx, &calm_down(TOO_MANY_RESETS));
        }
        io::Error::new(io::ErrorKind::ConnectionAborted, cut)
    }

    /// Notes what was written of these pieces.
    fn written<'a>(&mut self, outcome: &Poll<io::Result<usize>>, pieces: impl Iterator<Item = &'a [u8]> + Clone) {
        if let (Some(http1), Poll::Ready(Ok(1..)), Some(first)) = (&mut self.http1, outcome, pieces.clone().next()) {
            http1.answered(first);
        }
        let (Some(resets), Poll::Ready(Ok(count))) = (&mut self.resets, outcome) else { return };
        let mut rest = *count;
        for piece in pieces {
            let count = rest.min(piece.len());
            resets.written.follow(&piece[..count], RST_STREAM);
            rest -= count;
        }
    }

    /// Why the connection is to be cut now, if it is; else its task is woken in time.
    fn overdue(&mut self, cx: &mut Context<'_>) -> Option<Cut> {
        self.line.changed.register(cx.waker());
        while let Some((at, cut)) = self.line.cut_at() {
            if at <= Instant::now() {
                return Some(cut);
            }
            // One that fires early is left as it is: deadlines move with every piece that is sent.
            if self.look.is_elapsed() || self.look.deadline() > at {
                self.look.as_mut().reset(at);
            }
            if self.look.as_mut().poll(cx).is_pending() {
                return None;
            }
        }
        None
    }
}

impl Connected for GuardedIo {
    type ConnectInfo = CallOrigin;

    fn connect_info(&self) -> CallOrigin {
        let tcp = TcpConnectInfo { local_addr: Some(self.local), remote_addr: Some(self.peer) };
        CallOrigin::new(tcp, Arc::clone(&self.line))
    }
}

impl AsyncRead for GuardedIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.check_killed(cx)?;
        if let Some(cut) = this.overdue(cx) {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, cut)));
        }
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut this.io).poll_read(cx, buffer);
        let mut is_head_missing = false;
        if let Some(http1) = &mut this.http1 {
            match http1.follow(&buffer.filled()[before..]) {
                Follow::Http2 => this.http1 = None,
                Follow::Undecided => {}
                Follow::Http1 { is_first_head_whole } => {
                    this.resets = None;
                    is_head_missing = !is_first_head_whole;
                }
                Follow::TooLong => return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, Cut::Head))),
            }
        }
        if let Some(resets) = &mut this.resets
            && resets.exceeded_by(&buffer.filled()[before..])
        {
            let rate = resets.rate;
            return Poll::Ready(Err(this.end_for_resets(cx, rate)));
        }
        let Some(preface) = &mut this.preface else { return outcome };
        preface.missing = preface.missing.saturating_sub(buffer.filled().len() - before);
        if preface.missing == 0 && !is_head_missing {
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
        self.written(&outcome, std::iter::once(bytes));
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
        self.written(&outcome, slices.iter().map(|slice| &**slice));
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
    use crate::server::{
        MethodTable,
        slots::{Share, Slots},
    };

    const FIRST: Duration = Duration::from_secs(3);
    const STALL: Duration = Duration::from_secs(30);
    const ALONE: Duration = Duration::from_secs(10);

    fn guarded(kill: &CancellationToken) -> (GuardedIo, DuplexStream) {
        with(&ServerSettings::public(MethodTable::new()), kill)
    }

    fn with(settings: &ServerSettings, kill: &CancellationToken) -> (GuardedIo, DuplexStream) {
        let (near, far) = duplex(64);
        let peer = "192.0.2.1:9".parse().unwrap();
        let slot = Slots::new(Share { total: 1, per_prefix: 1 }, true).take("192.0.2.1".parse().unwrap()).unwrap();
        let arrivals = Arrivals::new(settings.new_connections, true);
        (GuardedIo::new(Connection::new(near, peer), peer, slot, &arrivals, settings, kill.clone()), far)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_sends_less_than_a_preface_is_dropped_at_the_deadline() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(b"PRI").await.unwrap();
        let start = Instant::now();
        let error = io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed(), FIRST);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_has_spoken_may_be_silent() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(&[0; FIRST_BYTES]).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
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

    /// The error with which a connection ends whose client has spoken and is silent, and after which time.
    async fn end_of(io: &mut GuardedIo) -> (String, Duration) {
        let start = Instant::now();
        let error = io.read_u8().await.unwrap_err();
        (error.to_string(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_take_an_answer_is_dropped_and_one_that_does_is_not() {
        let (mut io, mut client) = guarded(&CancellationToken::new());
        client.write_all(&[0; FIRST_BYTES + 1]).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
        let origin = io.connect_info();
        let taken = origin.sending();
        sleep(STALL / 2).await;
        let _left = origin.sending();
        drop(taken);
        sleep(STALL - Duration::from_secs(1)).await;
        io.read_u8().await.unwrap();
        assert_eq!(end_of(&mut io).await, ("the client does not take its answers".to_owned(), Duration::from_secs(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_without_a_session_is_dropped_and_so_is_one_whose_session_ended() {
        let settings = ServerSettings::peers(MethodTable::new());
        let stranger = async {
            let (mut io, mut client) = with(&settings, &CancellationToken::new());
            client.write_all(&[0; FIRST_BYTES]).await.unwrap();
            io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
            end_of(&mut io).await
        };
        assert_eq!(stranger.await, ("the client has no session".to_owned(), ALONE));
        let (mut io, mut client) = with(&settings, &CancellationToken::new());
        client.write_all(&[0; FIRST_BYTES]).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
        let session = io.connect_info().session();
        let (ended, ()) = tokio::join!(end_of(&mut io), async {
            sleep(ALONE * 5).await;
            drop(session);
        });
        assert_eq!(ended, ("the client has no session".to_owned(), ALONE * 6));
    }

    const RESET: [u8; 13] = [0, 0, 4, RST_STREAM, 0, 0, 0, 0, 1, 0, 0, 0, 8];

    fn few_resets() -> ServerSettings {
        ServerSettings { resets: Rate { per_second: 1, burst: 3 }, ..ServerSettings::public(MethodTable::new()) }
    }

    /// A connection over which so many resets were sent and read.
    async fn after_resets(settings: &ServerSettings, count: usize) -> (GuardedIo, DuplexStream) {
        let (mut io, mut client) = with(settings, &CancellationToken::new());
        client.write_all(&[&[0; PREFACE_BYTES][..], &[0; HEADER_BYTES]].concat()).await.unwrap();
        io.read_exact(&mut [0; FIRST_BYTES]).await.unwrap();
        for _ in 0..count {
            client.write_all(&RESET).await.unwrap();
            io.read_exact(&mut [0; RESET.len()]).await.unwrap();
        }
        (io, client)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_resets_too_many_streams_is_told_and_cut_and_its_network_stays_away() {
        let (mut io, mut client) = after_resets(&few_resets(), 3).await;
        client.write_all(&RESET).await.unwrap();
        let error = io.read_exact(&mut [0; RESET.len()]).await.unwrap_err();
        assert_eq!(error.to_string(), "the client resets streams more often than 3 at once and 1 a second");
        io.arrivals.admit("192.0.2.77".parse().unwrap()).unwrap_err();
        drop(io);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, calm_down(TOO_MANY_RESETS));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_resets_a_stream_now_and_then_is_not_cut() {
        let (mut io, mut client) = after_resets(&few_resets(), 3).await;
        for _ in 0..100 {
            tokio::time::advance(Duration::from_secs(1)).await;
            client.write_all(&RESET).await.unwrap();
            io.read_exact(&mut [0; RESET.len()]).await.unwrap();
        }
        io.arrivals.admit("192.0.2.77".parse().unwrap()).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_said_in_the_middle_of_a_frame() {
        let (mut io, mut client) = after_resets(&few_resets(), 3).await;
        let begun = [0, 0, 9, 0, 0, 0, 0, 0, 1, 7];
        io.write_all(&begun).await.unwrap();
        client.write_all(&RESET).await.unwrap();
        io.read_exact(&mut [0; RESET.len()]).await.unwrap_err();
        drop(io);
        let mut told = Vec::new();
        client.read_to_end(&mut told).await.unwrap();
        assert_eq!(told, begun);
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_connection_ends_a_pending_read() {
        let kill = CancellationToken::new();
        let (mut io, _client) = guarded(&kill);
        let (read, ()) = tokio::join!(io.read_u8(), async { kill.cancel() });
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test(start_paused = true)]
    async fn a_killed_connection_ends_a_pending_write_at_once() {
        let kill = CancellationToken::new();
        let (mut io, _client) = guarded(&kill);
        let start = Instant::now();
        let (written, ()) = tokio::join!(io.write_all(&[0; 256]), async { kill.cancel() });
        assert_eq!(written.unwrap_err().kind(), io::ErrorKind::ConnectionAborted);
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
