//! The rules of the Farthing ledger. Pure: no clock, no I/O, no threads; time, parameters and ancestors are arguments.
//!
//! Rules are defined in words in `proto/SPEC.md`.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

mod blocks;
mod difficulty;
mod error;
mod execution;
#[cfg(test)]
mod fixtures;
mod fork_choice;
mod headers;
mod signatures;
mod state;
#[cfg(test)]
mod tests;
mod tree;

pub use blocks::{CheckedBlock, check_block, check_block_owned, check_commitment};
pub use difficulty::required_bits;
pub use error::{BlockError, HeaderError, TxError};
pub use execution::{AccountView, Applied, Execution, Executor, Touch, execute, expected_coinbase_amount};
pub use fork_choice::{prefer, tie_break_after_ms};
pub use headers::{HeaderContext, check_header, check_header_alone};
pub use signatures::check_signature;
pub use state::{apply_touches, undo_touches};
pub use tree::{AccountTree, Entry, Iter, NotSorted};
