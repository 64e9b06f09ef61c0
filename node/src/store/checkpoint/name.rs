//! Names of checkpoint files, and which there are.

use std::{fmt, io, path::Path};

use farthing::{BlockId, Height};
use farthing_consensus::HeaderContext;

use crate::env::Disk;

/// Bytes of the tip's id in a name.
const PREFIX_BYTES: usize = 8;

/// The name of a checkpoint: height and the first bytes of the tip's id. Ordered by height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointName {
    height: Height,
    prefix: [u8; PREFIX_BYTES],
}

impl CheckpointName {
    /// The name of the checkpoint at this tip.
    #[must_use]
    pub fn of(tip: &HeaderContext) -> Self {
        Self::new(tip.height(), &tip.id())
    }

    pub(super) fn new(height: Height, id: &BlockId) -> Self {
        Self { height, prefix: *id.as_bytes().first_chunk().expect("an id has 32 bytes") }
    }

    /// Reads a file's name; none for any other way to write it.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let (height, id) = name.strip_suffix(".ckpt")?.split_once('-')?;
        let mut prefix = [0; PREFIX_BYTES];
        hex::decode_to_slice(id, &mut prefix).ok()?;
        let parsed = Self { height: Height::new(height.parse().ok()?), prefix };
        (parsed.to_string() == name).then_some(parsed)
    }

    /// Height of the tip.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.height
    }

    /// Name of the file while it is being written.
    pub(super) fn generating(&self) -> String {
        format!("snap.{}.generating", self.height.get())
    }
}

impl fmt::Display for CheckpointName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}-{}.ckpt", self.height.get(), hex::encode(self.prefix))
    }
}

/// The checkpoints in a directory, the highest first; none if there is no directory. Other files are left out.
///
/// # Errors
/// When the directory cannot be read.
pub fn list(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<CheckpointName>> {
    let mut found: Vec<_> = names(disk, directory)?.iter().filter_map(|name| CheckpointName::parse(name)).collect();
    found.sort_unstable_by(|a, b| b.cmp(a));
    Ok(found)
}

/// Removes what a writer left when the process died. Returns how many files that were. For the holder of the data
/// directory's lock only.
///
/// # Errors
/// When the directory cannot be read or a file cannot be removed.
pub fn clear_strays(disk: &dyn Disk, directory: &Path) -> io::Result<usize> {
    let mut removed = 0;
    for name in names(disk, directory)? {
        if name.starts_with("snap.") && name.ends_with(".generating") {
            disk.remove(&directory.join(name))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn names(disk: &dyn Disk, directory: &Path) -> io::Result<Vec<String>> {
    let entries = match disk.list(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let files = entries.iter().filter(|entry| !entry.is_dir());
    Ok(files.filter_map(|entry| entry.name().to_str().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_reads_back_and_no_other_way_to_write_it_does() {
        let name = CheckpointName::new(Height::new(1_234), &BlockId::from_bytes([0xab; 32]));
        assert_eq!(name.to_string(), "0000001234-abababababababab.ckpt");
        assert_eq!(CheckpointName::parse(&name.to_string()), Some(name));
        for other in [
            "1234-abababababababab.ckpt",
            "+000001234-abababababababab.ckpt",
            "0000001234-ABABABABABABABAB.ckpt",
            "0000001234-abababababababab.ckpt.tmp",
            "0000001234-abababababababa.ckpt",
            "snap.1234.generating",
        ] {
            assert_eq!(CheckpointName::parse(other), None, "{other}");
        }
    }

    #[test]
    fn names_are_ordered_by_height_beyond_ten_digits() {
        let name = |height| CheckpointName::new(Height::new(height), &BlockId::from_bytes([0; 32]));
        assert!(name(99) < name(100) && name(9_999_999_999) < name(10_000_000_000));
        assert_eq!(CheckpointName::parse(&name(10_000_000_000).to_string()), Some(name(10_000_000_000)));
    }
}
