//! Side branches, ties and changes from one branch to another.

use std::time::Duration;

use farthing::{Block, Height, account::accounts_root, header::commitment};

use super::{grow, take};
use crate::{
    chain::{Accepted, BlockRejection, ChainView, HeaderRejection, SessionId},
    testing::{ALICE, BOB, TestChain, dev, mine, solve},
};

/// Mines a branch of so many blocks on its own chain, from genesis on.
pub(super) async fn branch(length: u64, mark: u8) -> (TestChain, Vec<Block>) {
    let chain = TestChain::start();
    let mut blocks = Vec::new();
    for n in 0..length {
        let transfers = if n == 1 { vec![ALICE.pay(0, BOB.address(), u64::from(mark))] } else { Vec::new() };
        let block = mine(&dev(), &chain.chain.view(), transfers, mark);
        take(&chain, &block).await.unwrap();
        blocks.push(block);
    }
    (chain, blocks)
}

fn assert_same(a: &ChainView, b: &ChainView) {
    assert_eq!(a.tip, b.tip);
    assert_eq!(a.range, b.range);
    assert_eq!(a.supply, b.supply);
    assert_eq!(a.accounts.root(), b.accounts.root());
    let sorted: Vec<_> = a.accounts.iter().map(|(address, entry)| (*address, entry.account)).collect();
    assert_eq!(a.accounts.root(), accounts_root(&sorted));
    let metas = |view: &ChainView| view.accounts.iter().map(|(_, e)| e.meta.last_touch).collect::<Vec<_>>();
    assert_eq!(metas(a), metas(b));
}

#[tokio::test]
async fn the_heavier_branch_wins_at_every_depth_and_leaves_the_same_ledger() {
    for depth in [1, 2, 7, 60, 100] {
        let (short, short_blocks) = branch(depth, 1).await;
        let (long, long_blocks) = branch(depth + 1, 2).await;
        let mut changes = short.chain.subscribe();
        for block in &long_blocks {
            take(&short, block).await.unwrap();
        }
        assert_same(&short.chain.view(), &long.chain.view());
        let change = changes.next().await.unwrap().unwrap();
        assert_eq!((change.depth(), change.gained()), (depth, depth + 1));
        assert_eq!(change.is_deep(), depth == 100);
        let undone: Vec<_> = change.undone.iter().map(|block| block.id).collect();
        let applied: Vec<_> = change.applied.iter().map(|block| block.id).collect();
        let of = |blocks: &[Block]| blocks.iter().map(Block::id).collect::<Vec<_>>();
        if change.is_deep() {
            // What is in memory at once is bounded, however deep the change is.
            assert_eq!((undone, applied), (Vec::new(), of(&long_blocks[long_blocks.len() - 8..])));
        } else {
            assert_eq!((undone, applied), (of(&short_blocks).into_iter().rev().collect(), of(&long_blocks)));
        }
        for block in &long_blocks {
            let height = short.chain.best_height_of(block.id()).await.unwrap();
            assert_eq!(height, Some(block.coinbase.height));
        }
        // Ancestry on the new branch is proven by the rewritten range.
        let proof = short.chain.ancestry_proof(Height::new(1), depth + 1).await.unwrap().unwrap();
        let leaf = crate::ledger::range_leaf(&short.chain.header(long_blocks[0].id()).await.unwrap().unwrap());
        // The tip commits to the `depth + 1` headers before it.
        let committed = long.chain.view().tip.header().commitment;
        let chain_root = proof.chain_root(&leaf).unwrap();
        assert_eq!(commitment(&short.chain.view().accounts.root(), &chain_root), committed);
    }
}

