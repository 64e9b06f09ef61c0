//! From batches of the log to changes of keys: the same for a commit and for a replay, so that both end alike.
//!
//! Decided by the log and by headers alone, never by what the index says of heights: a step may be applied again over
//! keys that already know later steps.

use std::collections::HashMap;

use farthing::{BlockId, Height, TxId};

use super::{
    engine::{Op, Tree},
    entry::BlockEntry,
    marker::{Counts, Marker},
};
use crate::store::{BestChange, LogPlace, StoreError, base::BasePlace, log::LogPosition};

/// What one batch of the log says.
#[derive(Debug, Default)]
pub(crate) struct Step {
    /// New blocks, none of them known before.
    pub(crate) blocks: Vec<(BlockId, BlockEntry)>,
    /// Good copies of blocks whose first one is damaged.
    pub(crate) replaced: Vec<(BlockId, LogPlace)>,
    /// Places of effects.
    pub(crate) effects: Vec<(BlockId, LogPlace)>,
    /// Damaged records: which kind, of which block, where.
    pub(crate) damaged: Vec<(u8, BlockId, LogPlace)>,
    /// The tip from here on.
    pub(crate) tip: Option<BlockId>,
}

/// What a step needs to look up.
pub(crate) trait KnownBlock {
    /// The entry of a block that an earlier step brought.
    fn entry(&self, id: &BlockId) -> Result<Option<BlockEntry>, StoreError>;
    /// Ids of a block's transactions, in order; none of them if its record is damaged.
    fn transactions(&self, id: &BlockId, place: LogPlace) -> Result<Vec<TxId>, StoreError>;
    /// Whether a transaction is indexed.
    fn is_indexed(&self, id: &TxId) -> Result<bool, StoreError>;
}

/// Where the index stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChainState {
    pub(crate) position: LogPosition,
    /// None before genesis.
    pub(crate) tip: Option<(BlockId, Height)>,
    pub(crate) counts: Counts,
    pub(crate) transactions: bool,
    pub(crate) boot: [u8; 16],
    /// Where the chain begins, if not with genesis.
    pub(crate) base: Option<BasePlace>,
}

impl ChainState {
    /// Before the log's first record.
    pub(crate) fn empty(transactions: bool, boot: [u8; 16]) -> Self {
        Self { position: LogPosition::START, tip: None, counts: Counts::default(), transactions, boot, base: None }
    }

    /// Where a marker left off.
    pub(crate) fn at(marker: &Marker, boot: [u8; 16]) -> Self {
        Self {
            position: marker.position,
            tip: Some((marker.tip, marker.height)),
            counts: marker.counts,
            transactions: marker.transactions,
            boot,
            base: marker.base,
        }
    }

    /// The marker of this state.
    pub(crate) fn marker(&self, clean: bool) -> Marker {
        let (tip, height) = self.tip.unwrap_or((BlockId::ZERO, Height::GENESIS));
        let Self { position, counts, transactions, boot, base, .. } = *self;
        Marker { position, tip, height, counts, transactions, clean, boot, base }
    }

    /// The way from the tip to another block; none if a block on it is not known.
    pub(crate) fn way_to(
        &self,
        tip: &BlockId,
        entry: &dyn Fn(&BlockId) -> Result<Option<BlockEntry>, StoreError>,
    ) -> Result<Option<BestChange>, StoreError> {
        let mut change = BestChange::default();
        let Some(mut new) = entry(tip)?.map(|entry| (*tip, entry)) else { return Ok(None) };
        let mut old = match self.tip {
            Some((id, _)) => match entry(&id)? {
                Some(entry) => Some((id, entry)),
                None => return Ok(None),
            },
            None => None,
        };
        loop {
            if old.is_some_and(|(id, _)| id == new.0) {
                break;
            }
            if old.is_some_and(|(_, entry)| entry.height >= new.1.height) {
                let (id, below) = old.expect("it was looked at");
                change.undone.push(id);
                let Some(parent) = entry(&below.header.previous)? else { return Ok(None) };
                old = Some((below.header.previous, parent));
            } else {
                change.applied.push(new.0);
                if new.1.height == Height::GENESIS {
                    break;
                }
                let Some(parent) = entry(&new.1.header.previous)? else { return Ok(None) };
                new = (new.1.header.previous, parent);
            }
        }
        change.applied.reverse();
        Ok(Some(change))
    }

