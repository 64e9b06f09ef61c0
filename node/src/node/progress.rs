//! Progress of opening the chain, as lines of the log: now and then, so that nobody thinks that the node hangs.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use crate::{env::Env, store::Progress};

/// Time between two lines.
const EVERY: Duration = Duration::from_secs(2);

/// Decides when a line is due.
pub(crate) struct Shown<'a> {
    env: &'a Env,
    due: Mutex<Duration>,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(env: &'a Env) -> Self {
        Self { env, due: Mutex::new(env.clock().elapsed().saturating_add(EVERY)) }
    }

    pub(crate) fn log(&self, progress: Progress) {
        let now = self.env.clock().elapsed();
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if now < *due {
            return;
        }
        *due = now.saturating_add(EVERY);
        match progress {
            Progress::Indexing { done, total } => {
                tracing::info!(done_mib = done >> 20, total_mib = total >> 20, "reading the block log into the index");
            }
            Progress::Replaying { height, tip } => {
                tracing::info!(%height, %tip, "executing blocks again behind the last checkpoint");
            }
        }
    }
}
