//! The frames of `SubscribeBlocks`.

use std::sync::Arc;

use bytes::Bytes;
use farthing::{
    BlockId, Height,
    wire::{StreamStart, TransactionFilter, v1, v1::subscribe_blocks_response::Event},
};

use super::{
    StartError,
    follow::{Follower, Move},
    run::{Next, Source, Told},
    walk::Walk,
};
use crate::{
    chain::{Chain, ChainBlock, ChainError},
    rpc::{ApiError, Reason, blocks},
    server::CallMeter,
};

/// What a subscription asked for.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct FramesSettings {
    /// Where to start.
    pub(in crate::rpc) start: StreamStart,
    /// Where to end, if anywhere.
    pub(in crate::rpc) stop_height: Option<Height>,
    /// Whether transactions are left out.
    pub(in crate::rpc) headers_only: bool,
    /// Which of them are not, if not all.
    pub(in crate::rpc) filter: Option<Arc<TransactionFilter>>,
}

/// What makes the frames of one subscription.
#[derive(Debug)]
pub(in crate::rpc) struct Frames {
    blocks: blocks::Views,
    walk: Walk<Chain>,
    headers_only: bool,
    filter: Option<Arc<TransactionFilter>>,
}

/// What happened to a block.
#[derive(Debug)]
pub(in crate::rpc) enum BlockEvent {
    Apply(Arc<ChainBlock>),
    Undo { id: BlockId, height: Height },
}

impl Frames {
    /// The same, paid for by the connection that asked.
    pub(in crate::rpc) fn paid_by(self, meter: Option<CallMeter>) -> Self {
        Self { walk: self.walk.paid_by(meter), ..self }
    }

    /// Finds the start.
    pub(in crate::rpc) async fn start(
        chain: &Chain,
        blocks: blocks::Views,
        settings: FramesSettings,
    ) -> Result<Self, StartError<ChainError>> {
        let FramesSettings { start, stop_height, headers_only, filter } = settings;
        let follower = Follower::start(chain, &start, stop_height).await?;
        Ok(Self { blocks, walk: Walk::new(chain.clone(), chain, follower), headers_only, filter })
    }

    async fn apply(&self, block: Arc<ChainBlock>) -> (Event, v1::ChainPoint) {
        let tip = self.walk.tip();
        let confirmations = tip.height.distance_from(block.height).saturating_add(1);
        let view = match &self.filter {
            Some(filter) if !self.headers_only => {
                self.blocks.filtered_view(block, confirmations, Arc::clone(filter)).await
            }
            _ => self.blocks.view(block, confirmations, self.headers_only).await,
        };
        (Event::Apply(view), (&tip).into())
    }
}

impl Source for Frames {
    type Event = BlockEvent;
    type Frame = v1::SubscribeBlocksResponse;

    async fn next(&mut self) -> Result<Next<BlockEvent>, ApiError> {
        loop {
            match self.walk.step().await? {
                Move::Apply(block) => return Ok(Next::Tell(BlockEvent::Apply(block))),
                Move::Undo { id, height } => return Ok(Next::Tell(BlockEvent::Undo { id, height })),
                Move::Done => return Ok(Next::End),
                Move::Wait if !self.walk.changed().await => return Ok(Next::Stopping),
                Move::Wait => {}
            }
        }
    }

    async fn frame(&mut self, told: Told<BlockEvent>) -> Result<v1::SubscribeBlocksResponse, ApiError> {
        let at_tip = |event| (event, v1::ChainPoint::from(&self.walk.tip()));
        let (event, tip) = match told {
            Told::Event(BlockEvent::Apply(block)) => self.apply(block).await,
            Told::Event(BlockEvent::Undo { id, height }) => at_tip(Event::Undo(v1::BlockUndo {
                block_id: id.to_bytes().to_vec().into(),
                block_id_hex: id.to_string(),
                height: height.get(),
            })),
            Told::Progress => at_tip(Event::Progress(v1::Progress {})),
            Told::Draining => at_tip(Event::Draining(v1::Draining {})),
        };
        Ok(v1::SubscribeBlocksResponse { cursor: self.cursor(), tip: Some(tip), event: Some(event) })
    }

    fn cursor(&self) -> Bytes {
        self.walk.position().to_cursor().into()
    }
}

impl From<StartError<ChainError>> for ApiError {
    fn from(error: StartError<ChainError>) -> Self {
        let message = error.to_string();
        match error {
            StartError::InvalidCursor(_) => Self::new(Reason::InvalidCursor, message).with("field", "cursor"),
            StartError::CursorUnknown { id } => {
                Self::new(Reason::CursorUnknown, format!("{message}; another node, or this one later, may have it"))
                    .with("block_id", id)
            }
            StartError::AboveTip { height, next } => {
                Self::new(Reason::HeightAboveTip, message).with("height", height).with("next_height", next)
            }
            StartError::Pruned { height, lowest } => Self::pruned(height, lowest),
            StartError::Chain(error) => error.into(),
        }
    }
}

impl From<super::follow::FollowError<ChainError>> for ApiError {
    fn from(error: super::follow::FollowError<ChainError>) -> Self {
        match error {
            super::follow::FollowError::Chain(error) => error.into(),
            super::follow::FollowError::Pruned { height, lowest } => Self::pruned(height, lowest),
            lost @ super::follow::FollowError::Lost(_) => Self::new(Reason::Internal, lost.to_string()),
        }
    }
}
