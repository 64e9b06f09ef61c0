//! What followers of the chain are told.

use std::{fmt, sync::Arc};

use farthing::{Block, BlockId, Height, TxId, Work};
use farthing_consensus::HeaderContext;
use tokio::sync::broadcast;

use super::ChainView;

/// Names a session with a peer while it lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId(u64);

impl SessionId {
    /// Takes a number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "session {}", self.0)
    }
}

/// Where a block came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// This node mined it.
    Mined,
    /// A peer sent it.
    Peer(SessionId),
    /// This node had it already: found at start, or tried again.
    Local,
}

/// What became of a block that was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    /// It is on the best chain.
    Connected,
    /// It is kept on a side branch. If that has as much work as the best one, it was executed and is valid.
    SideBranch,
    /// It is kept on a side branch of as much work as the best one, which could not be executed now, for a block of it is
    /// damaged. Others should not hear of it from here.
    Unchecked,
    /// It was known before.
    AlreadyKnown,
    /// It was known before, but its record on the disk was damaged: this copy took its place.
    Repaired,
}

/// A block of the chain with what is often asked of it.
#[derive(Debug)]
pub struct ChainBlock {
    /// Its id.
    pub id: BlockId,
    /// Its height.
    pub height: Height,
    /// The block.
    pub block: Arc<Block>,
    /// Ids of its transactions, in order.
    pub tx_ids: Vec<TxId>,
    /// Work from genesis up to and with it.
    pub total_work: Work,
}

/// Most blocks that come along with a change of the tip.
pub(super) const MAX_KEPT: u64 = 128;
/// How many of those that joined come along with a deeper one.
pub(super) const KEPT_OF_DEEP: usize = 8;

/// The best chain has a new tip.
#[derive(Debug)]
pub struct TipChange {
    /// The tip before.
    pub old_tip: HeaderContext,
    /// The last block that both branches have; the old tip if none left the best chain.
    pub fork: HeaderContext,
    /// Blocks that left the best chain, the old tip first. None if the change [is deep](TipChange::is_deep).
    pub undone: Vec<Arc<ChainBlock>>,
    /// Blocks that joined it, the lowest first. Only the newest few if the change [is deep](TipChange::is_deep).
    pub applied: Vec<Arc<ChainBlock>>,
    /// The ledger at the new tip.
    pub view: Arc<ChainView>,
    /// Where the block that caused the change came from.
    pub origin: Origin,
}

impl TipChange {
    /// How many blocks left the best chain.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.old_tip.height().distance_from(self.fork.height())
    }

    /// How many blocks joined it.
    #[must_use]
    pub fn gained(&self) -> u64 {
        self.view.tip.height().distance_from(self.fork.height())
    }

    /// Whether more blocks left and joined than are kept in memory at once: the rest is to be read from the chain.
    #[must_use]
    pub fn is_deep(&self) -> bool {
        // A chain that begins with a checkpoint gains blocks that are nowhere.
        self.depth().saturating_add(self.gained()) > MAX_KEPT || self.gained() > self.applied.len() as u64
    }
}

/// A follower fell too far behind: it must start again from the present view.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{missed} changes of the tip were missed")]
pub struct Lagged {
    /// How many changes it did not see.
    pub missed: u64,
}

/// Changes of the tip, in order.
#[derive(Debug)]
pub struct TipChanges(pub(super) broadcast::Receiver<Arc<TipChange>>);

impl TipChanges {
    /// The next change; none once the chain has stopped.
    ///
    /// # Errors
    /// [`Lagged`] if changes were missed; the next call continues behind them.
    pub async fn next(&mut self) -> Result<Option<Arc<TipChange>>, Lagged> {
        match self.0.recv().await {
            Ok(change) => Ok(Some(change)),
            Err(broadcast::error::RecvError::Closed) => Ok(None),
            Err(broadcast::error::RecvError::Lagged(missed)) => Err(Lagged { missed }),
        }
    }
}
