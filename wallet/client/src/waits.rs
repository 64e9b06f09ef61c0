//! Submitting with a wait, and what a transfer would do and cost before it is submitted.

use std::time::Duration;

use farthing::{
    Address, Height, Mites, Sender, SignedTransaction, Transaction, TxId,
    codec::Canonical as _,
    tx::TRANSACTION_VERSION,
    wire::{ChainPoint, TransactionStatus, WireError, v1},
};
use tokio::time::Instant;

use crate::{
    answers::Verdict,
    calls::{ask, other_answer, refusal_of, status_of},
    client::{Client, Needs},
    error::Error,
    pool::NodeSlot,
    read,
};

/// What to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitFor {
    /// Until it is on the node's disk, as [`Client::submit`] does.
    Accepted,
    /// Until it is in a block of the best chain.
    Mined,
    /// Until so many blocks, from its own up to the tip, hold it: 1 to 1,000.
    Confirmations(u64),
}

/// What became of a transfer that was waited for, on the node's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waited {
    /// Where it stands: as waited for, dropped, or, if `timed_out`, whatever was reached.
    pub status: TransactionStatus,
    /// The time was over first. The transfer stays submitted and may still be mined.
    pub timed_out: bool,
}

/// What would happen to a transfer, on the node's word but for its id.
#[derive(Debug, Clone, PartialEq)]
pub struct Simulation {
    /// What submitting it would answer.
    pub verdict: Verdict,
    /// Its id.
    pub id: TxId,
    /// Fee, balances, outputs and what it would displace, as the node sends it.
    pub particulars: v1::SimulateTransactionResponse,
}

/// Three prices, on the node's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeeEstimates {
    /// For the tenth block from now at the latest.
    pub slow: FeeEstimate,
    /// For the third block from now at the latest.
    pub normal: FeeEstimate,
    /// For the next block.
    pub fast: FeeEstimate,
    /// Size that was reckoned with, in bytes.
    pub size_bytes: u32,
    /// Key that was reckoned with, in bits.
    pub key_bits: u32,
    /// The tip that they are for.
    pub tip: ChainPoint,
}

/// A price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeeEstimate {
    /// The whole fee.
    pub fee: Mites,
    /// What is left for the miner, in mites per canonical byte.
    pub rate_mites_per_byte: u64,
    /// What is burned for accounts that are opened.
    pub burned: Mites,
    /// Blocks within which it is expected to be mined, 1 for the next one.
    pub within_blocks: u32,
    /// Height of the last of these.
    pub by_height: Height,
}

impl Client {
    /// Hands in a transfer and waits for what becomes of it, for at most `timeout` (up to 300 s) whatever happens to the
    /// nodes meanwhile: one that stops is left for another, where the same bytes are the same transfer.
    ///
    /// # Errors
    /// [`Error`]; as with [`Client::submit`], only a [definite](Error::is_definite) one says that it was not taken.
    pub async fn submit_and_wait(
        &self,
        transfer: &SignedTransaction,
        wait_for: WaitFor,
        timeout: Duration,
    ) -> Result<Waited, Error> {
        use v1::submit_transaction_and_wait_request::{Form, WaitFor as Wanted};
        let form = Some(Form::TransactionBytes(transfer.to_canonical().into()));
        let wait_for = Some(match wait_for {
            WaitFor::Accepted => Wanted::Accepted(true),
            WaitFor::Mined => Wanted::Mined(true),
            WaitFor::Confirmations(blocks) => Wanted::Confirmations(blocks),
        });
        let request = v1::SubmitTransactionAndWaitRequest { form, wait_for, timeout_ms: 0 };
        let (id, begin) = (self.id_of(transfer), Instant::now());
        let ask = |mut service: crate::pool::Service| {
            // A further attempt waits for what is left; 0 would mean the node's own default.
            let left = timeout.saturating_sub(begin.elapsed()).as_millis();
            let timeout_ms = u32::try_from(left).unwrap_or(u32::MAX).max(1);
            let request = v1::SubmitTransactionAndWaitRequest { timeout_ms, ..request.clone() };
            async move { service.submit_transaction_and_wait(request).await }
        };
        self.call_for(timeout, Needs::Anyone, ask, |answer: v1::SubmitTransactionAndWaitResponse, node| {
            Ok(Waited { status: status_of(answer.status, &id, node)?, timed_out: answer.timed_out })
        })
        .await
    }

