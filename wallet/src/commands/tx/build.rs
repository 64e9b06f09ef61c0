//! `tx build`: plans a transfer and writes it down for another machine to sign.

use std::sync::Arc;

use farthing::{Height, limits::MAX_OUTPUTS};

use super::hand_over;
use crate::{
    cli::TxBuild,
    commands::{
        resubmit::look_after_outbox,
        send::{WordsError, bounds, parse_fee, payment, plan_offline, read_memo, tell_plan},
    },
    context::Context,
    error::{Exit, Explain, Result},
    transfer::{Order, Plan},
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

/// What a person wishes, as the command line says it.
fn order(context: &Context, arguments: &TxBuild) -> Result<Order> {
    let (pairs, rest) = arguments.payments.as_chunks::<2>();
    if let [odd, ..] = rest {
        return Err(PaymentsError::Odd(odd.chars().take(100).collect()).into());
    }
    if pairs.len() > MAX_OUTPUTS {
        return Err(PaymentsError::TooMany(pairs.len()).into());
    }
    let payments = pairs.iter().map(|[to, amount]| payment(&context.wallet, to, Some(amount)));
    let payments = payments.collect::<Result<Vec<_>>>()?;
    let all = payments.iter().any(|(_, all)| *all);
    if all && payments.len() > 1 {
        return Err(WordsError::MaxForSeveral(payments.len()).into());
    }
    Ok(Order {
        outputs: payments.into_iter().map(|(output, _)| output).collect(),
        all,
        fee: parse_fee(arguments.fees.fee.as_deref())?,
        valid_until: arguments.valid_until.map(Height::new),
        memo: read_memo(arguments.memo.as_deref())?,
    })
}

/// Plans a transfer as `send` does, and writes it down.
///
/// # Errors
/// [`PaymentsError`], [`crate::transfer::TransferError`], and those of the node.
pub(super) fn run(context: &mut Context, arguments: &TxBuild) -> Result<()> {
    let order = order(context, arguments)?;
    let bounds = bounds(context, arguments.fees.max_fee.as_deref())?;
    let payer = context.own_key()?;
    let network = Arc::clone(context.settings.network());
    let plan = match arguments.nonce {
        Some(nonce) => plan_offline(context, &payer, &order, bounds, nonce)?,
        None => {
            let client = context.connect()?;
            let _sending = context.lock_sending()?;
            // Earlier transfers that are not mined yet hold the nonces before this one.
            look_after_outbox(context, &client)?;
            Plan::draw(&client, &network, &payer.public, &order, bounds)?
        }
    };
    tell_plan(context, &payer, &plan)?;
    let file = TransferFile::unsigned(&network, payer.public, plan.into_transaction());
    file.size_bytes()?;
    hand_over(context, &file, arguments.out.as_deref())?;
    let (id, nonce) = (file.transaction().id(network.genesis_id()), file.transaction().nonce());
    context.output.note(format_args!("built {id} with nonce {nonce}; it is not signed, and nothing was submitted"));
    Ok(())
}
