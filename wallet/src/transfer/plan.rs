//! A transfer before it is signed: nonce, fee and funds, all from proven accounts; only the price is the node's word.

use farthing::{
    Address, Height, Mites, Output, Params, PublicKey, Sender, SignedTransaction, Transaction, codec::Canonical as _,
    tx::TransactionFields,
};

use super::{Fee, FeeBounds, TransferError};
use crate::{client::NodeClient, error::Result, keystore::Signer};

/// The least that nodes relay, in mites a byte, on top of what is burned for opening accounts.
pub const FEE_PER_BYTE: Mites = Mites::new(100);
/// Transfers of one account that a node keeps; more than that before this one is nobody's honest word.
const MOST_WAITING: u64 = 1_024;

/// What a person wants: one payment.
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

/// What a person wants, with all that can be said about it.
#[derive(Debug, Clone)]
pub struct Order {
    /// Who receives how much.
    pub outputs: Vec<Output>,
    /// The only recipient gets all that can be spent; the amount in `outputs` does not count.
    pub all: bool,
    /// What to pay for it.
    pub fee: Fee,
    /// The last block that may include it, if there shall be one.
    pub valid_until: Option<Height>,
    /// For the recipients, public for ever.
    pub memo: Vec<u8>,
}

impl From<Wish> for Order {
    fn from(wish: Wish) -> Self {
        Self {
            outputs: vec![Output { to: wish.to, amount: wish.amount }],
            all: false,
            fee: wish.fee.map_or_else(Fee::default, Fee::Exactly),
            valid_until: wish.valid_until,
            memo: wish.memo,
        }
    }
}

/// A transfer that can be signed, and what the person should know before.
#[derive(Debug, Clone)]
pub struct Plan {
    transaction: Transaction,
    /// The part of the fee that opens recipients' accounts; zero if they exist, or if no node was asked.
    pub opening: Mites,
    /// What stays on the account, pending transfers counted; nobody knows if no node was asked.
    pub left: Option<Mites>,
    /// Blocks within which the node expects it to be mined, if it was asked for a price.
    pub within_blocks: Option<u32>,
    /// The nonce that the proven account has used up to now; the transfer's own if no node was asked.
    pub chain_nonce: u64,
    /// Whether it takes the nonce of another one on purpose.
    pub replaces: bool,
}

impl Plan {
    /// Asks the node for both accounts, checks what it says, and works out nonce and fee, within the wallet's own bound.
    ///
    /// # Errors
    /// As [`Plan::draw`].
    pub fn make(client: &NodeClient, network: &Params, payer: &PublicKey, wish: Wish) -> Result<Self> {
        Self::draw(client, network, payer, &wish.into(), FeeBounds::default())
    }

    /// The same for any order, within these bounds.
    ///
    /// # Errors
    /// [`TransferError`], [`crate::verify::VerifyError`], [`crate::client::NodeError`].
    pub fn draw(
        client: &NodeClient,
        network: &Params,
        payer: &PublicKey,
        order: &Order,
        bounds: FeeBounds,
    ) -> Result<Self> {
        let address = payer.address();
        let (sender, answer) = client.account(&address)?;
        let opening = opening(client, network, &address, &order.outputs)?;
        let chain_nonce = sender.state().next_nonce;
        let nonce = next_nonce(answer.next_pending_nonce, chain_nonce)?;
        let draft = transaction(payer, order, nonce, Mites::ZERO)?;
        let (fee, within_blocks) = price(client, payer, &draft, order.fee, opening)?;
        if fee < opening {
            return Err(TransferError::FeeBelowOpening { fee, opening }.into());
        }
        bounds.check(fee, opening)?;
        let pending = answer.pending_out;
        let spendable = sender.state().balance.checked_sub(pending).unwrap_or(Mites::ZERO);
        let mut order = order.clone();
        if order.all {
            let amount = spendable.checked_sub(fee).filter(|amount| !amount.is_zero());
            let amount = amount.ok_or(TransferError::Funds { needed: fee, spendable, pending })?;
            order.outputs.iter_mut().for_each(|output| output.amount = amount);
        }
        let transaction = transaction(payer, &order, nonce, fee)?;
        let needed = transaction.total();
        let left = spendable.checked_sub(needed).ok_or(TransferError::Funds { needed, spendable, pending })?;
        Ok(Self { transaction, opening, left: Some(left), within_blocks, chain_nonce, replaces: false })
    }

