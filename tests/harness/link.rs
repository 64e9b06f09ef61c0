//! A link between two hosts, laid over a connection of this process: late, narrow, lossy, or holding what it is given.
//!
//! TCP never loses bytes. So loss is here what a lossy path does to TCP: a segment that is lost comes one retransmission
//! later, and everything behind it waits; and connections break. Timers are tokio's, chance comes from a seed.

use std::{
    num::NonZeroU64,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use farthing_node::env::{Io, Random, SeededRandom};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf, duplex, split},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Bytes of a full TCP segment on Ethernet.
pub(crate) const SEGMENT: usize = 1_460;
/// Bytes that are taken at once.
pub(crate) const READ: usize = 8 * 1024;
/// A lost segment is sent again after this time and a round trip, then after twice as long: the least of Linux, where
/// RFC 6298 has 1 s.
const RETRANSMISSION: Duration = Duration::from_millis(200);
/// A segment is lost no more often than that; Linux gives a connection up then (`tcp_retries2`).
pub(crate) const MAX_LOSSES: u32 = 15;

/// What a link does to what it carries, one way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    /// How long a segment is under way at least.
    pub(crate) delay: Duration,
    /// How much longer at most, each time anew. No segment overtakes another.
    pub(crate) jitter: Duration,
    /// What all connections together can carry; none: as much as this machine can.
    pub(crate) bytes_per_second: Option<NonZeroU64>,
    /// Bytes of one connection that may be under way; then its sender has to wait.
    pub(crate) window: usize,
    /// Chance that a segment is lost.
    pub(crate) loss: f64,
    /// Chance of a segment to break its connection.
    pub(crate) breaks: f64,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            bytes_per_second: None,
            window: 256 * 1024,
            loss: 0.0,
            breaks: 0.0,
        }
    }
}

impl Quality {
    /// How long so many bytes occupy the link.
    fn time_of(&self, bytes: usize) -> Duration {
        let rate = self.bytes_per_second.map_or(f64::INFINITY, |rate| rate.get() as f64);
        Duration::from_secs_f64(bytes as f64 / rate)
    }

    /// What is read at once is carried in pieces of so many bytes.
    fn piece(&self) -> usize {
        let whole = self.bytes_per_second.is_none() && self.jitter.is_zero() && self.loss == 0.0 && self.breaks == 0.0;
        if whole { READ } else { SEGMENT }
    }
}

/// One way of a link, for all connections over it.
#[derive(Debug)]
pub(crate) struct Way {
    state: Mutex<State>,
    held: watch::Sender<bool>,
    random: SeededRandom,
}

#[derive(Debug)]
struct State {
    quality: Quality,
    /// When all that was sent has left.
    free: Option<Instant>,
    tally: Tally,
}

/// What became of segments so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sent: u64,
    /// How often one was lost.
    pub(crate) lost: u64,
    /// How many broke their connection.
    pub(crate) broke: u64,
}

impl Way {
    pub(crate) fn new(quality: Quality, seed: u64) -> Self {
        let state = Mutex::new(State { quality, free: None, tally: Tally::default() });
        Self { state, held: watch::Sender::new(false), random: SeededRandom::new(seed) }
    }

    /// Changes what becomes of segments that are sent from now on.
    pub(crate) fn set(&self, quality: Quality) {
        self.state().quality = quality;
    }

    pub(crate) fn tally(&self) -> Tally {
        self.state().tally
    }

    /// From now on nothing arrives and nobody is told, as behind a firewall that drops everything. What is under way
    /// arrives once this is over, for TCP would send it again.
    pub(crate) fn hold(&self, held: bool) {
        self.held.send_replace(held);
    }

    async fn released(&self) {
        // The sender is this one's own, so it is there.
        let _ = self.held.subscribe().wait_for(|held| !held).await;
    }

    /// When a segment arrives that is sent now; none: it breaks its connection.
    pub(crate) fn send(&self, bytes: usize) -> Option<Instant> {
        let random: &dyn Random = &self.random;
        let happens = |chance: f64| chance > 0.0 && random.fraction() < chance;
        let mut state = self.state();
        let State { quality, free, tally } = &mut *state;
        let now = Instant::now();
        let begins = free.map_or(now, |free| free.max(now));
        let sent = *free.insert(begins + quality.time_of(bytes));
        tally.sent += 1;
        if happens(quality.breaks) {
            tally.broke += 1;
            return None;
        }
        let mut arrives = sent + quality.delay + quality.jitter.mul_f64(random.fraction());
        let mut again = RETRANSMISSION + 2 * quality.delay;
        for _ in 0..MAX_LOSSES {
            if !happens(quality.loss) {
                break;
            }
            tally.lost += 1;
            arrives += again;
            again *= 2;
        }
        Some(arrives)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Both ways of a link as one of its ends sees it.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    /// From this end.
    pub(crate) there: Arc<Way>,
    /// To this end.
    pub(crate) back: Arc<Way>,
}

impl Link {
    /// Takes the time in which a connection is opened: a segment there, and its answer.
    pub(crate) async fn open(&self) {
        for way in [&self.there, &self.back] {
            sleep_until(way.send(0).unwrap_or_else(Instant::now)).await;
            way.released().await;
        }
    }

