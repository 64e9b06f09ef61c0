//! `tx bump` and `tx cancel`: another transfer with the nonce of one that waits. Only one of the two can be mined.

use std::sync::Arc;

use farthing::{Height, Mites, Output, TxId};

use super::{
    show::{self, StandingView},
    standing::{Found, Stands, look},
    wait,
};
use crate::{
    cli,
    client::NodeClient,
    commands::{
        resubmit::look_after_outbox,
        send::{self, bounds, describe, hand_in_as, note_told, parse_fee},
    },
    context::Context,
    error::{Exit, Explain, Result},
    fate::{self, Fate, Looked},
    keystore::KeyEntry,
    outbox::{self, Entry, Kind, Marks},
    transfer::{Order, Plan, TransferError},
};

/// What to put in a transfer's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The same with a higher fee.
    Bump,
    /// One that pays nobody.
    Cancel,
}

/// Why a transfer is not replaced.
#[derive(Debug, thiserror::Error)]
enum ReplaceError {
    /// There is nothing left to replace.
    #[error("the transfer {0} is mined: it can neither be bumped nor cancelled")]
    Mined(TxId),
    /// The cancellation came too late.
    #[error("the payment was mined all the same, as {paid}; the cancellation {cancel} was not, and costs nothing")]
    TooLate {
        /// What was mined.
        paid: TxId,
        /// What was to take its place.
        cancel: TxId,
    },
    /// Not in the outbox.
    #[error("the transfer {0} is not one that waits in this wallet's outbox")]
    NotOurs(TxId),
    /// It is being cancelled already.
    #[error("the transfer {id} is being cancelled by {by} already")]
    Cancelled {
        /// Its id.
        id: TxId,
        /// What takes its place.
        by: TxId,
    },
    /// Another payment has its nonce, which nodes prefer.
    #[error("another payment of this wallet, {by}, has the nonce of {id} and counts in its place")]
    OtherPayment {
        /// Its id.
        id: TxId,
        /// The other one.
        by: TxId,
    },
    /// It cannot be mined any more.
    #[error("the transfer {id} was not mined, and cannot be any more: its last block, {at}, has passed")]
    Expired {
        /// Its id.
        id: TxId,
        /// Its last block.
        at: Height,
    },
    /// The key is not here.
    #[error("this wallet has no key for the account that pays, {0}")]
    NoKey(String),
}

impl Explain for ReplaceError {
    fn code(&self) -> &'static str {
        match self {
            Self::Mined(_) | Self::TooLate { .. } => "ALREADY_MINED",
            Self::NotOurs(_) => "NOT_IN_OUTBOX",
            Self::Cancelled { .. } => "CANCELLED",
            Self::OtherPayment { .. } => "OTHER_PAYMENT",
            Self::Expired { .. } => "EXPIRED",
            Self::NoKey(_) => "NO_KEY",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Mined(_) | Self::TooLate { .. } | Self::Cancelled { .. } | Self::Expired { .. } => Exit::Rejected,
            Self::NotOurs(_) | Self::OtherPayment { .. } | Self::NoKey(_) => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Mined(id) | Self::TooLate { paid: id, .. } => vec![
                format!("farthing-wallet tx show {id}"),
                "ask whoever was paid to pay it back; what is mined stays".into(),
            ],
            Self::NotOurs(id) => vec![
                format!("farthing-wallet tx show {id}"),
                "the wallet that sent it; farthing-wallet resubmit lists what waits in this one".into(),
            ],
            Self::Cancelled { by, .. } => vec![format!("farthing-wallet tx bump {by}, if that takes too long")],
            Self::OtherPayment { by, .. } => vec![format!("farthing-wallet tx show {by}")],
            Self::Expired { .. } => vec!["farthing-wallet send, if it is still owed".into()],
            Self::NoKey(_) => vec!["farthing-wallet key import, or the wallet that has it".into()],
        }
    }

    fn transaction(&self) -> Option<TxId> {
        match self {
            Self::Mined(id) | Self::TooLate { paid: id, .. } | Self::NotOurs(id) => Some(*id),
            Self::Cancelled { by: id, .. } | Self::OtherPayment { id, .. } | Self::Expired { id, .. } => Some(*id),
            Self::NoKey(_) => None,
        }
    }
}

