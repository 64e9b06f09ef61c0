//! `pay`: a file of payments, as many to a transaction as fit, each made once however often the command comes.

mod error;
mod payees;
mod round;
mod screen;
mod view;

use std::{sync::Arc, time::Instant};

use farthing::{Height, Mites, SignedTransaction, TxId, wire::TransactionStatus};

pub use self::error::PayError;
use self::{
    round::{Made, Payroll, Round},
    view::{PartView, PayView, place},
};
use crate::{
    cli,
    client::{NodeClient, NodeError},
    commands::{
        resubmit::{look_after_outbox, look_at_outbox},
        send::{
            self, Asks, CONFIRMATION_TIME, Earlier, bounds, hand_in_as, note_told, parse_amount, parse_fee, read_memo,
        },
    },
    context::Context,
    error::{Error, Result},
    fate::Looked,
    keystore::KeyEntry,
    outbox::{self, Kind, Marks},
    output::counted,
    transfer::{self, FeeBounds, Order, Plan, TransferError},
    verify::Evidence,
};

/// What became of a transaction of the payroll.
enum Part {
    /// It was not made.
    Missing,
    /// It is in the proven history since an earlier command, or will never be.
    Over(SignedTransaction, TxId),
    /// It was handed in.
    Open(SignedTransaction, TxId, Option<TransactionStatus>),
    /// It is in the proven history now, at this height and so many blocks deep.
    Mined(SignedTransaction, TxId, (Height, u64)),
    /// Another transaction took its nonce.
    NotPaid,
}

/// What a command is about.
struct Job<'a> {
    client: &'a NodeClient,
    payer: &'a KeyEntry,
    payroll: &'a Payroll,
    round: Round,
    fees: FeeBounds,
    /// The most that all of it may come to.
    most: Option<Mites>,
}

impl Job<'_> {
    /// What is noted beside a transaction.
    fn marks(&self, number: usize) -> Marks {
        let Order { outputs, memo, .. } = &self.payroll.orders[number];
        let content = outbox::content(&self.payer.public.address(), outputs, false, memo);
        let key = Some(self.payroll.key(self.round.number, number));
        Marks { key, content: Some(content), ..Marks::now(Kind::Payment) }
    }
}

/// Pays everybody in a file.
///
/// # Errors
/// Everything that can stand between a file and its last confirmation.
pub fn run(context: &mut Context, arguments: &cli::Pay) -> Result<()> {
    let order = Order {
        outputs: Vec::new(),
        all: false,
        fee: parse_fee(arguments.fees.fee.as_deref())?,
        valid_until: None,
        memo: read_memo(arguments.memo.as_deref())?,
    };
    let fees = bounds(context, arguments.fees.max_fee.as_deref())?;
    let most = arguments.max_total.as_deref().map(parse_amount).transpose()?;
    let rows = payees::read(context, &arguments.file)?;
    let payer = context.own_key()?;
    let payroll = Payroll::new(&payer.public.address(), rows, &order);
    let client = context.connect()?;
    let find = |context: &Context, looked: &[Looked]| {
        round::find(&payroll, &payer.public.address(), &context.wallet.outbox(), looked, arguments)
    };
    if arguments.dry_run {
        let looked = look_at_outbox(context, &client)?;
        let round = find(context, &looked)?;
        return dry_run(context, &Job { client: &client, payer: &payer, payroll: &payroll, round, fees, most });
    }
    let sending = context.lock_sending()?;
    let looked = look_after_outbox(context, &client)?;
    let round = find(context, &looked)?;
    if round.resumed {
        context.output.warn("an earlier command began to pay this; going on with it, nothing is paid a second time");
    }
    let beside = round.beside.clone();
    let job = Job { client: &client, payer: &payer, payroll: &payroll, round, fees, most };
    let mut parts = Vec::new();
    let mut ended = make(context, &job, &looked, &mut parts);
    drop(sending);
    if parts.iter().all(|part| matches!(part, Part::Missing)) {
        return ended;
    }
    // Given up for this one: it holds up no other payroll from now on.
    let outbox = context.wallet.outbox();
    note_told(context, beside.iter().try_for_each(|key| outbox.mark_key_told(key)));
    let wanted = arguments.wait.wanted();
    if ended.is_ok() && wanted > 0 {
        ended = wait(context, &client, &mut parts, wanted);
    }
    conclude(context, &job, &parts, ended)
}

