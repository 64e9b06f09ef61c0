//! Checking and rebuilding a data directory while no node runs on it: `farthing-node verify` and `reindex`.

use std::{fmt, io, path::Path, sync::Arc};

use farthing::{BlockId, Height, Params};

use super::{
    DiskStore, IndexPlace, Progress, Recovered, Store as _, StoreError, StoreOptions,
    checkpoint::{self, CheckpointName},
    index::{ChainState, DAMAGED_EFFECTS, Tree},
    open::Opening,
    range_file::RangeFile,
};
use crate::{
    env::{Disk, DiskLock, Env, MemDisk},
    ledger::ChainView,
};

/// What a data directory is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyReport {
    /// The tip of the best chain.
    pub tip: BlockId,
    /// Its height.
    pub height: Height,
    /// Up to where all blocks could be executed again: the tip's height, if nothing is wrong.
    pub executed: Height,
    /// Accounts there.
    pub accounts: u64,
    /// Bytes of the block log.
    pub log_bytes: u64,
    /// Bytes behind its end that were never acknowledged; the next start cuts them.
    pub torn_bytes: u64,
    /// Blocks that a node fetches again from its peers.
    pub damaged_blocks: Vec<BlockId>,
    /// Effects that the next start makes again.
    pub damaged_effects: usize,
    /// Batches of which records are lost; their blocks are fetched again.
    pub lossy_batches: u64,
    /// Good checkpoints.
    pub checkpoints: usize,
    /// Checkpoints that are passed over, and why.
    pub bad_checkpoints: Vec<String>,
}

impl VerifyReport {
    /// True if nothing needs healing.
    pub fn is_good(&self) -> bool {
        self.executed == self.height
            && self.damaged_blocks.is_empty()
            && self.damaged_effects == 0
            && self.lossy_batches == 0
            && self.bad_checkpoints.is_empty()
    }
}

impl fmt::Display for VerifyReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "tip            {} at height {}", self.tip, self.height)?;
        writeln!(f, "executed       to height {}, {} accounts", self.executed, self.accounts)?;
        writeln!(f, "block log      {} bytes, {} of them torn and not acknowledged", self.log_bytes, self.torn_bytes)?;
        writeln!(f, "checkpoints    {} good, {} bad", self.checkpoints, self.bad_checkpoints.len())?;
        for bad in &self.bad_checkpoints {
            writeln!(f, "  bad          {bad}")?;
        }
        for id in &self.damaged_blocks {
            writeln!(f, "damaged block  {id}")?;
        }
        if self.damaged_effects > 0 {
            writeln!(f, "damaged        effects of {} blocks", self.damaged_effects)?;
        }
        if self.lossy_batches > 0 {
            writeln!(f, "lost           records of {} batches", self.lossy_batches)?;
        }
        let verdict = if self.is_good() {
            "good"
        } else {
            "damaged; a node started on it heals itself, with blocks from its peers"
        };
        writeln!(f, "verdict        {verdict}")
    }
}

/// Reads all of the block log and every checkpoint, and executes every block again. Changes nothing.
///
/// The index is not looked at: it is derived from the log, and a node that finds it damaged rebuilds it.
///
/// # Errors
/// If a node runs on the directory, there is no block log in it, or it cannot be read.
pub fn verify(
    params: Arc<Params>,
    env: &Env,
    data_dir: &Path,
    progress: &dyn Fn(Progress),
) -> Result<VerifyReport, StoreError> {
    let disk = Arc::clone(env.disk());
    let _lock = lock(disk.as_ref(), data_dir)?;
    // The index of what is read is made in memory; transactions would take too much of it.
    let options = StoreOptions { index: IndexPlace::Memory, transaction_index: false, ..StoreOptions::default() };
    let opening = Opening { params: Arc::clone(&params), env, disk: Arc::clone(&disk), data_dir, options, progress };
    let scratch = MemDisk::new();
    let range = RangeFile::open(&scratch, "/range".into())?;
    let store = opening.store_with(ChainState::empty(false, [0; 16]), range)?;
    let (total, mut done, mut lossy_batches) = (store.log.size_bytes(), 0, 0);
    let end = store.log.inspect(&mut |batch| {
        done += batch.len_bytes();
        lossy_batches += u64::from(batch.lossy);
        progress(Progress::Indexing { done, total });
        store.take_batch(&batch)
    })?;
    store.load_base()?;
    let start = beginning(&store, disk.as_ref(), data_dir, &params)?;
    let (view, tip) = execute_all(&store, start, progress)?;
    let damaged_effects = store.index.scan(Tree::Damaged, &[DAMAGED_EFFECTS])?;
    let damaged_effects = damaged_effects.iter().filter(|(key, _)| key.first() == Some(&DAMAGED_EFFECTS)).count();
    let (checkpoints, bad_checkpoints) = check_checkpoints(&store, disk.as_ref(), data_dir, &params)?;
    Ok(VerifyReport {
        tip: tip.0,
        height: tip.1,
        executed: view.tip.height(),
        accounts: view.accounts.len() as u64,
        log_bytes: total,
        torn_bytes: store.log.bytes_behind(end),
        damaged_blocks: store.damaged()?,
        damaged_effects,
        lossy_batches,
        checkpoints,
        bad_checkpoints,
    })
}

