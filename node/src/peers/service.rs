//! The calls that this node takes from peers.

use std::{net::SocketAddr, pin::Pin, sync::Arc};

use farthing::{
    BlockId,
    wire::peer::{
        self as wire,
        peer_service_server::{PeerService, PeerServiceServer},
    },
};
use futures_util::{Stream, stream};
use prost::{Message as _, bytes::Bytes};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::{
    blame::Misdeed,
    compact,
    convert::{
        BlockPlaces, Malformed, PiecesQuery, Tip, array, block_id_from_wire, block_ids_from_wire,
        hashes_query_from_wire, id_to_wire, locator_from_wire, wire_ids_from_wire,
    },
    exchange,
    handshake::{Hello, Refusal, check},
    limits::{BLOCK_MESSAGE_OVERHEAD, FOLLOW_QUEUE, MAX_HEADERS, MAX_TRANSACTIONS_MESSAGE_BYTES},
    network::Inner,
    remote::{Caller, Delivery, Remote},
    run, serve,
    session::{Direction, Identity, Session, lock},
    wants::{DeliveryRefusal, WantKind},
};
use crate::{env::canonical, server::CallMeter};

/// The peer service of this node.
#[derive(Debug, Clone)]
pub struct PeerServer {
    inner: Arc<Inner>,
}

impl PeerServer {
    pub(super) fn service(inner: Arc<Inner>) -> PeerServiceServer<Self> {
        let largest =
            inner.max_block_bytes().max(MAX_TRANSACTIONS_MESSAGE_BYTES).saturating_add(2 * BLOCK_MESSAGE_OVERHEAD);
        PeerServiceServer::new(Self { inner }).max_decoding_message_size(largest).max_encoding_message_size(largest)
    }

    /// The session of a call. It lives and dies with the connection that it began on, and what it may cost is counted
    /// there: its token is no use on another one.
    fn session<T>(&self, request: &Request<T>, token: &Bytes) -> Result<Arc<Session>, Status> {
        let unknown = || Status::unauthenticated("no such session; shake hands and follow first");
        let token = token.as_ref().try_into().map_err(|_| unknown())?;
        let session = lock(&self.inner.state).sessions.by_token(&token).ok_or_else(unknown)?;
        let caller = request.remote_addr().map(canonical);
        if caller.is_some_and(|caller| caller != session.who.address) || session.end.is_cancelled() {
            return Err(unknown());
        }
        session.heard(self.inner.elapsed());
        Ok(session)
    }

    fn blame(&self, session: &Session, misdeed: Misdeed) -> Status {
        self.inner.blame(session, &misdeed);
        Status::invalid_argument(format!("session ended: you {misdeed}"))
    }

    fn read<T>(&self, session: &Session, read: Result<T, Malformed>) -> Result<T, Status> {
        read.map_err(|malformed| self.blame(session, malformed.into()))
    }

    fn greet(&self, address: SocketAddr, request: wire::HandshakeRequest) -> Result<(Hello, Bytes), Refusal> {
        let inner = &self.inner;
        let theirs = Hello::from_wire(request.hello)?;
        let ours = inner.hello();
        let who = Identity::new(Direction::Inbound, address, &theirs);
        let (now, wall) = (inner.elapsed(), inner.env.clock().now());
        // Held to the end: a ban that comes meanwhile finds the handshake and takes it away.
        let mut state = lock(&inner.state);
        state.check_ban(who.culprit(), wall)?;
        check(&ours, &theirs)?;
        if request.probe {
            // It takes nobody's place, so it needs none.
            return Ok((ours, Bytes::new()));
        }
        let token = inner.env.random().array();
        let tip = Tip { height: theirs.height, work: theirs.work, id: theirs.tip, headers: Vec::new() };
        state.sessions.admit(inner.node_id, &who, now)?;
        state.sessions.await_follow(token, who, tip, now);
        Ok((ours, Bytes::copy_from_slice(&token)))
    }

