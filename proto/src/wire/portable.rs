//! Proofs as bytes that are kept or passed on: one encoding each, so that no byte can be changed unnoticed.
//!
//! Protobuf alone does not give that: unknown fields are skipped, a field that comes twice counts once, numbers may be
//! written longer than they are. So what was read is written again and compared with what came.

use prost::Message;

use super::{AccountStatement, AnchoredProof, WireError, WireFault, v1};
use crate::{TransactionProof, chain_proof::ChainProof};

/// Longest proof of one thing, in bytes: 256 steps of an account proof take about 10 KiB.
const MAX_PROOF_BYTES: usize = 64 * 1024;
/// Longest statement of an account, in bytes: about 100,000 transfers.
const MAX_STATEMENT_BYTES: usize = 64 * 1024 * 1024;

/// Longest proof of a chain, in bytes: the work of 2^64 headers would take about 2.5 MiB.
const MAX_CHAIN_PROOF_BYTES: usize = 4 * 1024 * 1024;

/// Something whose protobuf form is kept or passed on.
pub trait Portable: Sized
where
    Self::Message: for<'a> From<&'a Self>,
    Self: TryFrom<Self::Message, Error = WireError>,
{
    /// The message that it is written as.
    type Message: Message + Default;

    /// Longest encoding that is read, in bytes.
    const MAX_BYTES: usize;

    /// Its one encoding.
    fn to_wire_bytes(&self) -> Vec<u8> {
        Self::Message::from(self).encode_to_vec()
    }

    /// Reads it from its one encoding.
    ///
    /// # Errors
    /// If the bytes are too many, are not such a message, or are not its one encoding.
    fn from_wire_bytes(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > Self::MAX_BYTES {
            let fault = WireFault::Count { unit: "bytes", min: 0, max: Self::MAX_BYTES, found: bytes.len() };
            return Err(WireError::new("", fault));
        }
        let message = Self::Message::decode(bytes).map_err(|error| WireError::new("", error))?;
        let value = Self::try_from(message)?;
        if value.to_wire_bytes() != bytes {
            return Err(WireError::new("", WireFault::NotCanonical));
        }
        Ok(value)
    }
}

impl Portable for TransactionProof {
    type Message = v1::TransactionProof;
    const MAX_BYTES: usize = MAX_PROOF_BYTES;
}

impl Portable for AnchoredProof {
    type Message = v1::AccountProof;
    const MAX_BYTES: usize = MAX_PROOF_BYTES;
}

impl Portable for ChainProof {
    type Message = v1::ChainProof;
    const MAX_BYTES: usize = MAX_CHAIN_PROOF_BYTES;
}

impl Portable for AccountStatement {
    type Message = v1::AccountStatement;
    const MAX_BYTES: usize = MAX_STATEMENT_BYTES;
}