    /// The same for what takes the place of a transfer that waits: with its nonce, and with a fee for which nodes let go of it.
    ///
    /// # Errors
    /// As [`Plan::draw`], and [`TransferError::FeeBelowReplacement`].
    pub fn replace(
        client: &NodeClient,
        network: &Params,
        payer: &PublicKey,
        order: &Order,
        bounds: FeeBounds,
        (old, is_waiting): (&Transaction, bool),
    ) -> Result<Self> {
        let address = payer.address();
        let (sender, answer) = client.account(&address)?;
        let opening = opening(client, network, &address, &order.outputs)?;
        let draft = transaction(payer, order, old.nonce(), Mites::ZERO)?;
        let (wanted, within_blocks) = price(client, payer, &draft, order.fee, opening)?;
        let draft = transaction(payer, order, old.nonce(), wanted)?;
        let asked = client.simulate(&draft)?.particulars.fee.map_or(0, |fee| fee.required_fee_mites);
        // What nodes ask that hold the old one, whether or not this node does: what its miner would get, and the bytes of both.
        let burned = self::opening(client, network, &address, old.outputs())?;
        let lost = old.fee().checked_sub(burned).unwrap_or(Mites::ZERO);
        let bytes = (signed_size(payer, old) + signed_size(payer, &draft)) as u64;
        let relayed = FEE_PER_BYTE.checked_mul(bytes).and_then(|fee| fee.checked_add(opening));
        let known = relayed.and_then(|fee| fee.checked_add(lost)).ok_or(TransferError::Overflow)?;
        let required = known.max(Mites::new(asked));
        let fee = match order.fee {
            Fee::Exactly(fee) if fee < required => {
                return Err(TransferError::FeeBelowReplacement { fee, required }.into());
            }
            Fee::Exactly(fee) => fee,
            Fee::Speed(_) => wanted.max(required),
        };
        bounds.check(fee, opening)?;
        let transaction = transaction(payer, order, old.nonce(), fee)?;
        // What the node counts as pending has the old one in it.
        let freed = if is_waiting { old.total() } else { Mites::ZERO };
        let pending = answer.pending_out.checked_sub(freed).unwrap_or(Mites::ZERO);
        let spendable = sender.state().balance.checked_sub(pending).unwrap_or(Mites::ZERO);
        let needed = transaction.total();
        let left = spendable.checked_sub(needed).ok_or(TransferError::Funds { needed, spendable, pending })?;
        let chain_nonce = sender.state().next_nonce;
        Ok(Self { transaction, opening, left: Some(left), within_blocks, chain_nonce, replaces: true })
    }

    /// Takes nonce and fee as given, and asks nobody.
    ///
    /// # Errors
    /// [`TransferError::Fields`].
    pub fn offline(payer: &PublicKey, order: &Order, nonce: u64, fee: Mites) -> Result<Self, TransferError> {
        let transaction = transaction(payer, order, nonce, fee)?;
        Ok(Self {
            transaction,
            opening: Mites::ZERO,
            left: None,
            within_blocks: None,
            chain_nonce: nonce,
            replaces: false,
        })
    }

    /// Several transfers in a row. A bound for the whole fee counts for all of them together, the others for each. Calls
    /// `made` with how many are worked out.
    ///
    /// # Errors
    /// As [`Plan::draw`].
    pub fn row(
        client: &NodeClient,
        network: &Params,
        payer: &PublicKey,
        orders: &[Order],
        bounds: FeeBounds,
        made: &dyn Fn(usize),
    ) -> Result<Vec<Self>> {
        let address = payer.address();
        let (sender, answer) = client.account(&address)?;
        let chain_nonce = sender.state().next_nonce;
        let first = next_nonce(answer.next_pending_nonce, chain_nonce)?;
        let mut plans: Vec<Self> = Vec::new();
        for (order, nonce) in orders.iter().zip(first..) {
            // Nodes reckon openings by what is mined, so one that an earlier transfer of the row brings counts again.
            let opening = opening(client, network, &address, &order.outputs)?;
            let draft = transaction(payer, order, nonce, Mites::ZERO)?;
            let (fee, within_blocks) = price(client, payer, &draft, order.fee, opening)?;
            if fee < opening {
                return Err(TransferError::FeeBelowOpening { fee, opening }.into());
            }
            if bounds.whole.is_none() {
                bounds.check(fee, opening)?;
            }
            let transaction = transaction(payer, order, nonce, fee)?;
            plans.push(Self { transaction, opening, left: None, within_blocks, chain_nonce, replaces: false });
            made(plans.len());
        }
        let sum = |part: fn(&Self) -> Mites| Mites::checked_sum(plans.iter().map(part)).ok_or(TransferError::Overflow);
        if bounds.whole.is_some() {
            bounds.check(sum(|plan| plan.transaction.fee())?, sum(|plan| plan.opening)?)?;
        }
        let needed = sum(|plan| plan.transaction.total())?;
        let pending = answer.pending_out;
        let spendable = sender.state().balance.checked_sub(pending).unwrap_or(Mites::ZERO);
        let left = spendable.checked_sub(needed).ok_or(TransferError::Funds { needed, spendable, pending })?;
        plans.iter_mut().for_each(|plan| plan.left = Some(left));
        Ok(plans)
    }

