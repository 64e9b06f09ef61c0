//! Execution, rule by rule.

use farthing::{Hash, account::history_link, params::ParamsFields};
use proptest::prelude::*;

use super::*;
use crate::{
    AccountTree, Entry, check_block,
    fixtures::{ALLOCATED, address, block, coinbase, network, transfer, transfer_until},
};

type State = AccountTree<()>;

fn genesis(params: &Params) -> State {
    State::genesis(params, &())
}

/// Executes a block of these transactions whose coinbase pays `amount`.
fn run(params: &Params, height: u64, txs: &[SignedTransaction], amount: u64) -> Result<Execution, BlockError> {
    let block = check_block(params, &block(coinbase(height, amount), txs.to_vec())).unwrap();
    execute(params, &genesis(params), Height::new(height), &block, None)
}

/// Why the last of these transactions cannot be executed; the ones before it can.
fn refusal(params: &Params, height: u64, txs: &[SignedTransaction]) -> TxError {
    let state = genesis(params);
    let mut executor = Executor::new(params, &state, Height::new(height));
    let (last, first) = txs.split_last().unwrap();
    for tx in first {
        executor.apply(tx).unwrap();
    }
    let (count, amount) = (executor.count(), executor.coinbase_amount());
    let error = executor.apply(last).unwrap_err();
    // A refused transaction leaves nothing behind.
    assert_eq!((executor.count(), executor.coinbase_amount()), (count, amount));
    let without = executor.finish(&coinbase(height, amount.get()), None);
    assert_eq!(without, run(params, height, first, amount.get()));
    // A block that contains it is invalid where it stands.
    let position = u32::try_from(txs.len()).unwrap();
    let id = last.transaction().id(params.genesis_id());
    let error_in_block = run(params, height, txs, amount.get()).unwrap_err();
    assert_eq!(error_in_block, BlockError::Transaction { position, id, error: error.clone() });
    assert_eq!((error_in_block.rule(), error_in_block.condemns_id()), (error.rule(), true));
    error
}

fn touch_of(execution: &Execution, n: u64) -> &Touch {
    execution.touched.iter().find(|touch| touch.address == address(n)).unwrap()
}

fn history(params: &Params, height: u64, txs: &[&SignedTransaction]) -> Hash {
    txs.iter().fold(Hash::ZERO, |history, tx| {
        history_link(&history, tx.transaction().id(params.genesis_id()).into(), Height::new(height))
    })
}

#[test]
fn a_transfer_moves_money_burns_the_opening_and_links_its_id_once_per_account() {
    let params = network(|_| ());
    let tx = transfer(0, 0, 150, &[(address(1), 300), (address(50), 200), (address(1), 1)]);
    let execution = run(&params, 1, std::slice::from_ref(&tx), 5_050).unwrap();
    assert_eq!((execution.fees, execution.burned, execution.openings), (Mites::new(150), Mites::new(100), 1));
    let history = history(&params, 1, &[&tx]);
    let allocated = Account::with_balance(Mites::new(ALLOCATED));
    let account = |balance, next_nonce| Account { balance: Mites::new(balance), next_nonce, entries: 1, history };
    for (n, before, after) in [
        (0, Some(allocated), account(ALLOCATED - 651, 1)),
        (1, Some(allocated), account(ALLOCATED + 301, 0)),
        (50, None, account(200, 0)),
    ] {
        let expected = Touch { address: address(n), before, after, positions: vec![1] };
        assert_eq!(touch_of(&execution, n), &expected);
    }
    let reward = touch_of(&execution, 99);
    let link = history_link(&Hash::ZERO, coinbase(1, 5_050).id(params.genesis_id()).into(), Height::new(1));
    assert_eq!((reward.before, reward.positions.as_slice()), (None, [0].as_slice()));
    assert_eq!(reward.after, Account { balance: Mites::new(5_050), next_nonce: 0, entries: 1, history: link });
    assert!(execution.touched.is_sorted_by_key(|touch| touch.address));
    assert_eq!(execution.touched.len(), 4);
}

