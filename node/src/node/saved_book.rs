//! The address book and the bans, in a file of their own: nothing else can make them again, so they must not go with the
//! chain's index when that is rebuilt.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use farthing::codec::{DecodeError, Reader, put_bytes, put_count};

use crate::{
    env::{
        Disk,
        disk::{read_whole, write_atomically},
    },
    peers::{BookStore, BookStoreError, Change, Record, Shelf},
    store::{Store, StoreError},
};

const FILE: &str = "peers";
/// The file: magic, version, a count, as many records (shelf, key, value), and a CRC-32C of all before it.
const MAGIC: &[u8; 8] = b"farpeers";
const VERSION: u8 = 1;
/// A full book with all bans there may be has under 8 MiB.
const LARGEST_FILE: u64 = 32 * 1024 * 1024;
const LARGEST_RECORD: usize = 64 * 1024;
/// Shelf, and two lengths.
const SMALLEST_RECORD: usize = 9;
const SHELVES: [Shelf; 3] = [Shelf::Addresses, Shelf::Bans, Shelf::Notes];

type Records = BTreeMap<(Shelf, Vec<u8>), Vec<u8>>;

/// The file, and what is in it.
#[derive(Debug)]
pub(super) struct SavedBook {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    records: Mutex<Records>,
    /// The file could neither be read nor set aside: it must not be written over.
    is_stuck: bool,
}

impl SavedBook {
    /// Reads the file of a data directory. Where there is none yet, what an earlier version kept in the index is taken
    /// over. One that cannot be read is kept beside the new one, and the book begins anew; if it cannot be set aside, nothing
    /// is written in this run.
    pub(super) fn open(disk: Arc<dyn Disk>, data_dir: &Path, index: &dyn Store) -> Self {
        let path = data_dir.join(FILE);
        let read = match read_whole(&*disk, &path, LARGEST_FILE) {
            Ok(bytes) => from_bytes(&bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(from_index(index).unwrap_or_else(|error| {
                tracing::warn!(%error, "the address book of the version before cannot be read");
                Records::new()
            })),
            Err(error) => Err(error.into()),
        };
        let is_stuck = read.as_ref().is_err_and(|error| !set_aside(&*disk, &path, error));
        Self { disk, path, records: Mutex::new(read.unwrap_or_default()), is_stuck }
    }
}

/// Keeps a file that cannot be read, so that it can be looked at. False if even that fails.
fn set_aside(disk: &dyn Disk, path: &Path, error: &Unreadable) -> bool {
    let kept = path.with_extension("damaged");
    tracing::warn!(path = %path.display(), %error, kept = %kept.display(), "the address book and the bans cannot be read");
    let renamed = disk.rename(path, &kept);
    if let Err(error) = &renamed {
        tracing::warn!(%error, "the file cannot be set aside either: the book and the bans of this run are not written");
    }
    renamed.is_ok()
}

impl BookStore for SavedBook {
    fn load(&self, shelf: Shelf) -> Result<Vec<Record>, BookStoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let of_shelf = records.iter().filter(|((of, _), _)| *of == shelf);
        Ok(of_shelf.map(|((_, key), value)| (key.clone(), value.clone())).collect())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), BookStoreError> {
        if self.is_stuck {
            return Err("the file that is there could neither be read nor set aside".into());
        }
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        for (shelf, key, value) in changes {
            match value {
                Some(value) => drop(records.insert((shelf, key), value)),
                None => drop(records.remove(&(shelf, key))),
            }
        }
        Ok(write_atomically(&*self.disk, &self.path, &to_bytes(&records))?)
    }
}

fn to_bytes(records: &Records) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.push(VERSION);
    put_count(&mut bytes, records.len());
    for ((shelf, key), value) in records {
        bytes.push(SHELVES.iter().position(|known| known == shelf).and_then(|at| u8::try_from(at).ok()).unwrap_or(0));
        put_bytes(&mut bytes, key);
        put_bytes(&mut bytes, value);
    }
    let sum = crc32c::crc32c(&bytes);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

/// Why the file cannot be read.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("its checksum is wrong")]
    Checksum,
    #[error("it does not begin as such a file does")]
    Magic,
    #[error(transparent)]
    Record(#[from] DecodeError),
    #[error(transparent)]
    Disk(#[from] io::Error),
}

fn from_bytes(bytes: &[u8]) -> Result<Records, Unreadable> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or(Unreadable::Checksum)?;
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err(Unreadable::Checksum);
    }
    let mut reader = Reader::new(body);
    if reader.array::<8>("magic")? != *MAGIC {
        return Err(Unreadable::Magic);
    }
    let version = reader.u8("version")?;
    if version != VERSION {
        let (found, expected) = (version.into(), VERSION.into());
        return Err(DecodeError::UnknownVersion { what: "address book", found, expected }.into());
    }
    let count = reader.count("records", usize::MAX, SMALLEST_RECORD)?;
    let mut records = Records::new();
    for _ in 0..count {
        let value = reader.u8("shelf")?;
        let shelf = SHELVES.get(usize::from(value)).ok_or(DecodeError::UnknownChoice { field: "shelf", value })?;
        let key = reader.bytes("key", LARGEST_RECORD)?.to_vec();
        records.insert((*shelf, key), reader.bytes("value", LARGEST_RECORD)?.to_vec());
    }
    reader.finish()?;
    Ok(records)
}

