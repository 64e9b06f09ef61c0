//! An account's past checked from its newest entry down, for readers that do not want all of it.

use super::{HistoryEntry, HistoryError, allocation, check_entry};
use crate::{Account, Address, EntryId, Hash, Height, Params, account::history_link};

/// Walks an account's past back from its proven head, entry by entry: the rules of [`super::verify_past`], seen from the
/// other end \[R-HIS\]. What was walked is proven even if the walk ends early, except that nothing adds up to the balance yet.
#[derive(Debug)]
pub struct PastWalk<'a> {
    params: &'a Params,
    address: Address,
    account: Account,
    /// Head of the chain that is left.
    head: Hash,
    /// Number of entries that are left.
    left: u64,
    /// Height of the entry above, below which the next one may not stand.
    above: Option<Height>,
    /// Number of the account's own transfers that are left.
    nonces_left: u64,
    /// What the entries so far brought, less what they took.
    moved: i128,
}

impl<'a> PastWalk<'a> {
    /// Starts at a proven account.
    #[must_use]
    pub const fn new(params: &'a Params, address: Address, account: &Account) -> Self {
        Self {
            params,
            address,
            account: *account,
            head: account.history,
            left: account.entries,
            above: None,
            nonces_left: account.next_nonce,
            moved: 0,
        }
    }

    /// Number of entries not seen yet.
    #[must_use]
    pub const fn left(&self) -> u64 {
        self.left
    }

    /// Number of the account's own transfers not seen yet: the next one seen has to carry the nonce below that.
    #[must_use]
    pub const fn nonces_left(&self) -> u64 {
        self.nonces_left
    }

    /// Takes the next older entry. `before` is the history's head before it, zeros if it is the first.
    ///
    /// # Errors
    /// The first rule broken; the walk stays where it was.
    pub fn step(&mut self, entry: &HistoryEntry, before: Hash) -> Result<EntryId, HistoryError> {
        let number = self.left;
        let Some(left) = number.checked_sub(1) else {
            let expected = self.account.entries;
            return Err(HistoryError::EntryCount { found: expected.saturating_add(1), expected });
        };
        let id = entry.id(self.params);
        let found = history_link(&before, id, entry.height);
        // Only the first entry links zeros.
        if found != self.head || (left == 0 && before != Hash::ZERO) {
            return Err(HistoryError::WrongHistory { found, expected: self.head });
        }
        if let Some(above) = self.above.filter(|above| entry.height > *above) {
            let entry_above = number.saturating_add(1);
            return Err(HistoryError::EntryMismatch { entry: entry_above, height: above, before: entry.height });
        }
        let (received, spent) = check_entry(self.params, &self.address, number, entry)?;
        if let Some(found) = entry.paid_nonce(&self.address) {
            let expected = self.nonces_left.checked_sub(1);
            if expected != Some(found) {
                return Err(HistoryError::NonceOrder { entry: number, found, expected: expected.unwrap_or(0) });
            }
            self.nonces_left = found;
        }
        self.moved = self.moved.saturating_add(received.get().into()).saturating_sub(spent.get().into());
        (self.head, self.left, self.above) = (before, left, Some(entry.height));
        Ok(id)
    }

    /// Behind the first entry: whether everything adds up to the proven balance. An account that genesis funded begins with
    /// its allocation.
    ///
    /// # Errors
    /// If entries or transfers are missing, or the sum is another.
    pub fn finish(&self) -> Result<(), HistoryError> {
        let Account { entries: expected, balance, .. } = self.account;
        if self.left > 0 {
            return Err(HistoryError::EntryCount { found: expected.saturating_sub(self.left), expected });
        }
        if self.nonces_left > 0 {
            return Err(HistoryError::NonceOrder { entry: expected, found: self.nonces_left, expected: 0 });
        }
        let left = allocation(self.params, &self.address).saturating_add(self.moved);
        if left != i128::from(balance.get()) {
            return Err(HistoryError::BalanceMismatch { left, balance });
        }
        Ok(())
    }
}
