//! What the public API tells about the network around the node, without knowing who keeps the sessions.

use std::{fmt, time::Duration};

use farthing::Height;
use tokio::sync::watch;

/// The node's surroundings as the composition root knows them.
pub trait NetworkView: fmt::Debug + Send + Sync {
    /// Peers with an established session.
    fn peers(&self) -> Vec<PeerSummary>;

    /// Whether this node is fetching blocks that peers have, and so answers for the past. Can be waited on.
    fn syncing(&self) -> watch::Receiver<bool>;

    /// How far it has come with that; none while it is not fetching.
    fn sync_progress(&self) -> Option<SyncProgress>;

    /// Height of the best header that was checked.
    fn best_header_height(&self) -> Height;

    /// Whether this node mines.
    fn is_mining(&self) -> bool;
}

/// How far a node has come with fetching blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SyncProgress {
    /// What is being fetched.
    pub phase: SyncPhase,
    /// Pieces of the checkpoint that are here, and how many there are, while one is fetched.
    pub pieces: Option<(u64, u64)>,
    /// Height of the tip; of the best header, while a node that begins with a checkpoint fetches headers.
    pub height: Height,
    /// Height of the highest tip that a peer claims, or of the best header if that is higher.
    pub target: Height,
    /// Blocks connected a second, over the last few seconds; none before the first ones.
    pub blocks_per_second: Option<f64>,
}

/// What a node fetches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncPhase {
    /// Headers, to begin with a checkpoint.
    Headers,
    /// The checkpoint.
    Checkpoint,
    /// Blocks.
    Blocks,
}

impl SyncProgress {
    /// How much of the way is done, from 0 to 100.
    #[must_use]
    pub fn percent(&self) -> f64 {
        if let Some((here, all)) = self.pieces {
            return here as f64 / all.max(1) as f64 * 100.0;
        }
        match self.target.get() {
            0 => 100.0,
            target => (self.height.get() as f64 / target as f64 * 100.0).min(100.0),
        }
    }

    /// Milliseconds that the rest takes at this rate; none while nothing moves.
    #[must_use]
    pub fn remaining_ms(&self) -> Option<u64> {
        let rate = self.blocks_per_second.filter(|rate| *rate > 0.0)?;
        let left = Duration::try_from_secs_f64(self.target.distance_from(self.height) as f64 / rate).ok()?;
        u64::try_from(left.as_millis()).ok()
    }
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
