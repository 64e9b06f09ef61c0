//! A journal that cannot be written: nobody is told a lie, and nothing acknowledged is lost.

use std::path::PathBuf;

use farthing::{Transaction, tx::TransactionFields};
use futures_util::FutureExt as _;

use super::*;
use crate::mempool::submit::MAX_IN_FLIGHT;

fn full() -> JournalError {
    JournalError::DiskFull { path: PathBuf::from("/data/mempool.journal"), needed: 400, free: 0 }
}

/// Alice's transfer with a fee that pays for its place.
fn dear(old: &SignedTransaction) -> SignedTransaction {
    let old = old.transaction();
    ALICE.sign(
        Transaction::new(TransactionFields {
            sender: old.sender().clone(),
            nonce: old.nonce(),
            fee: Mites::new(90_000_000),
            valid_until: None,
            outputs: old.outputs().to_vec(),
            memo: Vec::new(),
        })
        .unwrap(),
    )
}

#[tokio::test]
async fn what_the_journal_cannot_write_is_not_taken_and_can_be_sent_again() {
    let fixture = fixture().await;
    fixture.journal.fail_with(Some(full()));
    let transfer = ALICE.pay(0, BOB.address(), 1);
    let refused = fixture.submit(vec![transfer.clone()]).await;
    assert_eq!(refused, [Err(Rejection::JournalFailed(full().to_string()))]);
    assert_eq!(fixture.mempool.stats().executable, 0);
    assert_eq!(fixture.mempool.status(&id(&transfer)), None);
    fixture.journal.fail_with(None);
    assert_eq!(fixture.submit(vec![transfer]).await, [Ok(PoolStatus::Pending)]);
}

#[tokio::test]
async fn a_journal_that_lost_track_of_the_disk_stops_the_node() {
    let fixture = fixture().await;
    let path = PathBuf::from("/data/mempool.journal");
    fixture.journal.fail_with(Some(JournalError::Unknown { what: "sync", path, reason: "EIO".to_owned() }));
    let refused = fixture.submit(vec![ALICE.pay(0, BOB.address(), 1)]).await;
    assert!(matches!(&refused[..], [Err(Rejection::JournalFailed(_))]), "{refused:?}");
    let failure = timeout(DEADLINE, fixture.tasks.clone().supervise()).await.unwrap().unwrap_err();
    assert_eq!(
        crate::tasks::Chain(&failure).to_string(),
        "task mempool journal failed: cannot sync /data/mempool.journal: EIO; restart the node, which checks the journal"
    );
}

#[tokio::test]
async fn a_replacement_on_a_full_disk_is_refused_and_the_acknowledged_transfer_stays() {
    let fixture = fixture().await;
    let mut announced = fixture.mempool.subscribe();
    let old = ALICE.pay(0, BOB.address(), 1);
    let new = dear(&old);
    assert_eq!(fixture.submit(vec![old.clone()]).await, [Ok(PoolStatus::Pending)]);
    announced.try_recv().unwrap();
    fixture.journal.fail_with(Some(full()));
    let refused = fixture.submit(vec![new.clone(), old.clone()]).await;
    assert!(matches!(&refused[..], [Err(Rejection::JournalFailed(_)), Ok(PoolStatus::Pending)]), "{refused:?}");
    assert_eq!(fixture.mempool.status(&id(&old)), Some(PoolStatus::Pending));
    assert_eq!(fixture.mempool.status(&id(&new)), None);
    while let Ok(announcement) = announced.try_recv() {
        assert!(announcement.transactions.iter().all(|(wire, _)| *wire != new.wire_id()));
    }
    fixture.journal.fail_with(None);
    assert_eq!(fixture.submit(vec![new.clone()]).await, [Ok(PoolStatus::Pending)]);
    let fixture = fixture.restart().await;
    assert_eq!(fixture.mempool.status(&id(&new)), Some(PoolStatus::Pending));
}

#[tokio::test]
async fn what_a_reorg_undoes_on_a_full_disk_waits_and_is_written_when_there_is_room() {
    let fixture = fixture().await;
    let genesis = fixture.test.chain.view();
    let transfer = ALICE.pay(0, BOB.address(), 1);
    let block = mine(&dev(), &genesis, vec![transfer.clone()], 1);
    fixture.test.chain.submit_block(block, Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;
    fixture.journal.fail_with(Some(full()));
    overtake(&fixture.test, &genesis).await;
    fixture.pool_reaches(2).await;
    let refused = fixture.submit(vec![BOB.pay(0, ALICE.address(), 1), transfer.clone()]).await;
    assert!(refused.iter().all(|verdict| matches!(verdict, Err(Rejection::JournalFailed(_)))), "{refused:?}");
    assert_eq!(fixture.mempool.status(&id(&transfer)), Some(PoolStatus::Pending));
    assert!(fixture.journal.load().unwrap().is_empty());
    fixture.journal.fail_with(None);
    assert_eq!(fixture.submit(vec![transfer, BOB.pay(0, ALICE.address(), 1)]).await, vec![Ok(PoolStatus::Pending); 2]);
    assert_eq!(fixture.journal.load().unwrap().len(), 2);
}

#[tokio::test]
async fn a_submission_that_was_given_up_keeps_its_places_until_its_work_is_done() {
    let fixture = fixture().await;
    let places = Arc::clone(&fixture.mempool.shared.in_flight);
    let batch: Vec<_> = (0..3).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    // Handed over to the journal's writer, which has had no turn yet; then nobody waits for the answer any more.
    assert!(fixture.mempool.submit(batch, Source::Rpc).now_or_never().is_none());
    assert_eq!(places.available_permits(), MAX_IN_FLIGHT - 3);
    let all = u32::try_from(MAX_IN_FLIGHT).unwrap();
    let returned = timeout(DEADLINE, places.acquire_many(all)).await.unwrap().unwrap();
    assert_eq!(fixture.journal.syncs(), 1);
    drop(returned);
}
