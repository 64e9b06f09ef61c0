//! When a call is tried again, and after which pause.

use std::time::Duration;

use rand_core::{OsRng, RngCore as _};

/// How often and for how long a call is tried again. Every method may be: the same transfer handed in twice is one
/// transfer, and everything else only reads.
///
/// | what went wrong | what follows |
/// |---|---|
/// | nobody there, a line that broke, `UNAVAILABLE`, no answer in time, `DEADLINE_EXCEEDED` | another node at once; without one, this one after a pause |
/// | `RESOURCE_EXHAUSTED` with `RetryInfo` | another node at once; without one, this one after the time that it named |
/// | `INTERNAL`, a malformed or false answer, a port that is not the API's, another network, `BLOCK_PRUNED`, `TRANSACTION_INDEX_OFF` | each other node once; never this one again |
/// | `INVALID_ARGUMENT`, `FAILED_PRECONDITION`, `NOT_FOUND`, `OUT_OF_RANGE`, `REQUEST_TOO_LARGE` | nothing: any node would say the same |
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Most attempts at a call, the first one counted; at least 1.
    pub attempts: u32,
    /// Most time for all attempts and pauses together. No pause begins that would end behind it.
    pub total: Duration,
    /// The first pause; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause, unless a node asks for more.
    pub longest_pause: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            total: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
        }
    }
}

impl RetryPolicy {
    /// One attempt, whatever happens.
    #[must_use]
    pub fn never() -> Self {
        Self { attempts: 1, ..Self::default() }
    }

    /// The pause before attempt number `failures + 1`, between half of the step and all of it, so that many clients
    /// that failed together do not come back together.
    pub(crate) fn pause(&self, failures: u32) -> Duration {
        let step = self.first_pause.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(self.longest_pause);
        jitter(step)
    }
}

/// Between half of a time and all of it.
pub(crate) fn jitter(time: Duration) -> Duration {
    let share = f64::from(OsRng.next_u32()) / f64::from(u32::MAX);
    time.mul_f64(share.mul_add(0.5, 0.5))
}

/// What an error means for the next attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Any node would say the same.
    Final,
    /// Another node may do better; this one will not.
    Elsewhere,
    /// Another node, or this one after a pause, at least as long as it asked for.
    Again(Option<Duration>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_never_below_half() {
        let policy = RetryPolicy::default();
        for (failures, full) in [(1, 100), (2, 200), (3, 400), (6, 3_200), (7, 5_000), (400, 5_000)] {
            let full = Duration::from_millis(full);
            for _ in 0..50 {
                let pause = policy.pause(failures);
                assert!(pause >= full / 2 && pause <= full, "{failures}: {pause:?}");
            }
        }
    }

    #[test]
    fn two_clients_do_not_pause_for_the_same_time() {
        let policy = RetryPolicy::default();
        let pauses: std::collections::BTreeSet<_> = (0..50).map(|_| policy.pause(5)).collect();
        assert!(pauses.len() > 10, "{pauses:?}");
    }
}
