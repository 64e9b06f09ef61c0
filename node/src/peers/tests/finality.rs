//! Nodes that follow different branches because one of them has a finality depth.

use std::{num::NonZeroU64, sync::Arc};

use farthing::{
    Block, Header, Height, Network as Known, TimeMs, wire::peer as wire, wire::peer::deliver_request::Item,
};

use super::{
    Node, alone, eventually,
    hostile::{Hostile, hello, tip},
};
use crate::{
    chain::Settings,
    ledger::ChainView,
    peers::{MemoryBookStore, SyncState, convert::headers_to_wire, limits::MAX_HEADERS},
    testing::{dev, mine, solve},
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

/// Two headers with work and as many without as fill a list: the same question would bring the same answer for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ruled_out_branch_is_asked_for_no_further_than_it_comes_before_it_is_ahead_of_the_clock() {
    let firm = with_depth(5).await;
    firm.mine(10, 1).await;
    let first = mine(&dev(), &ChainView::genesis(&dev()), Vec::new(), 2);
    let day = 24 * 60 * 60 * 1_000;
    let time = TimeMs::new(firm.chain.view().tip.header().time.get() + 100 * day);
    let ahead = solve(Block { header: Header { previous: first.id(), time, ..first.header }, ..first.clone() }).header;
    let mut list = vec![first.header, ahead];
    while list.len() <= MAX_HEADERS {
        let last = list[list.len() - 1];
        list.push(Header { previous: last.id(), ..last });
    }
    let mut peer = Hostile::meet(&firm, hello(1)).await.unwrap();
    peer.announce(&tip(list[MAX_HEADERS], MAX_HEADERS as u64, 1_000_000)).await.unwrap();
    let mut told_of_next = false;
    for part in [&list[..MAX_HEADERS], &list[1..]] {
        let want = peer.want().await;
        assert!(matches!(want.item, Some(wire::want::Item::HeadersAfter(_))), "{want:?}");
        if !std::mem::replace(&mut told_of_next, true) {
            let next = mine(&dev(), &firm.chain.view(), Vec::new(), 3);
            peer.announce(&tip(next.header, 11, 1_000_000)).await.unwrap();
        }
        peer.client.deliver(want.want_id, Some(Item::Headers(headers_to_wire(part))), true).await.unwrap();
    }
    let want = peer.want().await;
    assert!(matches!(want.item, Some(wire::want::Item::Blocks(_))), "it goes on with its next tip: {want:?}");
    assert!(firm.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_node_with_a_finality_depth_fetches_the_whole_chain() {
    let (old, fresh) = (Node::start(alone()).await, with_depth(5).await);
    old.mine(60, 1).await;
    fresh.connect(&old).await;
    fresh.reaches(60).await;
    assert_eq!(fresh.chain.final_height(), Some(Height::new(55)));
}
