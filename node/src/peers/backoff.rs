//! How long to wait before the next attempt.

use std::time::Duration;

/// Doubles from a first delay to a longest one; jitter keeps many nodes from coming back in step.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// For peers that are to be kept connected: 250 ms to 30 s.
    pub(super) const fn for_kept_peers() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(30))
    }

    pub(super) const fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// The delay after one more failure. `jitter` is in [0, 1); the delay is between half and all of the step's.
    pub(super) fn next(&mut self, jitter: f64) -> Duration {
        let delay = delay(self.first, self.longest, self.failures, jitter);
        self.failures = self.failures.saturating_add(1);
        delay
    }

    /// After a success the first delay comes again.
    pub(super) const fn reset(&mut self) {
        self.failures = 0;
    }
}

/// The delay after so many earlier failures.
pub(super) fn delay(first: Duration, longest: Duration, earlier_failures: u32, jitter: f64) -> Duration {
    let factor = 1_u32.checked_shl(earlier_failures).unwrap_or(u32::MAX);
    let step = first.saturating_mul(factor).min(longest);
    step.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn it_doubles_from_a_quarter_of_a_second_to_half_a_minute_and_starts_again_after_a_success() {
        let mut backoff = Backoff::for_kept_peers();
        let delays: Vec<u128> = (0..9).map(|_| backoff.next(1.0).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        backoff.reset();
        assert_eq!(backoff.next(1.0), Duration::from_millis(250));
    }

    proptest! {
        #[test]
        fn jitter_stays_within_half_of_the_step(failures: u32, jitter in 0.0..1.0_f64) {
            let (first, longest) = (Duration::from_millis(250), Duration::from_secs(30));
            let full = delay(first, longest, failures, 1.0);
            let found = delay(first, longest, failures, jitter);
            prop_assert!(found >= full / 2 && found <= full, "{found:?} of {full:?}");
            prop_assert!(full <= longest);
        }
    }
}
