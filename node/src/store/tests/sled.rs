//! The index in sled on a real disk: written behind, lost, damaged, rebuilt.

#![allow(clippy::disallowed_methods, reason = "damages files of a real disk behind the store's back")]

use std::{fs, path::PathBuf};

use tokio_util::sync::CancellationToken;

use super::*;
use crate::env::ManualClock;

struct Real {
    directory: tempfile::TempDir,
    clock: ManualClock,
}

impl Real {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), clock: ManualClock::new(dev().genesis_time) }
    }

    fn open(&self, boot: u8) -> (Arc<DiskStore>, Recovered) {
        self.try_open(boot).unwrap()
    }

    fn try_open(&self, boot: u8) -> Result<(Arc<DiskStore>, Recovered), StoreError> {
        let env = Env::system().unwrap().with_clock(self.clock.clone());
        let options = StoreOptions { index: IndexPlace::Sled, boot: Some([boot; 16]), ..options() };
        DiskStore::open(dev(), &env, self.directory.path(), options, &|_| {})
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn set_aside(&self) -> usize {
        (1..9).filter(|n| self.path(&format!("index.damaged-{n}")).try_exists().unwrap()).count()
    }
}

fn committed(store: &DiskStore, view: &ChainView, blocks: usize, mark: u8) -> Vec<Grown> {
    let blocks = chain(&dev(), view, blocks, mark);
    for block in &blocks {
        store.commit(block.commit()).unwrap();
    }
    blocks
}

#[test]
fn the_index_comes_back_after_a_clean_end_and_after_none() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let first = committed(&store, &recovered.view, 5, 1);
    store.close().unwrap();
    drop(store);
    let (store, recovered) = real.open(2);
    assert_recovered(&recovered, &first[4].view);
    let second = committed(&store, &recovered.view, 5, 1);
    drop(store);
    for boot in [2, 3] {
        let (store, recovered) = real.open(boot);
        let all: Vec<Grown> = first.iter().chain(&second).cloned().collect();
        assert_recovered(&recovered, &all[9].view);
        assert_holds(store.as_ref(), &all);
    }
    assert_eq!(real.set_aside(), 0);
}

#[test]
fn a_deleted_index_is_made_again() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let blocks = committed(&store, &recovered.view, 5, 1);
    drop(store);
    fs::remove_dir_all(real.path("index")).unwrap();
    let (store, recovered) = real.open(1);
    assert_recovered(&recovered, &blocks[4].view);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(real.set_aside(), 0);
}

#[test]
fn garbage_in_the_index_is_set_aside_and_at_most_two_are_kept() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let blocks = committed(&store, &recovered.view, 5, 1);
    store.close().unwrap();
    drop(store);
    for round in 1..=4_usize {
        let path = real.path("index").join("db");
        let len = fs::metadata(&path).unwrap().len();
        fs::write(&path, vec![0xA5; usize::try_from(len).unwrap()]).unwrap();
        let config = real.path("index").join("conf");
        fs::write(config, b"garbage").unwrap();
        let (store, recovered) = real.open(1);
        assert_recovered(&recovered, &blocks[4].view);
        assert_holds(store.as_ref(), &blocks);
        store.close().unwrap();
        drop(store);
        assert_eq!(real.set_aside(), round.min(2));
    }
}

#[test]
fn a_missing_key_shows_after_a_possible_power_cut_and_the_index_is_rebuilt() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let blocks = committed(&store, &recovered.view, 5, 1);
    let marker = store.lock_state().marker(false);
    store.index.settle_all(marker).unwrap();
    drop(store);
    let lost = blocks[2].block.transactions[0].transaction().id(dev().genesis_id());
    let db = ::sled::Config::new().path(real.path("index")).open().unwrap();
    db.open_tree("transactions").unwrap().remove(lost.as_bytes()).unwrap().unwrap();
    db.flush().unwrap();
    drop(db);
    let (store, _) = real.open(2);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(real.set_aside(), 1);
}

#[test]
fn a_value_that_nobody_wrote_stops_the_store_and_the_next_start_rebuilds() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let blocks = committed(&store, &recovered.view, 5, 1);
    store.close().unwrap();
    drop(store);
    let db = ::sled::Config::new().path(real.path("index")).open().unwrap();
    let key = blocks[1].block.transactions[0].transaction().id(dev().genesis_id());
    db.open_tree("transactions").unwrap().insert(key.as_bytes(), b"nonsense".as_slice()).unwrap();
    drop(db);
    let (store, _) = real.open(1);
    let error = store.locate(&key).unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert!(store.poisoned().is_some());
    drop(store);
    let (store, _) = real.open(1);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(real.set_aside(), 1);
}

#[test]
fn readers_see_what_a_thread_writes_behind() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let stop = CancellationToken::new();
    let blocks = std::thread::scope(|scope| {
        let writer = scope.spawn(|| store.write_behind(&stop));
        let mut view = recovered.view.clone();
        let mut all = Vec::new();
        for _ in 0..10 {
            let blocks = committed(&store, &view, 3, 1);
            view = blocks[2].view.clone();
            all.extend(blocks);
            real.clock.advance(std::time::Duration::from_secs(6));
            assert_holds(store.as_ref(), &all);
        }
        stop.cancel();
        writer.join().unwrap().unwrap();
        all
    });
    store.close().unwrap();
    drop(store);
    let (store, recovered) = real.open(2);
    assert_recovered(&recovered, &blocks[29].view);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(real.set_aside(), 0);
}

/// A refusal of the system says nothing of what is in the files: rebuilding would take long and mend nothing.
#[test]
fn an_index_that_somebody_else_holds_open_is_refused_and_not_set_aside() {
    let real = Real::new();
    let (store, recovered) = real.open(1);
    let blocks = committed(&store, &recovered.view, 3, 1);
    store.close().unwrap();
    drop(store);
    let holder = ::sled::open(real.path("index")).unwrap();
    let error = real.try_open(1).map(|_| ()).unwrap_err();
    assert!(matches!(&error, StoreError::Io { what: "opening the index", .. }), "{error}");
    drop(holder);
    let (store, recovered) = real.open(1);
    assert_recovered(&recovered, &blocks[2].view);
    assert_holds(store.as_ref(), &blocks);
    assert_eq!(real.set_aside(), 0);
}
