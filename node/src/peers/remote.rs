//! The other end of a session, asked in the same way whoever dialled: by calls, or by wants that it answers.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{Block, BlockId, Hash, Header, SignedTransaction, WireId, wire::peer as wire};
use prost::bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};
use tonic::{Status, Streaming};

use super::{
    blame::Misdeed,
    client::{CallError, Client},
    compact::CompactBlock,
    convert::{
        BlockPlaces, PiecesQuery, answer_headers, block_from_wire, block_ids_to_wire, block_transactions_from_wire,
        checkpoints_from_wire, hashes_from_wire, id_to_wire, locator_to_wire, transactions_from_wire, wire_ids_to_wire,
    },
    limits::{ANSWER_DEADLINE, MAX_HEADERS, MAX_WANTS, SEND_DEADLINE},
    session::lock,
    wants::{DeliveryRefusal, WantKind, Wants},
};
use crate::{chain::CheckpointOffer as Offer, env::Compute};

/// Blocks larger than this are read on the threads for heavy work.
const LARGE_BLOCK: usize = 64 * 1024;
/// As are more transactions of a block than these.
const MANY_TRANSACTIONS: usize = 100;

/// Why something was not got from a peer.
#[derive(Debug, thiserror::Error)]
pub(super) enum PullError {
    /// It did not answer in time: somebody else may be asked.
    #[error("the peer did not answer in time")]
    Stalled,
    /// The session is over.
    #[error("the session is over: {0}")]
    Ended(String),
    /// It answered as no honest peer does.
    #[error("the peer {0}")]
    Misdeed(#[from] Misdeed),
}

impl From<CallError> for PullError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Late => Self::Stalled,
            // It has more calls than it can serve just now.
            CallError::Status(status) if status.code() == tonic::Code::ResourceExhausted => Self::Stalled,
            CallError::Status(status) => Self::Ended(status.message().chars().take(200).collect()),
        }
    }
}

impl From<super::convert::Malformed> for PullError {
    fn from(error: super::convert::Malformed) -> Self {
        Self::Misdeed(error.into())
    }
}

/// The other end of a session.
#[derive(Debug)]
pub(super) enum Remote {
    /// A node that this one dialled.
    Dialled(Client),
    /// A node that dialled this one.
    Caller(Caller),
}

/// A node that dialled this one: it is told and asked over the stream that it follows.
#[derive(Debug)]
pub(super) struct Caller {
    stream: mpsc::Sender<Result<wire::FollowResponse, Status>>,
    wants: Arc<Mutex<Wants<mpsc::Sender<Delivery>>>>,
    places: Arc<Semaphore>,
}

/// A piece of an answer to a want.
#[derive(Debug)]
pub(super) enum Delivery {
    Headers(wire::Headers),
    Block(Bytes),
    Transactions(wire::Transactions),
    CompactBlock(wire::CompactBlock),
    BlockTransactions(Bytes),
    Checkpoints(wire::Checkpoints),
    CheckpointHashes(Bytes),
    CheckpointPiece(Bytes),
    /// There is no more.
    Last,
}

impl Remote {
    /// Tells the peer of a tip, of transactions, or of both.
    pub(super) async fn announce(
        &self,
        tip: Option<wire::Tip>,
        transactions: Option<wire::TransactionIds>,
    ) -> Result<(), PullError> {
        use wire::follow_response::Event;
        match self {
            Self::Dialled(client) => Ok(client.announce(tip, transactions).await?),
            Self::Caller(caller) => {
                for event in tip.map(Event::Tip).into_iter().chain(transactions.map(Event::Transactions)) {
                    caller.tell(event).await?;
                }
                Ok(())
            }
        }
    }

    /// Asks the peer to offer its whole pool again.
    pub(super) async fn ask_for_pool(&self) -> Result<(), PullError> {
        match self {
            Self::Dialled(client) => Ok(client.ask_for_pool().await?),
            Self::Caller(caller) => caller.tell(wire::follow_response::Event::PoolQuery(wire::PoolQuery {})).await,
        }
    }

