//! One supervised group of everything that lives as long as the node.
//!
//! A panic or an error in any task stops all of them, but in one that serves a single caller; so does [`Tasks::stop`]. Whoever is still running when the
//! deadline has passed is dropped and named.

use std::{
    any::Any,
    borrow::Cow,
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    fmt::Debug,
    future::Future,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::FutureExt as _;
use tokio::{sync::Notify, task::AbortHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long tasks have to end once the stop was called.
pub const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(5);

/// Any error of a task.
pub type TaskError = Box<dyn Error + Send + Sync>;

/// Why the group stopped, other than by request.
#[derive(Debug, thiserror::Error)]
pub enum TaskFailure {
    /// A task returned an error.
    #[error("task {task} failed")]
    Failed {
        /// Its name.
        task: Cow<'static, str>,
        /// Its error.
        #[source]
        source: TaskError,
    },
    /// A task panicked.
    #[error("task {task} panicked: {message}")]
    Panicked {
        /// Its name.
        task: Cow<'static, str>,
        /// What the panic said.
        message: String,
    },
    /// Tasks were still running after the deadline and were dropped.
    #[error("after {} s these tasks were still running: {}", SHUTDOWN_DEADLINE.as_secs(), tasks.join(", "))]
    Overdue {
        /// Their names.
        tasks: Vec<String>,
    },
}

/// The handle with which parts of the node start tasks. Clones share the group.
#[derive(Clone, Debug)]
pub struct Tasks {
    shared: Arc<Shared>,
    token: CancellationToken,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, Running>,
    failure: Option<TaskFailure>,
    /// Set once nobody supervises any more; later tasks are not started.
    closed: bool,
}

#[derive(Debug)]
struct Running {
    name: Cow<'static, str>,
    /// A thread has none: it must watch the token.
    abort: Option<AbortHandle>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Tasks {
    fn default() -> Self {
        Self::new()
    }
}

impl Tasks {
    /// An empty group.
    pub fn new() -> Self {
        Self { shared: Arc::default(), token: CancellationToken::new() }
    }

    /// Cancelled when the group is to stop. A task that waits for anything else watches it too.
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// Asks all tasks to end.
    pub fn stop(&self) {
        self.token.cancel();
    }

    /// Starts a task. Its end with `Ok` is fine at any time.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to new tasks")]
    pub fn spawn<E>(
        &self,
        name: impl Into<Cow<'static, str>>,
        task: impl Future<Output = Result<(), E>> + Send + 'static,
    ) where
        E: Into<TaskError>,
    {
        let name = name.into();
        // Held until the abort handle is stored, so that even a task that ends at once finds its entry.
        let mut state = self.shared.lock();
        if state.closed {
            return;
        }
        let ending = Ending { group: self.clone(), id: state.next, name: name.clone() };
        let handle = tokio::spawn(async move {
            let outcome = AssertUnwindSafe(async { task.await.map_err(Into::into) }).catch_unwind().await;
            ending.report(outcome);
        });
        state.enter(name, Some(handle.abort_handle()));
    }

    /// Starts a task that serves one caller. A panic in it is logged and ends it alone, as one in a call ends that call: what one
    /// caller asks for must not stop the node for all others. Whoever waits for what it makes learns of its end by that.
    pub fn spawn_for_caller(
        &self,
        name: impl Into<Cow<'static, str>>,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let name = name.into();
        self.spawn(name.clone(), async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tracing::error!(task = %name, message = panic_message(&*panic), "a task for a caller panicked");
            }
            Ok::<_, Infallible>(())
        });
    }

    /// Starts a thread for work that blocks for the life of the node, such as a writer. It must watch the token.
    ///
    /// # Errors
    /// When the system refuses the thread.
    #[expect(clippy::disallowed_methods, reason = "this is the one door to new threads")]
    pub fn spawn_thread<E>(
        &self,
        name: &'static str,
        work: impl FnOnce(CancellationToken) -> Result<(), E> + Send + 'static,
    ) -> io::Result<()>
    where
        E: Into<TaskError>,
    {
        let mut state = self.shared.lock();
        if state.closed {
            return Ok(());
        }
        let ending = Ending { group: self.clone(), id: state.next, name: name.into() };
        let token = self.token.clone();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| work(token).map_err(Into::into)));
            ending.report(outcome);
        })?;
        state.enter(name.into(), None);
        Ok(())
    }

    /// Waits until the group is asked to stop, by [`Tasks::stop`] or by a failure, then until all tasks have ended or
    /// the deadline has passed.
    ///
    /// # Errors
    /// The first failure.
    pub async fn supervise(self) -> Result<(), TaskFailure> {
        self.token.cancelled().await;
        let drained = timeout(SHUTDOWN_DEADLINE, self.all_ended()).await.is_ok();
        let mut state = self.shared.lock();
        state.closed = true;
        if !drained {
            let tasks = state.running.values().map(|running| running.name.to_string()).collect();
            for abort in state.running.values().filter_map(|running| running.abort.as_ref()) {
                abort.abort();
            }
            state.failure.get_or_insert(TaskFailure::Overdue { tasks });
        }
        state.failure.take().map_or(Ok(()), Err)
    }

    async fn all_ended(&self) {
        loop {
            let changed = self.shared.changed.notified();
            if self.shared.lock().running.is_empty() {
                return;
            }
            changed.await;
        }
    }
}

