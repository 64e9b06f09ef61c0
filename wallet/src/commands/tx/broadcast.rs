//! `tx broadcast`.

use std::{fmt, path::Path};

use farthing::wire::{TransactionStanding, TransactionStatus};
use serde::Serialize;

use super::{Particulars, read};
use crate::{
    commands::{
        resubmit::look_after_outbox,
        send::{self, CONFIRMATION_TIME, hand_in},
    },
    context::Context,
    error::Result,
    transfer::Confirmed,
    verify::Evidence,
};

/// A transfer that was handed in.
#[derive(Serialize)]
struct BroadcastView {
    #[serde(flatten)]
    particulars: Particulars,
    /// What the node says.
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_id: Option<String>,
    confirmations: u64,
    /// Whether the sender's proven history contains it.
    verified: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Evidence>,
}

impl fmt::Display for BroadcastView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.particulars.transaction_id, self.standing)?;
        if let Some(height) = self.block_height {
            write!(f, " in block {height}, confirmations: {}", self.confirmations)?;
        }
        if self.verified {
            f.write_str(" (verified: in the sender's proven history)")?;
        }
        Ok(())
    }
}

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
    send::warn_of_nonces(context, transfer.transaction(), transfer.transaction().nonce())?;
    context.confirm("nothing was sent", "Send it?")?;
    let status = hand_in(context, &client, &transfer)?;
    drop(sending);
    let (status, proof) = if wanted == 0 {
        (status, None)
    } else {
        let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
        let Confirmed { status, proof } = send::wait(context, &client, &transfer, wanted, timeout)?;
        (status, Some(proof))
    };
    let view = view(particulars, &status, proof);
    context.output.data(&view)?;
    if let Some(proof) = view.proof {
        context.tell(&proof);
    }
    Ok(())
}

fn view(particulars: Particulars, status: &TransactionStatus, proof: Option<Evidence>) -> BroadcastView {
    let mut view = BroadcastView {
        particulars,
        standing: send::state(&status.standing),
        block_height: None,
        block_id: None,
        confirmations: 0,
        verified: proof.is_some(),
        proof,
    };
    if let TransactionStanding::Mined { block_id, height, confirmations, .. } = &status.standing {
        view.block_height = Some(height.get());
        view.block_id = Some(block_id.to_string());
        view.confirmations = *confirmations;
    }
    view
}
