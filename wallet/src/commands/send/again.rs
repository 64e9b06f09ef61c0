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
    /// Another payment has its nonce, for now.
    #[error(
        "an earlier command made this payment as {id}, but another payment of this wallet, {by}, {}; nothing was sent",
        if *is_mined { "took its nonce a moment ago" } else { "waits with its nonce: of the two one can be mined" }
    )]
    Displaced {
        /// The transfer.
        id: TxId,
        /// The other one.
        by: TxId,
        /// Whether the other one is in the proven history.
        is_mined: bool,
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
            Self::Displaced { .. } => "NONCE_TAKEN",
            Self::Cancelled { .. } => "CANCELLED",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::IdReused { .. } => Exit::Usage,
            Self::NotPaid { .. } | Self::Cancelled { .. } => Exit::Rejected,
            Self::Displaced { .. } => Exit::Unconfirmed,
        }
    }

    fn transaction(&self) -> Option<TxId> {
        match self {
            Self::IdReused { id, .. }
            | Self::NotPaid { id, .. }
            | Self::Displaced { id, .. }
            | Self::Cancelled { id, .. } => Some(*id),
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::IdReused { .. } => {
                vec!["another --id, if this is another payment".into(), "farthing-wallet history".into()]
            }
            Self::NotPaid { has_key: true, .. } => vec!["another --id, if it is still owed".into()],
            Self::NotPaid { .. } => vec!["the same words with --again, if it is still owed".into()],
            Self::Displaced { by, has_key, .. } => {
                let wait = format!("farthing-wallet tx wait {by} --confirmations 6, and then this command, which pays");
                let again = "--again, which pays at once; twice, if the earlier one should be mined all the same";
                if *has_key { vec![wait] } else { vec![wait, again.into()] }
            }
            Self::Cancelled { has_key: false, .. } => {
                vec!["the same words with --again, if it shall be paid after all".into()]
            }
            Self::Cancelled { .. } => vec!["another --id, if it shall be paid after all".into()],
        }
    }
}

/// What an earlier command left.
pub enum Earlier {
    /// Nothing that this one means. Once it has made its payment, these are not what the same words mean any more.
    Nothing(Vec<TxId>),
    /// A payment under the same id, settled for good.
    Settled(Box<Entry>),
    /// A payment on its way.
    Open(Box<Looked>),
}

/// How a command is found to come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// It is to pay: a person is asked what they mean.
    Person,
    /// It is to say what it would do.
    Nobody,
}

/// Finds the payment that a command means, if an earlier one made it.
///
/// # Errors
/// [`AgainError`], [`AskError`] and those of the outbox.
pub fn find(context: &mut Context, marks: &Marks, looked: &[Looked], again: bool, asks: Asks) -> Result<Earlier> {
    match &marks.key {
        Some(key) => under_id(context, key, marks, looked),
        None => interrupted(context, marks, looked, again, asks),
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
        return Ok(Earlier::Nothing(Vec::new()));
    };
    same(&first.entry)?;
    let counts = counting(&group, first);
    let id = counts.entry.id;
    match (&counts.fate, counts.entry.marks.kind) {
        (Fate::Replaced { .. } | Fate::Expired { .. }, _) => Err(AgainError::NotPaid { id, has_key: true }.into()),
        // It cannot be mined any more, and was forgotten.
        (Fate::Displaced { .. }, _) if counts.is_final => Ok(Earlier::Nothing(Vec::new())),
        (Fate::Displaced { by, is_mined }, _) => {
            Err(AgainError::Displaced { id, by: *by, is_mined: *is_mined, has_key: true }.into())
        }
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
fn interrupted(context: &mut Context, marks: &Marks, looked: &[Looked], again: bool, asks: Asks) -> Result<Earlier> {
    let is_same = |one: &&Looked| one.entry.marks.content == marks.content && one.entry.marks.key.is_none();
    let mut over: Vec<TxId> = Vec::new();
    for one in looked.iter().filter(is_same) {
        let id = &one.entry.id;
        if one.entry.marks.told || over.contains(id) || is_another(context, id)? {
            continue;
        }
        let group: Vec<&Looked> =
            looked.iter().filter(is_same).filter(|other| other.entry.place() == one.entry.place()).collect();
        let Looked { entry, fate, is_final } = counting(&group, one);
        let id = entry.id;
        // What was displaced for good was not paid: it is paid now.
        if again || matches!(fate, Fate::Displaced { .. } if *is_final) {
            over.extend(group.iter().map(|one| one.entry.id));
            continue;
        }
        match fate {
            Fate::Replaced { .. } | Fate::Expired { .. } => {
                if *is_final && asks == Asks::Person {
                    tell_all(context, &group)?;
                }
                return Err(AgainError::NotPaid { id, has_key: false }.into());
            }
            Fate::Displaced { by, is_mined } => {
                return Err(AgainError::Displaced { id, by: *by, is_mined: *is_mined, has_key: false }.into());
            }
            _ if entry.marks.kind == Kind::Cancel => {
                return Err(AgainError::Cancelled { id, has_key: false }.into());
            }
            _ => {}
        }
        if asks == Asks::Person && !goes_on(context, entry)? {
            over.extend(group.iter().map(|one| one.entry.id));
            continue;
        }
        return Ok(Earlier::Open(Box::new(counting(&group, one).clone())));
    }
    Ok(Earlier::Nothing(over))
}

/// The same words mean another payment from now on.
///
/// # Errors
/// Those of the outbox.
pub fn tell_all(context: &Context, group: &[&Looked]) -> Result<()> {
    let outbox = context.wallet.outbox();
    Ok(group.iter().try_for_each(|one| outbox.mark_told(&one.entry.id))?)
}

/// Whether the words of a transfer mean another payment: a command still looks after it, or has ended since the outbox was
/// looked at, and told how.
///
/// # Errors
/// Those of the outbox.
pub fn is_another(context: &Context, id: &TxId) -> Result<bool> {
    let outbox = context.wallet.outbox();
    Ok(outbox.is_held(id)? || outbox.is_told(id)?)
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

/// Notes that somebody was told how payments ended. What cannot be noted does not undo them, and is said.
pub fn note_told(context: &mut Context, told: Result<(), outbox::OutboxError>) {
    if let Err(error) = told {
        context.output.warn(format_args!(
            "it could not be noted that you were told of this ({error}): the same command would tell it again, and pay nothing"
        ));
    }
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
