//! Where a transfer stands: proven from its account's history where that can be, else on the node's word.

use farthing::{EntryId, SignedTransaction, TxId, wire::TransactionStanding};

use crate::{
    client::NodeClient,
    context::Context,
    depth::{self, Depth},
    error::Result,
    history,
    outbox::Entry,
    verify::{Evidence, VerifyError},
};

/// How often a node may say mined and not prove it; a block can leave the chain between two answers.
const TRIES: usize = 3;

/// Where a transfer stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stands {
    /// As the node says, which no history contradicts.
    Says(TransactionStanding),
    /// In the proven history of its account.
    Mined {
        /// In this block.
        height: u64,
        /// Which is this one; on the node's word if the depth was not counted.
        block_id: Option<String>,
        /// Blocks from its own on.
        depth: Depth,
    },
    /// By its account's proven history another transfer took its nonce.
    Replaced {
        /// The other one.
        by: EntryId,
    },
    /// The node does not know it; the outbox has it.
    Unknown,
}

/// What is known of a transfer.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) id: TxId,
    /// It, unless the node keeps no more than where it stood.
    pub(super) transfer: Option<SignedTransaction>,
    /// What the outbox has of it.
    pub(super) entry: Option<Entry>,
    pub(super) stands: Stands,
    /// What was checked, if it could be.
    pub(super) proof: Option<Evidence>,
}

/// Looks a transfer up; none if neither node nor outbox has it.
///
/// # Errors
/// Those of the node and the outbox, and [`VerifyError`] for a node that does not stand by its word.
pub(super) fn look(context: &Context, client: &NodeClient, id: &TxId) -> Result<Option<Found>> {
    let entry = context.wallet.outbox().entries()?.into_iter().find(|entry| entry.id == *id);
    let mut attempt = 1;
    loop {
        match look_once(context, client, id, entry.as_ref()) {
            Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
            other => return other,
        }
    }
}

fn look_once(context: &Context, client: &NodeClient, id: &TxId, entry: Option<&Entry>) -> Result<Option<Found>> {
    let (said, body) = match client.transaction(id) {
        Ok(view) => (Some(view.status.standing), view.transaction),
        Err(error) if error.is_unknown_transfer() => (None, None),
        Err(error) => return Err(error.into()),
    };
    let transfer = entry.map(|entry| entry.transfer.clone()).or(body);
    let proven = match &transfer {
        Some(transfer) => prove(context, client, id, transfer, said.as_ref())?,
        None => None,
    };
    let (stands, proof) = match (proven, said) {
        (Some((stands, proof)), _) => (stands, Some(proof)),
        (None, Some(said)) => (Stands::Says(said), None),
        (None, None) if transfer.is_some() => (Stands::Unknown, None),
        (None, None) => return Ok(None),
    };
    Ok(Some(Found { id: *id, transfer, entry: entry.cloned(), stands, proof }))
}

/// What its account's history says of it; none while its nonce is not used, or was used too long ago to look.
fn prove(
    context: &Context,
    client: &NodeClient,
    id: &TxId,
    transfer: &SignedTransaction,
    said: Option<&TransactionStanding>,
) -> Result<Option<(Stands, Evidence)>> {
    let transaction = transfer.transaction();
    let (address, nonce) = (transaction.sender_address(), transaction.nonce());
    if client.account(&address)?.0.state().next_nonce <= nonce {
        // What is mined uses up its nonce, and the proof came after the claim.
        let is_claimed = matches!(said, Some(TransactionStanding::Mined { .. }));
        return if is_claimed { Err(VerifyError::NotInHistory.into()) } else { Ok(None) };
    }
    let (account, used) = history::recent_with_nonce(client, context.settings.network(), &address, nonce)?;
    let Some(used) = used else {
        return Ok(None);
    };
    if used.id != EntryId::from(*id) {
        return Ok(Some((Stands::Replaced { by: used.id }, account.evidence())));
    }
    let height = used.height.get();
    let depth = depth::of(client, &account, id, used.height, depth::FEW_HEADERS)?;
    let block_id = match said {
        Some(TransactionStanding::Mined { block_id, height: said, .. }) if said.get() == height => Some(*block_id),
        _ => None,
    };
    let block_id = depth.block.or(block_id).map(|id| id.to_string());
    let stands = Stands::Mined { height, block_id, depth };
    Ok(Some((stands, account.evidence().of_a_mined_transfer(depth))))
}
