//! From the log to the ledger: batches into the index, blocks behind the start executed again, damage worked around.

use std::collections::HashMap;

use farthing::{
    BlockId, Header, Height, Target, Work,
    codec::{Canonical as _, Reader},
    range::RangePeaks,
};
use farthing_consensus::{HeaderContext, check_block};

use super::{
    BestChange, Commit, DiskStore, Effects, Progress, Recovered, Store as _, StoreError,
    base::BasePlace,
    index::{BlockEntry, DAMAGED_BLOCK, DAMAGED_EFFECTS, Step, Tree},
    log::{Kind, ScannedBatch, ScannedRecord},
};
use crate::ledger::{ChainView, LedgerError, range_leaf};

/// Headers whose range nodes are written at once when the range is made again.
const RANGE_STEP: usize = 4_096;
/// Blocks whose effects are appended at once when they are made again.
const EFFECTS_STEP: usize = 100;

impl DiskStore {
    /// Takes one batch of the log into the index.
    pub(super) fn take_batch(&self, batch: &ScannedBatch) -> Result<(), StoreError> {
        if !batch.is_whole() {
            tracing::error!(
                segment = batch.start.segment,
                offset = batch.start.offset,
                "records of the block log are damaged; what is missing is fetched from peers"
            );
        }
        if let Some(record) = batch.records.iter().find(|record| record.header.kind == Kind::Base) {
            let (height, id, place) = (record.header.height, record.header.id, record.place);
            return self.take_base_again(&BasePlace { height, id, place }, batch.end);
        }
        let mut step = Step::default();
        let mut new = HashMap::new();
        for record in &batch.records {
            self.take_record(record, &mut step, &mut new)?;
        }
        let mut state = self.lock_state();
        self.take_step(&mut state, &step, batch.end)
    }

    fn take_record(
        &self,
        record: &ScannedRecord,
        step: &mut Step,
        new: &mut HashMap<BlockId, BlockEntry>,
    ) -> Result<(), StoreError> {
        let (id, place) = (record.header.id, record.place);
        match record.header.kind {
            Kind::Tip => step.tip = Some(id),
            Kind::Effects if record.damaged => step.damaged.push((DAMAGED_EFFECTS, id, place)),
            Kind::Effects => step.effects.push((id, place)),
            Kind::Replacement if record.damaged => {}
            Kind::Keys | Kind::Base => {}
            Kind::Replacement if self.entry_of(&id)?.is_some() => step.replaced.push((id, place)),
            Kind::Block | Kind::Replacement => match self.entry_from(record, new)? {
                Some(entry) => {
                    new.insert(id, entry);
                    step.blocks.push((id, entry));
                    if record.damaged {
                        step.damaged.push((DAMAGED_BLOCK, id, place));
                    }
                }
                None => tracing::error!(%id, height = %record.header.height, "a block of the log is lost"),
            },
        }
        Ok(())
    }

    /// A block's entry made from its record; none if its header, or a block below it, is lost. The header certifies
    /// itself, so that it serves even if the rest is damaged.
    fn entry_from(
        &self,
        record: &ScannedRecord,
        new: &HashMap<BlockId, BlockEntry>,
    ) -> Result<Option<BlockEntry>, StoreError> {
        let Ok(header) = Header::decode(&mut Reader::new(&record.contents)) else { return Ok(None) };
        let Some(work) = header.bits.target().ok().and_then(Target::work) else { return Ok(None) };
        let height = record.header.height;
        if header.id() != record.header.id {
            return Ok(None);
        }
        let below = if height == Height::GENESIS {
            Some(Work::ZERO)
        } else if let Some(parent) = new.get(&header.previous) {
            Some(parent.total_work)
        } else {
            self.entry_of(&header.previous)?.map(|parent| parent.total_work)
        };
        let total_work = below.and_then(|below| below.checked_add(work));
        Ok(total_work.map(|total_work| BlockEntry {
            header,
            height,
            total_work,
            block: Some(record.place),
            effects: None,
        }))
    }

    /// Makes the header range again from the headers of the best chain.
    pub(super) fn rebuild_range(&self) -> Result<(), StoreError> {
        let Some((_, tip)) = self.lock_state().tip else { return Ok(()) };
        let (mut peaks, mut nodes, mut kept) = (RangePeaks::default(), Vec::new(), 0);
        for height in 0..=tip.get() {
            let context = self.best_context(Height::new(height))?;
            let made = peaks.append(range_leaf(&context));
            nodes.extend(made.map_err(|error| StoreError::BadChange(error.to_string()))?);
            if nodes.len() >= RANGE_STEP || height == tip.get() {
                self.range.put(kept, &nodes)?;
                nodes.clear();
                kept = height + 1;
            }
        }
        self.range.sync()
    }

