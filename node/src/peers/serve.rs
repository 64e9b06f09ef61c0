//! What this node gives when a peer asks, by a call or by a want.

use std::sync::{Arc, atomic::Ordering};

use farthing::{Block, BlockId, Hash, SignedTransaction, WireId, codec::Canonical as _, wire::peer as wire};
use prost::bytes::Bytes;

use super::{
    compact::Sent,
    convert::{PiecesQuery, checkpoints_to_wire, headers_to_wire, transactions_to_wire},
    limits::MAX_HEADERS,
    network::Inner,
};
use crate::chain::ChainError;

/// Headers of the best chain behind the first id of a locator that is on it.
pub(super) async fn headers(inner: &Inner, locator: Vec<BlockId>, most: usize) -> Result<wire::Headers, ChainError> {
    let headers = inner.chain.headers_after(locator, most.min(MAX_HEADERS)).await?;
    Ok(headers_to_wire(&headers))
}

/// A block as canonical bytes; empty if it is not here.
pub(super) async fn block(inner: &Inner, id: BlockId) -> Result<Bytes, ChainError> {
    let bytes = canonical_block(inner, id).await?;
    if !bytes.is_empty() {
        inner.relay.sent(Sent::Full, bytes.len());
    }
    Ok(bytes)
}

async fn canonical_block(inner: &Inner, id: BlockId) -> Result<Bytes, ChainError> {
    let found = match inner.chain.block(id).await {
        // As good as not here, until another copy was fetched.
        Err(error) if error.damaged_block().is_some() => None,
        found => found?,
    };
    let Some(block) = found else { return Ok(Bytes::new()) };
    // Writing a large block takes a while; small ones are not worth the way to another thread.
    const FEW: usize = 64;
    let write = |block: &Block| Bytes::from(block.to_canonical());
    if block.transactions.len() <= FEW {
        return Ok(write(&block));
    }
    Ok(inner.env.compute().run(move || write(&block)).await)
}

/// Transactions of the mempool; unknown ones are left out.
pub(super) fn transactions(inner: &Inner, ids: &[WireId]) -> wire::Transactions {
    let found: Vec<_> = ids.iter().filter_map(|id| inner.mempool.get_by_wire(id)).collect();
    transactions_to_wire(found.iter().map(|pooled| -> &SignedTransaction { pooled.transaction() }))
}

/// Checkpoints that are here for others. Which ones is found out beside, for it means to read them whole.
pub(super) fn checkpoints(inner: &Arc<Inner>) -> wire::Checkpoints {
    if !inner.preparing.swap(true, Ordering::AcqRel) {
        let finder = Arc::clone(inner);
        inner.spawn("peers: checkpoints", async move {
            if let Err(error) = finder.chain.prepare_offers().await {
                tracing::warn!(%error, "checkpoints cannot be given to peers");
            }
            finder.preparing.store(false, Ordering::Release);
        });
    }
    checkpoints_to_wire(&inner.chain.offers())
}

/// Hashes of a checkpoint's pieces; empty if it is not here.
pub(super) fn checkpoint_hashes(inner: &Inner, block: &BlockId, digest: &Hash) -> Bytes {
    let hashes = inner.chain.offered_hashes(block, digest).unwrap_or_default();
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// A piece of a checkpoint; empty if it is not here.
pub(super) async fn checkpoint_piece(inner: &Inner, query: &PiecesQuery, index: u64) -> Result<Bytes, ChainError> {
    let piece = inner.chain.offered_piece(query.block, query.digest, index).await?;
    Ok(piece.unwrap_or_default().into())
}
