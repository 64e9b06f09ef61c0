//! What a person sees before they say yes to a payroll.

use std::collections::HashSet;

use farthing::{Address, Mites, Output};

use super::{
    payees::{self, Row},
    round::Payroll,
};
use crate::{
    commands::send::{expectation, warn_of_nonces, warn_of_recipients},
    context::Context,
    error::Result,
    keystore::KeyEntry,
    output::counted,
    transfer::{Plan, TransferError},
};

/// Rows that are shown before the question; the dry run and the result show all.
const SHOWN: usize = 40;

/// Says what these plans will do, and gives what they come to, fees included.
///
/// # Errors
/// Those of contacts, keystore and outbox, and [`TransferError::Overflow`].
pub(super) fn describe(
    context: &mut Context,
    payer: &KeyEntry,
    payroll: &Payroll,
    parts: &[usize],
    plans: &[Plan],
) -> Result<Mites> {
    let rows: Vec<&Row> = parts.iter().flat_map(|part| payroll.part(*part)).collect();
    let sum = |amounts: &mut dyn Iterator<Item = Mites>| Mites::checked_sum(amounts).ok_or(TransferError::Overflow);
    let amount = sum(&mut rows.iter().map(|row| row.amount))?;
    let fees = sum(&mut plans.iter().map(|plan| plan.transaction().fee()))?;
    let opening = sum(&mut plans.iter().map(|plan| plan.opening))?;
    let total = amount.checked_add(fees).ok_or(TransferError::Overflow)?;
    let from = context.wallet.show(&payer.public.address());
    let mut lines =
        vec![format!("  network {}", context.wallet.network().name), format!("  from    {}, {from}", payer.name)];
    for row in rows.iter().take(SHOWN) {
        let to = context.wallet.show(&row.to);
        let named = if row.recipient == to { String::new() } else { format!("{}, ", row.recipient) };
        lines.push(format!("  line {:<5} {:>18} far  {named}{to}", row.line, row.amount.to_string()));
    }
    if rows.len() > SHOWN {
        lines.push(format!("  and {} more; --dry-run shows all", counted(rows.len() - SHOWN, "row")));
    }
    lines.push(format!(
        "  amount  {amount} far to {} in {}",
        counted(rows.len(), "row"),
        counted(plans.len(), "transaction")
    ));
    let opened = if opening.is_zero() {
        String::new()
    } else {
        format!(" (of it {opening} far to open recipients' new accounts)")
    };
    lines.push(format!("  fees    {fees} far{opened}"));
    lines.push(format!("  total   {total} far"));
    lines.extend(first_payments(context, payer, &rows)?);
    if let Some(blocks) = plans.iter().filter_map(|plan| plan.within_blocks).max() {
        lines.push(format!("  mined   {}", expectation(context, blocks)));
    }
    let memo = plans.first().map(|plan| plan.transaction().memo()).unwrap_or_default();
    if !memo.is_empty() {
        lines.push(format!("  memo    {:?} (public for ever)", String::from_utf8_lossy(memo)));
    }
    if let Some(left) = plans.first().and_then(|plan| plan.left) {
        lines.push(format!("  left    {left} far"));
    }
    context.show(&lines.join("\n"));
    let mut seen = HashSet::new();
    let recipients = rows.iter().filter(|row| seen.insert(row.to));
    let outputs: Vec<Output> = recipients.map(|row| Output { to: row.to, amount: row.amount }).collect();
    warn_of_recipients(context, payer, &outputs)?;
    for line in payees::repeated(&payroll.rows) {
        context.output.warn(format_args!(
            "line {line} pays the same amount to the same account as an earlier line: both are paid"
        ));
    }
    if let Some(first) = plans.first() {
        warn_of_nonces(context, first.transaction(), first.chain_nonce)?;
    }
    Ok(total)
}

/// How many are paid for the first time.
fn first_payments(context: &Context, payer: &KeyEntry, rows: &[&Row]) -> Result<Option<String>> {
    let known: HashSet<Address> = context.wallet.recipients()?.iter().copied().collect();
    let own: Vec<Address> = context.wallet.keys().list()?.iter().map(|key| key.public.address()).collect();
    let is_new = |to: &Address| !known.contains(to) && !own.contains(to) && *to != payer.public.address();
    let new: HashSet<Address> = rows.iter().map(|row| row.to).filter(is_new).collect();
    Ok((!new.is_empty())
        .then(|| format!("  new     {} that this wallet pays for the first time", counted(new.len(), "account"))))
}
