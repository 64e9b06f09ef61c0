//! The journal's file: torn, damaged, full, of another network.

use farthing::{Height, Network, TimeMs, TxId};

use super::*;
use crate::{
    env::{
        MemDisk,
        disk::{Fault, FaultError, FaultOp, Survivors},
    },
    mempool::{DropReason, Pooled, Source},
    testing::{ALICE, BOB, dev},
};

const DIR: &str = "/data";

fn disk() -> MemDisk {
    let disk = MemDisk::new();
    disk.create_dir_all(Path::new(DIR)).unwrap();
    disk.sync_dir(Path::new("/")).unwrap();
    disk
}

fn open(disk: &MemDisk) -> Result<DiskJournal, JournalError> {
    DiskJournal::open(Arc::new(disk.clone()), Path::new(DIR), *dev().genesis_id(), 0)
}

fn added(nonce: u64) -> JournalEntry {
    let transaction = ALICE.pay(nonce, BOB.address(), 1);
    let id = transaction.transaction().id(dev().genesis_id());
    let received = TimeMs::new(1_000 + nonce);
    JournalEntry::Added(Arc::new(Pooled { transaction, id, received, source: Source::Rpc, arrival: nonce }))
}

fn dropped(nonce: u64) -> JournalEntry {
    let JournalEntry::Added(pooled) = added(nonce) else { unreachable!() };
    let reason = DropReason::Replaced { by: TxId::from_bytes([7; 32]) };
    JournalEntry::Dropped { id: pooled.id(), reason, height: Height::new(9) }
}

fn nonces(journal: &DiskJournal) -> Vec<u64> {
    let entries = journal.load().unwrap();
    let nonce = |entry: &LoadedEntry| match entry {
        LoadedEntry::Added { transaction, received } => {
            assert_eq!(received.get(), 1_000 + transaction.transaction().nonce());
            transaction.transaction().nonce()
        }
        LoadedEntry::Dropped { reason, height, .. } => {
            assert_eq!((reason.reason(), height.get()), ("REPLACED", 9));
            u64::MAX
        }
    };
    entries.iter().map(nonce).collect()
}

#[test]
fn entries_read_back_in_order_after_a_restart() {
    let disk = disk();
    open(&disk).unwrap().append(&[added(0), added(1), dropped(0)]).unwrap();
    open(&disk).unwrap().append(&[added(2)]).unwrap();
    assert_eq!(nonces(&open(&disk).unwrap()), [0, 1, u64::MAX, 2]);
}

#[test]
fn a_power_cut_keeps_every_acknowledged_entry_and_cuts_what_is_torn() {
    for survivors in [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors] {
        for seed in 0..40 {
            let disk = disk();
            let journal = open(&disk).unwrap();
            journal.append(&[added(0), added(1)]).unwrap();
            disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: true });
            let error = journal.append(&[added(2), added(3)]).unwrap_err();
            assert!(error.is_fatal());
            assert!(journal.append(&[added(4)]).unwrap_err().is_fatal(), "no write after a failed sync");
            disk.crash(survivors, seed);
            let journal = open(&disk).unwrap();
            let found = nonces(&journal);
            // What was not acknowledged may be there or not.
            assert!(found.starts_with(&[0, 1]) && found.len() <= 4, "{seed}: {found:?}");
            journal.append(&[added(9)]).unwrap();
            assert_eq!(nonces(&open(&disk).unwrap()).last(), Some(&9));
        }
    }
}

#[test]
fn a_full_disk_or_a_used_up_quota_refuses_and_the_journal_goes_on_when_there_is_room() {
    for error in [FaultError::NoSpace, FaultError::Quota] {
        let disk = disk();
        let journal = open(&disk).unwrap();
        journal.append(&[added(0)]).unwrap();
        disk.inject(Fault { op: FaultOp::Write, nth: 1, error, lasting: false });
        let refused = journal.append(&[added(1), added(3)]).unwrap_err();
        assert!(matches!(refused, JournalError::DiskFull { .. }) && !refused.is_fatal(), "{refused}");
        disk.inject(Fault { op: FaultOp::Write, nth: 1, error, lasting: false });
        assert!(!journal.rewrite(&[added(0)]).unwrap_err().is_fatal());
        journal.append(&[added(2)]).unwrap();
        assert_eq!(nonces(&open(&disk).unwrap()), [0, 2]);
    }
}

#[test]
fn a_full_write_that_cannot_be_taken_back_ends_the_journal() {
    for op in [FaultOp::SetLen, FaultOp::Sync] {
        let disk = disk();
        let journal = open(&disk).unwrap();
        journal.append(&[added(0)]).unwrap();
        disk.inject(Fault { op: FaultOp::Write, nth: 1, error: FaultError::NoSpace, lasting: false });
        disk.inject(Fault { op, nth: 1, error: FaultError::Io, lasting: false });
        assert!(journal.append(&[added(1), added(2)]).unwrap_err().is_fatal());
        assert!(matches!(journal.append(&[added(3)]), Err(JournalError::Broken { .. })));
    }
}

