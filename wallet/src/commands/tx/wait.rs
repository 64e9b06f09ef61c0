//! `tx wait`.

use std::time::{Duration, Instant};

use farthing::{EntryId, TxId, wire::TransactionStanding};

use super::{
    show::{self, StandingView},
    standing::{Found, Stands, look},
};
use crate::{
    client::NodeClient,
    commands::send::{CONFIRMATION_TIME, note_told},
    context::Context,
    error::{Exit, Result},
    outbox::{self, Kind},
    transfer::{self, TransferError},
};

/// How often the node is asked.
const POLL: Duration = Duration::from_millis(400);
/// How often what the node says may not hold before it is taken for a lie rather than a reorganisation.
const MAX_DOUBTS: usize = 3;

/// Waits for confirmations, and shows the transfer then. One that was bumped is waited for in its bump, which pays the same.
///
/// # Errors
/// [`TransferError::Unknown`], [`TransferError::Overtaken`], [`TransferError::Dropped`], [`TransferError::NotSeen`],
/// [`TransferError::Unconfirmed`] and those of the node.
pub(super) fn run(context: &mut Context, id: &TxId, wanted: u64) -> Result<()> {
    let client = context.connect()?;
    let mut found = look(context, &client, id)?.ok_or(TransferError::Unknown(*id))?;
    loop {
        if let Some(bump) = bump_of(context, &found)? {
            context.output.note(format_args!("{} was replaced by {bump}, which pays the same", found.id));
            found = look(context, &client, &bump)?.ok_or(TransferError::Unknown(bump))?;
            continue;
        }
        if let Stands::Replaced { by } = &found.stands {
            return Err(TransferError::Overtaken { id: found.id, by: hex::encode(by.as_bytes()) }.into());
        }
        if has_ended(&found.stands, wanted) {
            break;
        }
        let blocks = if wanted == 1 { "1 confirmation".to_owned() } else { format!("{wanted} confirmations") };
        if found.stands == Stands::Unknown {
            context.output.note(format_args!(
                "the node does not know {} now; it is in this wallet's outbox, and farthing-wallet resubmit hands it in",
                found.id
            ));
        }
        context.output.note(format_args!("waiting for {blocks} of {} ...", found.id));
        found = until(context, &client, &found.id, wanted)?;
    }
    let id = found.id;
    let view = StandingView::new(context, found)?;
    show::tell(context, &view)?;
    let told = context.wallet.outbox().mark_payment_told(&id);
    note_told(context, told);
    Ok(())
}

/// What pays the same as a transfer that is not mined, or that was replaced, and counts in its place.
fn bump_of(context: &Context, found: &Found) -> Result<Option<TxId>> {
    let Some(entry) = &found.entry else { return Ok(None) };
    let entries = context.wallet.outbox().entries()?;
    let other = match &found.stands {
        Stands::Mined { .. } | Stands::Says(TransactionStanding::Mined { .. }) => None,
        Stands::Replaced { by } => entries.iter().find(|other| EntryId::from(other.id) == *by),
        // It may be mined instead of what replaced it as long as it waits.
        Stands::Says(TransactionStanding::Pending | TransactionStanding::Queued) => None,
        Stands::Says(TransactionStanding::Dropped { .. }) | Stands::Unknown => outbox::current(&entries, entry.place()),
    };
    let is_bump = |other: &&outbox::Entry| {
        other.id != entry.id
            && other.is_kin(entry)
            && (other.marks.kind == Kind::Cancel) == (entry.marks.kind == Kind::Cancel)
    };
    Ok(other.filter(is_bump).map(|other| other.id))
}

fn has_ended(stands: &Stands, wanted: u64) -> bool {
    match stands {
        Stands::Mined { depth, .. } => depth.is_enough(wanted),
        Stands::Says(TransactionStanding::Mined { confirmations, .. }) => *confirmations >= wanted,
        Stands::Replaced { .. } => true,
        _ => false,
    }
}

/// Waits until a transfer has so many confirmations, or another one took its nonce.
///
/// # Errors
/// [`TransferError::Dropped`] unless its bump counts in its place, [`TransferError::NotSeen`],
/// [`TransferError::Unconfirmed`], and [`crate::verify::VerifyError`] for a node that insists.
pub(super) fn until(context: &mut Context, client: &NodeClient, id: &TxId, wanted: u64) -> Result<Found> {
    let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
    let started = Instant::now();
    let parting = context.output.parting();
    let (mut confirmations, mut doubts) = (0, 0);
    let (mut is_known, mut is_remarked, mut is_counted) = (true, false, true);
    while started.elapsed() < timeout && !parting.is_given_up() {
        // The cheap question first; what it says is looked into once it matters.
        let said = client.transaction_status(id).ok().map(|status| status.standing);
        if let Some(TransactionStanding::Mined { confirmations: found, .. }) = &said {
            confirmations = *found;
        }
        let may_wait = match &said {
            Some(TransactionStanding::Mined { .. }) => confirmations < wanted,
            Some(TransactionStanding::Dropped { .. }) | None => false,
            Some(TransactionStanding::Pending | TransactionStanding::Queued) => true,
        };
        if !may_wait {
            match look(context, client, id) {
                Ok(Some(found)) if has_ended(&found.stands, wanted) => return Ok(found),
                Ok(Some(
                    found @ Found {
                        stands: Stands::Says(TransactionStanding::Dropped { .. }) | Stands::Unknown, ..
                    },
                )) if bump_of(context, &found)?.is_some() => return Ok(found),
                Ok(Some(Found {
                    stands: Stands::Says(TransactionStanding::Dropped { reason, replaced_by }), ..
                })) => {
                    let reason = replaced_by.map_or(reason.clone(), |by| format!("{reason} by {by}"));
                    return Err(TransferError::Dropped { id: *id, reason }.into());
                }
                Err(error) if error.exit() == Exit::Verification && doubts == MAX_DOUBTS => return Err(error),
                Err(error) if error.exit() == Exit::Verification => doubts += 1,
                Ok(found) => {
                    if let Some(Found { stands: Stands::Mined { depth, .. }, .. }) = &found {
                        confirmations = depth.certain();
                        if !depth.is_counted() && std::mem::replace(&mut is_counted, false) {
                            context.output.note(transfer::UNCOUNTED);
                        }
                    }
                    is_known = found.is_some_and(|found| found.stands != Stands::Unknown);
                }
                // The node may be restarting, or busy; it keeps what it acknowledged.
                Err(error) => transfer::remark(context, &mut is_remarked, &error),
            }
        } else {
            is_known = true;
        }
        client.pause(POLL);
    }
    let seconds = started.elapsed().min(timeout).as_secs();
    if !is_known {
        return Err(TransferError::NotSeen { id: *id, seconds }.into());
    }
    Err(TransferError::Unconfirmed { id: *id, confirmations, wanted, seconds }.into())
}
