//! Random histories with branches, compared with the naive model block by block: verdicts, balances, nonces, histories,
//! roots, the supply.

use std::{cell::RefCell, collections::BTreeMap, sync::LazyLock};

use farthing::{
    Address, Block, Coinbase, Hash, Height, Mites, Output, Params, PublicKey, Sender, SignedTransaction, Transaction,
    account::history_link, tx::TransactionFields,
};
use proptest::{prelude::*, sample::Index, test_runner::TestRunner};

use super::{
    model::{Model, Open},
    reorgs::Branch,
};
use crate::{Execution, Executor, fixtures};

/// Accounts that send; the first four have money from genesis.
const SENDERS: u64 = 6;
/// Accounts that receive, the senders among them.
const RECEIVERS: u64 = 40;

static KEYS: LazyLock<Vec<PublicKey>> = LazyLock::new(|| (0..RECEIVERS).map(fixtures::key).collect());
static ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| KEYS.iter().map(PublicKey::address).collect());

/// A transfer before the state that it meets is known.
#[derive(Debug, Clone)]
struct TransferPlan {
    from: Index,
    /// How far the nonce is off.
    nonce: i8,
    outputs: Vec<(Index, u16)>,
    /// What the fee is above the cost of opening.
    surplus: i16,
    /// How far the last height is off; none for no end.
    until: Option<i8>,
}

/// What is wrong with a block besides its transactions.
#[derive(Debug, Clone, Copy)]
enum Fault {
    None,
    Amount(i8),
    Height(i8),
    /// A transaction that was refused is put in all the same.
    Refused(Index),
    /// A transaction stands there twice.
    Twice(Index),
}

#[derive(Debug, Clone)]
struct BlockPlan {
    /// Which earlier block is extended instead of the newest.
    parent: Option<Index>,
    miner: Index,
    transfers: Vec<TransferPlan>,
    fault: Fault,
}

fn transfer_plan() -> impl Strategy<Value = TransferPlan> {
    (
        any::<Index>(),
        prop_oneof![12 => Just(0_i8), 1 => Just(-1), 1 => Just(1)],
        proptest::collection::vec((any::<Index>(), prop_oneof![9 => 0..200_u16, 1 => 200..60_000_u16]), 1..5),
        prop_oneof![8 => 0..500_i16, 1 => -500..0_i16],
        proptest::option::weighted(0.3, prop_oneof![4 => 0..3_i8, 1 => -2..0_i8]),
    )
        .prop_map(|(from, nonce, outputs, surplus, until)| TransferPlan { from, nonce, outputs, surplus, until })
}

fn block_plan() -> impl Strategy<Value = BlockPlan> {
    let fault = prop_oneof![
        8 => Just(Fault::None),
        1 => prop_oneof![Just(-1_i8), Just(1)].prop_map(Fault::Amount),
        1 => prop_oneof![Just(-1_i8), Just(1)].prop_map(Fault::Height),
        1 => any::<Index>().prop_map(Fault::Refused),
        1 => any::<Index>().prop_map(Fault::Twice),
    ];
    let parent = proptest::option::weighted(0.2, any::<Index>());
    let transfers = prop_oneof![1 => Just(Vec::new()), 5 => proptest::collection::vec(transfer_plan(), 1..25)];
    (parent, any::<Index>(), transfers, fault).prop_map(|(parent, miner, transfers, fault)| BlockPlan {
        parent,
        miner,
        transfers,
        fault,
    })
}

/// The transfer that a plan means where it is about to be executed.
fn realise(plan: &TransferPlan, params: &Params, open: &Open) -> Option<SignedTransaction> {
    let from = plan.from.index(usize::try_from(SENDERS).unwrap());
    let account = open.account(ADDRESSES[from].as_bytes());
    let nonce = account.next_nonce.checked_add_signed(plan.nonce.into())?;
    // Amounts in thousandths of the balance, so that some are beyond it.
    let outputs: Vec<Output> = (plan.outputs.iter())
        .map(|(to, thousandths)| {
            let amount = account.balance * i128::from(*thousandths) / 1_000 + 1;
            Output { to: ADDRESSES[to.index(ADDRESSES.len())], amount: Mites::new(u64::try_from(amount).unwrap()) }
        })
        .collect();
    let mut opened: Vec<_> = outputs.iter().map(|output| output.to).filter(|to| !open.exists(to.as_bytes())).collect();
    opened.sort();
    opened.dedup();
    let fee = (params.opening_cost.get() * opened.len() as u64).saturating_add_signed(plan.surplus.into());
    let until = plan.until.map_or(0, |off| open.height().saturating_add_signed(off.into()));
    let transaction = Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(KEYS[from].clone()) } else { Sender::Address(ADDRESSES[from]) },
        nonce,
        fee: Mites::new(fee),
        valid_until: Some(Height::new(until)),
        outputs,
        memo: Vec::new(),
    });
    Some(SignedTransaction::new(transaction.ok()?, fixtures::signature()).unwrap())
}