#[test]
fn the_reserve_is_left_to_others() {
    const RESERVE: u64 = 10_000;
    let disk = disk();
    disk.set_capacity(30_000);
    let journal = DiskJournal::open(Arc::new(disk.clone()), Path::new(DIR), *dev().genesis_id(), RESERVE).unwrap();
    let full = (0..100).find_map(|nonce| journal.append(&[added(nonce)]).err()).unwrap();
    let free = disk.free_space(Path::new(DIR)).unwrap();
    assert!((RESERVE..RESERVE + 1_000).contains(&free), "{free}");
    let JournalError::DiskFull { needed, free: left, .. } = full else { panic!("{full}") };
    assert!(left < needed && left == free - RESERVE);
    assert!(matches!(journal.rewrite(&vec![added(0); 40]), Err(JournalError::DiskFull { .. })));
    let kept = nonces(&journal).len() as u64;
    disk.set_capacity(60_000);
    journal.append(&[added(kept)]).unwrap();
    assert_eq!(nonces(&open(&disk).unwrap()), (0..=kept).collect::<Vec<_>>());
}

#[test]
fn what_a_failed_sync_left_in_the_cache_alone_is_written_again_before_more_is_acknowledged() {
    for survivors in [Survivors::OnlySynced, Survivors::AnySectors] {
        let disk = disk();
        let journal = open(&disk).unwrap();
        journal.append(&[added(0)]).unwrap();
        disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: false });
        journal.append(&[added(1), added(2)]).unwrap_err();
        drop(journal);
        // The process starts again, the machine goes on.
        let journal = open(&disk).unwrap();
        assert_eq!(nonces(&journal), [0, 1, 2]);
        journal.append(&[added(3)]).unwrap();
        disk.crash(survivors, 3);
        assert_eq!(nonces(&open(&disk).unwrap()), [0, 1, 2, 3]);
    }
}

/// Flips a bit in the last byte of an entry, the entries before it given.
fn damage(disk: &MemDisk, before: &[JournalEntry], entry: &JournalEntry) {
    let mut bytes = image(dev().genesis_id(), before);
    record::put(entry, &mut bytes);
    disk.corrupt(&Path::new(DIR).join("mempool.journal"), bytes.len() as u64 - 1, 1).unwrap();
}

#[test]
fn a_damaged_entry_is_left_out_and_those_behind_it_stay() {
    let disk = disk();
    let entries = [added(0), added(1), dropped(0), added(2)];
    open(&disk).unwrap().append(&entries).unwrap();
    damage(&disk, &entries[..1], &entries[1]);
    let journal = open(&disk).unwrap();
    // The drop says that another one took the place of 0. That one is not there, so 0 keeps it.
    assert_eq!(nonces(&journal), [0, 2]);
    assert!(disk.exists(&Path::new(DIR).join("mempool.journal.damaged")).unwrap());
    journal.append(&[added(3)]).unwrap();
    assert_eq!(nonces(&open(&disk).unwrap()), [0, 2, 3]);
}

#[test]
fn behind_damage_a_drop_is_believed_if_what_it_made_room_for_is_there_or_nothing_was() {
    let (JournalEntry::Added(first), JournalEntry::Added(second)) = (added(0), added(1)) else { unreachable!() };
    let leaves = |reason| JournalEntry::Dropped { id: first.id(), reason, height: Height::new(9) };
    for (reason, believed) in [
        (DropReason::Replaced { by: second.id() }, true),
        (DropReason::Replaced { by: TxId::from_bytes([7; 32]) }, false),
        (DropReason::Evicted, false),
        (DropReason::Expired, true),
    ] {
        let disk = disk();
        let entries = [added(0), added(5), added(1), leaves(reason)];
        open(&disk).unwrap().append(&entries).unwrap();
        assert_eq!(open(&disk).unwrap().load().unwrap().len(), 4);
        damage(&disk, &entries[..1], &entries[1]);
        assert_eq!(open(&disk).unwrap().load().unwrap().len(), 2 + usize::from(believed), "{reason:?}");
    }
}

#[test]
fn a_rewrite_is_whole_or_not_at_all_whatever_fails() {
    for op in [FaultOp::Create, FaultOp::Write, FaultOp::Sync, FaultOp::SyncDir, FaultOp::Rename] {
        for nth in 1..=2 {
            for error in [FaultError::Io, FaultError::NoSpace] {
                let disk = disk();
                let journal = open(&disk).unwrap();
                journal.append(&[added(0), dropped(0), added(1)]).unwrap();
                disk.inject(Fault { op, nth, error, lasting: false });
                let outcome = journal.rewrite(&[added(1)]);
                disk.crash(Survivors::OnlySynced, 1);
                let found = nonces(&open(&disk).unwrap());
                let (old, new) = (vec![0, u64::MAX, 1], vec![1]);
                assert!(found == new || (outcome.is_err() && found == old), "{op:?} {nth}: {found:?}");
            }
        }
    }
}

#[test]
fn another_networks_journal_is_refused() {
    let disk = disk();
    open(&disk).unwrap();
    let main = *Network::Main.params().genesis_id();
    let error = DiskJournal::open(Arc::new(disk), Path::new(DIR), main, 0).unwrap_err();
    assert!(matches!(error, JournalError::OtherNetwork { found, .. } if found == *dev().genesis_id()), "{error}");
}
