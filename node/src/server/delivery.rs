//! How far an answer was taken by its client: what a stream asks that must not wait for one who takes nothing.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What one call's client has taken of its answer. In the extensions of the request of a stream.
#[derive(Clone, Debug)]
pub struct Delivery {
    waiting: Arc<Mutex<Waiting>>,
    limit: Duration,
}

#[derive(Debug)]
struct Waiting {
    /// Pieces of the answer that are not sent yet.
    pieces: usize,
    /// When the client last took one, or the first of these came to wait.
    since: Instant,
}

/// Where the answer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Whether something waits for the client.
    pub waits: bool,
    /// Since when the client has taken nothing, if something waits; else when it last took something.
    pub since: Instant,
}

impl Delivery {
    /// Of an answer of which nothing was made yet, for a client that may take nothing for so long.
    pub(super) fn new(limit: Duration) -> Self {
        Self { waiting: Arc::new(Mutex::new(Waiting { pieces: 0, since: Instant::now() })), limit }
    }

    /// Of an answer that no listener carries.
    #[cfg(test)]
    pub(crate) fn for_tests(limit: Duration) -> Self {
        Self::new(limit)
    }

    /// How long the client may take nothing.
    #[must_use]
    pub const fn limit(&self) -> Duration {
        self.limit
    }

    /// Where the answer stands.
    #[must_use]
    pub fn taken(&self) -> Taken {
        let waiting = self.lock();
        Taken { waits: waiting.pieces > 0, since: waiting.since }
    }

    /// Notes that a piece waits to be sent, until the guard is dropped.
    pub(super) fn piece(&self) -> WaitingPiece {
        let mut waiting = self.lock();
        if waiting.pieces == 0 {
            waiting.since = Instant::now();
        }
        waiting.pieces += 1;
        drop(waiting);
        WaitingPiece(self.clone())
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A piece that waits to be sent.
#[derive(Debug)]
pub(super) struct WaitingPiece(Delivery);

impl Drop for WaitingPiece {
    fn drop(&mut self) {
        let mut waiting = self.0.lock();
        waiting.pieces -= 1;
        waiting.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_one_of_many_pieces_has_taken_something() {
        let delivery = Delivery::new(Duration::from_secs(20));
        let second = Duration::from_secs(1);
        let (first, last) = (delivery.piece(), delivery.piece());
        let start = Instant::now();
        tokio::time::advance(second).await;
        assert_eq!(delivery.taken(), Taken { waits: true, since: start });
        drop(first);
        assert_eq!(delivery.taken(), Taken { waits: true, since: start + second });
        tokio::time::advance(second).await;
        drop(last);
        assert_eq!(delivery.taken(), Taken { waits: false, since: start + second * 2 });
        tokio::time::advance(second).await;
        let _piece = delivery.piece();
        assert_eq!(delivery.taken(), Taken { waits: true, since: start + second * 3 });
    }
}
