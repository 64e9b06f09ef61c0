//! Proofs of an account's past: ids that lead from zeros to the committed head of its history \[R-HIS\].

mod walk;

pub use self::walk::PastWalk;
use crate::{Account, Address, Coinbase, EntryId, Hash, Height, Mites, Params, Transaction, account::history_link};

/// Why entries are not the past of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// Fewer or more entries than the account has \[R-HIS-01\].
    #[error("{found} entries, the account has {expected}")]
    EntryCount {
        /// Entries shown.
        found: u64,
        /// Entries of the account.
        expected: u64,
    },
    /// Entries that lead to another head \[R-HIS-02\].
    #[error("the entries lead to history {found}, the account has {expected}")]
    WrongHistory {
        /// Where they lead.
        found: Hash,
        /// What the account has.
        expected: Hash,
    },
    /// An entry below an earlier one \[R-HIS-03\].
    #[error("entry {entry} is at height {height}, the one before it at {before}")]
    EntryMismatch {
        /// Its number, from 1.
        entry: u64,
        /// Its height.
        height: Height,
        /// Height of the one before.
        before: Height,
    },
    /// A reward at another height than it is due \[R-HIS-03\].
    #[error("entry {entry} is a reward at height {found}, due at {due}")]
    EntryHeight {
        /// Its number.
        entry: u64,
        /// Its height.
        found: Height,
        /// When it is due.
        due: Height,
    },
    /// Something that has nothing to do with the account \[R-HIS-03\].
    #[error("entry {entry} neither pays nor is paid by the account")]
    ForeignEntry {
        /// Its number.
        entry: u64,
    },
    /// The account's own transfers do not count 0, 1, 2 … up to its next nonce \[R-HIS-04\].
    #[error("entry {entry} spends nonce {found}, expected {expected}")]
    NonceOrder {
        /// Its number; the number of entries if one is missing.
        entry: u64,
        /// The nonce that it spends, or the account's next one.
        found: u64,
        /// The one that comes next.
        expected: u64,
    },
    /// Allocation, credits and debits do not come to the balance \[R-HIS-04\].
    #[error("the entries leave {left} mites, the balance is {balance}")]
    BalanceMismatch {
        /// What they leave.
        left: i128,
        /// The balance.
        balance: Mites,
    },
}

impl HistoryError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::EntryCount { .. } => "R-HIS-01",
            Self::WrongHistory { .. } => "R-HIS-02",
            Self::EntryMismatch { .. } | Self::EntryHeight { .. } | Self::ForeignEntry { .. } => "R-HIS-03",
            Self::NonceOrder { .. } | Self::BalanceMismatch { .. } => "R-HIS-04",
        }
    }
}

/// What touched an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryCause {
    /// A transfer to it, from it, or both. Without its signature, which the transaction id does not fix: the history
    /// proves what was done, and the block that it was done in has seen a good signature.
    Transfer(Box<Transaction>),
    /// A credited mining reward.
    Reward(Coinbase),
}

/// One thing that touched an account, and the height that its link carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// Where the transfer was mined or the reward credited.
    pub height: Height,
    /// What it was.
    pub cause: EntryCause,
}

impl HistoryEntry {
    /// The id that the history links, computed from the contents.
    #[must_use]
    pub fn id(&self, params: &Params) -> EntryId {
        match &self.cause {
            EntryCause::Transfer(transaction) => transaction.id(params.genesis_id()).into(),
            EntryCause::Reward(coinbase) => coinbase.id(params.genesis_id()).into(),
        }
    }

    /// The nonce that it used up, if it is a transfer by that account.
    #[must_use]
    pub fn paid_nonce(&self, address: &Address) -> Option<u64> {
        match &self.cause {
            EntryCause::Transfer(transaction) => paid_nonce(transaction, address),
            EntryCause::Reward(_) => None,
        }
    }

    /// What it brought that account and what it took from it, the fee included.
    #[must_use]
    pub fn change(&self, address: &Address) -> (Mites, Mites) {
        match &self.cause {
            EntryCause::Reward(coinbase) if coinbase.to == *address => (coinbase.amount, Mites::ZERO),
            EntryCause::Reward(_) => (Mites::ZERO, Mites::ZERO),
            EntryCause::Transfer(transaction) => transfer_change(transaction, address),
        }
    }
}

/// The nonce that a transfer used up, if it is by that account.
#[must_use]
pub fn paid_nonce(transaction: &Transaction, address: &Address) -> Option<u64> {
    (transaction.sender_address() == *address).then(|| transaction.nonce())
}

