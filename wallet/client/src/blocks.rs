//! The chain as a stream that never ends: blocks applied and undone.

use farthing::{
    BlockId, Height,
    wire::{
        ChainPoint, WireError,
        v1::{self, subscribe_blocks_request::Start as From, subscribe_blocks_response::Event},
    },
};
use tonic::{Response, Status, Streaming};

use crate::{
    answers::ChainBlock,
    client::Client,
    cursor::Cursor,
    error::Error,
    follow::{Following, Kind, Step, public_stream, read_cursor},
    place::Place,
    pool::{NodeSlot, Service},
    read,
    verify::VerifyError,
};

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
pub struct Blocks(Following<Chain>);

/// Where the reader of blocks stands.
struct Chain {
    start: Start,
    place: Place,
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
        Blocks(Following::new(self.clone(), Chain { start, place }))
    }
}

impl Blocks {
    /// The next step. Waits for it as long as it takes, and goes from node to node with growing pauses while none can
    /// give it. Dropping the future loses nothing: no frame is consumed before it is returned.
    ///
    /// # Errors
    /// Only what no waiting and no other node mends: [`Error::Setup`], [`Error::WrongNetwork`] if that goes for every
    /// node, and refusals such as `INVALID_CURSOR`, or `BLOCK_PRUNED` by every node.
    pub async fn next(&mut self) -> Result<Frame, Error> {
        loop {
            // It has no last frame.
            if let Some(frame) = self.0.next().await? {
                return Ok(frame);
            }
        }
    }
}

public_stream!(Blocks, Frame, start);

impl Kind for Chain {
    const NAME: &'static str = "blocks";

    type Message = v1::SubscribeBlocksResponse;
    type Frame = Frame;

    async fn ask(&self, mut service: Service) -> Result<Response<Streaming<Self::Message>>, Status> {
        let start = match &self.start {
            Start::Tip => From::FromTip(true),
            Start::Height(height) => From::FromHeight(height.get()),
            Start::After(id) => From::AfterBlockId(id.to_bytes().to_vec().into()),
            Start::Cursor(cursor) => From::Cursor(cursor.as_bytes().to_vec().into()),
        };
        service.subscribe_blocks(v1::SubscribeBlocksRequest { start: Some(start), ..Default::default() }).await
    }

    fn read(&mut self, client: &Client, message: Self::Message, node: &NodeSlot) -> Result<Step<Frame>, Error> {
        let tip = node.read_tip(message.tip)?;
        let event = match message.event {
            None => return Err(node.malformed(WireError::missing("event"))),
            Some(Event::Progress(_)) => {
                self.hold_on_to_the_tip(client, &message.cursor);
                return Ok(Step::Nothing);
            }
            Some(Event::Draining(_)) => return Ok(Step::Draining),
            Some(Event::Apply(view)) => BlockEvent::Apply(read::block(client, view, node)?),
            Some(Event::Undo(undo)) => {
                let id = read::id("undo.block_id", &undo.block_id, node)?;
                BlockEvent::Undo { height: Height::new(undo.height), id }
            }
        };
        let cursor = read_cursor(&message.cursor, node)?;
        self.check_start(&event, node)?;
        let fits = match &event {
            BlockEvent::Apply(block) => self.place.apply(block, &cursor),
            BlockEvent::Undo { height, id } => self.place.undo(*height, *id, &cursor),
        };
        fits.map_err(|error| node.unproven(error))?;
        self.start = Start::Cursor(cursor.clone());
        Ok(Step::Frame(Box::new(Frame { event, cursor, tip })))
    }

    fn is_lag(&self, error: &Error) -> bool {
        error.is_refused_for("CURSOR_UNKNOWN")
            || error.is_refused_for("HEIGHT_ABOVE_TIP")
            || (error.is_refused_for("BLOCK_NOT_FOUND") && matches!(self.start, Start::After(_)))
    }
}

impl Chain {
    /// A reader that waits for the next change of the tip misses none, even if the stream breaks before it comes.
    fn hold_on_to_the_tip(&mut self, client: &Client, cursor: &[u8]) {
        if self.start != Start::Tip {
            return;
        }
        if let Ok(cursor) = Cursor::from_bytes(cursor) {
            self.place = Place::at(&cursor, *client.network().genesis_id());
            self.start = Start::Cursor(cursor);
        }
    }

    /// The first frame behind a block named by its id only.
    fn check_start(&self, event: &BlockEvent, node: &NodeSlot) -> Result<(), Error> {
        let Start::After(start) = self.start else { return Ok(()) };
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
