//! Why the chain refuses something.

use farthing::{BlockId, Height, TimeMs, WireId};
use farthing_consensus::{BlockError, HeaderContext, HeaderError, TxError};

use crate::{ledger::LedgerError, store::StoreError};

/// A fault of the node itself, not of what it was given.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ChainError {
    /// The store failed.
    #[error("{0}")]
    Store(#[from] std::sync::Arc<StoreError>),
    /// Memory and disk disagree: the process must stop and check itself at the next start.
    #[error("the chain's state is inconsistent: {0}")]
    Inconsistent(String),
    /// The chain begins with a checkpoint, and what is asked for stands below it.
    #[error(
        "block {height} and what happened in it are not here: this chain begins with a checkpoint, its lowest block is {lowest}"
    )]
    Pruned {
        /// Height of what is asked for.
        height: Height,
        /// Height of the lowest block above genesis that is here.
        lowest: Height,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl From<StoreError> for ChainError {
    fn from(error: StoreError) -> Self {
        Self::Store(std::sync::Arc::new(error))
    }
}

impl ChainError {
    /// Something is not in the store that must be there.
    pub(super) fn missing(what: &str, block: &BlockId) -> Self {
        Self::Inconsistent(format!("{what} of block {block} is not in the store"))
    }

    /// True if the process must stop.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Store(error) => error.is_fatal(),
            Self::Inconsistent(_) => true,
            Self::Pruned { .. } | Self::Stopping => false,
        }
    }

    /// The block whose record is damaged, if that is the fault: another copy heals it.
    #[must_use]
    pub fn damaged_block(&self) -> Option<BlockId> {
        match self {
            Self::Store(error) => error.damaged_block(),
            Self::Inconsistent(_) | Self::Pruned { .. } | Self::Stopping => None,
        }
    }
}

/// Why a block is not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum BlockRejection {
    /// Its parent, or the parent's body, is not here.
    #[error("the parent {missing} is not known; fetch it first")]
    Orphan {
        /// The parent.
        missing: BlockId,
    },
    /// Its header breaks a rule.
    #[error("block {id}: {error}")]
    Header {
        /// The block.
        id: BlockId,
        /// The rule.
        error: HeaderError,
    },
    /// Its body breaks a rule.
    #[error("block {id}: {error}")]
    Block {
        /// The block.
        id: BlockId,
        /// The rule.
        error: BlockError,
    },
    /// A signature does not hold.
    #[error("block {id}: transaction {transaction} ({wire_id}): {error}")]
    Signature {
        /// The block.
        id: BlockId,
        /// Index of the transaction, from 0.
        transaction: usize,
        /// Which it is.
        wire_id: WireId,
        /// The rule.
        error: TxError,
    },
    /// It, or a block before it, was found invalid earlier.
    #[error("block {id} is known to be invalid, or stands on one that is")]
    KnownInvalid {
        /// The block.
        id: BlockId,
    },
    /// Its time is ahead of this node's clock; it is kept and tried again.
    #[error("block {id} is ahead of this node's clock; it is tried again at {retry_at}")]
    FromFuture {
        /// The block.
        id: BlockId,
        /// When.
        retry_at: TimeMs,
    },
    /// Its branch leaves the best chain below what the operator made final. Valid for the network all the same.
    #[error(
        "block {id} is on a branch that leaves this node's chain below height {final_height}, which is final here; to \
         follow such a branch, start the node without --finality-depth"
    )]
    BelowFinal {
        /// The block.
        id: BlockId,
        /// Height of the highest final block.
        final_height: Height,
    },
    /// It leaves the best chain below the checkpoint that the chain begins with: nobody's fault, and not to be executed.
    #[error(
        "block {id} leaves the chain below height {base}, where it begins with a checkpoint, and cannot be executed; if that branch is the right one, remove the data directory and start again with --sync full"
    )]
    BelowBase {
        /// The block.
        id: BlockId,
        /// Where the chain begins.
        base: Height,
    },
    /// The node itself failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl BlockRejection {
    /// True if whoever sent the block sent something that can never be right.
    #[must_use]
    pub const fn is_senders_fault(&self) -> bool {
        matches!(self, Self::Header { .. } | Self::Block { .. } | Self::Signature { .. } | Self::KnownInvalid { .. })
    }

    /// True if no body can ever make this block id valid, and it took work to find out: a faulty header is refused
    /// again as cheaply, and remembering those would cost an attacker nothing.
    #[must_use]
    pub(super) const fn condemns_id(&self) -> bool {
        match self {
            Self::Block { error, .. } => error.condemns_id(),
            Self::Signature { .. } | Self::KnownInvalid { .. } => true,
            Self::Header { .. }
            | Self::Orphan { .. }
            | Self::FromFuture { .. }
            | Self::BelowFinal { .. }
            | Self::BelowBase { .. }
            | Self::Chain(_) => false,
        }
    }

    /// The rejection of a block that cannot be applied.
    pub(super) fn from_ledger(id: BlockId, error: LedgerError) -> Self {
        match error {
            LedgerError::Block(error) => Self::Block { id, error },
            other => Self::Chain(ChainError::Inconsistent(other.to_string())),
        }
    }
}

impl From<StoreError> for BlockRejection {
    fn from(error: StoreError) -> Self {
        Self::Chain(error.into())
    }
}

/// Why headers are not taken.
#[derive(Debug, Clone, thiserror::Error)]
pub enum HeaderRejection {
    /// The first header's parent is not known.
    #[error("the parent {missing} of the first header is not known")]
    Orphan {
        /// The parent.
        missing: BlockId,
    },
    /// A header breaks a rule.
    #[error("header {at} ({id}): {error}")]
    Invalid {
        /// Index in the list.
        at: usize,
        /// Its id.
        id: BlockId,
        /// The rule.
        error: HeaderError,
    },
    /// A header stands on a block that was found invalid.
    #[error("header {id} is known to be invalid, or stands on one that is")]
    KnownInvalid {
        /// The header.
        id: BlockId,
    },
    /// Its branch leaves the best chain below what the operator made final. Valid for the network all the same.
    #[error(
        "header {id} is on a branch that leaves this node's chain below height {final_height}, which is final here; to \
         follow such a branch, start the node without --finality-depth"
    )]
    BelowFinal {
        /// The last header of the list.
        id: BlockId,
        /// Height of the highest final block.
        final_height: Height,
        /// The same header; nothing of the list is kept, but what it leads to is known.
        last: Box<HeaderContext>,
    },
    /// A header leaves the best chain below the checkpoint that the chain begins with: nobody's fault.
    #[error("header {id} leaves the chain below height {base}, where it begins with a checkpoint")]
    BelowBase {
        /// The last header of the list.
        id: BlockId,
        /// Where the chain begins.
        base: Height,
        /// The same header; nothing of the list is kept, but what it leads to is known.
        last: Box<HeaderContext>,
    },
    /// More headers than are kept before a checkpoint is there to begin with.
    #[error("{0} headers wait for a checkpoint already")]
    Full(usize),
    /// The node itself failed.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl From<StoreError> for HeaderRejection {
    fn from(error: StoreError) -> Self {
        Self::Chain(error.into())
    }
}
