//! What `pay` prints.

use std::fmt;

use farthing::{
    Height, Mites, SignedTransaction, Transaction, TxId,
    wire::{TransactionStanding, TransactionStatus},
};
use serde::Serialize;

use super::payees::Row;
use crate::{context::Context, outbox, output::counted};

#[derive(Debug, Serialize)]
struct RowView {
    line: u64,
    recipient: String,
    to: String,
    amount: String,
    amount_mites: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    label: String,
}

/// A transaction of a payroll.
#[derive(Debug, Serialize)]
pub(super) struct PartView {
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<String>,
    pub(super) state: &'static str,
    amount: String,
    amount_mites: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fee_mites: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    confirmations: u64,
    /// Whether the sender's proven history contains it.
    verified: bool,
    rows: Vec<RowView>,
}

impl PartView {
    /// Of one that is not made.
    pub(super) fn new(context: &Context, rows: &[Row], state: &'static str) -> Self {
        let amount = Mites::checked_sum(rows.iter().map(|row| row.amount)).unwrap_or(Mites::MAX);
        let row = |row: &Row| RowView {
            line: row.line,
            recipient: row.recipient.clone(),
            to: context.wallet.show(&row.to),
            amount: row.amount.to_string(),
            amount_mites: row.amount.get().to_string(),
            label: row.label.clone(),
        };
        Self {
            transaction_id: None,
            state,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fee: None,
            fee_mites: None,
            nonce: None,
            block_height: None,
            confirmations: 0,
            verified: false,
            rows: rows.iter().map(row).collect(),
        }
    }

    /// With what is known of the transaction that is planned.
    pub(super) fn planned(mut self, transaction: &Transaction, id: TxId) -> Self {
        self.transaction_id = Some(id.to_string());
        self.fee = Some(transaction.fee().to_string());
        self.fee_mites = Some(transaction.fee().get().to_string());
        self.nonce = Some(transaction.nonce());
        self
    }

    /// With the height of the transaction's block and its depth, if it is mined.
    pub(super) fn made(
        self,
        transfer: &SignedTransaction,
        id: TxId,
        place: Option<(Height, u64)>,
        verified: bool,
    ) -> Self {
        let mut view = Self { verified, ..self.planned(transfer.transaction(), id) };
        let paid = outbox::paid(transfer);
        (view.amount, view.amount_mites) = (paid.to_string(), paid.get().to_string());
        if let Some((height, confirmations)) = place {
            (view.block_height, view.confirmations) = (Some(height.get()), confirmations);
        }
        view
    }
}

/// Where a node says that a transaction was mined, and how deep.
pub(super) const fn place(status: &TransactionStatus) -> Option<(Height, u64)> {
    match status.standing {
        TransactionStanding::Mined { height, confirmations, .. } => Some((height, confirmations)),
        _ => None,
    }
}

/// A payroll.
#[derive(Debug, Serialize)]
pub(super) struct PayView {
    /// What it is known by: its account, recipients, amounts and memo.
    pub(super) payroll: String,
    /// How many times the same was begun, this time counted.
    pub(super) round: u32,
    pub(super) from: String,
    pub(super) rows: usize,
    /// All amounts.
    pub(super) total: String,
    pub(super) total_mites: String,
    /// Whether an earlier command began it.
    pub(super) resumed: bool,
    pub(super) transactions: Vec<PartView>,
}

impl fmt::Display for PayView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.transactions {
            write!(f, "{} {}", part.transaction_id.as_deref().unwrap_or("-"), part.state)?;
            if let Some(height) = part.block_height {
                write!(f, " in block {height}, confirmations: {}", part.confirmations)?;
            }
            writeln!(f, "{}", if part.verified { " (verified: in the sender's proven history)" } else { "" })?;
            for row in &part.rows {
                let named = if row.recipient == row.to { String::new() } else { format!("{}, ", row.recipient) };
                let label = if row.label.is_empty() { String::new() } else { format!("  {}", row.label) };
                writeln!(f, "  line {:<5} {:>18} far  {named}{}{label}", row.line, row.amount, row.to)?;
            }
        }
        let resumed = if self.resumed { "; begun by an earlier command, nothing was paid a second time" } else { "" };
        let (rows, transactions) = (counted(self.rows, "row"), counted(self.transactions.len(), "transaction"));
        writeln!(f, "{rows}, {} far, in {transactions}{resumed}", self.total)
    }
}
