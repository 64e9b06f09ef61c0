//! What all streams of the client share: they go on behind the last frame, over disconnects, restarts and other nodes.

use std::{future::Future, time::Duration};

use farthing::wire::{ChainPoint, WireError, WireFault};
use futures_util::Stream;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Response, Status, Streaming};

use crate::{
    client::Client,
    cursor::Cursor,
    error::{Error, OTHERS_HAVE},
    pool::{NodeSlot, Service},
    retry::Class,
};

/// The longest time for which a node's wish to be left alone is heeded.
const LONGEST_WISH: Duration = Duration::from_secs(60);
/// How many failed attempts in a row count for the length of a pause.
const MOST_COUNTED: u32 = 16;

/// What one kind of stream knows: how it is asked for, and whether a message fits where the reader stands.
pub(crate) trait Kind: Send + Sync + 'static {
    /// The reader's name for it, for logs.
    const NAME: &'static str;

    /// What the node sends.
    type Message: Send + 'static;
    /// What the reader gets.
    type Frame: Send;

    /// Asks a node for the stream from where the reader stands.
    fn ask(&self, service: Service) -> impl Future<Output = Result<Response<Streaming<Self::Message>>, Status>> + Send;

    /// Reads a message, holds it against what came before, and steps behind it if it fits.
    ///
    /// # Errors
    /// What the node did wrong; the reader stands where it stood.
    fn read(&mut self, client: &Client, message: Self::Message, node: &NodeSlot) -> Result<Step<Self::Frame>, Error>;

    /// Whether the last word was said, and nothing is left to be asked for.
    fn is_over(&self) -> bool {
        false
    }

    /// Whether the node merely lacks blocks that it will get.
    fn is_lag(&self, error: &Error) -> bool {
        error.is_refused_for("CURSOR_UNKNOWN")
    }
}

/// What a message of the wire means for the reader.
pub(crate) enum Step<F> {
    Frame(Box<F>),
    Nothing,
    /// The node says that it will end the stream; why follows.
    Draining,
    /// The stream is left; the node did nothing wrong.
    Leave,
}

/// A stream that resumes by itself.
pub(crate) struct Following<K: Kind> {
    client: Client,
    kind: K,
    open: Option<Open<K::Message>>,
    /// Attempts in a row without a frame.
    failures: u32,
    /// The node asked last.
    asked: usize,
    /// Nodes that will be of no use for this stream.
    useless: Vec<usize>,
    /// Before this moment no node is asked.
    not_before: Option<Instant>,
    on_trouble: Box<dyn FnMut(&Error) + Send + Sync>,
}

struct Open<M> {
    at: usize,
    messages: Streaming<M>,
}

impl<K: Kind> Following<K> {
    /// Nothing is asked before the first [`Self::next`].
    pub(crate) fn new(client: Client, kind: K) -> Self {
        Self {
            client,
            kind,
            open: None,
            failures: 0,
            asked: 0,
            useless: Vec::new(),
            not_before: None,
            on_trouble: Box::new(|_| ()),
        }
    }

    pub(crate) const fn kind(&self) -> &K {
        &self.kind
    }

    pub(crate) fn on_trouble(mut self, told: impl FnMut(&Error) + Send + Sync + 'static) -> Self {
        self.on_trouble = Box::new(told);
        self
    }

