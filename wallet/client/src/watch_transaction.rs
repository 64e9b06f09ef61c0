//! One transaction on its way through mempool and chain, as a stream that ends where it was asked to.

use farthing::{
    TxId,
    wire::{ChainPoint, WireError, WireFault, v1, v1::watch_transaction_response::Event},
};
use tonic::{Response, Status, Streaming};

use crate::{
    calls::other_answer,
    client::Client,
    cursor::Cursor,
    error::Error,
    follow::{Following, Kind, Step, public_stream, read_cursor, read_point},
    pool::{NodeSlot, Service},
    read,
    text::{MAX_TEXT, printable},
    verify::VerifyError,
    watch::{Stand, WatchStart},
};

/// Where a watched transaction stands, as of the block that the frame's cursor names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchedStatus {
    /// Neither the chain nor the mempool of the node has it; it is waited for.
    Awaited,
    /// In the mempool: the next block may include it.
    Pending,
    /// Kept by the node only, waiting for an earlier nonce.
    Queued,
    /// In a block of the best chain.
    Mined {
        /// The block.
        block: ChainPoint,
        /// Position in it, 1 for the first transaction behind the coinbase.
        index: u32,
        /// Blocks from that one up to the one that the cursor names.
        confirmations: u64,
    },
    /// Its block left the best chain; what becomes of it is told next.
    ReorgedOut {
        /// The block that had it.
        block: ChainPoint,
    },
    /// Dropped: another one of the same account paid for its place.
    Replaced {
        /// That one.
        by: TxId,
    },
    /// Dropped: no block may include it any more.
    Expired,
    /// Dropped for another reason.
    Dropped {
        /// Stable reason, fit to be shown.
        reason: String,
    },
}

impl WatchedStatus {
    /// Whether the node has dropped it: its last word. Another node may have it still, and it may be mined all the same.
    #[must_use]
    pub const fn is_dropped(&self) -> bool {
        matches!(self, Self::Replaced { .. } | Self::Expired | Self::Dropped { .. })
    }

    /// Blocks that hold it, from its own up to the one that the cursor names; 0 if it is not mined.
    #[must_use]
    pub const fn confirmations(&self) -> u64 {
        match self {
            Self::Mined { confirmations, .. } => *confirmations,
            _ => 0,
        }
    }
}

/// One step of a watched transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionFrame {
    /// Where it stands.
    pub status: WatchedStatus,
    /// Where to continue. Store it with what the status led to, in one transaction.
    pub cursor: Cursor,
    /// The node's tip when it sent the frame.
    pub tip: ChainPoint,
}

/// One transaction, step by step. Made by [`Client::watch_transaction`].
///
/// Each step is told once: a node that takes over first repeats what was told, and that is left out. A block that had it is told to
/// have left before anything else is told; a node that says otherwise is left for another one. All of it is on the
/// nodes' word: [`Client::transaction_proof`] proves that it was mined.
pub struct TransactionWatch(Following<Watched>);

/// Where the reader of a transaction stands.
struct Watched {
    id: TxId,
    depth: u64,
    stand: Stand,
    told: Option<WatchedStatus>,
}

impl Client {
    /// Watches a transaction, which no node need know yet, until so many blocks hold it (1 to 10,000; 0 for 1), from its own up to
    /// the tip, or until a node drops it. Nothing is asked before the first [`TransactionWatch::next`].
    #[must_use]
    pub fn watch_transaction(&self, id: &TxId, depth: u64, start: WatchStart) -> TransactionWatch {
        let watched = Watched { id: *id, depth: depth.max(1), stand: Stand::new(start), told: None };
        TransactionWatch(Following::new(self.clone(), watched))
    }
}

impl TransactionWatch {
    /// Where it stands next; none behind the last word, which is that it is as deep as was asked, or dropped. Waits for it as
    /// long as it takes, and goes from node to node with growing pauses while none can tell. Dropping the future loses nothing: no
    /// frame is consumed before it is returned.
    ///
    /// # Errors
    /// Only what no waiting and no other node mends: [`Error::Setup`], [`Error::WrongNetwork`] if that goes for every
    /// node, and refusals such as `INVALID_FIELD` for too great a depth, or `BLOCK_PRUNED` by every node.
    pub async fn next(&mut self) -> Result<Option<TransactionFrame>, Error> {
        self.0.next().await
    }

    /// Behind the last block that a node told of, also if nothing new is to be said of the transaction. None until something was
    /// told.
    #[must_use]
    pub fn cursor(&self) -> Option<&Cursor> {
        self.0.kind().stand.cursor()
    }
}

public_stream!(TransactionWatch, TransactionFrame, id, depth, stand, told);

