//! Private files: made exclusively, never through a symbolic link, never overwritten by accident, synced with their
//! folder, and refused on reading when others could have read or changed them.

use std::{
    ffi::OsString,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use rand_core::{OsRng, RngCore as _};
use rustix::fs::{CWD, OFlags, RenameFlags};
use zeroize::Zeroizing;

use crate::error::{Exit, Explain};

/// Mode of private files.
const FILE_MODE: u32 = 0o600;
/// Mode of private folders.
const FOLDER_MODE: u32 = 0o700;
/// How often a lock that another process holds is tried.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// Why a private file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It must not be overwritten.
    #[error("{} exists already and is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// It is not there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link where a file was expected.
    #[error("{} is a symbolic link, expected a file of its own", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Neither a plain file nor, where one was expected, a folder.
    #[error("{} is not a plain {expected}", path.display())]
    Kind {
        /// What it is.
        path: PathBuf,
        /// What was expected.
        expected: &'static str,
    },
    /// Others may read or write it.
    #[error("{} has mode {mode:04o}, which lets other users in; expected {expected:04o}", path.display())]
    LooseMode {
        /// The file or folder.
        path: PathBuf,
        /// Its mode.
        mode: u32,
        /// What it should be.
        expected: u32,
    },
    /// Someone else owns it.
    #[error("{} belongs to user {owner}, expected user {expected}", path.display())]
    Foreign {
        /// The file or folder.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// Who runs the wallet.
        expected: u32,
    },
    /// More bytes than such a file can have.
    #[error("{} is longer than {max} bytes", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// The bound.
        max: u64,
    },
    /// Another process holds the lock.
    #[error("another farthing-wallet has held {} for {seconds} s", path.display())]
    Busy {
        /// The lock.
        path: PathBuf,
        /// How long was waited.
        seconds: u64,
    },
    /// The system refused.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl DiskError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::NotFound => Self::Missing { path },
            io::ErrorKind::AlreadyExists => Self::Exists { path },
            _ if source.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Self::Symlink { path },
            _ => Self::Io { action, path, source },
        }
    }

    /// Whether the file is simply not there.
    #[must_use]
    pub const fn is_missing(&self) -> bool {
        matches!(self, Self::Missing { .. })
    }

    /// Whether something is in the way of a new file.
    #[must_use]
    pub const fn is_exists(&self) -> bool {
        matches!(self, Self::Exists { .. })
    }
}

impl Explain for DiskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Exists { .. } => "FILE_EXISTS",
            Self::Missing { .. } => "FILE_MISSING",
            Self::Symlink { .. } => "FILE_IS_LINK",
            Self::Kind { .. } => "FILE_KIND",
            Self::LooseMode { .. } => "FILE_MODE",
            Self::Foreign { .. } => "FILE_OWNER",
            Self::TooLong { .. } => "FILE_TOO_LONG",
            Self::Busy { .. } => "WALLET_BUSY",
            Self::Io { .. } => "FILE_IO",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Other
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::LooseMode { path, expected, .. } => vec![format!("chmod {expected:o} '{}'", path.display())],
            Self::Foreign { path, .. } => vec![format!("chown \"$USER\" '{}'", path.display())],
            Self::Exists { path } => vec![format!("another name, or move '{}' away yourself", path.display())],
            Self::Symlink { path } => vec![format!("put the file itself in place of the link '{}'", path.display())],
            Self::Kind { path, expected } => {
                vec![format!("move '{}' away; a plain {expected} belongs there", path.display())]
            }
            Self::Missing { path } => vec![format!("ls -l '{}', and the name again", parent(path).display())],
            Self::TooLong { path, .. } => vec![format!("whether '{}' is the file that you mean", path.display())],
            Self::Busy { .. } => {
                vec!["finish or end the other farthing-wallet, which may wait for an answer on its terminal".into()]
            }
            Self::Io { path, source, .. } if source.kind() == io::ErrorKind::IsADirectory => {
                vec![format!("a file; '{}' is a folder", path.display())]
            }
            Self::Io { path, .. } => {
                vec![format!("df '{0}' and ls -ld '{0}': space and rights", parent(path).display())]
            }
        }
    }
}

