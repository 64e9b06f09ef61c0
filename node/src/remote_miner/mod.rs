//! A miner for a node elsewhere: templates come over its public API, solved headers go back.
//!
//! Lost connections are made again with growing pauses; a block that was found meanwhile is handed in first. Only what
//! no waiting helps, such as an address of another network, ends it.

mod session;

use std::{io, time::Duration};

use tokio::{runtime::Builder, time::sleep};
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use self::session::{Session, SessionEnd};
use crate::{
    config::RemoteMining,
    env::Env,
    miner::Searchers,
    signals::Signals,
    tasks::{TaskFailure, Tasks},
};

/// The first pause before a connection is tried again; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why the miner ended other than by a signal.
#[derive(Debug, thiserror::Error)]
pub enum RemoteMinerError {
    /// The system gives no threads or signal handlers.
    #[error("the runtime cannot be set up")]
    Runtime(#[source] io::Error),
    /// The node says that it will never work.
    #[error("the node refuses: {}", .0.message())]
    Refused(Box<Status>),
    /// A part of the miner failed.
    #[error(transparent)]
    Failed(#[from] TaskFailure),
}

/// Mines until SIGTERM or SIGINT, or until the node refuses for good.
///
/// # Errors
/// See [`RemoteMinerError`].
pub fn run(mining: RemoteMining) -> Result<(), RemoteMinerError> {
    let env = Env::system().map_err(RemoteMinerError::Runtime)?;
    let runtime =
        Builder::new_multi_thread().worker_threads(1).enable_all().build().map_err(RemoteMinerError::Runtime)?;
    runtime.block_on(async {
        let mut signals = Signals::new().map_err(RemoteMinerError::Runtime)?;
        let tasks = Tasks::new();
        let searchers = Searchers::start(&tasks, env.clone(), mining.threads).map_err(RemoteMinerError::Runtime)?;
        let refused = tokio::select! {
            biased;
            signal = signals.next() => {
                tracing::info!(signal = signal.name(), "stopping");
                None
            }
            // A thread has failed: what went wrong is told below.
            () = tasks.token().cancelled() => None,
            status = mine(&env, &searchers, &mining) => Some(status),
        };
        tasks.stop();
        tasks.supervise().await?;
        refused.map_or(Ok(()), |status| Err(RemoteMinerError::Refused(Box::new(status))))
    })
}

/// Mines until the node refuses for good.
pub(crate) async fn mine(env: &Env, searchers: &Searchers, mining: &RemoteMining) -> Status {
    tracing::info!(node = %mining.node, to = %mining.address, threads = searchers.threads(), "mining");
    let mut session = Session::new(env, searchers, mining);
    let mut pause = FIRST_PAUSE;
    loop {
        let end = session.run().await;
        let wait = match &end {
            SessionEnd::Lost { served, .. } if *served => FIRST_PAUSE,
            SessionEnd::Refused(status) if is_final(status.code()) => return (**status).clone(),
            // A node that knows when to come again says so.
            SessionEnd::Refused(status) => told(status).unwrap_or(pause).max(pause),
            SessionEnd::Lost { .. } => pause,
        };
        pause = wait.saturating_mul(2).min(LONGEST_PAUSE);
        // Spread, so that the miners of a node that comes back do not come all at once.
        let wait = wait.mul_f64(1.0 + env.random().fraction() / 2.0);
        tracing::warn!(reason = %end, retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX), "no templates");
        sleep(wait).await;
    }
}

/// Whether the same request will never be served.
const fn is_final(code: Code) -> bool {
    matches!(
        code,
        Code::InvalidArgument | Code::Unimplemented | Code::PermissionDenied | Code::Unauthenticated | Code::NotFound
    )
}

fn told(status: &Status) -> Option<Duration> {
    status.get_details_retry_info()?.retry_delay.map(|delay| delay.min(LONGEST_PAUSE))
}
