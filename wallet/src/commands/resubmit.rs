//! `resubmit`, and the look at the outbox that comes before every new transfer.

use std::{fmt, sync::Arc};

use serde::Serialize;

use crate::{
    client::NodeClient,
    commands::send::state,
    context::Context,
    error::Result,
    fate::{self, Care, Fate, Looked},
    outbox::{self, Key, Kind, Marks},
    transfer::TransferError,
};

/// Looks after transfers of earlier commands before a new one is made, so that nothing is paid twice unnoticed, and
/// gives what became of them.
///
/// # Errors
/// Those of the outbox and the node.
pub fn look_after_outbox(context: &mut Context, client: &NodeClient) -> Result<Vec<Looked>> {
    look_with(context, client, Care::Tell)
}

/// The same without handing in or changing anything.
///
/// # Errors
/// Those of the outbox and the node.
pub fn look_at_outbox(context: &mut Context, client: &NodeClient) -> Result<Vec<Looked>> {
    look_with(context, client, Care::Look)
}

fn look_with(context: &mut Context, client: &NodeClient, care: Care) -> Result<Vec<Looked>> {
    let network = Arc::clone(context.settings.network());
    let looked = fate::reconcile(client, &network, &context.wallet.outbox(), care)?;
    for Looked { entry, fate, .. } in &looked {
        let what = format!("an earlier transfer of {} far ({})", outbox::paid(&entry.transfer), entry.id);
        let output = &mut context.output;
        match fate {
            Fate::Mined { .. } | Fate::Settled | Fate::Superseded { .. } => {}
            Fate::Waiting(standing) => output.note(format_args!("note: {what} is {}", state(standing))),
            Fate::Resubmitted => {
                output.note(format_args!("note: {what} was unknown to the node and is submitted again"));
            }
            Fate::Unknown => output.note(format_args!("note: {what} is unknown to the node")),
            _ => {
                let (sort, why) = (Sort::of(fate), reason(fate).unwrap_or_default());
                let is = if sort == Sort::Lost { "was not paid" } else { "is open" };
                output.warn(format_args!("{what} {is}: {why}"));
            }
        }
    }
    Ok(looked)
}

/// As [`look_after_outbox`] without a word.
///
/// # Errors
/// As [`look_after_outbox`].
pub fn look_after(context: &Context, client: &NodeClient) -> Result<Vec<Looked>> {
    let network = Arc::clone(context.settings.network());
    fate::reconcile(client, &network, &context.wallet.outbox(), Care::Tell)
}

/// What a fate means for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// On its way or there, or another one is in its place.
    Good,
    /// Not on its way at this node.
    Open,
    /// Not paid.
    Lost,
}

impl Sort {
    const fn of(fate: &Fate) -> Self {
        match fate {
            Fate::Dropped(_) | Fate::Refused(_) | Fate::Unknown | Fate::Displaced { is_mined: false, .. } => Self::Open,
            Fate::Replaced { .. } | Fate::Expired { .. } | Fate::Displaced { is_mined: true, .. } => Self::Lost,
            Fate::Waiting(_) | Fate::Mined { .. } | Fate::Settled | Fate::Superseded { .. } | Fate::Resubmitted => {
                Self::Good
            }
        }
    }
}

/// Why it is so, in words.
fn reason(fate: &Fate) -> Option<String> {
    Some(match fate {
        Fate::Replaced { by } => {
            format!("another transfer of its account took its nonce ({})", hex::encode(by.as_bytes()))
        }
        Fate::Superseded { by } => format!("{by} stands in its place"),
        Fate::Displaced { by, is_mined: true } => format!("another payment of this wallet took its nonce ({by})"),
        Fate::Displaced { by, is_mined: false } => {
            format!("another payment of this wallet has its nonce ({by}); of the two one can be mined")
        }
        Fate::Expired { at } => format!("block {at}, the last one that might have included it, has passed"),
        Fate::Dropped(reason) => format!("this node dropped it ({reason}); another one may still mine it"),
        Fate::Refused(reason) => format!("this node does not take it ({reason}); another one may have it"),
        Fate::Waiting(_) | Fate::Mined { .. } | Fate::Settled | Fate::Resubmitted | Fate::Unknown => return None,
    })
}

const fn word(fate: &Fate) -> &'static str {
    match fate {
        Fate::Waiting(standing) => state(standing),
        Fate::Mined { .. } => "mined",
        Fate::Settled => "settled",
        Fate::Replaced { .. } => "replaced",
        Fate::Superseded { .. } => "superseded",
        Fate::Displaced { .. } => "displaced",
        Fate::Expired { .. } => "expired",
        Fate::Resubmitted => "resubmitted",
        Fate::Dropped(_) => "dropped",
        Fate::Refused(_) => "refused",
        Fate::Unknown => "unknown",
    }
}

#[derive(Serialize)]
struct Resubmitted {
    transaction_id: String,
    /// What this wallet made it for.
    kind: Kind,
    /// The id that a person gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    nonce: u64,
    amount: String,
    amount_mites: String,
    fate: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    confirmations: Option<u64>,
    /// In words, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Resubmitted {
    fn new(Looked { entry, fate, .. }: &Looked) -> Self {
        let amount = outbox::paid(&entry.transfer);
        let Marks { key, kind, told, .. } = &entry.marks;
        let confirmations = match fate {
            Fate::Mined { confirmations } => Some(*confirmations),
            _ => None,
        };
        let payroll = key.as_ref().and_then(Key::payroll).filter(|_| *fate == Fate::Settled && !told);
        let interrupted =
            payroll.map(|_| "a part of a payroll, kept until farthing-wallet pay has gone on with that".to_owned());
        Self {
            transaction_id: entry.id.to_string(),
            kind: *kind,
            id: key.as_ref().filter(|key| key.payroll().is_none()).map(ToString::to_string),
            nonce: entry.place().1,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fate: word(fate),
            confirmations,
            reason: reason(fate).or(interrupted),
        }
    }
}

impl fmt::Display for Resubmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Payment => "",
            Kind::Bump => " (a bump)",
            Kind::Cancel => " (a cancellation)",
        };
        write!(f, "{} {} far{kind}: {}", self.transaction_id, self.amount, self.fate)?;
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
    let fates = fate::reconcile(&client, &network, &context.wallet.outbox(), Care::HandInAgain)?;
    if fates.is_empty() {
        context.output.note("the outbox is empty: every transfer of this wallet is settled");
    }
    context.output.data(&ResubmittedList { transfers: fates.iter().map(Resubmitted::new).collect() })?;
    let count = |sort: Sort| fates.iter().filter(|looked| Sort::of(&looked.fate) == sort).count();
    match (count(Sort::Open), count(Sort::Lost)) {
        (0, 0) => Ok(()),
        (0, count) => Err(TransferError::Replaced { count }.into()),
        (count, _) => Err(TransferError::NotWaiting { count }.into()),
    }
}
