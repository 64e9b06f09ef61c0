//! An account's past, walked back link by link from its proven head.

use farthing::{
    Address, EntryId, Hash, Height, Mites, Params, SignedTransaction, TimeMs,
    account::history_link,
    wire::{WireError, read_transaction_view, v1},
};

use super::{VerifiedAccount, VerifyError};

/// What touched an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A transfer to it, from it, or both.
    Transfer(Box<SignedTransaction>),
    /// A credited mining reward.
    Reward(Mites),
}

/// One proven link of an account's history.
#[derive(Debug, Clone)]
pub struct Entry {
    /// 1 for the first.
    pub number: u64,
    /// What it links.
    pub id: EntryId,
    /// Height that the link carries.
    pub height: Height,
    /// What touched the account.
    pub cause: Cause,
    /// Time of that block as the node states it; not proven.
    pub time: TimeMs,
}

impl Entry {
    /// The nonce that it used up, if it is a transfer by that account.
    #[must_use]
    pub fn paid_nonce(&self, address: &Address) -> Option<u64> {
        match &self.cause {
            Cause::Transfer(transfer) if transfer.transaction().sender_address() == *address => {
                Some(transfer.transaction().nonce())
            }
            _ => None,
        }
    }

    /// What it brought and what it took, the fee included.
    #[must_use]
    pub fn change(&self, address: &Address) -> (Mites, Mites) {
        match &self.cause {
            Cause::Reward(amount) => (*amount, Mites::ZERO),
            Cause::Transfer(transfer) => {
                let transaction = transfer.transaction();
                let to_it = transaction.outputs().iter().filter(|output| output.to == *address);
                let received = Mites::checked_sum(to_it.map(|output| output.amount))
                    .expect("a transaction's outputs add up without overflow");
                let spent = if transaction.sender_address() == *address { transaction.total() } else { Mites::ZERO };
                (received, spent)
            }
        }
    }
}

/// Walks an account's history back from its proven head, entry by entry.
#[derive(Debug)]
pub struct HistoryWalk<'a> {
    network: &'a Params,
    address: Address,
    /// Head of the chain that is left.
    head: Hash,
    /// Number of entries that are left.
    left: u64,
    /// Height of the entry above, below which the next one may not stand.
    above: Option<Height>,
    /// Number of the account's own transfers that are left.
    nonces_left: u64,
    received: u128,
    spent: u128,
    balance: Mites,
}

impl<'a> HistoryWalk<'a> {
    /// Starts at a proven account.
    #[must_use]
    pub fn new(network: &'a Params, account: &VerifiedAccount) -> Self {
        let state = account.state();
        Self {
            network,
            address: account.address,
            head: state.history,
            left: state.entries,
            above: None,
            nonces_left: state.next_nonce,
            received: 0,
            spent: 0,
            balance: state.balance,
        }
    }

