//! What could not be written is undone, and what had to go for it is back.

use super::*;
use crate::mempool::{JournalEntry, pool::Withdrawn};

impl Fixture {
    /// Everything so far is on disk.
    fn written(&mut self) {
        self.pool.take_events();
    }

    /// Nothing since then could be written.
    fn take_back(&mut self) -> Withdrawn {
        let changes = self.pool.take_events().changes;
        let withdrawn = self.pool.withdraw(changes, at(0));
        self.pool.check_indexes();
        withdrawn
    }
}

#[test]
fn what_followed_a_withdrawn_transfer_stays_within_the_bounds_of_gapped_ones() {
    let mut fixture = Fixture::new(PoolLimits { queued_bytes: 1_000, ..PoolLimits::default() });
    let spends: Vec<Spend> = (0..6).map(|nonce| Spend::new(1, nonce, 100_000)).collect();
    fixture.admit(&spends[0]).unwrap();
    let changes = fixture.pool.take_events().changes;
    for spend in &spends[1..] {
        fixture.admit(spend).unwrap();
    }
    fixture.pool.withdraw(changes, at(0));
    fixture.pool.check_indexes();
    assert_eq!(fixture.pool.stats().executable, 0);
    assert_eq!(fixture.pool.stats().queued, 1_000 / spends[1].signed().size_bytes());
    assert_eq!(fixture.status(&spends[0]), None);
}

#[test]
fn a_replacement_that_cannot_be_written_leaves_what_it_replaced() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let old = Spend::new(1, 0, 100_000);
    fixture.admit(&old).unwrap();
    fixture.written();
    let (new, newest) = (Spend::new(1, 0, 300_000), Spend::new(1, 0, 900_000));
    fixture.admit(&new).unwrap();
    fixture.admit(&newest).unwrap();
    let withdrawn = fixture.take_back();
    assert_eq!(withdrawn.lost, [new.id(), newest.id()].into());
    assert_eq!(fixture.status(&old), Some(PoolStatus::Pending));
    assert_eq!((fixture.status(&new), fixture.status(&newest)), (None, None));
}

#[test]
fn a_full_pool_that_cannot_write_keeps_what_it_holds() {
    let size = Spend::new(1, 0, 1).signed().size_bytes();
    let mut fixture = Fixture::new(PoolLimits { bytes: 3 * size, ..PoolLimits::default() });
    let held: Vec<Spend> = (1..=3).map(|from| Spend::new(from, 0, 70_000)).collect();
    for spend in &held {
        fixture.admit(spend).unwrap();
    }
    fixture.written();
    for (from, fee) in [(4, 80_000), (5, 90_000)] {
        fixture.admit(&Spend::new(from, 0, fee)).unwrap();
    }
    assert_eq!(fixture.dropped(&held[2]), Some(DropReason::Evicted));
    fixture.take_back();
    assert!(held.iter().all(|spend| fixture.status(spend) == Some(PoolStatus::Pending)));
    assert_eq!(fixture.pool.stats().executable, 3);
}

#[test]
fn a_transaction_is_written_before_what_goes_for_it() {
    let mut fixture = Fixture::new(PoolLimits::default());
    fixture.admit(&Spend::new(1, 0, 100_000)).unwrap();
    fixture.written();
    let new = Spend::new(1, 0, 300_000);
    fixture.admit(&new).unwrap();
    let changes = fixture.pool.take_events().changes;
    let entries: Vec<_> = changes.into_iter().map(|change| change.entry).collect();
    assert!(
        matches!(&entries[..], [JournalEntry::Added(added), JournalEntry::Dropped { .. }] if added.id() == new.id()),
        "{entries:?}"
    );
}

#[test]
fn what_was_mined_before_it_could_be_written_is_not_lost() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let (mined, replaced) = (Spend::new(1, 0, 100_000), Spend::new(2, 0, 100_000));
    fixture.admit(&replaced).unwrap();
    fixture.written();
    fixture.admit(&mined).unwrap();
    fixture.admit(&Spend::new(2, 0, 900_000)).unwrap();
    fixture.mine(&[mined.clone(), replaced.clone()]);
    let withdrawn = fixture.take_back();
    assert_eq!(withdrawn.lost, [Spend::new(2, 0, 900_000).id()].into());
    assert_eq!(withdrawn.used, [replaced.id()]);
    assert_eq!((fixture.status(&mined), fixture.status(&replaced)), (None, None));
}

#[test]
fn what_left_the_chain_stays_although_it_cannot_be_written() {
    let mut fixture = Fixture::new(PoolLimits::default());
    let spend = Spend::new(1, 0, 100_000);
    let before = fixture.view.clone();
    let block = fixture.mine(std::slice::from_ref(&spend));
    fixture.view = before;
    let ids = [spend.id()];
    let body = BlockBody { block: &block, tx_ids: &ids };
    fixture.pool.advance(Arc::new(fixture.view.clone()), &[body], &[], at(0));
    assert!(fixture.take_back().lost.is_empty());
    assert_eq!(fixture.status(&spend), Some(PoolStatus::Pending));
    assert_eq!(fixture.pool.unwritten().len(), 1);
    fixture.pool.mark_synced([spend.id()]);
    assert!(fixture.pool.unwritten().is_empty());
}
