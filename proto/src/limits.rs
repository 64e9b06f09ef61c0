//! The protocol's fixed limits; what a network may choose is in [`crate::params`] (SPEC section "Limits").

/// Largest canonical signed transaction in bytes \[R-TX-01\].
pub const MAX_TRANSACTION_BYTES: usize = 4096;
/// Most outputs of a transaction \[R-TX-04\].
pub const MAX_OUTPUTS: usize = 64;
/// Longest memo in bytes \[R-TX-06\].
pub const MAX_MEMO_BYTES: usize = 256;
/// Longest coinbase tag in bytes \[R-CB-01\].
pub const MAX_COINBASE_TAG_BYTES: usize = 64;
/// Smallest canonical transaction: used to bound counts before reading. Body without memo, one output, shortest
/// signature.
pub const MIN_TRANSACTION_BYTES: usize = 1 + 33 + 24 + 4 + 40 + 4 + 4 + 256;
/// Largest block that any network may choose, in canonical bytes.
pub const MAX_BLOCK_BYTES: usize = 16 * 1024 * 1024;
/// Furthest that a block's time may be ahead of a node's clock, in milliseconds \[R-TIM-02\].
pub const MAX_FUTURE_MS: u64 = 60_000;
/// Times are below this, in milliseconds \[R-TIM-03\].
pub const MAX_TIME_MS: u64 = 1 << 48;
/// Most genesis allocations of a network.
pub const MAX_ALLOCATIONS: usize = 10_000;
