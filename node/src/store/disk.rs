//! The store on a disk: the log, the index behind it, the header range, caches.

use std::{
    collections::HashSet,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use farthing::{
    Address, Block, BlockId, Hash, Height, Params, PublicKey, TxId,
    codec::{Canonical as _, Reader},
    range::RangeNode,
};
use farthing_consensus::HeaderContext;
use tokio_util::sync::CancellationToken;

use super::{
    Base, BeginError, Beginning, BestChange, Commit, Effects, KeyValue, LogPlace, Store, StoreError,
    checkpoint::{Checkpointer, Offer, Snapshot},
    index::{
        BlockEntry, ChainState, DAMAGED_BLOCK, DAMAGED_EFFECTS, Index, KnownBlock, Op, Step, Tree, damaged_key,
        height_key, side_key,
    },
    log::{Kind, Log, NewRecord, Poison},
    memory::key_in,
    named::NamedKeys,
    offers::Offers,
    range_file::RangeFile,
};
use crate::{
    byte_cache::ByteCache,
    env::Disk,
    ledger::{ChainView, range_leaf},
    tasks::Chain,
};

/// Bytes of blocks that are kept in memory, counted by their canonical size.
const BLOCK_CACHE: usize = 16 << 20;
/// Bytes of effects that are kept in memory.
const EFFECTS_CACHE: usize = 4 << 20;
/// A commit is cut into batches of about this size, the move of the best chain in the last.
const BATCH_BYTES: usize = 64 << 20;
/// Time that the last checkpoint may take when the node stops.
const LAST_CHECKPOINT: Duration = Duration::from_secs(2);

/// The store on a disk. See [`DiskStore::open`].
#[derive(Debug)]
pub struct DiskStore {
    pub(super) params: Arc<Params>,
    pub(super) log: Log,
    pub(super) index: Index,
    pub(super) range: Arc<RangeFile>,
    pub(super) poison: Arc<Poison>,
    pub(super) state: Mutex<ChainState>,
    pub(super) blocks: ByteCache<BlockId, Block>,
    pub(super) effects: ByteCache<BlockId, Effects>,
    /// Set once the ledger is recovered.
    pub(super) checkpoints: OnceLock<Checkpointer>,
    /// There are no threads: whoever brings work does it.
    pub(super) in_place: bool,
    /// Where the chain begins, if not with genesis.
    pub(super) base: RwLock<Option<Arc<Base>>>,
    /// Checkpoints that peers can have.
    pub(super) offers: Mutex<Offers>,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: PathBuf,
    /// Bytes that must stay free on the disk.
    pub(super) reserve_bytes: u64,
}

/// Fresh caches.
pub(super) fn caches() -> (ByteCache<BlockId, Block>, ByteCache<BlockId, Effects>) {
    (ByteCache::new(BLOCK_CACHE), ByteCache::new(EFFECTS_CACHE))
}

impl DiskStore {
    /// Writes the index behind the log until told to stop: the work of one thread. Without it each commit writes its
    /// own part of the index before it returns.
    ///
    /// # Errors
    /// When the index fails; the store then takes no more writes.
    pub fn write_behind(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        let written = self.index.write_behind(stop);
        // Whether its thread ends in time or is cut off, a checkpoint is there whole or not at all.
        if let Some(checkpoints) = self.checkpoints.get() {
            checkpoints.close(LAST_CHECKPOINT);
        }
        written
    }

    /// Writes checkpoints when they are due, until [`DiskStore::write_behind`] has ended: the work of one thread.
    pub fn write_checkpoints(&self) {
        if let Some(checkpoints) = self.checkpoints.get() {
            checkpoints.run(&|place, address| self.key_at(&place, address));
        }
    }

    /// What the thread of [`DiskStore::write_checkpoints`] would do now, if there is none.
    fn checkpoint_in_place(&self, checkpoints: &Checkpointer) {
        if self.in_place {
            checkpoints.run_in_place(&|place, address| self.key_at(&place, address));
        }
    }

    pub(super) fn lock_state(&self) -> MutexGuard<'_, ChainState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_base(&self, base: Base) {
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(base));
    }

    pub(super) fn entry_of(&self, id: &BlockId) -> Result<Option<BlockEntry>, StoreError> {
        let value = self.index.get(Tree::Blocks, id.as_bytes())?;
        value.map(|value| BlockEntry::decode(id, &value)).transpose()
    }

    /// Appends records in batches, the last of which may move the tip, and brings the index to it.
    fn append(&self, state: &mut ChainState, parts: Vec<Part>) -> Result<Vec<LogPlace>, StoreError> {
        let mut places = Vec::with_capacity(parts.len());
        let mut rest = parts.into_iter().peekable();
        while rest.peek().is_some() {
            let (mut bytes, mut now) = (0, Vec::new());
            while let Some(part) =
                rest.next_if(|part| now.is_empty() || bytes + part.record.contents.len() <= BATCH_BYTES)
            {
                bytes += part.record.contents.len();
                now.push(part);
            }
            let (records, metas): (Vec<_>, Vec<_>) = now.into_iter().map(|part| (part.record, part.work)).unzip();
            let appended = self.log.append(&records)?;
            let step = step_of(&records, metas, &appended.places)?;
            self.take_step(state, &step, appended.end)?;
            places.extend(appended.places);
        }
        Ok(places)
    }

    /// Brings range and index to the end of a batch that is durable. A failure now is fatal: the log is ahead.
    pub(super) fn take_step(
        &self,
        state: &mut ChainState,
        step: &Step,
        end: super::log::LogPosition,
    ) -> Result<(), StoreError> {
        let mut taken = || -> Result<(), StoreError> {
            let (ops, change) = state.apply(step, end, self)?;
            self.index.submit(ops, Some(state.marker(false)))?;
            self.advance_range(&change)
        };
        taken().map_err(|error| {
            if error.is_fatal() { error } else { self.poison.set(StoreError::Index(Chain(&error).to_string())) }
        })
    }

    /// Appends what a change of the best chain adds to the header range.
    fn advance_range(&self, change: &BestChange) -> Result<(), StoreError> {
        let Some(first) = change.applied.first() else { return Ok(()) };
        let entry = self.entry_of(first)?.ok_or(StoreError::UnknownBlock(*first))?;
        let kept = entry.height.get();
        // Without good peaks the file is made again as a whole when the store is opened.
        let Some(mut peaks) = self.range.peaks(kept) else { return Ok(()) };
        let mut nodes = Vec::new();
        for id in &change.applied {
            let entry = self.entry_of(id)?.ok_or(StoreError::UnknownBlock(*id))?;
            let made = peaks.append(range_leaf(&entry.context()));
            nodes.extend(made.map_err(|error| StoreError::BadChange(error.to_string()))?);
        }
        self.range.put(kept, &nodes)
    }

    /// Notes a damaged record, so that it is fetched or made again.
    pub(super) fn note_damage(&self, error: StoreError, kind: u8) -> StoreError {
        if let StoreError::Corrupt { id, place, .. } = &error {
            let (key, mut value) = (damaged_key(kind, id), Vec::with_capacity(8));
            LogPlace::encode_optional(Some(*place), &mut value);
            // Every branch that stands on it meets it again.
            if self.index.get(Tree::Damaged, &key).is_ok_and(|noted| noted.as_ref() == Some(&value)) {
                return error;
            }
            tracing::error!(error = %error, "a damaged record");
            let op = Op { tree: Tree::Damaged, key, value: Some(value) };
            if let Err(failed) = self.index.submit(vec![op], None) {
                tracing::error!(error = %failed, "the damage could not be noted");
            }
        }
        error
    }

    /// Where the damaged bytes at a place in a block stand in the good copy of that block.
    fn healed(&self, place: LogPlace) -> Result<LogPlace, StoreError> {
        let corrupt = |reason: &str| StoreError::CorruptKey { place, reason: reason.to_owned() };
        let (id, first) = self.log.block_around(place).ok_or_else(|| corrupt("no readable block stands there"))?;
        let now = self.entry_of(&id)?.and_then(|entry| entry.block).ok_or(StoreError::UnknownBlock(id))?;
        if now == first {
            // Either the record is damaged, which is noted so that it is fetched again, or no such key was ever there.
            self.log.read(Kind::Block, &id, first).map_err(|error| self.note_damage(error, DAMAGED_BLOCK))?;
            return Err(corrupt("the block there is whole, and holds another key"));
        }
        place.in_copy(first, now).ok_or_else(|| corrupt("the copy of its block ends before it"))
    }

    fn read_block(&self, id: &BlockId, place: LogPlace) -> Result<Arc<Block>, StoreError> {
        if let Some(block) = self.blocks.get(id) {
            return Ok(block);
        }
        let bytes = self.log.read(Kind::Block, id, place).map_err(|error| self.note_damage(error, DAMAGED_BLOCK))?;
        let block = Block::from_canonical(&bytes).map_err(|source| StoreError::Decode { what: "a block", source })?;
        let block = Arc::new(block);
        self.blocks.put(*id, Arc::clone(&block), bytes.len());
        Ok(block)
    }

    /// The records of a commit, without what the store already holds.
    fn parts(&self, commit: &Commit) -> Result<Vec<Part>, StoreError> {
        let (mut parts, mut new) = (Vec::new(), HashSet::new());
        for block in &commit.blocks {
            if self.entry_of(&block.id)?.is_some() || !new.insert(block.id) {
                continue;
            }
            let record = NewRecord {
                kind: Kind::Block,
                height: block.height,
                id: block.id,
                contents: block.block.to_canonical(),
            };
            parts.push(Part { record, work: Some(block.total_work) });
            self.blocks.put(block.id, Arc::clone(&block.block), block.block.size_bytes());
        }
        for (id, effects) in &commit.effects {
            let entry = self.entry_of(id)?;
            let height = match (&entry, commit.blocks.iter().find(|block| block.id == *id)) {
                (Some(entry), _) => entry.height,
                (None, Some(block)) => block.height,
                (None, None) => return Err(StoreError::UnknownBlock(*id)),
            };
            if entry.is_some_and(|entry| entry.effects.is_some()) && !self.has_damaged_effects(id)? {
                continue;
            }
            let record = NewRecord { kind: Kind::Effects, height, id: *id, contents: effects.to_canonical() };
            parts.push(Part { record, work: None });
        }
        Ok(parts)
    }

    /// Whether a block that is executed again needs its effects written, for there are none, or damaged ones.
    pub(super) fn lacks_effects(&self, id: &BlockId) -> Result<bool, StoreError> {
        let entry = self.entry_of(id)?;
        Ok(entry.is_none_or(|entry| entry.effects.is_none()) || self.has_damaged_effects(id)?)
    }

    fn has_damaged_effects(&self, id: &BlockId) -> Result<bool, StoreError> {
        Ok(self.index.get(Tree::Damaged, &damaged_key(DAMAGED_EFFECTS, id))?.is_some())
    }

    /// The tip record of a move, once it is known to fit the chain.
    fn tip_part(&self, state: &ChainState, commit: &Commit, best: &BestChange) -> Result<Option<Part>, StoreError> {
        let known = |id: &BlockId| -> Result<Option<BlockEntry>, StoreError> {
            if let Some(new) = commit.blocks.iter().find(|new| new.id == *id) {
                let place = LogPlace::new(0, 1).expect("1 is not 0");
                return Ok(Some(BlockEntry::new(&new.block, new.height, new.total_work, place)));
            }
            self.entry_of(id)
        };
        let tip = match (best.applied.last(), best.undone.last()) {
            (Some(tip), _) => *tip,
            (None, Some(lowest)) => known(lowest)?.ok_or(StoreError::UnknownBlock(*lowest))?.header.previous,
            (None, None) => return Ok(None),
        };
        let height = known(&tip)?.ok_or(StoreError::UnknownBlock(tip))?.height;
        let way = state.way_to(&tip, &known)?;
        if way.as_ref() != Some(best) {
            let (undone, applied) = (best.undone.len(), best.applied.len());
            return Err(StoreError::BadChange(format!(
                "undoing {undone} and applying {applied} blocks does not lead from the tip to {tip}"
            )));
        }
        let record = NewRecord { kind: Kind::Tip, height, id: tip, contents: Vec::new() };
        Ok(Some(Part { record, work: None }))
    }
}

