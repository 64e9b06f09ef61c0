//! A transfer from the wish to its confirmation: plan (nonce, fee, funds, all from proven accounts), sign, save,
//! submit, wait.

use std::time::{Duration, Instant};

use farthing::{
    Address, Height, Mites, Output, Params, PublicKey, Sender, SignedTransaction, Transaction, TxId,
    codec::Canonical as _,
    tx::{TransactionError, TransactionFields},
    wire::{TransactionStanding, TransactionStatus},
};

use crate::{
    client::{NodeClient, NodeError},
    context::Context,
    error::{Exit, Explain, Result},
    history,
    keystore::Signer,
    outbox::Outbox,
    verify,
};

/// The least that nodes relay, in mites a byte, on top of what is burned for opening accounts.
pub const FEE_PER_BYTE: Mites = Mites::new(100);
/// How often a waiting wallet asks.
const POLL: Duration = Duration::from_millis(400);
/// How often a node may say mined without proof before it is taken for a lie rather than a reorganisation.
const MAX_DOUBTS: usize = 3;
/// From this depth on a transfer is no longer kept in the outbox.
const SETTLED_CONFIRMATIONS: u64 = 6;

/// Why a transfer does not happen, or is not known to have happened.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Its fields do not fit together.
    #[error("this is not a possible transfer")]
    Fields(#[source] TransactionError),
    /// The fee does not even pay for the opening.
    #[error("a fee of {fee} far does not pay for opening the recipient's account, which costs {opening} far")]
    FeeBelowOpening {
        /// The fee given.
        fee: Mites,
        /// What opening costs.
        opening: Mites,
    },
    /// Amount and fee add up to more than an amount can hold.
    #[error("amount and fee add up to more than can be written")]
    Overflow,
    /// Not enough money.
    #[error("{needed} far are needed (amount and fee), {spendable} far can be spent")]
    Funds {
        /// Amount and fee.
        needed: Mites,
        /// What the account holds, less what pending transfers take.
        spendable: Mites,
        /// What pending transfers take.
        pending: Mites,
    },
    /// The node refuses it for lack of money.
    #[error("the node refuses the transfer for lack of money: {message}")]
    NodeFunds {
        /// What it said.
        message: String,
    },
    /// The node refuses it.
    #[error("the node rejects the transfer: {message} [{reason}]")]
    Rejected {
        /// Stable reason.
        reason: String,
        /// What it said.
        message: String,
    },
    /// It was in the mempool and is gone.
    #[error("the transfer {id} was dropped: {reason}")]
    Dropped {
        /// Its id.
        id: TxId,
        /// Stable reason.
        reason: String,
    },
    /// It was handed in, but the answer is lost.
    #[error("the transfer {id} was handed in, but the answer was lost; it may or may not be mined")]
    Uncertain {
        /// Its id.
        id: TxId,
        /// What happened.
        #[source]
        source: NodeError,
    },
    /// The wait was too short.
    #[error("the transfer {id} is submitted, but has {confirmations} of {wanted} confirmations after {seconds} s")]
    Unconfirmed {
        /// Its id.
        id: TxId,
        /// What it has.
        confirmations: u64,
        /// What was asked for.
        wanted: u64,
        /// How long was waited.
        seconds: u64,
    },
}

