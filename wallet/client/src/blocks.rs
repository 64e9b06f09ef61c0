//! The chain as a stream that never ends: blocks applied and undone, over disconnects, restarts and other nodes.

use std::{fmt, time::Duration};

use farthing::{
    BlockId, Height,
    wire::{
        ChainPoint, WireError, WireFault,
        v1::{self, subscribe_blocks_request::Start as From, subscribe_blocks_response::Event},
    },
};
use futures_util::Stream;
use tokio::time::{Instant, sleep_until, timeout};
use tonic::{Code, Streaming};

use crate::{
    answers::ChainBlock, client::Client, cursor::Cursor, error::Error, place::Place, read, retry::Class,
    verify::VerifyError,
};

/// The longest time for which a node's wish to be left alone is heeded.
const LONGEST_WISH: Duration = Duration::from_secs(60);
/// How many failed attempts in a row count for the length of a pause.
const MOST_COUNTED: u32 = 16;

/// Where to start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With the next change of the tip.
    Tip,
    /// With the block at this height of the best chain.
    Height(Height),
    /// Behind this block, undoing it first if it left the best chain.
    After(BlockId),
    /// Behind the frame that carried this cursor.
    Cursor(Cursor),
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub enum BlockEvent {
    /// The block became part of the best chain. Its parent is the block that the reader added last.
    Apply(ChainBlock),
    /// The block, which the reader added last, left the best chain.
    Undo {
        /// Its height.
        height: Height,
        /// Its id.
        id: BlockId,
    },
}

/// One step of the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What happened.
    pub event: BlockEvent,
    /// Where to continue. Store it with what the event led to, in one transaction.
    pub cursor: Cursor,
    /// The node's tip when it sent the frame, on its word: how far behind the reader is.
    pub tip: ChainPoint,
}

/// The chain, block by block. Made by [`Client::follow`].
///
/// Every frame is checked to fit behind the last one: an applied block has the block added last for its parent, an undone
/// block is the one added last, and the cursor names the place behind the frame. A node that skips, repeats or answers
/// with something else is left for another one, at the cursor of the last good frame; the reader sees none of it.
pub struct Blocks {
    client: Client,
    start: Start,
    place: Place,
    open: Option<Open>,
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

struct Open {
    at: usize,
    frames: Streaming<v1::SubscribeBlocksResponse>,
}

/// What a frame of the wire means for the reader.
enum Step {
    Frame(Box<Frame>),
    Nothing,
    /// The node says that it will end the stream; why follows.
    Draining,
    /// The stream is left; the node did nothing wrong.
    Leave,
}

impl Client {
    /// Follows the best chain from somewhere, for ever. Nothing is asked before the first [`Blocks::next`].
    #[must_use]
    pub fn follow(&self, start: Start) -> Blocks {
        let genesis = *self.network().genesis_id();
        let place = match &start {
            Start::Tip | Start::After(_) => Place::anywhere(genesis),
            Start::Height(height) => Place::before(*height, genesis),
            Start::Cursor(cursor) => Place::at(cursor, genesis),
        };
        Blocks {
            client: self.clone(),
            start,
            place,
            open: None,
            failures: 0,
            asked: 0,
            useless: Vec::new(),
            not_before: None,
            on_trouble: Box::new(|_| ()),
        }
    }
}

impl Blocks {
    /// Is told of everything that goes wrong and is mended: a node that is down, one that lies, one that does not know
    /// the cursor yet. For logs and alarms; each call is one failed attempt.
    #[must_use]
    pub fn on_trouble(mut self, told: impl FnMut(&Error) + Send + Sync + 'static) -> Self {
        self.on_trouble = Box::new(told);
        self
    }

