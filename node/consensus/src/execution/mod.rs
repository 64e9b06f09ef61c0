//! Execution of a block on the state after its parent \[SPEC section 7\].
//!
//! One way for blocks that arrive and for templates that a miner makes: an [`Executor`] takes transactions one by one,
//! each wholly or not at all, and then credits the coinbase that is due. Signatures are verified elsewhere
//! ([`crate::check_signature`]), once per transaction and node.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use farthing::{Account, Address, Coinbase, EntryId, Height, Mites, Params, SignedTransaction, Transaction, TxId};

use crate::{
    blocks::CheckedBlock,
    error::{BlockError, TxError},
};

/// A state that can be read by address: the account tree, or a test's model.
pub trait AccountView {
    /// The account at an address; none if it does not exist.
    fn account(&self, address: &Address) -> Option<Account>;
}

/// What a block does to the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Execution {
    /// Every account touched, sorted by address.
    pub touched: Vec<Touch>,
    /// Fees of all transactions, what is burned included.
    pub fees: Mites,
    /// The part of the fees that opening accounts burns.
    pub burned: Mites,
    /// Accounts that the transactions open; one that the coinbase opens is not counted.
    pub openings: u32,
}

/// What a block does to one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Touch {
    /// Whose.
    pub address: Address,
    /// The account before the block; none if the block opens it.
    pub before: Option<Account>,
    /// The account after the block.
    pub after: Account,
    /// What touches it, in the order of its history: n for the block's n-th transaction, counted from 1, and 0, always
    /// last, for the coinbase credited.
    pub positions: Vec<u32>,
}

/// What one executed transaction did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The part of its fee that is burned.
    pub burned: Mites,
    /// Accounts that it opened.
    pub openings: u32,
}

/// Executes a block's transactions and credits the coinbase that is due, without changing `state`.
///
/// `matured` is the coinbase of the block `reward_delay` below; none if that is genesis or below it. On a network
/// without delay the block's own is credited and `matured` must be none. Signatures are not verified here.
///
/// # Errors
/// The first rule broken.
pub fn execute(
    params: &Params,
    state: &impl AccountView,
    height: Height,
    block: &CheckedBlock,
    matured: Option<&Coinbase>,
) -> Result<Execution, BlockError> {
    let mut executor = Executor::new(params, state, height);
    for (tx, id) in block.block().transactions.iter().zip(block.tx_ids()) {
        executor.apply_with_id(tx, *id).map_err(|error| BlockError::Transaction {
            position: executor.count.saturating_add(1),
            id: *id,
            error,
        })?;
    }
    executor.finish(&block.block().coinbase, matured)
}

/// What a coinbase must pay \[R-CB-03\]: subsidy and fees less what is burned; none if that leaves `u64`.
#[must_use]
pub fn expected_coinbase_amount(params: &Params, height: Height, fees: Mites, burned: Mites) -> Option<Mites> {
    params.subsidy(height).checked_add(fees)?.checked_sub(burned)
}

/// A block in the making: the state below it is read, the changes are kept here.
#[derive(Debug, Clone)]
pub struct Executor<'a, V> {
    params: &'a Params,
    view: &'a V,
    height: Height,
    accounts: BTreeMap<Address, Working>,
    fees: Mites,
    burned: Mites,
    reward: Mites,
    openings: u32,
    count: u32,
}

/// A touched account while the block is executed.
#[derive(Debug, Clone)]
struct Working {
    before: Option<Account>,
    after: Account,
    positions: Vec<u32>,
}

/// What a transaction would do, before anything of it is done.
struct Staged {
    accounts: Vec<(Address, Account)>,
    fees: Mites,
    burned: Mites,
    reward: Mites,
    openings: u32,
    applied: Applied,
}

impl<'a, V: AccountView> Executor<'a, V> {
    /// Begins the block of this height on the state after its parent.
    #[must_use]
    pub fn new(params: &'a Params, view: &'a V, height: Height) -> Self {
        let reward = params.subsidy(height);
        let accounts = BTreeMap::new();
        Self { params, view, height, accounts, fees: Mites::ZERO, burned: Mites::ZERO, reward, openings: 0, count: 0 }
    }

