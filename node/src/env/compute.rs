//! Heavy work off the async threads: signatures, state updates, mining preparation, disk access.

use std::{
    fmt, io,
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
};

use rayon::{
    ThreadPool, ThreadPoolBuilder,
    iter::{IntoParallelRefIterator as _, ParallelIterator as _},
};
use tokio::sync::oneshot;

/// Where heavy work runs: on a pool of threads, or, for a simulation that must repeat itself exactly, at once and in
/// place. Clones share the pool.
#[derive(Clone)]
pub struct Compute(Place);

#[derive(Clone)]
enum Place {
    Pool(Arc<ThreadPool>),
    Inline,
}

impl Compute {
    /// A pool of so many threads.
    ///
    /// # Errors
    /// When the system refuses the threads.
    pub fn pool(threads: NonZeroUsize) -> io::Result<Self> {
        let pool = ThreadPoolBuilder::new()
            .num_threads(threads.get())
            .thread_name(|index| format!("compute-{index}"))
            .build()
            .map_err(io::Error::other)?;
        Ok(Self(Place::Pool(Arc::new(pool))))
    }

    /// A pool with a thread for each core.
    ///
    /// # Errors
    /// As [`Compute::pool`].
    pub fn for_this_machine() -> io::Result<Self> {
        Self::pool(std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// Runs everything at once on the calling thread, in order.
    pub fn inline() -> Self {
        Self(Place::Inline)
    }

    /// Whether there are threads beside the caller's. Where there are none, nobody may start one, nor leave work to it.
    pub fn has_threads(&self) -> bool {
        matches!(self.0, Place::Pool(_))
    }

    /// How many pieces of work run at the same time.
    pub fn threads(&self) -> usize {
        match &self.0 {
            Place::Pool(pool) => pool.current_num_threads(),
            Place::Inline => 1,
        }
    }

    /// Runs work that keeps a core busy. A panic in it goes on in the caller. If the caller stops waiting the work
    /// still runs to its end.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match &self.0 {
            Place::Inline => work(),
            Place::Pool(pool) => {
                let (sender, receiver) = oneshot::channel();
                pool.spawn(move || {
                    // The receiver is gone when the caller stopped waiting; nobody needs the result then.
                    let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
                });
                match receiver.await.expect("the pool runs every job and the job always answers") {
                    Ok(result) => result,
                    Err(panic) => resume_unwind(panic),
                }
            }
        }
    }

    /// Runs work that waits for a disk; it takes no thread of the pool. A panic in it goes on in the caller.
    pub async fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match &self.0 {
            Place::Inline => work(),
            #[expect(clippy::disallowed_methods, reason = "this is the door to the blocking threads")]
            Place::Pool(_) => match tokio::task::spawn_blocking(work).await {
                Ok(result) => result,
                Err(error) if error.is_panic() => resume_unwind(error.into_panic()),
                // The runtime is going away, and this task with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Applies a function to each item on all threads and returns the results in order. For work that already runs in
    /// [`Compute::run`] or on a thread of its own: it blocks.
    pub fn map<T: Sync, R: Send>(&self, items: &[T], function: impl Fn(&T) -> R + Send + Sync) -> Vec<R> {
        match &self.0 {
            Place::Inline => items.iter().map(function).collect(),
            Place::Pool(pool) => pool.install(|| items.par_iter().map(function).collect()),
        }
    }

    /// Calls a function for each item on all threads. It blocks, as [`Compute::map`] does.
    pub fn for_each<T: Sync>(&self, items: &[T], function: impl Fn(&T) + Send + Sync) {
        match &self.0 {
            Place::Inline => items.iter().for_each(function),
            Place::Pool(pool) => pool.install(|| items.par_iter().for_each(function)),
        }
    }

    /// Runs two pieces of work side by side. It blocks, as [`Compute::map`] does.
    pub fn join<A: Send, B: Send>(&self, a: impl FnOnce() -> A + Send, b: impl FnOnce() -> B + Send) -> (A, B) {
        match &self.0 {
            Place::Inline => (a(), b()),
            Place::Pool(pool) => pool.join(a, b),
        }
    }
}

impl fmt::Debug for Compute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compute({} threads)", self.threads())
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use futures_util::FutureExt as _;

    use super::*;

    fn both() -> [Compute; 2] {
        [Compute::pool(NonZeroUsize::new(2).unwrap()).unwrap(), Compute::inline()]
    }

    #[tokio::test]
    async fn work_gives_its_result_in_the_pool_and_inline() {
        for compute in both() {
            assert_eq!(compute.run(|| 6 * 7).await, 42);
            assert_eq!(compute.run_blocking(|| "x".repeat(3)).await, "xxx");
            let inner = compute.clone();
            let squares = compute.run(move || inner.map(&[1, 2, 3], |n| n * n)).await;
            assert_eq!(squares, [1, 4, 9]);
            assert_eq!(compute.join(|| 1, || 2), (1, 2));
        }
    }

    #[tokio::test]
    async fn the_pool_leaves_the_async_thread_and_inline_stays_on_it() {
        let here = thread::current().id();
        let [pool, inline] = both();
        assert_ne!(pool.run(|| thread::current().id()).await, here);
        assert_ne!(pool.run_blocking(|| thread::current().id()).await, here);
        assert_eq!(inline.run(|| thread::current().id()).await, here);
        assert_eq!(inline.run_blocking(|| thread::current().id()).await, here);
        assert!(pool.has_threads() && !inline.has_threads());
    }

    #[tokio::test]
    async fn a_panic_reaches_the_caller_and_the_pool_lives_on() {
        for compute in both() {
            let panicked = AssertUnwindSafe(compute.run(|| panic!("broken"))).catch_unwind().await;
            assert_eq!(panicked.unwrap_err().downcast_ref::<&str>(), Some(&"broken"));
            assert_eq!(compute.run(|| 1).await, 1);
        }
    }
}
