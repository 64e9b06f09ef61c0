//! A transfer from the wish to its confirmation: plan (nonce, fee, funds, all from proven accounts), sign, save,
//! submit, wait.

mod error;

use std::time::{Duration, Instant};

use farthing::{
    Address, Height, Mites, Output, Params, PublicKey, Sender, SignedTransaction, Transaction,
    codec::Canonical as _,
    tx::TransactionFields,
    wire::{TransactionStanding, TransactionStatus},
};

pub use self::error::TransferError;
use crate::{
    client::{NodeClient, NodeError},
    context::Context,
    error::{Exit, Result},
    history,
    keystore::Signer,
    outbox::Outbox,
    verify::Evidence,
};

/// The least that nodes relay, in mites a byte, on top of what is burned for opening accounts.
pub const FEE_PER_BYTE: Mites = Mites::new(100);
/// How often a waiting wallet asks.
const POLL: Duration = Duration::from_millis(400);
/// How often a node may say mined without proof before it is taken for a lie rather than a reorganisation.
const MAX_DOUBTS: usize = 3;

/// What a person wants.
#[derive(Debug, Clone)]
pub struct Wish {
    /// Who receives.
    pub to: Address,
    /// How much.
    pub amount: Mites,
    /// The whole fee; computed if left out.
    pub fee: Option<Mites>,
    /// The last block that may include it, if there shall be one.
    pub valid_until: Option<Height>,
    /// For the recipient, public for ever.
    pub memo: Vec<u8>,
}

/// A transfer that can be signed, and what the person should know before.
#[derive(Debug, Clone)]
pub struct Plan {
    transaction: Transaction,
    /// The part of the fee that opens the recipient's account; zero if it exists, or if no node was asked.
    pub opening: Mites,
    /// What stays on the account, pending transfers counted; nobody knows if no node was asked.
    pub left: Option<Mites>,
}

impl Plan {
    /// Asks the node for both accounts, checks what it says, and works out nonce and fee.
    ///
    /// # Errors
    /// [`TransferError`], [`crate::verify::VerifyError`], [`NodeError`].
    pub fn make(client: &NodeClient, network: &Params, payer: &PublicKey, wish: Wish) -> Result<Self> {
        let address = payer.address();
        let (sender, answer) = client.account(&address)?;
        let opening = if wish.to == address || client.account(&wish.to)?.0.account.is_some() {
            Mites::ZERO
        } else {
            network.opening_cost
        };
        // The node may know of transfers that are not mined yet; it cannot make us use a nonce again.
        let nonce = answer.next_pending_nonce.max(sender.state().next_nonce);
        let least = least_fee(payer, &wish, nonce)?.checked_add(opening);
        let fee = wish.fee.or(least).ok_or(TransferError::Overflow)?;
        if fee < opening {
            return Err(TransferError::FeeBelowOpening { fee, opening }.into());
        }
        let pending = answer.pending_out;
        let spendable = sender.state().balance.checked_sub(pending).unwrap_or(Mites::ZERO);
        let needed = wish.amount.checked_add(fee).ok_or(TransferError::Overflow)?;
        let left = spendable.checked_sub(needed).ok_or(TransferError::Funds { needed, spendable, pending })?;
        Ok(Self { transaction: transaction(payer, &wish, nonce, fee)?, opening, left: Some(left) })
    }

    /// Takes nonce and fee as given, and asks nobody.
    ///
    /// # Errors
    /// [`TransferError::Fields`].
    pub fn offline(payer: &PublicKey, wish: &Wish, nonce: u64, fee: Mites) -> Result<Self, TransferError> {
        Ok(Self { transaction: transaction(payer, wish, nonce, fee)?, opening: Mites::ZERO, left: None })
    }

    /// What will be signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`crate::keystore::SignError`].
    pub fn sign(self, signer: &dyn Signer, network: &Params) -> Result<SignedTransaction> {
        Ok(signer.sign(self.transaction, network.genesis_id())?)
    }
}