    /// What would happen to a transfer if it was handed in now. Nothing is stored or relayed.
    ///
    /// # Errors
    /// [`Error`]. That the transfer would be refused is no error: the verdict says it.
    pub async fn simulate(&self, transfer: &SignedTransaction) -> Result<Simulation, Error> {
        let form = v1::simulate_transaction_request::Form::TransactionBytes(transfer.to_canonical().into());
        self.simulate_form(form, self.id_of(transfer)).await
    }

    /// The same for a transfer that nobody has signed yet. What its signature would break is not found.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn simulate_draft(&self, draft: &Transaction) -> Result<Simulation, Error> {
        let sender = match draft.sender() {
            Sender::Key(key) => v1::transaction::Sender::PublicKey(key.as_spki().to_vec().into()),
            Sender::Address(address) => v1::transaction::Sender::SenderAddress(address.to_bytes().to_vec().into()),
        };
        let message = v1::Transaction {
            version: TRANSACTION_VERSION.into(),
            sender: Some(sender),
            nonce: draft.nonce(),
            fee_mites: draft.fee().get(),
            valid_until_height: draft.valid_until().map_or(0, Height::get),
            outputs: draft.outputs().iter().map(v1::TransactionOutput::from).collect(),
            memo: draft.memo().to_vec().into(),
            signature: Vec::new().into(),
        };
        let form = v1::simulate_transaction_request::Form::Transaction(message);
        self.simulate_form(form, draft.id(self.network().genesis_id())).await
    }

    async fn simulate_form(&self, form: v1::simulate_transaction_request::Form, id: TxId) -> Result<Simulation, Error> {
        let request = v1::SimulateTransactionRequest { form: Some(form) };
        self.call(Needs::Tip, ask!(simulate_transaction, request), |answer: v1::SimulateTransactionResponse, node| {
            use v1::simulate_transaction_response::Verdict as Said;
            let found: TxId = read::id("transaction_id", &answer.transaction_id, node)?;
            if found != id {
                return Err(other_answer(node, &found, &id));
            }
            let verdict = match &answer.verdict {
                Some(Said::Status(status)) => Ok(status_of(Some(status.clone()), &id, node)?),
                Some(Said::Error(error)) => Err(refusal_of(error.clone(), node)?),
                None => return Err(node.malformed(WireError::missing("verdict"))),
            };
            Ok(Simulation { verdict, id, particulars: answer })
        })
        .await
    }

    /// What a later transfer of an account (nonce above 0) with a key of 2,048 bits and without memo should pay that pays these
    /// recipients, at most 64. For other shapes ask with [`Client::estimate_fee_of`].
    ///
    /// # Errors
    /// [`Error`].
    pub async fn estimate_fee(&self, recipients: &[Address]) -> Result<FeeEstimates, Error> {
        let recipients = recipients.iter().map(|address| address.to_bytes().to_vec().into()).collect();
        self.estimate_fee_of(v1::TransactionShape { recipients, ..Default::default() }).await
    }

    /// What a transfer of this shape should pay.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn estimate_fee_of(&self, shape: v1::TransactionShape) -> Result<FeeEstimates, Error> {
        let subject = Some(v1::estimate_fee_request::Subject::Shape(shape));
        let request = v1::EstimateFeeRequest { subject };
        self.call(Needs::Tip, ask!(estimate_fee, request), |answer: v1::EstimateFeeResponse, node| {
            let (slow, normal, fast) = (
                estimate("slow", answer.slow, node)?,
                estimate("normal", answer.normal, node)?,
                estimate("fast", answer.fast, node)?,
            );
            let (size_bytes, key_bits, tip) = (answer.size_bytes, answer.key_bits, node.read_tip(answer.tip)?);
            Ok(FeeEstimates { slow, normal, fast, size_bytes, key_bits, tip })
        })
        .await
    }

    /// What has to be paid, what waits and what was paid lately, as the message that a node sends.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn fees(&self) -> Result<v1::GetFeesResponse, Error> {
        let request = v1::GetFeesRequest {};
        self.call(Needs::Tip, ask!(get_fees, request), |answer: v1::GetFeesResponse, node| {
            node.read_tip(answer.tip.clone())?;
            Ok(answer)
        })
        .await
    }
}

fn estimate(field: &'static str, message: Option<v1::FeeEstimate>, node: &NodeSlot) -> Result<FeeEstimate, Error> {
    let message = message.ok_or_else(|| node.malformed(WireError::missing(field)))?;
    Ok(FeeEstimate {
        fee: Mites::new(message.fee_mites),
        rate_mites_per_byte: message.rate_mites_per_byte,
        burned: Mites::new(message.burned_mites),
        within_blocks: message.expected_within_blocks,
        by_height: Height::new(message.expected_by_height),
    })
}