/// Replaces a transfer.
///
/// # Errors
/// [`ReplaceError`], and those of `send`.
pub(super) fn run(context: &mut Context, arguments: &cli::TxReplace, what: What) -> Result<()> {
    let fee = parse_fee(arguments.fees.fee.as_deref())?;
    let bounds = bounds(context, arguments.fees.max_fee.as_deref())?;
    let client = context.connect()?;
    let sending = context.lock_sending()?;
    let mut looked = look_after_outbox(context, &client)?;
    if looked.iter().all(|one| one.entry.id != arguments.id) {
        // What a node refused and kept.
        let (network, outbox) = (context.settings.network(), context.wallet.outbox());
        looked.extend(fate::of_refused(&client, network, &outbox, &arguments.id)?);
    }
    let named = named(context, &client, &arguments.id, &looked)?;
    let group: Vec<&Looked> = looked.iter().filter(|one| one.entry.is_kin(&named.entry)).collect();
    if let Some(made) = cancellation(&group).filter(|_| what == What::Cancel) {
        let by = made.entry.id;
        let name = named.entry.id;
        context.output.note(match named.entry.marks.kind {
            Kind::Cancel if name == by => format!("{by} is a cancellation itself; going on with it"),
            Kind::Cancel => format!("{name} is a cancellation, which {by} has replaced; going on with that"),
            Kind::Payment | Kind::Bump => format!("{name} was cancelled before, by {by}; going on with that"),
        });
        if arguments.fees.fee.is_some() {
            context.output.note(format_args!("--fee changes nothing now; farthing-wallet tx bump {by} --fee N does"));
        }
        let outbox = context.wallet.outbox();
        if outbox.is_refused(&by) {
            // From now on it is what was meant.
            outbox.write(&made.entry.transfer, made.entry.marks.clone())?;
        }
        let is_mined = send::revive(context, &client, made)?;
        // What is settled has left the outbox.
        let held = if is_mined { None } else { context.wallet.outbox().hold(&by)? };
        drop(sending);
        let ended = finish(context, &client, (&named.entry.id, &by), &group, arguments);
        drop(held);
        return ended;
    }
    let old = replaceable(&looked, &group, named)?;
    let (entry, transaction) = (&old.entry, old.entry.transfer.transaction());
    if entry.id != arguments.id {
        context.output.note(format_args!("{} was replaced before, by {}", arguments.id, entry.id));
    }
    let payer = payer(context, entry)?;
    let order = match what {
        What::Bump => Order {
            outputs: transaction.outputs().to_vec(),
            all: false,
            fee,
            valid_until: transaction.valid_until(),
            memo: transaction.memo().to_vec(),
        },
        What::Cancel => Order {
            outputs: vec![Output { to: payer.public.address(), amount: Mites::new(1) }],
            all: false,
            fee,
            valid_until: None,
            memo: Vec::new(),
        },
    };
    let network = Arc::clone(context.settings.network());
    let is_waiting = matches!(old.fate, Fate::Waiting(_) | Fate::Resubmitted);
    let plan = Plan::replace(&client, &network, &payer.public, &order, bounds, (transaction, is_waiting))?;
    let how = if what == What::Bump { "by the same with a higher fee" } else { "by one that pays nobody" };
    let (amount, old_fee) = (outbox::paid(&entry.transfer), transaction.fee());
    context.show(&format!("{}, {amount} far with a fee of {old_fee} far, is replaced {how}:", entry.id));
    describe(context, &payer, &plan)?;
    context.confirm("nothing was sent", "Replace it?")?;
    let new = plan.sign(&*context.unlock(&payer.name)?, &network)?;
    let kind = if what == What::Cancel { Kind::Cancel } else { bumped(entry.marks.kind) };
    let marks = Marks { key: entry.marks.key.clone(), content: entry.marks.content.clone(), ..Marks::now(kind) };
    let new_id = new.transaction().id(network.genesis_id());
    if let Err(error) = hand_in_as(context, &client, &new, marks) {
        return Err(of_submission(context, &client, error, entry.id));
    }
    let _held = context.wallet.outbox().hold(&new_id)?;
    drop(sending);
    finish(context, &client, (&entry.id, &new_id), &group, arguments)
}

/// Waits for what replaces a transfer, and says how it ended.
fn finish(
    context: &mut Context,
    client: &NodeClient,
    (old, new): (&TxId, &TxId),
    group: &[&Looked],
    arguments: &cli::TxReplace,
) -> Result<()> {
    let outbox = context.wallet.outbox();
    let ended = conclude(context, client, (old, new), group, arguments);
    // Whoever was told of the end, or that it came otherwise, means another payment with the same words from now on.
    if ended.as_ref().err().is_none_or(|error| error.code() == "ALREADY_MINED") {
        note_told(context, outbox.mark_payment_told(new));
    }
    let view = ended?;
    show::tell(context, &view)
}

/// The cancellation that counts among a payment and what replaces it, if there is one that may still come to something.
fn cancellation<'a>(group: &[&'a Looked]) -> Option<&'a Looked> {
    let all = group.iter().filter(|one| one.entry.marks.kind == Kind::Cancel);
    // The one that is mined, or else the one that nodes keep.
    let counts = all.max_by_key(|one| {
        let is_mined = matches!(one.fate, Fate::Mined { .. } | Fate::Settled);
        (is_mined, one.entry.transfer.transaction().fee())
    })?;
    let is_over = matches!(
        counts.fate,
        Fate::Replaced { .. } | Fate::Superseded { .. } | Fate::Displaced { .. } | Fate::Expired { .. }
    );
    (!is_over).then_some(*counts)
}

const fn bumped(kind: Kind) -> Kind {
    match kind {
        Kind::Cancel => Kind::Cancel,
        Kind::Payment | Kind::Bump => Kind::Bump,
    }
}

