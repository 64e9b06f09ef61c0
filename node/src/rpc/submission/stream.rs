//! Transfers as they come: what has arrived is judged together, while earlier ones are still on their way to the disk.
//!
//! A task judges, and the body of the answer only receives: HTTP/2 does not poll a body whose client has no room, and a
//! body that waits for places of the mempool would be given them then and keep them from everybody. The task reads no
//! further than there is room for verdicts, so a client that does not read is not read either.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use farthing::{
    SignedTransaction, TxId,
    wire::{TransactionStatus, canonical_transaction, v1},
};
use futures_util::{FutureExt as _, Stream, StreamExt as _, future::BoxFuture, stream};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tonic::{Status, Streaming};

use crate::{
    mempool::{Places, Source},
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
type Verdicts = Vec<v1::SubmitTransactionStreamResponse>;

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
pub(in crate::rpc) fn verdicts(
    intake: Intake,
    requests: Streaming<Request>,
    leave_by: Option<Instant>,
) -> impl Stream<Item = Result<v1::SubmitTransactionStreamResponse, Status>> + Send + 'static {
    // One more is with the body.
    let (judged, groups) = mpsc::channel(GROUPS - 1);
    let (ended, end) = oneshot::channel();
    let tasks = intake.deps.tasks.clone();
    let mut reader = Reader { deps: intake.deps.clone(), requests, leave_by, end: None, ended: false };
    tasks.spawn("submission stream", async move {
        // Nobody is told once the client has gone.
        let _ = ended.send(intake.judge_all(&mut reader, judged).await);
        Ok::<_, Infallible>(())
    });
    let groups = stream::unfold(groups, |mut groups| async move { groups.recv().await.map(|group| (group, groups)) });
    let end = stream::once(async move {
        // The task tells, unless it was not started or did not come to its end: then the node stops.
        end.await.unwrap_or_else(|_| Some(ApiError::stopping().into()))
    });
    let settled = groups.then(|group: Settling| group).flat_map(stream::iter);
    settled.map(Ok).chain(end.filter_map(|end| std::future::ready(end.map(Err))))
}

/// The verdicts on a group, once they are on the disk. Holds no place that others wait for.
type Settling = BoxFuture<'static, Verdicts>;

/// What a group has become before it is begun.
struct Group {
    tags: Vec<u64>,
    /// In order: what could not be read, or the id of the next of `good`.
    slots: Vec<Result<TxId, ApiError>>,
    good: Vec<SignedTransaction>,
}

impl Group {
    fn new(tags: Vec<u64>, items: Vec<Result<(TxId, SignedTransaction), ApiError>>) -> Self {
        let mut good = Vec::with_capacity(items.len());
        let mut keep = |(id, signed)| {
            good.push(signed);
            id
        };
        let slots = items.into_iter().map(|item| item.map(&mut keep)).collect();
        Self { tags, slots, good }
    }
}

/// How a group goes on.
enum Prepared {
    /// It is refused as a whole, or known.
    Settled(Verdicts),
    /// It may be judged.
    Placed(Group, Places),
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
    /// What has arrived, one request at least; none at the end.
    async fn next(&mut self) -> Option<Vec<Request>> {
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
        (!group.is_empty()).then_some(group)
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
    /// Judges what comes, as long as there is room for verdicts. Returns why it ends, if not because there is no more.
    async fn judge_all(self, reader: &mut Reader, judged: mpsc::Sender<Settling>) -> Option<Status> {
        loop {
            let room = tokio::select! {
                biased;
                room = judged.reserve() => room,
                // The client takes nothing, and what it has sent beyond this was not read.
                () = self.deps.tasks.token().cancelled() => return Some(ApiError::stopping().into()),
            };
            // An error: the client has gone.
            let Ok(room) = room else { return None };
            let group = tokio::select! {
                biased;
                () = judged.closed() => return None,
                group = reader.next() => group,
            };
            let Some(group) = group else { return reader.end.take() };
            let prepared = tokio::select! {
                biased;
                () = judged.closed() => return None,
                prepared = self.prepare(group) => prepared,
            };
            // What has its places is judged to the end, so that the caller is charged for it whether it stays or not.
            let settling = match prepared {
                Prepared::Settled(settled) => std::future::ready(settled).boxed(),
                Prepared::Placed(group, places) => self.clone().begin(group, places).await,
            };
            room.send(settling);
        }
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

    /// Reads a group and waits until it may be judged. Cancel safe: nothing has been changed.
    async fn prepare(&self, group: Vec<Request>) -> Prepared {
        let stopped = self.deps.tasks.token();
        if let Some(meter) = &self.meter {
            tokio::select! {
                biased;
                // Everything that was read gets its verdict, though it is dear.
                () = stopped.cancelled() => meter.charge(group.len()),
                () = meter.pay(group.len()) => {}
            }
        }
        let tags: Vec<u64> = group.iter().map(|request| request.tag).collect();
        let items = self.read(group).await;
        let refusal = match self.admittance() {
            Ok(()) => {
                follow_the_tip(&self.deps).await;
                let count = items.iter().filter(|item| item.is_ok()).count();
                tokio::select! {
                    biased;
                    places = self.deps.mempool.places(count, Source::Rpc) => match places {
                        Ok(places) => return Prepared::Placed(Group::new(tags, items), places),
                        Err(rejection) => rejection.into(),
                    },
                    // There may be none any more.
                    () = stopped.cancelled() => ApiError::stopping(),
                }
            }
            Err(refusal) => refusal,
        };
        Prepared::Settled(answers(tags, self.refuse(items, refusal).await))
    }

    /// Judges a group. What is left then is to wait for the disk.
    async fn begin(self, group: Group, places: Places) -> Settling {
        let Group { tags, slots, good } = group;
        let begun = self.deps.mempool.begin(good, Source::Rpc, places).await;
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
            answers(tags, outcomes)
        };
        settled.boxed()
    }

    /// What is known already is not refused: whoever asks again learns where it stands.
    async fn refuse(
        &self,
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

fn answers(tags: Vec<u64>, outcomes: Vec<Result<TransactionStatus, ApiError>>) -> Verdicts {
    tags.into_iter().zip(outcomes).map(|(tag, outcome)| answer(tag, outcome)).collect()
}

fn answer(tag: u64, outcome: Result<TransactionStatus, ApiError>) -> v1::SubmitTransactionStreamResponse {
    use v1::submit_transaction_stream_response::Verdict;
    let verdict = match outcome {
        Ok(status) => Verdict::Status((&status).into()),
        Err(error) => Verdict::Error(error.into()),
    };
    v1::SubmitTransactionStreamResponse { tag, verdict: Some(verdict) }
}
