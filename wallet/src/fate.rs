//! What became of the transfers in the outbox.
//!
//! One node's word settles nothing: it may have dropped what another still holds and mines. A transfer leaves the outbox
//! once the account's proven history, a few blocks deep, has a transfer with its nonce: itself, or another one.

use farthing::{EntryId, Params, SignedTransaction, TxId, wire::TransactionStanding};

use crate::{
    client::{NodeClient, NodeError},
    error::Result,
    history,
    outbox::Outbox,
    verify::VerifyError,
};

/// From this depth on a transfer is no longer kept in the outbox.
const SETTLED_CONFIRMATIONS: u64 = 6;
/// How often a node may say mined and not prove it; a block can leave the chain between two answers.
const TRIES: usize = 3;

/// What became of a transfer in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The node has it and did not mine it yet.
    Waiting(TransactionStanding),
    /// In the proven history, not deep enough to be forgotten.
    Mined {
        /// How deep, by the height that the node states.
        confirmations: u64,
    },
    /// In the proven history, deep enough; the outbox forgot it.
    Settled,
    /// Another transfer of the account took its nonce, so that it was not paid and will not be.
    Replaced {
        /// The other one.
        by: EntryId,
    },
    /// It was handed in again.
    Resubmitted,
    /// This node dropped it; another may still mine it.
    Dropped(String),
    /// This node does not take it now; another may have it.
    Refused(String),
}

/// What to do with what the node says that it dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDrop {
    /// Leave it: its nonce is free for the next transfer, and of the two only one can be mined.
    Tell,
    /// Hand it in again.
    HandInAgain,
}

/// Looks after every transfer in the outbox: forgets what is settled, hands in again what the node does not know.
///
/// # Errors
/// Those of the outbox, [`NodeError`] and [`VerifyError`].
pub fn reconcile(
    client: &NodeClient,
    network: &Params,
    outbox: &Outbox,
    on_drop: OnDrop,
) -> Result<Vec<(TxId, SignedTransaction, Fate)>> {
    let mut fates = Vec::new();
    for (id, transfer) in outbox.list()? {
        let mut attempt = 1;
        let (fate, is_final) = loop {
            match look_after(client, network, &id, &transfer, on_drop) {
                Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
                other => break other?,
            }
        };
        if is_final {
            outbox.forget(&id)?;
        }
        fates.push((id, transfer, fate));
    }
    Ok(fates)
}

/// The fate of one transfer, and whether it is final.
fn look_after(
    client: &NodeClient,
    network: &Params,
    id: &TxId,
    transfer: &SignedTransaction,
    on_drop: OnDrop,
) -> Result<(Fate, bool)> {
    let standing = match client.transaction_status(id) {
        Ok(status) => Some(status.standing),
        Err(error) if error.is_not_found() || error.is_refused_for("TRANSACTION_INDEX_OFF") => None,
        Err(error) => return Err(error.into()),
    };
    let address = transfer.transaction().sender_address();
    let (sender, _) = client.account(&address)?;
    if sender.state().next_nonce > transfer.transaction().nonce() {
        return used_nonce(client, network, id, transfer);
    }
    let fate = match standing {
        // What is mined uses up its nonce, and the proof came after the claim.
        Some(TransactionStanding::Mined { .. }) => return Err(VerifyError::NotInHistory.into()),
        Some(TransactionStanding::Dropped { reason, .. }) if on_drop == OnDrop::Tell => Fate::Dropped(reason),
        Some(TransactionStanding::Dropped { .. }) | None => hand_in_again(client, transfer)?,
        Some(standing) => Fate::Waiting(standing),
    };
    Ok((fate, false))
}

/// The chain holds a transfer with that nonce: this one or another.
fn used_nonce(client: &NodeClient, network: &Params, id: &TxId, transfer: &SignedTransaction) -> Result<(Fate, bool)> {
    let transaction = transfer.transaction();
    let (account, found) = history::with_nonce(client, network, &transaction.sender_address(), transaction.nonce())?;
    let depth = (account.height.get() + 1).saturating_sub(found.height.get());
    let is_deep = depth >= SETTLED_CONFIRMATIONS;
    let fate = if found.id != EntryId::from(*id) {
        Fate::Replaced { by: found.id }
    } else if is_deep {
        Fate::Settled
    } else {
        Fate::Mined { confirmations: depth }
    };
    Ok((fate, is_deep))
}

fn hand_in_again(client: &NodeClient, transfer: &SignedTransaction) -> Result<Fate> {
    match client.submit(transfer) {
        Ok(status) => Ok(match status.standing {
            TransactionStanding::Dropped { reason, .. } => Fate::Dropped(reason),
            _ => Fate::Resubmitted,
        }),
        Err(NodeError::Refused { reason, .. }) => Ok(Fate::Refused(reason)),
        Err(error) => Err(error.into()),
    }
}
