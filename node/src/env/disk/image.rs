//! What [`MemDisk`](super::MemDisk) holds: two images of the disk, the one that programs see and the one that would
//! survive a power cut, and the ordered changes that lie between them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Component, Path, PathBuf},
};

use rand_chacha::{ChaCha8Rng, rand_core::RngCore as _};

use super::{DirEntry, memory::Survivors};

/// The unit that a drive writes whole.
const SECTOR: u64 = 512;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    File(usize),
}

type Names = BTreeMap<PathBuf, Node>;

/// A change of names that a directory sync makes durable.
#[derive(Debug)]
enum NameChange {
    Add(PathBuf, Node),
    Remove(PathBuf),
    Rename { from: PathBuf, to: PathBuf, node: Node },
}

impl NameChange {
    fn touches(&self, directory: &Path) -> bool {
        match self {
            Self::Add(path, _) | Self::Remove(path) => path.parent() == Some(directory),
            Self::Rename { from, to, .. } => from.parent() == Some(directory) || to.parent() == Some(directory),
        }
    }

    fn apply(&self, names: &mut Names) {
        match self {
            Self::Add(path, node) => {
                names.insert(path.clone(), *node);
            }
            Self::Remove(path) => {
                names.retain(|name, _| !name.starts_with(path));
            }
            Self::Rename { from, to, node } => {
                let below: Vec<PathBuf> =
                    names.keys().filter(|name| name.starts_with(from) && *name != from).cloned().collect();
                names.remove(from);
                names.insert(to.clone(), *node);
                for old in below {
                    let moved = old.strip_prefix(from).map(|rest| to.join(rest));
                    if let (Ok(new), Some(node)) = (moved, names.remove(&old)) {
                        names.insert(new, node);
                    }
                }
            }
        }
    }
}

/// A change of a file that a data sync makes durable.
#[derive(Debug)]
enum DataChange {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl DataChange {
    fn apply(&self, contents: &mut Vec<u8>) {
        match self {
            Self::Write { offset, bytes } => write_into(contents, *offset, bytes),
            Self::SetLen(len) => contents.resize(index(*len), 0),
        }
    }

    /// Applies a random subset of the sectors of a write; a change of length happens or not.
    fn apply_torn(&self, contents: &mut Vec<u8>, random: &mut ChaCha8Rng) {
        match self {
            Self::SetLen(_) => {
                if coin(random) {
                    self.apply(contents);
                }
            }
            Self::Write { offset, bytes } => {
                let mut done = 0;
                while done < bytes.len() {
                    let at = offset + done as u64;
                    let to_boundary = index(SECTOR - at % SECTOR);
                    let end = bytes.len().min(done + to_boundary);
                    if coin(random) {
                        write_into(contents, at, &bytes[done..end]);
                    }
                    done = end;
                }
            }
        }
    }
}

#[derive(Debug, Default)]
struct Inode {
    contents: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<DataChange>,
}

/// Both images.
#[derive(Debug)]
pub(super) struct Image {
    names: Names,
    durable_names: Names,
    name_changes: Vec<NameChange>,
    inodes: Vec<Inode>,
}

impl Image {
    pub(super) fn new() -> Self {
        let root = Names::from([(PathBuf::from("/"), Node::Directory)]);
        Self { names: root.clone(), durable_names: root, name_changes: Vec::new(), inodes: Vec::new() }
    }

    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        self.names.get(path).copied()
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<usize> {
        match self.node(path) {
            Some(Node::File(inode)) => Ok(inode),
            Some(Node::Directory) => Err(io::Error::new(io::ErrorKind::IsADirectory, describe(path, "is a directory"))),
            None => Err(not_found(path)),
        }
    }