    /// Executes the next transaction. Its signature is not verified.
    ///
    /// # Errors
    /// The first rule broken; nothing has changed then, and the next transaction can be tried.
    pub fn apply(&mut self, tx: &SignedTransaction) -> Result<Applied, TxError> {
        self.apply_with_id(tx, tx.transaction().id(self.params.genesis_id()))
    }

    /// As [`apply`](Self::apply), for a caller that has computed the transaction's id already. A wrong id is a wrong
    /// history, and so a wrong commitment.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_with_id(&mut self, tx: &SignedTransaction, id: TxId) -> Result<Applied, TxError> {
        let staged = self.stage(tx.transaction(), id)?;
        self.count = self.count.saturating_add(1);
        for (address, after) in staged.accounts {
            self.set(address, after, self.count);
        }
        self.fees = staged.fees;
        self.burned = staged.burned;
        self.reward = staged.reward;
        self.openings = staged.openings;
        Ok(staged.applied)
    }

    /// The account as it is now; none if it does not exist yet.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.accounts.get(address).map(|working| working.after).or_else(|| self.view.account(address))
    }

    /// Transactions executed so far.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// What the block's coinbase must pay after the transactions so far \[R-CB-03\].
    #[must_use]
    pub const fn coinbase_amount(&self) -> Mites {
        self.reward
    }

    /// Checks the block's own coinbase, credits the one that is due (see [`execute`]) and gives the whole effect.
    ///
    /// # Errors
    /// If the coinbase has the wrong height or amount, or `matured` is not the one that is due.
    pub fn finish(mut self, own: &Coinbase, matured: Option<&Coinbase>) -> Result<Execution, BlockError> {
        self.check_coinbase(own)?;
        let due = self.due(own, matured)?;
        if let Some(coinbase) = due {
            self.credit(coinbase)?;
        }
        let touched = self.accounts.into_iter().map(|(address, working)| {
            let Working { before, after, positions } = working;
            Touch { address, before, after, positions }
        });
        Ok(Execution { touched: touched.collect(), fees: self.fees, burned: self.burned, openings: self.openings })
    }

    /// Contextual rules on a transaction, in SPEC's order, and what it would do.
    fn stage(&self, tx: &Transaction, id: TxId) -> Result<Staged, TxError> {
        let sender = tx.sender_address();
        let account = self.account(&sender).unwrap_or_default();
        check_nonce(tx, &account)?;
        check_expiry(tx, self.height)?;
        let balance = debit(tx, &account)?;
        let debited = Account { balance, next_nonce: next(account.next_nonce, sender)?, ..account };

        // The sender first, then every distinct output address once.
        let mut accounts = vec![(sender, debited)];
        let mut opened = 0_u32;
        for output in tx.outputs() {
            let at = match accounts.iter().position(|(address, _)| *address == output.to) {
                Some(at) => at,
                None => {
                    let existing = self.account(&output.to);
                    opened = opened.saturating_add(u32::from(existing.is_none()));
                    accounts.push((output.to, existing.unwrap_or_default()));
                    accounts.len().saturating_sub(1)
                }
            };
            if let Some((address, account)) = accounts.get_mut(at) {
                let sum = account.balance.checked_add(output.amount);
                account.balance = sum.ok_or(TxError::AccountOverflow(*address))?;
            }
        }
        let burned_here = self.check_opening_cost(tx, opened)?;
        let openings = self.check_openings(opened)?;
        for (address, account) in &mut accounts {
            touch(account, id.into(), self.height).ok_or(TxError::AccountOverflow(*address))?;
        }

        let overflow = TxError::AccountOverflow(sender);
        let fees = self.fees.checked_add(tx.fee()).ok_or(overflow.clone())?;
        let burned = self.burned.checked_add(burned_here).ok_or(overflow.clone())?;
        let reward = expected_coinbase_amount(self.params, self.height, fees, burned).ok_or(overflow)?;
        let applied = Applied { burned: burned_here, openings: opened };
        Ok(Staged { accounts, fees, burned, reward, openings, applied })
    }

    /// R-OPN-01; returns what is burned.
    fn check_opening_cost(&self, tx: &Transaction, openings: u32) -> Result<Mites, TxError> {
        // At most 64 openings at 100 far each: far from overflowing.
        let needed = self.params.opening_cost.checked_mul(openings.into()).unwrap_or(Mites::MAX);
        if tx.fee() >= needed {
            Ok(needed)
        } else {
            Err(TxError::FeeBelowOpeningCost { fee: tx.fee(), needed, openings })
        }
    }

    /// R-OPN-02; returns how many accounts the block opens with these.
    fn check_openings(&self, more: u32) -> Result<u32, TxError> {
        let (found, max) = (self.openings.saturating_add(more), self.params.max_openings);
        if found <= max { Ok(found) } else { Err(TxError::TooManyOpenings { found, max }) }
    }

    /// R-CB-02 and R-CB-03.
    fn check_coinbase(&self, own: &Coinbase) -> Result<(), BlockError> {
        if own.height != self.height {
            return Err(BlockError::WrongCoinbaseHeight { found: own.height, expected: self.height });
        }
        if own.amount != self.reward {
            return Err(BlockError::WrongCoinbaseAmount { found: own.amount, expected: self.reward });
        }
        Ok(())
    }

    /// The coinbase that this block credits: never genesis's.
    fn due<'c>(&self, own: &'c Coinbase, matured: Option<&'c Coinbase>) -> Result<Option<&'c Coinbase>, BlockError> {
        let due = self.height.checked_sub(self.params.reward_delay).filter(|height| *height > Height::GENESIS);
        let (expected, given) = if self.params.reward_delay == 0 { (None, Some(own)) } else { (due, matured) };
        let found = matured.map(|coinbase| coinbase.height);
        if found != expected {
            return Err(BlockError::WrongMatured { found, expected });
        }
        Ok(given.filter(|_| due.is_some()))
    }

    /// Credits a coinbase; one of nothing does nothing at all.
    fn credit(&mut self, coinbase: &Coinbase) -> Result<(), BlockError> {
        if coinbase.amount.is_zero() {
            return Ok(());
        }
        let overflow = || BlockError::AccountOverflow(coinbase.to);
        let mut account = self.account(&coinbase.to).unwrap_or_default();
        account.balance = account.balance.checked_add(coinbase.amount).ok_or_else(overflow)?;
        let id = coinbase.id(self.params.genesis_id());
        touch(&mut account, id.into(), self.height).ok_or_else(overflow)?;
        self.set(coinbase.to, account, 0);
        Ok(())
    }

    /// Keeps an account's new state and what touched it.
    fn set(&mut self, address: Address, after: Account, position: u32) {
        let view = self.view;
        let fresh = || Working { before: view.account(&address), after, positions: Vec::with_capacity(1) };
        let working = self.accounts.entry(address).or_insert_with(fresh);
        working.after = after;
        working.positions.push(position);
    }
}

