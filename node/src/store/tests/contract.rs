//! What every store must do: the one in memory, and the one on a disk.

use std::sync::Arc;

use farthing::{BlockId, Height, Sender};

use super::*;
use crate::store::MemoryStore;

/// Runs a test on each store, with the ledger at genesis.
fn on_each_store(test: impl Fn(&dyn Store, &ChainView)) {
    let (memory, recovered) = MemoryStore::new(&dev());
    test(&memory, &recovered.view);
    let (disk, recovered) = open(&MemDisk::new());
    test(disk.as_ref(), &recovered.view);
    let directory = tempfile::tempdir().unwrap();
    let env = Env::system().unwrap();
    let options = StoreOptions { reserve_bytes: 0, ..StoreOptions::default() };
    let (disk, recovered) = DiskStore::open(dev(), &env, directory.path(), options, &|_| {}).unwrap();
    test(disk.as_ref(), &recovered.view);
    disk.close().unwrap();
}

#[test]
fn a_chain_reads_back_as_it_was_committed() {
    on_each_store(|store, genesis| {
        let blocks = chain(&dev(), genesis, 5, 1);
        extend_all(store, genesis, &blocks);
        assert_holds(store, &blocks);
        assert_eq!(store.block(&BlockId::ZERO).unwrap(), None);
        assert_eq!(store.effects(dev().genesis_id()).unwrap(), None);
        assert_eq!(store.side_blocks(Height::GENESIS).unwrap(), []);
    });
}

#[test]
fn a_reorganisation_moves_heights_transactions_and_range_and_keeps_both_branches() {
    on_each_store(|store, genesis| {
        let params = dev();
        let (old, new) = (chain(&params, genesis, 2, 1), chain(&params, genesis, 3, 2));
        extend_all(store, genesis, &old);
        let blocks = new.iter().map(Grown::new_block).collect();
        store.commit(Commit { blocks, ..Commit::default() }).unwrap();
        assert_holds(store, &old);
        assert_eq!(store.side_blocks(Height::new(2)).unwrap(), [new[1].context, new[2].context]);
        let best = BestChange {
            undone: old.iter().rev().map(Grown::id).collect(),
            applied: new.iter().map(Grown::id).collect(),
        };
        let effects = new.iter().map(|block| (block.id(), block.effects.clone())).collect();
        store.commit(Commit { blocks: Vec::new(), effects, best: Some(best) }).unwrap();
        // The chain writes the nodes of the range as well; twice is as good as once.
        let mut range = genesis.range.clone();
        let nodes = new.iter().flat_map(|block| range.append(crate::ledger::range_leaf(&block.context)).unwrap());
        store.put_range(1, &nodes.collect::<Vec<_>>()).unwrap();
        assert_holds(store, &new);
        let left = store.side_blocks(Height::GENESIS).unwrap();
        assert_eq!(
            left.iter().map(HeaderContext::id).collect::<Vec<_>>(),
            old.iter().map(Grown::id).collect::<Vec<_>>()
        );
        let lost = old[0].block.transactions[0].transaction().id(params.genesis_id());
        assert_eq!(store.locate(&lost).unwrap(), None);
        assert_eq!(store.block(&old[1].id()).unwrap().unwrap(), old[1].block);
    });
}

#[test]
fn a_block_that_is_known_is_not_stored_again() {
    on_each_store(|store, genesis| {
        let block = &chain(&dev(), genesis, 1, 1)[0];
        let first = store.commit(Commit { blocks: vec![block.new_block()], ..Commit::default() }).unwrap();
        let again = store.commit(block.commit()).unwrap();
        assert_eq!(first, again);
        assert_eq!(store.place(&block.id()).unwrap(), Some(first[0]));
    });
}

#[test]
fn a_key_is_read_where_its_transaction_stands_and_must_be_the_accounts_own() {
    on_each_store(|store, genesis| {
        let block = &chain(&dev(), genesis, 1, 1)[0];
        let place = store.commit(block.commit()).unwrap()[0];
        let place = place.of_transaction(&block.block, 0).unwrap();
        let key = store.key_at(&place, &ALICE.address()).unwrap();
        assert_eq!(Sender::Key(key), *block.block.transactions[0].transaction().sender());
        let other = Address::from_bytes([9; 32]);
        assert!(matches!(store.key_at(&place, &other), Err(StoreError::CorruptKey { .. })));
    });
}

#[test]
fn what_does_not_fit_the_chain_is_refused_and_changes_nothing() {
    on_each_store(|store, genesis| {
        let blocks = chain(&dev(), genesis, 2, 1);
        extend(store, genesis, &blocks[0]);
        let effects = vec![(blocks[1].id(), Effects::default())];
        let commit = Commit { effects, ..Commit::default() };
        assert!(matches!(store.commit(commit), Err(StoreError::UnknownBlock(id)) if id == blocks[1].id()));
        assert!(matches!(store.replace_block(&blocks[1].block), Err(StoreError::UnknownBlock(_))));
        // Neither does a change of the best chain that does not begin at the tip, with the block that comes along.
        let stranger = chain(&dev(), genesis, 2, 2).remove(1);
        let (undone, applied) = (vec![stranger.id()], vec![stranger.id()]);
        for best in [BestChange { undone, applied: Vec::new() }, BestChange { undone: Vec::new(), applied }] {
            let commit = Commit { blocks: vec![stranger.new_block()], best: Some(best), ..Commit::default() };
            let refused = store.commit(commit);
            assert!(matches!(refused, Err(StoreError::BadChange(_) | StoreError::UnknownBlock(_))), "{refused:?}");
            assert_eq!(store.header(&stranger.id()).unwrap(), None);
        }
        assert_holds(store, &blocks[..1]);
    });
}

#[test]
fn named_keys_are_kept_apart_and_sorted() {
    on_each_store(|store, _| {
        let (book, bans) = (store.key_value("book").unwrap(), store.key_value("bans").unwrap());
        book.put(b"b", b"2").unwrap();
        book.put(b"a", b"1").unwrap();
        bans.put(b"a", b"9").unwrap();
        book.put(b"b", b"3").unwrap();
        assert_eq!(book.get(b"b").unwrap(), Some(b"3".to_vec()));
        let entries = store.key_value("book").unwrap().entries().unwrap();
        assert_eq!(entries, [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"3".to_vec())]);
        book.remove(b"a").unwrap();
        assert_eq!((book.get(b"a").unwrap(), bans.get(b"a").unwrap()), (None, Some(b"9".to_vec())));
    });
}

#[test]
fn after_closing_nothing_more_is_taken() {
    on_each_store(|store, genesis| {
        let block = &chain(&dev(), genesis, 1, 1)[0];
        store.close().unwrap();
        assert!(matches!(store.commit(block.commit()), Err(StoreError::Poisoned(_))));
    });
}

#[test]
fn the_transaction_index_can_be_switched_off_and_on_again() {
    let disk = MemDisk::new();
    let (store, recovered) = open_with(&disk, StoreOptions { transaction_index: false, ..options() }).unwrap();
    let blocks = chain(&dev(), &recovered.view, 2, 1);
    for block in &blocks {
        store.commit(block.commit()).unwrap();
    }
    let id = blocks[1].block.transactions[0].transaction().id(dev().genesis_id());
    assert_eq!(store.locate(&id).unwrap(), None);
    drop(store);
    let (store, _) = open(&disk);
    assert_eq!(store.locate(&id).unwrap(), Some((Height::new(2), 0)));
    let _: Arc<dyn Store> = store;
}
