//! Opening: log, index and ledger brought to the same tip, whatever the last run left behind.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, OnceLock, RwLock},
};

use farthing::{Height, Params};
use farthing_consensus::HeaderContext;

use super::{
    BestChange, Commit, DiskStore, NewBlock, Recovered, Store as _, StoreError,
    checkpoint::{self, CheckpointName},
    disk::caches,
    index::{ChainState, Engine, Index, MemoryEngine, OpenError, SledEngine},
    log::{Log, LogOptions, LogPosition, NetworkName, Poison},
    range_file::RangeFile,
};
use crate::{
    env::{Disk, Env},
    ledger::ChainView,
};

/// Damaged indexes that are kept for whoever wants to know why.
const KEPT_DAMAGED: u32 = 2;

/// Where the index is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IndexPlace {
    /// In sled, in the data directory.
    Sled,
    /// In memory, made again from the log at each start: for tests and simulation.
    Memory,
}

/// How a store is kept.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Whether transactions can be found by their id.
    pub transaction_index: bool,
    /// Where the index is.
    pub index: IndexPlace,
    /// Memory for the index's pages, in bytes.
    pub index_cache_bytes: u64,
    /// Size at which the log begins another file, in bytes.
    pub segment_bytes: u32,
    /// Bytes that must stay free on the disk.
    pub reserve_bytes: u64,
    /// When checkpoints are made, and how many stay.
    pub checkpoints: checkpoint::Policy,
    /// The machine's boot: tells whether power may have been cut since the last run. None if it cannot be known.
    pub boot: Option<[u8; 16]>,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            transaction_index: true,
            index: IndexPlace::Sled,
            index_cache_bytes: 16 << 20,
            segment_bytes: 128 << 20,
            reserve_bytes: 64 << 20,
            checkpoints: checkpoint::Policy::default(),
            boot: this_boot(),
        }
    }
}

/// The kernel's id of this boot.
#[expect(clippy::disallowed_methods, reason = "a file of the kernel, not of a disk")]
fn this_boot() -> Option<[u8; 16]> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let digits: String = text.trim().chars().filter(|digit| *digit != '-').collect();
    hex::decode(digits).ok()?.try_into().ok()
}

/// How far opening has come, for those who wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Reading the log into the index.
    Indexing {
        /// Bytes read.
        done: u64,
        /// Bytes to read.
        total: u64,
    },
    /// Executing blocks again.
    Replaying {
        /// The block.
        height: Height,
        /// The last one.
        tip: Height,
    },
}

/// What opening needs all the way.
pub(super) struct Opening<'a> {
    pub(super) params: Arc<Params>,
    pub(super) env: &'a Env,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) data_dir: &'a Path,
    pub(super) options: StoreOptions,
    pub(super) progress: &'a dyn Fn(Progress),
}

impl DiskStore {
    /// Opens the store in a data directory, making it if it is new. The caller holds the directory's lock.
    ///
    /// # Errors
    /// [`StoreError::OtherNetwork`], or what could not be healed.
    pub fn open(
        params: Arc<Params>,
        env: &Env,
        data_dir: &Path,
        options: StoreOptions,
        progress: &dyn Fn(Progress),
    ) -> Result<(Arc<Self>, Recovered), StoreError> {
        let disk = Arc::clone(env.disk());
        make_durable(disk.as_ref(), data_dir)?;
        let opening = Opening { params, env, disk, data_dir, options, progress };
        let (store, rebuilt) = opening.index()?;
        opening.put_genesis(&store)?;
        store.load_base()?;
        if rebuilt {
            store.rebuild_range()?;
        }
        let recovered = opening.recover(&store)?;
        let marker = store.lock_state().marker(false);
        store.index.settle_all(marker)?;
        Ok((Arc::new(store), recovered))
    }
}

/// Makes a directory whose name, and those of all above it, outlive a power cut. Names that were there before are
/// synced as well: whether an earlier run came to it is unknown.
pub(super) fn make_durable(disk: &dyn Disk, path: &Path) -> Result<(), StoreError> {
    disk.create_dir_all(path).map_err(StoreError::io("making a directory", path))?;
    let above: Vec<&Path> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
    for parent in above.into_iter().rev() {
        match disk.sync_dir(parent) {
            // What cannot even be opened was not made by us.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced.map_err(StoreError::unknown("syncing a directory", parent))?,
        }
    }
    Ok(())
}

/// Why an index is made again.
enum Distrust {
    /// It was never finished, or is of another kind: nothing to learn from it.
    Useless(&'static str),
    /// Something is wrong with it: it is kept for whoever wants to know what.
    Damaged(String),
    /// Not the index's fault.
    Failed(StoreError),
}

impl From<StoreError> for Distrust {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Index(_) | StoreError::IndexDamaged(_) | StoreError::UnknownBlock(_) => {
                Self::Damaged(error.to_string())
            }
            other => Self::Failed(other),
        }
    }
}