/// Makes the index and the header range again from the block log, and the ledger by executing every block.
///
/// # Errors
/// If a node runs on the directory, or what is not healed: see [`DiskStore::open`].
pub fn reindex(
    params: Arc<Params>,
    env: &Env,
    data_dir: &Path,
    options: StoreOptions,
    progress: &dyn Fn(Progress),
) -> Result<Recovered, StoreError> {
    let disk = Arc::clone(env.disk());
    let _lock = lock(disk.as_ref(), data_dir)?;
    let opening = Opening { params: Arc::clone(&params), env, disk: Arc::clone(&disk), data_dir, options, progress };
    opening.remove_index()?;
    let range = data_dir.join("range");
    match disk.remove(&range) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("removing the header range", range)(error));
        }
        _ => {}
    }
    let (store, recovered) = DiskStore::open(params, env, data_dir, options, progress)?;
    store.close()?;
    Ok(recovered)
}

/// The directory's lock, if there is a block log in it at all.
fn lock(disk: &dyn Disk, data_dir: &Path) -> Result<DiskLock, StoreError> {
    let unreadable = |reason: &str| StoreError::Unreadable { path: data_dir.to_owned(), reason: reason.to_owned() };
    let blocks = data_dir.join("blocks");
    if !disk.exists(&blocks).map_err(StoreError::io("looking for the block log", &blocks))? {
        return Err(unreadable("there is no block log here; is it the data directory of a node?"));
    }
    disk.try_lock(&data_dir.join("lock")).map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => unreadable("a node is running on it; stop it first"),
        _ => StoreError::io("locking the data directory", data_dir)(error),
    })
}

/// The ledger that the chain begins with: that of genesis, or of the checkpoint that was taken in its place.
fn beginning(store: &DiskStore, disk: &dyn Disk, data_dir: &Path, params: &Params) -> Result<ChainView, StoreError> {
    let Some(base) = store.base() else { return Ok(ChainView::genesis(params)) };
    let (directory, name) = (data_dir.join("checkpoints"), CheckpointName::of(&base.tip));
    let loaded = checkpoint::load(disk, &directory, name, params, &|tip| tip.id() == base.tip.id());
    let lost = |defect: checkpoint::Defect| StoreError::BaseLost {
        path: directory.join(name.to_string()),
        reason: defect.to_string(),
    };
    loaded.map(|loaded| loaded.view).map_err(lost)
}

/// Executes the best chain as far as it goes.
fn execute_all(
    store: &DiskStore,
    start: ChainView,
    progress: &dyn Fn(Progress),
) -> Result<(ChainView, (BlockId, Height)), StoreError> {
    let mut view = start;
    let tip = store.lock_state().tip.unwrap_or((view.tip.id(), view.tip.height()));
    let mut missing = Vec::new();
    while view.tip.height() < tip.1 {
        let height = view.tip.height().next();
        progress(Progress::Replaying { height, tip: tip.1 });
        match store.execute_again(&view, height, &mut missing) {
            Ok(next) => view = next,
            Err(StoreError::Corrupt { .. }) => break,
            Err(error) => return Err(error),
        }
        missing.clear();
    }
    Ok((view, tip))
}

fn check_checkpoints(
    store: &DiskStore,
    disk: &dyn Disk,
    data_dir: &Path,
    params: &Params,
) -> Result<(usize, Vec<String>), StoreError> {
    let directory = data_dir.join("checkpoints");
    let names = checkpoint::list(disk, &directory).map_err(StoreError::io("listing checkpoints", &directory))?;
    // One on a branch that was left is good for nothing now, and yet not damaged.
    let known = |tip: &farthing_consensus::HeaderContext| store.header(&tip.id()).is_ok_and(|found| found.is_some());
    let mut bad = Vec::new();
    for name in &names {
        if let Err(defect) = checkpoint::load(disk, &directory, *name, params, &known) {
            bad.push(format!("{name}: {defect}"));
        }
    }
    Ok((names.len() - bad.len(), bad))
}