    fn best_context(&self, height: Height) -> Result<HeaderContext, StoreError> {
        let missing = || StoreError::IndexDamaged(format!("there is no block at height {height}"));
        let id = self.best_at(height)?.ok_or_else(missing)?;
        self.header(&id)?.ok_or_else(missing)
    }

    /// Height of the lowest block of the best chain whose effects are damaged. Those of other branches are made again
    /// when their branch is executed.
    pub(super) fn lowest_damaged_effects(&self) -> Result<Option<Height>, StoreError> {
        let mut lowest = None;
        for (key, _) in self.index.scan(Tree::Damaged, &[DAMAGED_EFFECTS])? {
            let id = key.strip_prefix(&[DAMAGED_EFFECTS]).and_then(|id| BlockId::try_from(id).ok());
            let Some(entry) = id.map(|id| self.entry_of(&id)).transpose()?.flatten() else { continue };
            if self.best_at(entry.height)? != id {
                continue;
            }
            lowest = Some(lowest.map_or(entry.height, |lowest: Height| lowest.min(entry.height)));
        }
        Ok(lowest)
    }

    /// The ledger at the tip: the blocks behind `start` executed again, each held against its commitment.
    pub(super) fn recover(&self, start: ChainView, progress: &dyn Fn(Progress)) -> Result<Recovered, StoreError> {
        let tip = self.lock_state().tip.map_or(Height::GENESIS, |(_, height)| height);
        let mut view = start;
        let mut effects = Vec::new();
        let mut broken = None;
        while view.tip.height() < tip {
            let height = view.tip.height().next();
            progress(Progress::Replaying { height, tip });
            match self.execute_again(&view, height, &mut effects) {
                Ok(next) => view = next,
                Err(StoreError::Corrupt { id, .. }) => {
                    broken = Some(id);
                    break;
                }
                Err(error) => return Err(error),
            }
            if effects.len() >= EFFECTS_STEP {
                self.commit(Commit { effects: std::mem::take(&mut effects), ..Commit::default() })?;
            }
        }
        self.commit(Commit { effects, ..Commit::default() })?;
        if let Some(id) = broken {
            self.fall_back(&view.tip, tip, id)?;
        }
        if self.range.peaks(view.range.count()).as_ref() != Some(&view.range) {
            tracing::warn!(path = %self.range.path().display(), "making the header range again");
            self.rebuild_range()?;
        }
        let candidates = self.candidates(&view.tip)?;
        Ok(Recovered { view, candidates })
    }

    pub(super) fn execute_again(
        &self,
        view: &ChainView,
        height: Height,
        effects: &mut Vec<(BlockId, Effects)>,
    ) -> Result<ChainView, StoreError> {
        let context = self.best_context(height)?;
        let id = context.id();
        let block = self.block(&id)?.ok_or(StoreError::UnknownBlock(id))?;
        let place = self.place(&id)?.ok_or(StoreError::UnknownBlock(id))?;
        let failed = |error| replay_error(error, id, height);
        let checked = check_block(&self.params, &block).map_err(|error| failed(error.into()))?;
        let applied = view.apply(&self.params, &checked, &context).map_err(failed)?;
        let mut view = applied.view;
        for key in applied.new_keys {
            if let Some(place) = place.of_transaction(&block, key.transaction) {
                view.set_key_place(&key.address, place);
            }
        }
        if self.lacks_effects(&id)? {
            effects.push((id, applied.effects));
        }
        Ok(view)
    }

    /// Makes the last good block the tip: the branch above it is tried again once its damaged block is fetched.
    fn fall_back(&self, good: &HeaderContext, tip: Height, damaged: BlockId) -> Result<(), StoreError> {
        tracing::error!(%damaged, height = %good.height(), "the best chain ends before a damaged block until it is fetched");
        let heights = (good.height().get() + 1..=tip.get()).rev();
        let undone = heights.map(|height| self.best_context(Height::new(height)).map(|context| context.id()));
        let best = BestChange { undone: undone.collect::<Result<_, _>>()?, applied: Vec::new() };
        self.commit(Commit { best: Some(best), ..Commit::default() })?;
        Ok(())
    }

    /// Blocks beside the best chain with at least the tip's work.
    fn candidates(&self, tip: &HeaderContext) -> Result<Vec<HeaderContext>, StoreError> {
        let mut candidates = self.side_blocks(Height::GENESIS)?;
        candidates.retain(|context| context.total_work() >= tip.total_work());
        candidates.sort_by_key(|context| std::cmp::Reverse((context.total_work(), context.id())));
        Ok(candidates)
    }
}

fn replay_error(error: LedgerError, id: BlockId, height: Height) -> StoreError {
    match error {
        LedgerError::Block(source) => StoreError::Replay { id, height, source: Box::new(source) },
        other => StoreError::BadChange(other.to_string()),
    }
}
