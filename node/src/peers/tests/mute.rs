//! Peers that announce first and then send nothing.

use farthing::{Block, BlockId, codec::Canonical as _, wire::peer as wire, wire::peer::deliver_request::Item};
use prost::bytes::Bytes;

use super::{
    Node, alone, eventually,
    hostile::{Hostile, hello, tip},
};
use crate::testing::{dev, mine};

/// The next block of a node's chain.
fn next_block(node: &Node) -> Block {
    mine(&dev(), &node.chain.view(), Vec::new(), 7)
}

/// The want for a body, and the block that it asks for.
async fn asked_for_body(peer: &mut Hostile) -> (u64, BlockId) {
    let want = peer.want().await;
    match want.item {
        Some(wire::want::Item::Blocks(ids)) if ids.block_ids.len() == 1 => {
            (want.want_id, BlockId::try_from(ids.block_ids[0].as_ref()).unwrap())
        }
        other => panic!("not asked for one body: {other:?}"),
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
