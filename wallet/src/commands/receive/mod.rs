//! `receive`.

pub mod watch;

use std::fmt;

use serde::Serialize;

use crate::{
    cli,
    commands::send,
    context::Context,
    error::Result,
    name::Name,
    output::{
        qr::{self, NotDrawn},
        style::{AMOUNT, TRY},
    },
    payment_uri::PaymentUri,
};

#[derive(Serialize)]
struct RequestView {
    network: String,
    account: Name,
    address: String,
    uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    amount_mites: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<String>,
    #[serde(skip)]
    qr: Option<String>,
}

impl fmt::Display for RequestView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.address)?;
        if self.amount.is_some() || self.label.is_some() {
            writeln!(f, "{TRY}{}{TRY:#}", self.uri)?;
        }
        self.qr.as_deref().map_or(Ok(()), |qr| f.write_str(qr))
    }
}

/// Shows where to be paid, and waits for it if told.
///
/// # Errors
/// Those of the key store, of the request's words, and of asking the node.
pub fn run(context: &mut Context, arguments: &cli::Receive) -> Result<()> {
    let key = match &arguments.who {
        Some(name) => context.wallet.own_key(Some(name))?,
        None => context.own_key()?,
    };
    let amount = arguments.amount.as_deref().map(send::parse_payment).transpose()?;
    let request = PaymentUri::new(key.public.address(), amount, arguments.label.as_deref())?;
    let wallet = &context.wallet;
    let ground =
        arguments.qr.filter(|_| !context.output.is_json()).map(|ground| ground.chosen(context.output.ground()));
    let drawn = ground.map(|ground| qr::draw(&request.text_for_qr(wallet), ground, context.output.columns()));
    let (qr, missing) = match drawn {
        Some(Ok(drawn)) => (Some(drawn), None),
        Some(Err(why)) => (None, Some(why)),
        None => (None, None),
    };
    let view = RequestView {
        network: wallet.network().name.clone(),
        account: key.name.clone(),
        address: wallet.show(&request.to),
        uri: request.text(wallet),
        amount: amount.map(|amount| amount.to_string()),
        amount_mites: amount.map(|amount| amount.get().to_string()),
        label: request.label,
        qr,
    };
    context.output.data(&view)?;
    match missing {
        Some(NotDrawn::TooWide(columns)) => context.output.warn(format_args!(
            "the QR code needs {columns} columns: make the terminal wider or its letters smaller, and ask again"
        )),
        // A request of at most 300 bytes always fits.
        Some(NotDrawn::TooLong) => context.output.warn("the request is too long for a QR code"),
        None => {}
    }
    if let Some(amount) = view.amount {
        context.output.note(format_args!("{} asks for {AMOUNT}{amount} far{AMOUNT:#}", key.name));
    }
    if arguments.watch { watch::run(context, request.to, amount) } else { Ok(()) }
}
