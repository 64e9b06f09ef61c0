//! The journal as a file: records behind a header that names the network, each with a checksum.
//!
//! The header is `"FARJRNL1" | genesis id 32`. An append is one write and one sync; whoever was acknowledged is before
//! the end of a synced write, so what is torn is behind all of them and is cut. What is cut or cannot be read is kept
//! beside the journal.

mod record;

#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{BlockId, codec::Canonical as _};

use self::record::frames;
use super::{JournalEntry, JournalError, LoadedEntry, PoolJournal};
use crate::env::{
    Disk, DiskFile,
    disk::{is_no_space, read_whole},
};

const MAGIC: &[u8; 8] = b"FARJRNL1";
const HEADER_BYTES: usize = 40;
/// A journal is rewritten long before it is this long.
const MAX_JOURNAL_BYTES: u64 = 8 << 30;

/// The journal of one data directory.
#[derive(Debug)]
pub struct DiskJournal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    genesis: BlockId,
    /// Bytes that it leaves free on the disk.
    reserve: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    end: u64,
    trust: Trust,
}

/// Whether the file's contents are on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// They are.
    Synced,
    /// They were read from the system's cache. If a sync of the last run failed they may be nowhere else, and another
    /// sync would succeed without writing them.
    Found,
    /// A write or sync failed: nothing may be appended any more.
    Broken,
}

impl DiskJournal {
    /// Opens `mempool.journal` in the data directory, or makes it; a torn tail is cut. `reserve` bytes of the disk are
    /// left to those whose failure costs more.
    ///
    /// # Errors
    /// If the disk fails, or the file is another network's or none of this program's.
    pub fn open(disk: Arc<dyn Disk>, data_dir: &Path, genesis: BlockId, reserve: u64) -> Result<Self, JournalError> {
        let path = data_dir.join("mempool.journal");
        let stray = stray_path(&path);
        if disk.exists(&stray).map_err(fault("look for", &stray))? {
            disk.remove(&stray).map_err(fault("remove", &stray))?;
        }
        if !disk.exists(&path).map_err(fault("look for", &path))? {
            write_new(&*disk, &stray, &image(&genesis, &[]))?;
            disk.rename(&stray, &path).map_err(fault("create", &path))?;
            disk.sync_dir(directory(&path)).map_err(fault("sync the folder of", &path))?;
        }
        let file = disk.open(&path).map_err(fault("open", &path))?;
        let state = Mutex::new(State { file, end: 0, trust: Trust::Found });
        let journal = Self { disk, path, genesis, reserve, state };
        journal.cut_torn_tail()?;
        Ok(journal)
    }

    fn read(&self) -> Result<Vec<u8>, JournalError> {
        let bytes = read_whole(&*self.disk, &self.path, MAX_JOURNAL_BYTES).map_err(fault("read", &self.path))?;
        let Some((magic, genesis)) = bytes.get(..HEADER_BYTES).and_then(<[u8]>::split_first_chunk::<8>) else {
            return Err(JournalError::NotAJournal { path: self.path.clone() });
        };
        let found = <[u8; 32]>::try_from(genesis).ok().filter(|_| magic == MAGIC).map(BlockId::from_bytes);
        match found {
            Some(found) if found == self.genesis => Ok(bytes),
            Some(found) => Err(JournalError::OtherNetwork { path: self.path.clone(), found, expected: self.genesis }),
            None => Err(JournalError::NotAJournal { path: self.path.clone() }),
        }
    }

    fn cut_torn_tail(&self) -> Result<(), JournalError> {
        let bytes = self.read()?;
        let end = frames(&bytes, HEADER_BYTES).end;
        let mut state = self.lock();
        state.end = end as u64;
        let Some(torn) = bytes.get(end..).filter(|torn| !torn.is_empty()) else { return Ok(()) };
        let aside = self.keep_aside("journal.cut", torn);
        tracing::warn!(bytes = torn.len(), kept = %aside.display(), "cut the torn end of the mempool journal");
        state.file.set_len(state.end).map_err(fault("cut", &self.path))?;
        state.file.sync_data().map_err(fault("sync", &self.path))
    }

    /// Only for whoever wants to look, so a failure here changes nothing.
    fn keep_aside(&self, extension: &str, bytes: &[u8]) -> PathBuf {
        let aside = self.path.with_extension(extension);
        let _ = self.disk.remove(&aside);
        let _ = self.disk.create(&aside).and_then(|file| file.write_all_at(0, bytes));
        aside
    }

