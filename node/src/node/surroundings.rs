//! Small bridges between parts that must not know one another.

use std::{convert::Infallible, sync::Arc, time::Duration};

use tokio::{sync::watch, time::sleep};

use crate::{
    chain::Chain,
    network_view::{NetworkView, PeerSummary},
    peers::{BookStore, BookStoreError, Network, Shelf, SyncState},
    store::{KeyValue, Store, StoreError},
    tasks::Tasks,
};

/// How often the state of synchronisation is looked at when the tip stands still.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What the public API tells about the network.
#[derive(Debug)]
pub(super) struct Surroundings {
    network: Network,
    syncing: watch::Receiver<bool>,
    mining: bool,
}

impl Surroundings {
    pub(super) fn start(network: Network, chain: Chain, mining: bool, tasks: &Tasks) -> Self {
        let (sender, syncing) = watch::channel(false);
        let (source, token) = (network.clone(), tasks.token().clone());
        tasks.spawn("sync state", async move {
            let mut tip = chain.watch();
            loop {
                let now = source.sync_state() == SyncState::Syncing;
                sender.send_if_modified(|before| std::mem::replace(before, now) != now);
                tokio::select! {
                    biased;
                    () = token.cancelled() => return Ok::<_, Infallible>(()),
                    _ = tip.changed() => {}
                    () = sleep(LOOK_EVERY) => {}
                }
            }
        });
        Self { network, syncing, mining }
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
        self.syncing.clone()
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
