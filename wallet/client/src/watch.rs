//! What the streams about one account and about one transaction share.

use farthing::wire::ChainPoint;

use crate::{cursor::Cursor, error::Error, follow::read_cursor, pool::NodeSlot, verify::VerifyError};

/// Where to start watching.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchStart {
    /// With how it is at the tip.
    Tip,
    /// Behind this place, on whatever node: that of a frame of the same stream or of [`crate::Client::follow`], or
    /// [`Cursor::before_genesis`].
    Cursor(Cursor),
}

/// Where a reader stands: behind a frame, or further if nothing happened since.
#[derive(Debug, Clone)]
pub(crate) struct Stand {
    /// Where the next node is asked to go on; none until something was told.
    at: Option<Cursor>,
    /// Behind the last frame that was believed.
    sure: Option<Cursor>,
}

impl Stand {
    pub(crate) fn new(start: WatchStart) -> Self {
        let at = match start {
            WatchStart::Tip => None,
            WatchStart::Cursor(cursor) => Some(cursor),
        };
        Self { sure: at.clone(), at }
    }

    pub(crate) const fn cursor(&self) -> Option<&Cursor> {
        self.at.as_ref()
    }

    /// What to send.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        self.at.as_ref().map(|cursor| cursor.as_bytes().to_vec()).unwrap_or_default()
    }

    /// Nothing happened up to this place, on the node's word. Only who has been told something can skip nothing.
    pub(crate) fn pass(&mut self, cursor: &[u8], node: &NodeSlot) -> Result<(), Error> {
        let cursor = read_cursor(cursor, node)?;
        if self.at.is_some() {
            self.at = Some(cursor);
        }
        Ok(())
    }

    /// A frame was believed.
    pub(crate) fn go(&mut self, cursor: Cursor) {
        self.sure = Some(cursor.clone());
        self.at = Some(cursor);
    }

    /// A frame does not fit. Perhaps a node has passed over something: the next one is asked from the last frame on.
    pub(crate) fn go_back(&mut self) {
        self.at.clone_from(&self.sure);
    }
}

/// A frame's cursor names the block that the frame is about.
pub(crate) fn check_cursor(cursor: &Cursor, at: &ChainPoint) -> Result<(), VerifyError> {
    if cursor.block() == Some((at.height, at.block_id)) {
        return Ok(());
    }
    let found = cursor
        .block()
        .map_or_else(|| "the place before the first block".to_owned(), |(height, id)| format!("block {height} {id}"));
    Err(VerifyError::FrameCursor { found, expected: format!("block {} {}", at.height, at.block_id) })
}
