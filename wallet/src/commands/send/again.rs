//! A command that comes again: the same `--id`, or the same words as one that was interrupted. It goes on with the
//! transfer that is there instead of making another one.

use std::time::{Duration, UNIX_EPOCH};

use farthing::TxId;

use crate::{
    client::NodeClient,
    context::{AskError, Context},
    error::{Exit, Explain, Result},
    fate::{Fate, Looked},
    outbox::{self, Entry, Key, Kind, Marks, Outcome},
};

/// Why an earlier payment stands in the way of this one.
#[derive(Debug, thiserror::Error)]
pub enum AgainError {
    /// The id stands for something else.
    #[error("the id {key} was used for another payment ({id}); nothing was sent")]
    IdReused {
        /// The id that the person gave.
        key: Key,
        /// What it stands for.
        id: TxId,
    },
    /// It can never be mined.
    #[error("an earlier command made this payment as {id}, but another transfer took its nonce: it was not paid")]
    NotPaid {
        /// The transfer.
        id: TxId,
        /// Whether a person gave it an id.
        has_key: bool,
    },
    /// The person cancelled it.
    #[error("this payment was cancelled by {id}; nothing was sent")]
    Cancelled {
        /// The transfer that takes its nonce.
        id: TxId,
    },
}

impl Explain for AgainError {
    fn code(&self) -> &'static str {
        match self {
            Self::IdReused { .. } => "ID_REUSED",
            Self::NotPaid { .. } => "NOT_PAID",
            Self::Cancelled { .. } => "CANCELLED",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::IdReused { .. } => Exit::Usage,
            Self::NotPaid { .. } | Self::Cancelled { .. } => Exit::Rejected,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::IdReused { .. } => {
                vec!["another --id, if this is another payment".into(), "farthing-wallet history".into()]
            }
            Self::NotPaid { has_key: true, .. } => vec!["another --id, if it is still owed".into()],
            Self::NotPaid { .. } => vec!["the same words with --again, if it is still owed".into()],
            Self::Cancelled { .. } => vec!["another --id, if it shall be paid after all".into()],
        }
    }
}

/// What an earlier command left.
pub enum Earlier {
    /// Nothing that this one means.
    Nothing,
    /// A payment under the same id, settled for good.
    Settled(Box<Entry>),
    /// A payment on its way.
    Open(Box<Looked>),
}

/// Finds the payment that a command means, if an earlier one made it.
///
/// # Errors
/// [`AgainError`], [`AskError`] and those of the outbox.
pub fn find(context: &mut Context, marks: &Marks, looked: &[Looked], again: bool) -> Result<Earlier> {
    match &marks.key {
        Some(key) => under_id(context, key, marks, looked),
        None => interrupted(context, marks, looked, again),
    }
}

fn under_id(context: &Context, key: &Key, marks: &Marks, looked: &[Looked]) -> Result<Earlier> {
    let same = |entry: &Entry| {
        let is_same = entry.marks.content == marks.content;
        if is_same { Ok(()) } else { Err(AgainError::IdReused { key: key.clone(), id: entry.id }) }
    };
    if let Some(entry) = context.wallet.outbox().sent(key)? {
        same(&entry)?;
        return match entry.outcome {
            Some(Outcome::NotPaid) => Err(AgainError::NotPaid { id: entry.id, has_key: true }.into()),
            Some(Outcome::Cancelled) => Err(AgainError::Cancelled { id: entry.id }.into()),
            _ => Ok(Earlier::Settled(Box::new(entry))),
        };
    }
    let group: Vec<&Looked> = looked.iter().filter(|one| one.entry.marks.key.as_ref() == Some(key)).collect();
    let Some(first) = group.first() else {
        return Ok(Earlier::Nothing);
    };
    same(&first.entry)?;
    // Of a payment and its replacements, the one that was mined counts, else the one that nodes keep.
    let entries: Vec<Entry> = group.iter().map(|one| one.entry.clone()).collect();
    let kept = outbox::current(&entries, first.entry.place()).map(|entry| entry.id);
    let is_mined = |one: &&&Looked| matches!(one.fate, Fate::Mined { .. } | Fate::Settled);
    let counts = group.iter().find(is_mined).or_else(|| group.iter().find(|one| Some(one.entry.id) == kept));
    let counts = counts.unwrap_or(first);
    let id = counts.entry.id;
    match (&counts.fate, counts.entry.marks.kind) {
        (Fate::Replaced { .. }, _) => Err(AgainError::NotPaid { id, has_key: true }.into()),
        (_, Kind::Cancel) => Err(AgainError::Cancelled { id }.into()),
        _ => Ok(Earlier::Open(Box::new((*counts).clone()))),
    }
}

/// A transfer of the same words whose command ended without telling anybody how.
fn interrupted(context: &mut Context, marks: &Marks, looked: &[Looked], again: bool) -> Result<Earlier> {
    let outbox = context.wallet.outbox();
    for one in looked {
        let Looked { entry, fate, is_final } = one;
        let is_same = entry.marks.content == marks.content && entry.marks.kind == Kind::Payment;
        if !is_same || entry.marks.told || entry.marks.key.is_some() || is_looked_after(context, &entry.id)? {
            continue;
        }
        if again {
            outbox.mark_told(&entry.id)?;
            continue;
        }
        if matches!(fate, Fate::Replaced { .. }) {
            if *is_final {
                outbox.mark_told(&entry.id)?;
            }
            return Err(AgainError::NotPaid { id: entry.id, has_key: false }.into());
        }
        if !goes_on(context, entry)? {
            outbox.mark_told(&entry.id)?;
            continue;
        }
        return Ok(Earlier::Open(Box::new(one.clone())));
    }
    Ok(Earlier::Nothing)
}

/// Whether a command that still runs looks after it: then this one is another payment.
fn is_looked_after(context: &Context, id: &TxId) -> Result<bool> {
    match context.wallet.outbox().hold(id) {
        Err(outbox::OutboxError::Disk(error)) if error.is_missing() => Ok(false),
        other => Ok(other?.is_none()),
    }
}

/// Whether the person means the interrupted command; without anybody to ask, that is what they mean.
fn goes_on(context: &mut Context, entry: &Entry) -> Result<bool, AskError> {
    let made = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_secs(entry.marks.made));
    let what = format!("a command with the same words, of {made}, made this payment as {}", entry.id);
    if !context.will_ask() {
        context.output.warn(format_args!("{what} and was interrupted; going on with it (--again pays once more)"));
        return Ok(true);
    }
    context.output.screen(format_args!("{what} and was interrupted."));
    context.ask_yes_no("Go on with it, instead of paying once more?", true)
}

/// Hands in what a node does not have, and tells whether it was mined already.
///
/// # Errors
/// [`crate::transfer::TransferError`].
pub fn revive(context: &mut Context, client: &NodeClient, looked: &Looked) -> Result<bool> {
    match looked.fate {
        Fate::Mined { .. } | Fate::Settled => return Ok(true),
        Fate::Waiting(_) | Fate::Resubmitted => {}
        _ => {
            super::hand_in_as(context, client, &looked.entry.transfer, looked.entry.marks.clone())?;
        }
    }
    Ok(false)
}
