//! Pieces of a checkpoint that is being fetched, in one file behind one another. What a process leaves of it is removed
//! at the next start, with all other unfinished checkpoints.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    env::{Disk, DiskFile},
    store::{StoreError, error::is_no_space},
};

/// The file's name.
const NAME: &str = "snap.download.generating";

/// Pieces in a file.
#[derive(Debug)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Where each piece ends.
    ends: Vec<u64>,
    /// Bytes that must stay free on the disk.
    reserve_bytes: u64,
}

impl Spool {
    /// An empty one in the directory of checkpoints, in the place of one that was begun.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(disk: &Arc<dyn Disk>, directory: &Path, reserve_bytes: u64) -> Result<Self, StoreError> {
        let path = directory.join(NAME);
        let making = || StoreError::io("making a file for a checkpoint's pieces", &path);
        if disk.exists(&path).map_err(making())? {
            disk.remove(&path).map_err(making())?;
        }
        let file = disk.create(&path).map_err(making())?;
        Ok(Self { disk: Arc::clone(disk), file, path, ends: Vec::new(), reserve_bytes })
    }

    /// Pieces that are here.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.ends.len() as u64
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes of the pieces that are here.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.ends.last().copied().unwrap_or_default()
    }

    /// Puts the next piece behind the others.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], or the system's refusal. The piece is then not here.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let directory = self.path.parent().unwrap_or(Path::new("."));
        let free = self.disk.free_space(directory).map_err(StoreError::io("asking for free space", directory))?;
        let (free, needed) = (free.saturating_sub(self.reserve_bytes), bytes.len() as u64);
        let full = |free| StoreError::DiskFull { path: self.path.clone(), needed, free };
        if free < needed {
            return Err(full(free));
        }
        let end = self.size_bytes();
        self.file.write_all_at(end, bytes).map_err(|error| {
            if is_no_space(&error) {
                full(0)
            } else {
                StoreError::io("writing a checkpoint's piece", &self.path)(error)
            }
        })?;
        self.ends.push(end.saturating_add(needed));
        Ok(())
    }

    /// A piece that is here.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn piece(&self, index: u64) -> Result<Vec<u8>, StoreError> {
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let end = self.ends.get(at).copied().unwrap_or_default();
        let start = at.checked_sub(1).and_then(|before| self.ends.get(before)).copied().unwrap_or_default();
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).unwrap_or_default()];
        let read = self.file.read_exact_at(start, &mut bytes);
        read.map_err(StoreError::io("reading a checkpoint's piece", &self.path))?;
        Ok(bytes)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // If this fails the next start removes it.
        let _ = self.disk.remove(&self.path);
    }
}
