//! A transfer from a client's hands to everybody's ledger.

use farthing::{
    Mites,
    wire::{TransactionStanding, read_block_view, v1::subscribe_blocks_response::Event},
};
use tokio::time::timeout;

use crate::harness::{
    PATIENCE,
    cluster::Cluster,
    eventually,
    fabric::everybody,
    keys::{ALICE, BOB, CAROL, FEE},
    ledger::assert_rebuilds,
    networks,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_is_acknowledged_mined_streamed_and_credited() {
    let cluster = Cluster::start(networks::quick(), 1, everybody).await;
    let mut api = cluster.api(0).await;
    let mut blocks = api.subscribe(1).await.expect("the node streams");
    let before = api.account(&BOB.address()).await.expect("genesis funds bob");

    let transfer = ALICE.pay(&cluster.params, 0, BOB.address(), 12);
    let status = api.submit(&transfer).await.expect("a good transfer");
    assert_eq!(status.id, transfer.transaction().id(cluster.params.genesis_id()));
    assert_eq!(status.standing, TransactionStanding::Pending);
    assert_eq!(api.next_nonce(&ALICE.address()).await.expect("the node answers"), 1);

    let mined = cluster.mine(0, CAROL.address()).await;
    let view = timeout(PATIENCE, async {
        loop {
            let frame = blocks.message().await.expect("the stream goes on").expect("the stream does not end");
            if let Some(Event::Apply(view)) = frame.event {
                break view;
            }
        }
    });
    let (summary, block) = read_block_view(&cluster.params, view.await.expect("a block is streamed")).expect("whole");
    assert_eq!((summary.id, summary.height), (mined.id(), mined.height()));
    assert_eq!(block.transactions, std::slice::from_ref(&transfer));

    let standing = api.standing(status.id).await.expect("the node answers");
    let expected =
        TransactionStanding::Mined { block_id: mined.id(), height: mined.height(), index: 1, confirmations: 1 };
    assert_eq!(standing, Some(expected));
    let after = api.account(&BOB.address()).await.expect("bob is still there");
    assert_eq!(after.balance.checked_sub(before.balance), Mites::from_far(12));
    let alice = api.account(&ALICE.address()).await.expect("alice is still there");
    assert_eq!((alice.next_nonce, alice.entries), (1, 1));
    let carol = api.account(&CAROL.address()).await.expect("carol is still there");
    let reward = cluster.params.subsidy(mined.height()).checked_add(FEE).expect("a sum");
    let allocated = Mites::from_far(networks::ALLOCATION_FAR).expect("a million far");
    assert_eq!(carol.balance.checked_sub(allocated), Some(reward));
    assert_rebuilds(cluster.chain(0)).await;
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_cannot_be_paid_is_refused_with_its_reason_and_leaves_no_trace() {
    let cluster = Cluster::start(networks::quick(), 1, everybody).await;
    let mut api = cluster.api(0).await;
    let transfer = ALICE.pay(&cluster.params, 0, BOB.address(), networks::ALLOCATION_FAR);
    let refusal = api.submit(&transfer).await.expect_err("the fee is missing");
    assert_eq!(refusal.code(), tonic::Code::FailedPrecondition, "{refusal:?}");
    let info = tonic_types::StatusExt::get_details_error_info(&refusal).expect("a typed reason");
    assert_eq!(info.reason, "INSUFFICIENT_BALANCE");
    let id = transfer.transaction().id(cluster.params.genesis_id());
    assert_eq!(api.standing(id).await.expect("the node answers"), None);
    cluster.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_spreads_along_a_line_of_four_and_is_mined_at_the_other_end() {
    let cluster = Cluster::start(networks::quick(), 4, crate::harness::fabric::line).await;
    let (mut first, mut last) = (cluster.api(0).await, cluster.api(3).await);
    let transfer = ALICE.pay(&cluster.params, 0, BOB.address(), 7);
    let id = last.submit(&transfer).await.expect("a good transfer").id;
    eventually("the transfer waits at the first node", async || match first.standing(id).await {
        Ok(Some(TransactionStanding::Pending)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let mined = cluster.mine(0, CAROL.address()).await;
    cluster.agree_on(&[0, 1, 2, 3], mined.id()).await;
    let standing = last.standing(id).await.expect("the node answers");
    assert!(matches!(standing, Some(TransactionStanding::Mined { block_id, .. }) if block_id == mined.id()));
    cluster.stop().await;
}
