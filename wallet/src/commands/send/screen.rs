//! What a person sees before they say yes.

use std::time::Duration;

use farthing::{Address, Output};

use crate::{
    context::Context,
    error::Result,
    keystore::KeyEntry,
    outbox::Outbox,
    output::style::{AMOUNT, WARNING, in_parts, paint},
    recipients::look_alike,
    transfer::Plan,
};

/// Says what a plan will do: on the screen of whoever is asked, else as a note.
///
/// # Errors
/// Those of contacts, keystore and outbox.
pub fn describe(context: &mut Context, payer: &KeyEntry, plan: &Plan) -> Result<()> {
    let transaction = plan.transaction();
    let from = context.wallet.show(&transaction.sender_address());
    let mut lines =
        vec![format!("  network {}", context.wallet.network().name), format!("  from    {}, {from}", payer.name)];
    for Output { to, amount } in transaction.outputs() {
        let name = context.wallet.name_of(to)?.map(|name| format!("{name}, ")).unwrap_or_default();
        lines.push(format!("  to      {name}{}", in_parts(&context.wallet.show(to))));
        lines.push(format!("          {}", acquaintance(context, payer, to)?));
        lines.push(format!("  amount  {AMOUNT}{amount} far{AMOUNT:#}"));
    }
    let opening = if plan.opening.is_zero() {
        String::new()
    } else {
        format!(" (of it {} far to open the recipient's new account)", plan.opening)
    };
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
    context.show(&lines.join("\n"));
    warn_of_recipients(context, payer, transaction.outputs())?;
    warn_of_nonces(context, plan)
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
            context.output.warn("the recipient is the paying account itself: only the fee is spent");
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

/// Warns of what else has the nonce, and of what has to be mined first and is not this wallet's.
///
/// # Errors
/// Those of the outbox.
pub fn warn_of_nonces(context: &mut Context, plan: &Plan) -> Result<()> {
    let transaction = plan.transaction();
    let (sender, nonce) = (transaction.sender_address(), transaction.nonce());
    let own = own_nonces(&context.wallet.outbox(), &sender)?;
    for (id, _) in own.iter().filter(|(_, earlier)| *earlier == nonce) {
        context.output.warn(format_args!(
            "the transfer {id} in the outbox has the nonce {nonce} too: only one of the two can be mined"
        ));
    }
    let foreign = (plan.chain_nonce..nonce).filter(|nonce| !own.iter().any(|(_, own)| own == nonce)).count();
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
