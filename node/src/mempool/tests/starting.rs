//! Starting anew: on a chain that has moved, without a transaction index, again and again.

use super::*;

/// A chain whose tip has moved to another branch after it was recovered with a transfer mined; and that transfer.
async fn moved(test: &TestChain) -> (Arc<ChainView>, SignedTransaction) {
    let genesis = test.chain.view();
    let transfer = ALICE.pay(0, BOB.address(), 1);
    let block = mine(&dev(), &genesis, vec![transfer.clone()], 1);
    test.chain.submit_block(block, Origin::Local).await.unwrap();
    let recovered = test.chain.view();
    overtake(test, &genesis).await;
    (recovered, transfer)
}

#[tokio::test]
async fn what_the_chain_undid_before_the_mempool_listened_waits_again() {
    let test = TestChain::start();
    let (recovered, transfer) = moved(&test).await;
    let ledger = Arc::new(StartingLedger::new(test.chain.clone(), recovered, true));
    let fixture = begin_with(test, MemoryJournal::new(), ledger).await;
    fixture.pool_reaches(2).await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), Some(PoolStatus::Pending));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), Some(PoolStatus::Pending));
}

#[tokio::test]
async fn an_acknowledged_transfer_on_a_branch_that_is_left_at_start_waits_again() {
    let fixture = fixture().await;
    assert_eq!(fixture.submit(vec![ALICE.pay(0, BOB.address(), 1)]).await, [Ok(PoolStatus::Pending)]);
    let (test, journal) = fixture.stop().await;
    let (recovered, transfer) = moved(&test).await;
    let ledger = Arc::new(StartingLedger::new(test.chain.clone(), recovered, true));
    let fixture = begin_with(test, journal, ledger).await;
    fixture.pool_reaches(2).await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), Some(PoolStatus::Pending));
}

#[tokio::test]
async fn what_both_branches_mined_does_not_come_back() {
    let test = TestChain::start();
    let genesis = test.chain.view();
    let transfer = ALICE.pay(0, BOB.address(), 1);
    let block = mine(&dev(), &genesis, vec![transfer.clone()], 1);
    test.chain.submit_block(block, Origin::Local).await.unwrap();
    let recovered = test.chain.view();
    let first = mine(&dev(), &genesis, vec![transfer.clone()], 2);
    let checked = farthing_consensus::check_block(&dev(), &first).unwrap();
    let context = farthing_consensus::check_header(&dev(), &genesis.tip, &first.header, test.now()).unwrap();
    let view = genesis.apply(&dev(), &checked, &context).unwrap().view;
    test.chain.submit_block(first, Origin::Local).await.unwrap();
    test.chain.submit_block(mine(&dev(), &view, Vec::new(), 2), Origin::Local).await.unwrap();
    let ledger = Arc::new(StartingLedger::new(test.chain.clone(), recovered, true));
    let fixture = begin_with(test, MemoryJournal::new(), ledger).await;
    fixture.pool_reaches(2).await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), None);
}

#[tokio::test]
async fn without_a_transaction_index_what_was_mined_is_not_called_dropped() {
    let fixture = fixture().await;
    let mined = ALICE.pay(0, BOB.address(), 1);
    assert_eq!(fixture.submit(vec![mined.clone()]).await, [Ok(PoolStatus::Pending)]);
    let chain = fixture.test.chain.clone();
    chain.submit_block(mine(&dev(), &chain.view(), vec![mined.clone()], 1), Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;
    let (test, journal) = fixture.stop().await;
    let ledger = StartingLedger::new(chain.clone(), chain.view(), false);
    assert!(ledger.may_be_mined(&TxId::from_bytes([9; 32])), "nobody can tell");
    let fixture = begin_with(test, journal, Arc::new(ledger)).await;
    assert_eq!(fixture.mempool.status(&id(&mined)), None);
}

#[tokio::test]
async fn a_journal_does_not_grow_with_the_number_of_starts() {
    let mut fixture = fixture().await;
    let (mined, waiting) = (ALICE.pay(0, BOB.address(), 1), ALICE.pay(1, BOB.address(), 1));
    fixture.submit(vec![mined.clone(), waiting.clone(), BOB.pay(0, ALICE.address(), 1)]).await;
    let chain = fixture.test.chain.clone();
    let block = mine(&dev(), &chain.view(), vec![mined, BOB.pay(0, ALICE.address(), 2)], 1);
    chain.submit_block(block, Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;
    for _ in 0..3 {
        fixture = fixture.restart().await;
        // One that waits, and the reason for one that does not.
        assert_eq!(fixture.journal.load().unwrap().len(), 2);
        assert_eq!(fixture.mempool.status(&id(&waiting)), Some(PoolStatus::Pending));
    }
}

#[tokio::test]
async fn a_disk_that_is_full_at_the_start_delays_the_rewrite_and_nothing_else() {
    let fixture = fixture().await;
    let (mined, waiting) = (ALICE.pay(0, BOB.address(), 1), ALICE.pay(1, BOB.address(), 1));
    fixture.submit(vec![mined.clone(), waiting.clone()]).await;
    let chain = fixture.test.chain.clone();
    chain.submit_block(mine(&dev(), &chain.view(), vec![mined], 1), Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;
    let path = "/data/mempool.journal".into();
    fixture.journal.fail_with(Some(JournalError::DiskFull { path, needed: 400, free: 0 }));
    let fixture = fixture.restart().await;
    assert_eq!(fixture.mempool.status(&id(&waiting)), Some(PoolStatus::Pending));
    assert_eq!(fixture.journal.load().unwrap().len(), 2);
    fixture.journal.fail_with(None);
    assert_eq!(fixture.submit(vec![BOB.pay(0, ALICE.address(), 1)]).await, [Ok(PoolStatus::Pending)]);
    fixture.restart().await.journal_holds(2);
}

impl Fixture {
    fn journal_holds(&self, entries: usize) {
        assert_eq!(self.journal.load().unwrap().len(), entries);
    }
}
