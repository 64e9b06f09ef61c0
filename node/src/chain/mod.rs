//! The chain: one writer, snapshots for readers, events for followers.
//!
//! Only the [`writer`] changes anything; it commits to the store before it publishes. Everybody else holds a
//! [`Chain`] handle.

mod actor;
mod ascent;
mod bootstrap;
mod candidates;
mod entries;
mod events;
mod fees;
mod finality;
mod handle;
mod header_reads;
mod headers;
mod keys;
mod missing;
mod preverify;
mod proofs;
mod reads;
mod rejection;
mod reorg;
mod ruled_out;
mod signatures;
mod touches;
mod verified;
mod writer;

#[cfg(test)]
mod tests;

pub use actor::{Settings, start};
pub use ascent::{Ascent, MAX_BACK_BLOCKS, Mark, sparse};
pub use bootstrap::{
    Asked, Asker, Begun, Bootstrap, BootstrapOptions, Choice, Missing, Offers, Phase, Refusal, forget_headers,
};
pub use entries::{AccountEntry, EntryCause, EntryCursor};
pub use events::{Accepted, ChainBlock, Lagged, Origin, SessionId, TipChange, TipChanges};
pub use fees::BlockPayments;
pub use handle::Chain;
pub use header_reads::Side;
pub use headers::{HeadersAccepted, PutOff};
pub use missing::MissingBodies;
pub use reads::MinedAt;
pub use rejection::{BlockRejection, ChainError, HeaderRejection};
pub use touches::{Before, Sighting, Touch};
pub use verified::VerifiedCache;

pub use crate::{ledger::ChainView, store::checkpoint::Offer as CheckpointOffer};
