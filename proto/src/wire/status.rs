//! Where a transaction stands, both ways.

use super::{WireError, WireFault, field, v1};
use crate::{BlockId, Height, TxId};

/// Reasons of a drop that are states of their own.
const REPLACED: &str = "REPLACED";
const EXPIRED: &str = "EXPIRED";

/// Where a transaction stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionStanding {
    /// In the mempool and executable.
    Pending,
    /// Kept by one node only, waiting for an earlier nonce.
    Queued,
    /// In a block of the best chain.
    Mined {
        /// Id of the block.
        block_id: BlockId,
        /// Height of the block.
        height: Height,
        /// Position in the block: 1 for the first behind the coinbase.
        index: u32,
        /// Blocks from its own up to the tip, 1 when it is in the tip.
        confirmations: u64,
    },
    /// Was there and is gone.
    Dropped {
        /// Stable reason, such as `REPLACED` or `EXPIRED`.
        reason: String,
        /// The transaction that took its place, if one did.
        replaced_by: Option<TxId>,
    },
}

/// A transaction's id and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionStatus {
    /// The id.
    pub id: TxId,
    /// Where it stands.
    pub standing: TransactionStanding,
}

impl From<&TransactionStatus> for v1::TransactionStatus {
    fn from(status: &TransactionStatus) -> Self {
        let mut message = Self {
            transaction_id: field::bytes32(status.id.as_bytes()),
            transaction_id_hex: status.id.to_string(),
            ..Self::default()
        };
        let state = match &status.standing {
            TransactionStanding::Pending => v1::TransactionState::Pending,
            TransactionStanding::Queued => v1::TransactionState::Queued,
            TransactionStanding::Mined { block_id, height, index, confirmations } => {
                message.block_id = field::bytes32(block_id.as_bytes());
                message.block_id_hex = block_id.to_string();
                message.block_height = height.get();
                message.block_index = *index;
                message.confirmations = *confirmations;
                v1::TransactionState::Mined
            }
            TransactionStanding::Dropped { reason, replaced_by } => {
                message.reason.clone_from(reason);
                if let Some(by) = replaced_by {
                    message.replaced_by = field::bytes32(by.as_bytes());
                    message.replaced_by_hex = by.to_string();
                }
                match reason.as_str() {
                    REPLACED => v1::TransactionState::Replaced,
                    EXPIRED => v1::TransactionState::Expired,
                    _ => v1::TransactionState::Dropped,
                }
            }
        };
        message.set_state(state);
        message
    }
}

impl TryFrom<v1::TransactionStatus> for TransactionStatus {
    type Error = WireError;

    fn try_from(message: v1::TransactionStatus) -> Result<Self, WireError> {
        let standing = match message.state() {
            v1::TransactionState::Unspecified => {
                let fault = WireFault::Unexpected { expected: "a state that this program knows" };
                return Err(WireError::new("state", fault));
            }
            v1::TransactionState::Pending => TransactionStanding::Pending,
            v1::TransactionState::Queued => TransactionStanding::Queued,
            v1::TransactionState::Mined => TransactionStanding::Mined {
                block_id: field::hash("block_id", &message.block_id)?,
                height: Height::new(message.block_height),
                index: message.block_index,
                confirmations: message.confirmations,
            },
            v1::TransactionState::Dropped | v1::TransactionState::Replaced | v1::TransactionState::Expired => {
                let replaced_by = match message.replaced_by.is_empty() {
                    true => None,
                    false => Some(field::hash("replaced_by", &message.replaced_by)?),
                };
                TransactionStanding::Dropped { reason: message.reason, replaced_by }
            }
        };
        Ok(Self { id: field::hash("transaction_id", &message.transaction_id)?, standing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(standing: TransactionStanding) -> TransactionStatus {
        TransactionStatus { id: TxId::from_bytes([1; 32]), standing }
    }

    fn mined() -> TransactionStatus {
        let block_id = BlockId::from_bytes([2; 32]);
        status(TransactionStanding::Mined { block_id, height: Height::new(9), index: 3, confirmations: 2 })
    }

    #[test]
    fn every_standing_survives_the_wire() {
        for status in [status(TransactionStanding::Pending), status(TransactionStanding::Queued), mined()] {
            assert_eq!(TransactionStatus::try_from(v1::TransactionStatus::from(&status)), Ok(status));
        }
        for (reason, replaced_by, state) in [
            ("REPLACED", Some(TxId::from_bytes([3; 32])), v1::TransactionState::Replaced),
            ("EXPIRED", None, v1::TransactionState::Expired),
            ("EVICTED", None, v1::TransactionState::Dropped),
        ] {
            let status = status(TransactionStanding::Dropped { reason: reason.into(), replaced_by });
            let message = v1::TransactionStatus::from(&status);
            assert_eq!(message.state(), state);
            assert_eq!(TransactionStatus::try_from(message), Ok(status));
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let good = v1::TransactionStatus::from(&mined());
        let read = |message: v1::TransactionStatus| TransactionStatus::try_from(message).unwrap_err().to_string();
        let unknown = v1::TransactionStatus { state: 99, ..good.clone() };
        assert_eq!(read(unknown), "state: expected a state that this program knows");
        let short = v1::TransactionStatus { block_id: vec![1].into(), ..good.clone() };
        assert_eq!(read(short), "block_id: expected 32 bytes, got 1");
        let short = v1::TransactionStatus { transaction_id: vec![].into(), ..good };
        assert_eq!(read(short), "transaction_id: expected 32 bytes, got 0");
    }
}
