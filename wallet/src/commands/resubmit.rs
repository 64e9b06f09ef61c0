//! `resubmit`, and the look at the outbox that comes before every new transfer.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    client::NodeClient,
    commands::send::state,
    context::Context,
    error::Result,
    fate::{self, Fate, Looked, OnDrop},
    outbox,
    transfer::TransferError,
};

/// Looks after transfers of earlier commands before a new one is made, so that nothing is paid twice unnoticed, and
/// gives what became of them.
///
/// # Errors
/// Those of the outbox and the node.
pub fn look_after_outbox(context: &mut Context, client: &NodeClient) -> Result<Vec<Looked>> {
    let looked = look_after(context, client)?;
    for Looked { entry, fate, .. } in &looked {
        let what = format!("an earlier transfer of {} far ({})", outbox::paid(&entry.transfer), entry.id);
        let output = &mut context.output;
        match fate {
            Fate::Mined { .. } | Fate::Settled | Fate::Superseded { .. } => {}
            Fate::Waiting(standing) => output.note(format_args!("note: {what} is {}", state(standing))),
            Fate::Resubmitted => {
                output.note(format_args!("note: {what} was unknown to the node and is submitted again"));
            }
            Fate::Replaced { by } => output.warn(format_args!("{what} was not paid: {}", replaced(by))),
            Fate::Dropped(reason) => output.warn(format_args!("{what} is open: {}", dropped(reason))),
            Fate::Refused(reason) => output.warn(format_args!("{what} is open: {}", refused(reason))),
        }
    }
    Ok(looked)
}

/// The same without a word.
///
/// # Errors
/// As [`look_after_outbox`].
pub fn look_after(context: &Context, client: &NodeClient) -> Result<Vec<Looked>> {
    let network = Arc::clone(context.settings.network());
    fate::reconcile(client, &network, &context.wallet.outbox(), OnDrop::Tell)
}

fn replaced(by: &farthing::EntryId) -> String {
    format!("another transfer of its account took its nonce ({})", hex::encode(by.as_bytes()))
}

fn dropped(reason: &str) -> String {
    format!("this node dropped it ({reason}); another one may still mine it")
}

fn refused(reason: &str) -> String {
    format!("this node does not take it ({reason}); another one may have it")
}

#[derive(Serialize)]
struct Resubmitted {
    transaction_id: String,
    amount: String,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmations: Option<u64>,
    /// In words, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Resubmitted {
    fn new(Looked { entry, fate, .. }: &Looked) -> Self {
        let (word, confirmations, reason) = match fate {
            Fate::Waiting(standing) => (state(standing), None, None),
            Fate::Mined { confirmations } => ("mined", Some(*confirmations), None),
            Fate::Settled => ("settled", None, None),
            Fate::Replaced { by } => ("replaced", None, Some(replaced(by))),
            Fate::Superseded { by } => ("superseded", None, Some(format!("{by} stands in its place"))),
            Fate::Resubmitted => ("resubmitted", None, None),
            Fate::Dropped(reason) => ("dropped", None, Some(dropped(reason))),
            Fate::Refused(reason) => ("refused", None, Some(refused(reason))),
        };
        let amount = outbox::paid(&entry.transfer).to_string();
        Self { transaction_id: entry.id.to_string(), amount, fate: word, confirmations, reason }
    }
}

impl fmt::Display for Resubmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} far: {}", self.transaction_id, self.amount, self.fate)?;
        if let Some(confirmations) = self.confirmations {
            write!(f, ", confirmations: {confirmations}")?;
        }
        match &self.reason {
            Some(reason) => write!(f, "; {reason}"),
            None => Ok(()),
        }
    }
}

#[derive(Serialize)]
struct ResubmittedList {
    transfers: Vec<Resubmitted>,
}

impl fmt::Display for ResubmittedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transfers.iter().try_for_each(|transfer| writeln!(f, "{transfer}"))
    }
}

/// Submits again what the node does not know, and says what became of the rest.
///
/// # Errors
/// Those of the outbox and the node; [`TransferError::NotWaiting`] and [`TransferError::Replaced`] after the result.
pub fn run(context: &mut Context) -> Result<()> {
    let client = context.connect()?;
    let _sending = context.lock_sending()?;
    let network = Arc::clone(context.settings.network());
    let fates = fate::reconcile(&client, &network, &context.wallet.outbox(), OnDrop::HandInAgain)?;
    if fates.is_empty() {
        context.output.note("the outbox is empty: every transfer of this wallet is settled");
    }
    context.output.data(&ResubmittedList { transfers: fates.iter().map(Resubmitted::new).collect() })?;
    let count = |is_it: fn(&Fate) -> bool| fates.iter().filter(|looked| is_it(&looked.fate)).count();
    let open = count(|fate| matches!(fate, Fate::Dropped(_) | Fate::Refused(_)));
    let replaced = count(|fate| matches!(fate, Fate::Replaced { .. }));
    match (open, replaced) {
        (0, 0) => Ok(()),
        (0, count) => Err(TransferError::Replaced { count }.into()),
        (count, _) => Err(TransferError::NotWaiting { count }.into()),
    }
}
