//! `send`.

use std::{fmt, sync::Arc, time::Duration};

use farthing::{
    Address, Height, Mites, SignedTransaction, TxId,
    amount::ParseAmountError,
    wire::{TransactionStanding, TransactionStatus},
};
use serde::Serialize;

use crate::{
    cli,
    client::NodeClient,
    commands::{resubmit::look_after_outbox, sign_only},
    context::Context,
    error::{Error, Exit, Explain, Result},
    keystore::{KeyEntry, Signer},
    outbox,
    transfer::{self, Confirmed, Plan, Wish},
    verify::Evidence,
};

/// How long to wait for confirmations if nobody says otherwise.
const CONFIRMATION_TIME: Duration = Duration::from_secs(600);

/// What is wrong with the words of a transfer.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// Not an amount.
    #[error("{text:?} is not an amount")]
    Amount {
        /// What was given.
        text: String,
        /// Why.
        #[source]
        source: ParseAmountError,
    },
    /// Nothing to send.
    #[error("the amount is zero; send at least 0.00000001 far")]
    Zero,
    /// Too long.
    #[error("the memo has {0} bytes, at most 256 are allowed")]
    Memo(usize),
}

impl Explain for WordsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Amount { .. } | Self::Zero => "BAD_AMOUNT",
            Self::Memo(_) => "BAD_MEMO",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Memo(_) => vec!["a shorter memo".into()],
            _ => vec!["an amount in far, such as 12.5".into()],
        }
    }
}

/// Reads an amount that a person wrote.
///
/// # Errors
/// [`WordsError::Amount`].
pub fn parse_amount(text: &str) -> Result<Mites, WordsError> {
    text.parse().map_err(|source| WordsError::Amount { text: text.chars().take(60).collect(), source })
}

/// Reads an amount to be sent.
///
/// # Errors
/// [`WordsError::Amount`] and [`WordsError::Zero`].
pub fn parse_payment(text: &str) -> Result<Mites, WordsError> {
    let amount = parse_amount(text)?;
    if amount.is_zero() { Err(WordsError::Zero) } else { Ok(amount) }
}

/// A transfer as it is shown once it was handed in.
#[derive(Debug, Serialize)]
struct SentView {
    transaction_id: String,
    state: &'static str,
    from: String,
    to: String,
    amount: String,
    amount_mites: String,
    fee: String,
    fee_mites: String,
    nonce: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_id: Option<String>,
    confirmations: u64,
    /// Whether the sender's proven history contains it.
    verified: bool,
    /// What that was checked against, and what is on the node's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Evidence>,
}

impl SentView {
    fn new(
        context: &Context,
        transfer: &SignedTransaction,
        status: &TransactionStatus,
        proof: Option<Evidence>,
    ) -> Self {
        let transaction = transfer.transaction();
        let to = transaction.outputs().first().map(|output| context.wallet.show(&output.to)).unwrap_or_default();
        let amount = outbox::paid(transfer);
        let mut view = Self {
            transaction_id: status.id.to_string(),
            state: state(&status.standing),
            from: context.wallet.show(&transaction.sender_address()),
            to,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fee: transaction.fee().to_string(),
            fee_mites: transaction.fee().get().to_string(),
            nonce: transaction.nonce(),
            block_height: None,
            block_id: None,
            confirmations: 0,
            verified: proof.is_some(),
            proof,
        };
        if let TransactionStanding::Mined { block_id, height, confirmations, .. } = &status.standing {
            view.block_height = Some(height.get());
            view.block_id = Some(block_id.to_string());
            view.confirmations = *confirmations;
        }
        view
    }
}

impl fmt::Display for SentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transaction_id, self.state)?;
        if let Some(height) = self.block_height {
            write!(f, " in block {height}, confirmations: {}", self.confirmations)?;
        }
        if self.verified {
            f.write_str(" (verified: in the sender's proven history)")?;
        }
        Ok(())
    }
}

pub(super) const fn state(standing: &TransactionStanding) -> &'static str {
    match standing {
        TransactionStanding::Pending => "pending",
        TransactionStanding::Queued => "queued",
        TransactionStanding::Mined { .. } => "mined",
        TransactionStanding::Dropped { .. } => "dropped",
    }
}

/// Sends money.
///
/// # Errors
/// Everything that can stand between a wish and its confirmation.
pub fn run(context: &mut Context, arguments: &cli::Send) -> Result<()> {
    let wish = Wish {
        amount: parse_payment(&arguments.amount)?,
        fee: arguments.fee.as_deref().map(parse_amount).transpose()?,
        valid_until: arguments.valid_until.map(Height::new),
        memo: read_memo(arguments.memo.as_deref())?,
        to: context.wallet.find(&arguments.to)?,
    };
    let payer = context.own_key()?;
    if arguments.sign_only {
        return sign_only::run(context, &payer, wish, arguments);
    }
    let client = context.connect()?;
    let sending = context.lock_sending()?;
    look_after_outbox(context, &client)?;
    let network = Arc::clone(context.settings.network());
    let plan = Plan::make(&client, &network, &payer.public, wish)?;
    describe(context, &payer, &plan)?;
    context.confirm("nothing was sent", "Send it?")?;
    let signer = context.unlock(&payer.name)?;
    let transfer = plan.sign(&*signer, &network)?;
    let status = hand_in(context, &client, &transfer)?;
    drop(sending);
    let (status, proof) = if arguments.wait == 0 {
        (status, None)
    } else {
        let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
        let Confirmed { status, proof } = wait(context, &client, &transfer, arguments.wait, timeout)?;
        (status, Some(proof))
    };
    let view = SentView::new(context, &transfer, &status, proof);
    context.output.data(&view)?;
    if let Some(proof) = view.proof {
        context.tell(&proof);
    }
    Ok(())
}

