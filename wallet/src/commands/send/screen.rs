//! What a person sees before they say yes.

use std::time::Duration;

use farthing::{Address, Mites, Output, Transaction};

use crate::{
    context::Context,
    error::Result,
    keystore::KeyEntry,
    outbox::Outbox,
    output::style::{AMOUNT, WARNING, in_parts, paint},
    recipients::look_alike,
    transfer::{Plan, TransferError},
};

/// Says what a plan will do: on the screen of whoever is asked, else as a note.
///
/// # Errors
/// Those of contacts, keystore and outbox.
pub fn describe(context: &mut Context, payer: &KeyEntry, plan: &Plan) -> Result<()> {
    let lines = lines(context, payer, plan)?;
    context.show(&lines);
    warn(context, payer, plan)
}

/// The same as a note, where nobody is asked.
///
/// # Errors
/// As [`describe`].
pub fn tell_plan(context: &mut Context, payer: &KeyEntry, plan: &Plan) -> Result<()> {
    let lines = lines(context, payer, plan)?;
    context.output.note(lines);
    warn(context, payer, plan)
}

fn warn(context: &mut Context, payer: &KeyEntry, plan: &Plan) -> Result<()> {
    warn_of_recipients(context, payer, plan.transaction().outputs())?;
    if plan.replaces {
        return Ok(());
    }
    warn_of_nonces(context, plan.transaction(), plan.chain_nonce)
}

fn lines(context: &Context, payer: &KeyEntry, plan: &Plan) -> Result<String> {
    let transaction = plan.transaction();
    let from = context.wallet.show(&transaction.sender_address());
    let mut lines =
        vec![format!("  network {}", context.wallet.network().name), format!("  from    {}, {from}", payer.name)];
    let outputs = transaction.outputs();
    for Output { to, amount } in outputs {
        let name = context.wallet.name_of(to)?.map(|name| format!("{name}, ")).unwrap_or_default();
        lines.push(format!("  to      {name}{}", in_parts(&context.wallet.show(to))));
        lines.push(format!("          {}", acquaintance(context, payer, to)?));
        lines.push(format!("  amount  {AMOUNT}{amount} far{AMOUNT:#}"));
    }
    let whose = if outputs.len() == 1 { "the recipient's new account" } else { "recipients' new accounts" };
    if outputs.len() > 1 {
        let amount = Mites::checked_sum(outputs.iter().map(|output| output.amount)).ok_or(TransferError::Overflow)?;
        lines.push(format!("  sum     {AMOUNT}{amount} far{AMOUNT:#} in {} payments", outputs.len()));
    }
    let opening =
        if plan.opening.is_zero() { String::new() } else { format!(" (of it {} far to open {whose})", plan.opening) };
    lines.push(format!("  fee     {AMOUNT}{} far{AMOUNT:#}{opening}", transaction.fee()));
    if let Some(blocks) = plan.within_blocks {
        lines.push(format!("  mined   {}", expectation(context, blocks)));
    }
    lines.push(format!("  nonce   {}", transaction.nonce()));
    if !transaction.memo().is_empty() {
        lines.push(format!("  memo    {:?} (public for ever)", String::from_utf8_lossy(transaction.memo())));
    }
    if let Some(height) = transaction.valid_until() {
        lines.push(format!("  until   block {height}"));
    }
    if let Some(left) = plan.left {
        lines.push(format!("  left    {AMOUNT}{left} far{AMOUNT:#}"));
    }
    Ok(lines.join("\n"))
}

/// How soon, on the node's word.
#[must_use]
pub fn expectation(context: &Context, blocks: u32) -> String {
    let each = Duration::from_millis(context.wallet.network().target_spacing_ms);
    let time = Duration::from_secs(each.saturating_mul(blocks).as_secs().max(1));
    let blocks = if blocks == 1 { "the next block".to_owned() } else { format!("{blocks} blocks") };
    format!("expected within {blocks}, about {} (the node's word)", humantime::format_duration(time))
}

fn acquaintance(context: &Context, payer: &KeyEntry, to: &Address) -> Result<String> {
    Ok(if *to == payer.public.address() {
        "the paying account itself".into()
    } else if context.wallet.keys().list()?.iter().any(|key| key.public.address() == *to) {
        "a key of this wallet".into()
    } else if context.wallet.recipients()?.contains(to) {
        "paid before by this wallet".into()
    } else {
        paint(WARNING, "first payment of this wallet to this address")
    })
}

/// Warns of addresses that the eye takes for known ones, and of the own one.
///
/// # Errors
/// Those of contacts and keystore.
pub fn warn_of_recipients(context: &mut Context, payer: &KeyEntry, outputs: &[Output]) -> Result<()> {
    let mut known: Vec<(String, Address)> = Vec::new();
    for key in context.wallet.keys().list()? {
        known.push((format!("your key {}", key.name), key.public.address()));
    }
    for (name, address) in context.wallet.contacts()?.iter() {
        known.push((format!("the contact {name}"), *address));
    }
    let named = known.len();
    known.extend(context.wallet.recipients()?.iter().map(|address| ("an earlier recipient".to_owned(), *address)));
    let texts: Vec<String> = known.iter().map(|(_, address)| context.wallet.show(address)).collect();
    for Output { to, .. } in outputs {
        if *to == payer.public.address() {
            context.output.warn(if outputs.len() == 1 {
                "the recipient is the paying account itself: only the fee is spent"
            } else {
                "one of the recipients is the paying account itself: what it gets stays there"
            });
        }
        if known.iter().take(named).any(|(_, address)| address == to) {
            continue;
        }
        let shown = context.wallet.show(to);
        for ((who, _), other) in known.iter().zip(&texts) {
            if look_alike(&shown, other) {
                context.output.warn(format_args!(
                    "{} begins and ends like the address of {who}, but is another one: {}; compare all of it",
                    in_parts(&shown),
                    in_parts(other)
                ));
            }
        }
    }
    Ok(())
}

/// Warns if it was made before, of what else has the nonce, and of what has to be mined first and is not this wallet's: as many as lie between the
/// nonce that the account has used and this one.
///
/// # Errors
/// Those of the outbox.
pub fn warn_of_nonces(context: &mut Context, transaction: &Transaction, chain_nonce: u64) -> Result<()> {
    let (sender, nonce) = (transaction.sender_address(), transaction.nonce());
    let this = transaction.id(context.wallet.network().genesis_id()).to_string();
    let own = own_nonces(&context.wallet.outbox(), &sender)?;
    if own.iter().any(|(id, _)| *id == this) {
        context.output.warn(format_args!(
            "this is the transfer {this} of an earlier command again, which can be mined once: not a second payment"
        ));
    }
    for (id, _) in own.iter().filter(|(id, earlier)| *earlier == nonce && *id != this) {
        context.output.warn(format_args!(
            "the transfer {id} in the outbox has the nonce {nonce} too: only one of the two can be mined"
        ));
    }
    let foreign = (chain_nonce..nonce).filter(|nonce| !own.iter().any(|(_, own)| own == nonce)).count();
    if foreign > 0 {
        context.output.warn(format_args!(
            "by the node's word {foreign} transfers of this account wait that this wallet did not send (another copy of \
             the key?); this one can only be mined behind them"
        ));
    }
    Ok(())
}

/// Ids and nonces of an account's transfers in the outbox.
fn own_nonces(outbox: &Outbox, sender: &Address) -> Result<Vec<(String, u64)>> {
    let entries = outbox.entries()?;
    let own = entries.iter().filter(|entry| entry.place().0 == *sender);
    Ok(own.map(|entry| (entry.id.to_string(), entry.place().1)).collect())
}