/// Nonce reuse (CVE-2018-17144, GHSA-hhm7): strictly the next one, inside a block as well.
#[test]
fn only_the_next_nonce_is_executed() {
    let params = network(|_| ());
    let pay = |nonce| transfer(0, nonce, 0, &[(address(1), 1)]);
    assert_eq!(refusal(&params, 1, &[pay(1)]), TxError::WrongNonce { found: 1, expected: 0 });
    assert_eq!(refusal(&params, 1, &[pay(0), pay(2)]), TxError::WrongNonce { found: 2, expected: 1 });
    let again = transfer(0, 0, 1, &[(address(1), 1)]);
    let error = refusal(&params, 1, &[pay(0), pay(1), again]);
    assert_eq!(error, TxError::WrongNonce { found: 0, expected: 2 });
    assert!(!error.is_temporary() && TxError::WrongNonce { found: 3, expected: 2 }.is_temporary());
    let execution = run(&params, 1, &[pay(0), pay(1), pay(2)], 5_000).unwrap();
    assert_eq!(touch_of(&execution, 0).positions, [1, 2, 3]);
    assert_eq!(touch_of(&execution, 0).after.next_nonce, 3);
}

#[test]
fn a_transaction_is_valid_up_to_its_last_height() {
    let params = network(|_| ());
    let pay = |until| transfer_until(0, 0, 0, &[(address(1), 1)], until);
    assert!(run(&params, 7, &[pay(7)], 5_000).is_ok());
    assert!(run(&params, 7, &[pay(0)], 5_000).is_ok());
    let error = TxError::Expired { valid_until: Height::new(6), height: Height::new(7) };
    assert_eq!(refusal(&params, 7, &[pay(6)]), error);
    assert!(!error.is_temporary());
}

#[test]
fn fee_and_outputs_must_be_there_before_the_transactions_own_credits() {
    let params = network(|_| ());
    let all = transfer(0, 0, 10, &[(address(1), ALLOCATED - 10)]);
    assert_eq!(touch_of(&run(&params, 1, &[all], 5_010).unwrap(), 0).after.balance, Mites::ZERO);
    let error = TxError::InsufficientBalance { balance: Mites::new(ALLOCATED), needed: Mites::new(ALLOCATED + 1) };
    assert_eq!(refusal(&params, 1, &[transfer(0, 0, 11, &[(address(1), ALLOCATED - 10)])]), error);
    assert_eq!(refusal(&params, 1, &[transfer(0, 0, 1, &[(address(0), ALLOCATED)])]), error);
    // An account that does not exist has nothing.
    let nothing = TxError::InsufficientBalance { balance: Mites::ZERO, needed: Mites::new(1) };
    assert_eq!(refusal(&params, 1, &[transfer(50, 0, 0, &[(address(1), 1)])]), nothing);
    // What an earlier transaction of the block brings can be spent.
    let brings = transfer(0, 0, 100, &[(address(50), 500)]);
    assert!(run(&params, 1, &[brings, transfer(50, 0, 0, &[(address(1), 500)])], 5_000).is_ok());
}

#[test]
fn a_transfer_to_oneself_costs_the_fee_and_is_one_entry() {
    let params = network(|_| ());
    let tx = transfer(0, 0, 7, &[(address(0), 500), (address(0), 1)]);
    let execution = run(&params, 1, std::slice::from_ref(&tx), 5_007).unwrap();
    let after = touch_of(&execution, 0).after;
    assert_eq!((after.balance, after.next_nonce, after.entries), (Mites::new(ALLOCATED - 7), 1, 1));
    assert_eq!(after.history, history(&params, 1, &[&tx]));
    assert_eq!(execution.openings, 0);
}

