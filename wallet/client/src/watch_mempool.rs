//! The mempool of a node as a stream that never ends: what is in it, what comes and what leaves, and why.

use std::fmt;

use farthing::{
    Address, Transaction, TxId,
    wire::{ChainPoint, WireError, WireFault, v1, v1::subscribe_transactions_response::Event},
};
use tonic::{Response, Status, Streaming};

use crate::{
    answers::WaitingTransaction,
    calls::other_answer,
    client::Client,
    error::Error,
    follow::{Following, Kind, Step, public_stream, read_point},
    pool::{NodeSlot, Service},
    read::{self, waiting},
    text::{MAX_TEXT, printable},
    verify::VerifyError,
};

/// Longest cursor, in bytes.
const MAX_CURSOR_BYTES: usize = 33;

/// A place in the events of one run of one node's mempool. Any node takes it; another one, or this one once it has
/// forgotten what happened since, begins with [`MempoolEvent::Reset`].
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct MempoolCursor(Vec<u8>);

impl MempoolCursor {
    /// Reads what [`Self::as_bytes`] gave. Whether it is one, the node says.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.to_vec())
    }

    /// At most 33 bytes to store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for MempoolCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MempoolCursor({} bytes)", self.0.len())
    }
}

/// What happened in a mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every event is the large one")]
pub enum MempoolEvent {
    /// Forget what you hold: the whole mempool follows. Comes first, when another node takes over, and when the reader was
    /// so slow that the node has forgotten what it should read next.
    Reset,
    /// The transaction is in it.
    Added(WaitingTransaction),
    /// All that was in it was told.
    Present,
    /// The transaction can be mined now, or no longer.
    Changed {
        /// Its id.
        id: TxId,
        /// Whether the next block may include it.
        is_executable: bool,
    },
    /// The transaction left it.
    Removed {
        /// Its id.
        id: TxId,
        /// Why.
        why: MempoolExit,
    },
}

/// Why a transaction left the mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MempoolExit {
    /// It was mined in this block.
    Mined(ChainPoint),
    /// It was dropped.
    Dropped {
        /// Stable reason, such as `REPLACED`, fit to be shown.
        reason: String,
        /// What took its place, if something did.
        replaced_by: Option<TxId>,
    },
}

/// One step of the reader of a mempool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolFrame {
    /// What happened.
    pub event: MempoolEvent,
    /// Where to continue.
    pub cursor: MempoolCursor,
    /// The node's tip when it sent the frame, on its word.
    pub tip: ChainPoint,
}

/// A mempool, event by event. Made by [`Client::watch_mempool`].
///
/// Each node has its own mempool, so all of it is on the word of the node that tells it; checked are the ids of transactions and
/// the filter. On the same run of the same node the stream goes on without gap or repeat.
pub struct MempoolWatch(Following<Watched>);

/// How far the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has asked, and the node decides whether it begins anew.
    Asked,
    /// It is told of all that there is.
    Listing,
    /// It has all of it.
    Live,
}

/// Where the reader of a mempool stands.
struct Watched {
    addresses: Vec<Address>,
    cursor: Option<MempoolCursor>,
    phase: Phase,
}

impl Client {
    /// Watches the mempool of whatever node is there: all of it, then what changes. With addresses, at most 64, only what they
    /// send or receive. Nothing is asked before the first [`MempoolWatch::next`].
    #[must_use]
    pub fn watch_mempool(&self, addresses: &[Address], after: Option<MempoolCursor>) -> MempoolWatch {
        let watched = Watched { addresses: addresses.to_vec(), cursor: after, phase: Phase::Asked };
        MempoolWatch(Following::new(self.clone(), watched))
    }
}

impl MempoolWatch {
    /// What happens next. Waits for it as long as it takes, and goes from node to node with growing pauses while none can tell.
    /// Dropping the future loses nothing: no frame is consumed before it is returned.
    ///
    /// # Errors
    /// Only what no waiting and no other node mends: [`Error::Setup`], [`Error::WrongNetwork`] if that goes for every
    /// node, and refusals such as `INVALID_CURSOR`.
    pub async fn next(&mut self) -> Result<MempoolFrame, Error> {
        loop {
            // It has no last frame.
            if let Some(frame) = self.0.next().await? {
                return Ok(frame);
            }
        }
    }
}

public_stream!(MempoolWatch, MempoolFrame, cursor, phase);

impl Kind for Watched {
    const NAME: &'static str = "mempool";

    type Message = v1::SubscribeTransactionsResponse;
    type Frame = MempoolFrame;