/// Goes on with what is there already, and makes what is missing, in this order: nonces follow each other.
fn make(context: &mut Context, job: &Job<'_>, looked: &[Looked], parts: &mut Vec<Part>) -> Result<()> {
    let Job { client, payer, payroll, round, .. } = job;
    for number in 0..payroll.orders.len() {
        parts.push(if round.resumed { earlier(context, job, number, looked)? } else { Part::Missing });
    }
    let mut spent = Mites::ZERO;
    for part in parts.iter() {
        if let Part::Over(transfer, _) | Part::Open(transfer, ..) = part {
            spent = spent.checked_add(transfer.transaction().total()).ok_or(TransferError::Overflow)?;
        }
        if let Part::Open(_, id, _) = part
            && let Some(one) = looked.iter().find(|one| one.entry.id == *id)
        {
            send::revive(context, client, one)?;
        }
    }
    let missing: Vec<usize> = (0..parts.len()).filter(|at| matches!(parts[*at], Part::Missing)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let plans = plan(context, job, &missing)?;
    // Before anybody is asked; the first of the row has the lowest nonce.
    if let Some(first) = plans.first() {
        send::check_refused(context, client, first.transaction(), true)?;
    }
    for (number, plan) in missing.iter().zip(&plans) {
        send::check_name(context, plan.transaction(), &job.marks(*number))?;
    }
    let total = screen::describe(context, payer, payroll, &missing, &plans)?;
    check_total(total.checked_add(spent), job.most)?;
    context.confirm("nothing was sent", "Pay all of it?")?;
    let signer = context.unlock(&payer.name)?;
    let network = Arc::clone(context.settings.network());
    for (number, plan) in missing.into_iter().zip(plans) {
        let marks = job.marks(number);
        let transfer = plan.sign(&*signer, &network)?;
        let id = transfer.transaction().id(network.genesis_id());
        match hand_in_as(context, client, &transfer, marks) {
            Ok(status) => parts[number] = Part::Open(transfer, id, Some(status)),
            Err(error) => {
                // What was certainly refused is not in the outbox any more, and was not made.
                if context.wallet.outbox().entries()?.iter().any(|entry| entry.id == id) {
                    parts[number] = Part::Open(transfer, id, None);
                }
                return Err(error);
            }
        }
        context.output.parting().set(Some(
            "part of the payroll is submitted; the same command again goes on with it and pays nothing twice".into(),
        ));
    }
    Ok(())
}

/// What an earlier command made of a transaction.
fn earlier(context: &mut Context, job: &Job<'_>, number: usize, looked: &[Looked]) -> Result<Part> {
    Ok(match send::find(context, &job.marks(number), looked, false, Asks::Person) {
        Ok(Earlier::Nothing(_)) => Part::Missing,
        Ok(Earlier::Settled(entry)) => Part::Over(entry.transfer, entry.id),
        Ok(Earlier::Open(one)) => Part::Open(one.entry.transfer, one.entry.id, None),
        Err(error) if ["NOT_PAID", "CANCELLED"].contains(&error.code()) => Part::NotPaid,
        Err(error) => return Err(error),
    })
}

/// Works out the transactions that are missing.
fn plan(context: &Context, job: &Job<'_>, missing: &[usize]) -> Result<Vec<Plan>> {
    let orders: Vec<Order> = missing.iter().map(|at| job.payroll.orders[*at].clone()).collect();
    let progress = context.output.progress("looking at the recipients' accounts");
    let count = |made: usize| progress.set(made as u64, orders.len() as u64);
    Plan::row(job.client, context.settings.network(), &job.payer.public, &orders, job.fees, &count)
}

/// Holds what all of it comes to against what the person allows.
fn check_total(total: Option<Mites>, most: Option<Mites>) -> Result<()> {
    let total = total.ok_or(TransferError::Overflow)?;
    match most {
        Some(bound) if total > bound => Err(PayError::TotalAboveBound { total, bound }.into()),
        _ => Ok(()),
    }
}

/// Waits until all of them have so many confirmations.
fn wait(context: &mut Context, client: &NodeClient, parts: &mut [Part], wanted: u64) -> Result<()> {
    let timeout = context.timeout.unwrap_or(CONFIRMATION_TIME);
    let started = Instant::now();
    let count = parts.iter().filter(|part| matches!(part, Part::Open(..))).count();
    if count > 0 {
        let submitted = counted(count, "transaction");
        context.output.note(format_args!("submitted {submitted}; waiting for confirmations: {wanted} ..."));
    }
    let mut last: Option<Evidence> = None;
    for part in parts {
        let Part::Open(transfer, id, _) = part else { continue };
        let left = timeout.saturating_sub(started.elapsed());
        let confirmed = transfer::wait(context, client, transfer, wanted, left)?;
        last = Some(confirmed.proof);
        *part = Part::Mined(transfer.clone(), *id, (confirmed.height, confirmed.confirmations));
    }
    if let Some(proof) = last {
        context.tell(&proof);
    }
    Ok(())
}

/// Shows what became of each transaction, and notes that this was told if all went well.
fn conclude(context: &mut Context, job: &Job<'_>, parts: &[Part], ended: Result<()>) -> Result<()> {
    let Job { payroll, round, .. } = job;
    let shown = parts.iter().enumerate().map(|(number, part)| {
        let rows = payroll.part(number);
        let new = |state| PartView::new(context, rows, state);
        match part {
            Part::Missing => new("not_made"),
            Part::NotPaid => new("not_paid"),
            Part::Over(transfer, id) => new("settled").made(transfer, *id, None, false),
            Part::Mined(transfer, id, place) => new("mined").made(transfer, *id, Some(*place), true),
            Part::Open(transfer, id, status) => {
                let state = status.as_ref().map_or("submitted", |status| send::state(&status.standing));
                new(state).made(transfer, *id, status.as_ref().and_then(place), false)
            }
        }
    });
    let transactions = shown.collect();
    let view = whole(context, job, transactions)?;
    context.output.data(&view)?;
    ended?;
    let outbox = context.wallet.outbox();
    note_told(
        context,
        (0..parts.len()).try_for_each(|number| outbox.mark_key_told(&payroll.key(round.number, number))),
    );
    context.output.parting().set(None);
    let is_lost = |number: &usize| matches!(parts[*number], Part::NotPaid);
    match (0..parts.len()).filter(is_lost).map(|number| payroll.part(number).len()).sum() {
        0 => Ok(()),
        rows => Err(PayError::NotPaid { rows }.into()),
    }
}

fn whole(context: &Context, job: &Job<'_>, transactions: Vec<PartView>) -> Result<PayView> {
    let Job { payer, payroll, round, .. } = job;
    let total = Mites::checked_sum(payroll.rows.iter().map(|row| row.amount)).ok_or(TransferError::Overflow)?;
    Ok(PayView {
        payroll: payroll.digest.clone(),
        round: round.number,
        from: context.wallet.show(&payer.public.address()),
        rows: payroll.rows.len(),
        total: total.to_string(),
        total_mites: total.get().to_string(),
        resumed: round.resumed,
        transactions,
    })
}

/// Says what would be paid. The node is asked about the first transaction; the others wait for their nonces.
fn dry_run(context: &mut Context, job: &Job<'_>) -> Result<()> {
    let Job { client, payer, payroll, round, .. } = job;
    let missing: Vec<usize> = (0..payroll.orders.len()).filter(|at| round.made[*at] == Made::No).collect();
    let plans = plan(context, job, &missing)?;
    if let Some(first) = plans.first() {
        send::check_refused(context, client, first.transaction(), false)?;
    }
    for (number, plan) in missing.iter().zip(&plans) {
        send::check_name(context, plan.transaction(), &job.marks(*number))?;
    }
    check_total(Some(screen::describe(context, payer, payroll, &missing, &plans)?), job.most)?;
    let refusal = match plans.first() {
        Some(first) => client.simulate(first.transaction())?.verdict.err(),
        None => None,
    };
    let genesis = *context.wallet.network().genesis_id();
    let mut plans = plans.iter();
    let shown = round.made.iter().enumerate().map(|(number, made)| {
        let rows = payroll.part(number);
        let view = |state| PartView::new(context, rows, state);
        match made {
            Made::Earlier { is_lost: true, .. } => return view("not_paid"),
            Made::Earlier { .. } => return view("made_earlier"),
            Made::No => {}
        }
        let planned = plans.next().map(Plan::transaction);
        planned.map_or_else(|| view("not_made"), |one| view("would_be_made").planned(one, one.id(&genesis)))
    });
    let transactions = shown.collect();
    let view = whole(context, job, transactions)?;
    context.output.data(&view)?;
    match refusal.map(|refusal| NodeError::of_verdict(*refusal)) {
        None => {
            context.output.note("the node would take the first transaction; nothing was signed or sent");
            Ok(())
        }
        Some(NodeError::Refused { reason, message, required_fee, .. }) => {
            Err(TransferError::Rejected { id: None, reason, message, required_fee }.into())
        }
        Some(other) => Err(Error::from(other)),
    }
}
