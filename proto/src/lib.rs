//! The Farthing protocol: what two programs must agree on.
//!
//! Everything here is defined in words in `proto/SPEC.md`; the ids in brackets, such as \[R-TX-03\], point there.
//! Nothing here does I/O, reads a clock or holds a private key.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::cast_possible_truncation)
)]

pub mod account;
pub mod address;
pub mod amount;
pub mod block;
pub mod chain_proof;
pub mod checkpoint;
pub mod codec;
pub mod hash;
pub mod header;
pub mod history;
pub mod keys;
pub mod limits;
pub mod merkle;
pub mod params;
pub mod proof;
pub mod range;
pub mod target;
pub mod transaction_proof;
pub mod tx;
pub mod units;
#[cfg(feature = "grpc")]
pub mod wire;

pub use account::Account;
pub use address::{Address, AddressPrefix};
pub use amount::Mites;
pub use block::{Block, Coinbase};
pub use hash::{BlockId, CoinbaseId, EntryId, Hash, TxId, WireId};
pub use header::Header;
pub use keys::{PublicKey, Signature, VerifyingKey};
pub use params::{Network, Params};
pub use range::{RangeNode, RangePeaks};
pub use target::{Bits, Target, Work};
pub use transaction_proof::TransactionProof;
pub use tx::{Output, Sender, SignedTransaction, Transaction};
pub use units::{Height, TimeMs};
