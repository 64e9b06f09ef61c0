//! Transactions: in by one or by many, and where they stand.

use std::time::Duration;

use farthing::{
    SignedTransaction, TxId,
    wire::{
        ReadMask, TransactionStanding, TransactionStatus, WireError, WireFault, canonical_transaction,
        transaction_view, v1,
    },
};
use tokio::time::timeout;

use super::{ApiError, Deps, Reason, blocks, refusals::Credit};
use crate::{
    mempool::{Admitted, DropReason, PoolStatus, Rejection, Source},
    server::CallMeter,
};

/// Most transactions of one batch.
pub const MAX_BATCH: usize = 1_000;
/// How long the mempool is waited for behind a new tip.
const FOLLOWS_WITHIN: Duration = Duration::from_secs(2);
/// Most confirmations that a call waits for.
pub(super) const MAX_CONFIRMATIONS: u64 = 10_000;
/// Larger batches are read off the async threads.
const MANY: usize = 16;

pub(super) async fn submit(
    deps: &Deps,
    credit: &Credit,
    request: v1::SubmitTransactionRequest,
) -> Result<v1::SubmitTransactionResponse, ApiError> {
    credit.check(deps.env.clock().elapsed())?;
    let signed = SignedTransaction::try_from(request)?;
    submit_one(deps, credit, signed)
        .await
        .map(|status| v1::SubmitTransactionResponse { status: Some((&status).into()) })
}

/// Takes a transfer; where it stands then.
pub(super) async fn submit_one(
    deps: &Deps,
    credit: &Credit,
    signed: SignedTransaction,
) -> Result<TransactionStatus, ApiError> {
    let id = signed.transaction().id(deps.chain.params().genesis_id());
    if let Err(syncing) = refuse_while_syncing(deps) {
        // What is known already is not refused: whoever asks again learns where it stands.
        return standing(deps, id).await?.ok_or(syncing);
    }
    let verdict = judge(deps, credit, vec![signed]).await.pop();
    let verdict = verdict.ok_or_else(|| ApiError::new(Reason::Internal, "the mempool gave no verdict"))?;
    settle(deps, id, verdict).await
}

pub(super) async fn submit_many(
    deps: &Deps,
    credit: &Credit,
    request: v1::SubmitTransactionsRequest,
) -> Result<v1::SubmitTransactionsResponse, ApiError> {
    refuse_while_syncing(deps)?;
    credit.check(deps.env.clock().elapsed())?;
    let found = request.transactions_bytes.len();
    if found == 0 || found > MAX_BATCH {
        let fault = WireFault::Count { unit: "transactions", min: 1, max: MAX_BATCH, found };
        return Err(WireError::new("transactions_bytes", fault).into());
    }
    let items = read_batch(deps, request).await;
    let mut good = Vec::with_capacity(items.len());
    let slots: Vec<Result<TxId, ApiError>> = items
        .into_iter()
        .map(|item| {
            item.map(|(id, signed)| {
                good.push(signed);
                id
            })
        })
        .collect();
    let mut verdicts = judge(deps, credit, good).await.into_iter();
    let mut results = Vec::with_capacity(slots.len());
    for slot in slots {
        let settled = match slot {
            Err(error) => Err(error),
            Ok(id) => match verdicts.next() {
                Some(verdict) => settle(deps, id, verdict).await,
                None => Err(ApiError::new(Reason::Internal, "the mempool gave too few verdicts")),
            },
        };
        let verdict = match settled {
            Ok(status) => v1::submit_transactions_result::Verdict::Status((&status).into()),
            Err(error) => v1::submit_transactions_result::Verdict::Error(error.into()),
        };
        results.push(v1::SubmitTransactionsResult { verdict: Some(verdict) });
    }
    Ok(v1::SubmitTransactionsResponse { results })
}

/// The mempool's verdicts. Signatures that it verified in vain are the caller's to pay for, who may have gone by then.
async fn judge(deps: &Deps, credit: &Credit, transactions: Vec<SignedTransaction>) -> Vec<Result<Admitted, Rejection>> {
    follow_the_tip(deps).await;
    deps.mempool.submit_charging(transactions, Source::Rpc, credit.charging(&deps.env)).await
}

/// Waits until the mempool has followed the chain to the present tip: a client that has seen a block builds on it at once,
/// and must not be told that it lacks the money.
pub(super) async fn follow_the_tip(deps: &Deps) {
    let height = deps.chain.view().tip.height();
    let mut pool = deps.mempool.watch();
    // Late, it judges by what it knows, as it would for any other caller.
    let _ = timeout(FOLLOWS_WITHIN, pool.wait_for(|stats| stats.height >= height)).await;
}

/// Where a transaction stands that was taken or mined before.
pub(super) async fn standing(deps: &Deps, id: TxId) -> Result<Option<TransactionStatus>, ApiError> {
    let present = |status: &PoolStatus| matches!(status, PoolStatus::Pending | PoolStatus::Queued);
    match deps.mempool.status(&id).filter(present) {
        Some(status) => Ok(Some(in_pool(id, status))),
        None => mined(deps, id).await,
    }
}

/// The same, and why it was dropped if it was.
pub(super) async fn standing_or_dropped(deps: &Deps, id: TxId) -> Result<Option<TransactionStatus>, ApiError> {
    if let Some(status) = standing(deps, id).await? {
        return Ok(Some(status));
    }
    Ok(deps.mempool.status(&id).map(|status| in_pool(id, status)))
}