#[test]
fn the_fee_pays_for_every_account_that_is_opened_once() {
    let params = network(|_| ());
    let two = [(address(50), 1), (address(51), 1), (address(50), 1), (address(1), 1)];
    let error = TxError::FeeBelowOpeningCost { fee: Mites::new(199), needed: Mites::new(200), openings: 2 };
    assert_eq!(refusal(&params, 1, &[transfer(0, 0, 199, &two)]), error);
    let execution = run(&params, 1, &[transfer(0, 0, 200, &two)], 5_000).unwrap();
    assert_eq!((execution.burned, execution.openings), (Mites::new(200), 2));
    // Whoever comes second opens nothing, and the surplus is the miner's.
    let txs = [transfer(0, 0, 200, &two), transfer(1, 0, 200, &two), transfer(2, 0, 0, &two)];
    let execution = run(&params, 1, &txs, 5_200).unwrap();
    assert_eq!((execution.fees, execution.burned), (Mites::new(400), Mites::new(200)));
}

#[test]
fn a_block_opens_at_most_so_many_accounts() {
    let params = network(|fields| fields.max_openings = 3);
    let open = |from, nonce, targets: std::ops::Range<u64>| {
        let outputs: Vec<_> = targets.map(|n| (address(n), 1)).collect();
        transfer(from, nonce, 1_000, &outputs)
    };
    let error = TxError::TooManyOpenings { found: 4, max: 3 };
    assert_eq!(refusal(&params, 1, &[open(0, 0, 50..52), open(1, 0, 52..54)]), error);
    // The next one still fits, and the coinbase opens its account beyond the limit.
    let execution = run(&params, 1, &[open(0, 0, 50..52), open(1, 0, 52..53)], 6_700).unwrap();
    assert_eq!(execution.openings, 3);
    assert_eq!(touch_of(&execution, 99).before, None);
}

#[test]
fn the_coinbase_names_its_height() {
    let params = network(|_| ());
    let block = check_block(&params, &block(coinbase(2, 5_000), Vec::new())).unwrap();
    let error = execute(&params, &genesis(&params), Height::new(1), &block, None).unwrap_err();
    assert_eq!(error, BlockError::WrongCoinbaseHeight { found: Height::new(2), expected: Height::new(1) });
}

#[test]
fn the_coinbase_takes_exactly_subsidy_and_fees_less_what_is_burned() {
    let params = network(|_| ());
    let tx = transfer(0, 0, 150, &[(address(50), 1)]);
    assert!(run(&params, 1, std::slice::from_ref(&tx), 5_050).is_ok());
    for amount in [0, 5_049, 5_051, 5_150, u64::MAX] {
        let error = run(&params, 1, std::slice::from_ref(&tx), amount).unwrap_err();
        let expected = Mites::new(5_050);
        assert_eq!(error, BlockError::WrongCoinbaseAmount { found: Mites::new(amount), expected });
    }
    let amount = |height, fees, burned| {
        expected_coinbase_amount(&params, Height::new(height), Mites::new(fees), Mites::new(burned))
    };
    assert_eq!(amount(1, 150, 100), Some(Mites::new(5_050)));
    assert_eq!(amount(0, 150, 100), Some(Mites::new(50)));
    assert_eq!(amount(1_001, 0, 0), Some(Mites::new(2_500)));
    assert_eq!(amount(1, u64::MAX, 0), None);
}

/// What a block without transactions does, on a network whose rewards wait three blocks.
fn delayed(height: u64, matured: Option<&Coinbase>) -> Result<Execution, BlockError> {
    let params = network(|fields| fields.reward_delay = 3);
    let block = check_block(&params, &block(coinbase(height, 5_000), Vec::new())).unwrap();
    execute(&params, &genesis(&params), Height::new(height), &block, matured)
}

