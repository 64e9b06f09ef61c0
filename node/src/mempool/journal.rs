//! What the mempool asks of its journal: a transfer is acknowledged only after it is written there and synced.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{BlockId, Height, TimeMs, TxId};

use super::{DropReason, Pooled};

/// What happened to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JournalEntry {
    /// It was taken.
    Added(Arc<Pooled>),
    /// It left without being mined.
    Dropped {
        /// Which.
        id: TxId,
        /// Why.
        reason: DropReason,
        /// Height of the tip at the time.
        height: Height,
    },
}

/// An entry as a journal reads it back; what it holds was valid when it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadedEntry {
    /// A transaction was taken.
    Added {
        /// Which.
        transaction: farthing::SignedTransaction,
        /// When.
        received: TimeMs,
    },
    /// A transaction left without being mined.
    Dropped {
        /// Which.
        id: TxId,
        /// Why.
        reason: DropReason,
        /// Height of the tip at the time.
        height: Height,
    },
}

/// A journal failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JournalError {
    /// No room. Nothing was changed; the same call succeeds once there is room.
    #[error(
        "the disk is full: {needed} bytes needed in {}, {free} are free beyond the reserve; make room, the node then \
         goes on by itself", path.display()
    )]
    DiskFull {
        /// The journal.
        path: PathBuf,
        /// Bytes that were to be written.
        needed: u64,
        /// Bytes that may still be written.
        free: u64,
    },
    /// The system refused something after which it is not known what is on the disk.
    #[error("cannot {what} {}: {reason}; restart the node, which checks the journal", path.display())]
    Unknown {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        reason: String,
    },
    /// A write after [`JournalError::Unknown`].
    #[error("{} takes no more entries since a write of it failed; restart the node, which checks the journal", path.display())]
    Broken {
        /// The journal.
        path: PathBuf,
    },
    /// The journal of another network.
    #[error(
        "{} belongs to the network with genesis {found}, expected {expected}; name another data directory", path.display()
    )]
    OtherNetwork {
        /// The journal.
        path: PathBuf,
        /// Genesis of the network found.
        found: BlockId,
        /// Genesis of the network expected.
        expected: BlockId,
    },
    /// A file that no version of this program has written.
    #[error("{} is not a mempool journal; move it away to start without the transfers that wait", path.display())]
    NotAJournal {
        /// The file.
        path: PathBuf,
    },
}

impl JournalError {
    /// True if the process must stop, as it is not known what is on the disk.
    #[must_use]
    pub const fn is_fatal(&self) -> bool {
        !matches!(self, Self::DiskFull { .. })
    }
}

/// An append-only record of what entered and left the pool. The methods block until the disk has answered.
pub trait PoolJournal: fmt::Debug + Send + Sync + 'static {
    /// Writes all entries; they are durable on return. One call is one sync.
    ///
    /// # Errors
    /// If they may not be durable.
    fn append(&self, entries: &[JournalEntry]) -> Result<(), JournalError>;

    /// Everything that was written, oldest first.
    ///
    /// # Errors
    /// If the journal cannot be read.
    fn load(&self) -> Result<Vec<LoadedEntry>, JournalError>;

    /// Replaces everything by these entries, at once or not at all; they are durable on return.
    ///
    /// # Errors
    /// If the old entries may still stand.
    fn rewrite(&self, entries: &[JournalEntry]) -> Result<(), JournalError>;
}

/// A journal in memory, for nodes that keep nothing and for tests. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct MemoryJournal(Arc<Mutex<Memory>>);

#[derive(Debug, Default)]
struct Memory {
    entries: Vec<JournalEntry>,
    appends: usize,
    failure: Option<JournalError>,
}

impl MemoryJournal {
    /// An empty journal.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How often it was synced.
    #[must_use]
    pub fn syncs(&self) -> usize {
        self.lock().appends
    }

    /// Lets every later write fail, or succeed again.
    pub fn fail_with(&self, failure: Option<JournalError>) {
        self.lock().failure = failure;
    }

    fn lock(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolJournal for MemoryJournal {
    fn append(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut memory = self.lock();
        if let Some(failure) = &memory.failure {
            return Err(failure.clone());
        }
        memory.entries.extend_from_slice(entries);
        memory.appends += 1;
        Ok(())
    }

    fn load(&self) -> Result<Vec<LoadedEntry>, JournalError> {
        let read = |entry: &JournalEntry| match entry {
            JournalEntry::Added(pooled) => {
                LoadedEntry::Added { transaction: pooled.transaction().clone(), received: pooled.received() }
            }
            JournalEntry::Dropped { id, reason, height } => {
                LoadedEntry::Dropped { id: *id, reason: *reason, height: *height }
            }
        };
        Ok(self.lock().entries.iter().map(read).collect())
    }

    fn rewrite(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut memory = self.lock();
        if let Some(failure) = &memory.failure {
            return Err(failure.clone());
        }
        memory.entries = entries.to_vec();
        Ok(())
    }
}
