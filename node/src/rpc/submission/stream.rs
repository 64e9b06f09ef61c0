//! Transfers as they come: what has arrived is judged together, while earlier ones are still on their way to the disk.
//!
//! Nothing runs for a stream but when its client reads verdicts or there is room for more: a client that does not read is
//! not read either.

use std::{net::SocketAddr, sync::Arc};

use farthing::{
    SignedTransaction, TxId,
    wire::{TransactionStatus, canonical_transaction, v1},
};
use futures_util::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream};
use tokio::time::{Instant, sleep_until};
use tonic::{Status, Streaming};

use crate::{
    mempool::Source,
    rpc::{
        ApiError, Deps, Reason,
        refusals::Refusals,
        transactions::{follow_the_tip, refuse_while_syncing, settle, standing},
    },
    server::CallMeter,
};

/// Most transfers that are judged together.
const GROUP: usize = 128;
/// Groups that wait for the disk at a time, so that [`GROUP`] times this are under way at most.
const GROUPS: usize = 8;

type Request = v1::SubmitTransactionStreamRequest;
type Verdicts = Vec<Result<v1::SubmitTransactionStreamResponse, Status>>;

/// What judges the transfers of one stream.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct Intake {
    pub(in crate::rpc) deps: Deps,
    pub(in crate::rpc) refusals: Arc<Refusals>,
    pub(in crate::rpc) caller: Option<SocketAddr>,
    /// What the connection may submit; none on the own machine.
    pub(in crate::rpc) meter: Option<CallMeter>,
}

/// A verdict for each request, in order. The stream ends when the requests do; when the node stops, or the connection is too
/// old, what was read has its verdict first.
#[expect(clippy::async_yields_async, reason = "what it yields waits for the disk while the next group is judged")]
pub(in crate::rpc) fn verdicts(
    intake: Intake,
    requests: Streaming<Request>,
    leave_by: Option<Instant>,
) -> impl Stream<Item = Result<v1::SubmitTransactionStreamResponse, Status>> + Send + 'static {
    let reader = Reader { deps: intake.deps.clone(), requests, leave_by, end: None, ended: false };
    stream::unfold(reader, |mut reader| async move { reader.next().await.map(|read| (read, reader)) })
        // One after the other, so that what comes first stands first.
        .then(move |read| {
            let intake = intake.clone();
            async move {
                match read {
                    Read::Group(group) => intake.judge(group).await,
                    Read::End(status) => std::future::ready(vec![Err(status)]).boxed(),
                }
            }
        })
        .buffered(GROUPS)
        .flat_map(stream::iter)
}

enum Read {
    Group(Vec<Request>),
    /// Why no more is read; the last.
    End(Status),
}

struct Reader {
    deps: Deps,
    requests: Streaming<Request>,
    leave_by: Option<Instant>,
    /// Why there will be no more.
    end: Option<Status>,
    ended: bool,
}

impl Reader {
    /// What has arrived, one request at least.
    async fn next(&mut self) -> Option<Read> {
        let mut group = Vec::new();
        if !self.ended {
            match self.first().await {
                Some(Ok(request)) => group.push(request),
                other => self.close(other),
            }
        }
        while !self.ended
            && group.len() < GROUP
            && let Some(arrived) = self.requests.next().now_or_never()
        {
            match arrived {
                Some(Ok(request)) => group.push(request),
                other => self.close(other),
            }
        }
        if group.is_empty() { self.end.take().map(Read::End) } else { Some(Read::Group(group)) }
    }

    async fn first(&mut self) -> Option<Result<Request, Status>> {
        let leave_by = self.leave_by;
        let leaving = async move {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.deps.tasks.token().cancelled() => Some(Err(ApiError::stopping().into())),
            () = leaving => Some(Err(ApiError::connection_expired().into())),
            request = self.requests.next() => request,
        }
    }

    fn close(&mut self, last: Option<Result<Request, Status>>) {
        self.ended = true;
        self.end = last.and_then(Result::err);
    }
}