    /// Takes a step: moves this state to `end` and returns the changes of keys, with the move of the best chain. A tip
    /// whose branch is not known any more, for records were lost, is passed over.
    pub(crate) fn apply(
        &mut self,
        step: &Step,
        end: LogPosition,
        known: &dyn KnownBlock,
    ) -> Result<(Vec<Op>, BestChange), StoreError> {
        let mut changes = Changes { new: HashMap::new(), ops: Vec::new(), known };
        for (id, entry) in &step.blocks {
            changes.new.insert(*id, *entry);
            changes.ops.push(set(Tree::Side, side_key(entry.height, id), Vec::new()));
            self.counts.blocks += 1;
            self.counts.side += 1;
        }
        for (kind, id, place) in &step.damaged {
            let mut value = Vec::with_capacity(8);
            LogPlace::encode_optional(Some(*place), &mut value);
            changes.ops.push(set(Tree::Damaged, damaged_key(*kind, id), value));
        }
        for (id, place) in &step.replaced {
            changes.modify(id, |entry| entry.block = Some(*place))?;
            changes.ops.push(Op { tree: Tree::Damaged, key: damaged_key(DAMAGED_BLOCK, id), value: None });
            self.index_replaced(&mut changes, id, *place)?;
        }
        for (id, place) in &step.effects {
            changes.modify(id, |entry| entry.effects = Some(*place))?;
            changes.ops.push(Op { tree: Tree::Damaged, key: damaged_key(DAMAGED_EFFECTS, id), value: None });
        }
        let mut change = BestChange::default();
        if let Some(tip) = &step.tip {
            match self.way_to(tip, &|id| changes.entry(id))? {
                Some(way) => change = way,
                None => tracing::warn!(%tip, "the log has lost a block below this tip; staying at the one before"),
            }
            self.take_way(&mut changes, &change)?;
        }
        self.position = end;
        Ok((changes.finish(), change))
    }

    fn take_way(&mut self, changes: &mut Changes<'_>, change: &BestChange) -> Result<(), StoreError> {
        for id in &change.undone {
            let entry = changes.require(id)?;
            changes.ops.push(set(Tree::Side, side_key(entry.height, id), Vec::new()));
            changes.ops.push(Op { tree: Tree::Heights, key: height_key(entry.height), value: None });
            self.counts.heights -= 1;
            self.counts.side += 1;
            let parent = entry.header.previous;
            self.tip = entry.height.previous().map(|height| (parent, height));
            for transaction in self.transactions_of(changes, id, entry.block)? {
                changes.ops.push(Op { tree: Tree::Transactions, key: transaction.as_bytes().to_vec(), value: None });
                self.counts.transactions = self.counts.transactions.saturating_sub(1);
            }
        }
        for id in &change.applied {
            let entry = changes.require(id)?;
            changes.ops.push(Op { tree: Tree::Side, key: side_key(entry.height, id), value: None });
            changes.ops.push(set(Tree::Heights, height_key(entry.height), id.as_bytes().to_vec()));
            self.counts.heights += 1;
            self.counts.side = self.counts.side.saturating_sub(1);
            self.tip = Some((*id, entry.height));
            for (transaction, index) in self.transactions_of(changes, id, entry.block)?.iter().zip(0..) {
                changes.ops.push(located(transaction, entry.height, index));
                self.counts.transactions += 1;
            }
        }
        Ok(())
    }

