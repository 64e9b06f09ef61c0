//! A disk in memory that can lose power and fail on demand.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng as _};

use super::{
    DirEntry, Disk, DiskFile, DiskLock,
    image::{Image, normalise},
};

/// Which unsynced changes a power cut spares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survivors {
    /// None: exactly what was synced is there.
    OnlySynced,
    /// For each file a random prefix of its writes, and of the next one any 512-byte sectors.
    Prefix,
    /// Any 512-byte sectors of any writes, in no order: what a drive with a cache may do.
    AnySectors,
}

/// The operation that a [`Fault`] waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultOp {
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Changing a file's length.
    SetLen,
    /// Syncing a file.
    Sync,
    /// Creating a file or a directory.
    Create,
    /// Renaming.
    Rename,
    /// Removing a file or a directory.
    Remove,
    /// Syncing a directory.
    SyncDir,
    /// Any of them but reading.
    AnyChange,
}

impl FaultOp {
    fn matches(self, op: Self) -> bool {
        self == op || (self == Self::AnyChange && op != Self::Read)
    }
}

/// The error that a [`Fault`] gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultError {
    /// EIO: the drive failed. A failed sync loses what it should have written, although a later sync succeeds.
    Io,
    /// ENOSPC: the disk is full. Half of a failing write may be there.
    NoSpace,
    /// EDQUOT: this user may not write more. Half of a failing write may be there.
    Quota,
}

impl FaultError {
    fn error(self) -> io::Error {
        let errno = match self {
            Self::Io => rustix::io::Errno::IO,
            Self::NoSpace => rustix::io::Errno::NOSPC,
            Self::Quota => rustix::io::Errno::DQUOT,
        };
        errno.into()
    }
}

/// A failure to come.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// The operation that fails.
    pub op: FaultOp,
    /// Which of them, counted from the injection on; 1 is the next.
    pub nth: u64,
    /// How it fails.
    pub error: FaultError,
    /// Whether every later one fails too, as when power is about to be cut.
    pub lasting: bool,
}

/// A file system in memory. It models the page cache: what is not synced is lost by [`MemDisk::crash`]. Clones share
/// the disk.
#[derive(Clone, Debug)]
pub struct MemDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    image: Image,
    faults: Vec<Fault>,
    changes: u64,
    capacity: u64,
    locks: BTreeSet<PathBuf>,
    /// Counts power cuts and kills: a handle from before one is dead.
    boot: u64,
}

impl Default for MemDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl MemDisk {
    /// An empty disk of unlimited size.
    pub fn new() -> Self {
        let state = State {
            image: Image::new(),
            faults: Vec::new(),
            changes: 0,
            capacity: u64::MAX,
            locks: BTreeSet::new(),
            boot: 0,
        };
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Cuts the power: unsynced changes are lost except for the chosen survivors, open handles die, locks and pending
    /// faults end. The same seed after the same history spares the same sectors.
    pub fn crash(&self, survivors: Survivors, seed: u64) {
        let mut state = self.lock();
        state.image.crash(survivors, &mut ChaCha8Rng::seed_from_u64(seed));
        state.end_process();
    }

    /// Kills the process that uses the disk: open handles die, locks and pending faults end. What was written stays, but
    /// a later power cut still loses what was not synced.
    pub fn kill(&self) {
        self.lock().end_process();
    }

    /// Arms a failure.
    pub fn inject(&self, fault: Fault) {
        self.lock().faults.push(fault);
    }

    /// Disarms all failures that have not happened.
    pub fn clear_faults(&self) {
        self.lock().faults.clear();
    }

    /// How many changing operations (all but reads) have been tried: the range of `nth` for a test that fails each
    /// one in turn.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Bytes that the files take now.
    pub fn used(&self) -> u64 {
        self.lock().image.used()
    }

    /// Bytes of memory that the disk takes: each file twice, as the drive has it and as the page cache does, and removed
    /// files too.
    pub fn held(&self) -> u64 {
        self.lock().image.held()
    }

    /// Limits the bytes that files can take in all.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock().capacity = bytes;
    }

    /// Flips the bits of `mask` in a stored byte, behind the back of whoever has the file open.
    ///
    /// # Errors
    /// `NotFound` if there is no such file.
    pub fn corrupt(&self, path: &Path, offset: u64, mask: u8) -> io::Result<()> {
        let mut state = self.lock();
        let inode = state.image.file(&normalise(path))?;
        state.image.corrupt(inode, offset, mask);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, boot: u64, inode: usize, writable: bool) -> Arc<dyn DiskFile> {
        Arc::new(MemFile { disk: self.clone(), boot, inode, writable })
    }
}

impl State {
    fn end_process(&mut self) {
        self.faults.clear();
        self.locks.clear();
        self.boot += 1;
    }