    fn receiver_of(
        &self,
        session: &Session,
        receiver: Result<mpsc::Sender<Delivery>, DeliveryRefusal>,
    ) -> Result<mpsc::Sender<Delivery>, Status> {
        receiver.map_err(|refusal| match refusal {
            // Late, which happens to honest peers.
            DeliveryRefusal::Closed(_) => Status::not_found(refusal.to_string()),
            DeliveryRefusal::NeverWanted(_) | DeliveryRefusal::WrongKind { .. } => {
                self.blame(session, Misdeed::Unrequested(refusal))
            }
        })
    }
}

fn meter_of<T>(request: &Request<T>) -> Option<CallMeter> {
    request.extensions().get().cloned()
}

/// Counts what a call asks for, or is given, against what its method may cost.
fn charge(meter: Option<&CallMeter>, amount: usize) {
    if let Some(meter) = meter {
        meter.charge(amount);
    }
}

/// Bytes of blocks, of their transactions, or of a checkpoint, in a delivery.
fn block_bytes(item: &wire::deliver_request::Item) -> usize {
    use wire::deliver_request::Item;
    match item {
        Item::Block(bytes) | Item::BlockTransactions(bytes) => bytes.len(),
        Item::Transactions(found) => found.transactions.iter().map(Bytes::len).sum(),
        Item::CompactBlock(compact) => compact.encoded_len(),
        Item::CheckpointHashes(bytes) | Item::CheckpointPiece(bytes) => bytes.len(),
        Item::Headers(_) | Item::Checkpoints(_) => 0,
    }
}

fn stopping<E>(_: E) -> Status {
    Status::unavailable("the node is stopping")
}

