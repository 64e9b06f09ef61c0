//! The canonical encoding: Borsh format, written plainly and read strictly \[R-ENC\].
//!
//! Reading is bounded: a count is held against its limit and against the bytes that remain before anything is
//! reserved, and no byte may be left over.

use crate::{
    address::ParsePrefixError,
    keys::{KeyError, SignatureError},
    tx::TransactionError,
};

/// Why bytes are not a canonical encoding.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field \[R-ENC-01\].
    #[error("{field}: {needed} more bytes expected, {left} left")]
    Truncated {
        /// The field that was being read.
        field: &'static str,
        /// Bytes that it needs.
        needed: usize,
        /// Bytes that are there.
        left: usize,
    },
    /// Bytes behind the end \[R-ENC-02\].
    #[error("{0} bytes behind the end")]
    TrailingBytes(usize),
    /// A count beyond its limit \[R-ENC-03\].
    #[error("{field}: {count} items, at most {max} are allowed")]
    TooMany {
        /// The list.
        field: &'static str,
        /// Items that it claims.
        count: usize,
        /// Items that it may have.
        max: usize,
    },
    /// A count below its limit \[R-ENC-03\].
    #[error("{field}: {count} items, at least {min} are needed")]
    TooFew {
        /// The list.
        field: &'static str,
        /// Items that it claims.
        count: usize,
        /// Items that it must have.
        min: usize,
    },
    /// A choice that does not exist \[R-ENC-04\].
    #[error("{field}: {value} is not one of the choices")]
    UnknownChoice {
        /// The enumeration.
        field: &'static str,
        /// The index read.
        value: u8,
    },
    /// More bytes than the whole may have \[R-ENC-05\].
    #[error("{what}: {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// The structure.
        what: &'static str,
        /// Its size.
        size: usize,
        /// Its limit.
        max: usize,
    },
    /// A version that this program does not know.
    #[error("{what}: version {found} is unknown, expected {expected}")]
    UnknownVersion {
        /// The structure.
        what: &'static str,
        /// The version read.
        found: u16,
        /// The version known.
        expected: u16,
    },
    /// Text that is not UTF-8.
    #[error("{0}: not UTF-8 text")]
    NotText(&'static str),
    /// A sender's key that is none \[R-KEY\].
    #[error("sender key: {0}")]
    Key(#[from] KeyError),
    /// A transaction whose fields do not fit together \[R-TX\].
    #[error("transaction: {0}")]
    Transaction(#[from] TransactionError),
    /// A signature of a length that no key has \[R-TX-08\].
    #[error("signature: {0}")]
    Signature(#[from] SignatureError),
    /// An address prefix outside its alphabet \[R-PAR-02\].
    #[error("prefix: {0}")]
    Prefix(#[from] ParsePrefixError),
}

impl DecodeError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::Truncated { .. } => "R-ENC-01",
            Self::TrailingBytes(_) => "R-ENC-02",
            Self::TooMany { field, .. } | Self::TooFew { field, .. } => count_rule(field),
            Self::UnknownChoice { field: "retarget", .. } => "R-PAR-07",
            Self::UnknownChoice { .. } => "R-ENC-04",
            Self::TooLarge { what: "transaction", .. } => "R-TX-01",
            Self::TooLarge { what: "block", .. } => "R-BLK-01",
            Self::TooLarge { .. } => "R-ENC-05",
            Self::UnknownVersion { what: "header", .. } => "R-HDR-02",
            Self::UnknownVersion { .. } => "R-TX-02",
            // The only texts of the protocol are a network's name and prefix.
            Self::NotText("prefix") | Self::Prefix(_) => "R-PAR-02",
            Self::NotText(_) => "R-PAR-01",
            Self::Key(error) => error.rule(),
            Self::Transaction(error) => error.rule(),
            Self::Signature(_) => "R-TX-08",
        }
    }
}

/// The rule that bounds a list; lists without a rule of their own fall under the general one.
fn count_rule(field: &str) -> &'static str {
    match field {
        "sender key" => "R-KEY-01",
        "outputs" => "R-TX-04",
        "memo" => "R-TX-06",
        "signature" => "R-TX-08",
        "coinbase tag" => "R-CB-01",
        "name" => "R-PAR-01",
        "prefix" => "R-PAR-02",
        "allocations" => "R-PAR-16",
        _ => "R-ENC-03",
    }
}

