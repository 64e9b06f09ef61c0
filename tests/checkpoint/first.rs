//! A node that begins with a checkpoint, and who is there first: a mute peer, one as new as itself, one with little work.

use farthing::Height;
use farthing_node::node::Node;

use super::{
    agrees, folder, full, grow,
    liar::{Liar, Lie, Mute},
    light, mine, params, standing, stop,
};
use crate::harness::{keys::DAVE, until};

async fn has_peers(node: &Node, count: usize) {
    until(&format!("{count} peers"), || match node.network().peers().len() {
        found if found == count => Ok(()),
        found => Err(format!("{found}")),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_peer_that_dials_in_first_and_claims_all_work_stops_nothing() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let honest = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&honest, &params, 40).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[]).await;
    let _mute = Mute::dial(&params, node.p2p_address()).await;
    node.network().connect(honest.p2p_address().to_string().parse().expect("an address"));
    agrees(&node, &honest.chain().view().tip).await;
    assert!(node.chain().base().is_some(), "it began with a checkpoint");
    assert_eq!(standing(&params, &node).await, standing(&params, &honest).await);
    assert_eq!(node.network().bans(), Vec::new());
    stop(node).await;
    stop(honest).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_is_as_new_as_the_node_does_not_end_the_search_for_a_checkpoint() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let fresh = full(&params, &folder(&folders, "fresh"), &[]).await;
    let honest = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&honest, &params, 40).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[fresh.p2p_address()]).await;
    has_peers(&node, 1).await;
    // Whatever it makes of that one, it has done so once it hears of the other.
    node.network().connect(honest.p2p_address().to_string().parse().expect("an address"));
    agrees(&node, &honest.chain().view().tip).await;
    assert!(node.chain().base().is_some(), "it began with a checkpoint");
    for node in [node, fresh, honest] {
        stop(node).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cheap_chain_that_is_there_first_is_left_for_one_with_more_work_until_the_very_beginning() {
    let (params, folders) = (params(), tempfile::tempdir().expect("a folder"));
    let cheap = full(&params, &folder(&folders, "cheap"), &[]).await;
    mine(&cheap, 10, DAVE.address()).await;
    super::has_checkpoint(&cheap, 10).await;
    mine(&cheap, 20, DAVE.address()).await;
    let honest = full(&params, &folder(&folders, "full"), &[]).await;
    grow(&honest, &params, 60).await;
    let first = Liar::start(&params, cheap.p2p_address(), Lie::Held).await;
    let node = light(&params, &folder(&folders, "light"), 15, &[first.address]).await;
    until("a checkpoint of the first one is asked for", || {
        if first.was_asked() { Ok(()) } else { Err("not yet".to_owned()) }
    })
    .await;
    assert_eq!(node.network().best_header_height(), Height::new(30));
    node.network().connect(honest.p2p_address().to_string().parse().expect("an address"));
    has_peers(&node, 2).await;
    first.go_on();
    agrees(&node, &honest.chain().view().tip).await;
    assert!(node.chain().base().is_some(), "it began with a checkpoint");
    assert_eq!(standing(&params, &node).await, standing(&params, &honest).await);
    assert_eq!(node.network().bans(), Vec::new());
    for node in [node, cheap, honest] {
        stop(node).await;
    }
}