    /// Writes what was found again in place, so that the system has it to write, and syncs. A power cut in between
    /// changes nothing: each sector holds the same bytes before and after.
    fn confirm(&self, state: &mut State) -> Result<(), JournalError> {
        if state.trust == Trust::Found {
            let bytes = self.read()?;
            state.trust = Trust::Broken;
            state.file.write_all_at(0, &bytes).map_err(fault("write", &self.path))?;
            state.file.sync_data().map_err(fault("sync", &self.path))?;
            state.trust = Trust::Synced;
        }
        Ok(())
    }

    /// Whether so many more bytes leave so many free.
    fn require_room(&self, needed: usize, reserve: u64) -> Result<(), JournalError> {
        let free = self.disk.free_space(directory(&self.path)).map_err(fault("ask for the room beside", &self.path))?;
        let (free, needed) = (free.saturating_sub(reserve), needed as u64);
        if free >= needed { Ok(()) } else { Err(JournalError::DiskFull { path: self.path.clone(), needed, free }) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolJournal for DiskJournal {
    fn append(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| record::put(entry, &mut bytes));
        let mut state = self.lock();
        if state.trust == Trust::Broken {
            return Err(JournalError::Broken { path: self.path.clone() });
        }
        self.require_room(bytes.len(), self.reserve)?;
        self.confirm(&mut state)?;
        // Until it is known what came of the write.
        state.trust = Trust::Broken;
        if let Err(error) = state.file.write_all_at(state.end, &bytes) {
            if !is_no_space(&error) {
                return Err(fault("write", &self.path)(error));
            }
            // Synced, so that no sector of this attempt can pass for one of the next.
            state.file.set_len(state.end).map_err(fault("take back a failed write to", &self.path))?;
            state.file.sync_data().map_err(fault("sync", &self.path))?;
            state.trust = Trust::Synced;
            return Err(JournalError::DiskFull { path: self.path.clone(), needed: bytes.len() as u64, free: 0 });
        }
        state.file.sync_data().map_err(fault("sync", &self.path))?;
        state.end = state.end.saturating_add(bytes.len() as u64);
        state.trust = Trust::Synced;
        Ok(())
    }

    fn load(&self) -> Result<Vec<LoadedEntry>, JournalError> {
        let bytes = self.read()?;
        let (entries, damaged) = record::entries(&frames(&bytes, HEADER_BYTES), &self.genesis);
        if damaged > 0 {
            let kept = self.keep_aside("journal.damaged", &bytes);
            tracing::error!(damaged, kept = %kept.display(), "left out damaged entries of the mempool journal");
        }
        Ok(entries)
    }

    fn rewrite(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut state = self.lock();
        let (stray, bytes) = (stray_path(&self.path), image(&self.genesis, entries));
        // A shorter one gives back more than it takes for a moment: it may come out of the reserve, not use it up.
        let len = bytes.len() as u64;
        let reserve = if len <= state.end { self.reserve.min(len) } else { self.reserve };
        self.require_room(bytes.len(), reserve)?;
        if let Err(error) = write_new(&*self.disk, &stray, &bytes) {
            let _ = self.disk.remove(&stray);
            return Err(error);
        }
        self.disk.rename(&stray, &self.path).map_err(fault("replace", &self.path))?;
        // From here on the old file has no name: a failure leaves nothing to append to.
        state.trust = Trust::Broken;
        self.disk.sync_dir(directory(&self.path)).map_err(fault("sync the folder of", &self.path))?;
        let file = self.disk.open(&self.path).map_err(fault("open", &self.path))?;
        *state = State { file, end: bytes.len() as u64, trust: Trust::Synced };
        Ok(())
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn stray_path(path: &Path) -> PathBuf {
    path.with_extension("journal.generating")
}

fn fault(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> JournalError {
    move |error| JournalError::Unknown { what, path: path.to_owned(), reason: error.to_string() }
}

/// A whole journal.
fn image(genesis: &BlockId, entries: &[JournalEntry]) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    genesis.encode(&mut bytes);
    entries.iter().for_each(|entry| record::put(entry, &mut bytes));
    bytes
}

fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let failed = |what| {
        move |error: io::Error| {
            if is_no_space(&error) {
                JournalError::DiskFull { path: path.to_owned(), needed: bytes.len() as u64, free: 0 }
            } else {
                fault(what, path)(error)
            }
        }
    };
    let file = disk.create(path).map_err(failed("create"))?;
    file.write_all_at(0, bytes).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))?;
    disk.sync_dir(directory(path)).map_err(failed("sync the folder of"))
}
