//! The rows of `docs/crash-ordering.md`: power cut, failed and full disks at every single operation.

use super::*;
use crate::env::{
    Clock as _,
    disk::{Fault, FaultError, FaultOp, Survivors},
};

/// Blocks of a main branch and of a longer one, made once.
fn branches() -> (Vec<Grown>, Vec<Grown>) {
    let params = dev();
    let genesis = ChainView::genesis(&params);
    (chain(&params, &genesis, 6, 1), chain(&params, &genesis, 7, 2))
}

/// Commits the first branch, then the second, which takes over. Returns the tips that were acknowledged, in order.
fn run(store: &DiskStore, old: &[Grown], new: &[Grown]) -> Result<Vec<BlockId>, (Vec<BlockId>, StoreError)> {
    let mut acknowledged = Vec::new();
    for block in old {
        store.commit(block.commit()).map_err(|error| (acknowledged.clone(), error))?;
        acknowledged.push(block.id());
    }
    for block in new {
        let commit = Commit { blocks: vec![block.new_block()], ..Commit::default() };
        store.commit(commit).map_err(|error| (acknowledged.clone(), error))?;
    }
    let best =
        BestChange { undone: old.iter().rev().map(Grown::id).collect(), applied: new.iter().map(Grown::id).collect() };
    let effects = new.iter().map(|block| (block.id(), block.effects.clone())).collect();
    let commit = Commit { blocks: Vec::new(), effects, best: Some(best) };
    store.commit(commit).map_err(|error| (acknowledged.clone(), error))?;
    acknowledged.push(new[new.len() - 1].id());
    Ok(acknowledged)
}

/// What is found after a restart is the last acknowledged tip, or the one that was just being committed.
fn assert_consistent(disk: &MemDisk, old: &[Grown], new: &[Grown], acknowledged: &[BlockId], what: &str) {
    let (store, recovered) = open_with(disk, options()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found = recovered.view.tip.id();
    let mut order: Vec<BlockId> = vec![*dev().genesis_id()];
    order.extend(old.iter().map(Grown::id));
    order.push(new[new.len() - 1].id());
    let at = order.iter().position(|id| *id == found).unwrap_or_else(|| panic!("{what}: an unknown tip"));
    assert!(at == acknowledged.len() || at == acknowledged.len() + 1, "{what}: tip {at} of {}", acknowledged.len());
    if at > old.len() {
        assert_recovered(&recovered, &new[new.len() - 1].view);
        assert_holds(store.as_ref(), new);
    } else {
        assert_holds(store.as_ref(), &old[..at]);
        let view = if at == 0 { ChainView::genesis(&dev()) } else { old[at - 1].view.clone() };
        assert_recovered(&recovered, &view);
    }
    assert_eq!(store.damaged().unwrap(), [], "{what}");
    // It goes on from there.
    let next = grow(&dev(), &recovered.view, Vec::new(), 3);
    store.commit(next.commit()).unwrap_or_else(|error| panic!("{what}: {error}"));
    drop(store);
    let (_, recovered) = open(disk);
    assert_recovered(&recovered, &next.view);
}

/// How many changing operations the whole run takes.
fn operations(old: &[Grown], new: &[Grown]) -> u64 {
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    let before = disk.changes();
    run(&store, old, new).unwrap();
    disk.changes() - before
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_acknowledged() {
    let (old, new) = branches();
    let all = operations(&old, &new);
    for survivors in [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors] {
        for nth in 1..=all {
            for seed in 0..3 {
                let disk = MemDisk::new();
                let (store, _) = open(&disk);
                disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: true });
                let (acknowledged, _) = run(&store, &old, &new).unwrap_err();
                drop(store);
                disk.crash(survivors, seed);
                let what = format!("{survivors:?}, cut at operation {nth} of {all}, seed {seed}");
                assert_consistent(&disk, &old, &new, &acknowledged, &what);
            }
        }
    }
}

#[test]
fn a_power_cut_while_opening_is_survived_at_any_operation() {
    let (old, new) = branches();
    let disk_before = || {
        let disk = MemDisk::new();
        let (store, _) = open(&disk);
        run(&store, &old[..3], &new[..4]).unwrap();
        disk
    };
    let disk = disk_before();
    disk.crash(Survivors::AnySectors, 0);
    let before = disk.changes();
    drop(open(&disk));
    let all = disk.changes() - before;
    for nth in 1..=all {
        let disk = disk_before();
        disk.crash(Survivors::AnySectors, nth);
        disk.inject(Fault { op: FaultOp::AnyChange, nth, error: FaultError::Io, lasting: true });
        drop(open_with(&disk, options()));
        disk.crash(Survivors::AnySectors, nth);
        let (store, recovered) = open(&disk);
        assert_recovered(&recovered, &new[3].view);
        assert_holds(store.as_ref(), &new[..4]);
    }
}