#[test]
fn a_delayed_coinbase_is_credited_when_its_time_has_come() {
    for height in 1..=3 {
        assert_eq!(delayed(height, None).unwrap().touched, []);
    }
    let params = network(|fields| fields.reward_delay = 3);
    let execution = delayed(4, Some(&coinbase(1, 5_000))).unwrap();
    let link = history_link(&Hash::ZERO, coinbase(1, 5_000).id(params.genesis_id()).into(), Height::new(4));
    let after = Account { balance: Mites::new(5_000), next_nonce: 0, entries: 1, history: link };
    let expected = Touch { address: address(99), before: None, after, positions: vec![0] };
    assert_eq!(execution.touched, [expected]);
}

#[test]
fn the_callers_mistake_about_the_coinbase_due_blames_nobody() {
    let (due, other) = (coinbase(1, 5_000), coinbase(2, 5_000));
    for (height, given) in [(4, None), (4, Some(&other)), (3, Some(&due)), (5, Some(&due))] {
        let error = delayed(height, given).unwrap_err();
        let expected = height.checked_sub(3).filter(|height| *height > 0).map(Height::new);
        assert_eq!(error, BlockError::WrongMatured { found: given.map(|coinbase| coinbase.height), expected });
        assert!(!error.condemns_id() && !error.blames_sender());
    }
    // Without delay the block's own is credited, and no other can be.
    let params = network(|_| ());
    let block = check_block(&params, &block(coinbase(1, 5_000), Vec::new())).unwrap();
    let error = execute(&params, &genesis(&params), Height::new(1), &block, Some(&due)).unwrap_err();
    assert_eq!(error.rule(), "R-FRK-04");
}

#[test]
fn a_coinbase_of_nothing_touches_nothing() {
    // After 64 halvings there is no subsidy.
    let params = network(|fields| fields.halving_interval = 1);
    assert_eq!(run(&params, 65, &[], 0).unwrap().touched, []);
    assert_eq!(run(&params, 65, &[transfer(0, 0, 1, &[(address(1), 1)])], 1).unwrap().touched.len(), 3);
}

#[test]
fn the_coinbase_comes_last_in_an_account_that_transactions_touch_too() {
    let params = network(|_| ());
    let txs = [transfer(0, 0, 100, &[(address(99), 5)]), transfer(1, 0, 0, &[(address(99), 6)])];
    let execution = run(&params, 1, &txs, 5_000).unwrap();
    let touch = touch_of(&execution, 99);
    let by_txs = history(&params, 1, &[&txs[0], &txs[1]]);
    let link = history_link(&by_txs, coinbase(1, 5_000).id(params.genesis_id()).into(), Height::new(1));
    assert_eq!(touch.positions, [1, 2, 0]);
    assert_eq!((touch.after.balance, touch.after.entries, touch.after.history), (Mites::new(5_011), 3, link));
}

/// A state that no network reaches, with an account at the end of its numbers.
fn extreme(n: u64, account: Account) -> (Params, State) {
    let params = network(|_| ());
    let mut state = genesis(&params);
    state.insert(address(n), Entry { account, meta: () });
    (params, state)
}

