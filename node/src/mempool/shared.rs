//! What all handles and tasks of the mempool share, and the one way to change the pool.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{Params, WireId};
use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::{
    Announcement, JournalEntry, JournalError, Ledger, PoolStats, Source,
    budget::Budgets,
    listing::Listing,
    pool::{Now, Pool},
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
    pub(super) in_flight: Semaphore,
    pub(super) announcements: broadcast::Sender<Arc<Announcement>>,
    pub(super) stats: watch::Sender<PoolStats>,
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
    pub(super) entries: Vec<JournalEntry>,
    pub(super) announced: Vec<(WireId, Source)>,
    pub(super) waiter: Option<oneshot::Sender<Result<(), JournalError>>>,
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
        // Unbounded, but each submitter holds permits until its ticket is answered, and what a tip change writes is
        // bounded by the pool.
        let (tickets, received) = mpsc::unbounded_channel();
        let shared = Self {
            params,
            env,
            ledger,
            budgets: Mutex::new(Budgets::new()),
            listing: Mutex::default(),
            in_flight: Semaphore::new(in_flight),
            announcements: broadcast::Sender::new(announcements),
            stats: watch::Sender::new(pool.stats()),
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

    /// As [`Shared::change`], with a receiver that is answered once all so far is on disk.
    pub(super) fn change_and_sync<T>(
        &self,
        change: impl FnOnce(&mut Pool, Now) -> T,
    ) -> (T, oneshot::Receiver<Result<(), JournalError>>) {
        let (answer, answered) = oneshot::channel();
        let mut pool = self.lock();
        let result = change(&mut pool, self.now());
        self.hand_over(&mut pool, Some(answer));
        (result, answered)
    }

    pub(super) fn now(&self) -> Now {
        Now { wall: self.env.clock().now(), elapsed: self.env.clock().elapsed() }
    }

    fn hand_over(&self, pool: &mut Pool, waiter: Option<oneshot::Sender<Result<(), JournalError>>>) {
        let events = pool.take_events();
        if waiter.is_some() || !events.journal.is_empty() || !events.announced.is_empty() {
            // Without a receiver the node is stopping, and dropping the ticket tells the waiter so.
            let _ = self.tickets.send(Ticket { entries: events.journal, announced: events.announced, waiter });
        }
        let stats = pool.stats();
        self.stats.send_if_modified(|known| std::mem::replace(known, stats) != stats);
    }

    fn lock(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
