//! An account's past, walked back link by link from its proven head.

use farthing::{
    Address, EntryId, Hash, Height, Mites, Params, SignedTransaction, TimeMs,
    history::{self, EntryCause, HistoryError, PastWalk},
    wire::v1,
};

use super::{VerifiedAccount, VerifyError, linked::Linked};

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
            Cause::Transfer(transfer) => history::paid_nonce(transfer.transaction(), address),
            Cause::Reward(_) => None,
        }
    }

    /// What it brought and what it took, the fee included.
    #[must_use]
    pub fn change(&self, address: &Address) -> (Mites, Mites) {
        match &self.cause {
            Cause::Reward(amount) => (*amount, Mites::ZERO),
            Cause::Transfer(transfer) => history::transfer_change(transfer.transaction(), address),
        }
    }
}

/// Walks an account's history back from its proven head, message by message. The rules are those of
/// [`farthing::history::PastWalk`]; this reads the messages and says what a node did wrong.
#[derive(Debug)]
pub struct HistoryWalk<'a> {
    network: &'a Params,
    address: Address,
    past: PastWalk<'a>,
}

impl<'a> HistoryWalk<'a> {
    /// Starts at a proven account.
    #[must_use]
    pub fn new(network: &'a Params, account: &VerifiedAccount) -> Self {
        let address = account.address;
        Self { network, address, past: PastWalk::new(network, address, &account.state()) }
    }

    /// Number of entries not seen yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.past.left()
    }

    /// Takes the next older entry. `before` is the chain's head before it, as the entry below states it.
    ///
    /// # Errors
    /// [`VerifyError::BrokenHistory`], [`VerifyError::Malformed`], [`VerifyError::EntryHeight`],
    /// [`VerifyError::ForeignEntry`], [`VerifyError::NonceOrder`].
    pub fn step(&mut self, message: v1::AccountEntry, before: Hash) -> Result<Entry, VerifyError> {
        let number = message.entry;
        let broken = || VerifyError::BrokenHistory { entry: number };
        if number != self.left() || number == 0 {
            return Err(broken());
        }
        let read = Linked::read(self.network, message).map_err(|error| match error {
            VerifyError::Malformed(source) => VerifyError::Malformed(source.within("entries")),
            other => other,
        })?;
        let Linked { view, linked, .. } = read;
        if matches!(&linked.cause, EntryCause::Reward(coinbase) if coinbase.to != self.address) {
            return Err(broken());
        }
        let id = self.past.step(&linked, before).map_err(|error| self.read(error))?;
        Ok(Entry { number, id, height: view.height, cause: view.cause, time: view.time })
    }

    /// After the last entry: whether everything adds up to the proven balance. An account that genesis funded begins
    /// with its allocation.
    ///
    /// # Errors
    /// [`VerifyError::NonceOrder`] and [`VerifyError::BalanceMismatch`]; [`VerifyError::BrokenHistory`] before the last.
    pub fn finish(&self) -> Result<(), VerifyError> {
        self.past.finish().map_err(|error| match (error, self.past.nonces_left().checked_sub(1)) {
            (HistoryError::NonceOrder { .. }, Some(missing)) => {
                VerifyError::NonceOrder { found: "none".to_owned(), expected: missing.to_string() }
            }
            (error, _) => self.read(error),
        })
    }

    /// What a broken rule says about the node, seen from the newest entry.
    fn read(&self, error: HistoryError) -> VerifyError {
        match error {
            HistoryError::EntryCount { .. } | HistoryError::WrongHistory { .. } => {
                VerifyError::BrokenHistory { entry: self.left() }
            }
            HistoryError::EntryMismatch { entry, height, before } => VerifyError::EntryHeight {
                entry: entry.saturating_sub(1),
                found: before,
                expected: format!("{height} or less"),
            },
            HistoryError::EntryHeight { entry, found, due } => {
                VerifyError::EntryHeight { entry, found, expected: due.to_string() }
            }
            HistoryError::ForeignEntry { entry } => VerifyError::ForeignEntry { entry },
            HistoryError::NonceOrder { found, .. } => {
                let expected = self.past.nonces_left().checked_sub(1);
                let expected = expected.map_or_else(|| "none any more".to_owned(), |nonce| nonce.to_string());
                VerifyError::NonceOrder { found: found.to_string(), expected }
            }
            HistoryError::BalanceMismatch { left, balance } => {
                let found = u64::try_from(left);
                let found = found.map_or("an impossible amount".into(), |sum| Mites::new(sum).to_string());
                VerifyError::BalanceMismatch { found, expected: balance }
            }
        }
    }
}

/// The chain's head after an entry, as the entry states it.
///
/// # Errors
/// [`VerifyError::Malformed`].
pub fn stated_head(message: &v1::AccountEntry) -> Result<Hash, VerifyError> {
    Hash::try_from(message.history.as_ref()).map_err(|_| VerifyError::BrokenHistory { entry: message.entry })
}
