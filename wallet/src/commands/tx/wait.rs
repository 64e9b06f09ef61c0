//! `tx wait`.

use std::time::{Duration, Instant};

use farthing::{TxId, wire::TransactionStanding};

use super::{
    show::{self, StandingView},
    standing::{Found, Stands, look},
};
use crate::{
    client::NodeClient,
    commands::send::{CONFIRMATION_TIME, note_told},
    context::Context,
    error::{Exit, Result},
    transfer::TransferError,
};

/// How often the node is asked.
const POLL: Duration = Duration::from_millis(400);
/// How often what the node says may not hold before it is taken for a lie rather than a reorganisation.
const MAX_DOUBTS: usize = 3;

/// Waits for confirmations, and shows the transfer then.
///
/// # Errors
/// [`TransferError::Unknown`], [`TransferError::Overtaken`], [`TransferError::Dropped`], [`TransferError::Unconfirmed`] and
/// those of the node.
pub(super) fn run(context: &mut Context, id: &TxId, wanted: u64) -> Result<()> {
    let client = context.connect()?;
    let found = look(context, &client, id)?.ok_or(TransferError::Unknown(*id))?;
    let found = if has_ended(&found.stands, wanted) {
        found
    } else {
        let blocks = if wanted == 1 { "1 confirmation".to_owned() } else { format!("{wanted} confirmations") };
        context.output.note(format_args!("waiting for {blocks} of {id} ..."));
        until(context, &client, id, wanted)?
    };
    if let Stands::Replaced { by } = &found.stands {
        return Err(TransferError::Overtaken { id: *id, by: hex::encode(by.as_bytes()) }.into());
    }
    let view = StandingView::new(context, found)?;
    show::tell(context, &view)?;
    let told = context.wallet.outbox().mark_payment_told(id);
    note_told(context, told);
    Ok(())
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
/// [`TransferError::Dropped`], [`TransferError::Unconfirmed`], and [`crate::verify::VerifyError`] for a node that insists.
pub(super) fn until(context: &Context, client: &NodeClient, id: &TxId, wanted: u64) -> Result<Found> {
    let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
    let started = Instant::now();
    let parting = context.output.parting();
    let (mut confirmations, mut doubts) = (0, 0);
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
                Ok(Some(Found {
                    stands: Stands::Says(TransactionStanding::Dropped { reason, replaced_by }), ..
                })) => {
                    let reason = replaced_by.map_or(reason.clone(), |by| format!("{reason} by {by}"));
                    return Err(TransferError::Dropped { id: *id, reason }.into());
                }
                Err(error) if error.exit() == Exit::Verification && doubts == MAX_DOUBTS => return Err(error),
                Err(error) if error.exit() == Exit::Verification => doubts += 1,
                // The node may be restarting, or busy; it keeps what it acknowledged.
                Ok(_) | Err(_) => {}
            }
        }
        client.pause(POLL);
    }
    let seconds = started.elapsed().min(timeout).as_secs();
    Err(TransferError::Unconfirmed { id: *id, confirmations, wanted, seconds }.into())
}
