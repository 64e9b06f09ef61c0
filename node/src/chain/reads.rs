//! Reading the chain: every answer comes from the store, off the async threads.

use std::sync::{Arc, MutexGuard, PoisonError};

use farthing::{Block, BlockId, Hash, Header, Height, RangeNode, TxId, range::AncestryProof};
use farthing_consensus::HeaderContext;

use super::{Chain, ChainBlock, handle::Shared, headers::HeaderTree, rejection::ChainError};
use crate::store::checkpoint::Offer;

/// Longest locator: steps double, so this is enough for any chain.
const MAX_LOCATOR: usize = 64;
/// How many ids at the front of a locator stand side by side.
const DENSE_LOCATOR: usize = 10;

/// Where a transaction was mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MinedAt {
    /// Height of its block.
    pub height: Height,
    /// The block.
    pub block_id: BlockId,
    /// Position in the block, 1 for the first transaction behind the coinbase.
    pub index: u32,
}

impl Chain {
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Shared) -> Result<T, ChainError> + Send + 'static,
    ) -> Result<T, ChainError> {
        let shared = Arc::clone(&self.shared);
        self.shared.env.compute().run_blocking(move || read(&shared)).await
    }

    /// A block by id, on the best chain or beside it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn block(&self, id: BlockId) -> Result<Option<Arc<Block>>, ChainError> {
        self.read(move |shared| Ok(shared.store.block(&id)?)).await
    }

    /// The same, if it is in memory and need not be read.
    #[must_use]
    pub fn kept_block(&self, id: &BlockId) -> Option<Arc<ChainBlock>> {
        self.shared.read_blocks.get(id)
    }

    /// A block by id with its height, work and transaction ids.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn chain_block(&self, id: BlockId) -> Result<Option<Arc<ChainBlock>>, ChainError> {
        // What is in the store stays there.
        if let Some(block) = self.kept_block(&id) {
            return Ok(Some(block));
        }
        self.read(move |shared| {
            if let Some(block) = shared.read_blocks.get(&id) {
                return Ok(Some(block));
            }
            let (Some(context), Some(block)) = (shared.store.header(&id)?, shared.store.block(&id)?) else {
                return Ok(None);
            };
            let block = Arc::new(shared.chain_block(&context, block));
            let bytes = block.block.size_bytes() + block.tx_ids.len() * size_of::<TxId>();
            shared.read_blocks.put(id, Arc::clone(&block), bytes);
            Ok(Some(block))
        })
        .await
    }

    /// A header by id, its body here or not.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn header(&self, id: BlockId) -> Result<Option<HeaderContext>, ChainError> {
        self.read(move |shared| shared.header(&id)).await
    }

    /// Whether the body of a block need not be fetched: it is here, or the chain begins above it.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn has_body(&self, id: BlockId) -> Result<bool, ChainError> {
        self.read(move |shared| Ok(shared.store.header(&id)?.is_some())).await
    }

    /// Finds out which checkpoints there are for other nodes. May read them whole.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn prepare_offers(&self) -> Result<(), ChainError> {
        self.read(|shared| Ok(shared.store.prepare_offers()?)).await
    }

    /// The checkpoints that other nodes can have, as they were found last.
    #[must_use]
    pub fn offers(&self) -> Vec<Offer> {
        self.shared.store.offers()
    }

    /// Hashes of the pieces of a checkpoint that is offered; none if it is not, or no longer.
    #[must_use]
    pub fn offered_hashes(&self, block: &BlockId, digest: &Hash) -> Option<Vec<Hash>> {
        self.shared.store.offered_hashes(block, digest)
    }

    /// A piece of a checkpoint that is offered; none if it is not, or no longer, or has no such piece.
    ///
    /// # Errors
    /// Never, so far.
    pub async fn offered_piece(&self, block: BlockId, digest: Hash, index: u64) -> Result<Option<Vec<u8>>, ChainError> {
        self.read(move |shared| Ok(shared.store.offered_piece(&block, &digest, index))).await
    }

    /// Blocks whose records on the disk were found damaged: a good copy, submitted, takes their place.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn damaged(&self) -> Result<Vec<BlockId>, ChainError> {
        self.read(|shared| Ok(shared.store.damaged()?)).await
    }

    /// The block of the best chain at a height.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn best_at(&self, height: Height) -> Result<Option<BlockId>, ChainError> {
        self.read(move |shared| Ok(shared.store.best_at(height)?)).await
    }

    /// The height of a block that is on the best chain.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn best_height_of(&self, id: BlockId) -> Result<Option<Height>, ChainError> {
        self.read(move |shared| shared.best_height_of(&id)).await
    }

    /// Where a transaction was mined on the best chain.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn locate(&self, id: TxId) -> Result<Option<MinedAt>, ChainError> {
        self.read(move |shared| {
            let mut located = shared.store.locate(&id)?;
            loop {
                let Some((height, index)) = located else { return Ok(None) };
                let block_id = shared.store.best_at(height)?;
                // The best chain may have changed between the two questions: then another block stands at that height, and
                // the transaction elsewhere. Where it stands at the same place in both, both answers are right.
                let again = shared.store.locate(&id)?;
                if again == located {
                    return Ok(block_id.map(|block_id| MinedAt { height, block_id, index: index.saturating_add(1) }));
                }
                located = again;
            }
        })
        .await
    }

    /// Whether transactions are indexed; without that nobody can say which are mined.
    #[must_use]
    pub fn indexes_transactions(&self) -> bool {
        self.shared.store.indexes_transactions()
    }

    /// Whether a transaction is on the best chain; true as well if that cannot be told, because transactions are not
    /// indexed. Reads the disk on this thread.
    ///
    /// # Errors
    /// If the store fails.
    pub fn may_be_mined_blocking(&self, id: &TxId) -> Result<bool, ChainError> {
        Ok(!self.indexes_transactions() || self.shared.store.locate(id)?.is_some())
    }

    /// Ids of the best chain from the tip back to genesis at growing distances.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn locator(&self) -> Result<Vec<BlockId>, ChainError> {
        let tip = self.view().tip.height();
        self.read(move |shared| {
            let mut ids = Vec::new();
            let (mut height, mut step) = (tip, 1);
            while ids.len() < MAX_LOCATOR - 1 {
                ids.extend(shared.store.best_at(height)?);
                let Some(lower) = height.checked_sub(step) else { break };
                height = lower;
                if ids.len() >= DENSE_LOCATOR {
                    step *= 2;
                }
            }
            let genesis = *shared.params.genesis_id();
            if ids.last() != Some(&genesis) {
                ids.push(genesis);
            }
            Ok(ids)
        })
        .await
    }

    /// Headers of the best chain behind the first id of a locator that is on it, the lowest first; from genesis on if
    /// none is.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn headers_after(&self, locator: Vec<BlockId>, max: usize) -> Result<Vec<Header>, ChainError> {
        self.read(move |shared| {
            let mut from = Height::GENESIS;
            for id in &locator {
                if let Some(height) = shared.best_height_of(id)? {
                    from = height;
                    break;
                }
            }
            let mut headers = Vec::new();
            while headers.len() < max {
                from = from.next();
                let Some(id) = shared.store.best_at(from)? else { break };
                let Some(context) = shared.store.header(&id)? else { break };
                headers.push(*context.header());
            }
            Ok(headers)
        })
        .await
    }

    /// The newest headers of the best chain, the tip's last; at most `max`.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn newest_headers(&self, max: usize) -> Result<Vec<Header>, ChainError> {
        let tip = self.view().tip;
        self.read(move |shared| {
            let mut headers = vec![*tip.header()];
            while headers.len() < max {
                let Some(parent) = shared.store.header(&headers[headers.len() - 1].previous)? else { break };
                if parent.height() == Height::GENESIS {
                    break;
                }
                headers.push(*parent.header());
            }
            headers.reverse();
            Ok(headers)
        })
        .await
    }

    /// Proof that the block at `height` is an ancestor of the block at height `count`, whose header commits to the
    /// `count` headers before it. None if the best chain is not that long.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn ancestry_proof(&self, height: Height, count: u64) -> Result<Option<AncestryProof>, ChainError> {
        if count > self.view().range.count() {
            return Ok(None);
        }
        self.read(move |shared| {
            Ok(AncestryProof::build(height.get(), count, |position| -> Result<RangeNode, crate::store::StoreError> {
                shared.store.range_node(position)
            })?)
        })
        .await
    }
}

impl Shared {
    /// A header with its height and work, from the store or among those that wait for their bodies.
    pub(super) fn header(&self, id: &BlockId) -> Result<Option<HeaderContext>, ChainError> {
        if let Some(found) = self.store.header(id)? {
            return Ok(Some(found));
        }
        Ok(self.waiting_headers().get(id).cloned())
    }

    /// The headers that wait for their bodies: to be held for moments only, for calls wait for it on async threads.
    pub(super) fn waiting_headers(&self) -> MutexGuard<'_, HeaderTree> {
        self.headers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn best_height_of(&self, id: &BlockId) -> Result<Option<Height>, ChainError> {
        let Some(context) = self.store.header(id)? else { return Ok(None) };
        let on_chain = self.store.best_at(context.height())? == Some(*id);
        Ok(on_chain.then_some(context.height()))
    }

    pub(super) fn chain_block(&self, context: &HeaderContext, block: Arc<Block>) -> ChainBlock {
        let genesis = self.params.genesis_id();
        let tx_ids = block.transactions.iter().map(|signed| signed.transaction().id(genesis)).collect();
        ChainBlock { id: context.id(), height: context.height(), block, tx_ids, total_work: context.total_work() }
    }
}
