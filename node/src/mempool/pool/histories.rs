//! Random histories on which the pool and its model must agree.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use farthing::{Account, Height, Mites, SignedTransaction, TxId};
use proptest::{
    prelude::*,
    test_runner::{Config, TestRunner},
};

use super::{
    BlockBody, Pool,
    model::{Model, OPENING_COST, Waiting, limits},
    tests::{Spend, View, address, at, block_of, candidate, stranger},
};
use crate::{
    mempool::{Admitted, DropReason, Outlook, PoolStatus, Rejection, Source, TemplateLimits},
    testing::dev,
};

#[derive(Debug, Clone)]
enum Step {
    Submit {
        from: u8,
        ahead: u64,
        fee: u64,
        to: u8,
        amount: u64,
        memo: usize,
        blocks: Option<u64>,
    },
    Mine(usize),
    /// A block that somebody else mined, with a transaction that was never here.
    Foreign(u8),
    Reorg {
        depth: usize,
        kept: usize,
    },
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let fee = prop::sample::select(vec![10_000, 66_000, 70_000, 120_000, 250_000, 500_000, 10_120_000, 10_900_000]);
    let amount = prop::sample::select(vec![1_000, 1_000, 9_000_000, 30_000_000]);
    let memo = prop::sample::select(vec![0_usize, 0, 200]);
    let blocks = prop::option::weighted(0.2, 2_u64..7);
    prop_oneof![
        12 => (1_u8..=4, 0_u64..6, fee, 0_u8..8, amount, memo, blocks).prop_map(
            |(from, ahead, fee, to, amount, memo, blocks)| Step::Submit { from, ahead, fee, to, amount, memo, blocks }
        ),
        2 => (0_usize..5).prop_map(Step::Mine),
        1 => (1_u8..=4).prop_map(Step::Foreign),
        1 => (1_usize..4, 0_usize..4).prop_map(|(depth, kept)| Step::Reorg { depth, kept }),
        1 => (1_u64..200).prop_map(Step::Wait),
    ]
}

/// Executes spends as a block on a view; panics at the first that a block could not hold.
fn execute(view: &View, spends: &[Spend]) -> View {
    let mut view = view.clone();
    view.height = view.height.next();
    for spend in spends {
        let opening = if view.accounts.contains_key(&spend.to) { 0 } else { OPENING_COST };
        assert!(spend.fee >= opening && spend.valid_until.is_none_or(|last| last >= view.height.get()));
        let from = view.accounts.get_mut(&address(spend.from)).expect("a sender has an account");
        assert_eq!(from.next_nonce, spend.nonce);
        from.next_nonce += 1;
        let left = from.balance.get().checked_sub(spend.fee + spend.amount).expect("a sender can pay");
        from.balance = Mites::new(left);
        let to = view.accounts.entry(spend.to).or_default();
        to.balance = Mites::new(to.balance.get() + spend.amount);
    }
    view
}

struct Both {
    pool: Pool,
    model: Model,
    /// Every transaction that was ever tried.
    seen: BTreeMap<TxId, Spend>,
    /// The view before each block, and the block.
    history: Vec<(View, Vec<Spend>)>,
    now: u64,
    /// Verdicts and reasons that occurred.
    reached: BTreeSet<&'static str>,
}

impl Both {
    fn new() -> Self {
        let account = |n| (address(n), Account::with_balance(Mites::new(60_000_000)));
        let view = View { accounts: (1..=3).map(account).collect(), height: Height::new(10) };
        let pool = Pool::new(dev(), limits(), Arc::new(view.clone()));
        let model = Model { all: Vec::new(), view, next_arrival: 0, dropped: BTreeMap::new() };
        Self { pool, model, seen: BTreeMap::new(), history: Vec::new(), now: 0, reached: BTreeSet::new() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Submit { from, ahead, fee, to, amount, memo, blocks } => {
                let nonce = (self.model.account(&address(from)).next_nonce + ahead).saturating_sub(1);
                let valid_until = blocks.map(|blocks| self.model.view.height.get() + blocks);
                let to = if to < 5 { address(to.max(1)) } else { stranger(to) };
                let spend = Spend { from, nonce, fee, to, amount, valid_until, memo };
                let outlook = self.pool.foresee(&spend.signed(), spend.id());
                self.check_required(&spend, &outlook);
                let verdict = self.pool.admit(candidate(&spend, Source::Rpc), at(self.now));
                self.compare_with_outlook(&spend, &outlook, &verdict);
                let verdict = verdict.map(|_| ()).map_err(|rejection| rejection.reason());
                assert_eq!(verdict, self.model.admit(&spend, at(self.now)), "{spend:?}");
                self.reached.extend(verdict.err());
                self.seen.insert(spend.id(), spend);
            }
            Step::Mine(count) => {
                let chosen = self.pool.select(&TemplateLimits { count, ..everything() });
                let block = chosen.iter().map(|pooled| self.seen[&pooled.id()].clone()).collect();
                self.switch(0, block);
            }
            Step::Foreign(from) => {
                let account = self.model.account(&address(from));
                let spend = Spend { memo: 7, ..Spend::new(from, account.next_nonce, 70_000) };
                if account.balance.get() >= spend.fee + spend.amount {
                    self.seen.insert(spend.id(), spend.clone());
                    self.switch(0, vec![spend]);
                }
            }
            Step::Reorg { depth, kept } => {
                let depth = depth.min(self.history.len());
                let Some((_, lowest)) = self.history.len().checked_sub(depth).and_then(|at| self.history.get(at))
                else {
                    return;
                };
                let kept = lowest.iter().take(kept).cloned().collect();
                self.switch(depth, kept);
            }
            Step::Wait(seconds) => {
                self.now += seconds;
                self.pool.tick(at(self.now));
                self.model.tick(at(self.now));
            }
        }
        self.compare();
    }

