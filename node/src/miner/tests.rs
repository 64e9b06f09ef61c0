//! The miner on a chain in memory.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use farthing::{Address, Height, Mites, Network};
use tokio::time::timeout;

use super::{Miner, Policy, Reward, build, limits, start};
use crate::{
    env::Env,
    ledger::ChainView,
    mempool::{self, Ledger, MemoryJournal, Mempool, PoolLimits, Source},
    tasks::Tasks,
    testing::{ALICE, BOB, TestChain, dev},
};

/// Longest that a test waits for what must happen.
const DEADLINE: Duration = Duration::from_secs(20);

struct Fixture {
    test: TestChain,
    mempool: Mempool,
    miner: Miner,
    _tasks: Tasks,
}

fn reward() -> Reward {
    Reward { to: Address::from_bytes([0xaa; 32]), tag: b"test".to_vec() }
}

async fn fixture(policy: Option<Policy>) -> Fixture {
    let test = TestChain::start();
    let tasks = Tasks::new();
    let env = Env::system().unwrap().with_clock(test.clock.clone());
    let ledger: Arc<dyn Ledger> = Arc::new(test.chain.clone());
    let changes = test.chain.subscribe();
    let journal = Arc::new(MemoryJournal::new());
    let mempool = mempool::start(&tasks, env.clone(), dev(), PoolLimits::default(), ledger, journal).await.unwrap();
    let follow = mempool::follow(mempool.clone(), test.chain.clone(), changes, env.clone(), tasks.token().clone());
    tasks.spawn("mempool", follow);
    let one = NonZeroUsize::MIN;
    let miner = start(&tasks, env, test.chain.clone(), mempool.clone(), policy, one).unwrap();
    Fixture { test, mempool, miner, _tasks: tasks }
}

#[tokio::test]
async fn blocks_mined_on_request_hold_what_waits_and_pay_the_miner() {
    let fixture = fixture(None).await;
    let transfers =
        vec![ALICE.pay(0, BOB.address(), 5), ALICE.pay(1, BOB.address(), 5), BOB.pay(0, ALICE.address(), 1)];
    let verdicts = fixture.mempool.submit(transfers, Source::Rpc).await;
    assert!(verdicts.iter().all(Result::is_ok), "{verdicts:?}");
    let ids = timeout(DEADLINE, fixture.miner.mine_blocks(3, reward())).await.unwrap().unwrap();
    assert_eq!(ids.len(), 3);
    let view = fixture.test.chain.view();
    assert_eq!((view.tip.height(), view.tip.id()), (Height::new(3), ids[2]));
    let first = fixture.test.chain.block(ids[0]).await.unwrap().unwrap();
    assert_eq!(first.transactions.len(), 3);
    let subsidies = 3 * Network::Dev.params().subsidy(Height::new(1)).get();
    let balance = view.account(&reward().to).unwrap().balance;
    assert_eq!(balance, Mites::new(subsidies + 3 * 20_000_000));
    let mut stats = fixture.mempool.watch();
    timeout(DEADLINE, stats.wait_for(|stats| stats.executable == 0)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_request_that_nobody_waits_for_any_longer_does_not_keep_the_next_one_waiting() {
    let fixture = fixture(None).await;
    let mut tips = fixture.test.chain.watch();
    tokio::select! {
        outcome = fixture.miner.mine_blocks(usize::MAX, reward()) => panic!("{outcome:?}"),
        view = tips.wait_for(|view| view.tip.height() >= Height::new(3)) => assert!(view.is_ok()),
    }
    let ids = timeout(DEADLINE, fixture.miner.mine_blocks(1, reward())).await.unwrap().unwrap();
    assert_eq!(ids, [fixture.test.chain.view().tip.id()]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_four_begins_at_four_and_takes_no_more_than_its_maximum() {
    let max = std::num::NonZeroU32::new(5);
    let fixture = fixture(Some(Policy { reward: reward(), when: 4, max, wait: None })).await;
    let pay = |nonces: std::ops::Range<u64>| nonces.map(|nonce| ALICE.pay(nonce, BOB.address(), 1)).collect();
    fixture.mempool.submit(pay(0..3), Source::Rpc).await;
    // Far longer than any hesitation: nothing may happen, because nothing may be begun.
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(fixture.test.chain.view().tip.height(), Height::GENESIS);
    fixture.mempool.submit(pay(3..10), Source::Rpc).await;
    let mut tips = fixture.test.chain.watch();
    let view = tips.wait_for(|view| view.tip.height() >= Height::new(2)).await.unwrap().clone();
    let first = fixture.test.chain.block(view.tip.header().previous).await.unwrap().unwrap();
    let second = fixture.test.chain.block(view.tip.id()).await.unwrap().unwrap();
    assert_eq!((first.transactions.len(), second.transactions.len()), (5, 5));
}

#[tokio::test(start_paused = true)]
async fn a_transfer_that_has_waited_long_enough_is_mined_alone() {
    let wait = Some(Duration::from_secs(30));
    let fixture = fixture(Some(Policy { reward: reward(), when: 4, max: None, wait })).await;
    fixture.mempool.submit(vec![ALICE.pay(0, BOB.address(), 1)], Source::Rpc).await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(fixture.test.chain.view().tip.height(), Height::GENESIS, "by the clock of the node it has not waited");
    fixture.test.clock.advance(Duration::from_secs(31));
    let mut tips = fixture.test.chain.watch();
    tips.wait_for(|view| view.tip.height() >= Height::new(1)).await.unwrap();
}

#[test]
fn a_template_leaves_out_what_cannot_be_executed_and_commits_to_the_rest() {
    let params = dev();
    let view = ChainView::genesis(&params);
    let now = view.tip.time();
    let template = build(&params, &view, &[], &reward(), now).unwrap();
    assert_eq!(template.block.header.time, now.saturating_add(1), "later than its parent, whatever the clock says");
    let checked = farthing_consensus::check_block(&params, &template.block).unwrap();
    let total = view.tip.total_work();
    let context =
        farthing_consensus::HeaderContext::from_stored(template.block.header, view.tip.height().next(), total);
    let applied = view.apply(&params, &checked, &context).unwrap();
    assert_eq!(applied.view.account(&reward().to).unwrap().balance, template.reward());
    let room = limits(&params, &view, &reward(), 7);
    let overhead = usize::try_from(params.max_block_bytes).unwrap() - room.bytes;
    assert_eq!(template.block.size_bytes(), overhead);
}
