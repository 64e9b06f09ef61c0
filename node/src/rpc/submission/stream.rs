//! Transfers as they come: what has arrived is judged together, while earlier ones are still on their way to the disk.
//!
//! A task judges, and the body of the answer only receives: HTTP/2 does not poll a body whose client has no room, and a
//! body that waits for places of the mempool would be given them then and keep them from everybody. The task reads no
//! further than there is room for verdicts, so a client that does not read is not read either.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use farthing::{
    SignedTransaction, TxId,
    wire::{TransactionStatus, canonical_transaction, v1, v1::submit_transaction_stream_response::Event},
};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream::BoxStream};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use crate::{
    mempool::{self, Places},
    rpc::{
        ApiError, Deps, Reason,
        refusals::Refusals,
        stream::{Next, Source, Terms, Told, run},
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
    terms: Terms,
) -> BoxStream<'static, Result<v1::SubmitTransactionStreamResponse, Status>> {
    // One more is with the body.
    let (judged, groups) = mpsc::channel(GROUPS - 1);
    let (ended, end) = oneshot::channel();
    let Terms { leave_by, delivery, .. } = terms;
    let tasks = intake.deps.tasks.clone();
    let mut reader = Reader { deps: intake.deps.clone(), requests, leave_by, end: None };
    let stop = tasks.token().clone();
    tasks.spawn_for_caller("submission stream", async move {
        // Nobody is told once the client has gone.
        let _ = ended.send(intake.judge_all(&mut reader, judged).await);
    });
    let verdicts = Judged { groups, settling: None, ready: Vec::new().into_iter(), end, stop };
    // The task looks at the circumstances: what it has read then is told first.
    run(verdicts, Terms { stop: CancellationToken::new(), leave_by: None, delivery })
}

/// What was judged, on its way to the client.
struct Judged {
    groups: mpsc::Receiver<Settling>,
    /// A group that waits for the disk.
    settling: Option<Settling>,
    ready: std::vec::IntoIter<v1::SubmitTransactionStreamResponse>,
    /// Why there are no more groups.
    end: oneshot::Receiver<End>,
    /// Whether the node stops.
    stop: CancellationToken,
}

/// Why no more is read.
enum End {
    /// The client has no more.
    Done,
    /// What it sends cannot be read.
    Broken(Status),
    NodeStops,
    ConnectionEnds,
}

impl Source for Judged {
    type Event = v1::SubmitTransactionStreamResponse;
    type Frame = v1::SubmitTransactionStreamResponse;

    async fn next(&mut self) -> Result<Next<Self::Event>, ApiError> {
        loop {
            if let Some(verdict) = self.ready.next() {
                return Ok(Next::Tell(verdict));
            }
            if let Some(settling) = &mut self.settling {
                self.ready = settling.await.into_iter();
                self.settling = None;
                continue;
            }
            self.settling = self.groups.recv().await;
            if self.settling.is_none() {
                break;
            }
        }
        Ok(match (&mut self.end).await {
            Ok(End::Done) => Next::End,
            Ok(End::Broken(status)) => Next::Broken(status),
            Ok(End::ConnectionEnds) => Next::Expiring,
            Ok(End::NodeStops) => Next::Stopping,
            Err(_) => return Next::of_lost_task(&self.stop),
        })
    }

    async fn frame(&mut self, told: Told<Self::Event>) -> Result<Self::Frame, ApiError> {
        Ok(match told {
            Told::Event(verdict) => verdict,
            Told::Progress => frame(0, Event::Progress(v1::Progress {})),
            Told::Draining => frame(0, Event::Draining(v1::Draining {})),
        })
    }

    /// None: a client sends again what has no verdict.
    fn cursor(&self) -> Bytes {
        Bytes::new()
    }
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
    end: Option<End>,
}

impl Reader {
    /// What has arrived, one request at least; or why there is no more.
    async fn next(&mut self) -> Result<Vec<Request>, End> {
        if let Some(end) = self.end.take() {
            return Err(end);
        }
        let mut group = vec![self.first().await?];
        while group.len() < GROUP
            && self.end.is_none()
            && let Some(arrived) = self.requests.next().now_or_never()
        {
            match read(arrived) {
                Ok(request) => group.push(request),
                Err(end) => self.end = Some(end),
            }
        }
        Ok(group)
    }

    async fn first(&mut self) -> Result<Request, End> {
        let leave_by = self.leave_by;
        let leaving = async move {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = self.deps.tasks.token().cancelled() => Err(End::NodeStops),
            () = leaving => Err(End::ConnectionEnds),
            request = self.requests.next() => read(request),
        }
    }
}

fn read(arrived: Option<Result<Request, Status>>) -> Result<Request, End> {
    match arrived {
        Some(Ok(request)) => Ok(request),
        Some(Err(status)) => Err(End::Broken(status)),
        None => Err(End::Done),
    }
}

impl Intake {
    /// Judges what comes, as long as there is room for verdicts. Returns why it ends.
    async fn judge_all(self, reader: &mut Reader, judged: mpsc::Sender<Settling>) -> End {
        loop {
            let room = tokio::select! {
                biased;
                room = judged.reserve() => room,
                // The client takes nothing, and what it has sent beyond this was not read.
                () = self.deps.tasks.token().cancelled() => return End::NodeStops,
            };
            // An error: the client has gone.
            let Ok(room) = room else { return End::Done };
            let group = tokio::select! {
                biased;
                () = judged.closed() => return End::Done,
                group = reader.next() => group,
            };
            let group = match group {
                Ok(group) => group,
                Err(end) => return end,
            };
            let prepared = tokio::select! {
                biased;
                () = judged.closed() => return End::Done,
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
                    places = self.deps.mempool.places(count, mempool::Source::Rpc) => match places {
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
        // Charged before this returns, so that the next group is refused already.
        let charge = self.refusals.of(self.caller).charging(&self.deps.env);
        let begun = self.deps.mempool.begin(good, mempool::Source::Rpc, places, charge).await;
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
    let event = match outcome {
        Ok(status) => Event::Status((&status).into()),
        Err(error) => Event::Error(error.into()),
    };
    frame(tag, event)
}

const fn frame(tag: u64, event: Event) -> v1::SubmitTransactionStreamResponse {
    v1::SubmitTransactionStreamResponse { tag, event: Some(event) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of a task that was dropped half-way.
    async fn told(stop: &CancellationToken) -> Result<Next<v1::SubmitTransactionStreamResponse>, ApiError> {
        let (judged, groups) = mpsc::channel(1);
        let (ended, end) = oneshot::channel();
        let ready = Vec::new().into_iter();
        let mut verdicts = Judged { groups, settling: None, ready, end, stop: stop.clone() };
        drop((judged, ended));
        verdicts.next().await
    }

    #[tokio::test]
    async fn a_judge_that_panicked_is_told_as_a_fault_and_not_as_the_end_of_the_node() {
        let stop = CancellationToken::new();
        assert_eq!(told(&stop).await.unwrap_err().reason(), Reason::Internal);
        stop.cancel();
        assert!(matches!(told(&stop).await, Ok(Next::Stopping)));
    }
}
