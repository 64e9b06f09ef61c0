//! An account's whole past: read from pages of the API, checked, kept and passed on.

use super::{
    AnchoredProof, AnchoredProofError, WireError, WireFault, field, read_transaction_view, transaction_view, v1,
};
use crate::{
    Account, Address, BlockId, Coinbase, EntryId, Height, Params, Transaction,
    codec::Canonical as _,
    history::{EntryCause, HistoryEntry, HistoryError, verify_past},
    limits::MAX_TRANSACTION_BYTES,
};

/// An account at one header and everything that ever touched it, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountStatement {
    /// The account.
    pub proof: AnchoredProof,
    /// Its past.
    pub entries: Vec<HistoryEntry>,
}

/// Why a statement is not an account's past.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StatementError {
    /// The account is not proven.
    #[error(transparent)]
    Proof(#[from] AnchoredProofError),
    /// The entries are not its past.
    #[error(transparent)]
    History(#[from] HistoryError),
}

impl AccountStatement {
    /// The account at `address` in the state that the header `tip` commits to, its whole past checked; none if it is
    /// proven absent, and then it has none.
    ///
    /// # Errors
    /// If the account is not proven against that header, or the entries are not all of its past.
    pub fn verify(&self, params: &Params, address: &Address, tip: &BlockId) -> Result<Option<Account>, StatementError> {
        let account = self.proof.verify_under(address, tip)?;
        verify_past(params, address, &account.unwrap_or_default(), &self.entries)?;
        Ok(account)
    }
}

/// Puts an account's past together from pages of entries, whichever way they were listed.
///
/// Prove the account first and list then: entries that are newer than the proof are left out, and any other change of the
/// history between the two shows as an error of [`PastReader::finish`].
#[derive(Debug)]
pub struct PastReader<'a> {
    params: &'a Params,
    address: Address,
    proven: u64,
    newest_first: bool,
    /// Number of the entry taken last.
    last: Option<u64>,
    entries: Vec<HistoryEntry>,
}

impl<'a> PastReader<'a> {
    /// A reader for the past of an account with so many proven entries, whose pages come in this order.
    #[must_use]
    pub const fn new(params: &'a Params, address: Address, proven: &Account, newest_first: bool) -> Self {
        Self { params, address, proven: proven.entries, newest_first, last: None, entries: Vec::new() }
    }

    /// Takes the next entry. Returns false once it needs no more.
    ///
    /// # Errors
    /// If the message is malformed, says two different things, or is not the next one.
    pub fn take(&mut self, message: v1::AccountEntry) -> Result<bool, WireError> {
        let number = message.entry;
        if number > self.proven {
            // Newer than the proof.
            return Ok(self.newest_first);
        }
        let expected = match (self.last, self.newest_first) {
            (None, true) => Some(self.proven),
            (None, false) => Some(1),
            (Some(last), true) => last.checked_sub(1),
            (Some(last), false) => last.checked_add(1),
        };
        if expected != Some(number) || number == 0 {
            return Err(WireError::new("entry", WireFault::Unexpected { expected: "the next entry of the history" }));
        }
        self.entries.push(read_account_entry(self.params, message)?.1);
        self.last = Some(number);
        Ok(if self.newest_first { number > 1 } else { number < self.proven })
    }

    /// The statement, checked as any reader of it will.
    ///
    /// # Errors
    /// As [`AccountStatement::verify`].
    pub fn finish(mut self, proof: AnchoredProof, tip: &BlockId) -> Result<AccountStatement, StatementError> {
        if self.newest_first {
            self.entries.reverse();
        }
        let statement = AccountStatement { proof, entries: self.entries };
        statement.verify(self.params, &self.address, tip)?;
        Ok(statement)
    }
}

/// Reads an entry. Everything in it that follows from the transaction or coinbase is computed here and held against it;
/// its number and `history` are the walk's to check, its time is not proven by anything in it.
///
/// # Errors
/// If it is malformed, or says two different things.
pub fn read_account_entry(params: &Params, message: v1::AccountEntry) -> Result<(EntryId, HistoryEntry), WireError> {
    use v1::account_entry::Cause;
    let cause = match message.cause.ok_or_else(|| WireError::missing("cause"))? {
        Cause::Transaction(view) => {
            let shown = view.clone();
            let (_, signed) = read_transaction_view(params, view).map_err(|error| error.within("transaction"))?;
            if transaction_view(params, &signed) != shown {
                return Err(WireError::new("transaction", WireFault::Mismatch { other: "its texts" }));
            }
            EntryCause::Transfer(Box::new(signed.transaction().clone()))
        }
        Cause::Coinbase(coinbase) => {
            EntryCause::Reward(Coinbase::try_from(coinbase).map_err(|error| error.within("coinbase"))?)
        }
    };
    let entry = HistoryEntry { height: Height::new(message.height), cause };
    let id = entry.id(params);
    if message.id.as_ref() != id.as_bytes() {
        return Err(WireError::new("id", WireFault::Mismatch { other: "cause" }));
    }
    if message.id_hex != id.to_string() {
        return Err(WireError::new("id_hex", WireFault::Mismatch { other: "id" }));
    }
    Ok((id, entry))
}

impl From<&AccountStatement> for v1::AccountStatement {
    fn from(statement: &AccountStatement) -> Self {
        Self {
            proof: Some((&statement.proof).into()),
            entries: statement.entries.iter().map(v1::AccountStatementEntry::from).collect(),
        }
    }
}

impl From<&HistoryEntry> for v1::AccountStatementEntry {
    fn from(entry: &HistoryEntry) -> Self {
        use v1::account_statement_entry::Cause;
        let cause = match &entry.cause {
            EntryCause::Transfer(transaction) => Cause::TransactionBody(transaction.to_canonical().into()),
            EntryCause::Reward(coinbase) => Cause::CoinbaseBytes(coinbase.to_canonical().into()),
        };
        Self { height: entry.height.get(), cause: Some(cause) }
    }
}

impl TryFrom<v1::AccountStatementEntry> for HistoryEntry {
    type Error = WireError;

    fn try_from(message: v1::AccountStatementEntry) -> Result<Self, WireError> {
        use v1::account_statement_entry::Cause;
        let cause = match message.cause.ok_or_else(|| WireError::missing("cause"))? {
            Cause::TransactionBody(bytes) => {
                let max = MAX_TRANSACTION_BYTES;
                if bytes.len() > max {
                    let fault = WireFault::Count { unit: "bytes", min: 1, max, found: bytes.len() };
                    return Err(WireError::new("transaction_body", fault));
                }
                let transaction = Transaction::from_canonical(&bytes);
                let transaction = transaction.map_err(|error| WireError::new("transaction_body", error))?;
                EntryCause::Transfer(Box::new(transaction))
            }
            Cause::CoinbaseBytes(bytes) => {
                let coinbase = Coinbase::from_canonical(&bytes);
                EntryCause::Reward(coinbase.map_err(|error| WireError::new("coinbase_bytes", error))?)
            }
        };
        Ok(Self { height: Height::new(message.height), cause })
    }
}

impl TryFrom<v1::AccountStatement> for AccountStatement {
    type Error = WireError;

    fn try_from(message: v1::AccountStatement) -> Result<Self, WireError> {
        let entries = field::list("entries", usize::MAX, message.entries, HistoryEntry::try_from)?;
        Ok(Self { proof: field::required("proof", message.proof)?, entries })
    }
}
