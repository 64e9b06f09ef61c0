//! A reader's way along the chain as streams go it: step by step, and waiting at its end.

use std::sync::Arc;

use bytes::Bytes;
use farthing::wire::{ChainPoint, StreamStart};
use tokio::sync::watch;

use super::{
    StartError,
    follow::{BestChain, Follower, Move, Position},
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
    meter: Option<CallMeter>,
}

impl<C: BestChain<Error = ChainError>> Walk<C> {
    /// A reader that begins where a follower stands.
    pub(super) fn new(on: C, chain: &Chain, follower: Follower) -> Self {
        Self { on, chain: chain.clone(), follower, views: chain.watch(), meter: None }
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
            meter.pay(1).await;
        }
        // Seen before the question, so that a change behind the answer ends a wait.
        self.views.borrow_and_update();
        Ok(self.follower.advance(&self.on).await?)
    }

    /// Waits until the tip has changed since the last step; false once the chain has stopped.
    pub(super) async fn changed(&mut self) -> bool {
        self.views.changed().await.is_ok()
    }

    /// The node's tip.
    pub(super) fn tip(&self) -> ChainPoint {
        blocks::tip(&self.chain.view())
    }

    /// The node's tip for a frame about a block: the store is ahead of the published view for a moment, and a frame is
    /// never ahead of its own tip.
    pub(super) fn tip_with(&self, own: ChainPoint) -> ChainPoint {
        let published = self.tip();
        if own.total_work > published.total_work { own } else { published }
    }
}