/// What the generator really hit, over all histories: zero anywhere fails the run.
#[derive(Debug, Default)]
struct Coverage {
    executed: u64,
    blocks: u64,
    self_transfers: u64,
    empty_coinbases: u64,
    deepest_reorg: u64,
    refusals: BTreeMap<&'static str, u64>,
    rejections: BTreeMap<&'static str, u64>,
}

/// A tree of blocks, each with the model's ledger after it; and the branch under test at one of them.
struct World<'a> {
    params: Params,
    nodes: Vec<(usize, Option<Block>, Model)>,
    at: usize,
    branch: Branch,
    coverage: &'a mut Coverage,
}

impl World<'_> {
    /// Moves the branch under test to another block: down to the fork, then up.
    fn go_to(&mut self, target: usize) {
        let mut up = Vec::new();
        let (mut down, mut to) = (self.at, target);
        let mut depth = 0;
        while down != to {
            if self.nodes[down].2.height >= self.nodes[to].2.height {
                self.branch.undo();
                depth += 1;
                down = self.nodes[down].0;
                assert_eq!(self.branch.state.root().to_bytes(), self.nodes[down].2.root());
            } else {
                up.push(to);
                to = self.nodes[to].0;
            }
        }
        for node in up.into_iter().rev() {
            self.branch.connect(self.nodes[node].1.as_ref().unwrap()).unwrap();
        }
        self.at = target;
        self.coverage.deepest_reorg = self.coverage.deepest_reorg.max(depth);
        self.compare();
    }

    /// Fills a template with what the plan's transfers come to, both ledgers judging each.
    fn fill(&mut self, plan: &BlockPlan) -> (Open, Vec<SignedTransaction>, Vec<SignedTransaction>) {
        let height = Height::new(self.branch.height() + 1);
        let mut executor = Executor::new(&self.params, &self.branch.state, height);
        let mut open = self.nodes[self.at].2.open();
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        for plan in &plan.transfers {
            let Some(tx) = realise(plan, &self.params, &open) else { continue };
            let expected = open.pay(&self.params, &tx);
            let found = executor.apply(&tx);
            assert_eq!(found.map(|_| ()).map_err(|error| error.rule()), expected);
            assert_eq!(i128::from(executor.coinbase_amount().get()), open.reward(&self.params));
            let sender = tx.transaction().sender_address();
            match expected {
                Ok(()) => {
                    let to_self = tx.transaction().outputs().iter().any(|output| output.to == sender);
                    self.coverage.self_transfers += u64::from(to_self);
                    taken.push(tx);
                }
                Err(rule) => {
                    *self.coverage.refusals.entry(rule).or_default() += 1;
                    refused.push(tx);
                }
            }
        }
        (open, taken, refused)
    }

    fn mine(&mut self, plan: &BlockPlan) {
        if let Some(parent) = plan.parent {
            self.go_to(parent.index(self.nodes.len()));
        }
        let (open, mut transactions, refused) = self.fill(plan);
        let mut coinbase = Coinbase {
            height: Height::new(open.height()),
            to: ADDRESSES[plan.miner.index(ADDRESSES.len())],
            amount: Mites::new(u64::try_from(open.reward(&self.params)).unwrap()),
            tag: vec![u8::try_from(self.nodes.len()).unwrap()],
        };
        match plan.fault {
            Fault::Amount(by) => {
                coinbase.amount = Mites::new(coinbase.amount.get().saturating_add_signed(by.into()));
            }
            Fault::Height(by) => {
                coinbase.height = Height::new(coinbase.height.get().saturating_add_signed(by.into()));
            }
            Fault::Refused(which) if !refused.is_empty() => {
                transactions.push(refused[which.index(refused.len())].clone());
            }
            Fault::Twice(which) if !transactions.is_empty() => {
                transactions.push(transactions[which.index(transactions.len())].clone());
            }
            _ => {}
        }
        let block = fixtures::block(coinbase, transactions);
        let expected = self.nodes[self.at].2.connect(&self.params, &block.coinbase, &block.transactions);
        let found = self.branch.connect(&block);
        match (expected, found) {
            (Ok(model), Ok(execution)) => {
                self.replay(&block, &execution);
                self.coverage.executed += block.transactions.len() as u64;
                self.coverage.blocks += 1;
                self.coverage.empty_coinbases += u64::from(block.coinbase.amount.is_zero());
                self.nodes.push((self.at, Some(block), model));
                self.at = self.nodes.len() - 1;
            }
            (Err(rule), Err(error)) => {
                assert_eq!(error.rule(), rule, "{error}");
                *self.coverage.rejections.entry(rule).or_default() += 1;
            }
            (expected, found) => panic!("{:?} but {found:?}", expected.map(|_| ())),
        }
        self.compare();
    }

    /// The positions that a block's effect lists are all that a node keeps of an account's history: they must lead from
    /// the state before to the state after.
    fn replay(&self, block: &Block, execution: &Execution) {
        let genesis = self.params.genesis_id();
        let height = Height::new(self.branch.height());
        let due = height.checked_sub(self.params.reward_delay);
        for touch in &execution.touched {
            let before = touch.before.unwrap_or_default();
            assert_eq!(before.entries + touch.positions.len() as u64, touch.after.entries);
            let history = touch.positions.iter().fold(before.history, |history: Hash, position| {
                let id = match position.checked_sub(1) {
                    Some(at) => block.transactions[usize::try_from(at).unwrap()].transaction().id(genesis).into(),
                    None => self.coinbase_at(due.unwrap(), block).id(genesis).into(),
                };
                history_link(&history, id, height)
            });
            assert_eq!(history, touch.after.history);
        }
    }

    /// The coinbase at a height of the branch whose tip `block` is about to become.
    fn coinbase_at<'b>(&'b self, height: Height, block: &'b Block) -> &'b Coinbase {
        if height == block.coinbase.height {
            return &block.coinbase;
        }
        let mut node = self.at;
        while self.nodes[node].2.height > height.get() {
            node = self.nodes[node].0;
        }
        &self.nodes[node].1.as_ref().unwrap().coinbase
    }

    /// Everything about both ledgers.
    fn compare(&self) {
        let model = &self.nodes[self.at].2;
        assert_eq!(self.branch.height(), model.height);
        assert_eq!(self.branch.state.root().to_bytes(), model.root());
        assert_eq!(self.branch.state.len(), model.accounts.len());
        for ((address, entry), (expected_address, expected)) in self.branch.state.iter().zip(&model.accounts) {
            assert_eq!(address.as_bytes(), expected_address);
            let account = entry.account;
            assert_eq!(i128::from(account.balance.get()), expected.balance);
            assert_eq!(account.next_nonce, expected.next_nonce);
            assert_eq!(account.entries, expected.entries.len() as u64);
            assert_eq!(account.history.to_bytes(), expected.history());
            assert_eq!(entry.meta, expected.entries.last().map_or(0, |(_, height)| *height));
        }
        assert!(model.is_sane() && model.supply_adds_up(&self.params));
    }
}