#[test]
fn one_failed_operation_is_reported_and_a_restart_finds_what_was_acknowledged() {
    let (old, new) = branches();
    let all = operations(&old, &new);
    for error in [FaultError::Io, FaultError::NoSpace] {
        for nth in 1..=all {
            let disk = MemDisk::new();
            let (store, _) = open(&disk);
            disk.inject(Fault { op: FaultOp::AnyChange, nth, error, lasting: false });
            let (acknowledged, failed) = run(&store, &old, &new).unwrap_err();
            let what = format!("{error:?} at operation {nth} of {all}: {failed}");
            if failed.is_fatal() {
                assert!(store.poisoned().is_some(), "{what}");
                let refused = store.commit(Commit::default());
                assert!(matches!(refused, Err(StoreError::Poisoned(_))), "{what}");
            }
            drop(store);
            // The machine lives on: the next start sees the cache, then power is cut.
            let (store, _) = open(&disk);
            drop(store);
            disk.crash(Survivors::OnlySynced, nth);
            assert_consistent(&disk, &old, &new, &acknowledged, &what);
        }
    }
}

#[test]
fn a_failed_sync_poisons_the_store_and_the_next_start_does_not_build_on_the_cache() {
    let (old, _) = branches();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    store.commit(old[0].commit()).unwrap();
    disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: false });
    let error = store.commit(old[1].commit()).unwrap_err();
    assert!(error.is_fatal() && !error.is_disk_full());
    assert!(matches!(store.commit(old[1].commit()), Err(StoreError::Poisoned(_))));
    drop(store);
    // The batch is in the cache, clean, and not on the drive. What the next start builds on must be there after a cut.
    let (store, recovered) = open(&disk);
    assert_eq!(recovered.view.tip.id(), old[1].id());
    store.commit(old[2].commit()).unwrap();
    drop(store);
    disk.crash(Survivors::OnlySynced, 0);
    let (store, recovered) = open(&disk);
    assert_recovered(&recovered, &old[2].view);
    assert_holds(store.as_ref(), &old[..3]);
}

#[test]
fn a_full_disk_refuses_keeps_reading_and_resumes() {
    let (old, _) = branches();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    store.commit(old[0].commit()).unwrap();
    let free = disk_used(&disk);
    disk.set_capacity(free + 300);
    let error = store.commit(old[1].commit()).unwrap_err();
    assert!(error.is_disk_full() && !error.is_fatal(), "{error}");
    assert_holds(store.as_ref(), &old[..1]);
    disk.set_capacity(u64::MAX);
    store.commit(old[1].commit()).unwrap();
    assert_holds(store.as_ref(), &old[..2]);
    assert_eq!(store.poisoned(), None);
}

#[test]
fn the_reserve_stays_free() {
    let (old, _) = branches();
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, StoreOptions { reserve_bytes: 10_000, ..options() }).unwrap();
    disk.set_capacity(disk_used(&disk) + 10_100);
    let error = store.commit(old[0].commit()).unwrap_err();
    assert!(matches!(error, StoreError::DiskFull { free: 100, .. }), "{error}");
}

#[test]
fn a_kill_between_commits_is_followed_by_the_same_state() {
    let (old, new) = branches();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    run(&store, &old, &new).unwrap();
    drop(store);
    let clock = ManualClock::new(dev().genesis_time);
    assert!(clock.now() == dev().genesis_time);
    let (store, recovered) = open(&disk);
    assert_recovered(&recovered, &new[new.len() - 1].view);
    assert_holds(store.as_ref(), &new);
    assert_eq!(recovered.candidates, []);
}

#[test]
fn a_heavier_branch_that_was_not_taken_before_the_end_is_a_candidate() {
    let (old, new) = branches();
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    store.commit(old[0].commit()).unwrap();
    let blocks = new[..3].iter().map(Grown::new_block).collect();
    store.commit(Commit { blocks, ..Commit::default() }).unwrap();
    drop(store);
    let (_, recovered) = open(&disk);
    assert_eq!(recovered.view.tip.id(), old[0].id());
    let candidates: Vec<BlockId> = recovered.candidates.iter().map(HeaderContext::id).collect();
    assert_eq!(candidates, [new[2].id(), new[1].id(), new[0].id()]);
}

fn disk_used(disk: &MemDisk) -> u64 {
    use crate::env::Disk as _;
    disk.set_capacity(u64::MAX - 1);
    let free = disk.free_space(Path::new("/")).unwrap();
    disk.set_capacity(u64::MAX);
    u64::MAX - 1 - free
}
