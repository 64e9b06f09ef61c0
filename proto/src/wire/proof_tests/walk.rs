//! A past walked from its newest entry down is believed exactly when it is believed as a whole, and for the same rules.

use super::*;
use crate::history::{PastWalk, verify_past};

/// Walks the whole past of the payer down from its head.
fn walk(account: &Account, entries: &[HistoryEntry]) -> Result<(), HistoryError> {
    let mut heads = vec![Hash::ZERO];
    for entry in entries {
        heads.push(history_link(heads.last().unwrap(), entry.id(params()), entry.height));
    }
    let mut walk = PastWalk::new(params(), payer(), account);
    for (entry, before) in entries.iter().zip(&heads).rev() {
        assert_eq!(walk.step(entry, *before)?, entry.id(params()));
    }
    walk.finish()
}

#[test]
fn both_ways_of_reading_a_past_keep_the_same_rules() {
    type Change = fn(&mut Account, &mut Vec<HistoryEntry>);
    let foreign: Change = |_, entries| {
        let cause = EntryCause::Transfer(Box::new(samples::transfer(3, 2).transaction().clone()));
        entries.push(HistoryEntry { height: Height::new(9), cause });
    };
    let changes: [(Change, Option<&str>); 12] = [
        (|_, _| (), None),
        (foreign, Some("R-HIS-03")),
        (|_, entries| entries[5].height = Height::new(6), Some("R-HIS-03")),
        (|_, entries| entries[4].height = Height::new(1), Some("R-HIS-03")),
        (|_, entries| entries[2].cause = entries[4].cause.clone(), Some("R-HIS-04")),
        (|account, _| account.next_nonce = 4, Some("R-HIS-04")),
        (|account, _| account.next_nonce = 2, Some("R-HIS-04")),
        (|account, _| account.next_nonce = 0, Some("R-HIS-04")),
        (|account, _| account.balance = Mites::new(1), Some("R-HIS-04")),
        (|_, entries| drop(entries.remove(1)), Some("R-HIS-04")),
        (|_, entries| drop(entries.remove(0)), Some("R-HIS-04")),
        (|_, entries| entries.truncate(0), Some("R-HIS-04")),
    ];
    for (at, (change, rule)) in changes.into_iter().enumerate() {
        let (mut account, mut entries) = past();
        change(&mut account, &mut entries);
        let mut linked = Account { entries: 0, history: Hash::ZERO, ..account };
        entries.iter().for_each(|entry| linked.link(entry.id(params()), entry.height));
        let whole = verify_past(params(), &payer(), &linked, &entries);
        assert_eq!(whole.map_err(|error| error.rule()), rule.map_or(Ok(()), Err), "change {at}");
        assert_eq!(walk(&linked, &entries).map_err(|error| error.rule()), rule.map_or(Ok(()), Err), "change {at}");
    }
}

#[test]
fn a_walk_takes_no_other_entry_than_the_one_that_the_head_links() {
    let (account, entries) = past();
    let [.., below, newest] = entries.as_slice() else { panic!("two entries") };
    let before = state_after(&entries[..5]).history;
    let mut walk = PastWalk::new(params(), payer(), &account);
    let moved = HistoryEntry { height: newest.height.next(), ..newest.clone() };
    for (entry, before) in [(below, before), (&moved, before), (newest, Hash::ZERO)] {
        assert!(matches!(walk.step(entry, before), Err(HistoryError::WrongHistory { .. })));
    }
    // A wrong step does not move it.
    walk.step(newest, before).unwrap();
    assert_eq!((walk.left(), walk.nonces_left()), (5, 3));
    assert!(matches!(walk.finish(), Err(HistoryError::EntryCount { found: 1, expected: 6 })));
    let mut none = PastWalk::new(params(), payer(), &Account::default());
    assert!(matches!(none.step(newest, before), Err(HistoryError::EntryCount { found: 1, expected: 0 })));
}
