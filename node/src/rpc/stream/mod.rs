//! Streams: where a reader stands, what comes next for it, and the frames that tell it.
//!
//! A stream along the chain holds nothing but its reader's position and asks the chain for one block at a time, when the
//! reader has taken the one before. So a slow reader costs nothing and replays from disk by construction. What all
//! streams share is in [`run`] and `subscriber`.

mod account;
mod cursor;
mod follow;
mod frames;
mod mempool;
mod onlooker;
mod run;
mod subscriber;
mod transaction;
mod walk;

#[cfg(test)]
mod reorg_tests;

pub(super) use account::watch as watch_account;
pub(super) use follow::StartError;
pub(super) use frames::{Frames, FramesSettings};
pub(super) use mempool::subscribe as subscribe_transactions;
pub(super) use run::{Next, Source, Terms, Told, run};
pub(super) use transaction::watch as watch_transaction;
