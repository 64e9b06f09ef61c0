//! Cursors: the reader's position in bytes. They name a block, not a place in some node, so every node can read them.

use farthing::{BlockId, Height};

use super::follow::Position;

/// First byte of every cursor; another one means another format.
const VERSION: u8 = 1;

/// Why bytes are not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum CursorError {
    /// A format that this program does not know.
    #[error("version {found:?} is unknown, expected 1")]
    Version {
        /// The first byte, if there is one.
        found: Option<u8>,
    },
    /// Too many bytes or too few.
    #[error("{0} bytes, expected 1 or 41")]
    Length(usize),
}

impl Position {
    /// The cursor of this position: version, then height and id unless nothing was applied yet.
    pub(super) fn to_cursor(self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        if let Self::Behind { height, id } = self {
            bytes.extend_from_slice(&height.get().to_le_bytes());
            bytes.extend_from_slice(id.as_bytes());
        }
        bytes
    }

    /// Reads a cursor. Whether its block exists is for the chain to say.
    pub(super) fn from_cursor(bytes: &[u8]) -> Result<Self, CursorError> {
        let rest = match bytes.split_first() {
            Some((&VERSION, rest)) => rest,
            other => return Err(CursorError::Version { found: other.map(|(first, _)| *first) }),
        };
        if rest.is_empty() {
            return Ok(Self::BeforeGenesis);
        }
        let wrong = CursorError::Length(bytes.len());
        let (height, id) = rest.split_first_chunk::<8>().ok_or(wrong)?;
        let id = BlockId::try_from(id).map_err(|_| wrong)?;
        Ok(Self::Behind { height: Height::new(u64::from_le_bytes(*height)), id })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_position_reads_back(height: u64, id: [u8; 32]) {
            let position = Position::Behind { height: Height::new(height), id: BlockId::from_bytes(id) };
            prop_assert_eq!(Position::from_cursor(&position.to_cursor()), Ok(position));
        }

        #[test]
        fn what_reads_as_a_cursor_is_the_only_form_of_its_position(bytes: Vec<u8>) {
            if let Ok(position) = Position::from_cursor(&bytes) {
                prop_assert_eq!(position.to_cursor(), bytes);
            }
        }
    }

    #[test]
    fn the_format_is_fixed_because_other_nodes_read_it() {
        let position = Position::Behind { height: Height::new(0x0102), id: BlockId::from_bytes([0xab; 32]) };
        let expected = format!("010201000000000000{}", "ab".repeat(32));
        assert_eq!(hex::encode(position.to_cursor()), expected);
        assert_eq!(Position::BeforeGenesis.to_cursor(), [1]);
        assert_eq!(Position::from_cursor(&[1]), Ok(Position::BeforeGenesis));
    }

    #[test]
    fn anything_else_is_refused_with_what_was_expected() {
        assert_eq!(Position::from_cursor(&[]), Err(CursorError::Version { found: None }));
        assert_eq!(Position::from_cursor(&[2; 41]), Err(CursorError::Version { found: Some(2) }));
        assert_eq!(Position::from_cursor(&[1; 40]), Err(CursorError::Length(40)));
        assert_eq!(Position::from_cursor(&[1; 42]), Err(CursorError::Length(42)));
    }
}
