//! Bodies of one branch from several peers.

use std::sync::Arc;

use farthing::{
    Block, BlockId, Network as Known, codec::Canonical as _, wire::peer as wire, wire::peer::deliver_request::Item,
};
use prost::bytes::Bytes;

use super::{
    Node, alone, eventually,
    hostile::{Hostile, hello},
};
use crate::{
    chain::Settings,
    peers::{
        MemoryBookStore,
        convert::{Tip, headers_to_wire},
    },
    testing::{ALICE, BOB, dev, mine},
};

/// A node with a chain, and its blocks above genesis.
async fn source(blocks: u64) -> (Node, Vec<Block>) {
    let node = Node::start(alone()).await;
    let mut all = Vec::new();
    for height in 0..blocks {
        let transfers = vec![ALICE.pay(height, BOB.address(), 1)];
        let block = mine(&dev(), &node.chain.view(), transfers, 1);
        node.chain.submit_block(block.clone(), crate::chain::Origin::Mined).await.unwrap();
        all.push(block);
    }
    (node, all)
}

impl Hostile {
    /// Claims a chain, and gives its headers when they are asked for, if they are. Gives the first want for bodies.
    async fn claim(&mut self, source: &Node, blocks: &[Block]) -> (u64, Vec<BlockId>) {
        let tip = source.chain.view().tip;
        let claimed = Tip { height: tip.height(), work: tip.total_work(), id: tip.id(), headers: vec![*tip.header()] };
        self.announce(&claimed).await.unwrap();
        loop {
            let want = self.want().await;
            match want.item.unwrap() {
                wire::want::Item::HeadersAfter(_) => {
                    let headers: Vec<_> = blocks.iter().map(|block| block.header).collect();
                    let item = Item::Headers(headers_to_wire(&headers));
                    self.client.deliver(want.want_id, Some(item), true).await.unwrap();
                }
                wire::want::Item::Blocks(ids) => {
                    let ids = ids.block_ids.iter().map(|id| BlockId::try_from(id.as_ref()).unwrap()).collect();
                    return (want.want_id, ids);
                }
                other => panic!("nothing like this was announced: {other:?}"),
            }
        }
    }

    async fn deliver_all(&self, want: u64, ids: &[BlockId], blocks: &[Block]) {
        for id in ids {
            let block = blocks.iter().find(|block| block.id() == *id).unwrap();
            let bytes = Bytes::from(block.to_canonical());
            self.client.deliver(want, Some(Item::Block(bytes)), false).await.unwrap();
        }
        // Whoever has all that it asked for may have closed the want by now.
        let _ = self.client.deliver(want, None, true).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_peers_are_asked_for_different_parts_and_what_comes_early_waits_for_its_turn() {
    let node = Node::start(alone()).await;
    let (source, blocks) = source(30).await;
    let mut first = Hostile::meet(&node, hello(1)).await.unwrap();
    let mut second = Hostile::meet(&node, hello(2)).await.unwrap();
    let (first_want, first_ids) = first.claim(&source, &blocks).await;
    let (second_want, second_ids) = second.claim(&source, &blocks).await;
    assert_eq!(first_ids[0], blocks[0].id());
    assert!(second_ids.iter().all(|id| !first_ids.contains(id)), "each block is asked of one peer");
    second.deliver_all(second_want, &second_ids, &blocks).await;
    assert_eq!(node.height(), 0, "they wait for the blocks before them");
    first.deliver_all(first_want, &first_ids, &blocks).await;
    node.reaches((first_ids.len() + second_ids.len()) as u64).await;
    assert!(node.network.bans().is_empty());
}

/// Several peers tell of one chain, in turns and each from where the others are, while there is room for a part of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_with_more_headers_than_there_is_room_for_comes_from_several_peers() {
    let (first, second, third) = (Node::start(alone()).await, Node::start(alone()).await, Node::start(alone()).await);
    first.mine(3_000, 1).await;
    for other in [&second, &third] {
        first.connect(other).await;
    }
    second.reaches(3_000).await;
    third.reaches(3_000).await;
    let settings = Settings { waiting_headers: 400, ..Settings::default() };
    let fresh = Node::with(Known::Dev, alone(), Arc::new(MemoryBookStore::default()), settings).await;
    for source in [&first, &second, &third] {
        fresh.connect(source).await;
    }
    fresh.reaches(3_000).await;
    assert!(fresh.network.bans().is_empty() && fresh.network.scores().is_empty());
    assert_eq!(fresh.network.peers().len(), 3, "none was let go");
}

/// The case in small: one of three stalls, one lies, and the third has it all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_syncs_although_one_peer_stalls_and_one_lies() {
    let node = Node::start(alone()).await;
    let (source, blocks) = source(120).await;
    let mut mute = Hostile::meet(&node, hello(1)).await.unwrap();
    mute.claim(&source, &blocks).await;
    let mut liar =
        Hostile::meet(&node, crate::peers::handshake::Hello { listen_port: Some(2), ..hello(2) }).await.unwrap();
    let (want, ids) = liar.claim(&source, &blocks).await;
    let mut mutated = blocks.iter().find(|block| block.id() == ids[0]).unwrap().clone();
    mutated.coinbase.tag = b"mutated".to_vec();
    let bytes = Bytes::from(mutated.to_canonical());
    liar.client.deliver(want, Some(Item::Block(bytes)), false).await.unwrap();
    eventually("the liar is banned", || node.network.bans().len() == 1).await;
    source.connect(&node).await;
    node.reaches(120).await;
    node.agrees_with(&source).await;
    assert_eq!(node.network.bans()[0].0, "127.0.0.1:2");
}
