//! What is being fetched, and by which session, so that nothing is fetched twice, and nothing waits for a mute peer.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::limits::MAX_CLAIMS;

/// Claims of sessions on things to fetch. A claim that is too old may be taken over.
#[derive(Debug)]
pub(super) struct Claims<K: Hash + Eq, S> {
    claims: HashMap<K, Claim<S>>,
    lasts: Duration,
    most: usize,
}

#[derive(Debug)]
struct Claim<S> {
    by: S,
    until: Duration,
}

impl<K: Hash + Eq + Copy, S: Eq + Copy> Claims<K, S> {
    /// Claims that hold for so long.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { claims: HashMap::new(), lasts, most: MAX_CLAIMS }
    }

    /// Takes the claim for a session unless another holds it.
    pub(super) fn take(&mut self, key: K, by: S, now: Duration) -> bool {
        if let Some(claim) = self.claims.get_mut(&key) {
            if claim.by != by && claim.until > now {
                return false;
            }
            *claim = Claim { by, until: now.saturating_add(self.lasts) };
            return true;
        }
        if self.claims.len() >= self.most {
            self.claims.retain(|_, claim| claim.until > now);
        }
        // Without room the thing may be fetched twice, which costs bandwidth and nothing else.
        if self.claims.len() < self.most {
            self.claims.insert(key, Claim { by, until: now.saturating_add(self.lasts) });
        }
        true
    }

    /// Gives a claim up, if the session still holds it.
    pub(super) fn release(&mut self, key: &K, by: S) {
        if self.claims.get(key).is_some_and(|claim| claim.by == by) {
            self.claims.remove(key);
        }
    }

    /// Gives up every claim of a session that ended.
    pub(super) fn release_all(&mut self, by: S) {
        self.claims.retain(|_, claim| claim.by != by);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LASTS: Duration = Duration::from_secs(2);

    #[test]
    fn a_mute_session_loses_its_claim_after_the_deadline() {
        let mut claims = Claims::new(LASTS);
        assert!(claims.take(1, 'a', Duration::ZERO));
        assert!(!claims.take(1, 'b', LASTS / 2));
        assert!(claims.take(1, 'b', LASTS));
        claims.release(&1, 'a');
        assert!(!claims.take(1, 'a', LASTS), "only its holder can give a claim up");
    }

    #[test]
    fn a_session_that_ended_holds_nothing() {
        let mut claims = Claims::new(LASTS);
        assert!(claims.take(1, 'a', Duration::ZERO) && claims.take(2, 'b', Duration::ZERO));
        claims.release_all('a');
        assert!(claims.take(1, 'b', Duration::ZERO));
        assert!(!claims.take(2, 'a', Duration::ZERO));
    }

    proptest! {
        #[test]
        fn no_two_sessions_hold_one_thing_and_the_table_is_bounded(
            steps in prop::collection::vec((0_u8..20, 0_u8..4, 0_u64..500), 1..300)
        ) {
            let mut claims = Claims { claims: HashMap::new(), lasts: LASTS, most: 8 };
            let mut now = Duration::ZERO;
            for (key, by, passes) in steps {
                now += Duration::from_millis(passes);
                let holder = claims.claims.get(&key).filter(|claim| claim.until > now).map(|claim| claim.by);
                prop_assert_eq!(claims.take(key, by, now), holder.is_none_or(|holder| holder == by));
                prop_assert!(claims.claims.len() <= 8);
            }
        }
    }
}
