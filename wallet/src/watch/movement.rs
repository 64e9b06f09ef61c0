//! What one transfer or reward means to one account.

use std::fmt;

use farthing::{Address, EntryId, Mites, SignedTransaction, history, limits};

use crate::{
    client::printable,
    error::Result,
    output::style::AMOUNT,
    verify::{Cause, Entry},
    wallet::Wallet,
};

/// Which way it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From another account.
    Received,
    /// By this account, to whomever.
    Sent,
    /// Mined.
    Reward,
    /// It does not touch the account.
    Foreign,
}

/// What moved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Movement {
    /// The transfer's id, or the reward's.
    pub id: EntryId,
    /// Which way.
    pub kind: Kind,
    /// What came, or what was paid, the fee not counted.
    pub amount: Mites,
    /// Who paid, or who was paid.
    pub with: Vec<Address>,
    /// What the payer wrote, fit to be shown.
    pub memo: Option<String>,
}

impl Movement {
    /// That of a proven entry.
    #[must_use]
    pub fn of_entry(entry: &Entry, address: &Address) -> Self {
        match &entry.cause {
            Cause::Transfer(transfer) => Self::of_transfer(transfer, entry.id, address),
            Cause::Reward(amount) => {
                Self { id: entry.id, kind: Kind::Reward, amount: *amount, with: Vec::new(), memo: None }
            }
        }
    }

    /// That of a transfer, mined or not.
    #[must_use]
    pub fn of_transfer(transfer: &SignedTransaction, id: EntryId, address: &Address) -> Self {
        let transaction = transfer.transaction();
        let sender = transaction.sender_address();
        let (received, spent) = history::transfer_change(transaction, address);
        let (kind, amount, with) = if sender == *address {
            let amount = spent.checked_sub(transaction.fee()).unwrap_or(spent);
            (Kind::Sent, amount, transaction.outputs().iter().map(|output| output.to).collect())
        } else if received.is_zero() {
            (Kind::Foreign, received, Vec::new())
        } else {
            (Kind::Received, received, vec![sender])
        };
        // Strangers write it.
        let memo = String::from_utf8_lossy(transaction.memo());
        let memo = (!memo.is_empty()).then(|| printable(&memo, limits::MAX_MEMO_BYTES));
        Self { id, kind, amount, with, memo }
    }

    /// In words: `12.5 far from bob "for the rent"`. Addresses without a name are shown in full.
    ///
    /// # Errors
    /// Those of contacts and keystore.
    pub fn words(&self, wallet: &Wallet) -> Result<String> {
        let names = self.names(wallet)?;
        let with = match (self.kind, names.as_slice()) {
            (Kind::Received, names) => format!(" from {}", names.join(", ")),
            (Kind::Sent, [only]) => format!(" to {only}"),
            (Kind::Sent, several) => format!(" to {} accounts", several.len()),
            (Kind::Reward, _) => " for a mined block".to_owned(),
            (Kind::Foreign, _) => String::new(),
        };
        let memo = self.memo.as_ref().map(|memo| format!(" \"{memo}\"")).unwrap_or_default();
        Ok(format!("{AMOUNT}{} far{AMOUNT:#}{with}{memo}", self.amount))
    }

    /// Names, or else addresses, of the others.
    ///
    /// # Errors
    /// Those of contacts and keystore.
    pub fn names(&self, wallet: &Wallet) -> Result<Vec<String>> {
        let name = |address: &Address| {
            Ok(wallet.name_of(address)?.map_or_else(|| wallet.show(address), |name| name.as_str().to_owned()))
        };
        self.with.iter().map(name).collect()
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Received => "received",
            Self::Sent => "sent",
            Self::Reward => "reward",
            Self::Foreign => "foreign",
        })
    }
}
