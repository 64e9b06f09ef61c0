//! Whose headers a node still has to hear before it takes those that it has for the heaviest branch. A checkpoint is for
//! good: what a peer claims holds it up, but no peer can hold it up for ever. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use farthing::Work;

use super::{
    limits::{MAX_SCORES, MAX_STALLS},
    standing::Culprit,
};

/// For so long after the first peer had its say others may come and have theirs, unless enough had it.
const HEARING_TIME: Duration = Duration::from_secs(10);
/// Peers of this node's choice that are enough.
pub(super) const ENOUGH_PEERS: usize = 3;
/// Claims that are not made good, of whomever they are, hold things up for so long at a time; then they go on as long.
const HELD_UP_TIME: Duration = Duration::from_secs(5 * 60);

/// What a session says that it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) culprit: Culprit,
    pub(super) work: Work,
}

/// Who had a say, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// When the first peer had its say.
    began: Option<Duration>,
    /// Peers of this node's choice that had theirs; no more than are enough.
    chosen: BTreeSet<Culprit>,
    /// How often in a row a peer was asked for the work it claims without showing it.
    unproven: BTreeMap<Culprit, u32>,
    /// Since when claims hold things up.
    held_up: Option<Duration>,
}

impl Hearing {
    /// A peer is asked for headers. Counted before it answers, so that nobody gains by hanging up.
    pub(super) fn asks(&mut self, culprit: Culprit) {
        if self.unproven.len() >= MAX_SCORES && !self.unproven.contains_key(&culprit) {
            self.unproven.pop_first();
        }
        let count = self.unproven.entry(culprit).or_default();
        *count = count.saturating_add(1);
    }

    /// It gave some of what it claims, or all.
    pub(super) fn showed(&mut self, culprit: Culprit) {
        self.unproven.remove(&culprit);
    }

    /// It has said all that it had to say.
    pub(super) fn heard(&mut self, culprit: Culprit, is_chosen: bool, now: Duration) {
        self.began.get_or_insert(now);
        if is_chosen && self.chosen.len() < ENOUGH_PEERS {
            self.chosen.insert(culprit);
        }
    }

    /// Whether enough peers had their say: `wanted` of this node's choice, or all that came in time.
    pub(super) fn is_enough(&self, wanted: usize, now: Duration) -> bool {
        let time_is_up = self.began.is_some_and(|began| now.saturating_sub(began) >= HEARING_TIME);
        self.chosen.len() >= wanted.clamp(1, ENOUGH_PEERS) || time_is_up
    }

    /// Whether somebody claims more work than the headers have and is to be heard first.
    pub(super) fn holds_up(&mut self, best: Work, claims: impl IntoIterator<Item = Claim>, now: Duration) -> bool {
        let is_open = |claim: Claim| {
            claim.work > best && self.unproven.get(&claim.culprit).is_none_or(|count| *count < MAX_STALLS)
        };
        if !claims.into_iter().any(is_open) {
            self.held_up = None;
            return false;
        }
        let held = now.saturating_sub(*self.held_up.get_or_insert(now));
        if held >= 2 * HELD_UP_TIME {
            self.held_up = Some(now);
            return true;
        }
        held < HELD_UP_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(id: u8) -> Culprit {
        Culprit::new([192, 0, 2, id].into(), 0)
    }

    fn claim(id: u8, work: u128) -> Claim {
        Claim { culprit: who(id), work: Work::new(work) }
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    const BEST: Work = Work::new(100);

    #[test]
    fn one_peer_that_is_there_first_is_not_enough_until_others_had_time_to_come() {
        let mut hearing = Hearing::default();
        assert!(!hearing.is_enough(3, seconds(1_000)), "nobody was heard");
        hearing.heard(who(1), true, seconds(1_000));
        assert!(!hearing.is_enough(3, seconds(1_009)));
        assert!(hearing.is_enough(3, seconds(1_010)), "nobody else came");
        assert!(hearing.is_enough(1, seconds(1_000)), "there is no other");
        hearing.heard(who(2), true, seconds(1_001));
        hearing.heard(who(2), true, seconds(1_001));
        for stranger in 10..20 {
            hearing.heard(who(stranger), false, seconds(1_001));
        }
        assert!(!hearing.is_enough(3, seconds(1_002)), "whoever dials in is not of this node's choice");
        hearing.heard(who(3), true, seconds(1_002));
        assert!(hearing.is_enough(3, seconds(1_002)));
        assert!(hearing.is_enough(8, seconds(1_002)));
    }

    #[test]
    fn more_work_holds_things_up_until_it_is_shown_or_was_asked_for_three_times() {
        let mut hearing = Hearing::default();
        assert!(!hearing.holds_up(BEST, [claim(1, 100), claim(2, 7)], seconds(1)));
        assert!(hearing.holds_up(BEST, [claim(1, 100), claim(2, 101)], seconds(1)));
        for _ in 0..2 {
            hearing.asks(who(2));
            assert!(hearing.holds_up(BEST, [claim(2, 101)], seconds(2)), "it may have been cut off");
        }
        hearing.asks(who(2));
        assert!(!hearing.holds_up(BEST, [claim(2, 1_000)], seconds(3)), "nor does a greater word help it");
        assert!(hearing.holds_up(BEST, [claim(2, 1_000), claim(3, 101)], seconds(3)), "another is another");
        hearing.showed(who(2));
        assert!(hearing.holds_up(BEST, [claim(2, 101)], seconds(4)), "it has made its word good");
    }

    #[test]
    fn ever_new_peers_hold_things_up_for_half_of_the_time_at_most() {
        let mut hearing = Hearing::default();
        let mut held = 0;
        for second in 0..3_600 {
            let ever_new = claim((second % 200) as u8, 1_000);
            held += u32::from(hearing.holds_up(BEST, [ever_new], seconds(second)));
        }
        assert!((1_700..=1_900).contains(&held), "{held} of 3600");
    }

    #[test]
    fn what_is_remembered_of_peers_is_bounded() {
        let mut hearing = Hearing::default();
        for id in 0..MAX_SCORES as u32 + 100 {
            hearing.asks(Culprit::new(std::net::Ipv4Addr::from_bits(id).into(), 0));
        }
        assert_eq!(hearing.unproven.len(), MAX_SCORES);
    }
}