/// Something with one canonical encoding.
pub trait Canonical: Sized {
    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Reads one value and leaves what follows.
    ///
    /// # Errors
    /// If the bytes are not the encoding of a value.
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The encoding by itself.
    fn to_canonical(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }

    /// Reads one value from all of the bytes.
    ///
    /// # Errors
    /// If the bytes are not exactly the encoding of a value.
    fn from_canonical(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let value = Self::decode(&mut reader)?;
        reader.finish()?;
        Ok(value)
    }
}

/// Appends `bytes` behind their count.
///
/// Lists of this protocol are far shorter than `u32::MAX`; a longer one would be cut by every reader's limit.
pub fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends the count of a list.
pub fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_le_bytes());
}

/// Reads canonical bytes from front to back.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts at the front.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes not yet read.
    #[must_use]
    pub const fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// Checks that nothing is left.
    ///
    /// # Errors
    /// [`DecodeError::TrailingBytes`].
    pub const fn finish(self) -> Result<(), DecodeError> {
        match self.rest.len() {
            0 => Ok(()),
            left => Err(DecodeError::TrailingBytes(left)),
        }
    }

    /// The next `count` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn take(&mut self, field: &'static str, count: usize) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self.rest.split_at_checked(count).ok_or(DecodeError::Truncated {
            field,
            needed: count,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(DecodeError::Truncated {
            field,
            needed: N,
            left: self.rest.len(),
        })?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        self.array(field).map(u8::from_le_bytes)
    }

    /// A `u16`, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.array(field).map(u16::from_le_bytes)
    }

    /// A `u32`, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        self.array(field).map(u32::from_le_bytes)
    }

    /// A `u64`, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        self.array(field).map(u64::from_le_bytes)
    }

    /// A `u128`, little-endian.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`].
    pub fn u128(&mut self, field: &'static str) -> Result<u128, DecodeError> {
        self.array(field).map(u128::from_le_bytes)
    }

    /// The count of a list whose items take at least `item_size` bytes each. The count is held against `max` and
    /// against the bytes that remain, so that the caller may reserve room for it.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`] or [`DecodeError::Truncated`].
    pub fn count(&mut self, field: &'static str, max: usize, item_size: usize) -> Result<usize, DecodeError> {
        let count = usize::try_from(self.u32(field)?).unwrap_or(usize::MAX);
        if count > max {
            return Err(DecodeError::TooMany { field, count, max });
        }
        let needed = count.saturating_mul(item_size);
        if needed > self.rest.len() {
            return Err(DecodeError::Truncated { field, needed, left: self.rest.len() });
        }
        Ok(count)
    }

    /// A byte string of at most `max` bytes behind its count.
    ///
    /// # Errors
    /// [`DecodeError::TooMany`] or [`DecodeError::Truncated`].
    pub fn bytes(&mut self, field: &'static str, max: usize) -> Result<&'a [u8], DecodeError> {
        let count = self.count(field, max, 1)?;
        self.take(field, count)
    }

    /// UTF-8 text of at most `max` bytes behind its count.
    ///
    /// # Errors
    /// As [`Reader::bytes`], or [`DecodeError::NotText`].
    pub fn text(&mut self, field: &'static str, max: usize) -> Result<&'a str, DecodeError> {
        std::str::from_utf8(self.bytes(field, max)?).map_err(|_| DecodeError::NotText(field))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_count_larger_than_the_rest_is_refused_before_room_is_reserved() {
        let mut reader = Reader::new(&[0xff, 0xff, 0xff, 0x00, 1, 2]);
        assert_eq!(
            reader.count("list", usize::MAX, 1),
            Err(DecodeError::Truncated { field: "list", needed: 0x00ff_ffff, left: 2 })
        );
    }

    #[test]
    fn bytes_behind_the_end_are_refused() {
        assert_eq!(crate::Height::from_canonical(&[0; 9]), Err(DecodeError::TrailingBytes(1)));
        assert_eq!(
            crate::Height::from_canonical(&[0; 7]),
            Err(DecodeError::Truncated { field: "Height", needed: 8, left: 7 })
        );
    }

    proptest! {
        #[test]
        fn byte_strings_agree_with_the_borsh_crate(bytes: Vec<u8>) {
            let mut ours = Vec::new();
            put_bytes(&mut ours, &bytes);
            prop_assert_eq!(&ours, &borsh::to_vec(&bytes).unwrap());
            prop_assert_eq!(Reader::new(&ours).bytes("b", 1000).unwrap(), &bytes[..]);
        }
    }
}
