//! `tx show`, and how a transfer is shown.

use std::fmt;

use farthing::{TxId, wire::TransactionStanding};
use serde::Serialize;

use super::standing::{Found, Stands, look};
use crate::{
    commands::{send::state, terms::Terms},
    context::Context,
    error::Result,
    outbox::Kind,
    transfer::TransferError,
    verify::Evidence,
};

/// Where a transfer stands, and what it says.
#[derive(Debug, Serialize)]
pub(super) struct StandingView {
    transaction_id: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    /// On the node's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    block_id: Option<String>,
    confirmations: u64,
    /// Why the node dropped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What took its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaced_by: Option<String>,
    /// The id that the person gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// What this wallet made it for.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<Kind>,
    /// The transfer whose place it takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces: Option<String>,
    /// Whether this wallet sent it and does not know for good what became of it.
    in_outbox: bool,
    #[serde(flatten)]
    terms: Option<Terms>,
    /// Whether that is proven from the history of the account that pays.
    verified: bool,
    /// What that was checked against.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) proof: Option<Evidence>,
}

impl StandingView {
    pub(super) fn new(context: &Context, found: Found) -> Result<Self> {
        let key = found.entry.as_ref().and_then(|entry| entry.marks.key.as_ref());
        let mut view = Self {
            transaction_id: found.id.to_string(),
            state: "unknown",
            block_height: None,
            block_id: None,
            confirmations: 0,
            reason: None,
            replaced_by: None,
            id: key.map(ToString::to_string),
            kind: found.entry.as_ref().map(|entry| entry.marks.kind),
            replaces: None,
            in_outbox: found.entry.is_some(),
            terms: found.transfer.as_ref().map(|transfer| Terms::of(context, transfer.transaction())).transpose()?,
            verified: found.proof.is_some(),
            proof: found.proof,
        };
        match found.stands {
            Stands::Unknown => {}
            Stands::Mined { height, block_id, depth } => {
                (view.state, view.block_height, view.block_id) = ("mined", Some(height), block_id);
                view.confirmations = depth.blocks;
            }
            Stands::Replaced { by } => {
                (view.state, view.replaced_by) = ("replaced", Some(hex::encode(by.as_bytes())));
            }
            Stands::Says(standing) => {
                view.state = state(&standing);
                match standing {
                    TransactionStanding::Mined { block_id, height, confirmations, .. } => {
                        (view.block_height, view.block_id) = (Some(height.get()), Some(block_id.to_string()));
                        view.confirmations = confirmations;
                    }
                    TransactionStanding::Dropped { reason, replaced_by } => {
                        (view.reason, view.replaced_by) = (Some(reason), replaced_by.map(|by| by.to_string()));
                    }
                    TransactionStanding::Pending | TransactionStanding::Queued => {}
                }
            }
        }
        Ok(view)
    }

    /// As one that takes the place of another; none takes its own.
    pub(super) fn replacing(mut self, id: &TxId) -> Self {
        self.replaces = Some(id.to_string()).filter(|id| *id != self.transaction_id);
        self
    }
}

impl fmt::Display for StandingView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transaction_id, self.state)?;
        if let Some(height) = self.block_height {
            write!(f, " in block {height}, confirmations: {}", self.confirmations)?;
        }
        if let Some(reason) = &self.reason {
            write!(f, ": {reason}")?;
        }
        if let Some(by) = &self.replaced_by {
            write!(f, " by {by}")?;
        }
        f.write_str(match (self.state, self.verified) {
            ("mined", true) => " (verified: in the sender's proven history)",
            (_, true) => " (verified: the sender's proven history has the other one)",
            ("unknown", false) => " to this node; the outbox has it, and farthing-wallet resubmit hands it in",
            _ => " (on the node's word)",
        })?;
        if self.kind == Some(Kind::Cancel) {
            f.write_str("\nfor        a cancellation: it takes the nonce of a payment, so that that is not paid")?;
        }
        if let Some(id) = &self.replaces {
            write!(f, "\nreplaces   {id}")?;
        }
        match &self.terms {
            Some(terms) => write!(f, "\n{terms}"),
            None => Ok(()),
        }
    }
}

/// Shows a transfer.
///
/// # Errors
/// [`TransferError::Unknown`], and those of [`look`].
pub(super) fn run(context: &mut Context, id: &TxId) -> Result<()> {
    let client = context.connect()?;
    let found = look(context, &client, id)?.ok_or(TransferError::Unknown(*id))?;
    let view = StandingView::new(context, found)?;
    tell(context, &view)
}

/// Prints what was found, and what of it was checked.
pub(super) fn tell(context: &mut Context, view: &StandingView) -> Result<()> {
    context.output.data(view)?;
    if let Some(proof) = &view.proof {
        context.tell(proof);
    }
    Ok(())
}