/// A network on which everything runs out quickly: openings, subsidies, money.
fn network(reward_delay: u64) -> Params {
    fixtures::network(|fields| {
        fields.reward_delay = reward_delay;
        fields.max_openings = 6;
        fields.halving_interval = 1;
        fields.initial_subsidy = Mites::new(200);
    })
}

#[test]
fn ten_thousand_transactions_over_random_branches_leave_both_ledgers_equal() {
    let coverage = RefCell::new(Coverage::default());
    let mut runner = TestRunner::new(ProptestConfig { source_file: Some(file!()), ..ProptestConfig::default() });
    let history = (prop_oneof![Just(0_u64), Just(1), Just(3)], proptest::collection::vec(block_plan(), 20..40));
    let outcome = runner.run(&history, |(delay, plans)| {
        let params = network(delay);
        let genesis = (0, None, Model::genesis(&params));
        let mut coverage = coverage.borrow_mut();
        let branch = Branch::genesis(&params);
        let mut world = World { params, nodes: vec![genesis], at: 0, branch, coverage: &mut coverage };
        for plan in &plans {
            world.mine(plan);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    let coverage = coverage.into_inner();
    assert!(coverage.executed >= 10_000, "{coverage:?}");
    assert!(coverage.blocks > 1_000 && coverage.deepest_reorg >= 10, "{coverage:?}");
    assert!(coverage.self_transfers > 100 && coverage.empty_coinbases > 10, "{coverage:?}");
    for rule in ["R-ACC-01", "R-ACC-02", "R-ACC-03", "R-OPN-01", "R-OPN-02"] {
        assert!(coverage.refusals.contains_key(rule), "no transaction broke {rule}: {coverage:?}");
    }
    for rule in ["R-BLK-04", "R-CB-02", "R-CB-03", "R-ACC-01", "R-ACC-03", "R-OPN-01"] {
        assert!(coverage.rejections.contains_key(rule), "no block broke {rule}: {coverage:?}");
    }
}