impl Kind for Watched {
    const NAME: &'static str = "transaction";

    type Message = v1::WatchTransactionResponse;
    type Frame = TransactionFrame;

    async fn ask(&self, mut service: Service) -> Result<Response<Streaming<Self::Message>>, Status> {
        let id = Some(v1::watch_transaction_request::Id::TransactionId(self.id.to_bytes().to_vec().into()));
        let cursor = self.stand.to_bytes().into();
        service.watch_transaction(v1::WatchTransactionRequest { id, confirmations: self.depth, cursor }).await
    }

    fn read(&mut self, _: &Client, message: Self::Message, node: &NodeSlot) -> Result<Step<TransactionFrame>, Error> {
        let tip = node.read_tip(message.tip)?;
        let status = match message.event {
            None => return Err(node.malformed(WireError::missing("event"))),
            Some(Event::Progress(_)) => {
                self.stand.pass(&message.cursor, node)?;
                return Ok(Step::Nothing);
            }
            Some(Event::Draining(_)) => return Ok(Step::Draining),
            Some(Event::Status(status)) => status,
        };
        let cursor = read_cursor(&message.cursor, node)?;
        let status = self.status(status, &cursor, node).inspect_err(|_| self.stand.go_back())?;
        self.stand.go(cursor.clone());
        if self.told.as_ref() == Some(&status) {
            return Ok(Step::Nothing);
        }
        self.told = Some(status.clone());
        Ok(Step::Frame(Box::new(TransactionFrame { status, cursor, tip })))
    }

    fn is_over(&self) -> bool {
        self.told.as_ref().is_some_and(|told| told.is_dropped() || told.confirmations() >= self.depth)
    }
}

impl Watched {
    /// Reads where it stands, and holds it against the cursor and what was told before.
    fn status(
        &self,
        message: v1::WatchedTransaction,
        cursor: &Cursor,
        node: &NodeSlot,
    ) -> Result<WatchedStatus, Error> {
        let id: TxId = read::id("status.transaction_id", &message.transaction_id, node)?;
        if id != self.id {
            return Err(other_answer(node, &id, &self.id));
        }
        let status = read_status(message, node)?;
        let height = cursor.block().map_or(farthing::Height::GENESIS, |(height, _)| height);
        check(self.told.as_ref(), &status, cursor)
            .map_err(|what| node.unproven(VerifyError::Succession { height, what }))?;
        Ok(status)
    }
}

fn read_status(message: v1::WatchedTransaction, node: &NodeSlot) -> Result<WatchedStatus, Error> {
    use v1::WatchedState as Said;
    Ok(match message.state() {
        Said::Unspecified => {
            let fault = WireFault::Unexpected { expected: "one of the states" };
            return Err(node.malformed(WireError::new("status.state", fault)));
        }
        Said::Awaited => WatchedStatus::Awaited,
        Said::Pending => WatchedStatus::Pending,
        Said::Queued => WatchedStatus::Queued,
        Said::Mined => WatchedStatus::Mined {
            block: read_point("status.block", message.block, node)?,
            index: message.block_index,
            confirmations: message.confirmations,
        },
        Said::ReorgedOut => WatchedStatus::ReorgedOut { block: read_point("status.block", message.block, node)? },
        Said::Replaced => WatchedStatus::Replaced { by: read::id("status.replaced_by", &message.replaced_by, node)? },
        Said::Expired => WatchedStatus::Expired,
        Said::Dropped => WatchedStatus::Dropped { reason: printable(&message.reason, MAX_TEXT) },
    })
}

/// Whether a status fits behind the one before it, and to its cursor.
fn check(before: Option<&WatchedStatus>, status: &WatchedStatus, cursor: &Cursor) -> Result<(), &'static str> {
    if let WatchedStatus::Mined { block, index, confirmations } = status {
        let Some((height, id)) = cursor.block() else { return Err("it is mined before the first block") };
        if *index == 0
            || height < block.height
            || *confirmations != height.distance_from(block.height).saturating_add(1)
        {
            return Err("it is not as deep as the blocks say");
        }
        if height == block.height && id != block.block_id {
            return Err("the cursor names another block than its own");
        }
    }
    match (before, status) {
        (Some(WatchedStatus::Mined { block: was, .. }), WatchedStatus::Mined { block: is, .. })
        | (Some(WatchedStatus::Mined { block: was, .. }), WatchedStatus::ReorgedOut { block: is }) => {
            if was.block_id == is.block_id { Ok(()) } else { Err("another block had it") }
        }
        (Some(WatchedStatus::Mined { .. }), _) => Err("its block is not told to have left"),
        (_, WatchedStatus::ReorgedOut { .. }) => Err("no block had it"),
        _ => Ok(()),
    }
}
