//! Bit rot, missing files, foreign files: detected, reported, healed; never served, never silently cut.

use super::*;
use crate::env::{Disk as _, disk::read_whole};

/// A disk with a chain of one segment, closed in order.
fn closed_disk(blocks: &[Grown]) -> MemDisk {
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, wide()).unwrap();
    for block in blocks {
        store.commit(block.commit()).unwrap();
    }
    store.close().unwrap();
    disk
}

fn wide() -> StoreOptions {
    StoreOptions { segment_bytes: 1 << 20, ..options() }
}

fn segment() -> &'static Path {
    Path::new("/data/blocks/000000.log")
}

fn blocks() -> Vec<Grown> {
    chain(&dev(), &ChainView::genesis(&dev()), 4, 1)
}

#[test]
fn a_damaged_block_is_reported_by_id_never_served_and_healed_by_a_good_copy() {
    let blocks = blocks();
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, wide()).unwrap();
    for block in &blocks {
        store.commit(block.commit()).unwrap();
    }
    let bad = &blocks[1];
    let place = store.place(&bad.id()).unwrap().unwrap();
    drop(store);
    disk.corrupt(segment(), u64::from(place.offset()) + 300, 4).unwrap();
    let (store, recovered) = open_with(&disk, wide()).unwrap();
    assert_eq!(store.damaged().unwrap(), [bad.id()]);
    let error = store.block(&bad.id()).unwrap_err();
    assert_eq!(error.damaged_block(), Some(bad.id()));
    // The chain ends before it; all that stood above is a candidate.
    assert_recovered(&recovered, &blocks[0].view);
    assert_holds(store.as_ref(), &blocks[..1]);
    assert_eq!(recovered.candidates[0].id(), blocks[3].id());
    store.replace_block(&bad.block).unwrap();
    assert_eq!(store.damaged().unwrap(), []);
    assert_eq!(store.block(&bad.id()).unwrap().unwrap(), bad.block);
    let applied = blocks[1..].iter().map(Grown::id).collect();
    store.commit(Commit { best: Some(BestChange { undone: Vec::new(), applied }), ..Commit::default() }).unwrap();
    assert_holds(store.as_ref(), &blocks);
    drop(store);
    let (store, recovered) = open_with(&disk, wide()).unwrap();
    assert_recovered(&recovered, &blocks[3].view);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(store.damaged().unwrap(), []);
}

#[test]
fn damaged_effects_are_made_again_by_execution() {
    let blocks = blocks();
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, wide()).unwrap();
    for block in &blocks {
        store.commit(block.commit()).unwrap();
    }
    let place = store.entry_of(&blocks[1].id()).unwrap().unwrap().effects.unwrap();
    drop(store);
    disk.corrupt(segment(), u64::from(place.offset()) + 5, 1).unwrap();
    let (store, recovered) = open_with(&disk, wide()).unwrap();
    assert_recovered(&recovered, &blocks[3].view);
    assert_holds(store.as_ref(), &blocks);
    drop(store);
    let (store, _) = open_with(&disk, wide()).unwrap();
    assert_holds(store.as_ref(), &blocks);
}

#[test]
fn every_flipped_bit_of_the_log_is_survived_and_nothing_wrong_is_served() {
    let blocks = blocks();
    let len = read_whole(&closed_disk(&blocks), segment(), 1 << 20).unwrap().len() as u64;
    for at in (0..len).step_by(37) {
        let disk = closed_disk(&blocks);
        disk.corrupt(segment(), at, 0x10).unwrap();
        let (store, recovered) = open_with(&disk, wide()).unwrap_or_else(|error| panic!("byte {at}: {error}"));
        for block in &blocks {
            if let Ok(Some(found)) = store.block(&block.id()) {
                assert_eq!(found, block.block, "byte {at}");
            }
        }
        let height = usize::try_from(recovered.view.tip.height().get()).unwrap();
        let expected = if height == 0 { ChainView::genesis(&dev()) } else { blocks[height - 1].view.clone() };
        assert_recovered(&recovered, &expected);
        // One honest peer heals it: it has every block.
        for block in &blocks {
            if store.damaged().unwrap().contains(&block.id()) {
                store.replace_block(&block.block).unwrap();
            }
            store.commit(Commit { blocks: vec![block.new_block()], ..Commit::default() }).unwrap();
        }
        let missing = &blocks[height..];
        let effects = missing.iter().map(|block| (block.id(), block.effects.clone())).collect();
        let applied = missing.iter().map(Grown::id).collect();
        let best = Some(BestChange { undone: Vec::new(), applied });
        store.commit(Commit { blocks: Vec::new(), effects, best }).unwrap();
        drop(store);
        let (store, recovered) = open_with(&disk, wide()).unwrap();
        assert_recovered(&recovered, &blocks[3].view);
        assert_eq!(store.damaged().unwrap(), [], "byte {at}");
    }
}

