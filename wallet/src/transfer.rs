//! A transfer from the wish to its confirmation: plan (nonce, fee, funds, all from proven accounts), sign, save,
//! submit, wait.

mod error;
mod fee;
mod plan;
mod refused;

use std::time::{Duration, Instant};

use farthing::{
    BlockId, EntryId, Height, Params, SignedTransaction, TxId,
    wire::{TransactionStanding, TransactionStatus},
};
use farthing_client::NodeInfo;

pub use self::{
    error::TransferError,
    fee::{Fee, FeeBounds, MOST_FOR_THE_MINER, Speed},
    plan::{FEE_PER_BYTE, Order, Plan, Wish, least_fee, price, signed_size, transaction},
    refused::check_refused,
};
use crate::{
    client::{NodeClient, NodeError},
    context::Context,
    depth::{self, Depth},
    error::{Exit, Result},
    history,
    outbox::{Marks, Outbox},
    verify::Evidence,
};

/// How often a waiting wallet asks.
const POLL: Duration = Duration::from_millis(400);
/// How often a node may say mined without proof before it is taken for a lie rather than a reorganisation.
const MAX_DOUBTS: usize = 3;

/// Writes a transfer down and hands it in; whatever happens then, the same bytes can be handed in again. It stays in
/// the outbox unless it was certainly never taken. What is there already keeps its marks.
///
/// # Errors
/// [`TransferError::InDoubt`], [`TransferError::MinedAfterAll`], [`TransferError::Rejected`], [`TransferError::NodeFunds`], [`TransferError::Uncertain`],
/// [`TransferError::NotTaken`], [`TransferError::NotTakenOut`], [`TransferError::Dropped`], [`NodeError::Syncing`], and those of the outbox.
pub fn submit(
    client: &NodeClient,
    network: &Params,
    outbox: &Outbox,
    transfer: &SignedTransaction,
    marks: Marks,
) -> Result<TransactionStatus> {
    check_refused(client, network, outbox, transfer.transaction(), true)?;
    let kind = marks.kind;
    let (id, is_new) = outbox.write(transfer, marks)?;
    let source = match client.submit(transfer) {
        Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason, .. }, .. }) => {
            return Err(TransferError::Dropped { id, reason }.into());
        }
        Ok(status) => return Ok(status),
        Err(error) => error,
    };
    if !source.is_definite() {
        return Err(TransferError::Uncertain { id, source }.into());
    }
    // What was handed in earlier may still be mined, whatever this node says now.
    if !is_new {
        return Err(TransferError::NotTaken { id, kind, source }.into());
    }
    if let Err(outbox) = outbox.refuse(&id) {
        return Err(TransferError::NotTakenOut { id, refusal: source, source: Box::new(outbox) }.into());
    }
    Err(match source {
        NodeError::Refused { reason, message, .. } if reason.contains("FUNDS") || reason.contains("BALANCE") => {
            TransferError::NodeFunds { message }.into()
        }
        NodeError::Refused { reason, message, required_fee, .. } => {
            TransferError::Rejected { id: Some(id), reason, message, required_fee }.into()
        }
        other => other.into(),
    })
}

/// A transfer with the confirmations that were asked for.
#[derive(Debug)]
pub struct Confirmed {
    /// Height of its block.
    pub height: Height,
    /// Its block, on the node's word unless the depth was counted; none if no node names it.
    pub block: Option<BlockId>,
    /// Blocks from its own on.
    pub confirmations: u64,
    /// What of it was checked and what not.
    pub proof: Evidence,
}

/// What a wait for a block may come to nothing by.
pub const NOBODY_MINES: &str = "the node neither mines nor has peers, as it says: unless a miner works on it, no block comes, \
                                and what is sent waits";

/// What keeps a wait for several confirmations from its end.
pub(crate) const UNCOUNTED: &str = "note: the transfer is mined, but this node does not show in which block, as one without an index of \
                                    transactions, or that is too long ago to count the blocks since: one confirmation is certain, more are counted with --node URL and another node";

/// Whether a node, as it says, makes no blocks and gets none.
#[must_use]
pub const fn is_without_miners(info: &NodeInfo) -> bool {
    !info.is_mining && info.peers.is_empty()
}

