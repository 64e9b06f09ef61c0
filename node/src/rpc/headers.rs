//! Headers of the best chain, streamed towards the tip that was there when the stream began.

use std::sync::Arc;

use bytes::Bytes;
use farthing::{
    BlockId, Hash, Height,
    wire::{ChainPoint, HeadersStart, v1},
};
use futures_util::stream::BoxStream;
use tokio::{sync::watch, time::timeout};
use tonic::{Request, Status};

use super::{
    ApiError, Deps, Reason,
    accounts::PUBLISHED_WITHIN,
    blocks,
    stream::{Next, Source, StartError, Terms, Told, run},
};
use crate::{
    chain::{Chain, ChainError, ChainView, Side},
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
    /// The next headers are paid for already, though they were not read: that takes its time, and is begun again when it
    /// was interrupted to show that the stream lives.
    is_paid: bool,
}

pub(super) async fn stream(
    deps: &Deps,
    request: Request<v1::GetHeadersRequest>,
) -> Result<BoxStream<'static, Result<v1::GetHeadersResponse, Status>>, ApiError> {
    let (terms, meter) = (Terms::of(deps, &request), request.extensions().get::<CallMeter>().cloned());
    let request = request.into_inner();
    let start = HeadersStart::try_from(&request)?;
    let (next, behind) = match start {
        HeadersStart::Height(height) => (height, None),
        HeadersStart::After(id) => (behind(&deps.chain, id).await?.next(), Some(id)),
    };
    let in_store = async |last| Ok(deps.chain.best_at(last).await?.is_some());
    let tip = tip_below(next, deps.chain.watch(), in_store).await?;
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
    Ok(run(
        Way { chain: deps.chain.clone(), tip, next, behind, end: end.min(tip.height), meter, is_paid: false },
        terms,
    ))
}

/// The tip, at least that below a height if the store has it: for a moment the store is ahead of what is published, and who has
/// seen a block goes on behind it.
async fn tip_below(
    next: Height,
    mut views: watch::Receiver<Arc<ChainView>>,
    in_store: impl AsyncFnOnce(Height) -> Result<bool, ChainError>,
) -> Result<ChainPoint, ChainError> {
    let tip = blocks::tip(&views.borrow_and_update());
    let Some(last) = next.previous().filter(|last| *last > tip.height) else { return Ok(tip) };
    if in_store(last).await? {
        // Late, or when the chain has left that block meanwhile, the answer is as of what is published.
        let _ = timeout(PUBLISHED_WITHIN, views.wait_for(|view| view.tip.height() >= last)).await;
    }
    Ok(blocks::tip(&views.borrow()))
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
        if let Some(meter) = self.meter.as_ref().filter(|_| !self.is_paid) {
            meter.pay(usize::try_from(last.distance_from(first)).unwrap_or(usize::MAX).saturating_add(1)).await;
            self.is_paid = true;
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
        (self.behind, self.next, self.is_paid) = (behind, last.next(), false);
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::poll;

    use super::*;
    use crate::{
        chain::Origin,
        testing::{TestChain, mine},
    };

    #[tokio::test]
    async fn headers_whose_reading_is_interrupted_are_paid_for_once() {
        let test = TestChain::start();
        for _ in 0..30 {
            let block = mine(test.chain.params(), &test.chain.view(), Vec::new(), 1);
            test.chain.submit_block(block, Origin::Local).await.unwrap();
        }
        let tip = blocks::tip(&test.chain.view());
        let begin = || {
            let (chain, meter) = (test.chain.clone(), CallMeter::counting_for_tests());
            let (next, end, paid) = (Height::GENESIS, tip.height, Some(meter.clone()));
            (Way { chain, tip, next, behind: None, end, meter: paid, is_paid: false }, meter)
        };
        // The store is read elsewhere, and may be quicker than can be interrupted: then again.
        let (mut way, meter) = loop {
            let (mut way, meter) = begin();
            let is_interrupted = poll!(pin!(way.advance())).is_pending();
            if is_interrupted {
                break (way, meter);
            }
        };
        assert_eq!(meter.used(), 31);
        assert_eq!(way.advance().await.unwrap().unwrap().headers_bytes.len(), 31);
        assert_eq!(meter.used(), 31);
    }

    /// A reader that has a block from the store goes on behind it while it is being published.
    #[tokio::test(start_paused = true)]
    async fn who_has_a_block_goes_on_behind_it_before_it_is_published() {
        let test = TestChain::start();
        let old = test.chain.view();
        let block = mine(test.chain.params(), &old, Vec::new(), 1);
        test.chain.submit_block(block, Origin::Local).await.unwrap();
        let (publish, views) = watch::channel(Arc::clone(&old));
        let (next, begin) = (Height::new(2), tokio::time::Instant::now());
        let late = async {
            tokio::task::yield_now().await;
            publish.send_replace(test.chain.view());
        };
        let asked = tip_below(next, views.clone(), async |_| Ok(true));
        let (tip, ()) = tokio::join!(asked, late);
        assert_eq!(tip.unwrap(), blocks::tip(&test.chain.view()));
        // What the store does not have is not waited for, nor anything for ever.
        publish.send_replace(Arc::clone(&old));
        let tip = tip_below(next, views.clone(), async |_| Ok(false)).await.unwrap();
        assert_eq!((tip, begin.elapsed()), (blocks::tip(&old), std::time::Duration::ZERO));
        let tip = tip_below(next, views, async |_| Ok(true)).await.unwrap();
        assert_eq!((tip, begin.elapsed()), (blocks::tip(&old), PUBLISHED_WITHIN));
    }
}