    /// Counts the operation and gives the error armed for it, if any.
    fn fault(&mut self, op: FaultOp) -> Option<FaultError> {
        if op != FaultOp::Read {
            self.changes += 1;
        }
        let mut hit = None;
        for fault in self.faults.iter_mut().filter(|fault| fault.op.matches(op)) {
            fault.nth = fault.nth.saturating_sub(1);
            if fault.nth == 0 {
                hit = hit.or(Some(fault.error));
            }
        }
        self.faults.retain(|fault| fault.nth > 0 || fault.lasting);
        hit
    }

    fn check(&mut self, op: FaultOp) -> io::Result<()> {
        self.fault(op).map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.image.used())
    }
}

impl Disk for MemDisk {
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        let inode = state.image.file(&normalise(path))?;
        Ok(self.handle(state.boot, inode, true))
    }

    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let state = self.lock();
        let inode = state.image.file(&normalise(path))?;
        Ok(self.handle(state.boot, inode, false))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let mut state = self.lock();
        state.check(FaultOp::Create)?;
        let inode = state.image.create(&normalise(path))?;
        Ok(self.handle(state.boot, inode, true))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(FaultOp::Create)?;
        state.image.create_dir_all(&normalise(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(FaultOp::Rename)?;
        state.image.rename(&normalise(from), &normalise(to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(FaultOp::Remove)?;
        state.image.remove(&normalise(path))
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        state.check(FaultOp::Remove)?;
        state.image.remove_dir_all(&normalise(path))
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.lock();
        let path = normalise(path);
        if let Some(fault) = state.fault(FaultOp::SyncDir) {
            state.image.forget_dir_changes(&path);
            return Err(fault.error());
        }
        state.image.sync_dir(&path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.lock().image.list(&normalise(path))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.lock().image.node(&normalise(path)).is_some())
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let state = self.lock();
        let path = normalise(path);
        match state.image.node(&path) {
            Some(_) => Ok(state.free()),
            None => state.image.require_directory(&path).map(|()| 0),
        }
    }

    fn try_lock(&self, path: &Path) -> io::Result<DiskLock> {
        let mut state = self.lock();
        let path = normalise(path);
        if state.image.node(&path).is_none() {
            state.image.create(&path)?;
        }
        if !state.locks.insert(path.clone()) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, format!("{} is locked", path.display())));
        }
        Ok(DiskLock::new(MemLock { disk: self.clone(), boot: state.boot, path }))
    }
}

/// Releases the lock when dropped.
struct MemLock {
    disk: MemDisk,
    boot: u64,
    path: PathBuf,
}

impl Drop for MemLock {
    fn drop(&mut self) {
        let mut state = self.disk.lock();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    boot: u64,
    inode: usize,
    writable: bool,
}

impl MemFile {
    fn writable(&self) -> io::Result<MutexGuard<'_, State>> {
        // What a real file that is open for reading only says.
        if self.writable { self.state() } else { Err(rustix::io::Errno::BADF.into()) }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.lock();
        if state.boot == self.boot {
            Ok(state)
        } else {
            Err(io::Error::other("the process that opened the file is dead"))
        }
    }
}

impl DiskFile for MemFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut state = self.state()?;
        state.check(FaultOp::Read)?;
        let contents = state.image.contents(self.inode);
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(contents.len());
        let count = buffer.len().min(contents.len() - start);
        buffer[..count].copy_from_slice(&contents[start..start + count]);
        Ok(count)
    }

    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.writable()?;
        let growth = (offset + bytes.len() as u64).saturating_sub(state.image.len(self.inode));
        let mut fault = state.fault(FaultOp::Write);
        if growth > 0 && state.capacity != u64::MAX && growth > state.free() {
            fault = fault.or(Some(FaultError::NoSpace));
        }
        match fault {
            None => {
                state.image.write(self.inode, offset, bytes);
                Ok(())
            }
            Some(error) => {
                if error != FaultError::Io && state.capacity == u64::MAX {
                    state.image.write(self.inode, offset, &bytes[..bytes.len() / 2]);
                }
                Err(error.error())
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.state()?.image.len(self.inode))
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.writable()?;
        state.check(FaultOp::SetLen)?;
        let growth = len.saturating_sub(state.image.len(self.inode));
        if growth > 0 && state.capacity != u64::MAX && growth > state.free() {
            return Err(FaultError::NoSpace.error());
        }
        state.image.set_len(self.inode, len);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state()?;
        if let Some(fault) = state.fault(FaultOp::Sync) {
            state.image.forget_data_changes(self.inode);
            return Err(fault.error());
        }
        state.image.sync_data(self.inode);
        Ok(())
    }
}
