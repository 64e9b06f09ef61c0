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

/// The store failed. The network runs on without it.
pub type BookStoreError = Box<dyn Error + Send + Sync>;

/// A small store of keys and values. Its calls may block; they are made off the async threads. A loss costs only
/// the search for peers, so nothing needs to be durable at once.
pub trait BookStore: fmt::Debug + Send + Sync + 'static {
    /// All records of a shelf.
    ///
    /// # Errors
    /// When the store cannot be read.
    fn load(&self, shelf: Shelf) -> Result<Vec<Record>, BookStoreError>;

    /// Writes a record.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn put(&self, shelf: Shelf, key: &[u8], value: &[u8]) -> Result<(), BookStoreError>;

    /// Removes a record, if there is one.
    ///
    /// # Errors
    /// When the store cannot be written.
    fn remove(&self, shelf: Shelf, key: &[u8]) -> Result<(), BookStoreError>;
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

    fn put(&self, shelf: Shelf, key: &[u8], value: &[u8]) -> Result<(), BookStoreError> {
        self.shelves().entry(shelf).or_default().insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn remove(&self, shelf: Shelf, key: &[u8]) -> Result<(), BookStoreError> {
        self.shelves().entry(shelf).or_default().remove(key);
        Ok(())
    }
}
