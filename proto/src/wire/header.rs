//! Headers both ways.

use super::{WireError, field, v1};
use crate::{Bits, Header, TimeMs, header::HEADER_VERSION};

impl From<&Header> for v1::BlockHeader {
    fn from(header: &Header) -> Self {
        Self {
            version: HEADER_VERSION.into(),
            previous: field::bytes32(header.previous.as_bytes()),
            commitment: field::bytes32(header.commitment.as_bytes()),
            tx_root: field::bytes32(header.tx_root.as_bytes()),
            time_ms: header.time.get(),
            bits: header.bits.to_compact(),
            nonce: header.nonce,
        }
    }
}

impl TryFrom<v1::BlockHeader> for Header {
    type Error = WireError;

    fn try_from(message: v1::BlockHeader) -> Result<Self, WireError> {
        field::version(message.version)?;
        Ok(Self {
            previous: field::hash("previous", &message.previous)?,
            commitment: field::hash("commitment", &message.commitment)?,
            tx_root: field::hash("tx_root", &message.tx_root)?,
            time: TimeMs::new(message.time_ms),
            bits: Bits::from_compact(message.bits),
            nonce: message.nonce,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::samples::header;

    proptest! {
        #[test]
        fn a_header_survives_the_wire(header in header()) {
            prop_assert_eq!(Header::try_from(v1::BlockHeader::from(&header)), Ok(header));
        }

        #[test]
        fn every_bad_field_is_named(header in header()) {
            let good = v1::BlockHeader::from(&header);
            let table = [
                (v1::BlockHeader { version: 0, ..good.clone() }, "version: expected 1 to 1, got 0"),
                (v1::BlockHeader { previous: vec![0; 31].into(), ..good.clone() }, "previous: expected 32 bytes, got 31"),
                (v1::BlockHeader { commitment: vec![].into(), ..good.clone() }, "commitment: expected 32 bytes, got 0"),
                (v1::BlockHeader { tx_root: vec![0; 64].into(), ..good }, "tx_root: expected 32 bytes, got 64"),
            ];
            for (message, expected) in table {
                prop_assert_eq!(Header::try_from(message).unwrap_err().to_string(), expected);
            }
        }
    }
}