/// What a transfer brought that account and what it took from it, the fee included.
///
/// # Panics
/// Never: a transaction's outputs add up without overflow, or it could not have been made.
#[must_use]
pub fn transfer_change(transaction: &Transaction, address: &Address) -> (Mites, Mites) {
    let to_it = transaction.outputs().iter().filter(|output| output.to == *address);
    let received = Mites::checked_sum(to_it.map(|output| output.amount));
    let spent = if transaction.sender_address() == *address { transaction.total() } else { Mites::ZERO };
    (received.expect("a transaction's outputs add up without overflow"), spent)
}

/// Checks that `entries`, the oldest first, are the whole past of `account`, nothing hidden, added or out of order.
///
/// Whether each id is that of the transaction or coinbase shown beside it, and whether amounts add up to the balance
/// \[R-HIS-04\], is for [`verify_past`], which has those.
///
/// # Errors
/// The first rule broken.
pub fn verify_history(account: &Account, entries: &[(EntryId, Height)]) -> Result<(), HistoryError> {
    let found = u64::try_from(entries.len()).unwrap_or(u64::MAX);
    if found != account.entries {
        return Err(HistoryError::EntryCount { found, expected: account.entries });
    }
    let head = entries.iter().fold(Hash::ZERO, |head, (id, height)| history_link(&head, *id, *height));
    if head != account.history {
        return Err(HistoryError::WrongHistory { found: head, expected: account.history });
    }
    for (number, ((_, before), (_, height))) in (2..).zip(entries.iter().zip(entries.iter().skip(1))) {
        if height < before {
            return Err(HistoryError::EntryMismatch { entry: number, height: *height, before: *before });
        }
    }
    Ok(())
}

/// Checks that `entries`, the oldest first, are the whole past of an account whose state is proven, and add up to it:
/// each is about the account, rewards come when they are due, the account's own transfers carry nonces 0, 1, 2 …, and
/// what genesis gave it, what it received and what it spent come to the balance.
///
/// # Errors
/// The first rule broken.
pub fn verify_past(
    params: &Params,
    address: &Address,
    account: &Account,
    entries: &[HistoryEntry],
) -> Result<(), HistoryError> {
    let links: Vec<_> = entries.iter().map(|entry| (entry.id(params), entry.height)).collect();
    verify_history(account, &links)?;
    let mut sums = Sums::of(params, address);
    for (number, entry) in (1..).zip(entries) {
        sums.add(params, address, number, entry)?;
    }
    sums.finish(account)
}

/// What genesis gave an account.
fn allocation(params: &Params, address: &Address) -> i128 {
    let allocation = params.allocations.iter().find(|allocation| allocation.address == *address);
    allocation.map_or(0, |allocation| allocation.amount.get().into())
}

/// Whether an entry may be one of an account, whatever stands before it \[R-HIS-03\]: a reward comes when it is due, and
/// everything is about the account. What it brought and what it took.
fn check_entry(
    params: &Params,
    address: &Address,
    number: u64,
    entry: &HistoryEntry,
) -> Result<(Mites, Mites), HistoryError> {
    if let EntryCause::Reward(coinbase) = &entry.cause {
        let due = coinbase.height.saturating_add(params.reward_delay);
        if entry.height != due {
            return Err(HistoryError::EntryHeight { entry: number, found: entry.height, due });
        }
    }
    let (received, spent) = entry.change(address);
    // Amounts are above zero, so whatever concerns the account moves something.
    if received.is_zero() && spent.is_zero() {
        return Err(HistoryError::ForeignEntry { entry: number });
    }
    Ok((received, spent))
}

/// What an account has after its entries so far.
struct Sums {
    left: i128,
    next_nonce: u64,
}

impl Sums {
    fn of(params: &Params, address: &Address) -> Self {
        Self { left: allocation(params, address), next_nonce: 0 }
    }

    fn add(
        &mut self,
        params: &Params,
        address: &Address,
        number: u64,
        entry: &HistoryEntry,
    ) -> Result<(), HistoryError> {
        let (received, spent) = check_entry(params, address, number, entry)?;
        if let Some(found) = entry.paid_nonce(address) {
            if found != self.next_nonce {
                return Err(HistoryError::NonceOrder { entry: number, found, expected: self.next_nonce });
            }
            self.next_nonce = self.next_nonce.saturating_add(1);
        }
        // Fewer than 2^63 entries of fewer than 2^64 mites each.
        self.left = self.left.saturating_add(received.get().into()).saturating_sub(spent.get().into());
        Ok(())
    }

    fn finish(self, account: &Account) -> Result<(), HistoryError> {
        if self.next_nonce != account.next_nonce {
            let (entry, found) = (account.entries, account.next_nonce);
            return Err(HistoryError::NonceOrder { entry, found, expected: self.next_nonce });
        }
        if self.left != i128::from(account.balance.get()) {
            return Err(HistoryError::BalanceMismatch { left: self.left, balance: account.balance });
        }
        Ok(())
    }
}
