//! Proofs for whoever does not trust this node. Each is checked here as its reader will check it, before it is sent: a
//! reorganisation while it was made shows as a proof that does not hold, and it is made again.

use std::sync::Arc;

use farthing::{
    BlockId, Height, TxId,
    merkle::tx_path,
    transaction_proof::{Anchor, ProvenTransaction, TransactionProof},
    wire::v1,
};
use farthing_consensus::verify_chain_proof;

use super::{
    ApiError, Deps, Reason,
    accounts::{MAX_RACES, moved_from, raced},
    blocks, transactions,
};
use crate::chain::{ChainView, MinedAt};

pub(super) async fn transaction(
    deps: &Deps,
    request: v1::GetTransactionProofRequest,
) -> Result<v1::GetTransactionProofResponse, ApiError> {
    let id = TxId::try_from(request)?;
    for _ in 0..MAX_RACES {
        let view = deps.chain.view();
        let Some(at) = deps.chain.locate(id).await? else { return Err(not_mined(deps, id)) };
        if let Some((proof, proven)) = prove(deps, &view, &id, at).await? {
            return Ok(v1::GetTransactionProofResponse {
                proof: Some((&proof).into()),
                height: proven.height.get(),
                block_id: proven.block_id.to_bytes().to_vec().into(),
                block_id_hex: proven.block_id.to_string(),
                tip: Some((&blocks::tip(&view)).into()),
            });
        }
        // The store was ahead of the view, or the chain has left it.
        moved_from(&deps.chain, view.tip.id()).await;
    }
    Err(raced())
}

pub(super) async fn chain(deps: &Deps) -> Result<v1::GetChainProofResponse, ApiError> {
    for _ in 0..MAX_RACES {
        let view = deps.chain.view();
        if let Some(proof) = deps.chain.chain_proof(&view).await? {
            let (params, worker) = (Arc::clone(deps.chain.params()), deps.env.compute());
            // Some milliseconds: it is checked off the async threads.
            let proof = worker
                .run(move || verify_chain_proof(&params, &proof).is_ok().then(|| v1::ChainProof::from(&proof)))
                .await;
            if proof.is_some() {
                return Ok(v1::GetChainProofResponse { proof, tip: Some((&blocks::tip(&view)).into()) });
            }
        }
        moved_from(&deps.chain, view.tip.id()).await;
    }
    Err(raced())
}

/// The proof under the view's tip; none if the view and the store are not of the same moment.
async fn prove(
    deps: &Deps,
    view: &Arc<ChainView>,
    id: &TxId,
    at: MinedAt,
) -> Result<Option<(TransactionProof, ProvenTransaction)>, ApiError> {
    let tip = view.tip.id();
    let Some(block) = deps.chain.block(at.block_id).await? else {
        return match deps.chain.lowest_body() {
            lowest if at.height < lowest => Err(ApiError::pruned(at.height, lowest)),
            _ => Ok(None),
        };
    };
    let header = block.header;
    // Some milliseconds for a full block.
    let worker = deps.env.compute();
    let found = worker.run(move || {
        let leaf = leaf(at.index)?;
        let signed = block.transactions.get(leaf.checked_sub(1)?)?.clone();
        Some((tx_path(&block.leaves(), leaf)?, signed))
    });
    let Some((path, signed)) = found.await else { return Ok(None) };
    let Some(anchor) = anchor(deps, view, at.block_id, at.height).await? else { return Ok(None) };
    let proof = TransactionProof { signed, header, path, anchor };
    // Cheap: a score of hashes.
    let proven = proof.verify(deps.chain.params(), id, &tip);
    Ok(proven.ok().map(|proven| (proof, proven)))
}

async fn anchor(
    deps: &Deps,
    view: &Arc<ChainView>,
    block: BlockId,
    height: Height,
) -> Result<Option<Anchor>, ApiError> {
    let accounts_root = view.accounts.root();
    if block == view.tip.id() {
        let range = deps.chain.range_before(view).await?.flatten();
        return Ok(range.map(|range| Anchor::Tip { accounts_root, range }));
    }
    let ancestry = deps.chain.ancestry_proof(height, view.tip.height().get()).await?;
    Ok(ancestry.map(|ancestry| Anchor::Ancestor { tip: *view.tip.header(), accounts_root, ancestry }))
}

fn leaf(index: u32) -> Option<usize> {
    usize::try_from(index).ok()
}

/// Why there is no proof for a transaction that is not on the chain.
fn not_mined(deps: &Deps, id: TxId) -> ApiError {
    let Some(status) = deps.mempool.status(&id) else {
        return ApiError::unknown_transaction(id, &deps.chain);
    };
    let status = v1::TransactionStatus::from(&transactions::in_pool(id, status));
    let (state, reason) =
        (status.state().as_str_name().trim_start_matches("TRANSACTION_STATE_"), status.reason.clone());
    let message = format!("transaction {id} is not mined, but {}; only mined ones have a proof", state.to_lowercase());
    let error = ApiError::new(Reason::TransactionNotMined, message).with("transaction_id", id).with("state", state);
    if reason.is_empty() { error } else { error.with("drop_reason", reason) }
}
