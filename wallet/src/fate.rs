//! What became of the transfers in the outbox.
//!
//! One node's word settles nothing: it may have dropped what another still holds and mines. A transfer leaves the outbox
//! once the account's proven history, a few blocks deep, has a transfer with its nonce: itself, or another one.

use farthing::{EntryId, Height, Params, SignedTransaction, TxId, wire::TransactionStanding};

use crate::{
    client::{NodeClient, NodeError},
    depth,
    error::Result,
    history,
    outbox::{self, Entry, Kind, Marks, Outbox, Outcome},
    verify::{Cause, VerifyError},
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
        /// How deep.
        confirmations: u64,
    },
    /// In the proven history, deep enough to be forgotten.
    Settled,
    /// A transfer of the account that this wallet does not know took its nonce, so that it was not paid and will not be.
    Replaced {
        /// The other one.
        by: EntryId,
    },
    /// Another one of this wallet for the same payment has its nonce (a bump, a cancellation, or what was bumped) and counts
    /// in its place.
    Superseded {
        /// The other one.
        by: TxId,
    },
    /// Another payment of this wallet has its nonce: of the two one is paid.
    Displaced {
        /// The other one.
        by: TxId,
        /// Whether the other one is in the proven history, so that this one was not paid.
        is_mined: bool,
    },
    /// The last block that might have included it has passed, so that it was not paid and will not be.
    Expired {
        /// That block.
        at: Height,
    },
    /// It was handed in again.
    Resubmitted,
    /// This node dropped it; another may still mine it.
    Dropped(String),
    /// This node does not take it now; another may have it.
    Refused(String),
    /// This node does not know it, and it was not handed in again.
    Unknown,
}

/// What to do with a transfer that the node does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Only look, and change nothing.
    Look,
    /// Hand in what it does not know. Leave what it dropped: its nonce is free for the next transfer, and of the two only one
    /// can be mined.
    Tell,
    /// Hand in again what it dropped, too.
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
/// whose command was interrupted is forgotten only when this command tells ([`Care::HandInAgain`]), or an id keeps
/// what became of it: else the same words would pay again. A part of a payroll whose command was interrupted stays until that
/// is told: as long as it is there, another payroll is held up.
///
/// # Errors
/// Those of the outbox, [`NodeError`] and [`VerifyError`].
pub fn reconcile(client: &NodeClient, network: &Params, outbox: &Outbox, care: Care) -> Result<Vec<Looked>> {
    let entries = outbox.entries()?;
    let mut fates = Vec::new();
    for entry in &entries {
        let mut attempt = 1;
        let (fate, is_final) = loop {
            match look_after(client, network, entry, &entries, care) {
                Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
                other => break other?,
            }
        };
        fates.push(Looked { entry: entry.clone(), fate, is_final });
    }
    if care == Care::Look {
        return Ok(fates);
    }
    // Those first that another one stands for: it must be known for this wallet's own as long as they are there.
    let (others, own): (Vec<&Looked>, Vec<&Looked>) = fates
        .iter()
        .filter(|looked| looked.is_final)
        .partition(|looked| matches!(looked.fate, Fate::Superseded { .. } | Fate::Displaced { .. }));
    for Looked { entry, fate, .. } in others {
        let is_told = entry.marks.told || entry.marks.key.is_some() || care == Care::HandInAgain;
        // What was displaced is not paid: its id is free again.
        if is_told || matches!(fate, Fate::Superseded { .. }) {
            outbox.forget(&entry.id)?;
        }
    }
    for Looked { entry, fate, .. } in own {
        let Marks { key, told, kind, .. } = &entry.marks;
        let is_kept = match key {
            Some(key) => key.payroll().is_some() && !told,
            None => !told && care == Care::Tell,
        };
        if !is_kept {
            let outcome = match fate {
                Fate::Replaced { .. } | Fate::Expired { .. } => Outcome::NotPaid,
                _ if *kind == Kind::Cancel => Outcome::Cancelled,
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
    care: Care,
) -> Result<(Fate, bool)> {
    let standing = standing(client, &entry.id)?;
    let (address, nonce) = entry.place();
    let (sender, _) = client.account(&address)?;
    if sender.state().next_nonce > nonce {
        return used_nonce(client, network, entry, entries);
    }
    let open = |fate| Ok((fate, false));
    match standing {
        // What is mined uses up its nonce, and the proof came after the claim.
        Some(TransactionStanding::Mined { .. }) => return Err(VerifyError::NotInHistory.into()),
        Some(standing @ (TransactionStanding::Pending | TransactionStanding::Queued)) => {
            return open(Fate::Waiting(standing));
        }
        _ => {}
    }
    if let Some(other) = first_in_place(client, entry, entries)? {
        let by = other.id;
        return open(if other.is_kin(entry) {
            Fate::Superseded { by }
        } else {
            Fate::Displaced { by, is_mined: false }
        });
    }
    if let Some(last) = entry.transfer.transaction().valid_until().filter(|last| sender.height >= *last) {
        return Ok((Fate::Expired { at: last }, sender.height.get() - last.get() >= SETTLED_CONFIRMATIONS));
    }
    open(match standing {
        Some(TransactionStanding::Dropped { reason, .. }) if care != Care::HandInAgain => Fate::Dropped(reason),
        _ if care == Care::Look => Fate::Unknown,
        _ => hand_in_again(client, &entry.transfer)?,
    })
}

/// What a node says of a transfer, if anything.
fn standing(client: &NodeClient, id: &TxId) -> Result<Option<TransactionStanding>> {
    match client.transaction_status(id) {
        Ok(status) => Ok(Some(status.standing)),
        Err(error) if error.is_not_found() || error.is_refused_for("TRANSACTION_INDEX_OFF") => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The one with the same account and nonce that goes before this one, which does not wait at the node: another payment that
/// does wait, and must not be pushed out by this one, or else what nodes would keep of all of them.
fn first_in_place<'a>(client: &NodeClient, entry: &Entry, entries: &'a [Entry]) -> Result<Option<&'a Entry>> {
    for other in entries.iter().filter(|other| other.place() == entry.place() && !other.is_kin(entry)) {
        if let Some(TransactionStanding::Pending | TransactionStanding::Queued) = standing(client, &other.id)? {
            return Ok(Some(other));
        }
    }
    Ok(outbox::current(entries, entry.place()).filter(|current| current.id != entry.id))
}

/// The chain holds a transfer with that nonce: this one or another.
fn used_nonce(client: &NodeClient, network: &Params, entry: &Entry, entries: &[Entry]) -> Result<(Fate, bool)> {
    let (address, nonce) = entry.place();
    let (account, found) = history::with_nonce(client, network, &address, nonce)?;
    let Cause::Transfer(transfer) = &found.cause else { return Err(VerifyError::NotInHistory.into()) };
    let used = transfer.transaction().id(network.genesis_id());
    let depth = depth::of(client, &account, &used, found.height, depth::MANY_HEADERS)?;
    let is_deep = depth.is_enough(SETTLED_CONFIRMATIONS);
    let own = entries.iter().find(|other| EntryId::from(other.id) == found.id);
    let fate = match own {
        Some(own) if own.id == entry.id && is_deep => Fate::Settled,
        Some(own) if own.id == entry.id => Fate::Mined { confirmations: depth.blocks },
        Some(own) if own.is_kin(entry) => Fate::Superseded { by: own.id },
        Some(own) => Fate::Displaced { by: own.id, is_mined: true },
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
