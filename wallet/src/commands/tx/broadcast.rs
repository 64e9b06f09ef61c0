//! `tx broadcast`.

use std::path::Path;

use super::{Particulars, read};
use crate::{
    commands::{
        resubmit::look_after_outbox,
        send::{self, hand_in},
    },
    context::Context,
    error::Result,
};

/// Hands a signed file in; from here on it is as if `send` had signed it.
///
/// # Errors
/// [`crate::transfer_file::TransferFileError`], [`crate::transfer::TransferError`], and those of the node.
pub(super) fn run(context: &mut Context, path: &Path, wanted: u64) -> Result<()> {
    let file = read(context, path)?;
    let transfer = file.signed()?.clone();
    let particulars = Particulars::of(context, &file)?;
    context.output.note(&particulars);
    let client = context.connect()?;
    let sending = context.lock_sending()?;
    look_after_outbox(context, &client)?;
    send::check_refused(context, &client, transfer.transaction(), true)?;
    send::warn_of_nonces(context, transfer.transaction(), transfer.transaction().nonce())?;
    context.confirm("nothing was sent", "Send it?")?;
    let status = hand_in(context, &client, &transfer)?;
    drop(sending);
    let view = send::conclude(context, &client, &transfer, Some(status), wanted)?;
    context.output.data(&view)?;
    if let Some(proof) = &view.proof {
        context.tell(proof);
    }
    Ok(())
}
