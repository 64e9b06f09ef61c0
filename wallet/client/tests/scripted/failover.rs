//! Which node is asked.

use std::time::Duration;

use farthing::Address;
use farthing_client::Error;
use tonic::Code;

use crate::node::{Deed, Node, builder, chain, client, point};

const SOMEBODY: Address = Address::from_bytes([3; 32]);

fn refuse(code: Code, reason: &'static str) -> Deed {
    Deed::Refuse(code, reason, None)
}

#[tokio::test]
async fn the_next_node_is_asked_at_once_and_the_one_that_failed_is_left_alone() {
    let (first, second) = (Node::start().await, Node::start().await);
    // It asks for so long a rest that this test cannot outlast it.
    first.state().will("account", [Deed::Refuse(Code::Unavailable, "STOPPING", Some(Duration::from_secs(600)))]);
    let client = client([&first, &second]);
    for _ in 0..3 {
        client.account(&SOMEBODY).await.unwrap();
    }
    assert_eq!((first.state().calls("account"), second.state().calls("account")), (1, 3));
}

#[tokio::test]
async fn a_node_comes_back_into_use_after_its_rest() {
    let (first, second) = (Node::start().await, Node::start().await);
    first.state().will("account", [Deed::Refuse(Code::Unavailable, "STOPPING", Some(Duration::from_millis(50)))]);
    let client = client([&first, &second]);
    client.account(&SOMEBODY).await.unwrap();
    // The condition is waited for: asked often enough, the first one answers again.
    tokio::time::timeout(Duration::from_secs(30), async {
        while first.state().calls("account") < 2 {
            client.account(&SOMEBODY).await.unwrap();
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_node_that_is_not_there_is_passed_over() {
    let (gone, second) = (Node::start().await, Node::start().await);
    let client = builder([&gone, &second]).build().unwrap();
    let url = gone.url.clone();
    drop(gone);
    client.account(&SOMEBODY).await.unwrap();
    let alone = builder([]).node(url.clone()).retry(farthing_client::RetryPolicy::never()).build().unwrap();
    let error = alone.account(&SOMEBODY).await.unwrap_err();
    assert_eq!(error.to_string(), format!("no node answers at {url}"));
}

#[tokio::test]
async fn a_node_of_another_network_is_refused_by_name_and_never_asked() {
    let (foreign, ours) = (Node::start().await, Node::start().await);
    foreign.state().genesis = Some([9; 32]);
    let error = client([&foreign]).account(&SOMEBODY).await.unwrap_err();
    assert!(matches!(&error, Error::WrongNetwork { found, expected, .. } if found == "elsewhere" && expected == "dev"));
    assert!(error.to_string().contains("\"elsewhere\""), "{error}");
    client([&foreign, &ours]).account(&SOMEBODY).await.unwrap();
    assert_eq!(foreign.state().calls("account"), 0);
}

#[tokio::test]
async fn a_node_that_another_one_replaces_is_asked_again_who_it_is() {
    let node = Node::start().await;
    let client = client([&node]);
    client.account(&SOMEBODY).await.unwrap();
    node.state().genesis = Some([9; 32]);
    node.state().will("account", [Deed::Cut]);
    let error = client.account(&SOMEBODY).await.unwrap_err();
    assert!(matches!(error.last(), Error::WrongNetwork { .. }), "{error:?}");
}

#[tokio::test]
async fn a_node_that_is_far_behind_is_not_asked_about_the_tip() {
    let (behind, ahead) = (Node::start().await, Node::start().await);
    behind.state().tip = Some(point(5, 12));
    ahead.state().tip = Some(point(100, 202));
    behind.state().blocks = chain(2, 2, 0);
    let client = client([&behind, &ahead]);
    assert_eq!(client.account(&SOMEBODY).await.unwrap().tip.height.get(), 100);
    assert_eq!((behind.state().calls("account"), ahead.state().calls("account")), (0, 1));
    // What does not depend on the tip is still asked of the preferred one.
    let infos = behind.state().calls("info");
    assert_eq!(client.node_info().await.unwrap().tip.height.get(), 5);
    assert_eq!(behind.state().calls("info"), infos + 1);
}

#[tokio::test]
async fn two_blocks_less_or_less_work_in_more_blocks_is_not_far_behind() {
    for (height, work) in [(7, 16), (100, 11)] {
        let (first, second) = (Node::start().await, Node::start().await);
        first.state().tip = Some(point(5, 12));
        second.state().tip = Some(point(height, work));
        client([&first, &second]).account(&SOMEBODY).await.unwrap();
        assert_eq!(first.state().calls("account"), 1, "{height} {work}");
    }
}

#[tokio::test]
async fn a_node_that_lies_is_left_for_one_that_does_not() {
    let (liar, honest) = (Node::start().await, Node::start().await);
    liar.state().boast = 1;
    let error = client([&liar]).account(&SOMEBODY).await.unwrap_err();
    assert!(matches!(error, Error::Unproven { .. }), "{error:?}");
    assert_eq!(liar.state().calls("account"), 1);
    client([&liar, &honest]).account(&SOMEBODY).await.unwrap();
    assert_eq!(honest.state().calls("account"), 1);
}

#[tokio::test]
async fn what_one_node_lacks_another_one_is_asked_for_once() {
    let lacks = ["BLOCK_PRUNED", "TRANSACTION_INDEX_OFF"].map(|reason| refuse(Code::FailedPrecondition, reason));
    for deed in lacks.into_iter().chain([refuse(Code::Internal, "INTERNAL")]) {
        let (first, second) = (Node::start().await, Node::start().await);
        first.state().will("account", vec![deed.clone(); 9]);
        client([&first, &second]).account(&SOMEBODY).await.unwrap();
        second.state().will("account", vec![deed.clone(); 9]);
        client([&first, &second]).account(&SOMEBODY).await.unwrap_err();
        assert_eq!((first.state().calls("account"), second.state().calls("account")), (2, 2), "{deed:?}");
    }
}
