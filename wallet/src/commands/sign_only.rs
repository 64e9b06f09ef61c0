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
    commands::{resubmit::look_after_outbox, send, terms::Terms},
    context::Context,
    error::Result,
    keystore::KeyEntry,
    transfer::{FeeBounds, Order, Plan},
};

/// A signed transfer: as text the request itself, as JSON what a script wants to know.
#[derive(Debug, Serialize)]
struct SignedView {
    transaction_id: String,
    state: &'static str,
    #[serde(flatten)]
    terms: Terms,
    /// Canonical signed bytes in base64, as JSON has `bytes` of protobuf.
    transaction_bytes: String,
}

impl SignedView {
    fn new(context: &Context, network: &Params, transfer: &SignedTransaction) -> Result<Self> {
        let transaction = transfer.transaction();
        Ok(Self {
            transaction_id: transaction.id(network.genesis_id()).to_string(),
            state: "signed",
            terms: Terms::of(context, transaction)?,
            transaction_bytes: BASE64.encode(transfer.to_canonical()),
        })
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
    let view = SignedView::new(context, &network, &transfer)?;
    context.output.data(&view)?;
    context.output.note(format_args!("signed {}; nothing was submitted", view.transaction_id));
    context.output.note(format_args!(
        "whoever has it can submit it; of all transfers of {} with nonce {}, one can be mined",
        payer.name,
        transfer.transaction().nonce()
    ));
    Ok(())
}
