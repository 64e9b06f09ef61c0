//! What a refusal leaves open: the node may have kept the transfer.

use farthing::{Params, Transaction};

use super::TransferError;
use crate::{
    client::NodeClient,
    error::Result,
    fate::{self, SETTLED_CONFIRMATIONS},
    outbox::{Entry, Outbox},
};

/// Whether a transfer that was refused may be mined beside a new one: a node that lies may have kept it, and then names a
/// later nonce as the next one. Writes down what it finds out only if that is wanted (`notes`).
///
/// # Errors
/// [`TransferError::InDoubt`], [`TransferError::MinedAfterAll`], and those of the outbox and the node.
pub fn check_refused(
    client: &NodeClient,
    network: &Params,
    outbox: &Outbox,
    new: &Transaction,
    notes: bool,
) -> Result<()> {
    let (address, new_nonce) = (new.sender_address(), new.nonce());
    let mut refused = outbox.refused()?;
    refused.retain(|entry| entry.place().0 == address && entry.place().1 < new_nonce);
    if refused.is_empty() {
        return Ok(());
    }
    let own = outbox.entries()?;
    let is_taken = |place| own.iter().any(|other| other.place() == place);
    // Something was handed in with its nonce before: of the two one can be mined.
    if is_taken((address, new_nonce)) {
        return Ok(());
    }
    let (account, _) = client.account(&address)?;
    for entry in refused {
        let nonce = entry.place().1;
        if account.state().next_nonce <= nonce {
            if is_taken(entry.place()) {
                continue;
            }
            return Err(TransferError::InDoubt { id: entry.id, nonce }.into());
        }
        let (used_by, depth) = fate::insist(|| fate::user_of(client, network, entry.place()))?;
        // Whoever looks after the outbox takes it for the payment of what has its place.
        if used_by == entry.id.into() && !notes && is_taken(entry.place()) {
            continue;
        }
        let Entry { id, transfer, marks, .. } = entry.told_with(&own);
        if used_by == id.into() {
            if notes {
                // From now on it is known for what it is by the words and the id that made it.
                outbox.write(&transfer, marks)?;
            }
            return Err(TransferError::MinedAfterAll(id).into());
        }
        // Before that, a reorganisation may still free the nonce.
        if notes && depth.is_enough(SETTLED_CONFIRMATIONS) {
            outbox.forget_refused(&id)?;
        }
    }
    Ok(())
}