/// A record and, for a block, the work of its chain.
struct Part {
    record: NewRecord,
    work: Option<farthing::Work>,
}

/// What a batch that was just appended says to the index.
fn step_of(records: &[NewRecord], works: Vec<Option<farthing::Work>>, places: &[LogPlace]) -> Result<Step, StoreError> {
    let mut step = Step::default();
    for ((record, work), place) in records.iter().zip(works).zip(places) {
        match (record.kind, work) {
            (Kind::Block, Some(total_work)) => {
                let header = farthing::Header::decode(&mut Reader::new(&record.contents))
                    .map_err(|source| StoreError::Decode { what: "a header", source })?;
                let entry =
                    BlockEntry { header, height: record.height, total_work, block: Some(*place), effects: None };
                step.blocks.push((record.id, entry));
            }
            (Kind::Block | Kind::Replacement, _) => step.replaced.push((record.id, *place)),
            (Kind::Effects, _) => step.effects.push((record.id, *place)),
            (Kind::Tip, _) => step.tip = Some(record.id),
            (Kind::Keys | Kind::Base, _) => {}
        }
    }
    Ok(step)
}

impl KnownBlock for DiskStore {
    fn entry(&self, id: &BlockId) -> Result<Option<BlockEntry>, StoreError> {
        self.entry_of(id)
    }

