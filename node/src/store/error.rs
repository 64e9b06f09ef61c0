//! What can go wrong with the store, and what the node is to do about it.

use std::{io, path::PathBuf};

use farthing::{BlockId, Height, codec::DecodeError};
use farthing_consensus::BlockError;

use super::{checkpoint::CheckpointError, log::Kind, types::LogPlace};
pub(crate) use crate::env::disk::is_no_space;

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The system refused an operation that changed nothing; the store goes on.
    #[error("{what} ({path}) failed")]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// No room. Nothing was changed; the same call succeeds once there is room.
    #[error("the disk is full: {needed} bytes needed in {path}, {free} are free beyond the reserve")]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes that were to be written.
        needed: u64,
        /// Bytes that may still be written.
        free: u64,
    },
    /// A sync failed, or a failed write could not be taken back: what is on the disk is unknown.
    #[error("{what} ({path}) failed, so that it is unknown what is on the disk: stop, and verify at the next start")]
    Unknown {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        #[source]
        source: io::Error,
    },
    /// A write after [`StoreError::Unknown`].
    #[error("the store takes no more writes: {0}")]
    Poisoned(String),
    /// A record of the log that is not what was written. Never served; a block can be fetched again from peers.
    #[error("{kind} {id} at {place} is damaged: {reason}")]
    Corrupt {
        /// Block or effects.
        kind: &'static str,
        /// Of which block.
        id: BlockId,
        /// Where it stands.
        place: LogPlace,
        /// What does not fit.
        reason: String,
    },
    /// The place of a key does not hold that key.
    #[error("the key at {place} is not readable: {reason}")]
    CorruptKey {
        /// Where it should stand.
        place: LogPlace,
        /// What is there instead.
        reason: String,
    },
    /// The index lacks something that it must have, or holds what nobody wrote. Rebuilt at the next start.
    #[error("the index is damaged: {0}")]
    IndexDamaged(String),
    /// The index engine refused.
    #[error("the index failed: {0}")]
    Index(String),
    /// A file that is not of this store, or too new for it.
    #[error("{path}: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The data directory belongs to another network.
    #[error("{path} holds the network {found:?} (genesis {found_genesis}), expected {expected:?} (genesis {genesis})")]
    OtherNetwork {
        /// The data directory.
        path: PathBuf,
        /// Name of the network found.
        found: String,
        /// Its genesis.
        found_genesis: BlockId,
        /// Name of the network expected.
        expected: String,
        /// Its genesis.
        genesis: BlockId,
    },
    /// What the chain begins with is not as it was written, and cannot be had from the blocks.
    #[error(
        "the chain begins with a checkpoint, and {path} is not as it was written: {reason}; restore it, or remove the data directory and start again"
    )]
    BaseLost {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The checkpoint that the chain was to begin with could not be written.
    #[error("the checkpoint to begin with cannot be kept")]
    Beginning(#[source] Box<CheckpointError>),
    /// The caller named a block that the store does not hold.
    #[error("block {0} is not in the store")]
    UnknownBlock(BlockId),
    /// The caller's change of the best chain does not fit the chain.
    #[error("the change of the best chain does not fit: {0}")]
    BadChange(String),
    /// A stored block of the best chain breaks a rule when it is executed again.
    #[error("block {id} at height {height} was stored as valid and is not")]
    Replay {
        /// Its id.
        id: BlockId,
        /// Its height.
        height: Height,
        /// The rule.
        #[source]
        source: Box<BlockError>,
    },
    /// Canonical bytes with a good checksum that do not decode: written by a newer version, or by a mistake of ours.
    #[error("{what} does not decode")]
    Decode {
        /// What was read.
        what: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
}

impl StoreError {
    /// What to do about a chain that has lost its beginning.
    pub(crate) const BEGIN_AGAIN: &str = "remove the data directory and start again";

    /// True if the same call will succeed once there is room: stop accepting, keep serving reads.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }

    /// True if the process must stop and verify at its next start.
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Unknown { .. } | Self::Poisoned(_) | Self::IndexDamaged(_) | Self::Index(_))
    }

    /// The block that must be fetched again, if this is about a damaged one.
    pub fn damaged_block(&self) -> Option<BlockId> {
        match self {
            Self::Corrupt { kind, id, .. } if *kind == Kind::Block.name() => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    pub(crate) fn unknown(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Unknown { what, path, source }
    }
}
