//! A writer that is stopped anywhere leaves the older checkpoint, and nothing half under a final name.

use super::*;
use crate::env::disk::{Fault, FaultError, FaultOp, Survivors};

/// A disk with a durable checkpoint at height 3, and the ledgers at 3 and 6.
fn begin() -> (MemDisk, Arc<Params>, Snapshot, Snapshot) {
    let (disk, params) = (disk(), dev());
    let older = snapshot(&params, 3, 20);
    let newer = snapshot(&params, 6, 60);
    put(&disk, &params, &older).unwrap();
    (disk, params, older, newer)
}

/// How many changing operations a write makes: creation, writes, sync, rename, sync of the directory.
fn steps() -> u64 {
    let (disk, params, _, newer) = begin();
    let before = disk.changes();
    put(&disk, &params, &newer).unwrap();
    disk.changes() - before
}

#[test]
fn whatever_step_fails_the_older_one_stays_and_the_next_attempt_succeeds() {
    let steps = steps();
    assert!(steps > 8, "{steps}");
    for nth in 1..=steps {
        for error in [FaultError::Io, FaultError::NoSpace] {
            let (disk, params, older, newer) = begin();
            disk.inject(Fault { op: FaultOp::AnyChange, nth, error, lasting: false });
            let failed = put(&disk, &params, &newer).unwrap_err();
            let at_the_end = nth == steps;
            assert_eq!(failed.is_disk_full(), matches!(error, FaultError::NoSpace) && !at_the_end, "{nth}: {failed:?}");
            assert!(files(&disk).iter().all(|name| name.ends_with(".ckpt")), "{nth}: {:?}", files(&disk));
            // The last step is the sync of the directory: the file is whole, only its name may yet be lost.
            let expected = if at_the_end { &newer } else { &older };
            assert_same(&search(&disk, &params).found.unwrap().view, &expected.view);
            put(&disk, &params, &newer).unwrap();
            disk.crash(Survivors::OnlySynced, 0);
            assert_same(&search(&disk, &params).found.unwrap().view, &newer.view);
        }
    }
}

#[test]
fn a_power_cut_at_any_step_leaves_the_older_one_or_the_newer_one_whole() {
    let steps = steps();
    let mut newer_found = 0;
    for nth in 1..=steps {
        for (seed, survivors) in
            [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors].into_iter().enumerate()
        {
            let (disk, params, older, newer) = begin();
            // From here on nothing reaches the drive, not even the removal of what was begun.
            disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: true });
            put(&disk, &params, &newer).unwrap_err();
            disk.crash(survivors, nth * 3 + seed as u64);
            clear_strays(&disk, directory()).unwrap();
            assert!(files(&disk).iter().all(|name| name.ends_with(".ckpt")), "{nth}: {:?}", files(&disk));
            let Search { found, rejected } = search(&disk, &params);
            assert!(rejected.is_empty(), "{nth} {survivors:?}: {rejected:?}");
            let found = found.unwrap();
            let expected = if found.view.tip.height().get() == 6 { &newer } else { &older };
            newer_found += u64::from(found.view.tip.height().get() == 6);
            assert_same(&found.view, &expected.view);
            put(&disk, &params, &newer).unwrap();
            assert_same(&search(&disk, &params).found.unwrap().view, &newer.view);
        }
    }
    assert!(newer_found <= 2, "only a rename that was not synced may survive by chance: {newer_found}");
}

#[test]
fn what_a_dead_writer_left_is_removed_and_nothing_else() {
    let (disk, params, older, newer) = begin();
    disk.inject(Fault { op: FaultOp::Rename, nth: 1, error: FaultError::Io, lasting: false });
    disk.inject(Fault { op: FaultOp::Remove, nth: 1, error: FaultError::Io, lasting: false });
    put(&disk, &params, &newer).unwrap_err();
    disk.create(&directory().join("notes.txt")).unwrap();
    assert!(files(&disk).contains(&"snap.6.generating".to_owned()));
    assert_eq!(clear_strays(&disk, directory()).unwrap(), 1);
    assert_eq!(files(&disk), [CheckpointName::of(&older.view.tip).to_string(), "notes.txt".to_owned()]);
}

#[test]
fn a_full_disk_is_told_with_its_numbers_and_keeps_its_reserve() {
    let (disk, params, older, newer) = begin();
    let path = directory().join(CheckpointName::of(&older.view.tip).to_string());
    let used = disk.open(&path).unwrap().len().unwrap();
    let limits = Limits { reserve_bytes: 5_000, ..LIMITS };
    let attempt = || write(&disk, directory(), &params, &newer, &key_of, limits, &|| false);
    for room in [0, 5_000, 13_000, 20_000] {
        disk.set_capacity(used + room);
        let full = attempt().unwrap_err();
        let CheckpointError::DiskFull { free, reserve: 5_000, .. } = full else { panic!("{room}: {full:?}") };
        assert!(free <= 5_000 + 2 * 4_096, "{room}: {full:?}");
        assert_eq!(disk.free_space(directory()).unwrap(), room, "what was begun is removed");
        assert_same(&search(&disk, &params).found.unwrap().view, &older.view);
    }
    disk.set_capacity(used + 60_000);
    attempt().unwrap();
    assert_same(&search(&disk, &params).found.unwrap().view, &newer.view);
}

#[test]
fn an_abandoned_one_is_removed() {
    let (disk, params, older, newer) = begin();
    let asked = std::cell::Cell::new(0);
    let abandon = || {
        asked.set(asked.get() + 1);
        asked.get() == 2
    };
    let abandoned = write(&disk, directory(), &params, &newer, &key_of, LIMITS, &abandon).unwrap_err();
    assert!(matches!(abandoned, CheckpointError::Abandoned(accounts) if accounts < 60), "{abandoned:?}");
    assert_eq!(files(&disk), [CheckpointName::of(&older.view.tip).to_string()]);
}
