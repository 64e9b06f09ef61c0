//! What each source has made the node do for nothing.

use std::{num::NonZeroUsize, time::Duration};

use lru::LruCache;

use super::{Rejection, Source};

/// Signatures that a source may have verified in vain at once.
const BURST: u64 = 200;
/// Time after which one of them is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_millis(50);
/// Sources remembered.
const SOURCES: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// A leaky bucket for each peer. The public API has none here: its clients cannot be told apart, so one would lock out
/// all others; it limits them by address.
#[derive(Debug)]
pub(super) struct Budgets(LruCache<Source, Duration>);

impl Budgets {
    pub(super) fn new() -> Self {
        Self(LruCache::new(SOURCES))
    }

    /// # Errors
    /// [`Rejection::SourceLimited`] while the source has no more credit.
    pub(super) fn check(&self, source: Source, now: Duration) -> Result<(), Rejection> {
        let Some(empty_at) = self.0.peek(&source) else { return Ok(()) };
        let full_at = FORGIVEN_AFTER.saturating_mul(u32::try_from(BURST).unwrap_or(u32::MAX));
        let wait = empty_at.saturating_sub(now).saturating_sub(full_at);
        if wait.is_zero() {
            return Ok(());
        }
        Err(Rejection::SourceLimited { retry_after_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1) })
    }

    /// Notes signatures verified in vain.
    pub(super) fn charge(&mut self, source: Source, wasted: usize, now: Duration) {
        if wasted == 0 || !matches!(source, Source::Peer(_)) {
            return;
        }
        let cost = FORGIVEN_AFTER.saturating_mul(u32::try_from(wasted).unwrap_or(u32::MAX));
        let empty_at = self.0.get(&source).copied().unwrap_or(now).max(now);
        self.0.put(source, empty_at.saturating_add(cost));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::SessionId;

    #[test]
    fn a_peer_that_wastes_work_is_limited_for_a_while_and_others_are_not() {
        let mut budgets = Budgets::new();
        let bad = Source::Peer(SessionId::new(1));
        let mut now = Duration::from_secs(5);
        budgets.charge(bad, 200, now);
        assert_eq!(budgets.check(bad, now), Ok(()));
        budgets.charge(bad, 10, now);
        assert_eq!(budgets.check(bad, now), Err(Rejection::SourceLimited { retry_after_ms: 500 }));
        assert_eq!(budgets.check(Source::Peer(SessionId::new(2)), now), Ok(()));
        now += Duration::from_millis(500);
        assert_eq!(budgets.check(bad, now), Ok(()));
    }

    #[test]
    fn the_public_api_is_never_limited_as_a_whole() {
        let mut budgets = Budgets::new();
        budgets.charge(Source::Rpc, 1_000_000, Duration::ZERO);
        assert_eq!(budgets.check(Source::Rpc, Duration::ZERO), Ok(()));
    }
}
