//! The chain as its users see it, over a store in memory.

mod branches;
mod entries;
mod finality;
mod headers;

use std::{path::Path, sync::Arc, time::Duration};

use farthing::{Block, Hash, Mites, TxId};
use farthing_consensus::BlockError;

use super::{Accepted, BlockRejection, ChainView, Origin, TipChange};
use crate::{
    env::{
        Env, ManualClock, MemDisk,
        disk::{Fault, FaultError, FaultOp},
    },
    store::{DiskStore, IndexPlace, StoreOptions},
    tasks::Tasks,
    testing::{ALICE, BOB, TestChain, dev, mine, solve},
};

async fn take(chain: &TestChain, block: &Block) -> Result<Accepted, BlockRejection> {
    chain.chain.submit_block(block.clone(), Origin::Local).await
}

/// Mines an empty block on the tip and takes it.
async fn grow(chain: &TestChain, mark: u8) -> Arc<ChainView> {
    let block = mine(chain.chain.params(), &chain.chain.view(), Vec::new(), mark);
    assert_eq!(take(chain, &block).await.unwrap(), Accepted::Connected);
    chain.chain.view()
}

#[tokio::test]
async fn a_valid_block_becomes_the_tip_and_followers_are_told() {
    let test = TestChain::start();
    let mut changes = test.chain.subscribe();
    let pay = ALICE.pay(0, BOB.address(), 5);
    let id: TxId = pay.transaction().id(test.chain.params().genesis_id());
    let block = mine(&dev(), &test.chain.view(), vec![pay], 1);
    assert_eq!(take(&test, &block).await.unwrap(), Accepted::Connected);
    assert_eq!(take(&test, &block).await.unwrap(), Accepted::AlreadyKnown);

    let change: Arc<TipChange> = changes.next().await.unwrap().unwrap();
    assert_eq!(change.applied[0].id, block.id());
    assert_eq!(change.applied[0].tx_ids, [id]);
    let bob = change.view.account(&BOB.address()).unwrap();
    assert_eq!(bob.balance, Mites::from_far(1_000_005).unwrap());
    let mined = test.chain.locate(id).await.unwrap().unwrap();
    assert_eq!((mined.block_id, mined.index), (block.id(), 1));
    // The key that the first transaction carried is found again for the second, which carries none.
    let block = mine(&dev(), &test.chain.view(), vec![ALICE.pay(1, BOB.address(), 5)], 1);
    assert_eq!(take(&test, &block).await.unwrap(), Accepted::Connected);
}

#[tokio::test]
async fn supply_counts_allocations_subsidies_and_what_was_burned() {
    let test = TestChain::start();
    let stranger = farthing::Address::from_bytes([9; 32]);
    let block = mine(&dev(), &test.chain.view(), vec![ALICE.pay(0, stranger, 5)], 1);
    take(&test, &block).await.unwrap();
    let view = test.chain.view();
    let held = Mites::checked_sum(view.accounts.iter().map(|(_, entry)| entry.account.balance)).unwrap();
    assert_eq!(view.supply, held);
    let subsidy = dev().subsidy(view.tip.height());
    let expected = dev().allocated().checked_add(subsidy).unwrap().checked_sub(dev().opening_cost).unwrap();
    assert_eq!(view.supply, expected);
}

#[tokio::test]
async fn a_signature_that_does_not_hold_condemns_the_block_and_names_the_transaction() {
    let test = TestChain::start();
    // Bob's signature under Alice's transfer: all but the signature is right.
    let transfer = ALICE.pay(0, BOB.address(), 5);
    let forged = farthing::SignedTransaction::new(
        transfer.transaction().clone(),
        BOB.sign(transfer.transaction().clone()).signature().clone(),
    );
    let block = mine(&dev(), &test.chain.view(), vec![forged.unwrap()], 1);
    let rejection = take(&test, &block).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::Signature { transaction: 0, .. }), "{rejection}");
    let rejection = take(&test, &block).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::KnownInvalid { .. }), "{rejection}");
}