fn transaction(payer: &PublicKey, wish: &Wish, nonce: u64, fee: Mites) -> Result<Transaction, TransferError> {
    Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(payer.clone()) } else { Sender::Address(payer.address()) },
        nonce,
        fee,
        valid_until: wish.valid_until,
        outputs: vec![Output { to: wish.to, amount: wish.amount }],
        memo: wish.memo.clone(),
    })
    .map_err(TransferError::Fields)
}

/// The least fee at which nodes relay this transfer, if it opens no account.
///
/// # Errors
/// [`TransferError::Fields`].
pub fn least_fee(payer: &PublicKey, wish: &Wish, nonce: u64) -> Result<Mites, TransferError> {
    let draft = transaction(payer, wish, nonce, Mites::ZERO)?;
    // A signature is as long as the modulus and stands behind its length.
    let size = draft.to_canonical().len() + 4 + payer.size().bytes();
    FEE_PER_BYTE.checked_mul(size as u64).ok_or(TransferError::Overflow)
}

/// Writes a transfer down and hands it in; whatever happens then, the same bytes can be handed in again. It stays in
/// the outbox unless it was certainly never taken.
///
/// # Errors
/// [`TransferError::Rejected`], [`TransferError::NodeFunds`], [`TransferError::Uncertain`], [`TransferError::Dropped`],
/// [`NodeError::Syncing`], and those of the outbox.
pub fn submit(client: &NodeClient, outbox: &Outbox, transfer: &SignedTransaction) -> Result<TransactionStatus> {
    let (id, is_new) = outbox.save(transfer)?;
    let source = match client.submit(transfer) {
        Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason, .. }, .. }) => {
            return Err(TransferError::Dropped { id, reason }.into());
        }
        Ok(status) => return Ok(status),
        Err(error) => error,
    };
    // What was handed in earlier with an answer that got lost may still be mined, whatever this node says now.
    if !is_new || !source.is_definite() {
        return Err(TransferError::Uncertain { id, source }.into());
    }
    outbox.forget(&id)?;
    Err(match source {
        NodeError::Refused { reason, message, .. } if reason.contains("FUNDS") || reason.contains("BALANCE") => {
            TransferError::NodeFunds { message }.into()
        }
        NodeError::Refused { reason, message, .. } => TransferError::Rejected { reason, message }.into(),
        other => other.into(),
    })
}

/// A transfer with the confirmations that were asked for.
#[derive(Debug)]
pub struct Confirmed {
    /// Where it stands, on the node's word.
    pub status: TransactionStatus,
    /// What of it was checked and what not.
    pub proof: Evidence,
}

/// Waits until a transfer has so many confirmations, then proves it from the sender's history.
///
/// # Errors
/// [`TransferError::Dropped`], [`TransferError::Unconfirmed`], [`crate::verify::VerifyError`].
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
    let parting = context.output.parting();
    while started.elapsed() < timeout && !parting.is_given_up() {
        match client.transaction_status(&id) {
            // Kept in the outbox: only this node dropped it.
            Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason, .. }, .. }) => {
                return Err(TransferError::Dropped { id, reason }.into());
            }
            Ok(status) => {
                if let TransactionStanding::Mined { confirmations: found, height, .. } = &status.standing {
                    confirmations = *found;
                    if confirmations >= wanted {
                        let sender = transfer.transaction().sender_address();
                        match history::contains(client, &network, &sender, id.into(), *height) {
                            Ok(account) => {
                                return Ok(Confirmed { status, proof: account.evidence().of_a_mined_transfer() });
                            }
                            Err(error) if error.exit() != Exit::Verification => {}
                            // The block may just have left the best chain; a node that insists is not believed.
                            Err(error) if doubts == MAX_DOUBTS => return Err(error),
                            Err(_) => doubts += 1,
                        }
                    }
                }
            }
            // The node may be restarting, or busy; it keeps what it acknowledged.
            Err(_) => {}
        }
        client.pause(POLL);
    }
    let seconds = started.elapsed().min(timeout).as_secs();
    Err(TransferError::Unconfirmed { id, confirmations, wanted, seconds }.into())
}
