//! Whose headers a node still has to hear before it takes those that it has for the heaviest branch. A checkpoint is for
//! good: what a peer claims holds it up, but no peer can hold it up for ever. Pure.
//!
//! Whoever claims more work than the headers have, and was not asked for it three times in a row without showing any more than
//! it had shown before, is to be heard first. A peer that this node dialled may take as long as it needs: strangers cannot
//! make themselves one. All strangers together hold things up for no more than half of the time, however many they are,
//! however often they come back, and whether they claim all the while or not.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use farthing::Work;

use super::{
    limits::{MAX_SCORES, MAX_STALLS},
    standing::Culprit,
};

/// For so long after the first peer of this node's choice had its say others may come and have theirs, unless enough had it.
/// So it is after the first stranger where none is sought.
const HEARING_TIME: Duration = Duration::from_secs(10);
/// For so long after the first stranger had its say a peer of this node's choice is waited for.
const STRANGER_TIME: Duration = Duration::from_secs(60);
/// Peers of this node's choice that are enough.
pub(super) const ENOUGH_PEERS: usize = 3;
/// Claims of strangers hold things up for so long at a time, and then not for as long.
const HELD_UP_TIME: Duration = Duration::from_secs(5 * 60);

/// What a session says that it has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Claim {
    pub(super) culprit: Culprit,
    pub(super) work: Work,
    /// Whether this node dialled it.
    pub(super) is_chosen: bool,
}

/// What became of asking a peer for the work that it claims.
#[derive(Debug, Clone, Copy, Default)]
struct Record {
    /// How often in a row it was asked without showing more than before.
    in_vain: u32,
    /// The most that it has shown.
    shown: Work,
}

/// Who had a say, and what came of it.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// When the first peer had its say.
    began: Option<Duration>,
    /// When the first one of this node's choice had.
    chosen_began: Option<Duration>,
    /// Peers of this node's choice that had theirs; no more than are enough.
    chosen: BTreeSet<Culprit>,
    records: BTreeMap<Culprit, Record>,
    /// The same, in the order in which they came.
    order: VecDeque<Culprit>,
    /// Since when claims of strangers hold things up, and then do not.
    held_up: Option<Duration>,
}

impl Hearing {
    /// A peer is asked for headers. Counted before it answers, so that nobody gains by hanging up.
    pub(super) fn asks(&mut self, culprit: Culprit) {
        if !self.records.contains_key(&culprit) {
            if self.order.len() >= MAX_SCORES
                && let Some(oldest) = self.order.pop_front()
            {
                self.records.remove(&oldest);
            }
            self.order.push_back(culprit);
        }
        let record = self.records.entry(culprit).or_default();
        record.in_vain = record.in_vain.saturating_add(1);
    }

    /// It gave headers, the last of which has so much work. What it has given before does not count again.
    pub(super) fn shows(&mut self, culprit: Culprit, work: Work) {
        if let Some(record) = self.records.get_mut(&culprit).filter(|record| work > record.shown) {
            *record = Record { in_vain: 0, shown: work };
        }
    }

    /// That it showed nothing was not its fault.
    pub(super) fn is_excused(&mut self, culprit: Culprit) {
        if let Some(record) = self.records.get_mut(&culprit) {
            record.in_vain = record.in_vain.saturating_sub(1);
        }
    }

    /// It has said all that it had to say.
    pub(super) fn heard(&mut self, culprit: Culprit, is_chosen: bool, now: Duration) {
        self.began.get_or_insert(now);
        if is_chosen {
            self.chosen_began.get_or_insert(now);
            if self.chosen.len() < ENOUGH_PEERS {
                self.chosen.insert(culprit);
            }
        }
    }

    /// Whether enough peers had their say: `wanted` of this node's choice, or all that came in time.
    pub(super) fn is_enough(&self, wanted: usize, now: Duration) -> bool {
        let is_over = |since: Option<Duration>, time| since.is_some_and(|since| now.saturating_sub(since) >= time);
        let strangers = if wanted == 0 { HEARING_TIME } else { STRANGER_TIME };
        self.chosen.len() >= wanted.clamp(1, ENOUGH_PEERS)
            || is_over(self.chosen_began, HEARING_TIME)
            || is_over(self.began, strangers)
    }