    fn transactions(&self, id: &BlockId, place: LogPlace) -> Result<Vec<TxId>, StoreError> {
        match self.read_block(id, place) {
            Ok(block) => {
                let genesis = self.params.genesis_id();
                Ok(block.transactions.iter().map(|signed| signed.transaction().id(genesis)).collect())
            }
            Err(StoreError::Corrupt { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn is_indexed(&self, id: &TxId) -> Result<bool, StoreError> {
        Ok(self.index.get(Tree::Transactions, id.as_bytes())?.is_some())
    }
}

impl Store for DiskStore {
    fn commit(&self, commit: Commit) -> Result<Vec<LogPlace>, StoreError> {
        let mut state = self.lock_state();
        self.poison.check()?;
        let mut parts = self.parts(&commit)?;
        if let Some(best) = &commit.best {
            parts.extend(self.tip_part(&state, &commit, best)?);
        }
        self.append(&mut state, parts)?;
        drop(state);
        let places = commit.blocks.iter().map(|block| self.place(&block.id)?.ok_or(StoreError::UnknownBlock(block.id)));
        places.collect()
    }

    fn block(&self, id: &BlockId) -> Result<Option<Arc<Block>>, StoreError> {
        // The entry first: the cache may hold a block whose commit failed.
        self.place(id)?.map(|place| self.read_block(id, place)).transpose()
    }

    fn place(&self, id: &BlockId) -> Result<Option<LogPlace>, StoreError> {
        Ok(self.entry_of(id)?.and_then(|entry| entry.block))
    }

    fn effects(&self, id: &BlockId) -> Result<Option<Arc<Effects>>, StoreError> {
        if let Some(effects) = self.effects.get(id) {
            return Ok(Some(effects));
        }
        let Some(place) = self.entry_of(id)?.and_then(|entry| entry.effects) else { return Ok(None) };
        let bytes =
            self.log.read(Kind::Effects, id, place).map_err(|error| self.note_damage(error, DAMAGED_EFFECTS))?;
        let effects =
            Effects::from_canonical(&bytes).map_err(|source| StoreError::Decode { what: "effects", source })?;
        let effects = Arc::new(effects);
        self.effects.put(*id, Arc::clone(&effects), bytes.len());
        Ok(Some(effects))
    }

    fn header(&self, id: &BlockId) -> Result<Option<HeaderContext>, StoreError> {
        Ok(self.entry_of(id)?.map(|entry| entry.context()))
    }

    fn has_body(&self, id: &BlockId) -> Result<bool, StoreError> {
        Ok(self.place(id)?.is_some())
    }

    fn base(&self) -> Option<Arc<Base>> {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn begin_at(&self, beginning: Beginning) -> Result<ChainView, BeginError> {
        self.begin(beginning)
    }

    fn best_at(&self, height: Height) -> Result<Option<BlockId>, StoreError> {
        let value = self.index.get(Tree::Heights, &height_key(height))?;
        let damaged = || StoreError::IndexDamaged(format!("height {height} does not hold a block id"));
        value.map(|value| BlockId::try_from(value.as_slice()).map_err(|_| damaged())).transpose()
    }

    fn locate(&self, id: &TxId) -> Result<Option<(Height, u32)>, StoreError> {
        let Some(value) = self.index.get(Tree::Transactions, id.as_bytes())? else { return Ok(None) };
        let mut reader = Reader::new(&value);
        match (reader.u64("height"), reader.u32("index")) {
            (Ok(height), Ok(index)) => Ok(Some((Height::new(height), index))),
            _ => Err(StoreError::IndexDamaged(format!("transaction {id} does not hold a place"))),
        }
    }

    fn indexes_transactions(&self) -> bool {
        self.lock_state().transactions
    }

    fn key_at(&self, place: &LogPlace, address: &Address) -> Result<PublicKey, StoreError> {
        let read = |at: &LogPlace| key_in(&self.log.read_transaction(*at)?, at, address);
        match read(place) {
            Err(StoreError::CorruptKey { .. }) => read(&self.healed(*place)?),
            key => key,
        }
    }

    fn range_node(&self, position: u64) -> Result<RangeNode, StoreError> {
        self.range.node(position)
    }

    fn put_range(&self, kept: u64, nodes: &[RangeNode]) -> Result<(), StoreError> {
        self.poison.check()?;
        self.range.put(kept, nodes)
    }

    fn side_blocks(&self, height: Height) -> Result<Vec<HeaderContext>, StoreError> {
        let keys = self.index.scan(Tree::Side, &side_key(height, &BlockId::ZERO))?;
        let contexts = keys.into_iter().map(|(key, _)| {
            let id = key.get(8..).and_then(|id| BlockId::try_from(id).ok());
            let id = id.ok_or_else(|| StoreError::IndexDamaged("a side block without an id".to_owned()))?;
            self.header(&id)?.ok_or_else(|| StoreError::IndexDamaged(format!("side block {id} has no entry")))
        });
        contexts.collect()
    }

    fn damaged(&self) -> Result<Vec<BlockId>, StoreError> {
        let keys = self.index.scan(Tree::Damaged, &[DAMAGED_BLOCK])?;
        let blocks = keys.iter().filter_map(|(key, _)| key.strip_prefix(&[DAMAGED_BLOCK]));
        Ok(blocks.filter_map(|id| BlockId::try_from(id).ok()).collect())
    }

    fn replace_block(&self, block: &Block) -> Result<LogPlace, StoreError> {
        let mut state = self.lock_state();
        self.poison.check()?;
        let id = block.id();
        let entry = self.entry_of(&id)?.ok_or(StoreError::UnknownBlock(id))?;
        let record = NewRecord { kind: Kind::Replacement, height: entry.height, id, contents: block.to_canonical() };
        self.append(&mut state, vec![Part { record, work: None }])?;
        drop(state);
        self.place(&id)?.ok_or(StoreError::UnknownBlock(id))
    }

    fn prepare_offers(&self) -> Result<(), StoreError> {
        self.prepare()
    }

    fn offers(&self) -> Vec<Offer> {
        self.offered()
    }

    fn offered_hashes(&self, block: &BlockId, digest: &Hash) -> Option<Vec<Hash>> {
        self.pieces_of(block, digest).map(|pieces| pieces.hashes().to_vec())
    }

    fn offered_piece(&self, block: &BlockId, digest: &Hash, index: u64) -> Option<Vec<u8>> {
        self.piece_of(block, digest, index)
    }

    fn maybe_checkpoint(&self, view: &Arc<ChainView>) {
        let Some(checkpoints) = self.checkpoints.get() else { return };
        let Some(before) = self.range.peaks(view.tip.height().get()) else { return };
        let position = self.lock_state().position;
        let synced_to = LogPlace::new(position.segment, position.offset);
        checkpoints.offer(Snapshot { view: Arc::clone(view), before, synced_to });
        self.checkpoint_in_place(checkpoints);
    }

    fn key_value(&self, name: &str) -> Result<Arc<dyn KeyValue>, StoreError> {
        Ok(Arc::new(NamedKeys::new(self.index.clone(), name)))
    }

    fn poisoned(&self) -> Option<String> {
        self.poison.cause()
    }

    fn close(&self) -> Result<(), StoreError> {
        let state = self.lock_state();
        if self.poison.is_closed() {
            return Ok(());
        }
        self.poison.check()?;
        if let Some(checkpoints) = self.checkpoints.get() {
            checkpoints.close(LAST_CHECKPOINT);
            self.checkpoint_in_place(checkpoints);
        }
        let settled = self.index.settle_all(state.marker(true));
        self.poison.close();
        settled
    }
}
