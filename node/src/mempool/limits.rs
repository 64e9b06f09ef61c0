//! What the mempool may hold (SPEC section "Limits").

use std::time::Duration;

/// Bounds of a mempool. The defaults are SPEC's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolLimits {
    /// Canonical bytes of all transactions.
    pub bytes: usize,
    /// Executable transactions of one account.
    pub executable_per_account: usize,
    /// Gapped transactions of one account.
    pub queued_per_account: usize,
    /// Canonical bytes of all gapped transactions.
    pub queued_bytes: usize,
    /// How long a gapped transaction waits for its gap to close.
    pub queued_for: Duration,
    /// Net fee per byte that a transaction pays at least, and a replacement on top, in mites.
    pub floor_mites_per_byte: u64,
    /// How many further blocks must be able to include a transaction.
    pub blocks_before_expiry: u64,
    /// Reasons of dropped transactions remembered.
    pub reasons: usize,
    /// For how many blocks they are remembered.
    pub reasons_for_blocks: u64,
    /// Refused wire ids remembered.
    pub rejected: usize,
    /// Events remembered for those who follow the pool.
    pub events: usize,
    /// Canonical bytes of the transactions that these are about, and which they keep in memory.
    pub event_bytes: usize,
}

impl PoolLimits {
    /// The defaults for a pool of so many bytes.
    #[must_use]
    pub const fn of_bytes(bytes: usize) -> Self {
        Self {
            bytes,
            executable_per_account: 1_024,
            queued_per_account: 16,
            queued_bytes: bytes / 100,
            queued_for: Duration::from_secs(300),
            floor_mites_per_byte: 100,
            blocks_before_expiry: 3,
            reasons: 65_536,
            reasons_for_blocks: 1_000,
            rejected: 65_536,
            events: 16_384,
            event_bytes: 8 * 1024 * 1024,
        }
    }
}

impl Default for PoolLimits {
    fn default() -> Self {
        Self::of_bytes(64 * 1024 * 1024)
    }
}
