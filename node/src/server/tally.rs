//! Tells the operator what strangers make a listener do now and then, not each time: they decide how often it happens.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// It is told no more often than this.
const EVERY: Duration = Duration::from_secs(60);

/// Counts what is told later. Clones share the count.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    told: Option<Instant>,
    untold: u64,
}

impl Tally {
    /// Notes one more. How many there were that nobody was told of, if it is time to tell.
    pub(super) fn note(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        state.untold += 1;
        if state.told.is_some_and(|told| now < told + EVERY) {
            return None;
        }
        state.told = Some(now);
        Some(std::mem::take(&mut state.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_told_at_once_and_later_ones_together() {
        let tally = Tally::default();
        assert_eq!(tally.note(), Some(1));
        tokio::time::advance(EVERY - Duration::from_millis(1)).await;
        assert_eq!([tally.note(), tally.clone().note()], [None, None]);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(tally.note(), Some(3));
        assert_eq!(tally.note(), None);
    }
}
