//! The life of the process: builds the runtime, starts the node, waits for its end or a signal.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::runtime::{Builder, Runtime};

use crate::{
    config::Config,
    env::Env,
    node::{Node, StartError},
    signals::{Signals, StopSignal},
    tasks::TaskFailure,
};

/// Why the program ended other than by one request to stop.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The system gives no threads or signal handlers.
    #[error("the runtime cannot be set up")]
    Runtime(#[source] io::Error),
    /// The node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The node stopped because a part of it failed.
    #[error(transparent)]
    Failed(#[from] TaskFailure),
    /// A second signal came while the node drained.
    #[error("stopped at once by a second signal, {}", .0.name())]
    Interrupted(StopSignal),
}

impl RunError {
    /// The exit code: as the shell has it after a signal, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Interrupted(signal) => signal.exit_code(),
            Self::Runtime(_) | Self::Start(_) | Self::Failed(_) => 1,
        }
    }
}

/// Every segment of the block log and every connection is an open file; the usual soft limit of 1,024 is for programs that
/// use `select`, and would be used up by a chain of 120 GiB.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum
        && let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit })
    {
        tracing::warn!(%error, soft = limit.current, hard = limit.maximum, "the limit of open files stays as it is");
    }
}

/// Runs a node until it fails or SIGTERM or SIGINT asks it to stop; a second signal ends it at once.
///
/// # Errors
/// See [`RunError`].
pub fn run(config: Config) -> Result<(), RunError> {
    raise_file_limit();
    let env = Env::system().map_err(RunError::Runtime)?;
    let runtime = Builder::new_multi_thread().enable_all().thread_name("async").build().map_err(RunError::Runtime)?;
    let outcome = runtime.block_on(async {
        let mut signals = Signals::new().map_err(RunError::Runtime)?;
        tokio::select! {
            biased;
            node = Node::start(config, env) => until_stopped(node?, signals).await,
            signal = signals.next() => {
                tracing::info!(signal = signal.name(), "stopped while starting");
                Ok(())
            }
        }
    });
    // Every task had its deadline; what still blocks a thread now would block for ever.
    Runtime::shutdown_background(runtime);
    outcome
}

async fn until_stopped(node: Node, mut signals: Signals) -> Result<(), RunError> {
    let tasks = node.tasks().clone();
    let mut ended = Box::pin(node.wait());
    tokio::select! {
        biased;
        // By the operator on the admin socket, or by a failure.
        outcome = &mut ended => {
            outcome?;
            tracing::info!("stopped");
            return Ok(());
        }
        signal = signals.next() => {
            tracing::info!(signal = signal.name(), "stopping; a second signal stops at once");
            tasks.stop();
        }
    }
    tokio::select! {
        biased;
        outcome = &mut ended => {
            tracing::info!("stopped");
            Ok(outcome?)
        }
        signal = signals.next() => Err(RunError::Interrupted(signal)),
    }
}
