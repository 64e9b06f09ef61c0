//! `history`.

use std::{fmt, sync::Arc};

use farthing::{Address, Mites, limits};
use serde::Serialize;

use crate::{
    client::printable,
    context::Context,
    error::Result,
    history::{self, History},
    verify::{Cause, Entry, Evidence},
};

#[derive(Serialize)]
struct EntryView {
    entry: u64,
    kind: &'static str,
    id: String,
    height: u64,
    /// On the node's word.
    time_ms: u64,
    received: String,
    spent: String,
    fee: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    with: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
}

impl EntryView {
    fn new(context: &Context, address: &Address, entry: &Entry) -> Result<Self> {
        let (received, spent) = entry.change(address);
        let mut view = Self {
            entry: entry.number,
            kind: "reward",
            id: hex::encode(entry.id.as_bytes()),
            height: entry.height.get(),
            time_ms: entry.time.get(),
            received: received.to_string(),
            spent: spent.to_string(),
            fee: Mites::ZERO.to_string(),
            with: Vec::new(),
            memo: None,
        };
        if let Cause::Transfer(transfer) = &entry.cause {
            let transaction = transfer.transaction();
            let sender = transaction.sender_address();
            let others = if sender == *address {
                view.kind = "sent";
                view.fee = transaction.fee().to_string();
                transaction.outputs().iter().map(|output| output.to).collect()
            } else {
                view.kind = "received";
                vec![sender]
            };
            for other in others {
                let name = context.wallet.name_of(&other)?;
                view.with.push(name.map_or_else(|| context.wallet.show(&other), String::from));
            }
            let memo = String::from_utf8_lossy(transaction.memo());
            // Strangers write it.
            view.memo = (!memo.is_empty()).then(|| printable(&memo, limits::MAX_MEMO_BYTES));
        }
        Ok(view)
    }
}

impl fmt::Display for EntryView {
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
        write!(f, "{:>6}  block {:<8} {amount:>22} far  {}{with}  {id}...", self.entry, self.height, self.kind)?;
        match &self.memo {
            Some(memo) => write!(f, "  \"{memo}\""),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct HistoryView {
    network: String,
    address: String,
    balance: String,
    balance_mites: String,
    entries_total: u64,
    entries: Vec<EntryView>,
    complete: bool,
    proof: Evidence,
}

impl fmt::Display for HistoryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// Shows the newest entries of an account's history, every one of them proven.
///
/// # Errors
/// Those of looking up, asking and verifying.
pub fn run(context: &mut Context, account: Option<&str>, limit: u32) -> Result<()> {
    let address = context.account(account)?;
    let client = context.connect()?;
    let network = Arc::clone(context.settings.network());
    let History { account, entries, complete } = history::fetch(&client, &network, &address, limit.into())?;
    let mut proof = account.evidence();
    proof.verified.push("every entry shown and their order");
    if complete {
        proof.verified.push("that none is missing and all add up to the balance");
    }
    proof.not_verified.push("times");
    let state = account.state();
    let view = HistoryView {
        network: network.name.clone(),
        address: context.wallet.show(&address),
        balance: state.balance.to_string(),
        balance_mites: state.balance.get().to_string(),
        entries_total: state.entries,
        entries: entries.iter().map(|entry| EntryView::new(context, &address, entry)).collect::<Result<_>>()?,
        complete,
        proof,
    };
    context.output.data(&view)?;
    if !context.output.is_json() {
        context.output.note(format_args!("balance {} far, {} entries in all", view.balance, view.entries_total));
    }
    context.tell(&view.proof);
    Ok(())
}
