//! Headers of the best chain, streamed towards the tip that was there when the stream began.

use bytes::Bytes;
use farthing::{
    BlockId, Hash, Height,
    wire::{ChainPoint, HeadersStart, v1},
};
use futures_util::stream::BoxStream;
use tonic::{Request, Status};

use super::{
    ApiError, Deps, Reason, blocks,
    stream::{Next, Source, StartError, Terms, Told, run},
};
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
}

pub(super) async fn stream(
    deps: &Deps,
    request: Request<v1::GetHeadersRequest>,
) -> Result<BoxStream<'static, Result<v1::GetHeadersResponse, Status>>, ApiError> {
    let (terms, meter) = (Terms::of(deps, &request), request.extensions().get::<CallMeter>().cloned());
    let request = request.into_inner();
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
    Ok(run(Way { chain: deps.chain.clone(), tip, next, behind, end: end.min(tip.height), meter }, terms))
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
    /// The next headers; none at the end. Cancel safe: it is moved along with the answer only.
    async fn advance(&mut self) -> Result<Option<v1::HeaderRun>, ApiError> {
        if self.next > self.end {
            return Ok(None);
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
        Ok(Some(v1::HeaderRun {
            headers_bytes: headers.iter().map(|header| header.to_bytes().to_vec().into()).collect(),
            first_height: first.get(),
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

impl Source for Way {
    type Event = v1::HeaderRun;
    type Frame = v1::GetHeadersResponse;

    async fn next(&mut self) -> Result<Next<v1::HeaderRun>, ApiError> {
        Ok(self.advance().await?.map_or(Next::End, Next::Tell))
    }

    async fn frame(&mut self, told: Told<v1::HeaderRun>) -> Result<v1::GetHeadersResponse, ApiError> {
        use v1::get_headers_response::Event;
        let event = match told {
            Told::Event(headers) => Event::Headers(headers),
            Told::Progress => Event::Progress(v1::Progress {}),
            Told::Draining => Event::Draining(v1::Draining {}),
        };
        Ok(v1::GetHeadersResponse { event: Some(event), tip: Some((&self.tip).into()) })
    }

    /// None: a reader goes on behind its last header.
    fn cursor(&self) -> Bytes {
        Bytes::new()
    }
}
