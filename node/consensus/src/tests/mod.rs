//! The ledger as a whole against a second, naive one.

mod histories;
mod model;
mod reorgs;

mod small_blocks;