    /// Headers behind the first id of the locator that is on the peer's best chain. Has no deadline of its own.
    pub(super) async fn headers(&self, locator: &[BlockId]) -> Result<Vec<Header>, PullError> {
        let locator = locator_to_wire(locator);
        let answer = match self {
            Self::Dialled(client) => client.headers(locator, u32::try_from(MAX_HEADERS).unwrap_or(u32::MAX)).await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::HeadersAfter(locator);
                let mut want = caller.want(WantKind::Headers, item).await?;
                match want.next().await {
                    Delivery::Headers(headers) => Some(headers),
                    _ => Some(wire::Headers::default()),
                }
            }
        };
        Ok(answer_headers(answer)?)
    }

    /// Transactions by wire id; those that the peer no longer has are left out.
    pub(super) async fn transactions(&self, ids: &[WireId]) -> Result<Vec<SignedTransaction>, PullError> {
        let wanted = wire_ids_to_wire(ids);
        let answer = match self {
            Self::Dialled(client) => client.transactions(wanted).await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::Transactions(wanted);
                let mut want = caller.want(WantKind::Transactions, item).await?;
                match want.next_within(ANSWER_DEADLINE).await? {
                    Delivery::Transactions(transactions) => Some(transactions),
                    _ => Some(wire::Transactions::default()),
                }
            }
        };
        let transactions = transactions_from_wire(answer)?;
        let mut asked: BTreeSet<WireId> = ids.iter().copied().collect();
        if transactions.iter().all(|transaction| asked.remove(&transaction.wire_id())) {
            Ok(transactions)
        } else {
            Err(Misdeed::WrongAnswer("another transaction").into())
        }
    }

    /// Blocks by id, one after the other. Has no deadline of its own.
    pub(super) async fn blocks(&self, ids: &[BlockId]) -> Result<Blocks, PullError> {
        let source = match self {
            Self::Dialled(client) => BlockSource::Stream(client.blocks(block_ids_to_wire(ids)).await?),
            Self::Caller(caller) => {
                let item = wire::want::Item::Blocks(block_ids_to_wire(ids));
                BlockSource::Want(caller.want(WantKind::Blocks, item).await?)
            }
        };
        Ok(Blocks { source, asked: ids.iter().copied().collect() })
    }

    /// A block without its transactions; none if the peer does not have it, or not compactly.
    pub(super) async fn compact_block(
        &self,
        id: BlockId,
        max_block_bytes: usize,
    ) -> Result<Option<CompactBlock>, PullError> {
        let wanted = id_to_wire(id.as_bytes());
        let answer = match self {
            Self::Dialled(client) => client.compact_block(wanted).await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::CompactBlock(wanted);
                let mut want = caller.want(WantKind::CompactBlock, item).await?;
                match want.next_within(ANSWER_DEADLINE).await? {
                    Delivery::CompactBlock(compact) => Some(compact).filter(|compact| !compact.header.is_empty()),
                    _ => None,
                }
            }
        };
        Ok(answer.map(|compact| CompactBlock::from_wire(&compact, max_block_bytes)).transpose()?)
    }

    /// Transactions of a block by their places, as many as were asked for; none if the peer no longer has the block.
    pub(super) async fn block_transactions(
        &self,
        block: BlockId,
        indexes: &[u32],
        compute: &Compute,
    ) -> Result<Option<Vec<SignedTransaction>>, PullError> {
        let query = BlockPlaces { block, indexes: indexes.to_vec() }.to_wire();
        let bytes = match self {
            Self::Dialled(client) => client.block_transactions(query).await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::BlockTransactions(query);
                let mut want = caller.want(WantKind::BlockTransactions, item).await?;
                match want.next_within(ANSWER_DEADLINE).await? {
                    Delivery::BlockTransactions(bytes) => bytes,
                    _ => Bytes::new(),
                }
            }
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let count = indexes.len();
        let read = move || block_transactions_from_wire(&bytes, count);
        Ok(Some(if count > MANY_TRANSACTIONS { compute.run(read).await? } else { read()? }))
    }

    /// Checkpoints that the peer says it has.
    pub(super) async fn checkpoints(&self) -> Result<Vec<Offer>, PullError> {
        let answer = match self {
            Self::Dialled(client) => client.checkpoints().await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::Checkpoints(wire::CheckpointsQuery {});
                let mut want = caller.want(WantKind::Checkpoints, item).await?;
                match want.next_within(ANSWER_DEADLINE).await? {
                    Delivery::Checkpoints(checkpoints) => Some(checkpoints),
                    _ => None,
                }
            }
        };
        Ok(checkpoints_from_wire(answer)?)
    }

    /// Hashes of a checkpoint's pieces; none if the peer does not have it, or no longer. Has no deadline of its own.
    pub(super) async fn checkpoint_hashes(&self, offer: &Offer) -> Result<Option<Vec<Hash>>, PullError> {
        let query = wire::CheckpointHashesQuery {
            block_id: id_to_wire(offer.block.as_bytes()),
            digest: id_to_wire(offer.digest.as_bytes()),
        };
        let answer = match self {
            Self::Dialled(client) => client.checkpoint_hashes(query).await?,
            Self::Caller(caller) => {
                let item = wire::want::Item::CheckpointHashes(query);
                let mut want = caller.want(WantKind::CheckpointHashes, item).await?;
                match want.next().await {
                    Delivery::CheckpointHashes(hashes) => hashes,
                    _ => Bytes::new(),
                }
            }
        };
        Ok(hashes_from_wire(&answer)?)
    }

    /// Pieces of a checkpoint, one after the other.
    pub(super) async fn checkpoint_pieces(&self, query: PiecesQuery) -> Result<PieceStream, PullError> {
        Ok(match self {
            Self::Dialled(client) => PieceStream::Stream(client.checkpoint_pieces(query.to_wire()).await?),
            Self::Caller(caller) => {
                let item = wire::want::Item::CheckpointPieces(query.to_wire());
                PieceStream::Want(caller.want(WantKind::CheckpointPieces, item).await?)
            }
        })
    }

    /// Who answers the wants of a session that the peer began.
    pub(super) const fn caller(&self) -> Option<&Caller> {
        match self {
            Self::Caller(caller) => Some(caller),
            Self::Dialled(_) => None,
        }
    }
}

