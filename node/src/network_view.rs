//! What the public API tells about the network around the node, without knowing who keeps the sessions.

use std::fmt;

use farthing::Height;
use tokio::sync::watch;

/// The node's surroundings as the composition root knows them.
pub trait NetworkView: fmt::Debug + Send + Sync {
    /// Peers with an established session.
    fn peers(&self) -> Vec<PeerSummary>;

    /// Whether this node is fetching blocks that peers have, and so answers for the past. Can be waited on.
    fn syncing(&self) -> watch::Receiver<bool>;

    /// Whether this node mines.
    fn is_mining(&self) -> bool;
}

/// A peer with an established session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSummary {
    /// Its address as `HOST:PORT`.
    pub address: String,
    /// True if it dialled this node.
    pub inbound: bool,
    /// Height of its tip as last announced.
    pub height: Height,
    /// Program and version that it names.
    pub version: String,
}