/// CVE-2024-52921: a mutated body must not poison the id of the real one.
#[tokio::test]
async fn a_body_that_the_header_does_not_commit_to_condemns_nothing() {
    let test = TestChain::start();
    let good = mine(&dev(), &test.chain.view(), vec![ALICE.pay(0, BOB.address(), 5)], 1);
    let mut mutated = good.clone();
    mutated.transactions.push(mutated.transactions[0].clone());
    let rejection = take(&test, &mutated).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::Block { error: BlockError::WrongTxRoot { .. }, .. }), "{rejection}");
    assert_eq!(take(&test, &good).await.unwrap(), Accepted::Connected);
}

#[tokio::test]
async fn a_wrong_commitment_is_refused_and_nothing_changes() {
    let test = TestChain::start();
    let mut block = mine(&dev(), &test.chain.view(), Vec::new(), 1);
    block.header.commitment = Hash::ZERO;
    let rejection = take(&test, &solve(block)).await.unwrap_err();
    assert!(
        matches!(rejection, BlockRejection::Block { error: BlockError::WrongCommitment { .. }, .. }),
        "{rejection}"
    );
    assert_eq!(test.chain.view().tip.height().get(), 0);
}

#[tokio::test]
async fn a_block_from_the_future_is_taken_when_its_time_comes() {
    let test = TestChain::start();
    let mut block = mine(&dev(), &test.chain.view(), Vec::new(), 1);
    block.header.time = test.now().saturating_add(61_000);
    let block = solve(block);
    let rejection = take(&test, &block).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::FromFuture { .. }), "{rejection}");
    test.clock.advance(std::time::Duration::from_secs(2));
    test.height_reaches(1).await;
    assert_eq!(test.chain.view().tip.id(), block.id());
}

/// After a failed sync nobody knows what is on the disk.
#[tokio::test]
async fn a_disk_that_fails_under_a_block_from_the_future_stops_the_node() {
    let (disk, clock) = (MemDisk::new(), ManualClock::new(dev().genesis_time.saturating_add(86_400_000)));
    let env = Env::system().unwrap().with_clock(clock.clone()).with_disk(disk.clone());
    let options = StoreOptions { index: IndexPlace::Memory, reserve_bytes: 0, ..StoreOptions::default() };
    let (store, found) = DiskStore::open(dev(), &env, Path::new("/data"), options, &|_| {}).unwrap();
    let tasks = Tasks::new();
    let settings = super::Settings::default();
    let chain = super::start(dev(), env, store, found.view, found.candidates, settings, &tasks);
    let mut block = mine(&dev(), &chain.view(), Vec::new(), 1);
    block.header.time = crate::env::Clock::now(&clock).saturating_add(61_000);
    let rejection = chain.submit_block(solve(block), Origin::Local).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::FromFuture { .. }), "{rejection}");
    disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: true });
    clock.advance(Duration::from_secs(2));
    let ended = tokio::time::timeout(Duration::from_secs(20), tasks.supervise()).await;
    assert!(matches!(ended, Ok(Err(_))), "{ended:?}");
}

#[tokio::test]
async fn a_block_from_the_future_is_taken_in_time_however_busy_the_chain_is() {
    let test = TestChain::start();
    let genesis = dev().genesis().clone();
    let mut block = mine(&dev(), &test.chain.view(), Vec::new(), 1);
    block.header.time = test.now().saturating_add(61_000);
    let rejection = take(&test, &solve(block)).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::FromFuture { .. }), "{rejection}");
    test.clock.advance(std::time::Duration::from_secs(2));
    let mut commands = tokio::time::interval(std::time::Duration::from_millis(200));
    let keep_busy = async {
        loop {
            commands.tick().await;
            assert_eq!(take(&test, &genesis).await.unwrap(), Accepted::AlreadyKnown);
        }
    };
    tokio::select! {
        () = test.height_reaches(1) => {}
        () = keep_busy => {}
    }
}

#[tokio::test]
async fn a_block_without_its_parent_names_what_is_missing() {
    let test = TestChain::start();
    let other = TestChain::start();
    grow(&other, 1).await;
    let block = mine(&dev(), &other.chain.view(), Vec::new(), 1);
    let rejection = take(&test, &block).await.unwrap_err();
    assert!(matches!(rejection, BlockRejection::Orphan { missing } if missing == block.header.previous), "{rejection}");
}