    /// What will be signed.
    #[must_use]
    pub const fn transaction(&self) -> &Transaction {
        &self.transaction
    }

    /// What is planned, to be signed elsewhere.
    #[must_use]
    pub fn into_transaction(self) -> Transaction {
        self.transaction
    }

    /// Signs it.
    ///
    /// # Errors
    /// [`crate::keystore::SignError`].
    pub fn sign(self, signer: &dyn Signer, network: &Params) -> Result<SignedTransaction> {
        Ok(signer.sign(self.transaction, network.genesis_id())?)
    }
}

/// The nonce after those that are used. The node may know of transfers that are not mined yet; it cannot make us use a nonce
/// again.
fn next_nonce(pending: u64, chain_nonce: u64) -> Result<u64, TransferError> {
    let nonce = pending.max(chain_nonce);
    if nonce - chain_nonce > MOST_WAITING { Err(TransferError::NonceGap { nonce, chain_nonce }) } else { Ok(nonce) }
}

/// What opening the accounts of these recipients costs: those that are proven absent, once each.
fn opening(client: &NodeClient, network: &Params, sender: &Address, outputs: &[Output]) -> Result<Mites> {
    let mut new: Vec<Address> = Vec::new();
    for Output { to, .. } in outputs {
        if to != sender && !new.contains(to) && client.account(to)?.0.account.is_none() {
            new.push(*to);
        }
    }
    Ok(network.opening_cost.checked_mul(new.len() as u64).ok_or(TransferError::Overflow)?)
}

/// The whole fee, and the blocks within which the node expects it to do.
///
/// # Errors
/// [`TransferError::Overflow`] and [`crate::client::NodeError`].
pub fn price(
    client: &NodeClient,
    payer: &PublicKey,
    draft: &Transaction,
    fee: Fee,
    opening: Mites,
) -> Result<(Mites, Option<u32>)> {
    let speed = match fee {
        Fee::Exactly(fee) => return Ok((fee, None)),
        Fee::Speed(speed) => speed,
    };
    let size = signed_size(payer, draft);
    let to: Vec<Address> = draft.outputs().iter().map(|output| output.to).collect();
    let estimate = speed.of(&client.estimate_fee(size, payer.size().bits(), &to)?);
    // Only the price is the node's word: size and openings are known here.
    let rate = Mites::new(estimate.rate_mites_per_byte).max(FEE_PER_BYTE);
    let fee = rate.checked_mul(size as u64).and_then(|fee| fee.checked_add(opening));
    Ok((fee.ok_or(TransferError::Overflow)?, Some(estimate.within_blocks)))
}

/// An unsigned transaction of this payer.
///
/// # Errors
/// [`TransferError::Fields`].
pub fn transaction(payer: &PublicKey, order: &Order, nonce: u64, fee: Mites) -> Result<Transaction, TransferError> {
    Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(payer.clone()) } else { Sender::Address(payer.address()) },
        nonce,
        fee,
        valid_until: order.valid_until,
        outputs: order.outputs.clone(),
        memo: order.memo.clone(),
    })
    .map_err(TransferError::Fields)
}

/// Its canonical size once this key has signed it.
#[must_use]
pub fn signed_size(payer: &PublicKey, draft: &Transaction) -> usize {
    // A signature is as long as the modulus and stands behind its length.
    draft.to_canonical().len() + 4 + payer.size().bytes()
}

/// The least fee at which nodes relay this transfer, if it opens no account.
///
/// # Errors
/// [`TransferError::Fields`].
pub fn least_fee(payer: &PublicKey, order: &Order, nonce: u64) -> Result<Mites, TransferError> {
    let draft = transaction(payer, order, nonce, Mites::ZERO)?;
    FEE_PER_BYTE.checked_mul(signed_size(payer, &draft) as u64).ok_or(TransferError::Overflow)
}
