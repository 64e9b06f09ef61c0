//! Where the address book and the bans are kept between runs.

use std::{
    collections::BTreeMap,
    error::Error,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What kind of record it is; each kind has keys of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shelf {
    /// Addresses of nodes.
    Addresses,
    /// Bans.
    Bans,
    /// Single values: the salt of the address book, the anchors.
    Notes,
}

/// A key and its value.
pub type Record = (Vec<u8>, Vec<u8>);

/// What a key of a shelf has from now on; nothing if its record is removed.
pub type Change = (Shelf, Vec<u8>, Option<Vec<u8>>);

/// The store failed. The network runs on without it.
pub type BookStoreError = Box<dyn Error + Send + Sync>;

/// A small store of keys and values. Its calls may block; they are made off the async threads. What [`BookStore::write`] has
/// written is there in the next run.
pub trait BookStore: fmt::Debug + Send + Sync + 'static {
    /// All records of a shelf.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, shelf: Shelf) -> Result<Vec<Record>, BookStoreError>;

    /// Writes changes, all or, after an error, none that survives this run. What an error kept from the disk is there for
    /// [`BookStore::load`] all the same.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn write(&self, changes: Vec<Change>) -> Result<(), BookStoreError>;
}

type Shelves = BTreeMap<Shelf, BTreeMap<Vec<u8>, Vec<u8>>>;

/// A store in memory.
#[derive(Debug, Default)]
pub struct MemoryBookStore {
    shelves: Mutex<Shelves>,
}

impl MemoryBookStore {
    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BookStore for MemoryBookStore {
    fn load(&self, shelf: Shelf) -> Result<Vec<Record>, BookStoreError> {
        Ok(self.shelves().entry(shelf).or_default().clone().into_iter().collect())
    }

    fn write(&self, changes: Vec<Change>) -> Result<(), BookStoreError> {
        let mut shelves = self.shelves();
        for (shelf, key, value) in changes {
            let records = shelves.entry(shelf).or_default();
            match value {
                Some(value) => records.insert(key, value),
                None => records.remove(&key),
            };
        }
        Ok(())
    }
}
