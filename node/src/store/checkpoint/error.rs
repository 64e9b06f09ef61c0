//! Why a checkpoint was not written, and why a file is not a good one.

use std::{io, path::PathBuf};

use farthing::{Address, BlockId, Height, Mites, Work, codec::DecodeError, keys::KeyError};

use super::CheckpointName;
use crate::store::StoreError;

/// Why a checkpoint was not written. The older ones are untouched, and nothing that was committed is in danger.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The system refused.
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
    /// No room; what was begun is removed.
    #[error("the disk is full: {free} bytes are free at {path}, of which {reserve} are kept for the block log")]
    DiskFull {
        /// Where.
        path: PathBuf,
        /// Bytes free.
        free: u64,
        /// Bytes that a checkpoint leaves free.
        reserve: u64,
    },
    /// The snapshot is not what its tip commits to: a fault of the program or of the memory.
    #[error("the accounts at block {block}, height {height}, are not what its header commits to")]
    NotCertified {
        /// The tip.
        block: BlockId,
        /// Its height.
        height: Height,
    },
    /// The snapshot says of an account that has sent that it does not know the place of its key.
    #[error("account {0} has sent but the place of its key is not known")]
    NoKeyPlace(Address),
    /// A key cannot be read.
    #[error("the key of account {address} cannot be read")]
    Key {
        /// The account.
        address: Address,
        /// Why not.
        #[source]
        source: StoreError,
    },
    /// The place of a key holds another account's.
    #[error("the key of account {address} hashes to {found}")]
    OtherKey {
        /// The account.
        address: Address,
        /// Whose key was found.
        found: Address,
    },
    /// The time to end had come.
    #[error("abandoned after {0} accounts")]
    Abandoned(u64),
}

/// Why a file is not a good checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum Defect {
    /// It cannot be read.
    #[error("cannot be read")]
    Io(#[from] io::Error),
    /// It does not begin as a checkpoint does.
    #[error("does not begin as a checkpoint does")]
    NotACheckpoint,
    /// A version that this program does not know.
    #[error("version {0} is unknown, expected {version}", version = super::VERSION)]
    Version(u16),
    /// Of another network.
    #[error("belongs to the network of genesis {found}, expected {expected}")]
    OtherNetwork {
        /// Genesis in the file.
        found: BlockId,
        /// Genesis of this network.
        expected: BlockId,
    },
    /// It ends too early.
    #[error("ends inside the chunk at byte {0}")]
    Truncated(u64),
    /// Something follows the end.
    #[error("{0} bytes behind the end")]
    BehindTheEnd(u64),
    /// A chunk is not what was written.
    #[error("the chunk at byte {0} is damaged")]
    Chunk(u64),
    /// A good checksum over something that does not decode.
    #[error("{what} does not decode")]
    Decode {
        /// What was read.
        what: &'static str,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// Its name says another tip.
    #[error("holds {found}")]
    Name {
        /// What it should be named.
        found: CheckpointName,
    },
    /// Two of its numbers disagree.
    #[error("{what}: {found}, expected {expected}")]
    Disagrees {
        /// Which.
        what: &'static str,
        /// What is there.
        found: u64,
        /// What the rest of the file makes of it.
        expected: u64,
    },
    /// The tip's header has bits that no header may have.
    #[error("the bits of block {0} mean no work")]
    NoWork(BlockId),
    /// Nodes that are not the peaks of any header range.
    #[error("the peaks of the header range do not have falling powers of two of headers")]
    Peaks,
    /// The header range does not add up.
    #[error("the header range overflows")]
    Overflow,
    /// The total work is not that of the header range.
    #[error("total work {found:?}, the header range has {expected:?}")]
    TotalWork {
        /// What the file says.
        found: Work,
        /// The sum; none if it overflows.
        expected: Option<Work>,
    },
    /// Accounts out of order.
    #[error(transparent)]
    Order(#[from] farthing_consensus::NotSorted),
    /// An account that has sent is without its key or its place, or one that has not has one.
    #[error("account {address} with {next_nonce} transactions sent: key {key}, place of it {place}")]
    KeyPresence {
        /// The account.
        address: Address,
        /// What it has sent.
        next_nonce: u64,
        /// Whether its key is there.
        key: bool,
        /// Whether the place of its key is there.
        place: bool,
    },
    /// Bytes that are no key.
    #[error("the key of account {address} is none")]
    Key {
        /// The account.
        address: Address,
        /// Why not.
        #[source]
        source: KeyError,
    },
    /// A key of another account.
    #[error("the key of account {address} hashes to {found}")]
    OtherKey {
        /// The account.
        address: Address,
        /// Whose key it is.
        found: Address,
    },
    /// Balances and coinbases do not sum up to the supply.
    #[error("balances and coinbases sum up to {found:?} mites, the supply is {expected:?}")]
    Supply {
        /// The sum; none if it overflows.
        found: Option<Mites>,
        /// What the file says.
        expected: Mites,
    },
    /// The accounts are not those that the tip's header commits to.
    #[error("the accounts are not what the header of block {0} commits to")]
    Commitment(BlockId),
    /// The caller does not want it: its tip is not on the best chain.
    #[error("block {0} is not on the best chain")]
    OffTheBestChain(BlockId),
}

impl CheckpointError {
    pub(super) fn io(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { what, path, source }
    }

    /// True if there was no room.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::DiskFull { .. })
    }
}
