//! sled as the index's engine, guarded: it may panic, and its flush alone is not durable.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::io::Errno;

use super::engine::{Engine, EngineError, Op, Pair, Tree};
use crate::{env::Disk, tasks::panic_message};

/// Keys in one batch: larger ones drive sled's memory up by gigabytes.
const BATCH: usize = 50;

/// An open sled database.
#[derive(Debug)]
pub(crate) struct SledEngine {
    trees: Vec<sled::Tree>,
    // Behind the trees, so that they are dropped first.
    db: sled::Db,
    disk: Arc<dyn Disk>,
    path: PathBuf,
}

/// Why the database does not open.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// The system does not let it: that says nothing of what is in the files.
    Refused(io::Error),
    /// Something is wrong with it.
    Damaged(EngineError),
}

impl OpenError {
    fn of(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) if is_refusal(&error) => Self::Refused(error),
            other => Self::Damaged(EngineError(other.to_string())),
        }
    }
}

/// Whether an error is about this process or this moment: files, memory, room, rights, somebody else's lock.
fn is_refusal(error: &io::Error) -> bool {
    let too_many_files = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    too_many_files.contains(&error.raw_os_error())
        || matches!(
            error.kind(),
            io::ErrorKind::PermissionDenied
                | io::ErrorKind::OutOfMemory
                | io::ErrorKind::ReadOnlyFilesystem
                | io::ErrorKind::StorageFull
                | io::ErrorKind::QuotaExceeded
        )
        // sled puts its own words in the place of the system's error.
        || error.to_string().starts_with("could not acquire lock")
}

/// Runs a piece of sled; a panic in it is an error like any other.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, EngineError> {
    guarded_as(work, |error| EngineError(error.to_string()), std::convert::identity)
}

fn guarded_as<T, E>(
    work: impl FnOnce() -> sled::Result<T>,
    failed: impl FnOnce(sled::Error) -> E,
    panicked: impl FnOnce(EngineError) -> E,
) -> Result<T, E> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(failed),
        Err(panic) => Err(panicked(EngineError(format!("sled panicked: {}", panic_message(&*panic))))),
    }
}

impl SledEngine {
    /// Opens or makes the database.
    pub(crate) fn open(disk: Arc<dyn Disk>, path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let open = || {
            let db = sled::Config::new().path(path).cache_capacity(cache_bytes).flush_every_ms(Some(500)).open()?;
            let trees = Tree::ALL.iter().map(|tree| db.open_tree(tree.name())).collect::<sled::Result<_>>()?;
            Ok((db, trees))
        };
        guarded_as(open, OpenError::of, OpenError::Damaged).map(|(db, trees)| Self {
            trees,
            db,
            disk,
            path: path.to_owned(),
        })
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        let at = Tree::ALL.iter().position(|other| *other == tree).expect("all trees are listed");
        &self.trees[at]
    }

    /// sled's flush ends in `sync_file_range`, which syncs neither the file's length nor the drive's cache.
    fn sync_files(&self, directory: &Path) -> io::Result<()> {
        for entry in self.disk.list(directory)? {
            let path = directory.join(entry.name());
            let synced = if entry.is_dir() {
                self.sync_files(&path)
            } else {
                self.disk.open(&path).and_then(|file| file.sync_data())
            };
            match synced {
                // sled replaces its snapshots meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
        self.disk.sync_dir(directory)
    }
}

impl Engine for SledEngine {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        guarded(|| self.tree(tree).get(key)).map(|value| value.map(|value| value.to_vec()))
    }

    fn write(&self, ops: &[Op]) -> Result<(), EngineError> {
        let mut rest = ops;
        while let Some(first) = rest.first() {
            let len = rest.iter().take(BATCH).take_while(|op| op.tree == first.tree).count();
            let (now, later) = rest.split_at(len);
            let mut batch = sled::Batch::default();
            for op in now {
                match &op.value {
                    Some(value) => batch.insert(op.key.as_slice(), value.as_slice()),
                    None => batch.remove(op.key.as_slice()),
                }
            }
            guarded(|| self.tree(first.tree).apply_batch(batch))?;
            rest = later;
        }
        Ok(())
    }

    fn scan(&self, tree: Tree, from: &[u8], limit: usize) -> Result<Vec<Pair>, EngineError> {
        guarded(|| {
            let pairs = self.tree(tree).range(from..).take(limit);
            pairs.map(|pair| pair.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
        })
    }

    fn settle(&self) -> Result<(), EngineError> {
        guarded(|| self.db.flush())?;
        self.sync_files(&self.path).map_err(|error| EngineError(format!("syncing its files: {error}")))
    }
}
