//! Nodes that follow different branches because one of them has a finality depth.

use std::{num::NonZeroU64, sync::Arc};

use farthing::{Height, Network as Known};

use super::{Node, alone, eventually};
use crate::{
    chain::Settings,
    peers::{MemoryBookStore, SyncState},
};

/// A node on which blocks with so many others on top are final.
async fn with_depth(depth: u64) -> Node {
    let settings = Settings { finality_depth: NonZeroU64::new(depth), ..Settings::default() };
    Node::with(Known::Dev, alone(), Arc::new(MemoryBookStore::default()), settings).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_stays_on_its_final_blocks_without_blaming_who_is_on_another_branch() {
    let (firm, other, third) = (with_depth(5).await, Node::start(alone()).await, Node::start(alone()).await);
    firm.mine(10, 1).await;
    other.mine(30, 2).await;
    firm.connect(&other).await;
    third.connect(&firm).await;
    third.reaches(10).await;
    // The other goes on telling, and the node goes on with who is on its own branch.
    other.mine(5, 2).await;
    firm.mine(3, 1).await;
    third.reaches(13).await;
    let told = || firm.network.peers().iter().any(|peer| peer.height == Height::new(35));
    eventually("the other branch is heard of", told).await;
    eventually("nothing is fetched", || firm.network.sync_state() == SyncState::Synced).await;
    assert_eq!((firm.height(), firm.chain.final_height()), (13, Some(Height::new(8))));
    assert_eq!((firm.network.peers().len(), other.network.peers().len()), (2, 1));
    assert_eq!(firm.network.scores(), []);
    assert!(other.network.bans().is_empty());
    for node in [firm, other, third] {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_with_a_finality_depth_fetches_the_whole_chain() {
    let (old, fresh) = (Node::start(alone()).await, with_depth(5).await);
    old.mine(60, 1).await;
    fresh.connect(&old).await;
    fresh.reaches(60).await;
    assert_eq!(fresh.chain.final_height(), Some(Height::new(55)));
}
