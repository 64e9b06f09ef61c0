//! Checkpoints as the store uses them: written in the background, begun from at a start, never needed.

#![allow(clippy::disallowed_methods, reason = "damages files of a real disk behind the store's back")]

use super::*;
use crate::{
    env::{Compute, Disk as _, RealDisk},
    store::{
        LogPlace,
        checkpoint::{self, Policy},
    },
};

fn eager() -> StoreOptions {
    let checkpoints = Policy {
        every_blocks: 2,
        pause: std::time::Duration::ZERO,
        deep_blocks: 4,
        reserve_bytes: 0,
        ..Policy::default()
    };
    StoreOptions { checkpoints, ..options() }
}

/// Commits blocks as the chain does, places of keys included, with a thread that writes checkpoints.
fn run_with_checkpoints(store: &DiskStore, blocks: &[Grown]) {
    std::thread::scope(|scope| {
        scope.spawn(|| store.write_checkpoints());
        // A thread that had not begun when the store is closed would write nothing.
        while !store.checkpoints.get().unwrap().is_running() {
            std::thread::yield_now();
        }
        let mut place_of_key = None;
        for block in blocks {
            commit_and_offer(store, block, &mut place_of_key);
        }
        store.close().unwrap();
    });
}

/// Commits and offers one block, whose first transaction may carry a key.
fn commit_and_offer(store: &DiskStore, block: &Grown, place_of_key: &mut Option<LogPlace>) {
    let place = store.commit(block.commit()).unwrap()[0];
    let place_of_key = *place_of_key.get_or_insert(place.of_transaction(&block.block, 0).unwrap());
    let mut view = block.view.clone();
    view.set_key_place(&ALICE.address(), place_of_key);
    store.maybe_checkpoint(&Arc::new(view));
}

#[test]
fn without_threads_whoever_offers_a_snapshot_writes_it_and_whoever_closes_the_last() {
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 5, 1);
    let disk = MemDisk::new();
    let in_place = env(&disk).with_compute(Compute::inline());
    let (store, _) = DiskStore::open(dev(), &in_place, Path::new(DATA), eager(), &|_| {}).unwrap();
    let mut place_of_key = None;
    let mut newest = Vec::new();
    for block in &blocks {
        commit_and_offer(&store, block, &mut place_of_key);
        newest.push(checkpoints(&disk).first().map(|name| name.height().get()));
    }
    assert_eq!(newest, [None, Some(2), Some(2), Some(4), Some(4)]);
    store.close().unwrap();
    assert_eq!(checkpoints(&disk)[0].height().get(), 5);
}

fn checkpoints(disk: &MemDisk) -> Vec<checkpoint::CheckpointName> {
    checkpoint::list(disk, Path::new("/data/checkpoints")).unwrap()
}

/// Heights that are executed again at a start.
fn replayed(disk: &MemDisk) -> (Vec<u64>, Arc<DiskStore>, Recovered) {
    let heights = std::cell::RefCell::new(Vec::new());
    let progress = |progress| {
        if let crate::store::Progress::Replaying { height, .. } = progress {
            heights.borrow_mut().push(height.get());
        }
    };
    let (store, recovered) = DiskStore::open(dev(), &env(disk), Path::new(DATA), eager(), &progress).unwrap();
    (heights.into_inner(), store, recovered)
}

#[test]
fn a_start_begins_at_the_newest_checkpoint_and_ends_as_without_any() {
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 7, 1);
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, eager()).unwrap();
    run_with_checkpoints(&store, &blocks);
    drop(store);
    let newest = checkpoints(&disk)[0].height().get();
    assert!(newest >= 2);
    let (heights, store, recovered) = replayed(&disk);
    assert_eq!(heights, (newest + 1..=7).collect::<Vec<_>>());
    assert_recovered(&recovered, &blocks[6].view);
    assert_holds(store.as_ref(), &blocks);
    let place = recovered.view.key_place(&ALICE.address()).unwrap();
    store.key_at(&place, &ALICE.address()).unwrap();
    drop(store);
    disk.remove_dir_all(Path::new("/data/checkpoints")).unwrap();
    let (heights, store, again) = replayed(&disk);
    assert_eq!(heights.len(), 7);
    assert_recovered(&again, &blocks[6].view);
    assert_eq!(again.view.key_place(&ALICE.address()), Some(place));
    assert_holds(store.as_ref(), &blocks);
}

#[test]
fn a_damaged_checkpoint_is_passed_over_and_an_unfinished_one_removed() {
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 6, 1);
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, eager()).unwrap();
    run_with_checkpoints(&store, &blocks);
    drop(store);
    for name in checkpoints(&disk) {
        disk.corrupt(&Path::new("/data/checkpoints").join(name.to_string()), 300, 1).unwrap();
    }
    let stray = Path::new("/data/checkpoints/snap.12.generating");
    disk.create(stray).unwrap();
    let (heights, store, recovered) = replayed(&disk);
    assert_eq!(heights.len(), 6);
    assert_recovered(&recovered, &blocks[5].view);
    assert_holds(store.as_ref(), &blocks);
    assert!(!disk.exists(stray).unwrap());
}

