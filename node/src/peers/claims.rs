//! What is being fetched, and by which session, so that nothing is fetched twice, and nothing waits for a mute peer.

use std::{collections::HashMap, hash::Hash, time::Duration};

use super::limits::MAX_CLAIMS;

/// Claims of sessions on things to fetch. A claim that is too old may be taken over.
///
/// Whoever is refused first is next: when a claim ends without the thing, it is kept for that session for as long as
/// sessions wait before they come again, or a peer that claims a thing over and over could keep it from all others.
#[derive(Debug)]
pub(super) struct Claims<K: Hash + Eq, S> {
    claims: HashMap<K, Claim<S>>,
    lasts: Duration,
    most: usize,
}

#[derive(Debug)]
struct Claim<S> {
    by: S,
    since: Duration,
    until: Duration,
    next: Option<S>,
    /// How often it was taken over since it was last free.
    taken_over: u32,
}

impl<S: Eq> Claim<S> {
    /// Whether it has ended and is another one's now, who has time to come for it.
    fn is_kept_from(&self, by: S, lasts: Duration, now: Duration) -> bool {
        let kept_until = self.until.saturating_add(lasts).saturating_add(lasts / 2);
        self.until <= now && now < kept_until && self.next.as_ref().is_some_and(|next| *next != by)
    }
}

impl<K: Hash + Eq + Copy, S: Eq + Copy> Claims<K, S> {
    /// Claims that hold for so long.
    pub(super) fn new(lasts: Duration) -> Self {
        Self { claims: HashMap::new(), lasts, most: MAX_CLAIMS }
    }

    /// Takes the claim for a session unless another holds it, or is next. A session that holds it renews it; one that is
    /// refused will be next, if it is the first.
    pub(super) fn take(&mut self, key: K, by: S, now: Duration) -> bool {
        self.take_for(key, by, now, true)
    }

    /// The same without waiting in line if refused.
    pub(super) fn take_if_free(&mut self, key: K, by: S, now: Duration) -> bool {
        self.take_for(key, by, now, false)
    }

    fn take_for(&mut self, key: K, by: S, now: Duration, in_line: bool) -> bool {
        let fresh = Claim { by, since: now, until: now.saturating_add(self.lasts), next: None, taken_over: 0 };
        if let Some(claim) = self.claims.get_mut(&key) {
            let held = claim.until > now;
            if held && claim.by == by {
                claim.until = fresh.until;
                return true;
            }
            if held || claim.is_kept_from(by, self.lasts, now) {
                if in_line {
                    claim.next.get_or_insert(by);
                }
                return false;
            }
            *claim = Claim { taken_over: claim.taken_over, ..fresh };
            return true;
        }
        if self.claims.len() >= self.most {
            self.claims.retain(|_, claim| claim.until > now);
        }
        // Without room the thing may be fetched twice, which costs bandwidth and nothing else.
        if self.claims.len() < self.most {
            self.claims.insert(key, fresh);
        }
        true
    }

    /// Renews a claim that the session still holds.
    pub(super) fn renew(&mut self, key: &K, by: S, now: Duration) {
        if let Some(claim) = self.claims.get_mut(key).filter(|claim| claim.by == by && claim.until > now) {
            claim.until = now.saturating_add(self.lasts);
        }
    }

    /// Takes over a claim that was neither taken nor renewed for so long; twice as long each further time, for over a
    /// slow link whoever held it may still be at it, and each one more makes it slower.
    pub(super) fn take_over(&mut self, key: &K, by: S, after: Duration, now: Duration) -> bool {
        self.take_over_if(key, by, now, |claim, lasts| {
            let idle = now.saturating_sub(claim.until.saturating_sub(lasts));
            idle >= after.saturating_mul(1_u32.checked_shl(claim.taken_over).unwrap_or(u32::MAX))
        })
    }

    /// Takes over a claim that was taken so long ago, renewed or not.
    pub(super) fn take_over_from_slow(&mut self, key: &K, by: S, after: Duration, now: Duration) -> bool {
        self.take_over_if(key, by, now, |claim, _| now.saturating_sub(claim.since) >= after)
    }

    fn take_over_if(
        &mut self,
        key: &K,
        by: S,
        now: Duration,
        is_due: impl FnOnce(&Claim<S>, Duration) -> bool,
    ) -> bool {
        let lasts = self.lasts;
        let Some(claim) = self.claims.get_mut(key).filter(|claim| claim.by != by) else { return false };
        let is_due = !claim.is_kept_from(by, lasts, now) && is_due(claim, lasts);
        if is_due {
            let taken_over = claim.taken_over.saturating_add(1);
            let next = claim.next.filter(|next| *next != by);
            *claim = Claim { by, since: now, until: now.saturating_add(lasts), next, taken_over };
        }
        is_due
    }

    /// Gives a claim up, if the session still holds it: to whoever is next.
    pub(super) fn release(&mut self, key: &K, by: S, now: Duration) {
        match self.claims.get_mut(key) {
            Some(claim) if claim.by == by && claim.next.is_some() => {
                claim.until = claim.until.min(now);
                claim.taken_over = 0;
            }
            Some(claim) if claim.by == by => drop(self.claims.remove(key)),
            _ => {}
        }
    }

    /// The thing is here: nobody needs to claim it any more.
    pub(super) fn settle(&mut self, key: &K) {
        self.claims.remove(key);
    }