    /// Number of entries not seen yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next older entry. `before` is the chain's head before it, as the entry below states it.
    ///
    /// # Errors
    /// [`VerifyError::BrokenHistory`], [`VerifyError::Malformed`], [`VerifyError::EntryHeight`],
    /// [`VerifyError::ForeignEntry`], [`VerifyError::NonceOrder`].
    pub fn step(&mut self, message: v1::AccountEntry, before: Hash) -> Result<Entry, VerifyError> {
        let number = message.entry;
        let broken = || VerifyError::BrokenHistory { entry: number };
        if number != self.left || number == 0 || (number == 1 && before != Hash::ZERO) {
            return Err(broken());
        }
        let malformed = |error: WireError| VerifyError::Malformed(error.within("entries"));
        let genesis = self.network.genesis_id();
        let height = Height::new(message.height);
        let (id, due, cause) = match message.cause {
            None => return Err(malformed(WireError::missing("cause"))),
            Some(v1::account_entry::Cause::Transaction(view)) => {
                let (id, transfer) = read_transaction_view(self.network, view).map_err(malformed)?;
                (EntryId::from(id), None, Cause::Transfer(Box::new(transfer)))
            }
            Some(v1::account_entry::Cause::Coinbase(message)) => {
                let coinbase = farthing::Coinbase::try_from(message).map_err(malformed)?;
                if coinbase.to != self.address {
                    return Err(broken());
                }
                let due = coinbase.height.get().checked_add(self.network.reward_delay);
                (EntryId::from(coinbase.id(genesis)), due, Cause::Reward(coinbase.amount))
            }
        };
        if message.id.as_ref() != id.as_bytes() || history_link(&before, id, height) != self.head {
            return Err(broken());
        }
        let entry = Entry { number, id, height, cause, time: TimeMs::new(message.time_ms) };
        self.check_height(&entry, due)?;
        self.check_nonce(&entry)?;
        let (received, spent) = entry.change(&self.address);
        // Amounts are above zero, so whatever concerns the account moves something.
        if received.is_zero() && spent.is_zero() && matches!(entry.cause, Cause::Transfer(_)) {
            return Err(VerifyError::ForeignEntry { entry: number });
        }
        self.received += u128::from(received.get());
        self.spent += u128::from(spent.get());
        self.head = before;
        self.left -= 1;
        self.above = Some(height);
        Ok(entry)
    }

    /// Heights do not fall from entry to entry, and a reward comes when it is due \[R-HIS-03\].
    fn check_height(&self, entry: &Entry, due: Option<u64>) -> Result<(), VerifyError> {
        let (entry, found) = (entry.number, entry.height);
        match (self.above, due) {
            (Some(above), _) if found > above => {
                Err(VerifyError::EntryHeight { entry, found, expected: format!("{above} or less") })
            }
            (_, Some(due)) if found.get() != due => {
                Err(VerifyError::EntryHeight { entry, found, expected: due.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// The account's own transfers, seen from the newest, carry next_nonce - 1, ... 1, 0 \[R-HIS-04\].
    fn check_nonce(&mut self, entry: &Entry) -> Result<(), VerifyError> {
        let Some(found) = entry.paid_nonce(&self.address) else {
            return Ok(());
        };
        match self.nonces_left.checked_sub(1) {
            Some(expected) if found == expected => {
                self.nonces_left = expected;
                Ok(())
            }
            expected => {
                let expected = expected.map_or_else(|| "none any more".to_owned(), |nonce| nonce.to_string());
                Err(VerifyError::NonceOrder { found: found.to_string(), expected })
            }
        }
    }

    /// After the last entry: whether everything adds up to the proven balance. An account that genesis funded begins
    /// with its allocation.
    ///
    /// # Errors
    /// [`VerifyError::NonceOrder`] and [`VerifyError::BalanceMismatch`].
    pub fn finish(&self) -> Result<(), VerifyError> {
        if let Some(missing) = self.nonces_left.checked_sub(1) {
            return Err(VerifyError::NonceOrder { found: "none".to_owned(), expected: missing.to_string() });
        }
        let allocated = self
            .network
            .allocations
            .iter()
            .find(|allocation| allocation.address == self.address)
            .map_or(0, |allocation| allocation.amount.get());
        let sum = (u128::from(allocated) + self.received).checked_sub(self.spent);
        if sum == Some(u128::from(self.balance.get())) {
            return Ok(());
        }
        let found = sum
            .and_then(|sum| u64::try_from(sum).ok())
            .map_or("an impossible amount".into(), |sum| Mites::new(sum).to_string());
        Err(VerifyError::BalanceMismatch { found, expected: self.balance })
    }
}

/// The chain's head after an entry, as the entry states it.
///
/// # Errors
/// [`VerifyError::Malformed`].
pub fn stated_head(message: &v1::AccountEntry) -> Result<Hash, VerifyError> {
    Hash::try_from(message.history.as_ref()).map_err(|_| VerifyError::BrokenHistory { entry: message.entry })
}
