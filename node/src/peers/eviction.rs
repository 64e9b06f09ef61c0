//! Who leaves when all sessions that others may begin are taken and one more comes. First those are protected that an
//! attacker cannot easily outdo, each kind by another measure; of the rest the youngest of the most populous network
//! group goes. After Bitcoin Core's choice of whom to evict.

use std::{cmp::Reverse, collections::BTreeMap, time::Duration};

use super::book::{NetGroup, Salt};

/// Sessions of so many network groups are protected, one of each; which groups follows from a keyed hash.
const BY_GROUP: usize = 8;
/// So many that answer soonest.
const BY_ANSWER: usize = 8;
/// So many that lately brought transactions.
const BY_TRANSACTIONS: usize = 4;
/// So many that lately brought blocks.
const BY_BLOCKS: usize = 8;

/// A session that may have to leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate<T> {
    pub(super) key: T,
    /// Sessions are numbered as they come.
    pub(super) number: u64,
    pub(super) group: NetGroup,
    /// Whether the other side follows, as it must before it can bring anything.
    pub(super) follows: bool,
    pub(super) block_at: Option<Duration>,
    pub(super) transactions_at: Option<Duration>,
    pub(super) quickest: Option<Duration>,
}

/// Who leaves for a newcomer of this group, if anybody does.
pub(super) fn choose<T: Copy>(
    mut candidates: Vec<Candidate<T>>,
    newcomer: NetGroup,
    secret: &Salt,
) -> Option<Candidate<T>> {
    protect_groups(&mut candidates, secret);
    protect(&mut candidates, BY_ANSWER, |one| one.quickest.map(Reverse));
    protect(&mut candidates, BY_TRANSACTIONS, |one| one.transactions_at);
    protect(&mut candidates, BY_BLOCKS, |one| one.block_at);
    // Half of the rest by how long they last: an attacker would have had to come before.
    candidates.sort_by_key(|one| one.number);
    candidates.drain(..candidates.len() / 2);
    let mut groups: BTreeMap<NetGroup, (usize, u64)> = BTreeMap::new();
    for one in &candidates {
        let (count, youngest) = groups.entry(one.group).or_default();
        (*count, *youngest) = (*count + 1, one.number.max(*youngest));
    }
    let (group, _) = groups.into_iter().max_by_key(|(_, weight)| *weight)?;
    // Or one network could take the places of its own sessions round and round.
    if group == newcomer {
        return None;
    }
    candidates.into_iter().rev().find(|one| one.group == group)
}

/// Takes out the oldest of each of some groups.
fn protect_groups<T>(candidates: &mut Vec<Candidate<T>>, secret: &Salt) {
    candidates.sort_by_key(|one| one.number);
    let mut ranks: Vec<(u64, NetGroup)> = candidates
        .iter()
        .filter(|one| one.follows)
        .map(|one| (secret.hash(b"evic", &one.group.to_bytes(), &[]), one.group))
        .collect();
    ranks.sort_unstable();
    ranks.dedup();
    for (_, group) in ranks.into_iter().take(BY_GROUP) {
        if let Some(at) = candidates.iter().position(|one| one.group == group && one.follows) {
            candidates.remove(at);
        }
    }
}

/// Takes out those with the most of something; the others have none of it.
fn protect<T, M: Ord>(candidates: &mut Vec<Candidate<T>>, most: usize, merit: impl Fn(&Candidate<T>) -> Option<M>) {
    candidates.sort_by_key(|one| Reverse(merit(one)));
    let count = candidates.iter().take(most).take_while(|one| merit(one).is_some()).count();
    candidates.drain(..count);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn group(number: u16) -> NetGroup {
        NetGroup::V4(number.to_be_bytes())
    }

    fn plain(number: u64, of: u16) -> Candidate<u64> {
        Candidate {
            key: number,
            number,
            group: group(of),
            follows: true,
            block_at: None,
            transactions_at: None,
            quickest: None,
        }
    }

    fn secret() -> Salt {
        Salt::from_bytes([3; 32])
    }

    #[test]
    fn the_youngest_of_the_most_populous_group_leaves_and_its_own_kind_does_not_replace_it() {
        let mut sessions: Vec<_> =
            (0..60).map(|number| plain(number, 1_000 + u16::try_from(number).unwrap())).collect();
        sessions.extend((60..100).map(|number| plain(number, 7)));
        assert_eq!(choose(sessions.clone(), group(9), &secret()).unwrap().number, 99);
        assert_eq!(choose(sessions, group(7), &secret()), None);
    }

    #[test]
    fn what_a_session_brought_protects_it_though_it_is_the_youngest_of_the_most_populous_group() {
        let merits: [fn(&mut Candidate<u64>); 3] = [
            |one| one.block_at = Some(Duration::from_secs(9)),
            |one| one.transactions_at = Some(Duration::from_secs(9)),
            |one| one.quickest = Some(Duration::from_millis(9)),
        ];
        for give in merits {
            let mut sessions: Vec<_> = (0..100).map(|number| plain(number, 7)).collect();
            assert_eq!(choose(sessions.clone(), group(9), &secret()).unwrap().number, 99);
            give(&mut sessions[99]);
            assert_eq!(choose(sessions, group(9), &secret()).unwrap().number, 98);
        }
    }

    #[test]
    fn later_merits_and_sooner_answers_weigh_more() {
        let sessions: Vec<_> = (0..50)
            .map(|number| Candidate {
                block_at: Some(Duration::from_secs(number)),
                quickest: Some(Duration::from_secs(number)),
                ..plain(number, 7)
            })
            .collect();
        let mut left = sessions;
        protect(&mut left, 8, |one| one.block_at);
        assert!(left.iter().all(|one| one.number < 42));
        protect(&mut left, 8, |one| one.quickest.map(Reverse));
        assert!(left.iter().all(|one| one.number >= 8));
    }

    #[test]
    fn which_groups_are_protected_depends_on_the_secret() {
        let protected = |byte| {
            let mut sessions: Vec<_> = (0..100).map(|number| plain(number, u16::try_from(number).unwrap())).collect();
            protect_groups(&mut sessions, &Salt::from_bytes([byte; 32]));
            let left: BTreeSet<u64> = sessions.iter().map(|one| one.number).collect();
            (0..100).filter(|number| !left.contains(number)).collect::<Vec<_>>()
        };
        assert_eq!((protected(1).len(), protected(1)), (BY_GROUP, protected(1)));
        assert_ne!(protected(1), protected(2));
    }

    proptest! {
        #[test]
        fn somebody_leaves_a_full_table_unless_the_newcomer_is_of_the_most_populous_group(
            groups in prop::collection::vec(0_u16..40, 112),
            newcomer in 0_u16..40,
        ) {
            let sessions: Vec<_> = (0..).zip(&groups).map(|(number, of)| plain(number, *of)).collect();
            match choose(sessions.clone(), group(newcomer), &secret()) {
                Some(leaving) => prop_assert!(leaving.group != group(newcomer)),
                // Then there is another group whose newcomer would be taken.
                None => prop_assert!(choose(sessions, group(99), &secret()).is_some_and(|one| one.group == group(newcomer))),
            }
        }
    }
}
