//! 32-byte ids, one type each, and the tags that keep every hashed structure apart (SPEC section "Hash tags").

use std::{fmt, str::FromStr};

use sha2::{Digest as _, Sha256};

/// First byte of every hashed structure.
pub mod tag {
    /// Leaf of the transaction tree.
    pub const TX_LEAF: u8 = 0x10;
    /// Inner node of the transaction tree.
    pub const TX_NODE: u8 = 0x11;
    /// Root of the transaction tree with its count.
    pub const TX_ROOT: u8 = 0x12;
    /// Leaf of the account tree.
    pub const ACCOUNT_LEAF: u8 = 0x20;
    /// Inner node of the account tree.
    pub const ACCOUNT_NODE: u8 = 0x21;
    /// Inner node of the header range.
    pub const RANGE_NODE: u8 = 0x31;
    /// Root of the header range.
    pub const RANGE_ROOT: u8 = 0x32;
    /// A header's commitment.
    pub const COMMITMENT: u8 = 0x40;
    /// Link of an account's history chain.
    pub const HISTORY: u8 = 0x50;
}

/// SHA-256 over the parts, one after the other.
#[must_use]
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Why a text is not a 32-byte hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHashError {
    /// Not 64 characters.
    #[error("a hash has 64 hex digits, not {0}")]
    Length(usize),
    /// A character that is no hex digit.
    #[error("{0:?} at position {1} is not a hex digit")]
    Digit(char, usize),
}

pub(crate) fn parse_hex32(text: &str) -> Result<[u8; 32], ParseHashError> {
    if text.chars().count() != 64 {
        return Err(ParseHashError::Length(text.chars().count()));
    }
    if let Some((at, digit)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_hexdigit()) {
        return Err(ParseHashError::Digit(digit, at));
    }
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).map_err(|_| ParseHashError::Length(text.len()))?;
    Ok(bytes)
}

macro_rules! hash_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name([u8; 32]);

        impl $name {
            /// 32 zero bytes.
            pub const ZERO: Self = Self([0; 32]);

            /// Takes the bytes as they are.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The bytes as they are hashed and sent.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The bytes by value.
            #[must_use]
            pub const fn to_bytes(self) -> [u8; 32] {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex::encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = $crate::hash::ParseHashError;

            fn from_str(text: &str) -> Result<Self, $crate::hash::ParseHashError> {
                $crate::hash::parse_hex32(text).map(Self)
            }
        }

        impl TryFrom<&[u8]> for $name {
            type Error = std::array::TryFromSliceError;

            fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
                <[u8; 32]>::try_from(bytes).map(Self)
            }
        }

        impl crate::codec::Canonical for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0);
            }

            fn decode(reader: &mut crate::codec::Reader<'_>) -> Result<Self, crate::codec::DecodeError> {
                reader.array(stringify!($name)).map(Self)
            }
        }
    };
}
pub(crate) use hash_type;

hash_type! {
    /// A hash with no narrower type: a root, a node, a commitment.
    Hash
}
hash_type! {
    /// Double SHA-256 of a header; read as a big-endian number for proof of work \[R-HDR\].
    BlockId
}
hash_type! {
    /// SHA-256 of a transaction's signed message: what users see and track. Does not fix the signature.
    TxId
}
hash_type! {
    /// Hash of a signed transaction's canonical bytes: its Merkle leaf, and its id between nodes.
    WireId
}
hash_type! {
    /// Id of a coinbase as it enters the history of the account that it is credited to.
    CoinbaseId
}
hash_type! {
    /// What an account's history chain links: a [`TxId`] or a [`CoinbaseId`].
    EntryId
}

impl From<TxId> for EntryId {
    fn from(id: TxId) -> Self {
        Self(id.0)
    }
}

impl From<CoinbaseId> for EntryId {
    fn from(id: CoinbaseId) -> Self {
        Self(id.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_reads_back_from_its_text() {
        let hash = Hash::from_bytes(sha256(&[b"a", b"bc"]));
        assert_eq!(hash.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(hash.to_string().parse(), Ok(hash));
    }

    #[test]
    fn a_bad_text_says_what_is_wrong() {
        assert_eq!("ab".parse::<Hash>(), Err(ParseHashError::Length(2)));
        assert_eq!(format!("{}x", "0".repeat(63)).parse::<Hash>(), Err(ParseHashError::Digit('x', 63)));
    }
}