type Blocks = Pin<Box<dyn Stream<Item = Result<wire::GetBlocksResponse, Status>> + Send>>;
type Pieces = Pin<Box<dyn Stream<Item = Result<wire::GetCheckpointPiecesResponse, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for PeerServer {
    async fn handshake(
        &self,
        request: Request<wire::HandshakeRequest>,
    ) -> Result<Response<wire::HandshakeResponse>, Status> {
        let address = request.remote_addr().ok_or_else(|| Status::internal("the caller has no address"))?;
        let (hello, session_id) = self.greet(address, request.into_inner()).map_err(|refusal| {
            // At debug level: a stranger decides how often this happens.
            tracing::debug!(peer = %address, %refusal, "handshake refused");
            refusal.to_status()
        })?;
        Ok(Response::new(wire::HandshakeResponse { hello: Some(hello.to_wire()), session_id }))
    }

    type FollowStream = ReceiverStream<Result<wire::FollowResponse, Status>>;

    async fn follow(&self, request: Request<wire::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let unknown = || Status::unauthenticated("no such handshake, or it is too long ago; shake hands again");
        let token = array("session_id", &request.get_ref().session_id).map_err(|_| unknown())?;
        let (events, stream) = mpsc::channel(FOLLOW_QUEUE);
        let now = self.inner.elapsed();
        let session = {
            let mut state = lock(&self.inner.state);
            let pending = state.sessions.take_pending(&token, now).ok_or_else(unknown)?;
            let end = self.inner.tasks.token().child_token();
            let id = state.sessions.next_id();
            let remote = Remote::Caller(Caller::new(events));
            let room = self.inner.waiting.share();
            let session = Arc::new(Session::new(id, pending.who, remote, pending.tip, end, room));
            session.heard(now);
            let entered = state.sessions.enter(self.inner.node_id, Arc::clone(&session), Some(token), now);
            entered.map_err(|refusal| refusal.to_status())?;
            session
        };
        run::inbound(&self.inner, session, request.extensions().get().cloned());
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn announce(
        &self,
        request: Request<wire::AnnounceRequest>,
    ) -> Result<Response<wire::AnnounceResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        charge(
            meter_of(&request).as_ref(),
            request.get_ref().transactions.as_ref().map_or(0, |ids| ids.wire_ids.len()),
        );
        let news = request.into_inner();
        if let Some(tip) = news.tip {
            self.read(&session, compact::take_announced(&self.inner, &session, tip))?;
        }
        if let Some(ids) = news.transactions {
            session.take_wire_ids(self.read(&session, wire_ids_from_wire(&ids))?);
        }
        if news.pool_query.is_some() {
            session.offer_pool_again(self.inner.elapsed());
        }
        Ok(Response::new(wire::AnnounceResponse {}))
    }

    async fn deliver(&self, request: Request<wire::DeliverRequest>) -> Result<Response<wire::DeliverResponse>, Status> {
        use wire::deliver_request::Item;
        let session = self.session(&request, &request.get_ref().session_id)?;
        charge(meter_of(&request).as_ref(), request.get_ref().item.as_ref().map_or(0, block_bytes));
        let wire::DeliverRequest { want_id, item, last, .. } = request.into_inner();
        let caller = session.remote.caller().ok_or_else(|| Status::unauthenticated("not a session of a dialler"))?;
        let found = match &item {
            Some(Item::Headers(_)) => caller.receiver(want_id, WantKind::Headers),
            Some(Item::Block(_)) => caller.receiver(want_id, WantKind::Blocks),
            Some(Item::Transactions(_)) => caller.receiver(want_id, WantKind::Transactions),
            Some(Item::CompactBlock(_)) => caller.receiver(want_id, WantKind::CompactBlock),
            Some(Item::BlockTransactions(_)) => caller.receiver(want_id, WantKind::BlockTransactions),
            Some(Item::Checkpoints(_)) => caller.receiver(want_id, WantKind::Checkpoints),
            Some(Item::CheckpointHashes(_)) => caller.receiver(want_id, WantKind::CheckpointHashes),
            Some(Item::CheckpointPiece(_)) => caller.receiver(want_id, WantKind::CheckpointPieces),
            None => caller.receiver_of_end(want_id),
        };
        let receiver = self.receiver_of(&session, found)?;
        let delivery = item.map(|item| match item {
            Item::Headers(headers) => Delivery::Headers(headers),
            Item::Block(block) => Delivery::Block(block),
            Item::Transactions(transactions) => Delivery::Transactions(transactions),
            Item::CompactBlock(compact) => Delivery::CompactBlock(compact),
            Item::BlockTransactions(bytes) => Delivery::BlockTransactions(bytes),
            Item::Checkpoints(checkpoints) => Delivery::Checkpoints(checkpoints),
            Item::CheckpointHashes(hashes) => Delivery::CheckpointHashes(hashes),
            Item::CheckpointPiece(bytes) => Delivery::CheckpointPiece(bytes),
        });
        // Waits while the piece before is looked at, so that a fast dialler cannot pile them up here.
        if let Some(delivery) = delivery {
            let closed = |_| Status::not_found("the want is no longer open");
            receiver.send(delivery).await.map_err(closed)?;
        }
        if last {
            // Whoever waited may have all that it needs and be gone.
            let _ = receiver.send(Delivery::Last).await;
        }
        Ok(Response::new(wire::DeliverResponse {}))
    }

    async fn get_headers(
        &self,
        request: Request<wire::GetHeadersRequest>,
    ) -> Result<Response<wire::GetHeadersResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let wire::GetHeadersRequest { locator, max_headers, .. } = request.into_inner();
        let locator = self.read(&session, locator_from_wire(locator))?;
        let most = usize::try_from(max_headers).unwrap_or(usize::MAX).clamp(1, MAX_HEADERS);
        let headers = serve::headers(&self.inner, locator, most).await.map_err(stopping)?;
        charge(meter.as_ref(), headers.headers.len());
        Ok(Response::new(wire::GetHeadersResponse { headers: Some(headers) }))
    }

    type GetBlocksStream = Blocks;

    async fn get_blocks(&self, request: Request<wire::GetBlocksRequest>) -> Result<Response<Blocks>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let ids = self.read(&session, block_ids_from_wire(request.into_inner().blocks))?;
        // Each is read when the one before was taken, so that a slow reader costs one block of memory.
        let state = (Arc::clone(&self.inner), ids.into_iter(), meter);
        let blocks = stream::unfold(state, |(inner, mut ids, meter)| async move {
            let id: BlockId = ids.next()?;
            let answer = serve::block(&inner, id).await.map_err(stopping);
            charge(meter.as_ref(), answer.as_ref().map_or(0, Bytes::len));
            let answer = answer.map(|block| wire::GetBlocksResponse { block_id: id_to_wire(id.as_bytes()), block });
            Some((answer, (inner, ids, meter)))
        });
        Ok(Response::new(Box::pin(blocks)))
    }

    async fn get_compact_block(
        &self,
        request: Request<wire::GetCompactBlockRequest>,
    ) -> Result<Response<wire::GetCompactBlockResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let id = self.read(&session, block_id_from_wire("block_id", &request.get_ref().block_id))?;
        let block = compact::serve_block(&self.inner, &session, id).await.map_err(stopping)?;
        Ok(Response::new(wire::GetCompactBlockResponse { block }))
    }

    async fn get_block_transactions(
        &self,
        request: Request<wire::GetBlockTransactionsRequest>,
    ) -> Result<Response<wire::GetBlockTransactionsResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let places = self.read(&session, BlockPlaces::from_wire(request.into_inner().query))?;
        let written = compact::serve_transactions(&self.inner, places).await.map_err(stopping)?;
        let transactions = self.read(&session, written)?;
        charge(meter.as_ref(), transactions.len());
        Ok(Response::new(wire::GetBlockTransactionsResponse { transactions }))
    }

    async fn get_transactions(
        &self,
        request: Request<wire::GetTransactionsRequest>,
    ) -> Result<Response<wire::GetTransactionsResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let ids = request.into_inner().transactions.ok_or(Malformed::Missing { field: "transactions" });
        let ids = self.read(&session, ids.and_then(|ids| wire_ids_from_wire(&ids)))?;
        charge(meter.as_ref(), ids.len());
        let transactions = Some(serve::transactions(&self.inner, &ids));
        Ok(Response::new(wire::GetTransactionsResponse { transactions }))
    }

    async fn get_checkpoints(
        &self,
        request: Request<wire::GetCheckpointsRequest>,
    ) -> Result<Response<wire::GetCheckpointsResponse>, Status> {
        self.session(&request, &request.get_ref().session_id)?;
        let checkpoints = Some(serve::checkpoints(&self.inner));
        Ok(Response::new(wire::GetCheckpointsResponse { checkpoints }))
    }

    async fn get_checkpoint_hashes(
        &self,
        request: Request<wire::GetCheckpointHashesRequest>,
    ) -> Result<Response<wire::GetCheckpointHashesResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let (block, digest) = self.read(&session, hashes_query_from_wire(request.into_inner().query))?;
        let hashes = serve::checkpoint_hashes(&self.inner, &block, &digest);
        charge(meter.as_ref(), hashes.len());
        Ok(Response::new(wire::GetCheckpointHashesResponse { hashes }))
    }

    type GetCheckpointPiecesStream = Pieces;

    async fn get_checkpoint_pieces(
        &self,
        request: Request<wire::GetCheckpointPiecesRequest>,
    ) -> Result<Response<Pieces>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        let meter = meter_of(&request);
        let query = self.read(&session, PiecesQuery::from_wire(request.into_inner().query))?;
        // Each is read when the one before was taken, so that a slow reader costs one piece of memory.
        let state = (Arc::clone(&self.inner), query.first..query.first.saturating_add(query.count), meter);
        let pieces = stream::unfold(state, move |(inner, mut indexes, meter)| async move {
            let piece = serve::checkpoint_piece(&inner, &query, indexes.next()?).await.map_err(stopping);
            charge(meter.as_ref(), piece.as_ref().map_or(0, Bytes::len));
            if piece.as_ref().is_ok_and(Bytes::is_empty) {
                indexes = 0..0;
            }
            Some((piece.map(|piece| wire::GetCheckpointPiecesResponse { piece }), (inner, indexes, meter)))
        });
        Ok(Response::new(Box::pin(pieces)))
    }

    async fn exchange_peers(
        &self,
        request: Request<wire::ExchangePeersRequest>,
    ) -> Result<Response<wire::ExchangePeersResponse>, Status> {
        let session = self.session(&request, &request.get_ref().session_id)?;
        charge(meter_of(&request).as_ref(), request.get_ref().peers.len());
        let told = request.into_inner().peers;
        // Answered first, so that a peer does not merely hear its own words.
        let peers = exchange::known(&self.inner);
        self.read(&session, exchange::learn(&self.inner, &session, &told))?;
        Ok(Response::new(wire::ExchangePeersResponse { peers }))
    }
}
