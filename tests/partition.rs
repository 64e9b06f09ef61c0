//! A network that falls apart and comes together again.

use farthing::wire::TransactionStanding;

use crate::harness::{
    api::Standing,
    cluster::Cluster,
    eventually,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL, DAVE},
    ledger::assert_rebuilds,
    networks,
};

/// The first node is alone, the other three are together.
const fn without_the_first(a: usize, b: usize) -> bool {
    a != 0 && b != 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_cut_off_reorganises_to_the_others_chain_and_its_transfers_are_not_lost() {
    let cluster = Cluster::start(networks::quick(), 4, everybody).await;
    let common = cluster.mine(1, DAVE.address()).await;
    cluster.agree_on(&[0, 1, 2, 3], common.id()).await;

    cluster.fabric.link(without_the_first);
    cluster.connected(0, 0).await;
    let mut alone = cluster.api(0).await;
    let mut submitted = Vec::new();
    for nonce in 0..10 {
        let transfer = ALICE.pay(&cluster.params, nonce, BOB.address(), 1);
        submitted.push(alone.submit(&transfer).await.expect("a good transfer").id);
        let mined = cluster.mine(0, CAROL.address()).await;
        assert_eq!(mined.height().get(), common.height().get() + nonce + 1);
    }
    // What the others mine meanwhile: other transfers, and one of the same account that undoes all of alice's.
    let mut other = cluster.api(2).await;
    let mut tip = common;
    for nonce in 0..30 {
        let transfer = BOB.pay(&cluster.params, nonce, CAROL.address(), 2);
        other.submit(&transfer).await.expect("a good transfer");
        tip = cluster.mine(2, DAVE.address()).await;
    }
    cluster.agree_on(&[1, 2, 3], tip.id()).await;
    let lost = cluster.tip(0);
    assert_eq!((lost.height().get(), tip.height().get()), (11, 31));

    cluster.fabric.link(everybody);
    cluster.agree_on(&[0, 1, 2, 3], tip.id()).await;
    // Its transfers are with the node again, and the others hear of them.
    for id in &submitted {
        for at in 0..4 {
            let mut api = cluster.api(at).await;
            eventually("the undone transfer waits again, everywhere", async || match api.standing(*id).await {
                Ok(Some(TransactionStanding::Pending)) => Ok(()),
                other => Err(format!("node {at}: {other:?}")),
            })
            .await;
        }
    }
    let again = cluster.mine(3, DAVE.address()).await;
    cluster.agree_on(&[0, 1, 2, 3], again.id()).await;
    for id in &submitted {
        let standing = alone.standing(*id).await.expect("the node answers");
        assert!(
            matches!(standing, Some(TransactionStanding::Mined { block_id, .. }) if block_id == again.id()),
            "{standing:?}"
        );
    }
    let standing = Standing::of(&mut alone).await;
    assert_eq!((standing.height, &standing.tip), (again.height().get(), &again.id().to_string()));
    for at in 0..4 {
        assert_eq!(Standing::of(&mut cluster.api(at).await).await, standing, "node {at}");
        assert_rebuilds(cluster.chain(at)).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tie_after_a_partition_is_broken_for_everybody_alike() {
    let cluster = Cluster::start(networks::quick(), 4, everybody).await;
    let halves = |a: usize, b: usize| (a < 2) == (b < 2);
    cluster.fabric.link(halves);
    for at in 0..4 {
        cluster.connected(at, 1).await;
    }
    let left = cluster.mine(0, CAROL.address()).await;
    let right = cluster.mine(3, DAVE.address()).await;
    cluster.agree_on(&[0, 1], left.id()).await;
    cluster.agree_on(&[2, 3], right.id()).await;
    assert_ne!(left.id(), right.id());
    cluster.fabric.link(everybody);
    // Equal work: after three target spacings everybody goes to the smaller id.
    cluster.agree_on(&[0, 1, 2, 3], left.id().min(right.id())).await;
    cluster.stop().await;
}
