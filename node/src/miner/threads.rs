//! Threads that search, and how a search is begun and ended.

use std::{
    convert::Infallible,
    io,
    num::NonZeroUsize,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use farthing::{Header, Target};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::search::Search;
use crate::{env::Env, tasks::Tasks};

/// How often an idle thread looks whether the node is stopping.
const IDLE_LOOK: Duration = Duration::from_millis(100);
/// Searches that are expected to take fewer attempts are done at once, without the threads.
const SHORT_ATTEMPTS: u128 = 1 << 14;

/// The threads that search, if there are any.
#[derive(Debug, Clone)]
pub(crate) struct Searchers {
    env: Env,
    board: Arc<Board>,
    threads: NonZeroUsize,
}

#[derive(Debug, Default)]
struct Board {
    state: Mutex<Posted>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Posted {
    number: u64,
    job: Option<Job>,
}

/// A header to search for.
#[derive(Debug, Clone)]
struct Job {
    search: Search,
    header: Header,
    cancelled: Arc<AtomicBool>,
    found: mpsc::UnboundedSender<Header>,
}

/// Ends the search when it is dropped.
struct Cancel(Arc<AtomicBool>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Searchers {
    /// Starts so many threads; none where all work is done in place.
    ///
    /// # Errors
    /// When the system refuses one.
    pub(crate) fn start(tasks: &Tasks, env: Env, threads: NonZeroUsize) -> io::Result<Self> {
        let board = Arc::new(Board::default());
        for index in 0..if env.compute().has_threads() { threads.get() } else { 0 } {
            let board = Arc::clone(&board);
            // Every thread has its own part of the nonces, too large to be used up.
            let first = (u64::MAX / threads.get() as u64).wrapping_mul(index as u64);
            tasks.spawn_thread("miner", move |token| work(&board, first, &token))?;
        }
        Ok(Self { env, board, threads })
    }

    /// Searches until a nonce is found. Dropping the future ends the search within a millisecond.
    pub(crate) async fn search(&self, header: Header, target: Target) -> Header {
        let search = Search::new(&header, target);
        let cancelled = Arc::new(AtomicBool::new(false));
        let _cancel = Cancel(Arc::clone(&cancelled));
        if !self.env.compute().has_threads() || target.work().is_some_and(|work| work.get() <= SHORT_ATTEMPTS) {
            let mut search = search;
            let nonce = self.env.compute().run(move || search.run(0, &cancelled)).await;
            return Header { nonce: nonce.expect("nobody cancels a search that is still waited for"), ..header };
        }
        let (found, mut results) = mpsc::unbounded_channel();
        self.board.post(Job { search, header, cancelled, found });
        results.recv().await.expect("the board holds the job, and with it a sender, until the next one")
    }

    /// How many threads search.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads
    }
}

impl Board {
    fn post(&self, job: Job) {
        let mut state = self.lock();
        state.number += 1;
        state.job = Some(job);
        drop(state);
        self.changed.notify_all();
    }

    /// The job that was posted after number `seen`; none for now.
    fn next(&self, seen: u64) -> Option<(u64, Job)> {
        let posted = self.lock();
        let waited = self.changed.wait_timeout_while(posted, IDLE_LOOK, |posted| posted.number == seen);
        let (posted, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if posted.number == seen {
            return None;
        }
        Some((posted.number, posted.job.clone()?))
    }

    fn lock(&self) -> MutexGuard<'_, Posted> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn work(board: &Board, first: u64, token: &CancellationToken) -> Result<(), Infallible> {
    let mut seen = 0;
    while !token.is_cancelled() {
        let Some((number, mut job)) = board.next(seen) else { continue };
        seen = number;
        if let Some(nonce) = job.search.run(first, &job.cancelled) {
            // Whoever finds first ends it for the others; the receiver is gone if the search was given up.
            job.cancelled.store(true, Ordering::Relaxed);
            let _ = job.found.send(Header { nonce, ..job.header });
        }
    }
    Ok(())
}
