//! The store: what must not be lost. The block log is the truth, accounts live in memory, the index can be rebuilt.
//!
//! What a restart finds after a crash at any point, and does about it, is in `docs/crash-ordering.md`. Calls block; a
//! caller on an async thread goes through `Env`'s `Compute::run_blocking`.

use std::{fmt, sync::Arc};

use farthing::{
    Address, Block, BlockId, Hash, Height, PublicKey, TxId,
    range::{RangeNode, RangePeaks},
};
use farthing_consensus::HeaderContext;

use crate::ledger::ChainView;

pub mod checkpoint;

mod base;
mod disk;
mod error;
mod index;
mod log;
mod memory;
mod named;
mod offers;
mod offline;
mod open;
mod range_file;
mod recover;
mod types;

#[cfg(test)]
mod tests;

pub use base::{BASE_HEADERS, Base, BeginError, Beginning, FETCHED_HEADERS, HeaderFile, Spool};
pub use disk::DiskStore;
pub use error::StoreError;
pub use memory::MemoryStore;
pub use offline::{VerifyReport, reindex, verify};
pub use open::{IndexPlace, Progress, StoreOptions};
pub use types::{AccountEffect, AccountMeta, BestChange, Commit, Effects, LogPlace, NewBlock, Recovered};

/// A key and its value.
pub type KeyAndValue = (Vec<u8>, Vec<u8>);

