//! A node leaves its own branch, however long, for one with more work, and what its branch carried is not lost.

use crate::harness::{
    cluster::Cluster,
    eventually,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL, DAVE},
    ledger::{assert_rebuilds, mine},
    networks,
};

/// Transfers on the branch that is left.
const TRANSFERS: u64 = 20;

async fn reorganises(depth: u64) {
    let cluster = Cluster::start(networks::quick(), 2, everybody).await;
    cluster.fabric.link(|_, _| false);
    for at in 0..2 {
        cluster.connected(at, 0).await;
    }
    let transfers = TRANSFERS.min(depth);
    let mut nonce = 0;
    for height in 1..=depth {
        let mut carried = Vec::new();
        // Spread over the branch, its first and its last block among them.
        if nonce < transfers && (height - 1) * transfers >= nonce * depth {
            carried.push(ALICE.pay(&cluster.params, nonce, BOB.address(), 1));
            nonce += 1;
        }
        mine(cluster.chain(0), carried, CAROL.address()).await;
    }
    assert_eq!(nonce, transfers);
    for _ in 0..=depth {
        mine(cluster.chain(1), Vec::new(), DAVE.address()).await;
    }
    let (left, right) = (cluster.tip(0), cluster.tip(1));
    assert_eq!((left.height().get(), right.height().get()), (depth, depth + 1));

    cluster.fabric.link(everybody);
    cluster.agree_on(&[0, 1], right.id()).await;
    eventually("what the branch carried is mined", async || {
        cluster.mine(0, CAROL.address()).await;
        let alice = cluster.chain(0).view().account(&ALICE.address()).expect("genesis funds alice");
        if alice.next_nonce == transfers { Ok(()) } else { Err(format!("{} of {transfers}", alice.next_nonce)) }
    })
    .await;
    cluster.agree_on(&[0, 1], cluster.tip(0).id()).await;
    for at in 0..2 {
        assert_rebuilds(cluster.chain(at)).await;
    }
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_of_one_block_is_left_for_a_longer_one() {
    reorganises(1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_of_ten_blocks_is_left_for_a_longer_one() {
    reorganises(10).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_of_a_hundred_blocks_is_left_for_a_longer_one() {
    reorganises(100).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_branch_of_a_thousand_blocks_is_left_for_a_longer_one() {
    reorganises(1_000).await;
}
