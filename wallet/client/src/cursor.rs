//! The reader's place in the chain, as the bytes that a stream of blocks carries.

use std::fmt;

use farthing::{BlockId, Height};

/// First byte of the only format there is.
const VERSION: u8 = 1;
/// Longest cursor, in bytes.
const MAX_BYTES: usize = 41;

/// A place in the chain to continue behind, on any node of the network. Store its bytes as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Cursor(Vec<u8>);

/// Why bytes are not a cursor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{found} bytes with a first one of {version:?} are not a cursor, expected 1 or 41 bytes that begin with 1")]
pub struct CursorError {
    found: usize,
    version: Option<u8>,
}

impl Cursor {
    /// Behind a block, also one that a stream never gave.
    #[must_use]
    pub fn behind(height: Height, id: &BlockId) -> Self {
        let mut bytes = Vec::with_capacity(MAX_BYTES);
        bytes.push(VERSION);
        bytes.extend_from_slice(&height.get().to_le_bytes());
        bytes.extend_from_slice(id.as_bytes());
        Self(bytes)
    }

    /// Before the first block: what follows is everything that ever happened.
    #[must_use]
    pub fn before_genesis() -> Self {
        Self(vec![VERSION])
    }

    /// Reads what [`Self::as_bytes`] gave.
    ///
    /// # Errors
    /// [`CursorError`] for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CursorError> {
        match (bytes.first(), bytes.len()) {
            (Some(&VERSION), 1 | MAX_BYTES) => Ok(Self(bytes.to_vec())),
            (version, found) => Err(CursorError { found, version: version.copied() }),
        }
    }

    /// At most 41 bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The block that it stands behind; none before the first block.
    #[must_use]
    pub fn block(&self) -> Option<(Height, BlockId)> {
        let (height, id) = self.0.get(1..)?.split_first_chunk::<8>()?;
        Some((Height::new(u64::from_le_bytes(*height)), BlockId::try_from(id).ok()?))
    }
}

impl fmt::Debug for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.block() {
            Some((height, id)) => write!(f, "Cursor(behind {height} {id})"),
            None => f.write_str("Cursor(before the first block)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_names_its_block_and_reads_back() {
        let id = BlockId::from_bytes([7; 32]);
        let cursor = Cursor::behind(Height::new(258), &id);
        assert_eq!(cursor.block(), Some((Height::new(258), id)));
        assert_eq!(Cursor::from_bytes(cursor.as_bytes()), Ok(cursor));
        assert_eq!(Cursor::from_bytes(&[1]), Ok(Cursor::before_genesis()));
        assert_eq!(Cursor::before_genesis().block(), None);
        for wrong in [&[][..], &[2], &[1; 40], &[1; 42]] {
            assert!(Cursor::from_bytes(wrong).is_err(), "{wrong:?}");
        }
    }
}
