//! The index: few small keys, derived from the log, written behind it, never the only copy of anything of the chain.
//!
//! Readers see what is not yet written through the overlay. The marker is written last, after everything before it is
//! durable: see `docs/crash-ordering.md`.

mod engine;
mod entry;
mod marker;
mod overlay;
mod sled_engine;
mod steps;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

pub(crate) use engine::{Engine, MemoryEngine, Op, Pair, Tree};
pub(crate) use entry::BlockEntry;
pub(crate) use marker::{Counts, Marker};
pub(crate) use sled_engine::{OpenError, SledEngine};
pub(crate) use steps::{
    ChainState, DAMAGED_BLOCK, DAMAGED_EFFECTS, KnownBlock, Step, damaged_key, height_key, side_key,
};
use tokio_util::sync::CancellationToken;

use self::{engine::EngineError, marker::MARKER_KEY, overlay::Overlay};
use super::{StoreError, log::Poison, range_file::RangeFile};
use crate::env::{Clock, Disk};

/// Keys that the index may be behind the log; a faster writer waits.
const MAX_BEHIND: usize = 50_000;
/// The marker follows after so many keys,
const SETTLE_KEYS: usize = 200_000;
/// or after so long.
const SETTLE_AFTER: Duration = Duration::from_secs(10);
/// How often the writer looks whether it is to stop.
const WAKE: Duration = Duration::from_millis(200);
/// Keys read at a time when all are read.
const PAGE: usize = 1_000;

/// The open index. Clones share it.
#[derive(Clone)]
pub(crate) struct Index(Arc<Shared>);

struct Shared {
    engine: Box<dyn Engine>,
    overlay: RwLock<Overlay>,
    queue: Mutex<Queue>,
    changed: Condvar,
    range: Arc<RangeFile>,
    clock: Arc<dyn Clock>,
    poison: Arc<Poison>,
    disk: Arc<dyn Disk>,
    /// A file that says: rebuild the index at the next start.
    note: PathBuf,
}

#[derive(Debug, Default)]
struct Queue {
    steps: std::collections::VecDeque<QueuedStep>,
    keys: usize,
    /// A thread writes; without one, steps are written by whoever brings them.
    threaded: bool,
    writing: Writing,
}

#[derive(Debug)]
struct QueuedStep {
    ops: Vec<Op>,
    sequence: u64,
    /// None if it does not move the chain.
    marker: Option<Marker>,
}

/// Where the writing stands.
#[derive(Debug, Default)]
struct Writing {
    busy: bool,
    next_sequence: u64,
    written: Option<Marker>,
    keys_since_settled: usize,
    settled_at: Duration,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("engine", &self.0.engine).finish_non_exhaustive()
    }
}

fn failed(error: EngineError) -> StoreError {
    StoreError::Index(error.to_string())
}

impl Index {
    pub(crate) fn new(
        engine: Box<dyn Engine>,
        range: Arc<RangeFile>,
        clock: Arc<dyn Clock>,
        poison: Arc<Poison>,
        disk: Arc<dyn Disk>,
        note: PathBuf,
    ) -> Self {
        let settled_at = clock.elapsed();
        let queue = Queue { writing: Writing { settled_at, ..Writing::default() }, ..Queue::default() };
        Self(Arc::new(Shared {
            engine,
            overlay: RwLock::default(),
            queue: Mutex::new(queue),
            changed: Condvar::new(),
            range,
            clock,
            poison,
            disk,
            note,
        }))
    }

    /// The marker found at opening; none in a new index, or one of another layout.
    pub(crate) fn marker(&self) -> Result<Option<Marker>, StoreError> {
        let value = self.get(Tree::Meta, MARKER_KEY)?;
        Ok(value.as_deref().and_then(Marker::decode))
    }

