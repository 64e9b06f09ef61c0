//! `send --sign-only`: a signed transfer on stdout, as the request that grpcurl sends; nothing is submitted.
//!
//! It is not put into the outbox: what lies there is handed in again by the next command, and this transfer is the
//! person's to hand in, or not. Until its nonce is used it stays good: whoever wants it void uses up every nonce of the
//! account up to its own.

use std::{fmt, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use farthing::{Params, SignedTransaction, codec::Canonical as _};
use serde::Serialize;

use crate::{
    cli,
    commands::{resubmit::look_after_outbox, send},
    context::Context,
    error::Result,
    keystore::KeyEntry,
    outbox,
    transfer::{FeeBounds, Order, Plan},
};

/// A signed transfer: as text the request itself, as JSON what a script wants to know.
#[derive(Debug, Serialize)]
struct SignedView {
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
    valid_until: Option<u64>,
    /// Canonical signed bytes in base64, as JSON has `bytes` of protobuf.
    transaction_bytes: String,
}

impl SignedView {
    fn new(context: &Context, network: &Params, transfer: &SignedTransaction) -> Self {
        let transaction = transfer.transaction();
        let amount = outbox::paid(transfer);
        let to = transaction.outputs().first().map(|output| context.wallet.show(&output.to)).unwrap_or_default();
        Self {
            transaction_id: transaction.id(network.genesis_id()).to_string(),
            state: "signed",
            from: context.wallet.show(&transaction.sender_address()),
            to,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fee: transaction.fee().to_string(),
            fee_mites: transaction.fee().get().to_string(),
            nonce: transaction.nonce(),
            valid_until: transaction.valid_until().map(farthing::Height::get),
            transaction_bytes: BASE64.encode(transfer.to_canonical()),
        }
    }
}

impl fmt::Display for SignedView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Base64 needs no escapes.
        write!(f, "{{\"transactionBytes\": \"{}\"}}", self.transaction_bytes)
    }
}

/// Signs a transfer and prints it.
///
/// # Errors
/// As `send`, up to the signature.
pub fn run(
    context: &mut Context,
    payer: &KeyEntry,
    order: &Order,
    bounds: FeeBounds,
    arguments: &cli::Send,
) -> Result<()> {
    let network = Arc::clone(context.settings.network());
    let _sending = context.lock_sending()?;
    let plan = match arguments.nonce {
        Some(nonce) => send::plan_offline(context, payer, order, bounds, nonce)?,
        None => {
            let client = context.connect()?;
            // Earlier transfers that are not mined yet hold the nonces before this one.
            look_after_outbox(context, &client)?;
            Plan::draw(&client, &network, &payer.public, order, bounds)?
        }
    };
    send::describe(context, payer, &plan)?;
    context.confirm("nothing was signed", "Sign it?")?;
    let signer = context.unlock(&payer.name)?;
    let transfer = plan.sign(&*signer, &network)?;
    let view = SignedView::new(context, &network, &transfer);
    context.output.data(&view)?;
    context.output.note(format_args!("signed {}; nothing was submitted", view.transaction_id));
    context.output.note(format_args!(
        "whoever has it can submit it; of all transfers of {} with nonce {}, one can be mined",
        payer.name, view.nonce
    ));
    Ok(())
}