/// R-ACC-01.
const fn check_nonce(tx: &Transaction, account: &Account) -> Result<(), TxError> {
    let (found, expected) = (tx.nonce(), account.next_nonce);
    if found == expected { Ok(()) } else { Err(TxError::WrongNonce { found, expected }) }
}

/// R-ACC-02.
fn check_expiry(tx: &Transaction, height: Height) -> Result<(), TxError> {
    match tx.valid_until() {
        Some(valid_until) if height > valid_until => Err(TxError::Expired { valid_until, height }),
        _ => Ok(()),
    }
}

/// R-ACC-03; returns what the sender keeps.
fn debit(tx: &Transaction, account: &Account) -> Result<Mites, TxError> {
    let (balance, needed) = (account.balance, tx.total());
    balance.checked_sub(needed).ok_or(TxError::InsufficientBalance { balance, needed })
}

/// R-ACC-04 on a nonce.
fn next(nonce: u64, sender: Address) -> Result<u64, TxError> {
    nonce.checked_add(1).ok_or(TxError::AccountOverflow(sender))
}

/// Links an id into an account's history; none if the count of entries leaves `u64`.
fn touch(account: &mut Account, id: EntryId, height: Height) -> Option<()> {
    account.entries.checked_add(1)?;
    account.link(id, height);
    Some(())
}