/// What an earlier version wrote into small trees of the index.
fn from_index(index: &dyn Store) -> Result<Records, StoreError> {
    let mut records = Records::new();
    for (shelf, name) in SHELVES.into_iter().zip(["peer addresses", "peer bans", "peer notes"]) {
        for (key, value) in index.key_value(name)?.entries()? {
            records.insert((shelf, key), value);
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        env::disk::{Fault, FaultError, FaultOp, MemDisk},
        store::MemoryStore,
        testing::dev,
    };

    fn change(shelf: Shelf, key: &[u8], value: Option<&[u8]>) -> Change {
        (shelf, key.to_vec(), value.map(<[u8]>::to_vec))
    }

    struct Place {
        disk: Arc<MemDisk>,
        index: MemoryStore,
    }

    impl Place {
        fn new() -> Self {
            let disk = Arc::new(MemDisk::new());
            disk.create_dir_all(Path::new("/data")).unwrap();
            Self { disk, index: MemoryStore::new(&dev()).0 }
        }

        fn open(&self) -> SavedBook {
            SavedBook::open(Arc::<MemDisk>::clone(&self.disk), Path::new("/data"), &self.index)
        }
    }

    #[test]
    fn what_is_written_is_there_at_the_next_start_whatever_became_of_the_index() {
        let place = Place::new();
        let book = place.open();
        let (bans, notes) = (Shelf::Bans, Shelf::Notes);
        book.write(vec![change(bans, b"192.0.2.1", Some(b"a year")), change(notes, b"salt", Some(b"s"))]).unwrap();
        book.write(vec![change(bans, b"192.0.2.2", Some(b"")), change(notes, b"salt", None)]).unwrap();
        let next = place.open();
        let expected = [(b"192.0.2.1".to_vec(), b"a year".to_vec()), (b"192.0.2.2".to_vec(), Vec::new())];
        assert_eq!(next.load(bans).unwrap(), expected);
        assert!(next.load(notes).unwrap().is_empty() && next.load(Shelf::Addresses).unwrap().is_empty());
    }

    #[test]
    fn the_book_of_the_version_before_is_taken_over_from_the_index_once() {
        let place = Place::new();
        place.index.key_value("peer bans").unwrap().put(b"192.0.2.1", b"old").unwrap();
        let book = place.open();
        assert_eq!(book.load(Shelf::Bans).unwrap(), [(b"192.0.2.1".to_vec(), b"old".to_vec())]);
        book.write(vec![change(Shelf::Bans, b"192.0.2.1", None)]).unwrap();
        assert!(place.open().load(Shelf::Bans).unwrap().is_empty(), "what is ended does not come back");
    }

    #[test]
    fn a_damaged_file_is_set_aside_and_a_write_that_fails_leaves_the_old_one() {
        let place = Place::new();
        let book = place.open();
        book.write(vec![change(Shelf::Bans, b"192.0.2.1", Some(b"a"))]).unwrap();
        place.disk.inject(Fault { op: FaultOp::Write, nth: 1, error: FaultError::NoSpace, lasting: false });
        assert!(book.write(vec![change(Shelf::Bans, b"192.0.2.2", Some(b"b"))]).is_err());
        assert_eq!(place.open().load(Shelf::Bans).unwrap().len(), 1);
        // What failed is written with the next change.
        book.write(vec![change(Shelf::Bans, b"192.0.2.3", Some(b"c"))]).unwrap();
        assert_eq!(place.open().load(Shelf::Bans).unwrap().len(), 3);
        let path = Path::new("/data/peers");
        let len = place.disk.open_read(path).unwrap().len().unwrap();
        for at in [0, 8, 13, len - 1] {
            place.disk.corrupt(path, at, 1).unwrap();
            assert!(place.open().load(Shelf::Bans).unwrap().is_empty());
            assert!(place.disk.exists(Path::new("/data/peers.damaged")).unwrap() && !place.disk.exists(path).unwrap());
            book.write(Vec::new()).unwrap();
        }
    }

    #[test]
    fn a_file_that_the_disk_does_not_give_is_set_aside_and_never_written_over() {
        let place = Place::new();
        place.open().write(vec![change(Shelf::Bans, b"192.0.2.1", Some(b"a year"))]).unwrap();
        let (path, kept) = (Path::new("/data/peers"), Path::new("/data/peers.damaged"));
        place.disk.inject(Fault { op: FaultOp::Read, nth: 1, error: FaultError::Io, lasting: false });
        place.disk.inject(Fault { op: FaultOp::Rename, nth: 1, error: FaultError::Io, lasting: false });
        let stuck = place.open();
        assert!(stuck.write(vec![change(Shelf::Notes, b"salt", Some(b"s"))]).is_err());
        assert_eq!(place.open().load(Shelf::Bans).unwrap().len(), 1, "it is still there");
        place.disk.inject(Fault { op: FaultOp::Read, nth: 1, error: FaultError::Io, lasting: false });
        let anew = place.open();
        assert!(place.disk.exists(kept).unwrap() && !place.disk.exists(path).unwrap());
        anew.write(vec![change(Shelf::Notes, b"salt", Some(b"s"))]).unwrap();
        place.disk.rename(kept, path).unwrap();
        assert_eq!(place.open().load(Shelf::Bans).unwrap().len(), 1);
    }

    #[test]
    fn no_cut_of_the_file_is_taken_for_a_whole_one() {
        let records = Records::from([((Shelf::Notes, b"salt".to_vec()), vec![7; 32])]);
        let bytes = to_bytes(&records);
        assert_eq!(from_bytes(&bytes).unwrap(), records);
        for cut in 0..bytes.len() {
            assert!(from_bytes(&bytes[..cut]).is_err());
        }
    }
}