    /// The next step; none behind the last one. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Option<K::Frame>, Error> {
        while !self.kind.is_over() {
            match self.step().await {
                Ok(Step::Frame(frame)) => {
                    self.failures = 0;
                    self.useless.clear();
                    return Ok(Some(*frame));
                }
                Ok(Step::Nothing) => self.failures = 0,
                Ok(Step::Draining) => {}
                Ok(Step::Leave) => self.open = None,
                Err(error) => {
                    self.open = None;
                    (self.on_trouble)(&error);
                    tracing::debug!(%error, stream = K::NAME, "a stream is interrupted");
                    if self.is_hopeless(&error) {
                        return Err(error);
                    }
                    self.failures = (self.failures + 1).min(MOST_COUNTED);
                    self.plan_pause();
                }
            }
        }
        self.open = None;
        Ok(None)
    }

    /// The steps as a stream; it ends behind the last one or the first error.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<K::Frame, Error>> + Send {
        futures_util::stream::unfold(Some(self), |following| async move {
            let mut following = following?;
            match following.next().await.transpose()? {
                Ok(frame) => Some((Ok(frame), Some(following))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Whether neither another node nor this one later will do better.
    fn is_hopeless(&mut self, error: &Error) -> bool {
        match error.class() {
            _ if self.kind.is_lag(error) => false,
            Class::Final => true,
            // A lying or broken node may be mended; one of another network, or without the blocks, will stay so.
            Class::Elsewhere if is_for_good(error) => {
                self.useless.extend((!self.useless.contains(&self.asked)).then_some(self.asked));
                self.useless.len() == self.client.pool().len()
            }
            Class::Elsewhere | Class::Again(_) => false,
        }
    }

    /// At once if another node is there that does not rest, else after a pause; each round of nodes counts for one failure.
    fn plan_pause(&mut self) {
        let pool = self.client.pool();
        let nodes = u32::try_from(pool.len()).unwrap_or(u32::MAX);
        let next = pool.choose(&self.useless, true);
        if next.is_some_and(|next| next.rests_for.is_zero()) && !self.failures.is_multiple_of(nodes) {
            return;
        }
        let asked = next.map_or(Duration::ZERO, |next| pool.node(next.at).asked_for()).min(LONGEST_WISH);
        let pause = self.client.settings().retry.pause(self.failures.div_ceil(nodes));
        self.not_before = Some(Instant::now() + pause.max(asked));
    }

    async fn step(&mut self) -> Result<Step<K::Frame>, Error> {
        if let Some(moment) = self.not_before {
            sleep_until(moment).await;
            self.not_before = None;
        }
        if self.open.is_none() {
            let pool = self.client.pool();
            self.client.look_around().await;
            let choice =
                pool.choose(&self.useless, true).ok_or_else(|| Error::Setup("no node was named".to_owned()))?;
            self.asked = choice.at;
            self.open = Some(self.connect(choice.at).await?);
        }
        let Some(open) = &mut self.open else { return Ok(Step::Nothing) };
        let (at, silence) = (open.at, self.client.settings().silence);
        let node = self.client.pool().node(at);
        let message = match timeout(silence, open.messages.message()).await {
            Ok(Ok(Some(message))) => message,
            Ok(Ok(None)) => {
                let message = "the stream ended although nothing was to end it".to_owned();
                return Err(self.noted(Error::Interrupted { node: node.url.clone(), code: Code::Ok, message }));
            }
            Ok(Err(status)) => {
                let error = Error::from_status(&status, &node.url);
                // The connection grew old; a new one is all that is needed.
                if error.is_refused_for("CONNECTION_EXPIRED") {
                    node.disconnect();
                    return Ok(Step::Leave);
                }
                return Err(self.noted(error));
            }
            Err(_) => return Err(self.noted(Error::Deadline { node: node.url.clone(), after: silence })),
        };
        match self.kind.read(&self.client, message, node) {
            Ok(Step::Nothing) => Ok(self.stay_or_leave(at).await),
            Ok(step) => {
                node.did_well();
                Ok(step)
            }
            Err(error) => Err(self.noted(error)),
        }
    }

    /// Tells the pool that the node of the open stream failed.
    fn noted(&self, error: Error) -> Error {
        if let Some(open) = &self.open {
            self.client.pool().node(open.at).failed(&error);
        }
        error
    }

    /// While nothing happens, looks whether it happens elsewhere.
    async fn stay_or_leave(&self, at: usize) -> Step<K::Frame> {
        let pool = self.client.pool();
        self.client.look_around().await;
        if pool.is_behind(at) { Step::Leave } else { Step::Nothing }
    }

    async fn connect(&self, at: usize) -> Result<Open<K::Message>, Error> {
        let settings = self.client.settings();
        let node = self.client.pool().node(at);
        let opened = async {
            let service = node.service(settings).await?;
            match timeout(settings.deadline, self.kind.ask(service)).await {
                Ok(Ok(answer)) => Ok(Open { at, messages: answer.into_inner() }),
                Ok(Err(status)) => Err(Error::from_status(&status, &node.url)),
                Err(_) => Err(Error::Deadline { node: node.url.clone(), after: settings.deadline }),
            }
        };
        let opened: Result<Open<K::Message>, Error> = opened.await;
        if let Err(error) = &opened {
            if self.kind.is_lag(error) { node.lags() } else { node.failed(error) }
        }
        opened
    }
}

fn is_for_good(error: &Error) -> bool {
    matches!(error, Error::WrongNetwork { .. }) || OTHERS_HAVE.iter().any(|reason| error.is_refused_for(reason))
}

/// Reads the cursor of a frame, which names a block or the place before the first one.
pub(crate) fn read_cursor(bytes: &[u8], node: &NodeSlot) -> Result<Cursor, Error> {
    Cursor::from_bytes(bytes).map_err(|_| {
        let fault = WireFault::Unexpected { expected: "a cursor of 1 or 41 bytes that begins with 1" };
        node.malformed(WireError::new("cursor", fault))
    })
}

/// Reads a block's place that a frame must have.
pub(crate) fn read_point(
    field: &'static str,
    point: Option<farthing::wire::v1::ChainPoint>,
    node: &NodeSlot,
) -> Result<ChainPoint, Error> {
    let point = point.ok_or_else(|| WireError::missing(field));
    let point = point.and_then(|point| ChainPoint::try_from(point).map_err(|error| error.within(field)));
    point.map_err(|error| node.malformed(error))
}

/// What the public streams have in common, around a `Following` in field 0.
macro_rules! public_stream {
    ($name:ident, $frame:ident, $($state:ident),+) => {
        impl $name {
            /// Is told of everything that goes wrong and is mended: a node that is down, one that lies, one that does not know
            /// the cursor yet. For logs and alarms; each call is one failed attempt.
            #[must_use]
            pub fn on_trouble(self, told: impl FnMut(&Error) + Send + Sync + 'static) -> Self {
                Self(self.0.on_trouble(told))
            }

            /// The steps as a stream; it ends behind the last one or the first error.
            pub fn into_stream(self) -> impl futures_util::Stream<Item = Result<$frame, Error>> + Send {
                self.0.into_stream()
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let kind = self.0.kind();
                f.debug_struct(stringify!($name))$(.field(stringify!($state), &kind.$state))+.finish_non_exhaustive()
            }
        }
    };
}
pub(crate) use public_stream;