impl Intake {
    /// Judges a group. What is left then is to wait for the disk.
    async fn judge(self, group: Vec<Request>) -> BoxFuture<'static, Verdicts> {
        if let Some(meter) = &self.meter {
            tokio::select! {
                biased;
                // Everything that was read gets its verdict, though it is dear.
                () = self.deps.tasks.token().cancelled() => meter.charge(group.len()),
                () = meter.pay(group.len()) => {}
            }
        }
        let tags: Vec<u64> = group.iter().map(|request| request.tag).collect();
        let items = self.read(group).await;
        let settled = match self.admittance() {
            Ok(()) => self.begin(items).await,
            Err(refusal) => self.refuse(items, refusal).boxed(),
        };
        settled
            .map(|outcomes| tags.into_iter().zip(outcomes).map(|(tag, outcome)| Ok(answer(tag, outcome))).collect())
            .boxed()
    }

    /// Whether transfers are taken now.
    fn admittance(&self) -> Result<(), ApiError> {
        refuse_while_syncing(&self.deps)?;
        self.refusals.of(self.caller).check(self.deps.env.clock().elapsed())
    }

    /// Reads each by itself: one that is malformed does not touch the others.
    async fn read(&self, group: Vec<Request>) -> Vec<Result<(TxId, SignedTransaction), ApiError>> {
        let genesis = *self.deps.chain.params().genesis_id();
        let read = move || {
            let one = |request: Request| match canonical_transaction(&request.transaction_bytes) {
                Ok(signed) => Ok((signed.transaction().id(&genesis), signed)),
                Err(error) => Err(error.within("transaction_bytes").into()),
            };
            group.into_iter().map(one).collect()
        };
        self.deps.env.compute().run(read).await
    }

    async fn begin(
        self,
        items: Vec<Result<(TxId, SignedTransaction), ApiError>>,
    ) -> BoxFuture<'static, Vec<Result<TransactionStatus, ApiError>>> {
        let mut good = Vec::with_capacity(items.len());
        let mut keep = |(id, signed)| {
            good.push(signed);
            id
        };
        let slots: Vec<Result<TxId, ApiError>> = items.into_iter().map(|item| item.map(&mut keep)).collect();
        follow_the_tip(&self.deps).await;
        let begun = self.deps.mempool.begin(good, Source::Rpc).await;
        // At once, so that the next group is refused already.
        self.refusals.of(self.caller).charge(begun.wasted(), self.deps.env.clock().elapsed());
        let settled = async move {
            let mut verdicts = begun.finish().await.into_iter();
            let mut outcomes = Vec::with_capacity(slots.len());
            for slot in slots {
                outcomes.push(match slot {
                    Err(error) => Err(error),
                    Ok(id) => match verdicts.next() {
                        Some(verdict) => settle(&self.deps, id, verdict).await,
                        None => Err(ApiError::new(Reason::Internal, "the mempool gave too few verdicts")),
                    },
                });
            }
            outcomes
        };
        settled.boxed()
    }

    /// What is known already is not refused: whoever asks again learns where it stands.
    async fn refuse(
        self,
        items: Vec<Result<(TxId, SignedTransaction), ApiError>>,
        refusal: ApiError,
    ) -> Vec<Result<TransactionStatus, ApiError>> {
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            outcomes.push(match item {
                Err(error) => Err(error),
                Ok((id, _)) if refusal.reason() == Reason::Syncing => match standing(&self.deps, id).await {
                    Ok(found) => found.ok_or_else(|| refusal.clone()),
                    Err(error) => Err(error),
                },
                Ok(_) => Err(refusal.clone()),
            });
        }
        outcomes
    }
}

fn answer(tag: u64, outcome: Result<TransactionStatus, ApiError>) -> v1::SubmitTransactionStreamResponse {
    use v1::submit_transaction_stream_response::Verdict;
    let verdict = match outcome {
        Ok(status) => Verdict::Status((&status).into()),
        Err(error) => Verdict::Error(error.into()),
    };
    v1::SubmitTransactionStreamResponse { tag, verdict: Some(verdict) }
}