#[test]
fn a_checkpoint_of_a_branch_that_was_left_is_not_begun_from() {
    let genesis = ChainView::genesis(&dev());
    let (old, new) = (chain(&dev(), &genesis, 3, 1), chain(&dev(), &genesis, 4, 2));
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, eager()).unwrap();
    run_with_checkpoints(&store, &old);
    drop(store);
    assert!(!checkpoints(&disk).is_empty());
    let (store, _) = open_with(&disk, eager()).unwrap();
    let commit = Commit {
        blocks: new.iter().map(Grown::new_block).collect(),
        effects: new.iter().map(|block| (block.id(), block.effects.clone())).collect(),
        best: Some(BestChange {
            undone: old.iter().rev().map(Grown::id).collect(),
            applied: new.iter().map(Grown::id).collect(),
        }),
    };
    store.commit(commit).unwrap();
    drop(store);
    let (heights, store, recovered) = replayed(&disk);
    assert_eq!(heights.len(), 4);
    assert_recovered(&recovered, &new[3].view);
    assert_holds(store.as_ref(), &new);
}

#[test]
fn verify_reads_everything_and_changes_nothing_and_reindex_rebuilds() {
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system().unwrap();
    let none = |_| {};
    let message = crate::store::verify(dev(), &env, directory.path(), &none).unwrap_err().to_string();
    assert!(message.contains("no block log"), "{message}");
    let options = StoreOptions { index: IndexPlace::Sled, ..eager() };
    let (store, recovered) = DiskStore::open(dev(), &env, directory.path(), options, &none).unwrap();
    let blocks = chain(&dev(), &recovered.view, 6, 1);
    run_with_checkpoints(&store, &blocks);
    drop(store);
    let report = crate::store::verify(dev(), &env, directory.path(), &none).unwrap();
    assert!(report.is_good() && report.checkpoints > 0, "{report}");
    assert_eq!((report.tip, report.torn_bytes), (blocks[5].id(), 0));
    assert_eq!(report.accounts, blocks[5].view.accounts.len() as u64);
    let segment = directory.path().join("blocks/000001.log");
    let file = RealDisk.open(&segment).unwrap();
    let mut byte = [0];
    file.read_exact_at(700, &mut byte).unwrap();
    file.write_all_at(700, &[byte[0] ^ 1]).unwrap();
    let report = crate::store::verify(dev(), &env, directory.path(), &none).unwrap();
    assert!(!report.is_good() && report.to_string().contains("damaged"), "{report}");
    file.write_all_at(700, &byte).unwrap();
    std::fs::remove_dir_all(directory.path().join("index")).unwrap();
    let recovered = crate::store::reindex(dev(), &env, directory.path(), options, &none).unwrap();
    assert_recovered(&recovered, &blocks[5].view);
    let held = RealDisk.try_lock(&directory.path().join("lock")).unwrap();
    let message = crate::store::reindex(dev(), &env, directory.path(), options, &none).unwrap_err().to_string();
    assert!(message.contains("a node is running"), "{message}");
    drop(held);
    let (store, _) = DiskStore::open(dev(), &env, directory.path(), options, &none).unwrap();
    assert_holds(store.as_ref(), &blocks);
}

/// Whoever asks what checkpoints there are could have a node read gigabytes again and again.
#[test]
fn a_checkpoint_that_was_found_damaged_is_not_read_again_until_its_file_was_gone() {
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 2, 1);
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, eager()).unwrap();
    run_with_checkpoints(&store, &blocks);
    let path = Path::new("/data/checkpoints").join(checkpoints(&disk)[0].to_string());
    let whole = crate::env::disk::read_whole(&disk, &path, 1 << 20).unwrap();
    store.prepare_offers().unwrap();
    let offer = store.offers().remove(0);
    // Found when a piece is asked for, and found when it is looked at as a whole.
    disk.corrupt(&path, whole.len() as u64 / 2, 1).unwrap();
    assert_eq!(store.offered_piece(&offer.block, &offer.digest, 0), None);
    for _ in 0..2 {
        store.prepare_offers().unwrap();
        assert_eq!(store.offers(), []);
        // What is read would be found good.
        disk.corrupt(&path, whole.len() as u64 / 2, 1).unwrap();
        store.prepare_offers().unwrap();
        assert_eq!(store.offers(), [], "it was read again");
        // Another file of that name.
        disk.remove(&path).unwrap();
        store.prepare_offers().unwrap();
        disk.create(&path).unwrap().write_all_at(0, &whole).unwrap();
        store.prepare_offers().unwrap();
        assert_eq!(store.offers(), std::slice::from_ref(&offer));
        disk.remove(&path).unwrap();
        store.prepare_offers().unwrap();
        disk.create(&path).unwrap().write_all_at(0, &whole).unwrap();
        disk.corrupt(&path, whole.len() as u64 / 2, 1).unwrap();
    }
}

#[test]
fn a_checkpoint_that_the_disk_does_not_give_is_read_again_only_once_there_are_others() {
    use crate::env::disk::{Fault, FaultError, FaultOp};
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 4, 1);
    let disk = MemDisk::new();
    let in_place = env(&disk).with_compute(Compute::inline());
    let (store, _) = DiskStore::open(dev(), &in_place, Path::new(DATA), eager(), &|_| {}).unwrap();
    let mut place_of_key = None;
    let (below, above) = blocks.split_at(3);
    below.iter().for_each(|block| commit_and_offer(&store, block, &mut place_of_key));
    let before = checkpoints(&disk);
    assert_eq!(before.len(), 1);
    disk.inject(Fault { op: FaultOp::Read, nth: 1, error: FaultError::Io, lasting: true });
    store.prepare_offers().unwrap();
    disk.clear_faults();
    for _ in 0..3 {
        store.prepare_offers().unwrap();
        assert_eq!(store.offers(), []);
    }
    above.iter().for_each(|block| commit_and_offer(&store, block, &mut place_of_key));
    assert_ne!(checkpoints(&disk), before);
    store.prepare_offers().unwrap();
    assert!(!store.offers().is_empty());
}
