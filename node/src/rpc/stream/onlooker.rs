//! The chain as somebody sees it who cares for one thing in each block.

use std::future::Future;

use farthing::{BlockId, Height, wire::ChainPoint};

use super::follow::{BestChain, Lineage, Link};
use crate::{
    chain::{Chain, ChainError, Sighting},
    rpc::blocks,
};

/// What a stream looks for in each block.
pub(super) trait Onlooker: Send + Sync + 'static {
    /// What it sees there.
    type Sees: Send;

    /// A block of the best chain; none if it is not on it, or has left it meanwhile.
    fn look(
        &self,
        chain: &Chain,
        id: BlockId,
    ) -> impl Future<Output = Result<Option<Sighting<Self::Sees>>, ChainError>> + Send;
}

/// The chain as an onlooker sees it.
#[derive(Debug)]
pub(super) struct SeenChain<O> {
    pub(super) chain: Chain,
    pub(super) by: O,
}

impl<O: Onlooker> BestChain for SeenChain<O> {
    type Error = ChainError;
    type Block = Sighting<O::Sees>;

    async fn best_at(&self, height: Height) -> Result<Option<BlockId>, ChainError> {
        self.chain.best_at(height).await
    }

    async fn parent(&self, id: BlockId) -> Result<Option<Lineage>, ChainError> {
        BestChain::parent(&self.chain, id).await
    }

    async fn block(&self, id: BlockId) -> Result<Option<Self::Block>, ChainError> {
        self.by.look(&self.chain, id).await
    }

    fn tip(&self) -> (Height, BlockId) {
        BestChain::tip(&self.chain)
    }

    fn lowest(&self) -> Height {
        self.chain.lowest_body()
    }
}

impl<T> Link for Sighting<T> {
    fn height(&self) -> Height {
        self.context.height()
    }

    fn parent(&self) -> BlockId {
        self.context.header().previous
    }

    fn point(&self) -> ChainPoint {
        blocks::point(&self.context)
    }
}