pub(super) fn read_memo(memo: Option<&str>) -> Result<Vec<u8>, WordsError> {
    let memo = memo.unwrap_or_default().as_bytes();
    if memo.len() > farthing::limits::MAX_MEMO_BYTES { Err(WordsError::Memo(memo.len())) } else { Ok(memo.to_vec()) }
}

/// Hands a transfer in; from here on an interruption says what was sent.
///
/// # Errors
/// [`transfer::TransferError`].
pub fn hand_in(context: &mut Context, client: &NodeClient, signed: &SignedTransaction) -> Result<TransactionStatus> {
    let outbox = context.wallet.outbox();
    let id = signed.transaction().id(context.wallet.network().genesis_id());
    let parting = context.output.parting();
    parting.set(Some(format!("the transfer {id} was handed in or about to be; farthing-wallet resubmit makes sure")));
    let submitted = transfer::submit(client, &outbox, signed);
    parting.set(match &submitted {
        Ok(_) => Some(format!("the transfer {id} is submitted and may be mined; farthing-wallet history will show it")),
        Err(error) => open_after(error, &id),
    });
    submitted
}

/// What an interruption should still say after such an end: nothing, if the error itself settled the matter.
fn open_after(error: &Error, id: &TxId) -> Option<String> {
    matches!(error.code(), "ANSWER_LOST" | "UNCONFIRMED" | "VERIFICATION_FAILED" | "NODE_UNREACHABLE")
        .then(|| format!("the transfer {id} may still be mined; farthing-wallet resubmit makes sure"))
}

/// Waits for confirmations, saying so.
///
/// # Errors
/// [`transfer::TransferError`] and [`crate::verify::VerifyError`].
pub fn wait(
    context: &mut Context,
    client: &NodeClient,
    signed: &SignedTransaction,
    wanted: u64,
    timeout: Duration,
) -> Result<Confirmed> {
    let id = signed.transaction().id(context.wallet.network().genesis_id());
    let blocks = if wanted == 1 { "1 confirmation".to_owned() } else { format!("{wanted} confirmations") };
    context.output.note(format_args!("submitted {id}; waiting for {blocks} ..."));
    let confirmed = transfer::wait(context, client, signed, wanted, timeout);
    context.output.parting().set(match &confirmed {
        Ok(_) => None,
        Err(error) => open_after(error, &id),
    });
    confirmed
}

/// Says what a plan will do.
///
/// # Errors
/// Those of contacts and keystore.
pub fn describe(context: &mut Context, payer: &KeyEntry, plan: &Plan) -> Result<()> {
    let transaction = plan.transaction();
    let prefix = |address: &Address| context.wallet.show(address);
    let mut lines = Vec::new();
    for output in transaction.outputs() {
        let name = context.wallet.name_of(&output.to)?.map(|name| format!("{name}, ")).unwrap_or_default();
        lines.push(format!("  to      {name}{}", prefix(&output.to)));
        lines.push(format!("  amount  {} far", output.amount));
    }
    let opening = if plan.opening.is_zero() {
        String::new()
    } else {
        format!(" (of it {} far to open the recipient's new account)", plan.opening)
    };
    lines.insert(0, format!("  from    {}, {}", payer.name, prefix(&transaction.sender_address())));
    lines.push(format!("  fee     {} far{opening}", transaction.fee()));
    lines.push(format!("  nonce   {}", transaction.nonce()));
    if !transaction.memo().is_empty() {
        lines.push(format!("  memo    {:?} (public for ever)", String::from_utf8_lossy(transaction.memo())));
    }
    if let Some(height) = transaction.valid_until() {
        lines.push(format!("  until   block {height}"));
    }
    if let Some(left) = plan.left {
        lines.push(format!("  left    {left} far"));
    }
    context.output.note(lines.join("\n"));
    for (id, earlier) in context.wallet.outbox().list()? {
        let earlier = earlier.transaction();
        if earlier.sender_address() == transaction.sender_address() && earlier.nonce() == transaction.nonce() {
            context.output.warn(format_args!(
                "the transfer {id} in the outbox has the nonce {} too: only one of the two can be mined",
                earlier.nonce()
            ));
        }
    }
    Ok(())
}

/// Plans, signs and hands in a transfer without asking: the caller has asked.
///
/// # Errors
/// As [`run`].
pub fn pay(context: &mut Context, client: &NodeClient, signer: &dyn Signer, wish: Wish) -> Result<SignedTransaction> {
    let _sending = context.lock_sending()?;
    let network = Arc::clone(context.settings.network());
    let transfer = Plan::make(client, &network, signer.public(), wish)?.sign(signer, &network)?;
    hand_in(context, client, &transfer)?;
    Ok(transfer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_an_exact_amount_above_zero() {
        assert_eq!(parse_payment("12.5").unwrap(), Mites::new(1_250_000_000));
        assert!(matches!(parse_payment("0.0"), Err(WordsError::Zero)));
        for text in ["", "-1", "1e3", "1,5", "1.123456789", "1 far"] {
            let error = parse_payment(text).unwrap_err();
            assert_eq!((error.code(), error.exit()), ("BAD_AMOUNT", Exit::Usage), "{text}");
        }
    }

    #[test]
    fn a_memo_is_measured_in_bytes() {
        assert_eq!(read_memo(Some(&"x".repeat(256))).unwrap().len(), 256);
        assert!(matches!(read_memo(Some(&"ä".repeat(129))), Err(WordsError::Memo(258))));
        assert_eq!(read_memo(None).unwrap(), Vec::<u8>::new());
    }
}