impl Opening<'_> {
    /// The log, and the index brought to its end; true if it was rebuilt because it could not be trusted.
    fn index(&self) -> Result<(DiskStore, bool), StoreError> {
        match self.trusted() {
            Ok(store) => return Ok((store, false)),
            Err(Distrust::Failed(error)) => return Err(error),
            Err(Distrust::Useless(reason)) => {
                tracing::debug!(reason, "making the index from the block log");
                self.remove_index()?;
            }
            Err(Distrust::Damaged(reason)) => {
                tracing::warn!(reason, "rebuilding the index from the block log");
                self.set_aside()?;
            }
        }
        let store = self.store(ChainState::empty(self.options.transaction_index, self.boot()))?;
        self.replay(&store, LogPosition::START)?;
        Ok((store, true))
    }

    /// The index as it was left, brought to the log's end.
    fn trusted(&self) -> Result<DiskStore, Distrust> {
        if self.exists(&self.note()) {
            return Err(Distrust::Damaged("an earlier run found it damaged".to_owned()));
        }
        if !self.exists(&self.directory()) {
            return Err(Distrust::Useless("there is none"));
        }
        let store = self.store(ChainState::empty(self.options.transaction_index, self.boot()))?;
        let Some(marker) = store.index.marker()? else {
            return Err(match store.log.size_bytes() {
                0 => Distrust::Useless("it was never finished"),
                _ => Distrust::Damaged("it has no marker".to_owned()),
            });
        };
        if marker.transactions != self.options.transaction_index {
            return Err(Distrust::Useless("the transaction index was switched on or off"));
        }
        if !store.log.reaches(marker.position) {
            return Err(Distrust::Damaged("the log does not reach as far as the index".to_owned()));
        }
        // Markers written while the replay goes on name the old boot: a kill before the keys are counted must not make
        // the next start believe that they were.
        *store.lock_state() = ChainState::at(&marker, marker.boot);
        self.replay(&store, marker.position)?;
        if !marker.clean && (self.options.boot.is_none() || marker.boot != self.boot()) {
            let counts = store.lock_state().counts;
            store.index.verify(counts)?;
        }
        store.lock_state().boot = self.boot();
        Ok(store)
    }

    /// The ledger at the tip: the newest good checkpoint on the best chain, and the blocks behind it executed again.
    fn recover(&self, store: &DiskStore) -> Result<Recovered, StoreError> {
        let (disk, directory) = (self.disk.as_ref(), self.data_dir.join("checkpoints"));
        let failed = |what| StoreError::io(what, &directory);
        checkpoint::create_directory(disk, &directory).map_err(failed("making the directory of checkpoints"))?;
        checkpoint::clear_strays(disk, &directory).map_err(failed("removing unfinished checkpoints"))?;
        let below = store.lowest_damaged_effects()?;
        // Effects are made again by execution, which must then begin below them.
        let usable = |tip: &HeaderContext| {
            below.is_none_or(|below| tip.height() < below)
                && store.best_at(tip.height()).is_ok_and(|best| best == Some(tip.id()))
        };
        let search = checkpoint::newest_good(disk, &directory, &self.params, &usable);
        let search = search.map_err(failed("looking for checkpoints"))?;
        for (name, defect) in &search.rejected {
            tracing::warn!(checkpoint = %name, %defect, "a checkpoint is passed over");
        }
        let base = store.base().map(|base| CheckpointName::of(&base.tip));
        let start = match (search.found, base) {
            (Some(loaded), _) => loaded.view,
            (None, None) => ChainView::genesis(&self.params),
            (None, Some(name)) => {
                let path = directory.join(name.to_string());
                return Err(StoreError::BaseLost { path, reason: "no good checkpoint is left".to_owned() });
            }
        };
        let newest = start.tip;
        let recovered = store.recover(start, self.progress)?;
        let setup = checkpoint::Setup {
            disk: Arc::clone(&self.disk),
            clock: Arc::clone(self.env.clock()),
            directory,
            params: Arc::clone(&self.params),
            policy: self.options.checkpoints,
            newest,
            base,
            rejected: search.rejected.iter().map(|(name, _)| *name).collect(),
        };
        store.checkpoints.get_or_init(|| checkpoint::Checkpointer::new(setup));
        Ok(recovered)
    }

    /// Takes every batch from a position on.
    fn replay(&self, store: &DiskStore, from: LogPosition) -> Result<(), StoreError> {
        let total = store.log.size_bytes();
        let mut done = 0;
        let end = store.log.scan(from, from, &mut |batch| {
            done += batch.len_bytes();
            (self.progress)(Progress::Indexing { done, total });
            store.take_batch(&batch)
        })?;
        store.lock_state().position = end;
        Ok(())
    }

    /// Puts genesis into a log that does not have it, or only a damaged copy.
    fn put_genesis(&self, store: &DiskStore) -> Result<(), StoreError> {
        if store.lock_state().tip.is_some() {
            if store.damaged()?.contains(self.params.genesis_id()) {
                // The one block that needs no peer.
                store.replace_block(self.params.genesis())?;
            }
            return Ok(());
        }
        let context = HeaderContext::genesis(&self.params);
        let block = NewBlock {
            block: Arc::new(self.params.genesis().clone()),
            id: context.id(),
            height: Height::GENESIS,
            total_work: context.total_work(),
        };
        let best = BestChange { undone: Vec::new(), applied: vec![context.id()] };
        store.commit(Commit { blocks: vec![block], effects: Vec::new(), best: Some(best) })?;
        Ok(())
    }

    fn store(&self, state: ChainState) -> Result<DiskStore, StoreError> {
        make_durable(self.disk.as_ref(), &self.data_dir.join("blocks"))?;
        self.store_with(state, RangeFile::open(self.disk.as_ref(), self.data_dir.join("range"))?)
    }

    /// A store at a state, with this file for the header range. Writes nothing.
    pub(super) fn store_with(&self, state: ChainState, range: RangeFile) -> Result<DiskStore, StoreError> {
        let poison = Arc::new(Poison::default());
        let log_options =
            LogOptions { segment_bytes: self.options.segment_bytes, reserve_bytes: self.options.reserve_bytes };
        let log = Log::open(
            Arc::clone(&self.disk),
            Arc::clone(self.env.random()),
            &self.data_dir.join("blocks"),
            NetworkName::of(&self.params),
            log_options,
            Arc::clone(&poison),
        )?;
        let range = Arc::new(range);
        let index = Index::new(
            self.engine()?,
            Arc::clone(&range),
            Arc::clone(self.env.clock()),
            Arc::clone(&poison),
            Arc::clone(&self.disk),
            self.note(),
        );
        let (blocks, effects) = caches();
        Ok(DiskStore {
            params: Arc::clone(&self.params),
            log,
            index,
            range,
            poison,
            state: Mutex::new(state),
            blocks,
            effects,
            checkpoints: OnceLock::new(),
            in_place: !self.env.compute().has_threads(),
            base: RwLock::default(),
            offers: Mutex::default(),
            disk: Arc::clone(&self.disk),
            data_dir: self.data_dir.to_owned(),
            reserve_bytes: self.options.reserve_bytes,
        })
    }

    fn engine(&self) -> Result<Box<dyn Engine>, StoreError> {
        match self.options.index {
            IndexPlace::Memory => Ok(Box::new(MemoryEngine::default())),
            IndexPlace::Sled => {
                let opened =
                    SledEngine::open(Arc::clone(&self.disk), &self.directory(), self.options.index_cache_bytes);
                match opened {
                    Ok(engine) => Ok(Box::new(engine)),
                    Err(OpenError::Refused(source)) => {
                        Err(StoreError::Io { what: "opening the index", path: self.directory(), source })
                    }
                    Err(OpenError::Damaged(error)) => Err(StoreError::Index(error.to_string())),
                }
            }
        }
    }

    pub(super) fn remove_index(&self) -> Result<(), StoreError> {
        if !self.exists(&self.directory()) {
            return Ok(());
        }
        let removed = self.disk.remove_dir_all(&self.directory());
        removed.map_err(StoreError::io("removing an unfinished index", self.directory()))
    }

    /// Moves the index out of the way and keeps the newest few.
    fn set_aside(&self) -> Result<(), StoreError> {
        let disk = self.disk.as_ref();
        let name = |n: u32| self.data_dir.join(format!("index.damaged-{n}"));
        let moved = || -> io::Result<()> {
            if disk.exists(&self.directory())? {
                if disk.exists(&name(KEPT_DAMAGED))? {
                    disk.remove_dir_all(&name(KEPT_DAMAGED))?;
                }
                for n in (1..KEPT_DAMAGED).rev() {
                    if disk.exists(&name(n))? {
                        disk.rename(&name(n), &name(n + 1))?;
                    }
                }
                disk.rename(&self.directory(), &name(1))?;
                tracing::warn!(kept = %name(1).display(), "the damaged index was set aside");
            }
            // Behind the rename: a crash between them sets aside what was not damaged, never the other way round.
            disk.sync_dir(self.data_dir)?;
            if disk.exists(&self.note())? {
                disk.remove(&self.note())?;
                disk.sync_dir(self.data_dir)?;
            }
            Ok(())
        };
        moved().map_err(StoreError::io("setting the index aside", self.directory()))
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path).unwrap_or(false)
    }

    fn directory(&self) -> PathBuf {
        self.data_dir.join("index")
    }

    fn note(&self) -> PathBuf {
        self.data_dir.join("index.rebuild")
    }

    fn boot(&self) -> [u8; 16] {
        self.options.boot.unwrap_or_default()
    }
}