/// Makes a folder, and those above it, that only its owner may enter, and syncs each; an existing one is taken as it is.
///
/// # Errors
/// [`DiskError::Io`] and [`DiskError::Kind`].
pub fn make_folder(path: &Path) -> Result<(), DiskError> {
    let is_new = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
    let new: Vec<&Path> = path.ancestors().take_while(is_new).collect();
    DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(path).map_err(DiskError::io("make the folder", path))?;
    // A key in a folder whose own entry is lost with the power is lost as well. Not every folder above may be read.
    new.into_iter().skip(1).for_each(|folder| drop(sync_parent(folder)));
    sync_parent(path)
}

/// Checks that a folder exists, belongs to this user and lets nobody else in.
///
/// # Errors
/// [`DiskError::Missing`], [`DiskError::Kind`], [`DiskError::LooseMode`], [`DiskError::Foreign`], [`DiskError::Io`].
pub fn check_folder(path: &Path) -> Result<(), DiskError> {
    let meta = fs::symlink_metadata(path).map_err(DiskError::io("look at", path))?;
    if !meta.is_dir() {
        return Err(DiskError::Kind { path: path.to_owned(), expected: "folder" });
    }
    check_private(path, &meta, FOLDER_MODE)
}

/// Reads a private file of at most `max` bytes.
///
/// # Errors
/// Any [`DiskError`] but [`DiskError::Exists`].
pub fn read_private(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    let file = open_plain(path)?;
    let meta = file.metadata().map_err(DiskError::io("look at", path))?;
    check_private(path, &meta, FILE_MODE)?;
    read_bounded(file, path, max)
}

/// Reads a file that someone else provides, a pipe included, of at most `max` bytes.
///
/// # Errors
/// [`DiskError::Missing`], [`DiskError::TooLong`], [`DiskError::Io`].
pub fn read_any(path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    let file = File::open(path).map_err(DiskError::io("open", path))?;
    read_bounded(file, path, max)
}

/// Reads a file that holds no secret and may be long: nothing is reserved for what it does not have, nor wiped.
///
/// # Errors
/// As [`read_any`].
pub fn read_public(path: &Path, max: u64) -> Result<Vec<u8>, DiskError> {
    let file = File::open(path).map_err(DiskError::io("open", path))?;
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(DiskError::io("read", path))?;
    if bytes.len() as u64 > max { Err(DiskError::TooLong { path: path.to_owned(), max }) } else { Ok(bytes) }
}

/// Writes a new private file and syncs it and its folder. It appears whole or not at all.
///
/// # Errors
/// [`DiskError::Exists`] when anything is at that path, a dangling link included; [`DiskError::Io`].
pub fn create_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = Draft::write(path, bytes)?;
    rename(&draft.path, path)?;
    draft.keep();
    Ok(())
}

/// Gives a file another name, which nothing may have yet, and syncs the folders of both.
///
/// # Errors
/// [`DiskError::Exists`], [`DiskError::Missing`], [`DiskError::Io`].
pub fn rename(old: &Path, new: &Path) -> Result<(), DiskError> {
    match rustix::fs::renameat_with(CWD, old, CWD, new, RenameFlags::NOREPLACE) {
        // Not every file system knows an exclusive rename; a hard link is exclusive too.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {
            fs::hard_link(old, new).map_err(DiskError::io("put in place", new))?;
            fs::remove_file(old).map_err(DiskError::io("remove", old))?;
        }
        other => other.map_err(|errno| DiskError::io("put in place", new)(errno.into()))?,
    }
    sync_parent(new)?;
    // The new one first: a crash in between leaves a file twice rather than not at all.
    if parent(old) == parent(new) { Ok(()) } else { sync_parent(old) }
}

/// Replaces a private file, or makes it, in one step.
///
/// # Errors
/// [`DiskError::Io`].
pub fn replace_private(path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    let draft = Draft::write(path, bytes)?;
    fs::rename(&draft.path, path).map_err(DiskError::io("put in place", path))?;
    draft.keep();
    sync_parent(path)
}

/// Removes a file and syncs its folder.
///
/// # Errors
/// [`DiskError::Missing`] and [`DiskError::Io`].
pub fn remove(path: &Path) -> Result<(), DiskError> {
    fs::remove_file(path).map_err(DiskError::io("remove", path))?;
    sync_parent(path)
}