/// Reads each item by itself: one that is malformed does not touch the others.
async fn read_batch(
    deps: &Deps,
    request: v1::SubmitTransactionsRequest,
) -> Vec<Result<(TxId, SignedTransaction), ApiError>> {
    let genesis = *deps.chain.params().genesis_id();
    let many = request.transactions_bytes.len() > MANY;
    let read = move || {
        let items = request.transactions_bytes.iter().enumerate();
        items
            .map(|(at, bytes)| match canonical_transaction(bytes) {
                Ok(signed) => Ok((signed.transaction().id(&genesis), signed)),
                Err(error) => Err(ApiError::of_item(error, "transactions_bytes", at)),
            })
            .collect()
    };
    if many { deps.env.compute().run(read).await } else { read() }
}

/// What the sender is told. The mempool does not know what was mined long ago; the chain does.
pub(super) async fn settle(
    deps: &Deps,
    id: TxId,
    verdict: Result<Admitted, Rejection>,
) -> Result<TransactionStatus, ApiError> {
    match verdict {
        Ok(Admitted { status, .. }) => Ok(in_pool(id, status)),
        Err(rejection @ Rejection::NonceTooLow { .. }) => match mined(deps, id).await? {
            Some(status) => Ok(status),
            None => Err(rejection.into()),
        },
        Err(rejection) => Err(rejection.into()),
    }
}

/// The confirmations that a call waits for, 1 if nothing is said.
pub(super) fn confirmations_wanted(found: u64) -> Result<u64, WireError> {
    if found > MAX_CONFIRMATIONS {
        let fault = WireFault::OutOfRange { min: 0, max: MAX_CONFIRMATIONS, found };
        return Err(WireError::new("confirmations", fault));
    }
    Ok(found.max(1))
}

pub(super) fn refuse_while_syncing(deps: &Deps) -> Result<(), ApiError> {
    if *deps.network.syncing().borrow() {
        return Err(ApiError::new(Reason::Syncing, "the node is fetching blocks and takes no transactions yet"));
    }
    Ok(())
}

pub(super) async fn get(
    deps: &Deps,
    request: v1::GetTransactionRequest,
    meter: Option<&CallMeter>,
) -> Result<v1::GetTransactionResponse, ApiError> {
    let mask = ReadMask::read(request.read_mask.as_ref())?;
    let id = TxId::try_from(request)?;
    let mut found = look_up(deps, id, mask.wants("transaction"), meter).await?;
    mask.apply(&mut found);
    Ok(found)
}

/// Where a transaction stands, with the transaction if it is wanted.
async fn look_up(
    deps: &Deps,
    id: TxId,
    with_transaction: bool,
    meter: Option<&CallMeter>,
) -> Result<v1::GetTransactionResponse, ApiError> {
    if let Some(found) = on_chain(deps, id, with_transaction, meter).await? {
        return Ok(found);
    }
    if let Some(status) = deps.mempool.status(&id) {
        let pooled = deps.mempool.get(&id);
        // Mined between the two questions: then the chain has it now.
        if pooled.is_some() || matches!(status, PoolStatus::Dropped { .. }) {
            let pooled = pooled.filter(|_| with_transaction);
            let view = pooled.map(|pooled| transaction_view(deps.chain.params(), pooled.transaction()));
            return Ok(v1::GetTransactionResponse { status: Some((&in_pool(id, status)).into()), transaction: view });
        }
    }
    on_chain(deps, id, with_transaction, meter).await?.ok_or_else(|| ApiError::unknown_transaction(id, &deps.chain))
}

async fn on_chain(
    deps: &Deps,
    id: TxId,
    with_transaction: bool,
    meter: Option<&CallMeter>,
) -> Result<Option<v1::GetTransactionResponse>, ApiError> {
    let Some(status) = mined(deps, id).await? else { return Ok(None) };
    if !with_transaction {
        return Ok(Some(v1::GetTransactionResponse { status: Some((&status).into()), transaction: None }));
    }
    let TransactionStanding::Mined { block_id, index, .. } = status.standing else { return Ok(None) };
    if let Some(meter) = meter.filter(|_| deps.chain.kept_block(&block_id).is_none()) {
        // The block is read whole for one of its transactions; charged before, as the call may be given up at any time.
        meter.charge(1);
    }
    let Some(block) = deps.chain.chain_block(block_id).await? else { return Ok(None) };
    let place = usize::try_from(index).ok().and_then(|index| index.checked_sub(1));
    let Some(signed) = place.and_then(|place| block.block.transactions.get(place)) else { return Ok(None) };
    let view = transaction_view(deps.chain.params(), signed);
    Ok(Some(v1::GetTransactionResponse { status: Some((&status).into()), transaction: Some(view) }))
}

async fn mined(deps: &Deps, id: TxId) -> Result<Option<TransactionStatus>, ApiError> {
    let Some(at) = deps.chain.locate(id).await? else { return Ok(None) };
    let confirmations = blocks::confirmations(&deps.chain, at.block_id, at.height).await?;
    let standing =
        TransactionStanding::Mined { block_id: at.block_id, height: at.height, index: at.index, confirmations };
    Ok(Some(TransactionStatus { id, standing }))
}

/// Where a transaction stands that is not on the chain.
pub(super) fn in_pool(id: TxId, status: PoolStatus) -> TransactionStatus {
    let standing = match status {
        PoolStatus::Pending => TransactionStanding::Pending,
        PoolStatus::Queued => TransactionStanding::Queued,
        PoolStatus::Dropped { reason, .. } => {
            let replaced_by = match reason {
                DropReason::Replaced { by } => Some(by),
                _ => None,
            };
            TransactionStanding::Dropped { reason: reason.reason().to_owned(), replaced_by }
        }
    };
    TransactionStatus { id, standing }
}