    pub(super) fn create(&mut self, path: &Path) -> io::Result<usize> {
        if self.node(path).is_some() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, describe(path, "exists")));
        }
        self.require_parent(path)?;
        self.inodes.push(Inode::default());
        let inode = self.inodes.len() - 1;
        self.change(NameChange::Add(path.to_owned(), Node::File(inode)));
        Ok(inode)
    }

    pub(super) fn create_dir_all(&mut self, path: &Path) -> io::Result<()> {
        let mut missing = Vec::new();
        for ancestor in path.ancestors() {
            match self.node(ancestor) {
                Some(Node::Directory) => break,
                Some(Node::File(_)) => {
                    return Err(io::Error::new(io::ErrorKind::AlreadyExists, describe(ancestor, "is a file")));
                }
                None => missing.push(ancestor.to_owned()),
            }
        }
        for directory in missing.into_iter().rev() {
            self.change(NameChange::Add(directory, Node::Directory));
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from).ok_or_else(|| not_found(from))?;
        self.require_parent(to)?;
        match (node, self.node(to)) {
            (Node::Directory, Some(_)) | (Node::File(_), Some(Node::Directory)) => {
                return Err(io::Error::new(io::ErrorKind::AlreadyExists, describe(to, "exists")));
            }
            _ => {}
        }
        self.change(NameChange::Rename { from: from.to_owned(), to: to.to_owned(), node });
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn remove_dir_all(&mut self, path: &Path) -> io::Result<()> {
        self.require_directory(path)?;
        self.change(NameChange::Remove(path.to_owned()));
        Ok(())
    }

    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        self.require_directory(path)?;
        let (synced, waiting) = std::mem::take(&mut self.name_changes).into_iter().partition(|c| c.touches(path));
        self.name_changes = waiting;
        let synced: Vec<NameChange> = synced;
        for change in &synced {
            change.apply(&mut self.durable_names);
        }
        Ok(())
    }

    /// A failed directory sync: the changes are neither durable nor ever tried again.
    pub(super) fn forget_dir_changes(&mut self, path: &Path) {
        self.name_changes.retain(|change| !change.touches(path));
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.require_directory(path)?;
        let entries = self.names.iter().filter(|(name, _)| name.parent() == Some(path));
        let mut entries: Vec<DirEntry> = entries
            .filter_map(|(name, node)| {
                let len = if let Node::File(inode) = node { self.len(*inode) } else { 0 };
                Some(DirEntry { name: name.file_name()?.to_owned(), is_dir: *node == Node::Directory, len })
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    pub(super) fn require_directory(&self, path: &Path) -> io::Result<()> {
        match self.node(path) {
            Some(Node::Directory) => Ok(()),
            Some(Node::File(_)) => {
                Err(io::Error::new(io::ErrorKind::NotADirectory, describe(path, "is not a directory")))
            }
            None => Err(not_found(path)),
        }
    }

    pub(super) fn contents(&self, inode: usize) -> &[u8] {
        &self.inodes[inode].contents
    }

    pub(super) fn len(&self, inode: usize) -> u64 {
        self.inodes[inode].contents.len() as u64
    }

    pub(super) fn write(&mut self, inode: usize, offset: u64, bytes: &[u8]) {
        self.modify(inode, DataChange::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_len(&mut self, inode: usize, len: u64) {
        self.modify(inode, DataChange::SetLen(len));
    }

    pub(super) fn sync_data(&mut self, inode: usize) {
        let inode = &mut self.inodes[inode];
        for change in std::mem::take(&mut inode.dirty) {
            change.apply(&mut inode.durable);
        }
    }

    /// A failed data sync, as Linux does it: the pages are marked clean although they never reached the drive, so that
    /// the next sync succeeds without writing them.
    pub(super) fn forget_data_changes(&mut self, inode: usize) {
        self.inodes[inode].dirty.clear();
    }

    /// Flips bits of a stored byte in both images.
    pub(super) fn corrupt(&mut self, inode: usize, offset: u64, mask: u8) {
        let inode = &mut self.inodes[inode];
        for contents in [&mut inode.contents, &mut inode.durable] {
            if let Some(byte) = contents.get_mut(index(offset)) {
                *byte ^= mask;
            }
        }
    }

    /// Bytes that the files take, once each.
    pub(super) fn used(&self) -> u64 {
        let inodes: BTreeSet<usize> =
            self.names.values().filter_map(|n| if let Node::File(inode) = n { Some(*inode) } else { None }).collect();
        inodes.into_iter().map(|inode| self.len(inode)).sum()
    }

    /// Bytes of memory that both images and the changes between them take, those of removed files included.
    pub(super) fn held(&self) -> u64 {
        let change = |change: &DataChange| match change {
            DataChange::Write { bytes, .. } => size_of_val(change) + bytes.len(),
            DataChange::SetLen(_) => size_of_val(change),
        };
        let changes = |inode: &Inode| inode.dirty.iter().map(change).sum::<usize>();
        let inodes = self.inodes.iter();
        inodes.map(|inode| inode.contents.len() + inode.durable.len() + changes(inode)).sum::<usize>() as u64
    }

    /// What a restart finds after a power cut.
    pub(super) fn crash(&mut self, survivors: Survivors, random: &mut ChaCha8Rng) {
        let changes = std::mem::take(&mut self.name_changes);
        // Names go through the file system's journal: a prefix of the changes survives, in their order.
        let kept = if survivors == Survivors::OnlySynced { 0 } else { below(random, changes.len() + 1) };
        for change in changes.iter().take(kept) {
            change.apply(&mut self.durable_names);
        }
        for inode in &mut self.inodes {
            let dirty = std::mem::take(&mut inode.dirty);
            match survivors {
                Survivors::OnlySynced => {}
                Survivors::Prefix => {
                    let whole = below(random, dirty.len() + 1);
                    for change in &dirty[..whole] {
                        change.apply(&mut inode.durable);
                    }
                    if let Some(torn) = dirty.get(whole) {
                        torn.apply_torn(&mut inode.durable, random);
                    }
                }
                Survivors::AnySectors => {
                    for change in &dirty {
                        change.apply_torn(&mut inode.durable, random);
                    }
                }
            }
            inode.contents.clone_from(&inode.durable);
        }
        self.drop_unreachable();
        self.names = self.durable_names.clone();
    }

    /// A durable name in a directory that is not durable itself is lost with it.
    fn drop_unreachable(&mut self) {
        let names = &mut self.durable_names;
        // Sorted by components, so that a parent is judged before its children.
        let sorted: Vec<PathBuf> = names.keys().cloned().collect();
        for name in sorted {
            let orphan = name.parent().is_some_and(|parent| names.get(parent) != Some(&Node::Directory));
            if orphan {
                names.remove(&name);
            }
        }
    }

    fn require_parent(&self, path: &Path) -> io::Result<()> {
        self.require_directory(path.parent().ok_or_else(|| not_found(path))?)
    }

    fn change(&mut self, change: NameChange) {
        change.apply(&mut self.names);
        self.name_changes.push(change);
    }

    fn modify(&mut self, inode: usize, change: DataChange) {
        let inode = &mut self.inodes[inode];
        change.apply(&mut inode.contents);
        inode.dirty.push(change);
    }
}

/// The one name of a path in the image: absolute, without `.`.
pub(super) fn normalise(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    normal
}

fn write_into(contents: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let start = index(offset);
    let end = start + bytes.len();
    if contents.len() < end {
        contents.resize(end, 0);
    }
    contents[start..end].copy_from_slice(bytes);
}

fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("a file in memory is smaller than the address space")
}

fn coin(random: &mut ChaCha8Rng) -> bool {
    random.next_u32() & 1 == 1
}

/// A number from 0 to `bound - 1`; the bias is of no matter for fault injection.
fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    index(random.next_u64() % bound as u64)
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, describe(path, "does not exist"))
}

fn describe(path: &Path, what: &str) -> String {
    format!("{} {what}", path.display())
}
