//! What all handles and tasks of the mempool share, and the one way to change the pool.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use farthing::{Params, TxId, WireId};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast, mpsc, oneshot, watch};

use super::{
    Announcement, DropReason, JournalError, Ledger, PoolEvent, PoolHead, PoolStats, Source,
    budget::Budgets,
    listing::Listing,
    news::News,
    pool::{Change, Now, Pool},
};
use crate::env::Env;

/// State behind the handles.
pub(super) struct Shared {
    pub(super) params: Arc<Params>,
    pub(super) env: Env,
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) budgets: Mutex<Budgets>,
    pub(super) listing: Mutex<Listing>,
    /// Transactions between submission and sync.
    pub(super) in_flight: Arc<Semaphore>,
    pub(super) announcements: broadcast::Sender<Arc<Announcement>>,
    pub(super) stats: watch::Sender<PoolStats>,
    /// Locked after the pool, if both are.
    pub(super) news: Mutex<News>,
    pub(super) head: watch::Sender<PoolHead>,
    pub(super) run: OnceLock<[u8; 16]>,
    pool: Mutex<Pool>,
    tickets: mpsc::UnboundedSender<Ticket>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mempool").field("stats", &*self.stats.borrow()).finish_non_exhaustive()
    }
}

/// Work for the journal: what to write, and what to do once it is on disk.
#[derive(Debug)]
pub(super) struct Ticket {
    pub(super) changes: Vec<Change>,
    pub(super) announced: Vec<(WireId, Source)>,
    pub(super) waiter: Option<Waiter>,
}

/// Answers a submission once all that it rests on is on disk. It keeps the submission's places, so that these are
/// taken until then although the submitter may have gone.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) answer: oneshot::Sender<Synced>,
    pub(super) _places: Arc<OwnedSemaphorePermit>,
}

/// Whether what was handed over is on disk.
pub(super) type Synced = Result<(), Arc<NotWritten>>;

/// The journal failed, and what should have been in it was taken back.
#[derive(Debug)]
pub(super) struct NotWritten {
    pub(super) error: JournalError,
    /// Transactions that were not taken after all.
    pub(super) lost: HashSet<TxId>,
}

impl Shared {
    pub(super) fn new(
        params: Arc<Params>,
        env: Env,
        ledger: Arc<dyn Ledger>,
        pool: Pool,
        limits: (usize, usize),
    ) -> (Self, mpsc::UnboundedReceiver<Ticket>) {
        let (in_flight, announcements) = limits;
        // Unbounded, but each submission holds its places until its ticket is answered, and what a tip change writes
        // is bounded by the pool.
        let (tickets, received) = mpsc::unbounded_channel();
        let shared = Self {
            params,
            env,
            ledger,
            budgets: Mutex::new(Budgets::new()),
            listing: Mutex::default(),
            in_flight: Arc::new(Semaphore::new(in_flight)),
            announcements: broadcast::Sender::new(announcements),
            stats: watch::Sender::new(pool.stats()),
            news: Mutex::new(News::new(&pool.limits())),
            head: watch::Sender::new(PoolHead { next: 0, tip: pool.tip() }),
            run: OnceLock::new(),
            pool: Mutex::new(pool),
            tickets,
        };
        (shared, received)
    }

    /// Looks at the pool.
    pub(super) fn read<T>(&self, look: impl FnOnce(&Pool) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the pool and hands what follows from it to the journal, in the order of the changes.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Pool, Now) -> T) -> T {
        let mut pool = self.lock();
        let result = change(&mut pool, self.now());
        self.hand_over(&mut pool, None);
        result
    }

    /// As [`Shared::change`]. If the change says that something rests on what is not on disk yet, there is a receiver
    /// that is answered once it is.
    pub(super) fn change_and_wait<T>(
        &self,
        places: &Arc<OwnedSemaphorePermit>,
        change: impl FnOnce(&mut Pool, Now) -> (T, bool),
    ) -> (T, Option<oneshot::Receiver<Synced>>) {
        let mut pool = self.lock();
        let (result, must_wait) = change(&mut pool, self.now());
        if !must_wait {
            self.hand_over(&mut pool, None);
            return (result, None);
        }
        let (answer, answered) = oneshot::channel();
        self.hand_over(&mut pool, Some(Waiter { answer, _places: Arc::clone(places) }));
        (result, Some(answered))
    }

    /// Records what became of transactions whose nonces are used: nothing if they may have been mined. Reads the disk.
    pub(super) fn settle_used(&self, ids: &[TxId]) {
        for id in ids {
            if !self.ledger.may_be_mined(id) {
                self.change(|pool, _| pool.record_drop(*id, DropReason::NonceUsed));
            }
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: self.env.clock().now(), elapsed: self.env.clock().elapsed() }
    }

    fn hand_over(&self, pool: &mut Pool, waiter: Option<Waiter>) {
        let events = pool.take_events();
        self.tell(pool, events.news);
        if waiter.is_some() || !events.changes.is_empty() || !events.announced.is_empty() {
            // Without a receiver the node is stopping, and dropping the ticket tells the waiter so.
            let _ = self.tickets.send(Ticket { changes: events.changes, announced: events.announced, waiter });
        }
        let stats = pool.stats();
        self.stats.send_if_modified(|known| std::mem::replace(known, stats) != stats);
    }

    /// Tells those who follow the pool.
    fn tell(&self, pool: &Pool, events: Vec<PoolEvent>) {
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        news.add(events);
        let head = PoolHead { next: news.next(), tip: pool.tip() };
        drop(news);
        self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