impl Caller {
    pub(super) fn new(stream: mpsc::Sender<Result<wire::FollowResponse, Status>>) -> Self {
        let wants = Arc::new(Mutex::new(Wants::new(MAX_WANTS)));
        Self { stream, wants, places: Arc::new(Semaphore::new(MAX_WANTS)) }
    }

    /// Resolves when the dialler follows no longer.
    pub(super) async fn gone(&self) {
        self.stream.closed().await;
    }

    /// Sends an event.
    pub(super) async fn tell(&self, event: wire::follow_response::Event) -> Result<(), PullError> {
        let event = Ok(wire::FollowResponse { event: Some(event) });
        match timeout(SEND_DEADLINE, self.stream.send(event)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(PullError::Ended("the peer no longer follows".to_owned())),
            Err(_) => Err(PullError::Ended("the peer does not read what it follows".to_owned())),
        }
    }

    /// Who waits for this delivery.
    pub(super) fn receiver(&self, id: u64, kind: WantKind) -> Result<mpsc::Sender<Delivery>, DeliveryRefusal> {
        lock(&self.wants).receive(id, kind).cloned()
    }

    /// Who waits for the end of this want, whatever its kind.
    pub(super) fn receiver_of_end(&self, id: u64) -> Result<mpsc::Sender<Delivery>, DeliveryRefusal> {
        let found = WantKind::ALL.into_iter().find_map(|kind| self.receiver(id, kind).ok());
        found.map_or_else(|| self.receiver(id, WantKind::Headers), Ok)
    }

    async fn want(&self, kind: WantKind, item: wire::want::Item) -> Result<OpenWant, PullError> {
        let over = || PullError::Ended("the session is over".to_owned());
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| over())?;
        let (sender, receiver) = mpsc::channel(1);
        // There is a place for every want that may be open, so one is free now.
        let want_id = lock(&self.wants).open(kind, sender).ok_or(PullError::Stalled)?;
        let open = OpenWant { id: want_id, receiver, wants: Arc::clone(&self.wants), _place: place };
        self.tell(wire::follow_response::Event::Want(wire::Want { want_id, item: Some(item) })).await?;
        Ok(open)
    }
}

/// A want that waits for its answer; closed when dropped.
#[derive(Debug)]
pub(super) struct OpenWant {
    id: u64,
    receiver: mpsc::Receiver<Delivery>,
    wants: Arc<Mutex<Wants<mpsc::Sender<Delivery>>>>,
    _place: OwnedSemaphorePermit,
}

impl OpenWant {
    async fn next(&mut self) -> Delivery {
        self.receiver.recv().await.unwrap_or(Delivery::Last)
    }

    async fn next_within(&mut self, deadline: Duration) -> Result<Delivery, PullError> {
        timeout(deadline, self.next()).await.map_err(|_| PullError::Stalled)
    }
}

impl Drop for OpenWant {
    fn drop(&mut self) {
        lock(&self.wants).close(self.id);
    }
}

/// Blocks that are on their way.
#[derive(Debug)]
pub(super) struct Blocks {
    source: BlockSource,
    asked: VecDeque<BlockId>,
}

/// Pieces of a checkpoint that are on their way.
#[derive(Debug)]
pub(super) enum PieceStream {
    Stream(Streaming<wire::GetCheckpointPiecesResponse>),
    Want(OpenWant),
}

impl PieceStream {
    /// The next piece; none at the end, or if the peer does not have it, or no longer. Has no deadline of its own.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, PullError> {
        let bytes = match self {
            Self::Stream(stream) => stream.message().await.map_err(CallError::from)?.map(|answer| answer.piece),
            Self::Want(want) => match want.next().await {
                Delivery::CheckpointPiece(bytes) => Some(bytes),
                _ => None,
            },
        };
        Ok(bytes.filter(|bytes| !bytes.is_empty()))
    }
}

#[derive(Debug)]
enum BlockSource {
    Stream(Streaming<wire::GetBlocksResponse>),
    Want(OpenWant),
}

impl Blocks {
    /// The next block. None at the end, which comes early if the peer does not have one of them. Has no deadline of its
    /// own.
    pub(super) async fn next(&mut self, max_bytes: usize, compute: &Compute) -> Result<Option<Block>, PullError> {
        if self.asked.is_empty() {
            return Ok(None);
        }
        let bytes = match &mut self.source {
            BlockSource::Stream(stream) => match stream.message().await.map_err(CallError::from)? {
                Some(answer) => answer.block,
                None => return Ok(None),
            },
            BlockSource::Want(want) => match want.next().await {
                Delivery::Block(bytes) => bytes,
                _ => return Ok(None),
            },
        };
        if bytes.is_empty() {
            return Ok(None);
        }
        let block = if bytes.len() > LARGE_BLOCK {
            compute.run(move || block_from_wire(&bytes, max_bytes)).await?
        } else {
            block_from_wire(&bytes, max_bytes)?
        };
        if self.asked.pop_front() != Some(block.id()) {
            return Err(Misdeed::WrongAnswer("another block").into());
        }
        Ok(Some(block))
    }
}