/// Keeps blocks, what they did, and which of them are the best chain. One caller writes; any number read.
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Makes blocks, effects and the move of the best chain durable, in one append and one sync; all of it or none.
    /// Readers see it at once. Returns the place of each block's canonical bytes, in order.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`] (nothing was changed), or a fatal one.
    fn commit(&self, commit: Commit) -> Result<Vec<LogPlace>, StoreError>;

    /// A block, from a bounded cache or the log.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its record is damaged; it is then in [`Store::damaged`].
    fn block(&self, id: &BlockId) -> Result<Option<Arc<Block>>, StoreError>;

    /// Where a block's canonical bytes stand.
    ///
    /// # Errors
    /// When the index fails.
    fn place(&self, id: &BlockId) -> Result<Option<LogPlace>, StoreError>;

    /// What a block did; none if it was never executed.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] if its record is damaged.
    fn effects(&self, id: &BlockId) -> Result<Option<Arc<Effects>>, StoreError>;

    /// Whether the body of a block is here: not of those that the chain begins above.
    ///
    /// # Errors
    /// When the index fails.
    fn has_body(&self, id: &BlockId) -> Result<bool, StoreError>;

    /// Where the chain begins, if not with genesis.
    fn base(&self) -> Option<Arc<Base>>;

    /// Begins the chain with a checkpoint, all of which is held against its header first. The chain must have nothing
    /// but genesis. All of it is durable on return, or none of it is in force. Returns the ledger at its block.
    ///
    /// # Errors
    /// See [`BeginError`].
    fn begin_at(&self, beginning: Beginning) -> Result<ChainView, BeginError>;

    /// The header of a block, its body here or not.
    ///
    /// # Errors
    /// When the index fails.
    fn header(&self, id: &BlockId) -> Result<Option<HeaderContext>, StoreError>;

    /// The block of the best chain at this height.
    ///
    /// # Errors
    /// When the index fails.
    fn best_at(&self, height: Height) -> Result<Option<BlockId>, StoreError>;

    /// Height and index in its block of a transaction of the best chain. Always none if that index is switched off.
    ///
    /// # Errors
    /// When the index fails.
    fn locate(&self, id: &TxId) -> Result<Option<(Height, u32)>, StoreError>;

    /// Whether transactions can be located.
    fn indexes_transactions(&self) -> bool;

    /// The key of an account, read where its first transaction stands.
    ///
    /// # Errors
    /// [`StoreError::CorruptKey`] if the place does not hold the key of that address.
    fn key_at(&self, place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError>;

    /// A node of the header range over the best chain, by its position.
    ///
    /// # Errors
    /// When the file cannot be read or does not reach that far.
    fn range_node(&self, position: u64) -> Result<RangeNode, StoreError>;

    /// Writes the nodes that headers add to the range over the first `kept` headers, over what a branch that was left
    /// may have put there. Not synced: what is missing after a crash is made again from the headers.
    ///
    /// # Errors
    /// When the file cannot be written.
    fn put_range(&self, kept: u64, nodes: &[RangeNode]) -> Result<(), StoreError>;

    /// Blocks from `height` up that are not on the best chain, the lowest first.
    ///
    /// # Errors
    /// When the index fails.
    fn side_blocks(&self, height: Height) -> Result<Vec<HeaderContext>, StoreError>;

    /// Blocks whose records were found damaged and not yet replaced.
    ///
    /// # Errors
    /// When the index fails.
    fn damaged(&self) -> Result<Vec<BlockId>, StoreError>;

    /// Takes a good copy of a damaged block.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlock`] if no block of that id was ever stored; else as [`Store::commit`].
    fn replace_block(&self, block: &Block) -> Result<LogPlace, StoreError>;

    /// Finds out which checkpoints there are for other nodes. May read them whole.
    ///
    /// # Errors
    /// When they cannot be listed.
    fn prepare_offers(&self) -> Result<(), StoreError>;

    /// The checkpoints that other nodes can have, as they were found last.
    fn offers(&self) -> Vec<checkpoint::Offer>;

    /// Hashes of the pieces of a checkpoint that is offered; none if it is not, or no longer.
    fn offered_hashes(&self, block: &BlockId, digest: &Hash) -> Option<Vec<Hash>>;

    /// A piece of a checkpoint that is offered; none if it is not, or no longer, or has no such piece.
    fn offered_piece(&self, block: &BlockId, digest: &Hash, index: u64) -> Option<Vec<u8>>;

    /// Offers a state for a checkpoint. Returns at once; if one is due it is written in the background.
    fn maybe_checkpoint(&self, view: &Arc<ChainView>);

    /// A small named set of keys and values in the index: where an earlier version kept address book and bans. Not derived
    /// from the log: it is lost when the index has to be rebuilt, so nothing is to be kept in it any more.
    ///
    /// # Errors
    /// When the index fails.
    fn key_value(&self, name: &str) -> Result<Arc<dyn KeyValue>, StoreError>;

    /// Why the store takes no more writes, if it does not.
    fn poisoned(&self) -> Option<String>;

    /// Ends the background work and marks a clean end. Later writes fail.
    ///
    /// # Errors
    /// When the last writes fail; the next start then takes the way of a crash.
    fn close(&self) -> Result<(), StoreError>;

    /// The peaks of the header range over the first `count` blocks of the best chain.
    ///
    /// # Errors
    /// As [`Store::range_node`].
    fn range_peaks(&self, count: u64) -> Result<RangePeaks, StoreError> {
        let positions = farthing::range::peak_positions(count);
        let peaks = positions.into_iter().map(|position| self.range_node(position)).collect::<Result<_, _>>()?;
        RangePeaks::from_peaks(peaks)
            .ok_or_else(|| StoreError::IndexDamaged(format!("the header range has no peaks over {count} headers")))
    }
}

/// Small keys and values.
pub trait KeyValue: fmt::Debug + Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// When the index fails.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Sets a value. Durable within seconds, not at once.
    ///
    /// # Errors
    /// When the index fails.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), StoreError>;

    /// Removes a key, if it is there.
    ///
    /// # Errors
    /// When the index fails.
    fn remove(&self, key: &[u8]) -> Result<(), StoreError>;

    /// All keys with their values, sorted by key.
    ///
    /// # Errors
    /// When the index fails.
    fn entries(&self) -> Result<Vec<KeyAndValue>, StoreError>;
}
