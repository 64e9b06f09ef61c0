//! `tx build`: plans a transfer and writes it down for another machine to sign.

use std::sync::Arc;

use farthing::{
    Address, Height, Mites, Output, Params, PublicKey, Sender, Transaction, limits::MAX_OUTPUTS, tx::TransactionFields,
};

use super::hand_over;
use crate::{
    cli::TxBuild,
    client::NodeClient,
    commands::{
        resubmit::look_after_outbox,
        send::{parse_amount, parse_payment, read_memo},
    },
    context::Context,
    error::{Exit, Explain, Result},
    transfer::{FEE_PER_BYTE, TransferError},
    transfer_file::TransferFile,
};

/// What is wrong with the words.
#[derive(Debug, thiserror::Error)]
pub(super) enum PaymentsError {
    /// A recipient without an amount.
    #[error("{0:?} has no amount behind it")]
    Odd(String),
    /// More than a transfer can have.
    #[error("{0} payments, a transfer has at most {MAX_OUTPUTS}")]
    TooMany(usize),
}

impl Explain for PaymentsError {
    fn code(&self) -> &'static str {
        "BAD_PAYMENTS"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Odd(_) => vec!["farthing-wallet tx build bob 1.5 carol 2: an amount behind each recipient".into()],
            Self::TooMany(_) => vec![format!("several transfers of at most {MAX_OUTPUTS} payments")],
        }
    }
}

/// A transfer as far as the person decides on it.
struct Draft {
    outputs: Vec<Output>,
    fee: Option<Mites>,
    valid_until: Option<Height>,
    memo: Vec<u8>,
}

impl Draft {
    fn read(context: &Context, arguments: &TxBuild) -> Result<Self> {
        let (pairs, rest) = arguments.payments.as_chunks::<2>();
        if let [odd, ..] = rest {
            return Err(PaymentsError::Odd(odd.chars().take(100).collect()).into());
        }
        if pairs.len() > MAX_OUTPUTS {
            return Err(PaymentsError::TooMany(pairs.len()).into());
        }
        let output =
            |[to, amount]: &[String; 2]| Ok(Output { to: context.wallet.find(to)?, amount: parse_payment(amount)? });
        Ok(Self {
            outputs: pairs.iter().map(output).collect::<Result<_>>()?,
            fee: arguments.fee.as_deref().map(parse_amount).transpose()?,
            valid_until: arguments.valid_until.map(Height::new),
            memo: read_memo(arguments.memo.as_deref())?,
        })
    }

    fn transaction(&self, payer: &PublicKey, nonce: u64, fee: Mites) -> Result<Transaction, TransferError> {
        Transaction::new(TransactionFields {
            sender: if nonce == 0 { Sender::Key(payer.clone()) } else { Sender::Address(payer.address()) },
            nonce,
            fee,
            valid_until: self.valid_until,
            outputs: self.outputs.clone(),
            memo: self.memo.clone(),
        })
        .map_err(TransferError::Fields)
    }

    /// The least fee at which nodes relay it, if it opens no account.
    fn least_fee(&self, network: &Params, payer: &PublicKey, nonce: u64) -> Result<Mites> {
        let file = TransferFile::unsigned(network, payer.clone(), self.transaction(payer, nonce, Mites::ZERO)?);
        Ok(FEE_PER_BYTE.checked_mul(file.size_bytes()? as u64).ok_or(TransferError::Overflow)?)
    }

    /// The recipients, each once.
    fn recipients(&self) -> Vec<Address> {
        let mut recipients: Vec<Address> = self.outputs.iter().map(|output| output.to).collect();
        recipients.sort_unstable();
        recipients.dedup();
        recipients
    }
}

/// Plans a transfer and writes it down.
///
/// # Errors
/// [`PaymentsError`], [`TransferError`], and those of the node.
pub(super) fn run(context: &mut Context, arguments: &TxBuild) -> Result<()> {
    let draft = Draft::read(context, arguments)?;
    let payer = context.own_key()?.public;
    let network = Arc::clone(context.settings.network());
    let transaction = match arguments.nonce {
        Some(nonce) => offline(context, &draft, &payer, nonce)?,
        None => {
            let client = context.connect()?;
            let _sending = context.lock_sending()?;
            // Earlier transfers that are not mined yet hold the nonces before this one.
            look_after_outbox(context, &client)?;
            online(&client, &network, &draft, &payer)?
        }
    };
    let file = TransferFile::unsigned(&network, payer, transaction);
    file.size_bytes()?;
    hand_over(context, &file, arguments.out.as_deref())?;
    let (id, nonce) = (file.transaction().id(network.genesis_id()), file.transaction().nonce());
    context.output.note(format_args!("built {id} with nonce {nonce}; it is not signed, and nothing was submitted"));
    Ok(())
}

/// Takes nonce and fee as given, and says what a node would have said against it.
fn offline(context: &mut Context, draft: &Draft, payer: &PublicKey, nonce: u64) -> Result<Transaction> {
    let network = Arc::clone(context.settings.network());
    let least = draft.least_fee(&network, payer, nonce)?;
    let fee = draft.fee.unwrap_or(least);
    if fee < least {
        context.output.warn(format_args!("nodes relay this transfer for {least} far or more, not for {fee} far"));
    }
    let strangers = draft.recipients().iter().filter(|to| **to != payer.address()).count() as u64;
    let opening = network.opening_cost.checked_mul(strangers);
    let all_new = opening.and_then(|opening| least.checked_add(opening)).ok_or(TransferError::Overflow)?;
    if fee < all_new && strangers > 0 {
        let each = network.opening_cost;
        context.output.warn(format_args!(
            "no node was asked which recipients have an account; each that has none adds {each} far to the fee"
        ));
    }
    Ok(draft.transaction(payer, nonce, fee)?)
}

/// Asks the node for all accounts, checks what it says, and works out nonce and fee.
fn online(client: &NodeClient, network: &Params, draft: &Draft, payer: &PublicKey) -> Result<Transaction> {
    let (sender, answer) = client.account(&payer.address())?;
    let mut opening = Mites::ZERO;
    for to in draft.recipients() {
        if to != payer.address() && client.account(&to)?.0.account.is_none() {
            opening = opening.checked_add(network.opening_cost).ok_or(TransferError::Overflow)?;
        }
    }
    // The node may know of transfers that are not mined yet; it cannot make us use a nonce again.
    let nonce = answer.next_pending_nonce.max(sender.state().next_nonce);
    let least = draft.least_fee(network, payer, nonce)?.checked_add(opening);
    let fee = draft.fee.or(least).ok_or(TransferError::Overflow)?;
    if fee < opening {
        return Err(TransferError::FeeBelowOpening { fee, opening }.into());
    }
    let transaction = draft.transaction(payer, nonce, fee)?;
    let (needed, pending) = (transaction.total(), answer.pending_out);
    let spendable = sender.state().balance.checked_sub(pending).unwrap_or(Mites::ZERO);
    if needed > spendable {
        return Err(TransferError::Funds { needed, spendable, pending }.into());
    }
    Ok(transaction)
}