    /// The fee that is told would do, and no lower one would.
    fn check_required(&self, spend: &Spend, outlook: &Outlook) {
        if matches!(outlook.before_signature, Ok(Some(_))) {
            return;
        }
        let is_taken_for = |fee| {
            let spend = Spend { fee, ..spend.clone() };
            let outlook = self.pool.foresee(&spend.signed(), spend.id());
            outlook.before_signature.is_ok() && outlook.behind_signature.is_ok()
        };
        let required = outlook.required.get();
        if outlook.before_signature.is_ok() && outlook.behind_signature.is_ok() {
            assert!(required <= spend.fee && is_taken_for(required), "{spend:?}: {outlook:?}");
        }
        if is_taken_for(required) {
            let lower = [required - 1, required - required.div_ceil(100), required / 2];
            assert!(!lower.into_iter().any(is_taken_for), "{spend:?}: {outlook:?}");
        } else {
            assert!(!is_taken_for(required.saturating_mul(2)), "{spend:?}: {outlook:?}");
        }
    }

    /// What was foreseen is what has happened.
    fn compare_with_outlook(&mut self, spend: &Spend, outlook: &Outlook, verdict: &Result<Admitted, Rejection>) {
        match &outlook.before_signature {
            Ok(None) => {}
            Ok(Some(status)) => {
                assert_eq!(verdict.as_ref().map(|admitted| admitted.status), Ok(*status), "{spend:?}");
                return;
            }
            Err(_) => {
                assert!(verdict.is_err(), "{spend:?}: {outlook:?}");
                return;
            }
        }
        let status = verdict.as_ref().map(|admitted| admitted.status);
        assert_eq!(outlook.behind_signature.as_ref().copied(), status, "{spend:?}");
        let pending = self.pool.account_pending(&address(spend.from));
        assert_eq!(outlook.after, (pending.next_nonce, pending.outgoing), "{spend:?}: {outlook:?}");
        if verdict.is_err() {
            return;
        }
        assert!(spend.fee >= outlook.required.get(), "{spend:?}: {outlook:?}");
        for (id, reason) in &outlook.displaced {
            let gone = self.pool.status(id);
            assert!(matches!(gone, Some(PoolStatus::Dropped { reason: found, .. }) if found == *reason), "{gone:?}");
            self.reached.insert(if *reason == DropReason::Evicted { "foresaw EVICTED" } else { "foresaw REPLACED" });
        }
    }

    /// Undoes so many blocks and applies one.
    fn switch(&mut self, depth: usize, block: Vec<Spend>) {
        let undone = self.history.split_off(self.history.len() - depth);
        let base = undone.first().map_or_else(|| self.model.view.clone(), |(before, _)| before.clone());
        let view = execute(&base, &block);
        let body = |spends: &Vec<Spend>| block_of(base.height, spends.iter().map(Spend::signed).collect());
        let undone_bodies: Vec<_> = undone.iter().map(|(_, spends)| body(spends)).collect();
        let undone_bodies: Vec<_> = undone_bodies.iter().map(|(block, tx_ids)| BlockBody { block, tx_ids }).collect();
        let (applied, tx_ids) = body(&block);
        let applied = BlockBody { block: &applied, tx_ids: &tx_ids };
        self.pool.advance(Arc::new(view.clone()), &undone_bodies, &[applied], at(self.now));
        let undone: Vec<Spend> = undone.into_iter().flat_map(|(_, spends)| spends).collect();
        self.model.advance(&view, &undone, &block, at(self.now));
        self.history.push((base, block));
    }

