//! The index on a file system that is really full: what the journal leaves free keeps it alive.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "mounts a small disk, or says why it cannot")]

use std::{path::Path, process::Command};

use farthing::TimeMs;
use tempfile::TempDir;

use super::*;
use crate::{
    env::{Disk as _, RealDisk},
    mempool::{DiskJournal, JournalEntry, Pooled},
    store::{DiskStore, IndexPlace, Store as _, StoreError, StoreOptions},
};

const RESERVE: u64 = 8 << 20;

/// A file system in memory of its own.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None, with the reason printed, where nobody may mount one.
    fn mount(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path());
        let reason = match mount.output() {
            Ok(output) if output.status.success() => return Some(Self(directory)),
            Ok(output) => String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            Err(error) => error.to_string(),
        };
        eprintln!("skipped, for a small file system cannot be mounted here: {reason}");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()), "{} is still mounted", self.path().display());
    }
}

fn open_store(directory: &Path) -> Result<Arc<DiskStore>, StoreError> {
    let options = StoreOptions {
        index: IndexPlace::Sled,
        segment_bytes: 1 << 20,
        reserve_bytes: RESERVE,
        boot: Some([1; 16]),
        ..StoreOptions::default()
    };
    DiskStore::open(dev(), &Env::system().unwrap(), directory, options, &|_| {}).map(|(store, _)| store)
}

fn open_journal(directory: &Path) -> DiskJournal {
    DiskJournal::open(Arc::new(RealDisk), directory, *dev().genesis_id(), RESERVE / 2).unwrap()
}

#[test]
fn a_journal_that_fills_the_disk_leaves_the_index_room_to_live() {
    let Some(small) = SmallDisk::mount("32m") else { return };
    let store = open_store(small.path()).unwrap();
    let journal = open_journal(small.path());
    let transaction = ALICE.pay(0, BOB.address(), 1);
    let received = TimeMs::new(1);
    let pooled = Pooled { id: id(&transaction), transaction, received, source: Source::Rpc, arrival: 0 };
    let entry = JournalEntry::Added(Arc::new(pooled));
    for group in [1_000, 100, 1] {
        let full = std::iter::repeat_with(|| journal.append(&vec![entry.clone(); group])).find_map(Result::err);
        assert!(matches!(full, Some(JournalError::DiskFull { .. })), "{full:?}");
    }
    assert!(RealDisk.free_space(small.path()).unwrap() >= RESERVE / 2);

    let addresses = store.key_value("peer addresses").unwrap();
    for n in 0..300_u32 {
        addresses.put(&n.to_be_bytes(), &[n.to_le_bytes()[0]; 500]).unwrap();
    }
    assert_eq!(store.poisoned(), None);
    store.close().unwrap();
    drop((addresses, store, journal));
    let store = open_store(small.path()).unwrap();
    assert_eq!(store.key_value("peer addresses").unwrap().entries().unwrap().len(), 300);
    assert!(!RealDisk.exists(&small.path().join("index.damaged-1")).unwrap());
    // The next start finds what is needed, and gives back what is not.
    open_journal(small.path()).rewrite(&[entry]).unwrap();
    assert!(RealDisk.free_space(small.path()).unwrap() > 2 * RESERVE);
}