/// The transfer of that id in the outbox.
fn named<'a>(context: &Context, client: &NodeClient, id: &TxId, looked: &'a [Looked]) -> Result<&'a Looked> {
    if let Some(named) = looked.iter().find(|one| one.entry.id == *id) {
        return Ok(named);
    }
    Err(match look(context, client, id)?.map(|found| found.stands) {
        None => TransferError::Unknown(*id).into(),
        Some(Stands::Mined { .. }) => ReplaceError::Mined(*id).into(),
        Some(_) => ReplaceError::NotOurs(*id).into(),
    })
}

/// Of a transfer and what replaced it already, the one that nodes keep, if it can still be replaced.
fn replaceable<'a>(looked: &[Looked], group: &[&'a Looked], named: &Looked) -> Result<&'a Looked, crate::error::Error> {
    let id = named.entry.id;
    for one in group {
        match &one.fate {
            Fate::Mined { .. } | Fate::Settled => return Err(ReplaceError::Mined(one.entry.id).into()),
            Fate::Replaced { by } => {
                return Err(TransferError::Overtaken { id, by: hex::encode(by.as_bytes()) }.into());
            }
            Fate::Displaced { by, is_mined: true } => {
                return Err(TransferError::Overtaken { id, by: by.to_string() }.into());
            }
            Fate::Displaced { by, is_mined: false } => return Err(ReplaceError::OtherPayment { id, by: *by }.into()),
            Fate::Expired { at } => return Err(ReplaceError::Expired { id, at: *at }.into()),
            _ => {}
        }
    }
    let entries: Vec<Entry> = looked.iter().map(|one| one.entry.clone()).collect();
    let current = outbox::current(&entries, named.entry.place()).map_or(id, |entry| entry.id);
    let Some(old) = group.iter().find(|one| one.entry.id == current) else {
        return Err(ReplaceError::OtherPayment { id, by: current }.into());
    };
    if old.entry.marks.kind == Kind::Cancel && current != id {
        Err(ReplaceError::Cancelled { id, by: current }.into())
    } else {
        Ok(old)
    }
}

fn payer(context: &Context, entry: &Entry) -> Result<KeyEntry> {
    let address = entry.place().0;
    let payer = context.wallet.keys().list()?.into_iter().find(|key| key.public.address() == address);
    Ok(payer.ok_or_else(|| ReplaceError::NoKey(context.wallet.show(&address)))?)
}

/// What a refusal means here: a nonce that was used meanwhile was used by the old one, or by a third.
fn of_submission(context: &Context, client: &NodeClient, error: crate::error::Error, old: TxId) -> crate::error::Error {
    if error.code() != "REJECTED" || !error.to_string().contains("[NONCE_TOO_LOW]") {
        return error;
    }
    match look(context, client, &old) {
        Ok(Some(Found { stands: Stands::Mined { .. }, .. })) => ReplaceError::Mined(old).into(),
        Ok(Some(Found { stands: Stands::Replaced { by }, .. })) => {
            TransferError::Overtaken { id: old, by: hex::encode(by.as_bytes()) }.into()
        }
        _ => error,
    }
}

/// Waits for the new transfer, or says where it stands. If the old one is mined all the same, a bump has come to the same.
fn conclude(
    context: &mut Context,
    client: &NodeClient,
    (old, new): (&TxId, &TxId),
    group: &[&Looked],
    arguments: &cli::TxReplace,
) -> Result<StandingView> {
    let wanted = arguments.wait.wanted();
    if wanted == 0 {
        let found = look(context, client, new)?.ok_or(TransferError::Unknown(*new))?;
        return Ok(StandingView::new(context, found)?.replacing(old));
    }
    context.output.note(format_args!("submitted {new}; waiting for it ..."));
    let found = wait::until(context, client, new, wanted)?;
    context.output.parting().set(None);
    let Stands::Replaced { by } = found.stands else {
        return Ok(StandingView::new(context, found)?.replacing(old));
    };
    // A node may have refused an earlier bump or cancellation and kept it.
    let kin = group.first().map(|one| &one.entry);
    let refused = context.wallet.outbox().refused()?;
    let refused = refused.iter().filter(|entry| kin.is_some_and(|kin| entry.is_kin(kin)));
    let mut own = group.iter().map(|one| &one.entry).chain(refused);
    let cancels = |entry: &Entry| entry.marks.kind == Kind::Cancel;
    let overtaken = || TransferError::Overtaken { id: *new, by: hex::encode(by.as_bytes()) };
    let mined = own.find(|entry| farthing::EntryId::from(entry.id) == by).ok_or_else(overtaken)?;
    let id = mined.id;
    match (found.entry.as_ref().is_some_and(cancels), cancels(mined)) {
        (true, false) => return Err(ReplaceError::TooLate { paid: id, cancel: *new }.into()),
        (false, true) => return Err(overtaken().into()),
        (true, true) => {
            context.output.note(format_args!("{id} was mined all the same, and cancels it too; nobody is paid"))
        }
        (false, false) => context.output.note(format_args!("{id} was mined all the same; it is paid, once")),
    }
    let found = wait::until(context, client, &id, wanted)?;
    StandingView::new(context, found)
}
