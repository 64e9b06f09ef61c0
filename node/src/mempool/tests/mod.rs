//! The mempool as its users see it: on a chain in memory, with a journal.

mod full_disk;
mod small_disk;
mod starting;

use std::{sync::Arc, time::Duration};

use farthing::{Mites, Signature, SignedTransaction, TxId};
use tokio::time::timeout;

use super::{
    Arrival, DropReason, JournalError, Ledger, MemoryJournal, Mempool, PoolJournal as _, PoolLimits, PoolStatus,
    Rejection, Source, StartingLedger, follow, start,
};
use crate::{
    chain::{ChainView, Origin, SessionId},
    env::{Compute, Env},
    tasks::Tasks,
    testing::{ALICE, BOB, TestChain, dev, mine},
};

/// Longest that a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    test: TestChain,
    journal: MemoryJournal,
    mempool: Mempool,
    tasks: Tasks,
}

async fn fixture() -> Fixture {
    begin(TestChain::start(), MemoryJournal::new()).await
}

async fn begin(test: TestChain, journal: MemoryJournal) -> Fixture {
    let ledger: Arc<dyn Ledger> = Arc::new(test.chain.clone());
    begin_with(test, journal, ledger).await
}

async fn begin_with(test: TestChain, journal: MemoryJournal, ledger: Arc<dyn Ledger>) -> Fixture {
    let tasks = Tasks::new();
    // In place: so that what shares a sync is not a matter of luck.
    let env = Env::system().unwrap().with_clock(test.clock.clone()).with_compute(Compute::inline());
    let changes = test.chain.subscribe();
    let kept = Arc::new(journal.clone());
    let mempool = start(&tasks, env.clone(), dev(), PoolLimits::default(), ledger, kept).await.unwrap();
    let following = follow(mempool.clone(), test.chain.clone(), changes, env, tasks.token().clone());
    tasks.spawn("mempool", following);
    Fixture { test, journal, mempool, tasks }
}

impl Fixture {
    async fn submit(&self, transactions: Vec<SignedTransaction>) -> Vec<Result<PoolStatus, Rejection>> {
        let verdicts = timeout(DEADLINE, self.mempool.submit(transactions, Source::Rpc)).await.unwrap();
        verdicts.into_iter().map(|verdict| verdict.map(|admitted| admitted.status)).collect()
    }

    async fn pool_reaches(&self, height: u64) {
        let mut stats = self.mempool.watch();
        timeout(DEADLINE, stats.wait_for(|stats| stats.height.get() >= height)).await.unwrap().unwrap();
    }

    /// Ends the node and begins a new one on the same chain and journal.
    async fn restart(self) -> Self {
        let (test, journal) = self.stop().await;
        begin(test, journal).await
    }

    /// Ends the node; its chain goes on.
    async fn stop(self) -> (TestChain, MemoryJournal) {
        self.tasks.stop();
        let Self { test, journal, tasks, .. } = self;
        tasks.supervise().await.unwrap();
        (test, journal)
    }
}

/// Lets another branch of two empty blocks grow past the first block on this view.
async fn overtake(test: &TestChain, from: &ChainView) {
    let first = mine(&dev(), from, Vec::new(), 2);
    let checked = farthing_consensus::check_block(&dev(), &first).unwrap();
    let context = farthing_consensus::check_header(&dev(), &from.tip, &first.header, test.now()).unwrap();
    let view = from.apply(&dev(), &checked, &context).unwrap().view;
    test.chain.submit_block(first, Origin::Local).await.unwrap();
    test.chain.submit_block(mine(&dev(), &view, Vec::new(), 2), Origin::Local).await.unwrap();
}

fn id(signed: &SignedTransaction) -> TxId {
    signed.transaction().id(dev().genesis_id())
}

/// The same transaction with somebody else's signature.
fn forged(signed: &SignedTransaction) -> SignedTransaction {
    let other = BOB.pay(0, ALICE.address(), 77);
    let signature = Signature::from_bytes(other.signature().as_bytes()).unwrap();
    SignedTransaction::new(signed.transaction().clone(), signature).unwrap()
}

