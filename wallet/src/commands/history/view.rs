//! How entries of a history and transfers that wait are shown.

use std::fmt;

use farthing::{Address, Mites, SignedTransaction, history::transfer_change, limits};
use serde::Serialize;

use crate::{
    client::printable,
    context::Context,
    error::Result,
    output::style::{AMOUNT, GOOD, WARNING},
    verify::{Cause, Entry},
};

/// What a transfer or a reward did to an account.
#[derive(Serialize)]
pub(super) struct Change {
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) received: String,
    pub(super) spent: String,
    pub(super) fee: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) with: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) memo: Option<String>,
}

impl Change {
    fn reward(id: String, amount: Mites) -> Self {
        let (received, nothing) = (amount.to_string(), Mites::ZERO.to_string());
        Self { kind: "reward", id, received, spent: nothing.clone(), fee: nothing, with: Vec::new(), memo: None }
    }

    fn transfer(context: &Context, address: &Address, id: String, transfer: &SignedTransaction) -> Result<Self> {
        let transaction = transfer.transaction();
        let (received, spent) = transfer_change(transaction, address);
        let sender = transaction.sender_address();
        let (kind, fee, others) = if sender == *address {
            ("sent", transaction.fee(), transaction.outputs().iter().map(|output| output.to).collect())
        } else {
            ("received", Mites::ZERO, vec![sender])
        };
        let mut with = Vec::new();
        for other in others {
            let name = context.wallet.name_of(&other)?;
            with.push(name.map_or_else(|| context.wallet.show(&other), String::from));
        }
        let memo = String::from_utf8_lossy(transaction.memo());
        // Strangers write it.
        let memo = (!memo.is_empty()).then(|| printable(&memo, limits::MAX_MEMO_BYTES));
        let (received, spent, fee) = (received.to_string(), spent.to_string(), fee.to_string());
        Ok(Self { kind, id, received, spent, fee, with, memo })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let amount = match self.kind {
            "sent" => format!("-{}", self.spent),
            _ => format!("+{}", self.received),
        };
        let with = match (self.kind, self.with.as_slice()) {
            ("sent", [only]) => format!(" to {only}"),
            ("sent", several) => format!(" to {} accounts", several.len()),
            ("received", others) => format!(" from {}", others.join(", ")),
            _ => String::new(),
        };
        let id = self.id.get(..16).unwrap_or(&self.id);
        let style = if self.kind == "sent" { AMOUNT } else { GOOD };
        write!(f, "{style}{amount:>22} far{style:#}  {}{with}  {id}...", self.kind)?;
        match &self.memo {
            Some(memo) => write!(f, "  \"{memo}\""),
            None => Ok(()),
        }
    }
}

/// An entry of the history, proven.
#[derive(Serialize)]
pub(super) struct EntryView {
    pub(super) entry: u64,
    pub(super) height: u64,
    /// On the node's word.
    pub(super) time_ms: u64,
    #[serde(flatten)]
    pub(super) change: Change,
}

impl EntryView {
    pub(super) fn new(context: &Context, address: &Address, entry: &Entry) -> Result<Self> {
        let id = hex::encode(entry.id.as_bytes());
        let change = match &entry.cause {
            Cause::Reward(amount) => Change::reward(id, *amount),
            Cause::Transfer(transfer) => Change::transfer(context, address, id, transfer)?,
        };
        Ok(Self { entry: entry.number, height: entry.height.get(), time_ms: entry.time.get(), change })
    }
}

impl fmt::Display for EntryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}  block {:<8} {}", self.entry, self.height, self.change)
    }
}

/// A transfer that waits, on the node's word.
#[derive(Serialize)]
pub(super) struct PendingView {
    /// Whether the next block may include it; else it waits for an earlier nonce.
    pub(super) executable: bool,
    #[serde(flatten)]
    pub(super) change: Change,
}

impl PendingView {
    pub(super) fn new(
        context: &Context,
        address: &Address,
        waiting: &farthing_client::WaitingTransaction,
    ) -> Result<Self> {
        let change = Change::transfer(context, address, waiting.id.to_string(), &waiting.transaction)?;
        Ok(Self { executable: waiting.is_executable, change })
    }
}

impl fmt::Display for PendingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.executable { "pending" } else { "queued" };
        write!(f, "{:>6}  {state:<14} {} ({WARNING}unverified{WARNING:#})", "-", self.change)
    }
}
