//! What the public API tells about the network, without knowing it.

use farthing::Height;
use tokio::sync::watch;

use crate::{
    network_view::{NetworkView, PeerSummary, SyncProgress},
    peers::Network,
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

    fn best_header_height(&self) -> Height {
        self.network.best_header_height()
    }

    fn is_mining(&self) -> bool {
        self.mining
    }
}
