//! `send`.

mod again;
mod dry_run;
mod offline;
mod screen;
mod view;
mod words;

use std::{sync::Arc, time::Duration};

use farthing::{
    SignedTransaction, Transaction, TxId,
    wire::{TransactionStanding, TransactionStatus},
};

pub use self::{
    again::{AgainError, Asks, Earlier, counting, find, is_another, note_told, revive, tell_all},
    offline::plan_offline,
    screen::{describe, expectation, tell_plan, warn_of_nonces, warn_of_recipients},
    view::{SentView, state},
    words::{WordsError, parse_amount, parse_fee, parse_payment, payment, read_memo},
};
use crate::{
    cli,
    client::NodeClient,
    commands::{resubmit::look_after_outbox, sign_only},
    context::Context,
    error::{Error, Exit, Result},
    keystore::Signer,
    outbox::{self, Key, Kind, Marks},
    transfer::{self, Confirmed, FeeBounds, Plan, Wish},
};

/// How long to wait for confirmations if nobody says otherwise.
pub const CONFIRMATION_TIME: Duration = Duration::from_secs(600);

/// Sends money.
///
/// # Errors
/// Everything that can stand between a wish and its confirmation.
pub fn run(context: &mut Context, arguments: &cli::Send) -> Result<()> {
    let order = words::order(&context.wallet, arguments)?;
    let bounds = bounds(context, arguments.fees.max_fee.as_deref())?;
    let key = arguments.id.as_deref().map(str::parse::<Key>).transpose()?;
    let payer = context.own_key()?;
    if arguments.sign_only {
        return sign_only::run(context, &payer, &order, bounds, arguments);
    }
    let client = context.connect()?;
    let content = outbox::content(&payer.public.address(), &order.outputs, order.all, &order.memo);
    let marks = Marks { key, content: Some(content), ..Marks::now(Kind::Payment) };
    if arguments.dry_run {
        let wish = dry_run::Wished { payer: &payer, order: &order, bounds, marks: &marks, again: arguments.again };
        return dry_run::run(context, &client, &wish);
    }
    let wanted = arguments.wait.wanted();
    let sending = context.lock_sending()?;
    let looked = look_after_outbox(context, &client)?;
    let (transfer, status, is_mined, resumed) = match find(context, &marks, &looked, arguments.again, Asks::Person)? {
        Earlier::Settled(entry) => {
            let view = SentView::settled(context, &entry.transfer, entry.id)?.under(marks.key.as_ref(), true);
            return Ok(context.output.data(&view)?);
        }
        Earlier::Open(looked) => {
            let is_mined = revive(context, &client, &looked)?;
            (looked.entry.transfer, None, is_mined, true)
        }
        Earlier::Nothing(over) => {
            let network = Arc::clone(context.settings.network());
            let plan = Plan::draw(&client, &network, &payer.public, &order, bounds)?;
            check_refused(context, &client, plan.transaction(), true)?;
            check_name(context, plan.transaction(), &marks)?;
            describe(context, &payer, &plan)?;
            context.confirm("nothing was sent", "Send it?")?;
            let signer = context.unlock(&payer.name)?;
            let transfer = plan.sign(&*signer, &network)?;
            let id = transfer.transaction().id(network.genesis_id());
            // The one that was dropped, byte for byte: this command goes on with it, as its warning says.
            let is_the_same = looked.iter().any(|one| one.entry.id == id);
            let submitted = hand_in_as(context, &client, &transfer, marks.clone());
            if submitted.as_ref().err().is_none_or(|error| error.exit() == Exit::Unconfirmed) {
                let outbox = context.wallet.outbox();
                let mut over = over.iter().filter(|over| **over != id);
                note_told(context, over.try_for_each(|id| outbox.mark_told(id)));
            }
            (transfer, Some(submitted?), false, is_the_same)
        }
    };
    let id = transfer.transaction().id(context.wallet.network().genesis_id());
    let outbox = context.wallet.outbox();
    // While this command waits, the same words elsewhere are another payment. What is mined deep has left the outbox.
    let _held = if is_mined { None } else { outbox.hold(&id)? };
    drop(sending);
    // What is mined already can be proven at once.
    let wanted = if is_mined { wanted.max(1) } else { wanted };
    let view = conclude(context, &client, &transfer, status, wanted)?.under(marks.key.as_ref(), resumed);
    context.output.data(&view)?;
    note_told(context, outbox.mark_payment_told(&id));
    if let Some(proof) = &view.proof {
        context.tell(proof);
    }
    Ok(())
}

