//! `send --dry-run`: what a node would do with the transfer; nothing is signed.

use std::fmt;

use serde::Serialize;

use super::{Asks, Earlier, SentView, find, screen};
use crate::{
    client::{NodeClient, NodeError},
    commands::{resubmit::look_at_outbox, terms::Terms},
    context::Context,
    error::Result,
    fate::Fate,
    keystore::KeyEntry,
    outbox::Marks,
    transfer::{FeeBounds, Order, Plan, TransferError},
};

/// What the command would do.
pub(super) struct Wished<'a> {
    pub(super) payer: &'a KeyEntry,
    pub(super) order: &'a Order,
    pub(super) bounds: FeeBounds,
    pub(super) marks: &'a Marks,
    /// Whether what was interrupted does not count.
    pub(super) again: bool,
}

/// What would happen.
#[derive(Debug, Serialize)]
struct DryRun {
    state: &'static str,
    /// Of the transfer as it stands; it changes with every field.
    transaction_id: String,
    #[serde(flatten)]
    terms: Terms,
    /// What of the fee opens accounts.
    opening: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected_within_blocks: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    balance_after: Option<String>,
    /// Why the node would refuse it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl fmt::Display for DryRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.reason {
            None => write!(f, "the node would take it; nothing was signed or sent"),
            Some(reason) => write!(f, "the node would refuse it: {reason}"),
        }
    }
}

/// Says what the command would do: go on with what an earlier one made, refuse, or pay; and asks the node what it would do.
///
/// # Errors
/// As `send` without `--dry-run`, and [`TransferError::Rejected`] after the result if the node would refuse it.
pub(super) fn run(context: &mut Context, client: &NodeClient, wished: &Wished<'_>) -> Result<()> {
    let Wished { payer, order, bounds, marks, again } = wished;
    let looked = look_at_outbox(context, client)?;
    match find(context, marks, &looked, *again, Asks::Nobody)? {
        Earlier::Nothing(_) => {}
        Earlier::Settled(entry) => {
            context.output.note("an earlier command made this payment; this one would only say so");
            let view = SentView::settled(context, &entry.transfer, entry.id)?.under(marks.key.as_ref(), true);
            return Ok(context.output.data(&view)?);
        }
        Earlier::Open(one) => {
            let would = match one.fate {
                Fate::Mined { .. } | Fate::Settled => "it is mined, and this one would only say so",
                Fate::Waiting(_) => "this one would wait for it",
                _ => "this one would hand it in again",
            };
            let again = if marks.key.is_some() { "" } else { " (--again pays once more)" };
            context.output.note(format_args!("an earlier command made this payment; {would}{again}"));
            let view = SentView::earlier(context, &one.entry.transfer, one.entry.id, "would_go_on")?;
            return Ok(context.output.data(&view.under(marks.key.as_ref(), true))?);
        }
    }
    let network = std::sync::Arc::clone(context.settings.network());
    let plan = Plan::draw(client, &network, &payer.public, order, *bounds)?;
    super::check_refused(context, client, plan.transaction(), false)?;
    super::check_name(context, plan.transaction(), marks)?;
    screen::describe(context, payer, &plan)?;
    let transaction = plan.transaction();
    let simulation = client.simulate(transaction)?;
    let refusal = simulation.verdict.err().map(|refusal| NodeError::of_verdict(*refusal));
    context.output.data(&DryRun {
        state: if refusal.is_none() { "would_be_taken" } else { "would_be_refused" },
        transaction_id: simulation.id.to_string(),
        terms: Terms::of(context, transaction)?,
        opening: plan.opening.to_string(),
        expected_within_blocks: plan.within_blocks,
        balance_after: plan.left.map(|left| left.to_string()),
        reason: refusal.as_ref().map(ToString::to_string),
    })?;
    match refusal {
        None => Ok(()),
        Some(NodeError::Refused { reason, message, required_fee, .. }) => {
            Err(TransferError::Rejected { id: None, reason, message, required_fee }.into())
        }
        Some(other) => Err(other.into()),
    }
}
