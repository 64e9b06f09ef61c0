//! One who reads a stream, and what becomes of the stream if he does not.
//!
//! HTTP/2 asks a stream for its next message only when the client has room for it, so a stream cannot notice by itself
//! that its client takes nothing. A small task looks instead, once in the time that a client may take nothing; when that
//! is over it drops whatever the node holds for the stream. The reason is told when the client begins to read again.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{
    Stream,
    stream::{BoxStream, StreamExt as _},
};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Status;

use super::run::PROGRESS_EVERY;
use crate::{
    rpc::ApiError,
    server::{Delivery, Taken},
    tasks::Tasks,
};

/// Frames, each with the cursor behind it.
type Frames<F> = BoxStream<'static, Result<(F, Bytes), Status>>;

/// The frames as the reader gets them.
pub(super) struct Subscriber<F> {
    shared: Arc<Mutex<State<F>>>,
    /// Ends the task that looks after the reader.
    _watched: Option<DropGuard>,
}

/// What the reader's side and the task share.
struct State<F> {
    /// None once the stream has ended.
    frames: Option<Frames<F>>,
    /// Behind the last frame that was handed over.
    cursor: Bytes,
    /// When the next frame was asked for last. A reader with room for more asks as often as a quiet stream shows that
    /// it lives.
    asked: Instant,
    /// Whoever waits for the next frame.
    waiter: Option<Waker>,
    /// For how long nothing was taken when the stream was given up; until that is told.
    stalled: Option<Duration>,
}

impl<F: Send + 'static> Subscriber<F> {
    pub(super) fn new(frames: Frames<F>, cursor: Bytes, delivery: Option<(Delivery, Tasks)>) -> Self {
        let state = State { frames: Some(frames), cursor, asked: Instant::now(), waiter: None, stalled: None };
        let shared = Arc::new(Mutex::new(state));
        let watched = delivery.map(|(delivery, tasks)| {
            let ended = tasks.token().child_token();
            tasks.spawn("subscriber", watch(Arc::downgrade(&shared), delivery, ended.clone()));
            ended.drop_guard()
        });
        Self { shared, _watched: watched }
    }
}

impl<F> Stream for Subscriber<F> {
    type Item = Result<F, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = lock(&self.shared);
        state.asked = Instant::now();
        let Some(frames) = &mut state.frames else {
            let stalled = state.stalled.take();
            return Poll::Ready(stalled.map(|limit| Err(ApiError::subscriber_stalled(&state.cursor, limit).into())));
        };
        match frames.poll_next_unpin(cx) {
            Poll::Ready(Some(Ok((frame, cursor)))) => {
                state.cursor = cursor;
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(status))) => {
                state.frames = None;
                Poll::Ready(Some(Err(status)))
            }
            Poll::Ready(None) => {
                state.frames = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                state.waiter = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl<F> State<F> {
    /// Since when the client takes nothing, as far as can be told.
    fn quiet_since(&self, Taken { waits, since }: Taken) -> Instant {
        // With room for more and nothing on its way, the next frame is asked for as soon as there is one.
        if waits { since } else { since.max(self.asked + PROGRESS_EVERY) }
    }

    /// Drops the stream and all that it holds.
    fn give_up(&mut self, limit: Duration) {
        if self.frames.take().is_some() {
            tracing::debug!(?limit, "a subscriber takes nothing; its stream has ended");
            self.stalled = Some(limit);
        }
        if let Some(waiter) = self.waiter.take() {
            waiter.wake();
        }
    }
}

/// Gives the stream up once its client has taken nothing for too long.
async fn watch<F>(
    shared: Weak<Mutex<State<F>>>,
    delivery: Delivery,
    ended: CancellationToken,
) -> Result<(), std::convert::Infallible> {
    let limit = delivery.limit();
    loop {
        let due = {
            let Some(shared) = shared.upgrade() else { return Ok(()) };
            let mut state = lock(&shared);
            let due = state.quiet_since(delivery.taken()) + limit;
            if due <= Instant::now() {
                state.give_up(limit);
                return Ok(());
            }
            due
        };
        tokio::select! {
            biased;
            () = ended.cancelled() => return Ok(()),
            () = sleep_until(due) => {}
        }
    }
}

fn lock<F>(shared: &Mutex<State<F>>) -> MutexGuard<'_, State<F>> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use tonic_types::StatusExt as _;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(20);

    /// A stream that never has anything to tell, and who holds something for it.
    fn silent() -> (Subscriber<()>, Weak<()>) {
        let held = Arc::new(());
        let (seen, tasks) = (Arc::downgrade(&held), Tasks::new());
        let frames = stream::pending().map(move |()| {
            let _held = &held;
            Ok(((), Bytes::new()))
        });
        let delivery = Delivery::for_tests(LIMIT);
        (Subscriber::new(frames.boxed(), Bytes::from_static(b"here"), Some((delivery, tasks))), seen)
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_client_never_asks_is_given_up_even_if_nothing_was_made_for_it() {
        let (mut subscriber, held) = silent();
        tokio::time::sleep(PROGRESS_EVERY + LIMIT / 2).await;
        assert!(held.upgrade().is_some(), "not yet");
        tokio::time::sleep(LIMIT).await;
        assert!(held.upgrade().is_none(), "what it held is gone");
        let status = subscriber.next().await.unwrap().unwrap_err();
        let info = status.get_details_error_info().unwrap();
        assert_eq!((info.reason.as_str(), info.metadata["cursor"].as_str()), ("SUBSCRIBER_STALLED", "aGVyZQ=="));
        assert!(subscriber.next().await.is_none(), "it is told once");
    }

    #[tokio::test(start_paused = true)]
    async fn one_whose_client_asks_now_and_then_is_kept() {
        let (mut subscriber, held) = silent();
        for _ in 0..20 {
            tokio::time::sleep(PROGRESS_EVERY).await;
            assert!(subscriber.next().now_or_never().is_none());
        }
        assert!(held.upgrade().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_stream_holds_goes_with_its_reader() {
        let (subscriber, held) = silent();
        drop(subscriber);
        assert!(held.upgrade().is_none());
    }
}