    /// Whether somebody claims more work than the headers have and is to be heard first.
    pub(super) fn holds_up(&mut self, best: Work, claims: impl IntoIterator<Item = Claim>, now: Duration) -> bool {
        let is_open = |claim: &Claim| {
            claim.work > best && self.records.get(&claim.culprit).is_none_or(|record| record.in_vain < MAX_STALLS)
        };
        let (mut chosen, mut strangers) = (false, false);
        for claim in claims.into_iter().filter(is_open) {
            *if claim.is_chosen { &mut chosen } else { &mut strangers } = true;
        }
        if chosen || !strangers {
            return chosen;
        }
        // Whether somebody claims anything in between or not.
        let since = self.held_up.filter(|since| now.saturating_sub(*since) < 2 * HELD_UP_TIME).unwrap_or(now);
        self.held_up = Some(since);
        now.saturating_sub(since) < HELD_UP_TIME
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(id: u8) -> Culprit {
        Culprit::new([192, 0, 2, id].into(), 0)
    }

    fn claim(id: u8, work: u128) -> Claim {
        Claim { culprit: who(id), work: Work::new(work), is_chosen: false }
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
        hearing.shows(who(2), Work::new(50));
        assert!(hearing.holds_up(BEST, [claim(2, 101)], seconds(4)), "it shows some of it");
        for _ in 0..3 {
            hearing.asks(who(2));
            hearing.shows(who(2), Work::new(50));
        }
        assert!(!hearing.holds_up(BEST, [claim(2, 101)], seconds(5)), "the same again is nothing");
        hearing.is_excused(who(2));
        assert!(hearing.holds_up(BEST, [claim(2, 101)], seconds(6)));
    }

    #[test]
    fn a_peer_of_the_nodes_choice_that_shows_more_and_more_is_heard_to_its_end_whatever_strangers_claim() {
        let mut hearing = Hearing::default();
        let dialled = Claim { is_chosen: true, ..claim(1, 100_000) };
        for second in 0..3_600 {
            if second % 30 == 0 {
                hearing.asks(who(1));
                hearing.shows(who(1), Work::new(1 + u128::from(second)));
            }
            assert!(hearing.holds_up(BEST, [claim((2 + second % 200) as u8, 1_000), dialled], seconds(second)));
        }
        (0..3).for_each(|_| hearing.asks(who(1)));
        assert!(!hearing.holds_up(BEST, [dialled], seconds(3_600)), "it shows nothing any more");
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
    fn claims_that_pause_for_a_moment_hold_things_up_for_no_longer() {
        let mut hearing = Hearing::default();
        let mut held = 0;
        for second in 0..3_600 {
            let claims = (second % 299 != 298).then(|| claim((second % 200) as u8, 1_000));
            held += u32::from(hearing.holds_up(BEST, claims, seconds(second)));
        }
        assert!((1_600..=1_900).contains(&held), "{held} of 3600");
    }

    #[test]
    fn a_stranger_alone_is_not_enough_while_a_peer_of_the_nodes_choice_may_be_on_its_way() {
        let mut hearing = Hearing::default();
        hearing.heard(who(9), false, seconds(100));
        assert!(!hearing.is_enough(3, seconds(111)));
        assert!(hearing.is_enough(0, seconds(110)), "none is sought");
        assert!(!hearing.is_enough(1, seconds(159)));
        assert!(hearing.is_enough(1, seconds(160)), "it is not waited for without end");
        hearing.heard(who(1), true, seconds(120));
        assert!(!hearing.is_enough(3, seconds(129)));
        assert!(hearing.is_enough(3, seconds(130)));
    }

    #[test]
    fn what_is_remembered_of_peers_is_bounded() {
        let mut hearing = Hearing::default();
        for id in 0..MAX_SCORES as u32 + 100 {
            hearing.asks(Culprit::new(std::net::Ipv4Addr::from_bits(id).into(), 0));
        }
        assert_eq!((hearing.records.len(), hearing.order.len()), (MAX_SCORES, MAX_SCORES));
        let first = Culprit::new(std::net::Ipv4Addr::from_bits(0).into(), 0);
        assert!(!hearing.records.contains_key(&first));
        // The oldest goes, not the one with the lowest address.
        hearing.asks(first);
        hearing.asks(who(7));
        assert!(hearing.records.contains_key(&first));
    }
}