#[tokio::test]
async fn a_transfer_is_on_disk_before_it_is_acknowledged_and_announced() {
    let fixture = fixture().await;
    let mut announced = fixture.mempool.subscribe();
    let transfer = ALICE.pay(0, BOB.address(), 1);
    assert_eq!(fixture.submit(vec![transfer.clone()]).await, [Ok(PoolStatus::Pending)]);
    assert_eq!(fixture.journal.syncs(), 1);
    let announcement = announced.try_recv().unwrap();
    assert_eq!(announcement.transactions, [(transfer.wire_id(), Source::Rpc)]);
    assert_eq!(fixture.submit(vec![transfer]).await, [Ok(PoolStatus::Pending)]);
    assert_eq!(fixture.journal.syncs(), 1, "nothing new had to be written");
}

#[tokio::test]
async fn many_submitters_share_one_sync() {
    let fixture = fixture().await;
    let one = |nonce| fixture.mempool.submit(vec![ALICE.pay(nonce, BOB.address(), 1)], Source::Rpc);
    let verdicts = futures_util::future::join_all((0..20).map(one)).await;
    assert!(verdicts.iter().flatten().all(Result::is_ok));
    assert_eq!(fixture.journal.syncs(), 1);
}

#[tokio::test]
async fn a_shuffled_batch_of_a_new_sender_is_taken_whole() {
    let fixture = fixture().await;
    let alone = fixture.submit(vec![ALICE.pay(1, BOB.address(), 1)]).await;
    assert_eq!(alone, [Err(Rejection::KeyUnknown { address: ALICE.address() })]);
    assert_eq!(fixture.mempool.wanted(&[ALICE.pay(1, BOB.address(), 1).wire_id()]).len(), 1);
    let batch: Vec<_> = [3, 1, 0, 2, 4].map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).to_vec();
    assert_eq!(fixture.submit(batch).await, vec![Ok(PoolStatus::Pending); 5]);
    assert_eq!(fixture.mempool.account_pending(&ALICE.address()).next_nonce, 5);
}

#[tokio::test]
async fn a_forged_signature_condemns_those_bytes_and_not_the_transfer() {
    let fixture = fixture().await;
    let good = ALICE.pay(0, BOB.address(), 1);
    let bad = forged(&good);
    assert_eq!(id(&good), id(&bad));
    let verdicts = fixture.submit(vec![bad.clone()]).await;
    assert!(matches!(&verdicts[..], [Err(Rejection::BadSignature(_))]), "{verdicts:?}");
    assert!(fixture.mempool.wanted(&[bad.wire_id()]).is_empty());
    assert_eq!(fixture.mempool.status(&id(&good)), None);
    assert_eq!(fixture.submit(vec![good]).await, [Ok(PoolStatus::Pending)]);
}

#[tokio::test]
async fn a_peer_that_sends_forgeries_is_stopped_and_others_are_served() {
    let fixture = fixture().await;
    let bad = Source::Peer(SessionId::new(1));
    let batch: Vec<_> = (0..210)
        .map(|n| {
            let transfer = ALICE.pay(0, BOB.address(), 1 + n);
            forged(&transfer)
        })
        .collect();
    fixture.mempool.submit(batch, bad).await;
    let transfer = ALICE.pay(0, BOB.address(), 1);
    let limited = fixture.mempool.submit(vec![transfer.clone()], bad).await;
    assert!(matches!(&limited[..], [Err(Rejection::SourceLimited { .. })]), "{limited:?}");
    let served = fixture.mempool.submit(vec![transfer], Source::Peer(SessionId::new(2))).await;
    assert!(served[0].is_ok());
}

