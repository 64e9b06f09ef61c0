//! Time: what the wall clock says, and how long the program runs.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use farthing::TimeMs;

/// A clock. Timers are tokio's; this answers what time it is.
pub trait Clock: fmt::Debug + Send + Sync {
    /// What the wall clock says. It may jump; only block times and what people read are made of it.
    fn now(&self) -> TimeMs;

    /// Time since the clock was made; never goes back. For durations, rates and backoff.
    fn elapsed(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    start: Instant,
}

impl SystemClock {
    /// Starts counting.
    #[expect(clippy::disallowed_methods, reason = "this is where the monotonic clock enters")]
    pub fn new() -> Self {
        Self { start: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is where the wall clock enters")]
    fn now(&self) -> TimeMs {
        // A clock set before 1970 reads as 1970: every block is then too far in the future, which the log will say.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimeMs::new(milliseconds(since_epoch))
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// A clock that stands still until it is moved. Clones share the hands.
#[derive(Clone, Debug)]
pub struct ManualClock {
    hands: Arc<Mutex<Hands>>,
}

#[derive(Debug)]
struct Hands {
    wall: TimeMs,
    elapsed: Duration,
}

impl ManualClock {
    /// A clock that says `now`.
    pub fn new(now: TimeMs) -> Self {
        Self { hands: Arc::new(Mutex::new(Hands { wall: now, elapsed: Duration::ZERO })) }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut hands = self.lock();
        hands.wall = hands.wall.saturating_add(milliseconds(by));
        hands.elapsed += by;
    }

    /// Sets the wall clock, as an operator or a time server may; no time passes.
    pub fn set_wall(&self, now: TimeMs) {
        self.lock().wall = now;
    }

    fn lock(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> TimeMs {
        self.lock().wall
    }

    fn elapsed(&self) -> Duration {
        self.lock().elapsed
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manual_clock_moves_only_when_told() {
        let clock = ManualClock::new(TimeMs::new(1_000));
        let seen_by_another = clock.clone();
        clock.advance(Duration::from_millis(250));
        assert_eq!(seen_by_another.now(), TimeMs::new(1_250));
        clock.set_wall(TimeMs::new(5));
        assert_eq!(seen_by_another.now(), TimeMs::new(5));
        assert_eq!(seen_by_another.elapsed(), Duration::from_millis(250));
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written_and_does_not_go_back() {
        let clock = SystemClock::new();
        assert!(clock.now() > TimeMs::new(1_780_000_000_000));
        let first = clock.elapsed();
        assert!(clock.elapsed() >= first);
    }
}
