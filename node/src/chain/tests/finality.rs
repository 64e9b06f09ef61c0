//! What the operator made final is never undone, whatever the work of the branch that would.

use std::num::NonZeroU64;

use farthing::{Block, Height};

use super::{branches::branch, take};
use crate::{
    chain::{Accepted, BlockRejection, HeaderRejection, SessionId, Settings},
    testing::TestChain,
};

/// A chain of these blocks on which those with `depth` others on top are final.
async fn with_depth(depth: u64, blocks: &[Block]) -> TestChain {
    let settings = Settings { finality_depth: NonZeroU64::new(depth), ..Settings::default() };
    let chain = TestChain::with(settings);
    for block in blocks {
        assert_eq!(take(&chain, block).await.unwrap(), Accepted::Connected);
    }
    chain
}

#[tokio::test]
async fn a_branch_that_undoes_as_many_blocks_as_the_depth_is_followed_and_one_more_is_not() {
    let (_, ours) = branch(6, 1).await;
    let (_, theirs) = branch(9, 2).await;
    let follows = with_depth(6, &ours).await;
    assert_eq!(follows.chain.final_height(), Some(Height::GENESIS));
    for block in &theirs[..7] {
        take(&follows, block).await.unwrap();
    }
    assert_eq!(follows.chain.view().tip.id(), theirs[6].id());

    let refuses = with_depth(5, &ours).await;
    assert_eq!(refuses.chain.final_height(), Some(Height::new(1)));
    let before = refuses.chain.view().tip;
    for block in &theirs {
        let rejection = take(&refuses, block).await.unwrap_err();
        // Nothing of the branch is kept, so all but its first block lack their parent.
        let first = block.coinbase.height == Height::new(1);
        match rejection {
            BlockRejection::BelowFinal { final_height, .. } if first => assert_eq!(final_height, Height::new(1)),
            BlockRejection::Orphan { .. } if !first => {}
            other => panic!("{other}"),
        }
    }
    assert_eq!(refuses.chain.view().tip, before);
    let headers = theirs.iter().map(|block| block.header).collect();
    let rejection = refuses.chain.accept_headers(headers, SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::BelowFinal { .. }), "{rejection}");
    assert_eq!(refuses.chain.best_header(), before);
}

#[tokio::test]
async fn a_side_branch_that_was_kept_before_gets_no_more_blocks_once_its_fork_is_final() {
    let (_, ours) = branch(6, 1).await;
    let (_, theirs) = branch(9, 2).await;
    let chain = with_depth(3, &ours[..3]).await;
    for block in &theirs[..3] {
        // A tie at most, so it is kept.
        assert_eq!(take(&chain, block).await.unwrap(), Accepted::SideBranch);
    }
    chain.chain.accept_headers(vec![theirs[3].header], SessionId::new(1)).await.unwrap();
    let mut missing = chain.chain.missing_bodies(theirs[3].id());
    assert_eq!(missing.lowest(16).await, [theirs[3].id()]);
    for block in &ours[3..] {
        take(&chain, block).await.unwrap();
    }
    let tip = chain.chain.view().tip;
    // Only bodies are asked where their branch leaves, and headers that stand on one: whatever waits may be long.
    chain.chain.accept_headers(vec![theirs[4].header], SessionId::new(1)).await.unwrap();
    assert_eq!(missing.lowest(16).await, [theirs[3].id()]);
    let rejection = take(&chain, &theirs[3]).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::BelowFinal { .. }), "{rejection}");
    assert!(!rejection.is_senders_fault());
    assert!(missing.lowest(16).await.is_empty(), "nobody waits for its body any longer");
    assert_eq!(chain.chain.best_header(), tip, "nor for those that stand on it");
    let headers = theirs[3..].iter().map(|block| block.header).collect();
    let rejection = chain.chain.accept_headers(headers, SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::BelowFinal { .. }), "{rejection}");
    assert_eq!(chain.chain.view().tip, tip);
}

/// One header on genesis costs next to nothing, and would otherwise have people restart their nodes.
#[tokio::test]
async fn people_are_told_of_a_branch_that_is_refused_once_it_shows_as_much_work() {
    let (_, ours) = branch(6, 1).await;
    let (_, theirs) = branch(9, 2).await;
    let chain = with_depth(3, &ours).await;
    let tip = chain.chain.view().tip;
    let was_said = || chain.chain.shared.finality.state().said.is_some();
    let headers: Vec<_> = theirs.iter().map(|block| block.header).collect();
    // The second list goes on where the first one ended, and the third stands on the second.
    for (list, is_heavier) in [(&headers[..4], false), (&headers[3..5], false), (&headers[5..], true)] {
        let rejection = chain.chain.accept_headers(list.to_vec(), SessionId::new(1)).await.unwrap_err();
        let HeaderRejection::BelowFinal { last, .. } = rejection else { panic!("{rejection}") };
        assert_eq!((Some(last.id()), was_said()), (list.last().map(farthing::Header::id), is_heavier));
        assert_eq!(chain.chain.best_header(), tip, "nothing is kept");
    }
    // Whatever others' lists pushed out meanwhile: whoever asks for the next list says what it stands on.
    let forgetful = with_depth(3, &ours).await;
    let rejection = forgetful.chain.accept_headers(headers[..5].to_vec(), SessionId::new(1)).await.unwrap_err();
    let HeaderRejection::BelowFinal { last, .. } = rejection else { panic!("{rejection}") };
    let other = with_depth(3, &ours).await;
    let rest = headers[5..].to_vec();
    let rejection = other.chain.accept_headers(rest.clone(), SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::Orphan { .. }), "{rejection}");
    let rejection = other.chain.accept_headers_on_ruled_out(*last, rest, SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::BelowFinal { .. }), "{rejection}");
    assert!(other.chain.shared.finality.state().said.is_some());
    let mut wrong = headers[8];
    wrong.previous = headers[8].id();
    let rejection = chain.chain.accept_headers(vec![wrong], SessionId::new(1)).await.unwrap_err();
    assert!(matches!(rejection, HeaderRejection::Invalid { .. }), "{rejection}");
}
