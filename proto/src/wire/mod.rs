//! The wire: generated gRPC code, and the one place where wire and domain types are converted.
//!
//! One file a type. Reading a message either yields a domain type or an error that names the field's path.

mod account;
mod account_proof;
mod block_view;
mod chain_point;
mod chain_proof;
mod coinbase;
mod error;
mod field;
mod filter;
mod header;
mod lookup;
mod mask;
mod portable;
#[cfg(test)]
mod proof_tests;
#[cfg(test)]
mod samples;
mod statement;
mod status;
mod transaction;
mod transaction_proof;
mod transaction_view;

pub use account_proof::{AnchoredProof, AnchoredProofError};
pub use block_view::{BlockPlace, BlockSummary, block_view, read_block_view};
pub use chain_point::ChainPoint;
pub use error::{WireError, WireFault};
pub use filter::{MAX_FILTER_ADDRESSES, TransactionFilter};
pub use lookup::{AddressLookup, BlockLookup, HeadersStart, StreamStart};
pub use mask::{MAX_MASK_PATH_BYTES, MAX_MASK_PATHS, Masked, ReadMask};
pub use portable::Portable;
pub use statement::{AccountStatement, PastReader, StatementError, read_account_entry};
pub use status::{TransactionStanding, TransactionStatus};
pub use transaction::{Draft, canonical_transaction};
pub use transaction_view::{read_transaction_view, transaction_view, transaction_view_with_id};

/// The public API, `farthing.v1`.
#[allow(
    missing_docs,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; the .proto files document it"
)]
pub mod v1 {
    tonic::include_proto!("farthing.v1");
    include!(concat!(env!("OUT_DIR"), "/masks.rs"));
}

/// What nodes say to each other, `farthing.peer.v1`.
#[allow(
    missing_docs,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; the .proto files document it"
)]
pub mod peer {
    tonic::include_proto!("farthing.peer.v1");
}

/// What an operator says to a node, `farthing.admin.v1`.
#[allow(
    missing_docs,
    clippy::large_enum_variant,
    clippy::missing_errors_doc,
    clippy::too_many_lines,
    unreachable_pub,
    reason = "generated; the .proto files document it"
)]
pub mod admin {
    tonic::include_proto!("farthing.admin.v1");
}

/// Descriptor set of the public API, for reflection.
pub const PUBLIC_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/public.bin"));
/// Descriptor set of the peer API, for reflection.
pub const PEER_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/peer.bin"));
/// Descriptor set of the admin API, for reflection.
pub const ADMIN_DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/admin.bin"));