impl State {
    fn enter(&mut self, name: Cow<'static, str>, abort: Option<AbortHandle>) {
        self.running.insert(self.next, Running { name, abort });
        self.next += 1;
    }
}

/// Reports the end of a task.
struct Ending {
    group: Tasks,
    id: u64,
    name: Cow<'static, str>,
}

impl Ending {
    fn report(self, outcome: Result<Result<(), TaskError>, Box<dyn Any + Send>>) {
        let failure = match outcome {
            Ok(Ok(())) => None,
            Ok(Err(source)) => {
                tracing::error!(task = %self.name, error = %Chain(&*source), "task failed");
                Some(TaskFailure::Failed { task: self.name, source })
            }
            Err(panic) => {
                let message = panic_message(&*panic);
                tracing::error!(task = %self.name, message, "task panicked");
                Some(TaskFailure::Panicked { task: self.name, message })
            }
        };
        let mut state = self.group.shared.lock();
        state.running.remove(&self.id);
        if let Some(failure) = failure {
            state.failure.get_or_insert(failure);
            self.group.token.cancel();
        }
        drop(state);
        self.group.shared.changed.notify_waiters();
    }
}

/// What a panic said, if it said it in words.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    if let Some(message) = panic.downcast_ref::<&str>() {
        (*message).to_owned()
    } else if let Some(message) = panic.downcast_ref::<String>() {
        message.clone()
    } else {
        "no message".to_owned()
    }
}

/// An error with its causes on one line.
#[derive(Debug)]
pub struct Chain<'a>(pub &'a (dyn Error + 'static));

impl std::fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::mpsc};

    use super::*;

    async fn until_stopped(token: CancellationToken) -> Result<(), Infallible> {
        token.cancelled().await;
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_requested_stop_ends_all_tasks_without_a_failure() {
        let tasks = Tasks::new();
        tasks.spawn("a", until_stopped(tasks.token().clone()));
        tasks.spawn("b", until_stopped(tasks.token().clone()));
        tasks.spawn("ends early", async { Ok::<_, Infallible>(()) });
        tasks.stop();
        tasks.supervise().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_stops_the_others_and_is_returned_with_its_cause() {
        let tasks = Tasks::new();
        tasks.spawn("steady", until_stopped(tasks.token().clone()));
        tasks.spawn("miner", async { Err(io::Error::other("out of luck")) });
        let failure = tasks.supervise().await.unwrap_err();
        assert_eq!(Chain(&failure).to_string(), "task miner failed: out of luck");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_stops_the_others_and_its_message_is_returned() {
        let tasks = Tasks::new();
        tasks.spawn("steady", until_stopped(tasks.token().clone()));
        tasks.spawn("store", async {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "index is broken");
            Ok::<_, Infallible>(())
        });
        let failure = tasks.supervise().await.unwrap_err();
        assert_eq!(failure.to_string(), "task store panicked: index is broken");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_a_task_for_one_caller_ends_that_one_only() {
        let tasks = Tasks::new();
        let (made, answer) = tokio::sync::oneshot::channel::<()>();
        tasks.spawn_for_caller("one caller", async move {
            tokio::task::yield_now().await;
            assert!(std::hint::black_box(false), "what nobody thought of");
            let _ = made.send(());
        });
        answer.await.unwrap_err();
        assert!(!tasks.token().is_cancelled(), "the others go on");
        tasks.stop();
        tasks.supervise().await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_wins_over_those_that_follow_from_it() {
        let tasks = Tasks::new();
        let token = tasks.token().clone();
        tasks.spawn("second", async move {
            token.cancelled().await;
            Err(io::Error::other("could not finish"))
        });
        tasks.spawn("first", async { Err(io::Error::other("root cause")) });
        assert_eq!(Chain(&tasks.supervise().await.unwrap_err()).to_string(), "task first failed: root cause");
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_dropped_at_the_deadline_and_named() {
        let tasks = Tasks::new();
        let (held, dropped) = mpsc::channel::<()>();
        tasks.spawn("deaf", async move {
            let _held = held;
            std::future::pending::<Result<(), Infallible>>().await
        });
        tasks.stop();
        let start = tokio::time::Instant::now();
        let failure = tasks.clone().supervise().await.unwrap_err();
        assert_eq!(start.elapsed(), SHUTDOWN_DEADLINE);
        assert_eq!(failure.to_string(), "after 5 s these tasks were still running: deaf");
        tokio::task::yield_now().await;
        assert_eq!(dropped.try_recv(), Err(mpsc::TryRecvError::Disconnected));
        tasks.spawn("too late", async { Err(io::Error::other("never runs")) });
        assert!(tasks.shared.lock().running.len() == 1);
    }

    #[tokio::test]
    async fn a_thread_is_supervised_as_a_task_is() {
        let tasks = Tasks::new();
        let (stopped, was_stopped) = mpsc::channel();
        let token_seen = stopped.clone();
        tasks
            .spawn_thread("writer", move |token| {
                while !token.is_cancelled() {
                    std::thread::yield_now();
                }
                token_seen.send("writer ended").map_err(|_| io::Error::other("nobody listens"))
            })
            .unwrap();
        tasks.spawn_thread("failing", |_| Err(io::Error::other("disk failed"))).unwrap();
        let failure = tasks.supervise().await.unwrap_err();
        assert_eq!(Chain(&failure).to_string(), "task failing failed: disk failed");
        assert_eq!(was_stopped.try_recv(), Ok("writer ended"));
        drop(stopped);
    }
}