#[test]
fn the_data_of_another_network_is_refused_by_name() {
    let disk = closed_disk(&blocks());
    let main = Arc::new(farthing::params::Network::Main.params().clone());
    let error = DiskStore::open(main, &env(&disk), Path::new(DATA), wide(), &|_| {}).unwrap_err();
    let message = error.to_string();
    assert!(message.contains("\"dev\"") && message.contains("expected \"main\""), "{message}");
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let blocks = chain(&dev(), &ChainView::genesis(&dev()), 8, 1);
    let disk = MemDisk::new();
    let (store, _) = open(&disk);
    for block in &blocks {
        store.commit(block.commit()).unwrap();
    }
    drop(store);
    assert!(disk.list(Path::new("/data/blocks")).unwrap().len() > 2, "the chain takes several segments");
    disk.remove(segment()).unwrap();
    let error = open_with(&disk, options()).unwrap_err();
    assert!(error.to_string().contains("000000.log"), "{error}");
}

#[test]
fn a_missing_or_garbled_header_range_is_made_again() {
    let blocks = blocks();
    let disk = closed_disk(&blocks);
    disk.remove(Path::new("/data/range")).unwrap();
    let (store, _) = open_with(&disk, wide()).unwrap();
    assert_holds(store.as_ref(), &blocks);
    store.close().unwrap();
    disk.corrupt(Path::new("/data/range"), 80, 1).unwrap();
    let (store, _) = open_with(&disk, wide()).unwrap();
    assert_holds(store.as_ref(), &blocks);
}

/// Keys are read out of old blocks, which no start looks at when a checkpoint stands above them.
#[test]
fn a_damaged_key_is_read_from_the_good_copy_of_its_block() {
    let blocks = blocks();
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, wide()).unwrap();
    let place = store.commit(blocks[0].commit()).unwrap()[0];
    for block in &blocks[1..] {
        store.commit(block.commit()).unwrap();
    }
    let (signed, address) = (&blocks[0].block.transactions[0], ALICE.address());
    let key_place = place.of_transaction(&blocks[0].block, 0).unwrap();
    let Sender::Key(key) = signed.transaction().sender() else { panic!("a first transaction carries its key") };
    disk.corrupt(segment(), u64::from(key_place.offset()) + 100, 1).unwrap();
    // Reported as what can be fetched again, so that peers are asked for it.
    let error = store.key_at(&key_place, &address).unwrap_err();
    assert_eq!(error.damaged_block(), Some(blocks[0].id()), "{error}");
    assert_eq!(store.damaged().unwrap(), [blocks[0].id()]);
    store.replace_block(&blocks[0].block).unwrap();
    assert_eq!(store.key_at(&key_place, &address).unwrap(), *key);
    assert_eq!(store.damaged().unwrap(), []);
}

/// What a branch beside the best chain did is made again when that branch is executed, and stops no start.
#[test]
fn damaged_effects_beside_the_best_chain_are_not_replayed_for() {
    let disk = MemDisk::new();
    let (store, _) = open_with(&disk, wide()).unwrap();
    let (old, new) = (blocks(), chain(&dev(), &ChainView::genesis(&dev()), 4, 2));
    for block in &old {
        store.commit(block.commit()).unwrap();
    }
    let undone = old.iter().rev().map(Grown::id).collect();
    let best = BestChange { undone, applied: new.iter().map(Grown::id).collect() };
    let effects = new.iter().flat_map(|block| block.commit().effects).collect();
    let blocks = new.iter().map(Grown::new_block).collect();
    store.commit(Commit { blocks, effects, best: Some(best) }).unwrap();
    let place = store.entry_of(&old[1].id()).unwrap().unwrap().effects.unwrap();
    disk.corrupt(segment(), u64::from(place.offset()) + 5, 1).unwrap();
    assert!(matches!(store.effects(&old[1].id()), Err(StoreError::Corrupt { .. })));
    assert_eq!(store.lowest_damaged_effects().unwrap(), None);
    let error = store.effects(&old[1].id()).unwrap_err();
    assert_eq!(error.damaged_block(), None, "no peer has effects");
}
