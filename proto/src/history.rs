//! Proofs of an account's past: ids that lead from zeros to the committed head of its history \[R-HIS\].

use crate::{Account, EntryId, Hash, Height, account::history_link};

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
}

impl HistoryError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::EntryCount { .. } => "R-HIS-01",
            Self::WrongHistory { .. } => "R-HIS-02",
            Self::EntryMismatch { .. } => "R-HIS-03",
        }
    }
}

/// Checks that `entries`, the oldest first, are the whole past of `account`, nothing hidden, added or out of order.
///
/// Whether each id is that of the transaction or coinbase shown beside it, and whether amounts add up to the balance
/// \[R-HIS-04\], is for whoever has those.
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
