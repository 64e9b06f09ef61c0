//! What the end-to-end tests stand on: nodes in this process or in their own, on free ports, with a network that can be
//! cut or made bad, and clocks that can be set wrong; keys, transfers and blocks made by hand; and waiting for a
//! condition with a deadline.

pub(crate) mod api;
pub(crate) mod binaries;
pub(crate) mod clock;
pub(crate) mod cluster;
pub(crate) mod fabric;
pub(crate) mod gate;
pub(crate) mod keys;
pub(crate) mod ledger;
pub(crate) mod link;
#[cfg(test)]
mod link_tests;
pub(crate) mod networks;
pub(crate) mod process;
pub(crate) mod wallet;

use std::time::{Duration, Instant};

/// How long a condition may take to come true: far longer than it should, so that a loaded machine fails no test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Waits until `look` succeeds and gives what it found. Each failure says what it saw instead.
///
/// # Panics
/// When the condition has not come true in time, with what was seen last.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}; last seen: {seen}"),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// As [`eventually`], for conditions that need no awaiting.
pub(crate) async fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    eventually(what, async || look()).await
}
