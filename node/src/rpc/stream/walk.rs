//! A reader's way along the chain as streams go it: step by step, and waiting at its end.

use std::sync::Arc;

use bytes::Bytes;
use farthing::wire::{ChainPoint, StreamStart};
use tokio::sync::watch;

use super::{
    StartError,
    follow::{BestChain, Follower, Link as _, Move, Position},
};
use crate::{
    chain::{Chain, ChainError, ChainView},
    rpc::{ApiError, blocks},
    server::CallMeter,
};

/// A reader on its way.
#[derive(Debug)]
pub(super) struct Walk<C> {
    /// The chain as this stream sees it.
    pub(super) on: C,
    chain: Chain,
    pub(super) follower: Follower,
    views: watch::Receiver<Arc<ChainView>>,
    /// The block that the reader took last, unless it has gone back since.
    taken: Option<ChainPoint>,
    meter: Option<CallMeter>,
}

impl<C: BestChain<Error = ChainError>> Walk<C> {
    /// A reader that begins where a follower stands.
    pub(super) fn new(on: C, chain: &Chain, follower: Follower) -> Self {
        Self { on, chain: chain.clone(), follower, views: chain.watch(), taken: None, meter: None }
    }

    /// The same, paid for by the connection that asked: going through a chain that says nothing to the reader costs the
    /// reader nothing, and the node a block's record a step.
    pub(super) fn paid_by(self, meter: Option<CallMeter>) -> Self {
        Self { meter, ..self }
    }

    /// A reader behind a cursor, or at the tip if that is empty.
    pub(super) async fn resume(on: C, chain: &Chain, cursor: Bytes) -> Result<Self, StartError<ChainError>> {
        let start = if cursor.is_empty() { StreamStart::Tip } else { StreamStart::Cursor(cursor) };
        let follower = Follower::start(chain, &start, None).await?;
        Ok(Self::new(on, chain, follower))
    }

    pub(super) const fn chain(&self) -> &Chain {
        &self.chain
    }

    /// Where the reader stands.
    pub(super) const fn position(&self) -> Position {
        self.follower.position()
    }

    /// The next step, which may be to wait. Cancel safe.
    pub(super) async fn step(&mut self) -> Result<Move<C::Block>, ApiError> {
        if let Some(meter) = &self.meter {
            // For what was too much before.
            meter.pay(0).await;
        }
        // Seen before the question, so that a change behind the answer ends a wait.
        self.views.borrow_and_update();
        let step = self.follower.advance(&self.on).await?;
        match &step {
            Move::Apply(block) => self.taken = Some(block.point()),
            Move::Undo { .. } => self.taken = None,
            // Nothing was gone through: whoever waits pays nothing, however often the mempool wakes it.
            Move::Wait | Move::Done => return Ok(step),
        }
        if let Some(meter) = &self.meter {
            meter.charge(1);
        }
        Ok(step)
    }

    /// Waits until the tip has changed since the last step; false once the chain has stopped.
    pub(super) async fn changed(&mut self) -> bool {
        self.views.changed().await.is_ok()
    }

    /// The node's tip, for a frame: the store is ahead of the published view for a moment, and no frame is ahead of its own
    /// tip, neither with what it tells nor with its cursor.
    pub(super) fn tip(&self) -> ChainPoint {
        let published = blocks::tip(&self.chain.view());
        self.taken.filter(|taken| taken.total_work > published.total_work).unwrap_or(published)
    }
}

#[cfg(test)]
mod tests {
    use farthing::{BlockId, Height};

    use super::*;
    use crate::{
        chain::ChainBlock,
        rpc::stream::follow::Lineage,
        testing::{TestChain, mine},
    };

    /// What the store holds a moment before the view is published: a block on genesis, if there is one.
    struct Store {
        genesis: BlockId,
        block: Arc<ChainBlock>,
        is_best: bool,
    }

    impl BestChain for Store {
        type Error = ChainError;
        type Block = Arc<ChainBlock>;

        async fn best_at(&self, height: Height) -> Result<Option<BlockId>, ChainError> {
            let block = Some(self.block.id).filter(|_| self.is_best && height == self.block.height);
            Ok(block.or_else(|| (height == Height::GENESIS).then_some(self.genesis)))
        }

        async fn parent(&self, id: BlockId) -> Result<Option<Lineage>, ChainError> {
            let lineage = Lineage { height: self.block.height, parent: self.genesis };
            Ok((id == self.block.id).then_some(lineage))
        }

        async fn block(&self, id: BlockId) -> Result<Option<Arc<ChainBlock>>, ChainError> {
            Ok((id == self.block.id).then(|| Arc::clone(&self.block)))
        }

        fn tip(&self) -> (Height, BlockId) {
            (self.block.height, self.block.id)
        }
    }

    #[tokio::test]
    async fn no_frame_is_ahead_of_its_own_tip_and_none_holds_on_to_one_that_was_undone() {
        let test = TestChain::start();
        let genesis = test.chain.view().tip;
        let block = Arc::new(mine(test.chain.params(), &test.chain.view(), Vec::new(), 1));
        let work = block.header.bits.target().unwrap().work().unwrap();
        let total_work = genesis.total_work().checked_add(work).unwrap();
        let (id, height) = (block.id(), genesis.height().next());
        let block = Arc::new(ChainBlock { id, height, block, tx_ids: Vec::new(), total_work });
        let store = Store { genesis: genesis.id(), block, is_best: true };
        let begin = Position::Behind { height: genesis.height(), id: genesis.id() };
        let mut walk = Walk::new(store, &test.chain, Follower::at(begin));
        assert_eq!(walk.tip().block_id, genesis.id());
        assert!(matches!(walk.step().await.unwrap(), Move::Apply(_)));
        assert_eq!((walk.tip().block_id, walk.tip().height), (id, height));
        walk.on.is_best = false;
        assert!(matches!(walk.step().await.unwrap(), Move::Undo { .. }));
        assert_eq!(walk.tip().block_id, genesis.id());
    }
}
