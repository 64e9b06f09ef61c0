//! Peers that announce first and then send nothing.

use farthing::{Block, BlockId, codec::Canonical as _, wire::peer as wire, wire::peer::deliver_request::Item};
use prost::bytes::Bytes;

use super::{
    Node, alone, eventually,
    hostile::{Hostile, hello, tip},
};
use crate::{
    peers::{convert::Tip, limits::MAX_STALLS},
    testing::{dev, mine},
};

/// The next block of a node's chain.
fn next_block(node: &Node) -> Block {
    mine(&dev(), &node.chain.view(), Vec::new(), 7)
}

/// The want for a body, and the block that it asks for.
async fn asked_for_body(peer: &mut Hostile) -> (u64, BlockId) {
    let (want, ids) = asked_for_bodies(peer).await;
    assert_eq!(ids.len(), 1, "asked for one body");
    (want, ids[0])
}

/// The want for bodies, and the blocks that it asks for.
async fn asked_for_bodies(peer: &mut Hostile) -> (u64, Vec<BlockId>) {
    loop {
        let want = peer.want().await;
        match want.item {
            Some(wire::want::Item::Blocks(ids)) => {
                let ids = ids.block_ids.iter().map(|id| BlockId::try_from(id.as_ref()).unwrap());
                return (want.want_id, ids.collect());
            }
            // It has none but those that it told.
            Some(wire::want::Item::HeadersAfter(_)) => {
                let none = Some(Item::Headers(wire::Headers::default()));
                peer.client.deliver(want.want_id, none, true).await.unwrap();
            }
            other => panic!("not asked for bodies: {other:?}"),
        }
    }
}

fn body(block: &Block) -> Option<Item> {
    Some(Item::Block(Bytes::from(block.to_canonical())))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_block_is_asked_of_another_before_the_first_announcer_is_given_up() {
    let node = Node::start(alone()).await;
    let mut slow = Hostile::meet(&node, hello(1)).await.unwrap();
    let mut quick = Hostile::meet(&node, hello(2)).await.unwrap();
    let block = next_block(&node);
    slow.announce(&tip(block.header, 1, 100)).await.unwrap();
    let (want, asked) = asked_for_body(&mut slow).await;
    assert_eq!(asked, block.id());
    quick.announce(&tip(block.header, 1, 100)).await.unwrap();
    let (second_want, asked) = asked_for_body(&mut quick).await;
    assert_eq!(asked, block.id());
    // The first one's time is not over: its answer is still taken.
    slow.client.deliver(want, body(&block), true).await.unwrap();
    node.reaches(1).await;
    quick.client.deliver(second_want, body(&block), true).await.unwrap();
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_announces_first_and_never_sends_is_let_go_although_others_send() {
    let node = Node::start(alone()).await;
    let mut mute = Hostile::meet(&node, hello(1)).await.unwrap();
    let mut honest = Hostile::meet(&node, hello(2)).await.unwrap();
    for height in 1..=3 {
        let block = next_block(&node);
        mute.announce(&tip(block.header, height, 100)).await.unwrap();
        asked_for_body(&mut mute).await;
        honest.announce(&tip(block.header, height, 100)).await.unwrap();
        let (want, _) = asked_for_body(&mut honest).await;
        honest.client.deliver(want, body(&block), true).await.unwrap();
        node.reaches(height).await;
    }
    eventually("the mute one is let go", || node.network.peers().len() == 1).await;
    assert!(node.network.bans().is_empty(), "it is not banned: its line may have been cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_gives_one_body_of_each_request_is_not_taken_for_mute() {
    let (node, source) = (Node::start(alone()).await, Node::start(alone()).await);
    source.mine(10, 1).await;
    let headers = source.chain.headers_after(Vec::new(), 10).await.unwrap();
    let mut peer = Hostile::meet(&node, hello(1)).await.unwrap();
    let told = Tip { headers, ..tip(*source.chain.view().tip.header(), 10, 100) };
    peer.announce(&told).await.unwrap();
    // Once more than is forgiven to those that give none.
    for _ in 0..=MAX_STALLS {
        let (want, ids) = asked_for_bodies(&mut peer).await;
        assert!(ids.len() > 1);
        let block = source.chain.block(ids[0]).await.unwrap().unwrap();
        peer.client.deliver(want, body(&block), true).await.unwrap();
    }
    node.reaches(u64::from(MAX_STALLS)).await;
    assert_eq!(node.network.peers().len(), 1);
}