impl Explain for TransferError {
    fn code(&self) -> &'static str {
        match self {
            Self::Fields(_) | Self::Overflow => "BAD_TRANSFER",
            Self::FeeBelowOpening { .. } => "FEE_TOO_LOW",
            Self::Funds { .. } | Self::NodeFunds { .. } => "INSUFFICIENT_FUNDS",
            Self::Rejected { .. } => "REJECTED",
            Self::Dropped { .. } => "DROPPED",
            Self::Uncertain { .. } => "ANSWER_LOST",
            Self::Unconfirmed { .. } => "UNCONFIRMED",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Fields(_) | Self::Overflow | Self::FeeBelowOpening { .. } => Exit::Usage,
            Self::Funds { .. } | Self::NodeFunds { .. } => Exit::Funds,
            Self::Rejected { .. } | Self::Dropped { .. } => Exit::Rejected,
            Self::Uncertain { .. } | Self::Unconfirmed { .. } => Exit::Unconfirmed,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::FeeBelowOpening { .. } => vec!["without --fee, which computes it".into()],
            Self::Funds { pending, .. } if !pending.is_zero() => {
                vec!["a smaller amount".into(), format!("again once the pending transfers of {pending} far are mined")]
            }
            Self::Funds { .. } | Self::NodeFunds { .. } => {
                vec!["a smaller amount".into(), "farthing-wallet balance".into()]
            }
            Self::Uncertain { .. } => {
                vec!["farthing-wallet resubmit: the same transfer with the same id, never a second payment".into()]
            }
            Self::Unconfirmed { .. } => vec!["farthing-wallet history, in a while".into()],
            Self::Rejected { .. } | Self::Dropped { .. } => {
                vec!["farthing-wallet send again, which asks the node anew".into()]
            }
            Self::Fields(_) | Self::Overflow => Vec::new(),
        }
    }
}

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
    /// [`TransferError`], [`verify::VerifyError`], [`NodeError`].
    pub fn make(client: &NodeClient, network: &Params, payer: &PublicKey, wish: Wish) -> Result<Self> {
        let address = payer.address();
        let answer = client.account(&address)?;
        let sender = verify::account(network, &address, &answer)?;
        let opening = if wish.to == address
            || verify::account(network, &wish.to, &client.account(&wish.to)?)?.account.is_some()
        {
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
        let pending = Mites::new(answer.pending_out_mites);
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

/// Writes a transfer down and hands it in; whatever happens then, the same bytes can be handed in again.
///
/// # Errors
/// [`TransferError::Rejected`], [`TransferError::NodeFunds`], [`TransferError::Uncertain`], and those of the outbox.
pub fn submit(client: &NodeClient, outbox: &Outbox, transfer: &SignedTransaction) -> Result<TransactionStatus> {
    let id = outbox.save(transfer)?;
    match client.submit(transfer) {
        Ok(status) if status.id == id => Ok(status),
        // An answer about another transfer says nothing about this one.
        Ok(_) => {
            let error = farthing::wire::WireError::missing("status.transaction_id");
            Err(TransferError::Uncertain { id, source: NodeError::Malformed(error) }.into())
        }
        Err(NodeError::Refused { reason, message, .. }) => {
            outbox.forget(&id)?;
            let lacks_money = reason.contains("FUNDS") || reason.contains("BALANCE");
            Err(if lacks_money {
                TransferError::NodeFunds { message }
            } else {
                TransferError::Rejected { reason, message }
            }
            .into())
        }
        Err(source) => Err(TransferError::Uncertain { id, source }.into()),
    }
}

/// Waits until a transfer has so many confirmations, then proves it from the sender's history.
///
/// # Errors
/// [`TransferError::Dropped`], [`TransferError::Unconfirmed`], [`verify::VerifyError`].
pub fn wait(
    context: &mut Context,
    client: &NodeClient,
    transfer: &SignedTransaction,
    wanted: u64,
    timeout: Duration,
) -> Result<TransactionStatus> {
    let network = std::sync::Arc::clone(context.settings.network());
    let id = transfer.transaction().id(network.genesis_id());
    let started = Instant::now();
    let mut confirmations = 0;
    let mut doubts = 0;
    while started.elapsed() < timeout {
        match client.transaction_status(&id) {
            Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason }, .. }) => {
                context.wallet.outbox().forget(&id)?;
                return Err(TransferError::Dropped { id, reason }.into());
            }
            Ok(status) => {
                if let TransactionStanding::Mined { confirmations: found, height, .. } = &status.standing {
                    confirmations = *found;
                    if confirmations >= wanted {
                        let sender = transfer.transaction().sender_address();
                        match history::contains(client, &network, &sender, id.into(), *height) {
                            Ok(_) => return Ok(status),
                            // The block may just have left the best chain; a node that insists is not believed.
                            Err(error) if doubts == MAX_DOUBTS || error.exit() != Exit::Verification => {
                                return Err(error);
                            }
                            Err(_) => doubts += 1,
                        }
                    }
                }
            }
            // The node may be restarting; it keeps what it acknowledged.
            Err(error) if error.is_uncertain() || error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
        client.pause(POLL);
    }
    Err(TransferError::Unconfirmed { id, confirmations, wanted, seconds: timeout.as_secs() }.into())
}

/// What became of a transfer in the outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The node has it, or it is not deep in the chain yet.
    Waiting(TransactionStanding),
    /// It was handed in again.
    Resubmitted,
    /// It is settled; the outbox forgot it.
    Settled,
    /// It will not be mined any more; the outbox forgot it.
    Gone(String),
}

/// Looks after every transfer in the outbox: forgets what is settled, hands in again what the node does not know.
///
/// # Errors
/// Those of the outbox, and [`NodeError`].
pub fn reconcile(
    client: &NodeClient,
    network: &Params,
    outbox: &Outbox,
) -> Result<Vec<(TxId, SignedTransaction, Fate)>> {
    let mut fates = Vec::new();
    for (id, transfer) in outbox.list()? {
        let fate = match client.transaction_status(&id) {
            Ok(TransactionStatus { standing: TransactionStanding::Mined { confirmations, .. }, .. })
                if confirmations >= SETTLED_CONFIRMATIONS =>
            {
                Fate::Settled
            }
            Ok(TransactionStatus { standing: TransactionStanding::Dropped { reason }, .. }) => Fate::Gone(reason),
            Ok(status) => Fate::Waiting(status.standing),
            Err(error) if error.is_not_found() => hand_in_again(client, network, &transfer)?,
            Err(error) => return Err(error.into()),
        };
        if matches!(fate, Fate::Settled | Fate::Gone(_)) {
            outbox.forget(&id)?;
        }
        fates.push((id, transfer, fate));
    }
    Ok(fates)
}

fn hand_in_again(client: &NodeClient, network: &Params, transfer: &SignedTransaction) -> Result<Fate> {
    let address = transfer.transaction().sender_address();
    let sender = verify::account(network, &address, &client.account(&address)?)?;
    if sender.state().next_nonce > transfer.transaction().nonce() {
        // Mined long ago on a node that keeps no index, or replaced by another transfer with its nonce.
        return Ok(Fate::Settled);
    }
    match client.submit(transfer) {
        Ok(_) => Ok(Fate::Resubmitted),
        Err(NodeError::Refused { reason, .. }) => Ok(Fate::Gone(reason)),
        Err(error) => Err(error.into()),
    }
}
