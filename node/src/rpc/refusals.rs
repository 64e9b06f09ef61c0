//! What callers have made the node verify for nothing: a leaky bucket for each network of theirs.
//!
//! The mempool counts the same for each peer. It cannot tell the clients of this API apart; their addresses are known
//! here only.

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use lru::LruCache;

use super::ApiError;
use crate::{
    env::{Env, prefix},
    mempool::Rejection,
};

/// Signatures that a network may have verified in vain at once.
const BURST: u32 = 200;
/// Time after which one of them is forgiven.
const FORGIVEN_AFTER: Duration = Duration::from_millis(50);
/// Longest that a network is refused: behind one address there may be honest clients too.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Networks remembered.
const NETWORKS: NonZeroUsize = NonZeroUsize::new(1_024).expect("not zero");

/// The buckets, each as the time at which it is empty again.
#[derive(Debug)]
pub(super) struct Refusals(Mutex<LruCache<[u8; 8], Duration>>);

impl Refusals {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(NETWORKS)))
    }

    /// The bucket of a caller. The own machine has none: who is on it can do worse.
    pub(super) fn of(self: &Arc<Self>, caller: Option<SocketAddr>) -> Credit {
        let host = caller.map(|address| address.ip().to_canonical()).filter(|host: &IpAddr| !host.is_loopback());
        Credit { refusals: Arc::clone(self), network: host.map(prefix) }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<[u8; 8], Duration>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one caller may still do.
#[derive(Debug, Clone)]
pub(super) struct Credit {
    refusals: Arc<Refusals>,
    network: Option<[u8; 8]>,
}

impl Credit {
    /// # Errors
    /// `SOURCE_LIMITED` while the caller has none. `now` is the steady clock's time.
    pub(super) fn check(&self, now: Duration) -> Result<(), ApiError> {
        let Some(network) = &self.network else { return Ok(()) };
        let empty_at = self.refusals.lock().peek(network).copied().unwrap_or_default();
        let wait = empty_at.saturating_sub(now).saturating_sub(FORGIVEN_AFTER * BURST);
        if wait.is_zero() {
            return Ok(());
        }
        let retry_after_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX).max(1);
        Err(Rejection::SourceLimited { retry_after_ms }.into())
    }

    /// Notes signatures verified in vain when they have been, wherever that is.
    pub(super) fn charging(&self, env: &Env) -> impl FnOnce(usize) + Send + 'static {
        let (credit, clock) = (self.clone(), Arc::clone(env.clock()));
        move |wasted| credit.charge(wasted, clock.elapsed())
    }

    /// Notes signatures verified in vain.
    fn charge(&self, wasted: usize, now: Duration) {
        let Some(network) = self.network.filter(|_| wasted > 0) else { return };
        let cost = FORGIVEN_AFTER.saturating_mul(u32::try_from(wasted).unwrap_or(u32::MAX));
        let most = now.saturating_add(FORGIVEN_AFTER * BURST).saturating_add(LONGEST_WAIT);
        let mut buckets = self.refusals.lock();
        let empty_at = buckets.get(&network).copied().unwrap_or(now).max(now);
        buckets.put(network, empty_at.saturating_add(cost).min(most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rpc::Reason;

    #[test]
    fn a_network_that_wastes_work_is_limited_for_a_while_and_others_are_not() {
        let refusals = Arc::new(Refusals::new());
        let of = |text: &str| refusals.of(Some(text.parse().unwrap()));
        let mut now = Duration::from_secs(5);
        of("192.0.2.1:1").charge(200, now);
        assert_eq!(of("192.0.2.1:1").check(now), Ok(()));
        of("192.0.2.2:2").charge(10, now);
        let error = of("[::ffff:192.0.2.3]:3").check(now).unwrap_err();
        assert_eq!(error.reason(), Reason::SourceLimited);
        assert_eq!(of("198.51.100.1:1").check(now), Ok(()));
        now += Duration::from_millis(500);
        assert_eq!(of("192.0.2.1:1").check(now), Ok(()));
    }

    #[test]
    fn no_network_is_refused_for_longer_than_a_minute_and_the_own_machine_never() {
        let refusals = Arc::new(Refusals::new());
        for address in ["192.0.2.1:1", "127.0.0.1:1", "[::1]:1"] {
            refusals.of(Some(address.parse().unwrap())).charge(usize::MAX, Duration::ZERO);
        }
        let check = |address: &str, now| refusals.of(Some(address.parse().unwrap())).check(now).is_ok();
        assert!(!check("192.0.2.1:1", LONGEST_WAIT - Duration::from_millis(1)));
        assert!(check("192.0.2.1:1", LONGEST_WAIT));
        assert!(check("127.0.0.1:1", Duration::ZERO) && check("[::1]:1", Duration::ZERO));
    }
}
