//! `receive --watch`.

use std::{
    fmt,
    time::{Duration, Instant},
};

use farthing::{Address, Mites};
use serde::Serialize;

use crate::{
    context::Context,
    error::{Error, Exit, Explain, Result},
    output::style::{AMOUNT, GOOD},
    watch::{self, Kind, Movement, News, Next, Watch},
};

/// Why the wait ended without the money.
#[derive(Debug, thiserror::Error)]
#[error("{arrived} of {amount} far had arrived after {} s", waited.as_secs())]
pub struct NotPaid {
    arrived: Mites,
    amount: Mites,
    waited: Duration,
}

impl Explain for NotPaid {
    fn code(&self) -> &'static str {
        "NOT_PAID"
    }

    fn exit(&self) -> Exit {
        Exit::Unconfirmed
    }

    fn tries(&self) -> Vec<String> {
        vec![
            "farthing-wallet history, which shows what arrived and what arrives later".into(),
            "a longer --timeout, or none".into(),
        ]
    }
}

/// One payment, as it is shown.
#[derive(Serialize)]
struct PaymentView {
    /// `pending`, `mined` or `undone`.
    event: &'static str,
    id: String,
    kind: String,
    amount: String,
    amount_mites: String,
    /// Names, or else addresses.
    from: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<String>,
    /// Whether the account's proven history has it.
    verified: bool,
    #[serde(skip)]
    words: String,
}

impl PaymentView {
    fn new(context: &Context, event: &'static str, movement: &Movement) -> Result<Self> {
        Ok(Self {
            event,
            id: hex::encode(movement.id.as_bytes()),
            kind: movement.kind.to_string(),
            amount: movement.amount.to_string(),
            amount_mites: movement.amount.get().to_string(),
            from: movement.names(&context.wallet)?,
            memo: movement.memo.clone(),
            block_height: None,
            balance: None,
            verified: false,
            words: movement.words(&context.wallet)?,
        })
    }
}

impl fmt::Display for PaymentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = &self.words;
        match (self.event, self.block_height, &self.balance) {
            ("mined", Some(height), Some(balance)) => write!(
                f,
                "{GOOD}{:<9}{GOOD:#} {words}, in block {height}, verified; balance {AMOUNT}{balance} far{AMOUNT:#}",
                self.kind
            ),
            ("pending", ..) => write!(f, "arriving  {words}, pending at the node, not verified"),
            _ => write!(f, "undone    {words}: its block left the best chain; it may be mined again"),
        }
    }
}

/// Shows payments until the amount has arrived, if there is one, or the time is over.
///
/// # Errors
/// [`NotPaid`], and those of connecting and printing.
pub fn run(context: &mut Context, address: Address, amount: Option<Mites>) -> Result<()> {
    let mut watch = Watch::begin(&context.settings, context.quorum(), address)?;
    let (bell, rings) = watch::bell();
    watch.follow(context.settings.nodes(), &bell);
    let started = Instant::now();
    context.output.note("waiting for payments; Ctrl-C ends it");
    let mut arrived = Mites::ZERO;
    let mut failure: Option<Error> = None;
    let limit = context.timeout;
    // A time that no clock reaches is none.
    let until = limit.and_then(|limit| started.checked_add(limit));
    let mut tell = |news: News| match show(context, &news, &mut arrived) {
        Err(error) => {
            failure = Some(error);
            Next::Stop
        }
        Ok(()) if amount.is_some_and(|amount| arrived >= amount) => Next::Stop,
        Ok(()) => Next::Go,
    };
    watch.run(&rings, until, &mut tell);
    match (failure, amount) {
        (Some(error), _) => Err(error),
        (None, Some(amount)) if arrived < amount => Err(NotPaid { arrived, amount, waited: started.elapsed() }.into()),
        _ => Ok(()),
    }
}

/// Prints one piece of news, and counts what came.
fn show(context: &mut Context, news: &News, arrived: &mut Mites) -> Result<()> {
    match news {
        News::Waiting(movement) => {
            let view = PaymentView::new(context, "pending", movement)?;
            context.output.data(&view)?;
        }
        News::Mined { movement, height, balance } if movement.kind != Kind::Sent => {
            if movement.kind == Kind::Received {
                *arrived = arrived.checked_add(movement.amount).unwrap_or(*arrived);
            }
            let view = PaymentView {
                block_height: Some(height.get()),
                balance: Some(balance.to_string()),
                verified: true,
                ..PaymentView::new(context, "mined", movement)?
            };
            context.output.data(&view)?;
        }
        News::Undone(movement) if movement.kind != Kind::Sent => {
            if movement.kind == Kind::Received {
                *arrived = arrived.checked_sub(movement.amount).unwrap_or(Mites::ZERO);
            }
            let view = PaymentView::new(context, "undone", movement)?;
            context.output.data(&view)?;
        }
        // What the account pays is no payment to it.
        News::Mined { .. } | News::Undone(_) => {}
        News::Lost(report) => {
            context.output.warn(format_args!("{}; asking again until it answers", report.what));
        }
        News::Back => context.output.note("the node answers again"),
    }
    Ok(())
}