    /// A value, its checksum verified.
    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        if let Some(waiting) = self.overlay().get(tree, key) {
            return Ok(waiting);
        }
        let value = self.0.engine.get(tree, key).map_err(failed);
        let value = value.and_then(|value| value.map(|value| unsealed(tree, key, value)).transpose());
        value.map_err(|error| self.fail(error))
    }

    /// The index cannot be trusted any more: the process stops, and the next start rebuilds it.
    fn fail(&self, error: StoreError) -> StoreError {
        if self.0.poison.cause().is_none()
            && let Err(failed) = self.0.disk.create(&self.0.note)
        {
            tracing::error!(error = %failed, "the rebuild of the index could not be noted");
        }
        self.0.poison.set(error)
    }

    /// All keys from `from` on.
    pub(crate) fn scan(&self, tree: Tree, from: &[u8]) -> Result<Vec<Pair>, StoreError> {
        // The overlay first: a key that is written meanwhile is then seen twice, never missed.
        let waiting = self.overlay().range(tree, from);
        let mut found = std::collections::BTreeMap::new();
        self.each(tree, from, &mut |key, value| {
            found.insert(key, value);
        })?;
        for (key, value) in waiting {
            match value {
                Some(value) => found.insert(key, value),
                None => found.remove(&key),
            };
        }
        Ok(found.into_iter().collect())
    }

    fn each(&self, tree: Tree, from: &[u8], visit: &mut dyn FnMut(Vec<u8>, Vec<u8>)) -> Result<u64, StoreError> {
        let (mut from, mut count) = (from.to_vec(), 0);
        loop {
            let page = self.0.engine.scan(tree, &from, PAGE).map_err(|error| self.fail(failed(error)))?;
            let Some((last, _)) = page.last() else { return Ok(count) };
            from.clone_from(last);
            from.push(0);
            let full = page.len() == PAGE;
            for (key, value) in page {
                count += 1;
                let value = unsealed(tree, &key, value).map_err(|error| self.fail(error))?;
                visit(key, value);
            }
            if !full {
                return Ok(count);
            }
        }
    }

    /// Reads every key: the numbers must be what the log says, and every checksum right.
    pub(crate) fn verify(&self, counts: Counts) -> Result<(), StoreError> {
        for (tree, expected) in Tree::COUNTED.into_iter().zip(counts.each()) {
            let found = self.each(tree, &[], &mut |_, _| {})?;
            if found != expected {
                let name = tree.name();
                return Err(StoreError::IndexDamaged(format!("{found} keys in {name}, expected {expected}")));
            }
        }
        Ok(())
    }

    /// Takes changes, which bring the index to `marker` if they move the chain. Readers see them when this returns.
    pub(crate) fn submit(&self, ops: Vec<Op>, marker: Option<Marker>) -> Result<(), StoreError> {
        let mut queue = self.queue();
        while queue.threaded && queue.keys > MAX_BEHIND {
            self.0.poison.check()?;
            queue = self.0.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let sequence = queue.writing.next_sequence;
        queue.writing.next_sequence += 1;
        self.overlay_mut().add(&ops, sequence);
        queue.keys += ops.len();
        queue.steps.push_back(QueuedStep { ops, sequence, marker });
        let threaded = queue.threaded;
        drop(queue);
        self.0.changed.notify_all();
        if threaded { Ok(()) } else { self.drain() }
    }

    /// Writes behind until told to stop; then whoever brings a step writes it.
    pub(crate) fn write_behind(&self, stop: &CancellationToken) -> Result<(), StoreError> {
        self.queue().threaded = true;
        while !stop.is_cancelled() {
            let written = self.write_next();
            match written {
                Ok(true) => {}
                Ok(false) => {
                    let queue = self.queue();
                    if queue.steps.is_empty() {
                        drop(self.0.changed.wait_timeout(queue, WAKE));
                    }
                }
                Err(error) => {
                    self.queue().threaded = false;
                    self.0.changed.notify_all();
                    return Err(error);
                }
            }
        }
        self.queue().threaded = false;
        self.0.changed.notify_all();
        self.drain()
    }

    /// Writes all that waits.
    pub(crate) fn drain(&self) -> Result<(), StoreError> {
        loop {
            if self.write_next()? {
                continue;
            }
            let queue = self.queue();
            if !queue.writing.busy && queue.steps.is_empty() {
                return Ok(());
            }
            if queue.writing.busy {
                drop(self.0.changed.wait_timeout(queue, WAKE));
            }
        }
    }

    /// Writes the next step, and the marker if it is time; false if nothing waited or another thread is writing.
    fn write_next(&self) -> Result<bool, StoreError> {
        let mut queue = self.queue();
        if queue.writing.busy {
            return Ok(false);
        }
        let due = self.settle_due(&queue);
        let step = queue.steps.pop_front();
        if step.is_none() && !due {
            return Ok(false);
        }
        queue.writing.busy = true;
        drop(queue);
        let written = self.write_step(step, due);
        let mut queue = self.queue();
        queue.writing.busy = false;
        if let Ok(keys) = written {
            queue.keys -= keys;
        }
        drop(queue);
        self.0.changed.notify_all();
        written.map(|_| true).map_err(|error| self.fail(error))
    }

    fn write_step(&self, step: Option<QueuedStep>, settle: bool) -> Result<usize, StoreError> {
        let mut keys = 0;
        if let Some(step) = step {
            let sealed: Vec<Op> = step.ops.iter().map(sealed).collect();
            self.0.engine.write(&sealed).map_err(failed)?;
            self.overlay_mut().written(&step.ops, step.sequence);
            keys = step.ops.len();
            let mut queue = self.queue();
            queue.writing.keys_since_settled += keys;
            queue.writing.written = step.marker.or(queue.writing.written);
        }
        if settle {
            let marker = self.queue().writing.written;
            self.settle(marker)?;
        }
        Ok(keys)
    }

    fn settle_due(&self, queue: &Queue) -> bool {
        let writing = &queue.writing;
        writing.keys_since_settled >= SETTLE_KEYS
            || (writing.keys_since_settled > 0 && self.0.clock.elapsed() >= writing.settled_at + SETTLE_AFTER)
    }

    /// Makes everything durable, and only then writes the marker.
    fn settle(&self, marker: Option<Marker>) -> Result<(), StoreError> {
        self.0.range.sync()?;
        self.0.engine.settle().map_err(failed)?;
        if let Some(marker) = marker {
            let op = Op { tree: Tree::Meta, key: MARKER_KEY.to_vec(), value: Some(marker.encode()) };
            self.0.engine.write(&[sealed(&op)]).map_err(failed)?;
        }
        let mut queue = self.queue();
        queue.writing.keys_since_settled = 0;
        queue.writing.settled_at = self.0.clock.elapsed();
        Ok(())
    }

    /// Writes all that waits and this marker, durably: at the end of opening, and of closing.
    pub(crate) fn settle_all(&self, marker: Marker) -> Result<(), StoreError> {
        self.drain()?;
        self.settle(Some(marker))?;
        self.0.engine.settle().map_err(failed)
    }

    fn overlay(&self) -> std::sync::RwLockReadGuard<'_, Overlay> {
        self.0.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn overlay_mut(&self) -> std::sync::RwLockWriteGuard<'_, Overlay> {
        self.0.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The checksum covers tree and key, so that a value under another key's name is seen.
fn checksum(tree: Tree, key: &[u8], value: &[u8]) -> u32 {
    let sum = crc32c::crc32c(tree.name().as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(sum, key), value)
}

fn sealed(op: &Op) -> Op {
    let value = op.value.as_ref().map(|value| {
        let mut sealed = Vec::with_capacity(value.len() + 4);
        sealed.extend_from_slice(value);
        sealed.extend_from_slice(&checksum(op.tree, &op.key, value).to_le_bytes());
        sealed
    });
    Op { tree: op.tree, key: op.key.clone(), value }
}

fn unsealed(tree: Tree, key: &[u8], mut sealed: Vec<u8>) -> Result<Vec<u8>, StoreError> {
    let fits = sealed
        .split_last_chunk::<4>()
        .is_some_and(|(value, sum)| u32::from_le_bytes(*sum) == checksum(tree, key, value));
    if !fits {
        let (name, key) = (tree.name(), hex::encode(key));
        return Err(StoreError::IndexDamaged(format!("the checksum of {name} {key} does not match")));
    }
    sealed.truncate(sealed.len() - 4);
    Ok(sealed)
}
