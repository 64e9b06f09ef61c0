//! Places on the chain both ways.

use super::{WireError, field, v1};
use crate::{BlockId, Height, TimeMs, Work};

/// A block's place on a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChainPoint {
    /// Its height.
    pub height: Height,
    /// Its id.
    pub block_id: BlockId,
    /// Work of the chain up to and with it.
    pub total_work: Work,
    /// Its time.
    pub time: TimeMs,
}

impl From<&ChainPoint> for v1::ChainPoint {
    fn from(point: &ChainPoint) -> Self {
        Self {
            height: point.height.get(),
            block_id: field::bytes32(point.block_id.as_bytes()),
            block_id_hex: point.block_id.to_string(),
            total_work: field::work_bytes(point.total_work),
            time_ms: point.time.get(),
        }
    }
}

impl TryFrom<v1::ChainPoint> for ChainPoint {
    type Error = WireError;

    fn try_from(message: v1::ChainPoint) -> Result<Self, WireError> {
        Ok(Self {
            height: Height::new(message.height),
            block_id: field::hash("block_id", &message.block_id)?,
            total_work: field::work("total_work", &message.total_work)?,
            time: TimeMs::new(message.time_ms),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::samples::work;

    fn point() -> impl Strategy<Value = ChainPoint> {
        (any::<u64>(), any::<[u8; 32]>(), work(), any::<u64>()).prop_map(|(height, id, total_work, time)| ChainPoint {
            height: Height::new(height),
            block_id: BlockId::from_bytes(id),
            total_work,
            time: TimeMs::new(time),
        })
    }

    proptest! {
        #[test]
        fn a_point_survives_the_wire_and_shows_its_id(point in point()) {
            let message = v1::ChainPoint::from(&point);
            prop_assert_eq!(message.block_id_hex.parse(), Ok(point.block_id));
            prop_assert_eq!(ChainPoint::try_from(message), Ok(point));
        }

        #[test]
        fn every_bad_field_is_named(point in point()) {
            let good = v1::ChainPoint::from(&point);
            let short = v1::ChainPoint { total_work: vec![0; 15].into(), ..good.clone() };
            let error = ChainPoint::try_from(short).unwrap_err();
            prop_assert_eq!(error.to_string(), "total_work: expected 16 bytes, got 15");
            let short = v1::ChainPoint { block_id: vec![0; 1].into(), ..good };
            let error = ChainPoint::try_from(short).unwrap_err();
            prop_assert_eq!(error.to_string(), "block_id: expected 32 bytes, got 1");
        }
    }
}
