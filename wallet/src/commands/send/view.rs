//! What `send` prints.

use std::fmt;

use farthing::{
    SignedTransaction, TxId,
    wire::{TransactionStanding, TransactionStatus},
};
use serde::Serialize;

use crate::{
    commands::terms::Terms, context::Context, error::Result, outbox::Key, transfer::Confirmed, verify::Evidence,
};

/// A transfer as it is shown once it was handed in.
#[derive(Debug, Serialize)]
pub struct SentView {
    transaction_id: String,
    state: &'static str,
    #[serde(flatten)]
    terms: Terms,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_height: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    block_id: Option<String>,
    confirmations: u64,
    /// The id that the person gave.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Whether an earlier command made the payment, and this one only went on with it.
    resumed: bool,
    /// Whether the sender's proven history contains it.
    verified: bool,
    /// What that was checked against, and what is on the node's word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proof: Option<Evidence>,
}

impl SentView {
    /// Of a transfer and where it stands.
    ///
    /// # Errors
    /// Those of contacts and keystore.
    pub fn new(
        context: &Context,
        transfer: &SignedTransaction,
        status: &TransactionStatus,
        proof: Option<Evidence>,
    ) -> Result<Self> {
        let mut view = Self {
            transaction_id: status.id.to_string(),
            state: state(&status.standing),
            terms: Terms::of(context, transfer.transaction())?,
            block_height: None,
            block_id: None,
            confirmations: 0,
            id: None,
            resumed: false,
            verified: proof.is_some(),
            proof,
        };
        if let TransactionStanding::Mined { block_id, height, confirmations, .. } = &status.standing {
            view.block_height = Some(height.get());
            view.block_id = Some(block_id.to_string());
            view.confirmations = *confirmations;
        }
        Ok(view)
    }

    /// Of one that has the confirmations that were asked for.
    ///
    /// # Errors
    /// As [`SentView::new`].
    pub fn confirmed(context: &Context, transfer: &SignedTransaction, id: TxId, confirmed: Confirmed) -> Result<Self> {
        let Confirmed { height, block, confirmations, proof } = confirmed;
        let status = TransactionStatus { id, standing: TransactionStanding::Pending };
        Ok(Self {
            state: "mined",
            block_height: Some(height.get()),
            block_id: block.map(|id| id.to_string()),
            confirmations,
            ..Self::new(context, transfer, &status, Some(proof))?
        })
    }

    /// Of one that is settled since an earlier command.
    ///
    /// # Errors
    /// As [`SentView::new`].
    pub fn settled(context: &Context, transfer: &SignedTransaction, id: TxId) -> Result<Self> {
        Self::earlier(context, transfer, id, "settled")
    }

    /// Of one of an earlier command, in a state that no node tells.
    ///
    /// # Errors
    /// As [`SentView::new`].
    pub fn earlier(context: &Context, transfer: &SignedTransaction, id: TxId, state: &'static str) -> Result<Self> {
        let status = TransactionStatus { id, standing: TransactionStanding::Pending };
        Ok(Self { state, resumed: true, ..Self::new(context, transfer, &status, None)? })
    }

    /// With the id that the person gave, and whether an earlier command made the payment.
    #[must_use]
    pub fn under(mut self, key: Option<&Key>, resumed: bool) -> Self {
        self.id = key.map(ToString::to_string);
        self.resumed = resumed;
        self
    }
}

impl fmt::Display for SentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.transaction_id, self.state)?;
        if let Some(height) = self.block_height {
            write!(f, " in block {height}, confirmations: {}", self.confirmations)?;
        }
        if self.verified {
            f.write_str(" (verified: in the sender's proven history)")?;
        }
        if self.resumed {
            f.write_str(" (of an earlier command; nothing was paid a second time)")?;
        }
        Ok(())
    }
}

/// A standing in one word.
#[must_use]
pub const fn state(standing: &TransactionStanding) -> &'static str {
    match standing {
        TransactionStanding::Pending => "pending",
        TransactionStanding::Queued => "queued",
        TransactionStanding::Mined { .. } => "mined",
        TransactionStanding::Dropped { .. } => "dropped",
    }
}
