//! What all streams share: a frame is made when the reader asks for it, a quiet stream shows that it lives, a node that
//! stops says so first.
//!
//! Nothing is queued for a reader that does not read.

use std::{future::Future, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream, stream::BoxStream};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic::{Request, Status};

use super::subscriber::Subscriber;
use crate::{
    rpc::{ApiError, Deps},
    server::{Delivery, LeaveBy},
    tasks::Tasks,
};

/// A quiet stream shows that it lives this often; the API promises 15 s.
pub(super) const PROGRESS_EVERY: Duration = Duration::from_secs(10);

/// What one kind of stream knows.
pub(in crate::rpc) trait Source: Send + 'static {
    /// Something to tell.
    type Event: Send;
    /// What the reader gets.
    type Frame: Send + 'static;

    /// What is to be told next; waits while there is nothing. Cancel safe.
    fn next(&mut self) -> impl Future<Output = Result<Next<Self::Event>, ApiError>> + Send;

    /// The frame that tells it. Not cancelled.
    fn frame(&mut self, told: Told<Self::Event>) -> impl Future<Output = Result<Self::Frame, ApiError>> + Send;

    /// Where a reader goes on that has all frames up to now.
    fn cursor(&self) -> Bytes;
}

/// What comes next in a stream.
#[derive(Debug)]
pub(in crate::rpc) enum Next<E> {
    /// This is to be told.
    Tell(E),
    /// The stream ends with OK.
    End,
    /// The chain has stopped, and so does the node.
    Stopping,
    /// The connection ends, and the source has told what it had to first.
    Expiring,
    /// What the client sends has come to an end that is none.
    Broken(Status),
}

impl<E> Next<E> {
    /// What was to make it ended without having made it: the node stops, or it panicked and the log says why.
    ///
    /// # Errors
    /// `INTERNAL`, if the node does not stop.
    pub(in crate::rpc) fn of_lost_task(stop: &CancellationToken) -> Result<Self, ApiError> {
        if stop.is_cancelled() { Ok(Self::Stopping) } else { Err(ApiError::task_panicked()) }
    }
}

/// What a frame tells.
#[derive(Debug)]
pub(in crate::rpc) enum Told<E> {
    /// Something that happened.
    Event(E),
    /// Nothing happened.
    Progress,
    /// The reader is to go elsewhere.
    Draining,
}

/// Under which circumstances a stream runs.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct Terms {
    /// Drains the stream.
    pub(in crate::rpc) stop: CancellationToken,
    /// When to end because the connection will not last, if that is known.
    pub(in crate::rpc) leave_by: Option<Instant>,
    /// What the client takes, if that is known, and where to watch it.
    pub(in crate::rpc) delivery: Option<(Delivery, Tasks)>,
}

impl Terms {
    /// Those of a call.
    pub(in crate::rpc) fn of<T>(deps: &Deps, request: &Request<T>) -> Self {
        let extensions = request.extensions();
        Self {
            stop: deps.tasks.token().clone(),
            leave_by: extensions.get().map(|LeaveBy(at)| *at),
            delivery: extensions.get::<Delivery>().map(|delivery| (delivery.clone(), deps.tasks.clone())),
        }
    }
}

/// The frames of a source until it ends, the node stops, the client takes nothing any more, or an error.
pub(in crate::rpc) fn run<S: Source>(source: S, terms: Terms) -> BoxStream<'static, Result<S::Frame, Status>> {
    let (cursor, Terms { stop, leave_by, delivery }) = (source.cursor(), terms);
    let frames = Running { source, stop, leave_by, phase: Phase::Following }.into_stream();
    Subscriber::new(frames.boxed(), cursor, delivery).boxed()
}

/// A stream that runs.
#[derive(Debug)]
struct Running<S> {
    source: S,
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

impl<S: Source> Running<S> {
    /// The frames, each with the cursor behind it.
    fn into_stream(self) -> impl Stream<Item = Result<(S::Frame, Bytes), Status>> + Send + 'static {
        stream::unfold(self, |mut running| async move { running.next().await.map(|frame| (frame, running)) })
    }

    async fn next(&mut self) -> Option<Result<(S::Frame, Bytes), Status>> {
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
        let frame = match self.wait().await {
            Ok(Some(told)) => self.source.frame(told).await.map_err(Status::from),
            Ok(None) => {
                self.phase = Phase::Ended;
                return None;
            }
            Err(status) => Err(status),
        };
        match frame {
            Ok(frame) => Some(Ok((frame, self.source.cursor()))),
            Err(status) => {
                self.phase = Phase::Ended;
                Some(Err(status))
            }
        }
    }

    /// What is to be told next; none at the end.
    async fn wait(&mut self) -> Result<Option<Told<S::Event>>, Status> {
        let leave_by = self.leave_by;
        let leaving = async move {
            match leave_by {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let why = tokio::select! {
            biased;
            () = self.stop.cancelled() => Why::NodeStops,
            () = leaving => Why::ConnectionEnds,
            next = self.source.next() => match next? {
                Next::Tell(event) => return Ok(Some(Told::Event(event))),
                Next::End => return Ok(None),
                Next::Stopping => Why::NodeStops,
                Next::Expiring => Why::ConnectionEnds,
                Next::Broken(status) => return Err(status),
            },
            () = sleep(PROGRESS_EVERY) => return Ok(Some(Told::Progress)),
        };
        self.phase = Phase::Drained(why);
        Ok(Some(Told::Draining))
    }
}