/// What the command line and the settings allow as a fee.
///
/// # Errors
/// [`WordsError`].
pub fn bounds(context: &Context, max_fee: Option<&str>) -> Result<FeeBounds, WordsError> {
    Ok(FeeBounds { whole: max_fee.map(parse_amount).transpose()?, for_the_miner: context.settings.max_fee() })
}

/// Waits for as many confirmations as wanted; with none, says where the transfer stands, as known or as the node says.
///
/// # Errors
/// As [`wait`].
pub fn conclude(
    context: &mut Context,
    client: &NodeClient,
    transfer: &SignedTransaction,
    status: Option<TransactionStatus>,
    wanted: u64,
) -> Result<SentView> {
    let id = transfer.transaction().id(context.wallet.network().genesis_id());
    if wanted > 0 {
        let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
        let confirmed = wait(context, client, transfer, wanted, timeout)?;
        return SentView::confirmed(context, transfer, id, confirmed);
    }
    let status = match status {
        Some(status) => status,
        None => client.transaction_status(&id)?,
    };
    SentView::new(context, transfer, &status, None)
}

/// Hands a transfer in; from here on an interruption says what was sent.
///
/// # Errors
/// [`transfer::TransferError`].
pub fn hand_in(context: &mut Context, client: &NodeClient, signed: &SignedTransaction) -> Result<TransactionStatus> {
    hand_in_as(context, client, signed, Marks { told: true, ..Marks::now(Kind::Payment) })
}

/// The same with what is to be noted beside it.
///
/// # Errors
/// [`transfer::TransferError`].
pub fn hand_in_as(
    context: &mut Context,
    client: &NodeClient,
    signed: &SignedTransaction,
    marks: Marks,
) -> Result<TransactionStatus> {
    let outbox = context.wallet.outbox();
    let id = signed.transaction().id(context.wallet.network().genesis_id());
    outbox.make_anew(&id, &marks)?;
    let parting = context.output.parting();
    parting.set(Some(format!("the transfer {id} was handed in or about to be; farthing-wallet resubmit makes sure")));
    let network = Arc::clone(context.settings.network());
    let submitted = transfer::submit(client, &network, &outbox, signed, marks);
    parting.set(match &submitted {
        Ok(_) => Some(format!(
            "the transfer {id} is submitted and may be mined; farthing-wallet tx wait {id} goes on waiting for it"
        )),
        Err(error) => open_after(error, &id),
    });
    if let Ok(TransactionStatus { standing: TransactionStanding::Queued, .. }) = &submitted {
        context.output.warn(format_args!(
            "the node keeps it aside: its nonce is {}, and transfers of the account with lower ones are missing; it can only be \
             mined behind them",
            signed.transaction().nonce()
        ));
    }
    if submitted.is_ok() {
        let paid = signed.transaction().outputs().iter().map(|output| output.to);
        // A help to the eye next time; the payment does not depend on it.
        if let Err(error) = context.wallet.recipients().and_then(|mut known| known.remember(paid)) {
            context.output.warn(format_args!("the recipient is not remembered: {error}"));
        }
    }
    submitted
}

/// Whether one that was refused may be mined beside a new transfer; known before anybody is asked, and asked for again when it
/// is handed in. Without `notes` nothing is written down.
///
/// # Errors
/// As [`transfer::check_refused`].
pub fn check_refused(context: &Context, client: &NodeClient, new: &Transaction, notes: bool) -> Result<()> {
    transfer::check_refused(client, context.settings.network(), &context.wallet.outbox(), new, notes)
}

/// Whether a new transfer would be one that an earlier command made under another id.
///
/// # Errors
/// [`OutboxError::Named`](crate::outbox::OutboxError::Named), and those of the disk.
pub fn check_name(context: &Context, new: &Transaction, marks: &Marks) -> Result<()> {
    let network = context.wallet.network();
    Ok(context.wallet.outbox().check_name(&new.id(network.genesis_id()), marks)?)
}

/// What an interruption should still say after such an end: nothing, if the error itself settled the matter.
fn open_after(error: &Error, id: &TxId) -> Option<String> {
    matches!(error.code(), "ANSWER_LOST" | "NOT_TAKEN" | "UNCONFIRMED" | "VERIFICATION_FAILED" | "NODE_UNREACHABLE")
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
