//! Where a reader of the chain stands, and whether a frame fits there.

use std::collections::VecDeque;

use farthing::{BlockId, Height};

use crate::{answers::ChainBlock, cursor::Cursor, verify::VerifyError};

/// How many parents of applied blocks are remembered, to check where an undo leads. Deeper ones are taken from the
/// cursor, and checked by the block that is applied there.
const REMEMBERED: usize = 2_000;

/// Where a reader stands.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stand {
    /// Anywhere: the first frame decides.
    Unknown,
    /// Before the block at this height, whatever its parent is.
    Before(Height),
    /// Behind this block.
    Behind(Height, BlockId),
}

/// The reader's place, and the newest blocks that led there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    stand: Stand,
    genesis: BlockId,
    /// Id and parent of blocks applied, the newest last.
    applied: VecDeque<(BlockId, BlockId)>,
}

impl Place {
    pub(crate) fn anywhere(genesis: BlockId) -> Self {
        Self { stand: Stand::Unknown, genesis, applied: VecDeque::new() }
    }

    pub(crate) fn before(height: Height, genesis: BlockId) -> Self {
        Self { stand: Stand::Before(height), ..Self::anywhere(genesis) }
    }

    /// Behind an id whose height is not known yet.
    pub(crate) fn at(cursor: &Cursor, genesis: BlockId) -> Self {
        let stand = match cursor.block() {
            Some((height, id)) => Stand::Behind(height, id),
            None => Stand::Before(Height::GENESIS),
        };
        Self { stand, ..Self::anywhere(genesis) }
    }

    /// Goes behind a block, if it fits.
    pub(crate) fn apply(&mut self, block: &ChainBlock, cursor: &Cursor) -> Result<(), VerifyError> {
        let (height, id, parent) = (block.height(), block.id(), block.summary.header.previous);
        let due = match self.stand {
            Stand::Unknown => height,
            Stand::Before(height) => height,
            Stand::Behind(below, expected) => {
                if parent != expected {
                    return Err(VerifyError::Parent { height, found: parent, expected });
                }
                below.next()
            }
        };
        if height != due {
            return Err(VerifyError::BlockHeight { found: height, expected: due });
        }
        if height == Height::GENESIS && id != self.genesis {
            return Err(VerifyError::OtherGenesis(id));
        }
        check_cursor(cursor, Some((height, id)))?;
        self.stand = Stand::Behind(height, id);
        self.applied.push_back((id, parent));
        if self.applied.len() > REMEMBERED {
            self.applied.pop_front();
        }
        Ok(())
    }

    /// Goes before a block, if it is the one behind which this stands.
    pub(crate) fn undo(&mut self, height: Height, id: BlockId, cursor: &Cursor) -> Result<(), VerifyError> {
        match self.stand {
            Stand::Behind(_, expected) if expected != id => {
                return Err(VerifyError::UndoneOther { found: id, expected });
            }
            Stand::Behind(expected, _) if expected != height => {
                return Err(VerifyError::BlockHeight { found: height, expected });
            }
            Stand::Before(expected) => return Err(VerifyError::BlockHeight { found: height, expected }),
            Stand::Behind(..) | Stand::Unknown => {}
        }
        let below = height.previous().ok_or(VerifyError::BlockHeight { found: height, expected: height.next() })?;
        let parent = self.applied.back().filter(|(applied, _)| *applied == id).map(|(_, parent)| *parent);
        match (cursor.block(), parent) {
            (Some(named), Some(parent)) => check_named(named, (below, parent))?,
            (Some((named, _)), None) if named != below => {
                return Err(VerifyError::BlockHeight { found: named, expected: below });
            }
            (Some(_), None) => {}
            (None, _) => return Err(frame_cursor("the place before the first block", below)),
        }
        self.applied.pop_back();
        self.stand = cursor.block().map_or(Stand::Unknown, |(height, id)| Stand::Behind(height, id));
        Ok(())
    }
}

fn check_cursor(cursor: &Cursor, expected: Option<(Height, BlockId)>) -> Result<(), VerifyError> {
    match (cursor.block(), expected) {
        (Some(found), Some(expected)) => check_named(found, expected),
        (None, Some((height, id))) => {
            Err(frame_cursor("the place before the first block", format!("block {height} {id}")))
        }
        _ => Ok(()),
    }
}

fn check_named(found: (Height, BlockId), expected: (Height, BlockId)) -> Result<(), VerifyError> {
    if found == expected {
        return Ok(());
    }
    let named = |(height, id): (Height, BlockId)| format!("block {height} {id}");
    Err(frame_cursor(named(found), named(expected)))
}

fn frame_cursor(found: impl ToString, expected: impl ToString) -> VerifyError {
    VerifyError::FrameCursor { found: found.to_string(), expected: expected.to_string() }
}
