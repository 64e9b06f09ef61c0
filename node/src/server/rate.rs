//! Token buckets: how much of something may be had, so much at once and so much a second after that.

use std::time::Duration;

use tokio::time::Instant;

/// How much may be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// So much comes back every second; at least 1.
    pub per_second: u64,
    /// So much may be had at once, after a pause that was long enough.
    pub burst: u64,
}

impl Rate {
    /// How long it takes until so much has come back.
    fn time_of(self, amount: u64) -> Duration {
        let nanos = u128::from(amount) * 1_000_000_000 / u128::from(self.per_second.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// What is left of a [`Rate`]: one instant, and nothing that runs. What something costs is often known only when it is
/// done, so a bucket may owe; nobody gets anything from it until that is paid back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bucket {
    /// When it is full again; full if that is over, or never was less.
    full_at: Option<Instant>,
}

impl Bucket {
    /// One from which nothing was taken.
    pub(crate) const NEW: Self = Self { full_at: None };

    /// How long to wait until there is something to be had; zero if there is now.
    pub(crate) fn wait(&self, rate: Rate, now: Instant) -> Duration {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        (missing + rate.time_of(1)).saturating_sub(rate.time_of(rate.burst))
    }

    /// Whether there is as much as there ever is.
    pub(crate) fn is_full(&self, now: Instant) -> bool {
        self.full_at.is_none_or(|at| at <= now)
    }

    /// Takes so much that there is nothing to be had for so long, whatever there was.
    pub(crate) fn block(&mut self, wait: Duration, rate: Rate, now: Instant) {
        let full_at = now + wait + rate.time_of(rate.burst).saturating_sub(rate.time_of(1));
        self.full_at = self.full_at.max(Some(full_at));
    }

    /// How much of a burst is used up, in percent; more than 100 if it owes.
    pub(crate) fn used_percent(&self, rate: Rate, now: Instant) -> u64 {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let percent = missing.as_nanos() * 100 / rate.time_of(rate.burst).as_nanos().max(1);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// How much was taken and has not come back, rounded up.
    #[cfg(test)]
    pub(crate) fn taken(&self, rate: Rate, now: Instant) -> u64 {
        let missing = self.full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        u64::try_from(missing.as_nanos().div_ceil(rate.time_of(1).as_nanos())).unwrap()
    }

    /// Takes so much, even if there is less.
    pub(crate) fn take(&mut self, amount: u64, rate: Rate, now: Instant) {
        let from = self.full_at.map_or(now, |at| at.max(now));
        self.full_at = Some(from + rate.time_of(amount));
    }

    /// Puts back what was taken and not used.
    pub(crate) fn put_back(&mut self, amount: u64, rate: Rate) {
        self.full_at = self.full_at.and_then(|at| at.checked_sub(rate.time_of(amount)));
    }

    /// Takes one, if there is one.
    pub(crate) fn try_take(&mut self, rate: Rate, now: Instant) -> bool {
        let there_is = self.wait(rate, now).is_zero();
        if there_is {
            self.take(1, rate, now);
        }
        there_is
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RATE: Rate = Rate { per_second: 10, burst: 5 };

    #[tokio::test(start_paused = true)]
    async fn a_burst_at_once_then_one_each_time_one_has_come_back() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        assert_eq!((0..9).filter(|_| bucket.try_take(RATE, start)).count(), 5);
        let wait = bucket.wait(RATE, start);
        assert_eq!(wait, Duration::from_millis(100));
        let early = start + wait - Duration::from_nanos(1);
        assert!(!bucket.try_take(RATE, early), "the wait is exact");
        assert!(bucket.try_take(RATE, start + wait));
        assert!(!bucket.try_take(RATE, start + wait));
        let later = start + Duration::from_secs(60);
        assert_eq!((0..9).filter(|_| bucket.try_take(RATE, later)).count(), 5, "a pause gives no more than a burst");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_beyond_what_there_was_is_waited_for() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.take(1, RATE, start);
        assert_eq!(bucket.used_percent(RATE, start), 20);
        bucket.take(24, RATE, start);
        assert_eq!(bucket.used_percent(RATE, start), 500);
        assert_eq!(bucket.wait(RATE, start), Duration::from_millis(2_100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_put_back_can_be_had_and_never_more_than_a_burst() {
        let (mut bucket, start) = (Bucket::default(), Instant::now());
        bucket.take(25, RATE, start);
        bucket.put_back(21, RATE);
        assert_eq!((bucket.used_percent(RATE, start), bucket.wait(RATE, start)), (80, Duration::ZERO));
        bucket.put_back(1_000, RATE);
        assert_eq!((0..9).filter(|_| bucket.try_take(RATE, start)).count(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn a_blocked_bucket_has_nothing_for_so_long_and_is_full_a_burst_later() {
        let (mut bucket, start, wait) = (Bucket::default(), Instant::now(), Duration::from_secs(7));
        assert!(bucket.is_full(start));
        bucket.block(wait, RATE, start);
        bucket.block(Duration::from_secs(1), RATE, start);
        assert_eq!(bucket.wait(RATE, start), wait, "the longest counts");
        assert!(!bucket.is_full(start + wait) && bucket.is_full(start + wait + Duration::from_millis(400)));
    }

    proptest! {
        #[test]
        fn nobody_gets_more_than_a_burst_and_what_came_back(
            per_second in 1_u64..2_000, burst in 1_u64..500, gaps in prop::collection::vec(0_u64..20_000_000, 1..800),
        ) {
            let rate = Rate { per_second, burst };
            let start = Instant::now();
            let (mut bucket, mut now, mut taken) = (Bucket::default(), start, 0_u128);
            for gap in gaps {
                now += Duration::from_nanos(gap);
                taken += u128::from(bucket.try_take(rate, now));
                let most = u128::from(burst) + (now - start).as_nanos() * u128::from(per_second) / 1_000_000_000;
                // Times are whole nanoseconds: each call may be charged up to one too few.
                prop_assert!(taken <= most + 1, "{taken} of {most}");
            }
        }
    }
}