    /// The next step. Waits for it as long as it takes, and goes from node to node with growing pauses while none can
    /// give it. Dropping the future loses nothing: no frame is consumed before it is returned.
    ///
    /// # Errors
    /// Only what no waiting and no other node mends: [`Error::Setup`], [`Error::WrongNetwork`] if that goes for every
    /// node, and refusals such as `INVALID_CURSOR`, or `BLOCK_PRUNED` by every node.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            match self.step().await {
                Ok(Step::Frame(frame)) => {
                    self.start = Start::Cursor(frame.cursor.clone());
                    self.failures = 0;
                    self.useless.clear();
                    return Ok(*frame);
                }
                Ok(Step::Nothing) => self.failures = 0,
                Ok(Step::Draining) => {}
                Ok(Step::Leave) => self.open = None,
                Err(error) => {
                    self.open = None;
                    (self.on_trouble)(&error);
                    tracing::debug!(%error, "the stream of blocks is interrupted");
                    if self.is_hopeless(&error) {
                        return Err(error);
                    }
                    self.failures = (self.failures + 1).min(MOST_COUNTED);
                    self.plan_pause();
                }
            }
        }
    }

    /// The steps as a stream; it ends behind the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Frame, Error>> + Send {
        futures_util::stream::unfold(Some(self), |blocks| async move {
            let mut blocks = blocks?;
            match blocks.next().await {
                Ok(frame) => Some((Ok(frame), Some(blocks))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// Whether neither another node nor this one later will do better.
    fn is_hopeless(&mut self, error: &Error) -> bool {
        match error.class() {
            _ if self.is_lag(error) => false,
            Class::Final => true,
            // A lying or broken node may be mended; one of another network, or without the blocks, will stay so.
            Class::Elsewhere if is_for_good(error) => {
                self.useless.extend((!self.useless.contains(&self.asked)).then_some(self.asked));
                self.useless.len() == self.client.pool().len()
            }
            Class::Elsewhere | Class::Again(_) => false,
        }
    }

    /// Whether the node merely lacks blocks that it will get.
    fn is_lag(&self, error: &Error) -> bool {
        error.is_refused_for("CURSOR_UNKNOWN")
            || error.is_refused_for("HEIGHT_ABOVE_TIP")
            || (error.is_refused_for("BLOCK_NOT_FOUND") && matches!(self.start, Start::After(_)))
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

    /// A reader that waits for the next change of the tip misses none, even if the stream breaks before it comes.
    fn hold_on_to_the_tip(&mut self, cursor: &[u8]) {
        if self.start != Start::Tip {
            return;
        }
        if let Ok(cursor) = Cursor::from_bytes(cursor) {
            self.place = Place::at(&cursor, *self.client.network().genesis_id());
            self.start = Start::Cursor(cursor);
        }
    }

    async fn step(&mut self) -> Result<Step, Error> {
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
        let silence = self.client.settings().silence;
        let node = self.client.pool().node(open.at);
        let message = match timeout(silence, open.frames.message()).await {
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
        let at = open.at;
        match self.read(message, at) {
            Ok(Step::Nothing) => Ok(self.stay_or_leave(at).await),
            Ok(step) => {
                self.client.pool().node(at).did_well();
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
    async fn stay_or_leave(&self, at: usize) -> Step {
        let pool = self.client.pool();
        self.client.look_around().await;
        if pool.is_behind(at) { Step::Leave } else { Step::Nothing }
    }

    async fn connect(&self, at: usize) -> Result<Open, Error> {
        let settings = self.client.settings();
        let node = self.client.pool().node(at);
        let opened = async {
            let mut service = node.service(settings).await?;
            match timeout(settings.deadline, service.subscribe_blocks(self.request())).await {
                Ok(Ok(answer)) => Ok(Open { at, frames: answer.into_inner() }),
                Ok(Err(status)) => Err(Error::from_status(&status, &node.url)),
                Err(_) => Err(Error::Deadline { node: node.url.clone(), after: settings.deadline }),
            }
        };
        let opened: Result<Open, Error> = opened.await;
        if let Err(error) = &opened {
            if self.is_lag(error) { node.lags() } else { node.failed(error) }
        }
        opened
    }

    fn request(&self) -> v1::SubscribeBlocksRequest {
        let start = match &self.start {
            Start::Tip => From::FromTip(true),
            Start::Height(height) => From::FromHeight(height.get()),
            Start::After(id) => From::AfterBlockId(id.to_bytes().to_vec().into()),
            Start::Cursor(cursor) => From::Cursor(cursor.as_bytes().to_vec().into()),
        };
        v1::SubscribeBlocksRequest { start: Some(start), ..Default::default() }
    }

    /// Reads a frame and steps, if it fits.
    fn read(&mut self, message: v1::SubscribeBlocksResponse, at: usize) -> Result<Step, Error> {
        let node = self.client.pool().node(at);
        let tip = node.read_tip(message.tip)?;
        let event = match message.event {
            None => return Err(node.malformed(WireError::missing("event"))),
            Some(Event::Progress(_)) => {
                self.hold_on_to_the_tip(&message.cursor);
                return Ok(Step::Nothing);
            }
            Some(Event::Draining(_)) => return Ok(Step::Draining),
            Some(Event::Apply(view)) => BlockEvent::Apply(read::block(&self.client, view, node)?),
            Some(Event::Undo(undo)) => {
                let id = read::id("undo.block_id", &undo.block_id, node)?;
                BlockEvent::Undo { height: Height::new(undo.height), id }
            }
        };
        let cursor = Cursor::from_bytes(&message.cursor).map_err(|_| {
            let fault = WireFault::Unexpected { expected: "a cursor of 1 or 41 bytes that begins with 1" };
            node.malformed(WireError::new("cursor", fault))
        })?;
        self.check_start(&event, at)?;
        let fits = match &event {
            BlockEvent::Apply(block) => self.place.apply(block, &cursor),
            BlockEvent::Undo { height, id } => self.place.undo(*height, *id, &cursor),
        };
        fits.map_err(|error| node.unproven(error))?;
        Ok(Step::Frame(Box::new(Frame { event, cursor, tip })))
    }

    /// The first frame behind a block named by its id only.
    fn check_start(&self, event: &BlockEvent, at: usize) -> Result<(), Error> {
        let Start::After(start) = self.start else { return Ok(()) };
        let node = self.client.pool().node(at);
        match event {
            BlockEvent::Apply(block) if block.summary.header.previous != start => {
                let found = block.summary.header.previous;
                Err(node.unproven(VerifyError::Parent { height: block.height(), found, expected: start }))
            }
            BlockEvent::Undo { id, .. } if *id != start => {
                Err(node.unproven(VerifyError::UndoneOther { found: *id, expected: start }))
            }
            _ => Ok(()),
        }
    }
}

fn is_for_good(error: &Error) -> bool {
    matches!(error, Error::WrongNetwork { .. }) || error.is_refused_for("BLOCK_PRUNED")
}

impl fmt::Debug for Blocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blocks").field("start", &self.start).field("failures", &self.failures).finish_non_exhaustive()
    }
}