    fn transactions_of(
        &self,
        changes: &Changes<'_>,
        id: &BlockId,
        at: Option<LogPlace>,
    ) -> Result<Vec<TxId>, StoreError> {
        match at.filter(|_| self.transactions) {
            Some(at) => changes.known.transactions(id, at),
            None => Ok(Vec::new()),
        }
    }

    /// A block of the best chain that was damaged when the index was made lacks its transactions there.
    fn index_replaced(&mut self, changes: &mut Changes<'_>, id: &BlockId, at: LogPlace) -> Result<(), StoreError> {
        let (Some((_, tip_height)), entry) = (self.tip, changes.require(id)?) else { return Ok(()) };
        let mut on_best = self.tip;
        // Damage is rare; a walk down from the tip is not dear enough to trust the heights.
        while let Some((at, height)) = on_best.filter(|(_, height)| *height > entry.height) {
            let parent = changes.entry(&at)?.map(|entry| entry.header.previous);
            on_best = parent.zip(height.previous());
        }
        if entry.height > tip_height || on_best.map(|(at, _)| at) != Some(*id) {
            return Ok(());
        }
        for (transaction, index) in self.transactions_of(changes, id, Some(at))?.iter().zip(0..) {
            if !changes.known.is_indexed(transaction)? {
                self.counts.transactions += 1;
            }
            changes.ops.push(located(transaction, entry.height, index));
        }
        Ok(())
    }
}

struct Changes<'a> {
    new: HashMap<BlockId, BlockEntry>,
    ops: Vec<Op>,
    known: &'a dyn KnownBlock,
}

impl Changes<'_> {
    fn entry(&self, id: &BlockId) -> Result<Option<BlockEntry>, StoreError> {
        match self.new.get(id) {
            Some(entry) => Ok(Some(*entry)),
            None => self.known.entry(id),
        }
    }

    fn require(&self, id: &BlockId) -> Result<BlockEntry, StoreError> {
        self.entry(id)?.ok_or(StoreError::UnknownBlock(*id))
    }

    /// Changes an entry; one that was lost with its record has nothing to change.
    fn modify(&mut self, id: &BlockId, change: impl FnOnce(&mut BlockEntry)) -> Result<(), StoreError> {
        if let Some(mut entry) = self.entry(id)? {
            change(&mut entry);
            self.new.insert(*id, entry);
        }
        Ok(())
    }

    /// Entries first: a height or a transaction never names a block that the index does not know.
    fn finish(self) -> Vec<Op> {
        let entries = self.new.iter().map(|(id, entry)| set(Tree::Blocks, id.as_bytes().to_vec(), entry.encode()));
        entries.chain(self.ops).collect()
    }
}

/// First byte of a key in the damaged tree: a block's record.
pub(crate) const DAMAGED_BLOCK: u8 = 1;
/// First byte of a key in the damaged tree: an effects record.
pub(crate) const DAMAGED_EFFECTS: u8 = 2;

/// Key of a damaged record.
pub(crate) fn damaged_key(kind: u8, id: &BlockId) -> Vec<u8> {
    [&[kind], id.as_bytes().as_slice()].concat()
}

/// Key of a height: big-endian, so that heights sort.
pub(crate) fn height_key(height: Height) -> Vec<u8> {
    height.get().to_be_bytes().to_vec()
}

/// Key of a block beside the best chain.
pub(crate) fn side_key(height: Height, id: &BlockId) -> Vec<u8> {
    [height.get().to_be_bytes().as_slice(), id.as_bytes()].concat()
}

fn set(tree: Tree, key: Vec<u8>, value: Vec<u8>) -> Op {
    Op { tree, key, value: Some(value) }
}

fn located(transaction: &TxId, height: Height, index: u32) -> Op {
    let value = [height.get().to_le_bytes().as_slice(), &index.to_le_bytes()].concat();
    set(Tree::Transactions, transaction.as_bytes().to_vec(), value)
}