    async fn ask(&self, mut service: Service) -> Result<Response<Streaming<Self::Message>>, Status> {
        let addresses = self.addresses.iter().map(|address| address.to_bytes().to_vec().into()).collect();
        let filter = v1::AddressFilter { addresses, address_texts: Vec::new() };
        let request = v1::SubscribeTransactionsRequest {
            cursor: self.cursor.as_ref().map(|cursor| cursor.0.clone()).unwrap_or_default().into(),
            filter: (!self.addresses.is_empty()).then_some(filter),
        };
        service.subscribe_transactions(request).await
    }

    fn read(&mut self, client: &Client, message: Self::Message, node: &NodeSlot) -> Result<Step<MempoolFrame>, Error> {
        let tip = node.read_tip(message.tip)?;
        let found = message.cursor.len();
        if found == 0 || found > MAX_CURSOR_BYTES {
            let fault = WireFault::Count { unit: "bytes", min: 1, max: MAX_CURSOR_BYTES, found };
            return Err(node.malformed(WireError::new("cursor", fault)));
        }
        let cursor = MempoolCursor(message.cursor.to_vec());
        let event = match message.event {
            None => return Err(node.malformed(WireError::missing("event"))),
            Some(Event::Progress(_)) => {
                // The events that are of no concern were passed.
                self.cursor = self.cursor.take().map(|_| cursor);
                return Ok(Step::Nothing);
            }
            Some(Event::Draining(_)) => return Ok(Step::Draining),
            Some(event) => self.event(client, event, node)?,
        };
        self.step(&event).map_err(|found| {
            let expected = "the mempool anew, or what changed in it".to_owned();
            node.unproven(VerifyError::OtherAnswer { found: found.to_owned(), expected })
        })?;
        self.cursor = Some(cursor.clone());
        Ok(Step::Frame(Box::new(MempoolFrame { event, cursor, tip })))
    }
}

impl Watched {
    fn event(&self, client: &Client, event: Event, node: &NodeSlot) -> Result<MempoolEvent, Error> {
        Ok(match event {
            Event::Reset(_) => MempoolEvent::Reset,
            Event::Present(_) => MempoolEvent::Present,
            Event::Added(entry) => {
                let added = waiting(client.network(), entry, "added.transaction", node)?;
                if !self.wants(added.transaction.transaction()) {
                    return Err(other_answer(node, &added.id, &"a transaction of the addresses asked about"));
                }
                MempoolEvent::Added(added)
            }
            Event::Changed(change) => {
                let is_executable = match change.state() {
                    v1::TransactionState::Pending => true,
                    v1::TransactionState::Queued => false,
                    _ => {
                        let fault = WireFault::Unexpected { expected: "PENDING or QUEUED" };
                        return Err(node.malformed(WireError::new("changed.state", fault)));
                    }
                };
                MempoolEvent::Changed {
                    id: read::id("changed.transaction_id", &change.transaction_id, node)?,
                    is_executable,
                }
            }
            Event::Removed(removal) => MempoolEvent::Removed {
                id: read::id("removed.transaction_id", &removal.transaction_id, node)?,
                why: exit(removal.cause, node)?,
            },
            Event::Progress(_) | Event::Draining(_) => return Err(node.malformed(WireError::missing("event"))),
        })
    }

    fn wants(&self, transaction: &Transaction) -> bool {
        let concerns = |address: &Address| {
            transaction.sender_address() == *address || transaction.outputs().iter().any(|output| output.to == *address)
        };
        self.addresses.is_empty() || self.addresses.iter().any(concerns)
    }

    /// Whether the event may come now.
    fn step(&mut self, event: &MempoolEvent) -> Result<(), &'static str> {
        self.phase = match (event, self.phase) {
            (MempoolEvent::Reset, _) => Phase::Listing,
            (MempoolEvent::Present, Phase::Listing) => Phase::Live,
            (MempoolEvent::Present, _) => return Err("the end of a list that was not begun"),
            // It was asked for the whole, and has the middle of something.
            (_, Phase::Asked) if self.cursor.is_none() => return Err("a change of what was never told"),
            (_, Phase::Asked) => Phase::Live,
            (_, phase) => phase,
        };
        Ok(())
    }
}

fn exit(cause: Option<v1::mempool_removal::Cause>, node: &NodeSlot) -> Result<MempoolExit, Error> {
    use v1::mempool_removal::Cause;
    Ok(match cause {
        None => return Err(node.malformed(WireError::missing("removed.cause"))),
        Some(Cause::Mined(block)) => MempoolExit::Mined(read_point("removed.mined", Some(block), node)?),
        Some(Cause::Dropped(drop)) => MempoolExit::Dropped {
            reason: printable(&drop.reason, MAX_TEXT),
            replaced_by: match drop.replaced_by.as_ref() {
                [] => None,
                bytes => Some(read::id("removed.dropped.replaced_by", bytes, node)?),
            },
        },
    })
}
