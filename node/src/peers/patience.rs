//! How long an answer with headers or a body may take. Where nobody answers in time it is this node's own link that is
//! slow: were it to part with every peer for that, it would never catch up. So it waits longer then, as Bitcoin Core does
//! (`BLOCK_STALLING_TIMEOUT_MAX`).

use std::{sync::Mutex, time::Duration};

use tokio::time::timeout;

use super::{
    limits::{ANSWER_DEADLINE, MAX_PATIENCE},
    remote::PullError,
    session::lock,
};

/// What is left of it after each body that came.
const REGAINED: f64 = 0.85;

/// Shared by all sessions: a mute peer among others that answer changes it little, and for a moment.
#[derive(Debug)]
pub(super) struct Patience(Mutex<Duration>);

impl Default for Patience {
    fn default() -> Self {
        Self(Mutex::new(ANSWER_DEADLINE))
    }
}

impl Patience {
    /// Waits for a piece of an answer.
    pub(super) async fn wait<T>(&self, piece: impl Future<Output = Result<T, PullError>>) -> Result<T, PullError> {
        let patience = *lock(&self.0);
        match timeout(patience, piece).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                let mut next = lock(&self.0);
                // Twice what was not enough, however many sessions find that out together.
                *next = (patience * 2).min(MAX_PATIENCE).max(*next);
                Err(PullError::Stalled)
            }
        }
    }

    /// A body came.
    pub(super) fn rewarded(&self) {
        let mut patience = lock(&self.0);
        *patience = patience.mul_f64(REGAINED).max(ANSWER_DEADLINE);
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;

    async fn waits(patience: &Patience) -> u64 {
        let start = Instant::now();
        let outcome = patience.wait(std::future::pending::<Result<(), _>>()).await;
        assert!(matches!(outcome, Err(PullError::Stalled)));
        start.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn each_wait_in_vain_doubles_the_next_one_up_to_a_minute_and_bodies_bring_it_back() {
        let patience = Patience::default();
        for expected in [5, 10, 20, 40, 60, 60] {
            assert_eq!(waits(&patience).await, expected);
        }
        for _ in 0..16 {
            patience.rewarded();
        }
        assert_eq!(waits(&patience).await, 5);
        patience.rewarded();
        assert_eq!(waits(&patience).await, 8, "8.5 s, for one body is not many");
    }

    #[tokio::test(start_paused = true)]
    async fn many_that_wait_in_vain_at_the_same_time_double_it_once() {
        let patience = Patience::default();
        tokio::join!(waits(&patience), waits(&patience), waits(&patience));
        assert_eq!(waits(&patience).await, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_late_by_the_first_measure_is_taken_by_the_second() {
        let patience = Patience::default();
        let slow = async || {
            sleep(Duration::from_secs(8)).await;
            Ok::<_, PullError>(1)
        };
        assert!(matches!(patience.wait(slow()).await, Err(PullError::Stalled)));
        assert!(matches!(patience.wait(slow()).await, Ok(1)));
    }
}