#[tokio::test]
async fn a_branch_that_returns_is_taken_back_with_the_state_it_had() {
    let (first, first_blocks) = branch(2, 1).await;
    let (_, second_blocks) = branch(3, 2).await;
    let before = first.chain.view();
    for block in &second_blocks {
        take(&first, block).await.unwrap();
    }
    assert_ne!(first.chain.view().tip.id(), before.tip.id());
    // Two more on the first branch: it is heavier again.
    let other = TestChain::start();
    for block in &first_blocks {
        take(&other, block).await.unwrap();
    }
    for _ in 0..2 {
        let block = mine(&dev(), &other.chain.view(), Vec::new(), 1);
        take(&other, &block).await.unwrap();
        take(&first, &block).await.unwrap();
    }
    assert_same(&first.chain.view(), &other.chain.view());
    // And the keys that the branch carried are known again.
    let block = mine(&dev(), &first.chain.view(), vec![ALICE.pay(1, BOB.address(), 3)], 1);
    assert_eq!(take(&first, &block).await.unwrap(), Accepted::Connected);
}

#[tokio::test]
async fn the_first_seen_of_equal_branches_stays_until_the_tie_has_stood_for_three_spacings() {
    let (one, one_blocks) = branch(1, 1).await;
    let (two, two_blocks) = branch(1, 2).await;
    assert_eq!(take(&one, &two_blocks[0]).await.unwrap(), Accepted::SideBranch);
    assert_eq!(take(&two, &one_blocks[0]).await.unwrap(), Accepted::SideBranch);
    let smaller = one_blocks[0].id().min(two_blocks[0].id());
    for chain in [&one, &two] {
        chain.clock.advance(Duration::from_millis(3 * dev().target_spacing_ms));
        // The tie's timer runs on real time; a command makes the writer look at the clock at once.
        chain.chain.accept_headers(Vec::new(), SessionId::new(1)).await.unwrap();
        let mut view = chain.chain.watch();
        let settled = view.wait_for(|view| view.tip.id() == smaller);
        tokio::time::timeout(Duration::from_secs(20), settled).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn an_invalid_block_inside_a_branch_that_catches_up_leaves_the_tip_alone() {
    let (chain, _) = branch(3, 1).await;
    let (other, _) = branch(1, 2).await;
    let good = other.chain.view();
    // Valid until it is executed: its commitment is of another state.
    let mut bad = mine(&dev(), &good, Vec::new(), 2);
    bad.header.commitment = farthing::Hash::ZERO;
    let bad = solve(bad);
    let parent = other.chain.block(good.tip.id()).await.unwrap().unwrap();
    take(&chain, &parent).await.unwrap();
    assert_eq!(take(&chain, &bad).await.unwrap(), Accepted::SideBranch);
    let tip = chain.chain.view().tip;
    let mut child = mine(&dev(), &good, Vec::new(), 3);
    child.header.previous = bad.id();
    child.header.time = bad.header.time.saturating_add(1);
    let child = solve(child);
    let rejection = take(&chain, &child).await.unwrap_err();
    assert!(rejection.is_senders_fault(), "{rejection}");
    assert_eq!(chain.chain.view().tip, tip);
    let again = take(&chain, &child).await.unwrap_err();
    assert!(matches!(again, BlockRejection::KnownInvalid { .. }), "{again}");
    assert_eq!(grow(&chain, 1).await.tip.height(), Height::new(4));
}

/// Others are told of a tie. If it were kept unexecuted, whoever relays an invalid one would be blamed for it.
#[tokio::test]
async fn a_block_of_equal_work_is_executed_before_it_is_called_a_tie() {
    let (chain, _) = branch(1, 1).await;
    let genesis = ChainView::genesis(&dev());
    let mut bad = mine(&dev(), &genesis, Vec::new(), 2);
    bad.header.commitment = farthing::Hash::ZERO;
    let bad = solve(bad);
    let tip = chain.chain.view().tip;
    let rejection = take(&chain, &bad).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::Block { .. }), "{rejection}");
    let again = chain.chain.accept_headers(vec![bad.header], SessionId::new(1)).await.unwrap_err();
    assert!(matches!(again, HeaderRejection::KnownInvalid { .. }), "{again}");
    let good = mine(&dev(), &genesis, Vec::new(), 3);
    assert_eq!(take(&chain, &good).await.unwrap(), Accepted::SideBranch);
    assert_eq!(chain.chain.view().tip, tip);
}
