//! Block streams: where a reader stands, what comes next for it, and the frames that tell it.
//!
//! A stream holds nothing but its reader's position and asks the chain for one block at a time, when the reader has
//! taken the one before. So a slow reader costs nothing and replays from disk by construction.

mod cursor;
mod follow;
mod frames;

#[cfg(test)]
mod reorg_tests;

pub(super) use follow::StartError;
pub(super) use frames::{Frames, FramesSettings};
