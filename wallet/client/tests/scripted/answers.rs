//! What is checked of answers.

use farthing::{Address, Height};
use farthing_client::{BlockRef, Error, Trust, verify::VerifyError};

use crate::node::{Node, builder, chain, client};

const SOMEBODY: Address = Address::from_bytes([3; 32]);

#[tokio::test]
async fn an_account_is_proven_unless_the_node_is_believed() {
    let node = Node::start().await;
    let account = client([&node]).account(&SOMEBODY).await.unwrap();
    assert!(account.proven.is_some_and(|proven| proven.state().balance.get() == 5));
    node.state().boast = 1;
    let believing = builder([&node]).trust(Trust::Believe).build().unwrap();
    let account = believing.account(&SOMEBODY).await.unwrap();
    assert!(account.proven.is_none());
    assert_eq!(account.state().balance.get(), 6);
}

#[tokio::test]
async fn a_block_without_work_with_an_easy_target_or_another_content_is_not_believed() {
    let good = chain(3, 3, 0);
    let get = async |block: farthing::Block| {
        let node = Node::start().await;
        node.state().blocks = vec![good[0].clone(), good[1].clone(), block];
        client([&node]).block(BlockRef::Height(Height::new(2))).await
    };
    assert_eq!(get(good[2].clone()).await.unwrap().id(), good[2].id());
    let cause = |error: Error| match error {
        Error::Unproven { source, .. } => source,
        other => panic!("{other:?}"),
    };
    let mut lazy = good[2].clone();
    while lazy.header.has_work() {
        lazy.header.nonce += 1;
    }
    assert!(matches!(cause(get(lazy).await.unwrap_err()), VerifyError::NoWork(_)));
    let mut richer = good[2].clone();
    richer.coinbase.amount = farthing::Mites::new(6);
    assert!(matches!(cause(get(richer).await.unwrap_err()), VerifyError::Inconsistent(_)));
    assert!(matches!(cause(get(good[1].clone()).await.unwrap_err()), VerifyError::BlockHeight { .. }));
    let mut foreign = chain(1, 1, 0).remove(0);
    foreign.header.nonce += 1;
    let node = Node::start().await;
    node.state().blocks = vec![foreign];
    let error = client([&node]).block(BlockRef::Height(Height::GENESIS)).await.unwrap_err();
    assert!(matches!(cause(error), VerifyError::OtherGenesis(_)));
}

#[tokio::test]
async fn a_list_of_blocks_must_be_one_chain() {
    let (ours, theirs) = (chain(5, 5, 0), chain(5, 2, 7));
    let node = Node::start().await;
    node.state().blocks = ours.clone();
    let page = client([&node]).list_blocks(0, None).await.unwrap();
    assert_eq!(page.entries.iter().map(|block| block.height().get()).collect::<Vec<_>>(), [4, 3, 2, 1, 0]);
    node.state().blocks[3] = theirs[3].clone();
    let error = client([&node]).list_blocks(0, None).await.unwrap_err();
    assert!(matches!(error, Error::Unproven { source: VerifyError::Parent { .. }, .. }), "{error:?}");
    node.state().blocks = vec![ours[1].clone(), ours[2].clone(), ours[4].clone()];
    client([&node]).list_headers(0, None).await.unwrap_err();
}