/// Waits until a transfer has so many confirmations, then proves it from the sender's history.
///
/// # Errors
/// [`TransferError::Dropped`], [`TransferError::Overtaken`], [`TransferError::NotSeen`], [`TransferError::Unconfirmed`],
/// [`crate::verify::VerifyError`].
pub fn wait(
    context: &mut Context,
    client: &NodeClient,
    transfer: &SignedTransaction,
    wanted: u64,
    timeout: Duration,
) -> Result<Confirmed> {
    let network = std::sync::Arc::clone(context.settings.network());
    let id = transfer.transaction().id(network.genesis_id());
    let started = Instant::now();
    let mut confirmations = 0;
    let mut doubts = 0;
    let (mut is_known, mut is_remarked, mut is_counted) = (true, false, true);
    let parting = context.output.parting();
    if client.node_info().is_ok_and(|info| is_without_miners(&info)) {
        context.output.warn(NOBODY_MINES);
    }
    while started.elapsed() < timeout && !parting.is_given_up() {
        // Where it was mined, and in which block, if the node says that.
        let mut mined = None;
        match client.transaction_status(&id) {
            // Kept in the outbox: only this node dropped it.
            Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason, replaced_by }, .. }) => {
                mined = in_its_place(client, &network, transfer, &id)?.map(|height| (height, None));
                if mined.is_none() {
                    let reason = replaced_by.map_or(reason.clone(), |by| format!("{reason} by {by}"));
                    return Err(TransferError::Dropped { id, reason }.into());
                }
            }
            Ok(status) => {
                is_known = true;
                if let TransactionStanding::Mined { confirmations: found, height, block_id, .. } = status.standing {
                    confirmations = found;
                    mined = (confirmations >= wanted).then_some((height, Some(block_id)));
                }
            }
            Err(error) if error.is_unknown_transfer() => {
                mined = in_its_place(client, &network, transfer, &id)?.map(|height| (height, None));
                is_known = mined.is_some();
            }
            // The node may be restarting, or busy; it keeps what it acknowledged.
            Err(error) => remark(context, &mut is_remarked, &error),
        }
        if let Some((height, said)) = mined {
            match proven(client, &network, transfer, &id, height) {
                Ok((depth, proof)) if depth.is_enough(wanted) => {
                    let (block, confirmations) = (depth.block.or(said), depth.blocks);
                    return Ok(Confirmed { height, block, confirmations, proof });
                }
                Ok((depth, _)) => {
                    confirmations = depth.certain();
                    if !depth.is_counted() && std::mem::replace(&mut is_counted, false) {
                        context.output.note(UNCOUNTED);
                    }
                }
                Err(error) if error.exit() != Exit::Verification => remark(context, &mut is_remarked, &error),
                // The block may just have left the best chain; a node that insists is not believed.
                Err(error) if doubts == MAX_DOUBTS => return Err(error),
                Err(_) => doubts += 1,
            }
        }
        client.pause(POLL);
    }
    let seconds = started.elapsed().min(timeout).as_secs();
    if !is_known {
        return Err(TransferError::NotSeen { id, seconds }.into());
    }
    Err(TransferError::Unconfirmed { id, confirmations, wanted, seconds }.into())
}

/// Says once that a wait goes on although the node does not answer.
pub(crate) fn remark(context: &mut Context, is_remarked: &mut bool, error: &dyn std::fmt::Display) {
    if !std::mem::replace(is_remarked, true) {
        context.output.note(format_args!("note: {error}; asking again until it answers"));
    }
}

/// The height at which a transfer that the node does not know is in its sender's proven history; none if it is not there.
///
/// # Errors
/// [`TransferError::Overtaken`] if that has another one with its nonce.
fn in_its_place(
    client: &NodeClient,
    network: &Params,
    transfer: &SignedTransaction,
    id: &TxId,
) -> Result<Option<Height>, TransferError> {
    match used_nonce(client, network, transfer) {
        Some((used, height)) if used == (*id).into() => Ok(Some(height)),
        Some((by, _)) => Err(TransferError::Overtaken { id: *id, by: hex::encode(by.as_bytes()) }),
        None => Ok(None),
    }
}

/// What has a transfer's nonce in its sender's proven history, and at which height, as far as that can be seen now.
fn used_nonce(client: &NodeClient, network: &Params, transfer: &SignedTransaction) -> Option<(EntryId, Height)> {
    let (sender, nonce) = (transfer.transaction().sender_address(), transfer.transaction().nonce());
    if client.account(&sender).ok()?.0.state().next_nonce <= nonce {
        return None;
    }
    let used = history::recent_with_nonce(client, network, &sender, nonce).ok()?.1?;
    Some((used.id, used.height))
}

/// How deep a transfer is in its sender's proven history, and what was checked.
fn proven(
    client: &NodeClient,
    network: &Params,
    transfer: &SignedTransaction,
    id: &TxId,
    height: Height,
) -> Result<(Depth, Evidence)> {
    let sender = transfer.transaction().sender_address();
    let account = history::contains(client, network, &sender, (*id).into(), height)?;
    let depth = depth::of(client, &account, id, height, depth::FEW_HEADERS)?;
    Ok((depth, account.evidence().of_a_mined_transfer(depth)))
}