    /// Lays the link between an open connection and this end. It breaks when `cut` says so.
    pub(crate) fn carry(&self, far: impl Io + 'static, cut: CancellationToken) -> Carried {
        let (near, end) = duplex(READ);
        let (near_read, near_write) = split(near);
        let (far_read, far_write) = split(far);
        carry_one_way(Arc::clone(&self.there), near_read, far_write, &self.back, &cut);
        carry_one_way(Arc::clone(&self.back), far_read, near_write, &self.there, &cut);
        Carried { io: end, cut: Box::pin(cut.cancelled_owned()) }
    }
}

/// What is under way, and when it arrives.
struct Parcel {
    due: Instant,
    what: Carriage,
}

enum Carriage {
    Bytes(Vec<u8>, OwnedSemaphorePermit),
    /// The sender has nothing more to say.
    End,
    /// The connection is broken.
    Break,
}

fn carry_one_way(
    way: Arc<Way>,
    from: impl AsyncRead + Send + Unpin + 'static,
    to: impl AsyncWrite + Send + Unpin + 'static,
    back: &Arc<Way>,
    cut: &CancellationToken,
) {
    let (sender, parcels) = mpsc::unbounded_channel();
    let (taker, back, taker_cut, giver_cut) = (Arc::clone(&way), Arc::clone(back), cut.clone(), cut.clone());
    tokio::spawn(async move { taker_cut.run_until_cancelled(take(&taker, from, sender)).await });
    tokio::spawn(async move { giver_cut.run_until_cancelled(give(&way, &back, to, parcels, &giver_cut)).await });
}

/// Takes what is sent, as long as the window has room.
async fn take(way: &Way, mut from: impl AsyncRead + Unpin, parcels: mpsc::UnboundedSender<Parcel>) {
    let window = way.state().quality.window.max(READ);
    let room = Arc::new(Semaphore::new(window));
    let mut buffer = vec![0; READ];
    let send = |bytes: usize, what| match way.send(bytes) {
        Some(due) => parcels.send(Parcel { due, what }).is_ok(),
        None => parcels.send(Parcel { due: Instant::now(), what: Carriage::Break }).is_ok(),
    };
    loop {
        let read = match from.read(&mut buffer).await {
            Ok(count @ 1..) => &buffer[..count],
            Ok(_) => {
                send(0, Carriage::End);
                return;
            }
            Err(_) => {
                send(0, Carriage::Break);
                return;
            }
        };
        let piece = way.state().quality.piece();
        for bytes in read.chunks(piece) {
            let count = u32::try_from(bytes.len()).expect("a piece is small");
            let permit = Arc::clone(&room).acquire_many_owned(count).await.expect("it is never closed");
            if !send(bytes.len(), Carriage::Bytes(bytes.to_vec(), permit)) {
                return;
            }
        }
    }
}

/// Gives what arrives.
async fn give(
    way: &Way,
    back: &Way,
    mut to: impl AsyncWrite + Unpin,
    mut parcels: mpsc::UnboundedReceiver<Parcel>,
    cut: &CancellationToken,
) {
    while let Some(Parcel { due, what }) = parcels.recv().await {
        sleep_until(due).await;
        way.released().await;
        match what {
            Carriage::Bytes(bytes, _permit) => {
                if to.write_all(&bytes).await.is_err() {
                    // Nobody is there any more; the sender hears of it by the other way.
                    sleep_until(back.send(0).unwrap_or_else(Instant::now)).await;
                    back.released().await;
                    return cut.cancel();
                }
            }
            Carriage::End => return drop(to.shutdown().await),
            Carriage::Break => return cut.cancel(),
        }
    }
}

/// The end of a connection over a link.
pub(crate) struct Carried {
    io: DuplexStream,
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Carried {
    /// Asked before every operation, so that a waiting one is woken by the cut.
    fn whole(&mut self, cx: &mut Context<'_>) -> std::io::Result<()> {
        match self.cut.as_mut().poll(cx) {
            Poll::Ready(()) => Err(std::io::ErrorKind::ConnectionReset.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Carried {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl AsyncWrite for Carried {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<std::io::Result<usize>> {
        self.whole(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        self.whole(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