/// Waits until this process alone holds the lock of that file, which is made when missing. Calls `waiting` once if
/// another process holds it, and gives up when that lasts longer than `patience`.
///
/// # Errors
/// [`DiskError::Busy`], [`DiskError::Io`] and [`DiskError::Symlink`].
pub fn lock(path: &Path, patience: Duration, waiting: &mut dyn FnMut()) -> Result<File, DiskError> {
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(FILE_MODE)
        .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
        .open(path)
        .map_err(DiskError::io("open", path))?;
    let started = Instant::now();
    let mut told = false;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::Error(source)) => return Err(DiskError::io("lock", path)(source)),
            Err(TryLockError::WouldBlock) if started.elapsed() >= patience => {
                return Err(DiskError::Busy { path: path.to_owned(), seconds: patience.as_secs() });
            }
            Err(TryLockError::WouldBlock) => {
                if !std::mem::replace(&mut told, true) {
                    waiting();
                }
                thread::sleep(LOCK_POLL);
            }
        }
    }
}

/// Locks an existing file for this process alone, until it is dropped; none if another process holds it.
///
/// # Errors
/// [`DiskError::Missing`], [`DiskError::Symlink`], [`DiskError::Kind`] and [`DiskError::Io`].
pub fn try_lock(path: &Path) -> Result<Option<File>, DiskError> {
    let file = open_plain(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(DiskError::io("lock", path)(source)),
    }
}

/// Whether another process has locked an existing file for itself alone. Asking does not look like that to others who ask.
///
/// # Errors
/// As [`try_lock`].
pub fn is_locked(path: &Path) -> Result<bool, DiskError> {
    match open_plain(path)?.try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(source)) => Err(DiskError::io("lock", path)(source)),
    }
}

/// The mode of a plain file that others may read or write; none for pipes, which only this process reads.
#[must_use]
pub fn loose_mode(path: &Path) -> Option<u32> {
    let meta = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(meta.mode() & 0o7777).filter(|mode| mode & 0o077 != 0)
}

/// A file under a name of its own until it is complete; removed again unless kept.
struct Draft {
    path: PathBuf,
    kept: bool,
}

impl Draft {
    fn write(target: &Path, bytes: &[u8]) -> Result<Self, DiskError> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{:016x}.draft", OsRng.next_u64()));
        let path = target.with_file_name(name);
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(FILE_MODE)
            .custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
            .open(&path)
            .map_err(DiskError::io("make", target))?;
        let draft = Self { path, kept: false };
        file.write_all(bytes).map_err(DiskError::io("write", target))?;
        file.sync_all().map_err(DiskError::io("sync", target))?;
        Ok(draft)
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.kept {
            // Nothing better can be done when this fails; a draft carries no name that is ever read.
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn open_plain(path: &Path) -> Result<File, DiskError> {
    // Non-blocking, so that a named pipe in place of the file cannot hang the wallet before its kind is known.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
        .map_err(DiskError::io("open", path))?;
    let meta = file.metadata().map_err(DiskError::io("look at", path))?;
    if meta.is_file() { Ok(file) } else { Err(DiskError::Kind { path: path.to_owned(), expected: "file" }) }
}

fn read_bounded(file: File, path: &Path, max: u64) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    // Reserved once, so that no copy of a secret is left behind by a growing buffer.
    let capacity = usize::try_from(max).unwrap_or(usize::MAX).saturating_add(1);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(max.saturating_add(1)).read_to_end(&mut bytes).map_err(DiskError::io("read", path))?;
    if bytes.len() as u64 > max { Err(DiskError::TooLong { path: path.to_owned(), max }) } else { Ok(bytes) }
}

fn check_private(path: &Path, meta: &fs::Metadata, expected: u32) -> Result<(), DiskError> {
    let mode = meta.mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DiskError::LooseMode { path: path.to_owned(), mode, expected });
    }
    let user = rustix::process::geteuid().as_raw();
    if meta.uid() != user && user != 0 {
        return Err(DiskError::Foreign { path: path.to_owned(), owner: meta.uid(), expected: user });
    }
    Ok(())
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn sync_parent(path: &Path) -> Result<(), DiskError> {
    let folder = parent(path);
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(DiskError::io("sync the folder", folder))
}

#[cfg(test)]
#[path = "disk_tests.rs"]
mod tests;