/// Value overflow (CVE-2010-5139).
#[test]
fn no_number_of_an_account_overflows() {
    let rich = |balance, next_nonce, entries| Account {
        balance: Mites::new(balance),
        next_nonce,
        entries,
        history: Hash::ZERO,
    };
    let apply = |n: u64, account, tx: &SignedTransaction| {
        let (params, state) = extreme(n, account);
        Executor::new(&params, &state, Height::new(1)).apply(tx).map(|_| ())
    };
    let pay = transfer(0, 0, 0, &[(address(1), 10), (address(1), 10)]);
    assert_eq!(apply(1, rich(u64::MAX - 20, 0, 0), &pay), Ok(()));
    let overflow = |n| Err(TxError::AccountOverflow(address(n)));
    assert_eq!(apply(1, rich(u64::MAX - 19, 0, 0), &pay), overflow(1));
    assert_eq!(apply(1, rich(0, 0, u64::MAX - 1), &pay), Ok(()));
    assert_eq!(apply(1, rich(0, 0, u64::MAX), &pay), overflow(1));
    let last_nonce = transfer(0, u64::MAX, 0, &[(address(1), 1)]);
    assert_eq!(apply(0, rich(5, u64::MAX, 0), &last_nonce), overflow(0));
    // Subsidy and fees are one sum.
    let fee = transfer(0, 0, u64::MAX - 5_000, &[(address(1), 1)]);
    assert_eq!(apply(0, rich(u64::MAX, 0, 0), &fee), Ok(()));
    let fee = transfer(0, 0, u64::MAX - 4_999, &[(address(1), 1)]);
    assert_eq!(apply(0, rich(u64::MAX, 0, 0), &fee), overflow(0));
    assert!(!TxError::AccountOverflow(address(0)).is_temporary());
}

#[test]
fn a_coinbase_overflows_no_account() {
    for (balance, entries, fits) in
        [(u64::MAX - 5_000, 0, true), (u64::MAX - 4_999, 0, false), (0, u64::MAX - 1, true), (0, u64::MAX, false)]
    {
        let account = Account { entries, ..Account::with_balance(Mites::new(balance)) };
        let (params, state) = extreme(99, account);
        let block = check_block(&params, &block(coinbase(1, 5_000), Vec::new())).unwrap();
        let result = execute(&params, &state, Height::new(1), &block, None);
        let expected = if fits { Ok(()) } else { Err(BlockError::AccountOverflow(address(99))) };
        assert_eq!(result.map(|_| ()), expected);
    }
}

/// Amounts at both ends of `u64`, and anywhere between.
fn amount() -> impl Strategy<Value = u64> {
    prop_oneof![1..100_u64, (u64::MAX - 100)..=u64::MAX, 1..=u64::MAX]
}

proptest! {
    /// Value overflow (CVE-2010-5139): in numbers that cannot overflow, nothing is made or lost.
    #[test]
    fn money_is_conserved_near_the_end_of_u64(
        balances in proptest::array::uniform3(amount()),
        transfers in proptest::collection::vec((0..3_u64, 0..4_u64, amount(), 0..3_u64, amount()), 1..8),
    ) {
        let free = |fields: &mut ParamsFields| { fields.opening_cost = Mites::new(1); fields.allocations.clear(); };
        let params = network(free);
        let mut state = State::new();
        for (n, balance) in (0..).zip(balances) {
            state.insert(address(n), Entry { account: Account::with_balance(Mites::new(balance)), meta: () });
        }
        let mut executor = Executor::new(&params, &state, Height::new(1));
        let mut nonces = [0; 3];
        let mut before: u128 = balances.iter().map(|balance| u128::from(*balance)).sum();
        before += 5_000;
        for (from, to, first, fee, second) in transfers {
            let nonce = &mut nonces[usize::try_from(from).unwrap()];
            let outputs = [(address(to), first), (address(0), second)];
            // What does not even fit into a transaction is no transaction [R-TX-07].
            if u128::from(first) + u128::from(second) + u128::from(fee) > u64::MAX.into() { continue; }
            if executor.apply(&transfer(from, *nonce, fee, &outputs)).is_ok() { *nonce += 1; }
        }
        let amount = executor.coinbase_amount();
        if let Ok(execution) = executor.finish(&coinbase(1, amount.get()), None) {
            let untouched: u128 = (0..3_u64)
                .filter(|n| execution.touched.iter().all(|touch| touch.address != address(*n)))
                .map(|n| u128::from(balances[usize::try_from(n).unwrap()]))
                .sum();
            let after: u128 = execution.touched.iter().map(|touch| u128::from(touch.after.balance.get())).sum();
            prop_assert_eq!(before, untouched + after + u128::from(execution.burned.get()));
        }
    }
}
