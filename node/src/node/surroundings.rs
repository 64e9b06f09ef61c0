//! Small bridges between parts that must not know one another.

use std::sync::Arc;

use tokio::sync::watch;

use crate::{
    network_view::{NetworkView, PeerSummary, SyncProgress},
    peers::{BookStore, BookStoreError, Network, Shelf},
    store::{KeyValue, Store, StoreError},
};

/// What the public API tells about the network.
#[derive(Debug)]
pub(super) struct Surroundings {
    network: Network,
    mining: bool,
}

impl Surroundings {
    pub(super) fn new(network: Network, mining: bool) -> Self {
        Self { network, mining }
    }
}

impl NetworkView for Surroundings {
    fn peers(&self) -> Vec<PeerSummary> {
        let summary = |peer: crate::peers::PeerSummary| PeerSummary {
            address: peer.address.to_string(),
            inbound: peer.inbound,
            height: peer.height,
            version: peer.version,
        };
        self.network.peers().into_iter().map(summary).collect()
    }

    fn syncing(&self) -> watch::Receiver<bool> {
        self.network.watch_syncing()
    }

    fn sync_progress(&self) -> Option<SyncProgress> {
        self.network.sync_progress()
    }

    fn is_mining(&self) -> bool {
        self.mining
    }
}

/// The address book and the bans, in the store's small trees.
#[derive(Debug)]
pub(super) struct SavedBook(Arc<dyn Store>);

impl SavedBook {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(store)
    }

    fn shelf(&self, shelf: Shelf) -> Result<Arc<dyn KeyValue>, StoreError> {
        self.0.key_value(match shelf {
            Shelf::Addresses => "peer addresses",
            Shelf::Bans => "peer bans",
            Shelf::Notes => "peer notes",
        })
    }
}

impl BookStore for SavedBook {
    fn load(&self, shelf: Shelf) -> Result<Vec<(Vec<u8>, Vec<u8>)>, BookStoreError> {
        Ok(self.shelf(shelf)?.entries()?)
    }

    fn put(&self, shelf: Shelf, key: &[u8], value: &[u8]) -> Result<(), BookStoreError> {
        Ok(self.shelf(shelf)?.put(key, value)?)
    }

    fn remove(&self, shelf: Shelf, key: &[u8]) -> Result<(), BookStoreError> {
        Ok(self.shelf(shelf)?.remove(key)?)
    }
}
