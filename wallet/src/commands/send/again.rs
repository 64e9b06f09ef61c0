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
        /// Whether a person gave the payment an id.
        has_key: bool,
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
            Self::Cancelled { has_key: false, .. } => {
                vec!["the same words with --again, if it shall be paid after all".into()]
            }
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
            Some(Outcome::Cancelled) => Err(AgainError::Cancelled { id: entry.id, has_key: true }.into()),
            _ => Ok(Earlier::Settled(Box::new(entry))),
        };
    }
    let group: Vec<&Looked> = looked.iter().filter(|one| one.entry.marks.key.as_ref() == Some(key)).collect();
    let Some(first) = group.first() else {
        return Ok(Earlier::Nothing);
    };
    same(&first.entry)?;
    let counts = counting(&group, first);
    let id = counts.entry.id;
    match (&counts.fate, counts.entry.marks.kind) {
        (Fate::Replaced { .. }, _) => Err(AgainError::NotPaid { id, has_key: true }.into()),
        (_, Kind::Cancel) => Err(AgainError::Cancelled { id, has_key: true }.into()),
        _ => Ok(Earlier::Open(Box::new(counts.clone()))),
    }
}

/// Of a payment, what replaces it and what cancels it, the one that counts: that which was mined; else the cancellation, if
/// nodes would keep it; else that which waits; else that which nodes would keep.
pub fn counting<'a>(group: &[&'a Looked], one: &'a Looked) -> &'a Looked {
    let entries: Vec<Entry> = group.iter().map(|one| one.entry.clone()).collect();
    let kept = outbox::current(&entries, one.entry.place()).map(|entry| entry.id);
    let is_kept = |one: &&&Looked| Some(one.entry.id) == kept;
    let is_cancellation = |one: &&&Looked| is_kept(one) && one.entry.marks.kind == Kind::Cancel;
    let is_mined = |one: &&&Looked| matches!(one.fate, Fate::Mined { .. } | Fate::Settled);
    let waits = |one: &&&Looked| matches!(one.fate, Fate::Waiting(_) | Fate::Resubmitted);
    let find = |is_it: &dyn Fn(&&&Looked) -> bool| group.iter().find(|one| is_it(one));
    let counts = find(&is_mined).or_else(|| find(&is_cancellation)).or_else(|| find(&waits)).or_else(|| find(&is_kept));
    counts.copied().unwrap_or(one)
}

/// A transfer of the same words whose command ended without telling anybody how.
fn interrupted(context: &mut Context, marks: &Marks, looked: &[Looked], again: bool) -> Result<Earlier> {
    let is_same = |one: &&Looked| one.entry.marks.content == marks.content && one.entry.marks.key.is_none();
    for one in looked.iter().filter(is_same) {
        if one.entry.marks.told || is_looked_after(context, &one.entry.id)? {
            continue;
        }
        let group: Vec<&Looked> =
            looked.iter().filter(is_same).filter(|other| other.entry.place() == one.entry.place()).collect();
        if again {
            tell_all(context, &group)?;
            continue;
        }
        let counts = counting(&group, one);
        let Looked { entry, fate, is_final } = counts;
        if matches!(fate, Fate::Replaced { .. }) {
            if *is_final {
                tell_all(context, &group)?;
            }
            return Err(AgainError::NotPaid { id: entry.id, has_key: false }.into());
        }
        if entry.marks.kind == Kind::Cancel {
            return Err(AgainError::Cancelled { id: entry.id, has_key: false }.into());
        }
        if !goes_on(context, entry)? {
            tell_all(context, &group)?;
            continue;
        }
        return Ok(Earlier::Open(Box::new(counts.clone())));
    }
    Ok(Earlier::Nothing)
}

/// The same words mean another payment from now on.
///
/// # Errors
/// Those of the outbox.
pub fn tell_all(context: &Context, group: &[&Looked]) -> Result<()> {
    let outbox = context.wallet.outbox();
    Ok(group.iter().try_for_each(|one| outbox.mark_told(&one.entry.id))?)
}

/// Whether a command that still runs looks after it: then this one is another payment.
///
/// # Errors
/// Those of the outbox.
pub fn is_looked_after(context: &Context, id: &TxId) -> Result<bool> {
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
