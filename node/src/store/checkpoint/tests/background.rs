//! The thread that writes: the newest first, one at a time, and an end in time.

use std::{sync::mpsc, thread, time::Duration};

use super::*;
use crate::env::{
    ManualClock,
    disk::{Fault, FaultError, FaultOp},
};

const DEADLINE: Duration = Duration::from_secs(20);

struct Bench {
    disk: MemDisk,
    clock: ManualClock,
    params: Arc<Params>,
    checkpointer: Checkpointer,
}

fn bench(policy: Policy) -> Bench {
    bench_on(disk(), policy, Vec::new())
}

fn bench_on(disk: MemDisk, policy: Policy, rejected: Vec<CheckpointName>) -> Bench {
    let (clock, params) = (ManualClock::new(TimeMs::new(0)), dev());
    let setup = Setup {
        disk: Arc::new(disk.clone()),
        clock: Arc::new(clock.clone()),
        directory: directory().to_owned(),
        params: Arc::clone(&params),
        policy,
        newest: HeaderContext::genesis(&params),
        base: None,
        rejected,
    };
    Bench { disk, clock, params, checkpointer: Checkpointer::new(setup) }
}

fn policy() -> Policy {
    Policy { every_blocks: 10, deep_blocks: 10, reserve_bytes: 0, ..Policy::default() }
}

impl Bench {
    fn offer(&self, height: u64) {
        self.checkpointer.offer(snapshot(&self.params, height, 6));
    }

    fn heights(&self) -> Vec<u64> {
        list(&self.disk, directory()).unwrap().iter().map(|name| name.height().get()).collect()
    }
}

/// Runs the writer beside a test; its key source tells the test of each file that is begun and waits for its word.
fn beside(bench: &Bench, test: impl FnOnce(&mpsc::Receiver<()>, mpsc::Sender<()>)) {
    let (begun, wait_begun) = mpsc::channel();
    let (go, wait_go) = mpsc::channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            let key = |place: LogPlace, address: &Address| {
                if place.offset() == 1 {
                    // Both fail once the test is over.
                    let _ = begun.send(());
                    let _ = wait_go.recv_timeout(DEADLINE);
                }
                key_of(place, address)
            };
            bench.checkpointer.run(&key);
        });
        until_running(bench);
        test(&wait_begun, go);
        assert!(bench.checkpointer.close(DEADLINE));
    });
}

fn until_running(bench: &Bench) {
    while !bench.checkpointer.is_running() {
        thread::yield_now();
    }
}

/// Offers a height and lets the pause pass until the writer begins: whenever it noted the end of its last attempt.
fn until_begun(bench: &Bench, begun: &mpsc::Receiver<()>, height: u64) {
    for _ in 0..1_000 {
        bench.clock.advance(policy().pause);
        bench.offer(height);
        if begun.recv_timeout(Duration::from_millis(20)).is_ok() {
            return;
        }
    }
    panic!("no checkpoint was begun for height {height}");
}

#[test]
fn nothing_is_written_before_it_is_due_and_then_the_newest() {
    let bench = bench(policy());
    beside(&bench, |begun, go| {
        bench.offer(3);
        bench.offer(9);
        bench.offer(12);
        begun.recv_timeout(DEADLINE).unwrap();
        // While one is written others wait, and only the last of them stays.
        bench.offer(25);
        bench.offer(31);
        bench.offer(40);
        go.send(()).unwrap();
        until_begun(&bench, begun, 40);
        go.send(()).unwrap();
    });
    assert_eq!(bench.heights(), [40, 12]);
}

#[test]
fn a_clean_end_writes_the_newest_block_even_if_it_was_not_due() {
    let bench = bench(policy());
    thread::scope(|scope| {
        scope.spawn(|| bench.checkpointer.run(&key_of));
        until_running(&bench);
        bench.offer(4);
        bench.offer(7);
        assert!(bench.checkpointer.close(DEADLINE));
        assert_eq!(bench.heights(), [7]);
    });
    let found = search(&bench.disk, &bench.params).found.unwrap();
    assert_same(&found.view, &snapshot(&bench.params, 7, 6).view);
}

#[test]
fn without_a_new_block_the_end_writes_nothing() {
    let bench = bench(Policy { every: Duration::ZERO, ..policy() });
    thread::scope(|scope| {
        scope.spawn(|| bench.checkpointer.run(&key_of));
        until_running(&bench);
        let view = Arc::new(ChainView::genesis(&bench.params));
        bench.checkpointer.offer(Snapshot { view, before: RangePeaks::default(), synced_to: None });
        assert!(bench.checkpointer.close(DEADLINE));
    });
    assert!(bench.heights().is_empty());
}

#[test]
fn after_the_end_nothing_begins() {
    let bench = bench(policy());
    bench.offer(50);
    assert!(bench.checkpointer.close(DEADLINE));
    bench.checkpointer.run(&key_of);
    assert!(bench.heights().is_empty());
}

#[test]
fn what_cannot_be_finished_in_time_is_abandoned_and_removed() {
    let bench = bench(policy());
    // More than one chunk of accounts: the clock is looked at between chunks.
    let mut accounts = snapshot(&bench.params, 12, 400).view.accounts.clone();
    for n in 0..4_000_u64 {
        let account = Account::with_balance(Mites::new(n));
        let entry = Entry { account, meta: AccountMeta::default() };
        accounts.insert(Address::from_bytes(sha256(&[&n.to_le_bytes()])), entry);
    }
    bench.checkpointer.offer(over(&bench.params, 12, accounts));
    let ended = std::cell::OnceCell::new();
    let key = |place: LogPlace, address: &Address| {
        // The end comes in the middle of it, and does not wait for what hangs.
        ended.get_or_init(|| bench.checkpointer.close(Duration::ZERO));
        key_of(place, address)
    };
    bench.checkpointer.run(&key);
    assert_eq!(ended.get(), Some(&false));
    assert!(files(&bench.disk).is_empty(), "{:?}", files(&bench.disk));
    assert!(bench.checkpointer.close(Duration::ZERO));
}

#[test]
fn a_failure_is_tried_again_after_the_pause_and_not_before() {
    let bench = bench(policy());
    bench.disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: false });
    beside(&bench, |begun, go| {
        bench.offer(12);
        begun.recv_timeout(DEADLINE).unwrap();
        go.send(()).unwrap();
        bench.offer(13);
        assert!(begun.recv_timeout(Duration::from_millis(50)).is_err());
        assert!(bench.heights().is_empty());
        until_begun(&bench, begun, 14);
        go.send(()).unwrap();
    });
    assert_eq!(bench.heights(), [14]);
}

#[test]
fn old_ones_and_those_found_bad_go_once_the_new_one_is_there() {
    let (disk, params) = (disk(), dev());
    for height in [2, 4, 8, 15, 19] {
        put(&disk, &params, &snapshot(&params, height, 6)).unwrap();
    }
    let bad = list(&disk, directory()).unwrap()[1];
    assert_eq!(bad.height().get(), 15);
    let bench = bench_on(disk, policy(), vec![bad]);
    thread::scope(|scope| {
        scope.spawn(|| bench.checkpointer.run(&key_of));
        until_running(&bench);
        bench.offer(20);
        assert!(bench.checkpointer.close(DEADLINE));
    });
    // 20 is new, 19 the one before it and the oldest that is not deep, 8 the newest that is deep.
    assert_eq!(bench.heights(), [20, 19, 8]);
}