    /// Gives up every claim of a session that ended, and its place in every line.
    pub(super) fn release_all(&mut self, by: S) {
        self.claims.retain(|_, claim| claim.by != by);
        for claim in self.claims.values_mut() {
            claim.next = claim.next.filter(|next| *next != by);
        }
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
        claims.release(&1, 'a', LASTS);
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

    #[test]
    fn a_session_that_claims_a_thing_again_and_again_in_vain_does_not_keep_it_from_others() {
        let mut claims = Claims::new(LASTS);
        let mut now = Duration::ZERO;
        assert!(claims.take(1, 'a', now));
        assert!(!claims.take(1, 'b', now));
        // It answers with nothing shortly before the deadline and claims again at once, as does a third one.
        now += LASTS - Duration::from_millis(1);
        claims.release(&1, 'a', now);
        assert!(!claims.take(1, 'a', now) && !claims.take(1, 'c', now));
        now += Duration::from_millis(500);
        assert!(claims.take(1, 'b', now), "it was refused first, so it is next");
        claims.settle(&1);
        assert!(claims.take(1, 'c', now), "and nobody's any more");
    }

    #[test]
    fn a_slow_session_that_renews_its_claim_loses_it_to_whoever_may_take_it_over() {
        let mut claims = Claims::new(LASTS);
        let after = LASTS / 2;
        assert!(claims.take(1, 'a', Duration::ZERO));
        claims.renew(&1, 'a', after - Duration::from_millis(1));
        assert!(!claims.take_over_from_slow(&1, 'b', after, after - Duration::from_millis(1)));
        assert!(!claims.take_over_from_slow(&1, 'a', after, after), "from oneself there is nothing to take");
        assert!(claims.take_over_from_slow(&1, 'b', after, after));
        claims.renew(&1, 'a', after);
        assert!(!claims.take(1, 'a', after), "renewing does not bring it back");
        assert!(!claims.take_over_from_slow(&2, 'b', after, after), "nor is there one that nobody holds");
    }

    #[test]
    fn a_look_at_what_is_free_puts_nobody_in_line() {
        let mut claims = Claims::new(LASTS);
        assert!(claims.take_if_free(1, 'a', Duration::ZERO));
        assert!(!claims.take_if_free(1, 'b', LASTS / 8));
        claims.release(&1, 'a', LASTS / 8);
        assert!(claims.take_if_free(1, 'c', LASTS / 8));
    }

    #[test]
    fn a_claim_that_was_not_renewed_for_a_while_can_be_taken_over_and_its_first_holder_has_lost_it() {
        let mut claims = Claims::new(LASTS);
        let (soon, later) = (LASTS / 4, LASTS / 2);
        assert!(!claims.take_over(&1, 'b', soon, Duration::ZERO), "nobody holds it");
        assert!(claims.take(1, 'a', Duration::ZERO) && claims.take(1, 'a', soon));
        assert!(!claims.take_over(&1, 'b', later, later), "it was renewed since");
        assert!(!claims.take_over(&1, 'a', soon, later), "it is its own");
        assert!(claims.take_over(&1, 'b', later, soon + later));
        claims.release(&1, 'a', soon + later);
        assert!(!claims.take_if_free(1, 'a', soon + later), "another one holds it now");
        assert!(!claims.take_over(&1, 'c', later, soon + later * 2), "and twice as long");
        assert!(claims.take_over(&1, 'c', later, soon + later * 3));
    }

    #[test]
    fn whoever_takes_over_does_not_pass_by_the_one_that_is_next() {
        let mut claims = Claims::new(LASTS);
        let (now, after) = (LASTS / 2, Duration::ZERO);
        assert!(claims.take(1, 'a', Duration::ZERO) && !claims.take(1, 'b', now));
        claims.release(&1, 'a', now);
        assert!(!claims.take_over(&1, 'c', after, now) && !claims.take_over_from_slow(&1, 'c', after, now));
        assert!(claims.take(1, 'b', now));
    }

    #[test]
    fn whoever_is_next_stays_so_when_a_running_claim_is_taken_over() {
        let mut claims = Claims::new(LASTS);
        assert!(claims.take(1, 'a', Duration::ZERO) && !claims.take(1, 'b', Duration::ZERO));
        let now = LASTS / 2;
        assert!(claims.take_over(&1, 'c', now, now));
        claims.release(&1, 'c', now);
        assert!(!claims.take(1, 'd', now) && claims.take(1, 'b', now));
    }

    #[test]
    fn a_claim_that_lapsed_is_no_sooner_taken_over_than_before() {
        let mut claims = Claims::new(LASTS);
        let after = LASTS / 4;
        assert!(claims.take(1, 'a', Duration::ZERO) && claims.take_over(&1, 'b', after, after));
        let lapsed = after + LASTS;
        assert!(claims.take(1, 'c', lapsed));
        assert!(
            !claims.take_over(&1, 'd', after, lapsed + after) && claims.take_over(&1, 'd', after, lapsed + after * 2)
        );
    }

    #[test]
    fn whoever_is_next_and_does_not_come_loses_its_turn() {
        let mut claims = Claims::new(LASTS);
        assert!(claims.take(1, 'a', Duration::ZERO) && !claims.take(1, 'b', Duration::ZERO));
        claims.release(&1, 'a', Duration::ZERO);
        assert!(!claims.take(1, 'c', LASTS));
        assert!(claims.take(1, 'c', LASTS * 3));
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
                let taken = claims.take(key, by, now);
                prop_assert!(!taken || holder.is_none_or(|holder| holder == by));
                prop_assert!(taken || holder != Some(by), "whoever holds it renews it");
                prop_assert!(claims.claims.len() <= 8);
            }
        }
    }
}
