//! Headers of the best chain, streamed towards the tip that was there when the stream began.

use farthing::{
    BlockId, Hash, Height,
    wire::{ChainPoint, HeadersStart, v1},
};
use futures_util::{
    StreamExt as _,
    stream::{self, BoxStream},
};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::{ApiError, Deps, Reason, blocks, stream::StartError};
use crate::{
    chain::{Chain, ChainError, Side},
    server::CallMeter,
};

/// Headers of a message: 1,000 of 118 bytes.
pub(super) const CHUNK: u64 = 1_000;

/// What a stream still has to send.
struct Way {
    chain: Chain,
    tip: ChainPoint,
    /// Height of the next header.
    next: Height,
    /// The header before it, which it must be the child of; none at the beginning of a stream from a height.
    behind: Option<BlockId>,
    /// Height of the last one.
    end: Height,
    meter: Option<CallMeter>,
    stop: CancellationToken,
    leave_by: Option<Instant>,
}

pub(super) async fn stream(
    deps: &Deps,
    request: v1::GetHeadersRequest,
    meter: Option<CallMeter>,
    leave_by: Option<Instant>,
) -> Result<BoxStream<'static, Result<v1::GetHeadersResponse, Status>>, ApiError> {
    let start = HeadersStart::try_from(&request)?;
    let tip = blocks::tip(&deps.chain.view());
    let (next, behind) = match start {
        HeadersStart::Height(height) => (height, None),
        HeadersStart::After(id) => (behind(&deps.chain, id).await?.next(), Some(id)),
    };
    if next > tip.height.next() {
        let message = format!("height {next} is above the next block's, {}", tip.height.next());
        let error = ApiError::new(Reason::HeightAboveTip, message);
        return Err(error.with("height", next).with("next_height", tip.height.next()));
    }
    let end = request.stop_height.map_or(tip.height, Height::new);
    if request.stop_height.is_some() && end < next {
        let message = format!("stop_height: expected at least {next}, where the stream begins, got {end}");
        return Err(ApiError::new(Reason::InvalidField, message).with("field", "stop_height"));
    }
    let (chain, stop) = (deps.chain.clone(), deps.tasks.token().clone());
    let way = Way { chain, tip, next, behind, end: end.min(tip.height), meter, stop, leave_by };
    let frames = stream::try_unfold(way, |mut way| async move {
        let message = way.advance().await?;
        Ok::<_, Status>(message.map(|message| (message, way)))
    });
    Ok(frames.boxed())
}

/// Height of a header on the best chain.
async fn behind(chain: &Chain, id: BlockId) -> Result<Height, ApiError> {
    match chain.side_of(id).await? {
        Some(Side::Best(height)) => Ok(height),
        Some(Side::Beside { fork_height, fork_id }) => {
            let message = format!(
                "block {id} is not on the best chain, which it left above block {fork_height}; go on from there"
            );
            let error = ApiError::new(Reason::Reorganised, message).with("block_id", id);
            Err(error.with("fork_height", fork_height).with("fork_block_id", fork_id))
        }
        None => Err(StartError::<ChainError>::CursorUnknown { id }.into()),
    }
}

impl Way {
    /// The next message; none at the end.
    async fn advance(&mut self) -> Result<Option<v1::GetHeadersResponse>, ApiError> {
        if self.next > self.end {
            return Ok(None);
        }
        if self.stop.is_cancelled() {
            return Err(ApiError::stopping());
        }
        if self.leave_by.is_some_and(|leave_by| leave_by <= Instant::now()) {
            return Err(ApiError::connection_expired());
        }
        let (first, tip) = (self.next, self.tip.block_id);
        let last = self.end.min(first.saturating_add(CHUNK - 1));
        // Before the index is read for them: one call could have the whole chain read otherwise.
        if let Some(meter) = &self.meter {
            meter.pay(usize::try_from(last.distance_from(first)).unwrap_or(usize::MAX).saturating_add(1)).await;
        }
        let found = self.chain.headers_towards(tip, first, last).await?;
        let headers = found.ok_or_else(|| self.reorganised())?;
        let mut behind = self.behind;
        for header in &headers {
            if behind.is_some_and(|behind| behind != header.previous) {
                return Err(self.reorganised());
            }
            behind = Some(header.id());
        }
        (self.behind, self.next) = (behind, last.next());
        Ok(Some(v1::GetHeadersResponse {
            headers_bytes: headers.iter().map(|header| header.to_bytes().to_vec().into()).collect(),
            first_height: first.get(),
            tip: Some((&self.tip).into()),
        }))
    }

    /// The tip left the best chain before the stream came to it.
    fn reorganised(&self) -> ApiError {
        let message = format!(
            "block {} left the best chain while its headers were sent; those sent so far are one chain, go on behind the \
             last of them",
            self.tip.block_id
        );
        let error = ApiError::new(Reason::Reorganised, message).with("tip_id", self.tip.block_id);
        match (self.behind, self.next.previous()) {
            (Some(id), Some(height)) => error.with("last_height", height).with("last_block_id", id),
            _ => error.with("last_block_id", Hash::ZERO),
        }
    }
}
