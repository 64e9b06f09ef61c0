//! A transfer that is planned without a node, and what a node would have said against it.

use farthing::{Address, Mites};

use super::WordsError;
use crate::{
    context::Context,
    error::Result,
    keystore::KeyEntry,
    transfer::{self, Fee, FeeBounds, Order, Plan, TransferError},
};

/// Takes nonce and fee as given, within the bounds; warns of a fee that nodes may not take.
///
/// # Errors
/// [`WordsError::SpeedOffline`] and [`TransferError`].
pub fn plan_offline(
    context: &mut Context,
    payer: &KeyEntry,
    order: &Order,
    bounds: FeeBounds,
    nonce: u64,
) -> Result<Plan> {
    let (Fee::Exactly(fee), false) = (order.fee, order.all) else {
        let what = if order.all { "max" } else { "a speed" };
        return Err(WordsError::SpeedOffline(what.to_owned()).into());
    };
    let plan = Plan::offline(&payer.public, order, nonce, fee)?;
    let least = transfer::least_fee(&payer.public, order, nonce)?;
    if fee < least {
        context.output.warn(format_args!("nodes relay this transfer for {least} far or more, not for {fee} far"));
    }
    let opening = most_for_opening(context, payer, order)?;
    bounds.check(fee, opening)?;
    if !opening.is_zero() && fee < least.checked_add(opening).ok_or(TransferError::Overflow)? {
        let each = context.wallet.network().opening_cost;
        context.output.warn(format_args!(
            "no node was asked whether the recipient has an account; each that has none adds {each} far to the fee"
        ));
    }
    Ok(plan)
}

/// What opening accounts costs if no recipient has one.
fn most_for_opening(context: &Context, payer: &KeyEntry, order: &Order) -> Result<Mites> {
    let own = payer.public.address();
    let mut strangers: Vec<Address> = order.outputs.iter().map(|output| output.to).filter(|to| *to != own).collect();
    strangers.sort_unstable();
    strangers.dedup();
    let cost = context.wallet.network().opening_cost.checked_mul(strangers.len() as u64);
    Ok(cost.ok_or(TransferError::Overflow)?)
}
