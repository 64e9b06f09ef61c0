//! What became of the transfers in the outbox.
//!
//! One node's word settles nothing: it may have dropped what another still holds and mines. A transfer leaves the outbox
//! once the account's proven history, a few blocks deep, has a transfer with its nonce: itself, or another one.

use farthing::{EntryId, Params, SignedTransaction, TxId, wire::TransactionStanding};

use crate::{
    client::{NodeClient, NodeError},
    error::Result,
    history,
    outbox::{self, Entry, Kind, Outbox, Outcome},
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
    /// A transfer of the account that this wallet does not know took its nonce, so that it was not paid and will not be.
    Replaced {
        /// The other one.
        by: EntryId,
    },
    /// Another one of this wallet has its nonce (a bump, a cancellation, or what was bumped) and counts in its place.
    Superseded {
        /// The other one.
        by: TxId,
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

/// A transfer in the outbox and what became of it.
#[derive(Debug, Clone)]
pub struct Looked {
    /// The transfer, as it was noted.
    pub entry: Entry,
    /// What became of it.
    pub fate: Fate,
    /// Whether that cannot change any more.
    pub is_final: bool,
}

/// Looks after every transfer in the outbox: forgets what is settled, hands in again what the node does not know. One
/// whose command was interrupted is forgotten only when this command tells ([`OnDrop::HandInAgain`]), or an id keeps
/// what became of it: else the same words would pay again.
///
/// # Errors
/// Those of the outbox, [`NodeError`] and [`VerifyError`].
pub fn reconcile(client: &NodeClient, network: &Params, outbox: &Outbox, on_drop: OnDrop) -> Result<Vec<Looked>> {
    let entries = outbox.entries()?;
    let mut fates = Vec::new();
    for entry in &entries {
        let mut attempt = 1;
        let (fate, is_final) = loop {
            match look_after(client, network, entry, &entries, on_drop) {
                Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
                other => break other?,
            }
        };
        fates.push(Looked { entry: entry.clone(), fate, is_final });
    }
    // Those first that another one stands for: it must be known for this wallet's own as long as they are there.
    let is_superseded = |looked: &&Looked| matches!(looked.fate, Fate::Superseded { .. });
    for looked in fates.iter().filter(|looked| looked.is_final).filter(is_superseded) {
        outbox.forget(&looked.entry.id)?;
    }
    for Looked { entry, fate, .. } in fates.iter().filter(|looked| looked.is_final && !is_superseded(looked)) {
        if entry.marks.told || entry.marks.key.is_some() || on_drop == OnDrop::HandInAgain {
            let outcome = match fate {
                Fate::Replaced { .. } => Outcome::NotPaid,
                _ if entry.marks.kind == Kind::Cancel => Outcome::Cancelled,
                _ => Outcome::Paid,
            };
            outbox.settle(entry, outcome)?;
        }
    }
    Ok(fates)
}

/// The fate of one transfer, and whether it is final.
fn look_after(
    client: &NodeClient,
    network: &Params,
    entry: &Entry,
    entries: &[Entry],
    on_drop: OnDrop,
) -> Result<(Fate, bool)> {
    let standing = match client.transaction_status(&entry.id) {
        Ok(status) => Some(status.standing),
        Err(error) if error.is_not_found() || error.is_refused_for("TRANSACTION_INDEX_OFF") => None,
        Err(error) => return Err(error.into()),
    };
    let (address, nonce) = entry.place();
    let (sender, _) = client.account(&address)?;
    if sender.state().next_nonce > nonce {
        return used_nonce(client, network, entry, entries);
    }
    let current = outbox::current(entries, entry.place()).map_or(entry.id, |current| current.id);
    let fate = match standing {
        // What is mined uses up its nonce, and the proof came after the claim.
        Some(TransactionStanding::Mined { .. }) => return Err(VerifyError::NotInHistory.into()),
        Some(standing @ (TransactionStanding::Pending | TransactionStanding::Queued)) => Fate::Waiting(standing),
        _ if current != entry.id => Fate::Superseded { by: current },
        Some(TransactionStanding::Dropped { reason, .. }) if on_drop == OnDrop::Tell => Fate::Dropped(reason),
        Some(TransactionStanding::Dropped { .. }) | None => hand_in_again(client, &entry.transfer)?,
    };
    Ok((fate, false))
}

/// The chain holds a transfer with that nonce: this one or another.
fn used_nonce(client: &NodeClient, network: &Params, entry: &Entry, entries: &[Entry]) -> Result<(Fate, bool)> {
    let (address, nonce) = entry.place();
    let (account, found) = history::with_nonce(client, network, &address, nonce)?;
    let depth = (account.height.get() + 1).saturating_sub(found.height.get());
    let is_deep = depth >= SETTLED_CONFIRMATIONS;
    let own = entries.iter().find(|other| EntryId::from(other.id) == found.id);
    let fate = match own {
        Some(own) if own.id != entry.id => Fate::Superseded { by: own.id },
        Some(_) if is_deep => Fate::Settled,
        Some(_) => Fate::Mined { confirmations: depth },
        None => Fate::Replaced { by: found.id },
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