#[tokio::test]
async fn after_a_restart_each_transfer_is_pending_mined_or_dropped_for_a_reason() {
    let fixture = fixture().await;
    let mined = ALICE.pay(0, BOB.address(), 1);
    let waiting = ALICE.pay(1, BOB.address(), 1);
    let rival = BOB.pay(0, ALICE.address(), 1);
    let transfers = vec![mined.clone(), waiting.clone(), rival.clone()];
    assert_eq!(fixture.submit(transfers).await, vec![Ok(PoolStatus::Pending); 3]);
    let chain = fixture.test.chain.clone();
    let block = mine(&dev(), &chain.view(), vec![mined.clone(), BOB.pay(0, ALICE.address(), 2)], 1);
    chain.submit_block(block, Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;

    let fixture = fixture.restart().await;
    assert_eq!(fixture.mempool.status(&id(&waiting)), Some(PoolStatus::Pending));
    assert_eq!(fixture.mempool.status(&id(&mined)), None);
    assert!(chain.locate(id(&mined)).await.unwrap().is_some());
    let Some(PoolStatus::Dropped { reason, .. }) = fixture.mempool.status(&id(&rival)) else {
        panic!("{:?}", fixture.mempool.status(&id(&rival)));
    };
    assert_eq!(reason, DropReason::NonceUsed);
}

#[tokio::test]
async fn what_a_reorg_takes_from_the_chain_waits_again() {
    let fixture = fixture().await;
    let chain = &fixture.test.chain;
    let genesis = chain.view();
    let transfer = ALICE.pay(0, BOB.address(), 1);
    assert_eq!(fixture.submit(vec![transfer.clone()]).await, [Ok(PoolStatus::Pending)]);
    chain.submit_block(mine(&dev(), &genesis, vec![transfer.clone()], 1), Origin::Local).await.unwrap();
    fixture.pool_reaches(1).await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), None);
    overtake(&fixture.test, &genesis).await;
    fixture.pool_reaches(2).await;
    assert_eq!(fixture.mempool.status(&id(&transfer)), Some(PoolStatus::Pending));
    assert_eq!(fixture.mempool.account_pending(&BOB.address()).incoming, Mites::from_far(1).unwrap());
}

/// Blocks of a change that deep are not kept in memory: the pool reads them, in parts.
#[tokio::test]
async fn what_a_deep_reorg_takes_from_the_chain_waits_again() {
    let fixture = fixture().await;
    let chain = &fixture.test.chain;
    let transfers: Vec<_> = (0..150).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    for transfer in &transfers {
        chain.submit_block(mine(&dev(), &chain.view(), vec![transfer.clone()], 1), Origin::Local).await.unwrap();
    }
    fixture.pool_reaches(150).await;
    let other = TestChain::start();
    for _ in 0..151 {
        let block = mine(&dev(), &other.chain.view(), Vec::new(), 2);
        other.chain.submit_block(block.clone(), Origin::Local).await.unwrap();
        chain.submit_block(block, Origin::Local).await.unwrap();
    }
    let mut stats = fixture.mempool.watch();
    timeout(DEADLINE, stats.wait_for(|stats| stats.executable == 150)).await.unwrap().unwrap();
    for transfer in &transfers {
        assert_eq!(fixture.mempool.status(&id(transfer)), Some(PoolStatus::Pending));
    }
}

#[tokio::test]
async fn pages_list_every_entry_once_in_the_order_of_templates() {
    let fixture = fixture().await;
    let batch: Vec<_> = (0..25).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    fixture.submit(batch.clone()).await;
    let (mut from, mut listed) = (None, Vec::new());
    loop {
        let page = fixture.mempool.page(from, 10);
        listed.extend(page.entries.iter().map(|entry| entry.pooled.id()));
        assert_eq!(page.stats.executable, 25);
        from = page.next;
        if from.is_none() {
            break;
        }
    }
    assert_eq!(listed, batch.iter().map(id).collect::<Vec<_>>());
}

#[tokio::test]
async fn whoever_reads_the_pool_in_parts_gets_every_executable_transfer_the_newest_too() {
    let fixture = fixture().await;
    let transfers: Vec<_> = (0..5).map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    let wires: Vec<_> = transfers.iter().map(SignedTransaction::wire_id).collect();
    fixture.submit(transfers).await;
    let (first, rest) = fixture.mempool.arrived(Arrival::FIRST, 3);
    assert_eq!(first, wires[..3]);
    let late = BOB.pay(0, ALICE.address(), 1);
    let gapped = ALICE.pay(9, ALICE.address(), 1);
    fixture.submit(vec![late.clone(), gapped]).await;
    let (second, end) = fixture.mempool.arrived(rest.unwrap(), 10);
    assert_eq!((second, end), ([&wires[3..], &[late.wire_id()]].concat(), None));
}
