//! Blocks over several hops.

use crate::harness::{
    cluster::Cluster,
    fabric::line,
    keys::{ALICE, BOB, CAROL},
    ledger::{assert_rebuilds, mine},
    networks,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_line_of_four_carries_a_burst_of_fifty_blocks() {
    let cluster = Cluster::start(networks::quick(), 4, line).await;
    let mut tip = cluster.tip(0);
    for nonce in 0..50 {
        let transfer = ALICE.pay(&cluster.params, nonce, BOB.address(), 1);
        tip = mine(cluster.chain(0), vec![transfer], CAROL.address()).await;
    }
    assert_eq!(tip.height().get(), 50);
    cluster.agree_on(&[0, 1, 2, 3], tip.id()).await;
    assert_rebuilds(cluster.chain(3)).await;
    let alice = cluster.chain(3).view().account(&ALICE.address()).expect("genesis funds alice");
    assert_eq!(alice.next_nonce, 50, "every block carried its transfer");
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn blocks_mined_at_both_ends_of_a_line_come_to_one_chain() {
    let cluster = Cluster::start(networks::quick(), 4, line).await;
    for round in 0..10 {
        let end = if round % 2 == 0 { 0 } else { 3 };
        let tip = cluster.mine(end, BOB.address()).await;
        assert_eq!(tip.height().get(), round + 1);
        cluster.agree_on(&[0, 1, 2, 3], tip.id()).await;
    }
    cluster.stop().await;
}
