//! What became of the transfers in the outbox.
//!
//! One node's word settles nothing: it may have dropped what another still holds and mines. A transfer leaves the outbox
//! once the account's proven history, a few blocks deep, has a transfer with its nonce: itself, or another one.

use farthing::{Address, EntryId, Height, Params, SignedTransaction, TxId, wire::TransactionStanding};

use crate::{
    client::{NodeClient, NodeError},
    depth::{self, Depth},
    error::Result,
    history,
    outbox::{self, Entry, Kind, Marks, Outbox, Outcome},
    verify::{Cause, VerifyError},
};

/// From this depth on a transfer is no longer kept in the outbox.
pub const SETTLED_CONFIRMATIONS: u64 = 6;
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
    let mut entries = outbox.entries()?;
    entries.extend(mined_after_all(client, network, outbox, &entries, care)?);
    let mut fates = Vec::new();
    for entry in &entries {
        let (fate, is_final) = insist(|| look_after(client, network, entry, &entries, care))?;
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

/// What a node refused that was mined all the same in the place of something in the outbox: that is no stranger's, so it comes
/// back there. Whoever was told of what has its place was told of the payment.
fn mined_after_all(
    client: &NodeClient,
    network: &Params,
    outbox: &Outbox,
    entries: &[Entry],
    care: Care,
) -> Result<Vec<Entry>> {
    let mut mined = Vec::new();
    for entry in outbox.refused()? {
        // After a crash between two steps it may be among both.
        let is_there = entries.iter().any(|other| other.id == entry.id);
        let is_beside = entries.iter().any(|other| other.place() == entry.place());
        if is_there || !is_beside || !insist(|| is_mined(client, network, &entry))? {
            continue;
        }
        let entry = entry.told_with(entries);
        // Another command may have been faster, and have forgotten it since.
        if care != Care::Look && outbox.is_refused(&entry.id) {
            outbox.write(&entry.transfer, entry.marks.clone())?;
        }
        mined.push(entry);
    }
    Ok(mined)
}

fn is_mined(client: &NodeClient, network: &Params, entry: &Entry) -> Result<bool> {
    let (address, nonce) = entry.place();
    if client.account(&address)?.0.state().next_nonce <= nonce {
        return Ok(false);
    }
    Ok(history::with_nonce(client, network, &address, nonce)?.1.id == entry.id.into())
}

/// Looks at one that a node refused, beside those in the outbox; none if there is none of that id. Changes nothing.
///
/// # Errors
/// As [`reconcile`].
pub fn of_refused(client: &NodeClient, network: &Params, outbox: &Outbox, id: &TxId) -> Result<Option<Looked>> {
    let Some(entry) = outbox.refused()?.into_iter().find(|entry| entry.id == *id) else {
        return Ok(None);
    };
    let mut entries = outbox.entries()?;
    entries.push(entry.clone());
    let (fate, is_final) = insist(|| look_after(client, network, &entry, &entries, Care::Look))?;
    Ok(Some(Looked { entry, fate, is_final }))
}

/// Asks again where a block may have left the chain between two answers.
///
/// # Errors
/// Those of the last answer.
pub fn insist<T>(ask: impl Fn() -> Result<T>) -> Result<T> {
    let mut attempt = 1;
    loop {
        match ask() {
            Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
            other => return other,
        }
    }
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
        Err(error) if error.is_unknown_transfer() => Ok(None),
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

/// What used a nonce of an account, by its proven history, and how deep it is.
///
/// # Errors
/// [`NodeError`], and [`VerifyError`] if the nonce was not used.
pub fn user_of(client: &NodeClient, network: &Params, (address, nonce): (Address, u64)) -> Result<(EntryId, Depth)> {
    let (account, found) = history::with_nonce(client, network, &address, nonce)?;
    let Cause::Transfer(transfer) = &found.cause else { return Err(VerifyError::NotInHistory.into()) };
    let used = transfer.transaction().id(network.genesis_id());
    Ok((found.id, depth::of(client, &account, &used, found.height, depth::MANY_HEADERS)?))
}

/// The chain holds a transfer with that nonce: this one or another.
fn used_nonce(client: &NodeClient, network: &Params, entry: &Entry, entries: &[Entry]) -> Result<(Fate, bool)> {
    let (used, depth) = user_of(client, network, entry.place())?;
    let is_deep = depth.is_enough(SETTLED_CONFIRMATIONS);
    let own = entries.iter().find(|other| EntryId::from(other.id) == used);
    let fate = match own {
        Some(own) if own.id == entry.id && is_deep => Fate::Settled,
        Some(own) if own.id == entry.id => Fate::Mined { confirmations: depth.blocks },
        Some(own) if own.is_kin(entry) => Fate::Superseded { by: own.id },
        Some(own) => Fate::Displaced { by: own.id, is_mined: true },
        None => Fate::Replaced { by: used },
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
