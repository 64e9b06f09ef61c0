//! The frames of one subscription: a stream that makes each frame when its reader asks for it.
//!
//! Nothing is queued for a reader that does not read, and no task runs for it.

use std::{sync::Arc, time::Duration};

use farthing::{
    Height,
    wire::{StreamStart, v1},
};
use futures_util::{Stream, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{
    StartError,
    follow::{Follower, Move},
};
use crate::{
    chain::{Chain, ChainBlock, ChainError, ChainView},
    rpc::{ApiError, Reason, blocks},
};

/// A quiet stream shows that it lives this often; the API promises 15 s.
const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What a subscription asked for.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct FramesSettings {
    /// Where to start.
    pub(in crate::rpc) start: StreamStart,
    /// Where to end, if anywhere.
    pub(in crate::rpc) stop_height: Option<Height>,
    /// Whether transactions are left out.
    pub(in crate::rpc) headers_only: bool,
    /// When to end because the connection will not last, if that is known.
    pub(in crate::rpc) leave_by: Option<Instant>,
}

/// What makes the frames of one subscription.
#[derive(Debug)]
pub(in crate::rpc) struct Frames {
    blocks: blocks::Views,
    chain: Chain,
    follower: Follower,
    headers_only: bool,
    views: watch::Receiver<Arc<ChainView>>,
    stop: CancellationToken,
    leave_by: Option<Instant>,
    phase: Phase,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Following,
    /// The last frame said so; the status that ends the stream is next.
    Drained(Why),
    Ended,
}

/// Why the reader is to go elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    NodeStops,
    ConnectionEnds,
}

impl Frames {
    /// Finds the start. `stop` drains the stream.
    pub(in crate::rpc) async fn start(
        chain: Chain,
        blocks: blocks::Views,
        stop: CancellationToken,
        settings: FramesSettings,
    ) -> Result<Self, StartError<ChainError>> {
        let views = chain.watch();
        let follower = Follower::start(&chain, &settings.start, settings.stop_height).await?;
        let FramesSettings { headers_only, leave_by, .. } = settings;
        Ok(Self { blocks, chain, follower, headers_only, views, stop, leave_by, phase: Phase::Following })
    }

    /// The frames, until the stop height, the end of the node, or an error.
    pub(in crate::rpc) fn into_stream(
        self,
    ) -> impl Stream<Item = Result<v1::SubscribeBlocksResponse, Status>> + Send + 'static {
        stream::unfold(self, |mut frames| async move { frames.next().await.map(|frame| (frame, frames)) })
    }

    async fn next(&mut self) -> Option<Result<v1::SubscribeBlocksResponse, Status>> {
        match self.phase {
            Phase::Following => {}
            Phase::Drained(why) => {
                self.phase = Phase::Ended;
                let error = match why {
                    Why::NodeStops => ApiError::stopping(),
                    Why::ConnectionEnds => ApiError::connection_expired(),
                };
                return Some(Err(error.into()));
            }
            Phase::Ended => return None,
        }
        let heartbeat = sleep_until(Instant::now() + PROGRESS_EVERY);
        let leave_by = self.leave_by;
        let leaving = async move {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(heartbeat, leaving);
        loop {
            // Seen before the question, so that a change behind the answer wakes the wait below.
            self.views.borrow_and_update();
            let step = tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(Ok(self.drain(Why::NodeStops))),
                () = &mut leaving => return Some(Ok(self.drain(Why::ConnectionEnds))),
                step = self.follower.advance(&self.chain) => step,
            };
            match step {
                Ok(Move::Apply(block)) => return Some(Ok(self.apply(block).await)),
                Ok(Move::Undo { id, height }) => {
                    let undo = v1::BlockUndo {
                        block_id: id.to_bytes().to_vec().into(),
                        block_id_hex: id.to_string(),
                        height: height.get(),
                    };
                    return Some(Ok(self.frame(v1::subscribe_blocks_response::Event::Undo(undo))));
                }
                Ok(Move::Done) => return None,
                Ok(Move::Wait) => {}
                Err(error) => {
                    self.phase = Phase::Ended;
                    return Some(Err(ApiError::from(error).into()));
                }
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Some(Ok(self.drain(Why::NodeStops))),
                () = &mut leaving => return Some(Ok(self.drain(Why::ConnectionEnds))),
                changed = self.views.changed() => if changed.is_err() {
                    return Some(Ok(self.drain(Why::NodeStops)));
                },
                () = &mut heartbeat => {
                    let progress = v1::subscribe_blocks_response::Event::Progress(v1::Progress {});
                    return Some(Ok(self.frame(progress)));
                }
            }
        }
    }

    async fn apply(&self, block: Arc<ChainBlock>) -> v1::SubscribeBlocksResponse {
        // The store is ahead of the published view for a moment; a frame is never ahead of its own tip.
        let (published, own) = (blocks::tip(&self.chain.view()), blocks::point_of(&block));
        let tip = if own.total_work > published.total_work { own } else { published };
        let confirmations = tip.height.distance_from(block.height).saturating_add(1);
        let view = self.blocks.view(block, confirmations, self.headers_only).await;
        let event = v1::subscribe_blocks_response::Event::Apply(view);
        let mut frame = self.frame(event);
        frame.tip = Some((&tip).into());
        frame
    }

    fn drain(&mut self, why: Why) -> v1::SubscribeBlocksResponse {
        self.phase = Phase::Drained(why);
        self.frame(v1::subscribe_blocks_response::Event::Draining(v1::Draining {}))
    }

    fn frame(&self, event: v1::subscribe_blocks_response::Event) -> v1::SubscribeBlocksResponse {
        v1::SubscribeBlocksResponse {
            cursor: self.follower.position().to_cursor().into(),
            tip: Some((&blocks::tip(&self.chain.view())).into()),
            event: Some(event),
        }
    }
}

impl From<StartError<ChainError>> for ApiError {
    fn from(error: StartError<ChainError>) -> Self {
        let message = error.to_string();
        match error {
            StartError::InvalidCursor(_) => Self::new(Reason::InvalidCursor, message),
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
