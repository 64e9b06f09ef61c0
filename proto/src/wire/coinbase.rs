//! Coinbases both ways.

use prost::bytes::Bytes;

use super::{WireError, WireFault, field, v1};
use crate::{Coinbase, Height, Mites, limits::MAX_COINBASE_TAG_BYTES};

impl From<&Coinbase> for v1::Coinbase {
    fn from(coinbase: &Coinbase) -> Self {
        Self {
            height: coinbase.height.get(),
            address: field::bytes32(coinbase.to.as_bytes()),
            amount_mites: coinbase.amount.get(),
            tag: Bytes::copy_from_slice(&coinbase.tag),
        }
    }
}

impl TryFrom<v1::Coinbase> for Coinbase {
    type Error = WireError;

    fn try_from(message: v1::Coinbase) -> Result<Self, WireError> {
        let (found, max) = (message.tag.len(), MAX_COINBASE_TAG_BYTES);
        if found > max {
            return Err(WireError::new("tag", WireFault::Count { unit: "bytes", min: 0, max, found }));
        }
        Ok(Self {
            height: Height::new(message.height),
            to: field::hash("address", &message.address)?,
            amount: Mites::new(message.amount_mites),
            tag: message.tag.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::samples::coinbase;

    proptest! {
        #[test]
        fn a_coinbase_survives_the_wire(coinbase in coinbase()) {
            prop_assert_eq!(Coinbase::try_from(v1::Coinbase::from(&coinbase)), Ok(coinbase));
        }
    }

    #[test]
    fn every_bad_field_is_named() {
        let good = v1::Coinbase { height: 1, address: vec![1; 32].into(), amount_mites: 1, tag: Bytes::new() };
        let short = v1::Coinbase { address: vec![1; 3].into(), ..good.clone() };
        assert_eq!(Coinbase::try_from(short).unwrap_err().to_string(), "address: expected 32 bytes, got 3");
        let long = v1::Coinbase { tag: vec![1; 65].into(), ..good };
        assert_eq!(Coinbase::try_from(long).unwrap_err().to_string(), "tag: expected 0 to 64 bytes, got 65");
    }
}
