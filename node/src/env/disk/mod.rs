//! The disk as the node sees it: few operations, each with a stated meaning after a power cut.
//!
//! Everything is synchronous and is called from blocking threads. What a caller may rely on after a crash:
//! bytes survive once [`DiskFile::sync_data`] has returned, names survive once [`Disk::sync_dir`] of their directory
//! has. A failed sync means that the state is unknown; trying again proves nothing (the kernel may have dropped the
//! pages), so the caller stops and verifies at the next start.

use std::{
    ffi::OsString,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
};

mod image;
mod memory;
mod real;

#[cfg(test)]
mod contract;
#[cfg(test)]
mod crash_tests;

pub use memory::{Fault, FaultError, FaultOp, MemDisk, Survivors};
pub use real::RealDisk;

/// A file system.
pub trait Disk: fmt::Debug + Send + Sync {
    /// Opens an existing file for reading and writing.
    ///
    /// # Errors
    /// `NotFound` if it does not exist.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Opens an existing file for reading only; writing to it fails.
    ///
    /// # Errors
    /// `NotFound` if it does not exist.
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a file for reading and writing. Its name is durable only after [`Disk::sync_dir`] of its directory.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken, `NotFound` if the directory does not exist.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;

    /// Creates a directory and its missing ancestors; an existing one is fine.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or directory atomically; an existing file of the new name is replaced.
    ///
    /// # Errors
    /// `NotFound` if `from` does not exist.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// `NotFound` if it does not exist.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a directory and all that is in it.
    ///
    /// # Errors
    /// `NotFound` if it does not exist.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory (new, renamed, removed) durable.
    ///
    /// # Errors
    /// A failure leaves it unknown which names are durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The entries of a directory, sorted by name.
    ///
    /// # Errors
    /// `NotFound` if the directory does not exist.
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>>;

    /// Whether a file or directory of this name exists.
    ///
    /// # Errors
    /// When the system cannot tell.
    fn exists(&self, path: &Path) -> io::Result<bool>;

    /// Bytes that can still be written to the file system that holds `path`.
    ///
    /// # Errors
    /// `NotFound` if `path` does not exist.
    fn free_space(&self, path: &Path) -> io::Result<u64>;

    /// Whether its paths are those of the machine, so that a library which opens files by itself finds the same ones.
    fn is_the_machines(&self) -> bool {
        false
    }

    /// Takes the exclusive lock on a file, creating it if need be. The lock ends with the guard, or with the process
    /// however it dies; the file stays.
    ///
    /// # Errors
    /// `WouldBlock` if another process, or another guard of this one, holds it.
    fn try_lock(&self, path: &Path) -> io::Result<DiskLock>;
}

/// An open file. Reads may run beside one writer.
pub trait DiskFile: fmt::Debug + Send + Sync {
    /// Reads up to `buffer.len()` bytes at `offset`; 0 at or beyond the end.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all bytes at `offset`; a gap behind the end reads as zeros. After an error any part may have been
    /// written.
    ///
    /// # Errors
    /// `StorageFull` when the disk is full.
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Length in bytes.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    fn len(&self) -> io::Result<u64>;

    /// Cuts the file, or extends it with zeros.
    ///
    /// # Errors
    /// The cause, as the system gives it.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes the contents and the length durable (not the name: see [`Disk::sync_dir`]).
    ///
    /// # Errors
    /// A failure leaves it unknown what is durable, and a second attempt would not tell.
    fn sync_data(&self) -> io::Result<()>;

    /// Whether the file has no bytes.
    ///
    /// # Errors
    /// As [`DiskFile::len`].
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes at the end and returns the offset at which the bytes begin. For a file with one writer.
    ///
    /// # Errors
    /// As [`DiskFile::write_all_at`].
    fn append(&self, bytes: &[u8]) -> io::Result<u64> {
        let end = self.len()?;
        self.write_all_at(end, bytes)?;
        Ok(end)
    }

    /// Fills the buffer from `offset`.
    ///
    /// # Errors
    /// `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(offset + filled as u64, &mut buffer[filled..]) {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::UnexpectedEof,
                        format!("file ends at {}, {} bytes at {offset} expected", offset + filled as u64, buffer.len()),
                    ));
                }
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether the system says that there is no room: a full disk or a used-up quota.
pub(crate) fn is_no_space(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    name: OsString,
    is_dir: bool,
    len: u64,
}

impl DirEntry {
    /// The name without its directory.
    pub fn name(&self) -> &std::ffi::OsStr {
        &self.name
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.is_dir
    }

    /// Length of the file in bytes; 0 for a directory.
    pub fn file_len(&self) -> u64 {
        self.len
    }
}

/// A held file lock; dropping it releases the lock.
pub struct DiskLock {
    _guard: Box<dyn Send + Sync>,
}

impl DiskLock {
    fn new(guard: impl Send + Sync + 'static) -> Self {
        Self { _guard: Box::new(guard) }
    }
}

impl fmt::Debug for DiskLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiskLock")
    }
}

/// Replaces a file by writing `<name>.tmp` beside it, syncing, renaming and syncing the directory: after a crash the
/// old contents are there, or the new ones, whole.
///
/// # Errors
/// Of any of the steps; before the rename the old file is untouched.
pub fn write_atomically(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    let temporary = PathBuf::from(name);
    if disk.exists(&temporary)? {
        disk.remove(&temporary)?;
    }
    let file = disk.create(&temporary)?;
    file.write_all_at(0, bytes)?;
    file.sync_data()?;
    disk.rename(&temporary, path)?;
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => disk.sync_dir(directory),
        _ => disk.sync_dir(Path::new(".")),
    }
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// `FileTooLarge` if it is longer, before anything is reserved.
pub fn read_whole(disk: &dyn Disk, path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let len = file.len()?;
    let size = usize::try_from(len).ok().filter(|_| len <= limit).ok_or_else(|| {
        io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("{} has {len} bytes, at most {limit} expected", path.display()),
        )
    })?;
    let mut bytes = vec![0; size];
    file.read_exact_at(0, &mut bytes)?;
    Ok(bytes)
}
