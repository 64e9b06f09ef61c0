//! What the mempool answers with.

use std::sync::Arc;

use farthing::{Address, Height, Mites, SignedTransaction, TimeMs, TxId, WireId};

use super::DropReason;
use crate::chain::SessionId;

/// Where a transaction came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The public API.
    Rpc,
    /// A peer.
    Peer(SessionId),
    /// A block that left the best chain.
    Reorg,
    /// The journal of an earlier run.
    Journal,
}

/// A transaction was taken, now or earlier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admitted {
    /// Its id.
    pub id: TxId,
    /// Where it stands.
    pub status: PoolStatus,
}

/// Where a transaction that is not on the chain stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolStatus {
    /// Executable: the next block may include it.
    Pending,
    /// Kept by this node only, waiting for an earlier nonce.
    Queued,
    /// It left the pool without being mined.
    Dropped {
        /// Why.
        reason: DropReason,
        /// Height of the tip at the time.
        height: Height,
    },
}

/// A transaction in the pool. Its signature holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pooled {
    pub(super) transaction: SignedTransaction,
    pub(super) id: TxId,
    pub(super) received: TimeMs,
    pub(super) source: Source,
    /// Order of arrival.
    pub(super) arrival: u64,
}

impl Pooled {
    /// The transaction.
    #[must_use]
    pub const fn transaction(&self) -> &SignedTransaction {
        &self.transaction
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> TxId {
        self.id
    }

    /// Its wire id.
    #[must_use]
    pub const fn wire_id(&self) -> WireId {
        self.transaction.wire_id()
    }

    /// When this node took it.
    #[must_use]
    pub const fn received(&self) -> TimeMs {
        self.received
    }

    /// Where it came from.
    #[must_use]
    pub const fn source(&self) -> Source {
        self.source
    }

    /// Its place in the order of arrival.
    #[must_use]
    pub const fn arrival(&self) -> Arrival {
        Arrival(self.arrival)
    }

    pub(super) const fn sender(&self) -> Address {
        self.transaction.transaction().sender_address()
    }

    pub(super) const fn nonce(&self) -> u64 {
        self.transaction.transaction().nonce()
    }
}

/// A place in the order in which transactions arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Arrival(pub(super) u64);

impl Arrival {
    /// Where the order begins.
    pub const FIRST: Self = Self(0);

    /// The next place.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What the pool would do to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccountPending {
    /// The nonce that its next transaction should carry.
    pub next_nonce: u64,
    /// What its executable transactions take from it: outputs and fees.
    pub outgoing: Mites,
    /// What executable transactions of all accounts bring it.
    pub incoming: Mites,
}

/// Numbers of the pool. Changes are published through a watch channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PoolStats {
    /// Height of the tip that the pool knows.
    pub height: Height,
    /// Grows with every change of what is executable.
    pub generation: u64,
    /// Executable transactions.
    pub executable: usize,
    /// Their net fees.
    pub net_fees: Mites,
    /// Transactions that wait for an earlier nonce.
    pub queued: usize,
    /// Canonical bytes of both.
    pub bytes: usize,
    /// When the oldest executable transaction was taken.
    pub oldest: Option<TimeMs>,
}

/// An entry of the pool as a page lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The transaction.
    pub pooled: Arc<Pooled>,
    /// [`PoolStatus::Pending`] or [`PoolStatus::Queued`].
    pub status: PoolStatus,
}

/// A part of the pool, in the order in which blocks would take it, queued ones last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The entries.
    pub entries: Vec<Listed>,
    /// Where the next page begins; none at the end.
    pub next: Option<PageCursor>,
    /// The whole pool.
    pub stats: PoolStats,
}

/// A place in a listing of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageCursor {
    /// Id of the last entry that was listed.
    pub after: TxId,
    /// Its place, for when it has left the pool since.
    pub index: u64,
}

/// Transactions became executable and may be told to peers. Durable by then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Their wire ids and where each came from, so that nothing is told to whoever told it.
    pub transactions: Vec<(WireId, Source)>,
}

/// How much a template may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TemplateLimits {
    /// Height of the block.
    pub height: Height,
    /// Canonical bytes of the transactions.
    pub bytes: usize,
    /// Their signature units.
    pub signature_units: u64,
    /// Accounts that they open, as of the confirmed state.
    pub openings: u32,
    /// How many.
    pub count: usize,
}