    fn compare(&mut self) {
        self.pool.check_indexes();
        for (id, spend) in &self.seen {
            let expected = match self.model.all.iter().find(|waiting| waiting.id == *id) {
                Some(Waiting { deadline: None, .. }) => Some("PENDING"),
                Some(_) => Some("QUEUED"),
                None => self.model.dropped.get(id).copied(),
            };
            let found = self.pool.status(id).map(|status| match status {
                PoolStatus::Pending => "PENDING",
                PoolStatus::Queued => "QUEUED",
                PoolStatus::Dropped { reason, .. } => reason.reason(),
            });
            assert_eq!(found, expected, "{spend:?}");
            self.reached
                .extend(found.map(|reason| DROPS.iter().find(|(name, _)| *name == reason).map_or(reason, |d| d.1)));
        }
        let order: Vec<TxId> = self.pool.select(&everything()).iter().map(|pooled| pooled.id()).collect();
        assert_eq!(order, self.model.order());
        let (sorted, queued) = self.pool.unsorted().sorted();
        assert_eq!(sorted.iter().map(|pooled| pooled.id()).collect::<Vec<_>>(), order);
        assert_eq!(queued.len(), self.pool.stats().queued);
        // What a template would hold is a block that the rules allow.
        let block: Vec<Spend> = order.iter().map(|id| self.seen[id].clone()).collect();
        let signed: Vec<SignedTransaction> = block.iter().map(Spend::signed).collect();
        assert!(signed.iter().map(SignedTransaction::size_bytes).sum::<usize>() <= limits().bytes);
        execute(&self.model.view, &block);
    }
}

fn everything() -> TemplateLimits {
    TemplateLimits {
        height: Height::GENESIS,
        bytes: usize::MAX,
        signature_units: u64::MAX,
        openings: u32::MAX,
        count: usize::MAX,
    }
}

/// Reasons of drops that are also verdicts, so that the two are told apart.
const DROPS: [(&str, &str); 2] =
    [("INSUFFICIENT_BALANCE", "dropped: INSUFFICIENT_BALANCE"), ("FEE_TOO_LOW", "dropped: FEE_TOO_LOW")];

/// What must occur, or the histories do not test what they should.
const OUTCOMES: [&str; 21] = [
    "NONCE_TOO_LOW",
    "EXPIRES_TOO_SOON",
    "FEE_TOO_LOW",
    "INSUFFICIENT_BALANCE",
    "REPLACEMENT_UNDERPAID",
    "ACCOUNT_FULL",
    "KEY_UNKNOWN",
    "TOO_MANY_QUEUED",
    "POOL_FULL",
    "PENDING",
    "QUEUED",
    "REPLACED",
    "EVICTED",
    "EXPIRED",
    "NONCE_USED",
    "GAP_TIMEOUT",
    "GAP_TOO_LARGE",
    "dropped: INSUFFICIENT_BALANCE",
    "dropped: FEE_TOO_LOW",
    "foresaw REPLACED",
    "foresaw EVICTED",
];

#[test]
fn the_pool_does_what_the_rules_say_and_every_outcome_occurs() {
    let reached = RefCell::new(BTreeSet::new());
    let missing = || OUTCOMES.into_iter().filter(|name| !reached.borrow().contains(name)).collect::<Vec<_>>();
    // A thousand histories at least; the rarest outcomes sometimes need more of them.
    for _ in 0..20 {
        let mut runner = TestRunner::new(Config::with_cases(1_000));
        let outcome = runner.run(&prop::collection::vec(step(), 1..80), |steps| {
            let mut both = Both::new();
            for step in steps {
                both.take(step);
            }
            reached.borrow_mut().extend(both.reached);
            Ok(())
        });
        outcome.unwrap();
        if missing().is_empty() {
            return;
        }
    }
    panic!("never reached: {:?}", missing());
}

#[test]
fn what_cannot_be_written_leaves_the_pool_as_it_was() {
    let submits = step().prop_filter("only submissions", |step| matches!(step, Step::Submit { .. }));
    let histories = (prop::collection::vec(step(), 1..40), prop::collection::vec(submits, 1..20));
    let mut runner = TestRunner::new(Config::with_cases(1_000));
    let outcome = runner.run(&histories, |(written, unwritten)| {
        let mut both = Both::new();
        for step in written {
            both.take(step);
        }
        both.pool.take_events();
        let before = (both.model.order(), both.pool.stats().queued, both.pool.stats().bytes);
        for step in unwritten {
            both.take(step);
        }
        let changes = both.pool.take_events().changes;
        both.pool.withdraw(changes, at(both.now));
        both.pool.check_indexes();
        let order: Vec<TxId> = both.pool.select(&everything()).iter().map(|pooled| pooled.id()).collect();
        prop_assert_eq!((order, both.pool.stats().queued, both.pool.stats().bytes), before);
        Ok(())
    });
    outcome.unwrap();
}
