//! A node that passes on what an honest one says, except its checkpoint, about which it lies. And one that says nothing.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use farthing::{
    Hash, Height, Params,
    checkpoint::{Layout, PieceRange, digest, piece_hash},
    wire::peer::{
        self as wire,
        peer_service_client::PeerServiceClient,
        peer_service_server::{PeerService, PeerServiceServer},
    },
};
use futures_util::{Stream, StreamExt as _, stream};
use prost::bytes::Bytes;
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Channel, Server, server::TcpIncoming},
};

/// A node that dials another one, claims all the work there is, and then says nothing.
pub(super) struct Mute {
    asked: tokio::task::JoinHandle<()>,
}

impl Mute {
    /// It follows `node` until it is dropped.
    pub(super) async fn dial(params: &Params, node: SocketAddr) -> Self {
        let mut client = PeerServiceClient::connect(format!("http://{node}")).await.expect("the node listens");
        let hello = wire::Hello {
            protocol_version: 1,
            network: params.name.clone(),
            genesis_id: params.genesis_id().to_bytes().to_vec().into(),
            node_id: vec![7; 16].into(),
            tip_id: vec![7; 32].into(),
            total_work: vec![0x7f; 16].into(),
            tip_height: 1_000_000,
            version: "mute".to_owned(),
            ..wire::Hello::default()
        };
        let request = wire::HandshakeRequest { hello: Some(hello), probe: false };
        let session_id = client.handshake(request).await.expect("it is welcome").into_inner().session_id;
        let followed = client.follow(wire::FollowRequest { session_id }).await.expect("it may follow");
        let mut events = followed.into_inner();
        let (said, asked) = tokio::sync::oneshot::channel();
        let following = tokio::spawn(async move {
            let mut said = Some(said);
            while let Some(Ok(event)) = events.next().await {
                if matches!(event.event, Some(wire::follow_response::Event::Want(_))) {
                    let _ = said.take().map(|said| said.send(()));
                }
            }
        });
        asked.await.expect("it is asked for what it claims to have");
        Self { asked: following }
    }
}

impl Drop for Mute {
    fn drop(&mut self) {
        self.asked.abort();
    }
}

/// What it makes of the pieces; their hashes and the digest are then made to fit, so that only the contents can tell.
pub(super) type Forge = fn(&mut Vec<Vec<u8>>, &Layout);

/// How it lies.
#[derive(Clone, Copy)]
pub(super) enum Lie {
    /// It forges pieces, and makes hashes and digest fit them.
    Forged(Forge),
    /// It changes a byte of a piece after it has told its hash.
    Flipped,
    /// It gives other hashes than its digest covers.
    OtherHashes,
    /// It offers the accounts of one block as those of another.
    OtherBlock,
    /// It claims more accounts than there can be.
    TooMany,
    /// It sends pieces without end in the place of one.
    Endless,
    /// It stops after the first piece, and says nothing more.
    Silent,
    /// It says that it has no more after the first piece.
    Truncated,
    /// It gives no piece until it is told to; then it is honest.
    Held,
}

/// The listener.
pub(super) struct Liar {
    pub(super) address: SocketAddr,
    shared: Arc<Shared>,
    _stop: DropGuard,
}

struct Shared {
    honest: PeerServiceClient<Channel>,
    params: Arc<Params>,
    lie: Lie,
    made: Mutex<Option<Made>>,
    asked: AtomicBool,
    may_go_on: Semaphore,
}

/// What it offers.
#[derive(Clone)]
struct Made {
    offer: wire::Checkpoint,
    pieces: Vec<Vec<u8>>,
    hashes: Vec<Hash>,
}

impl Liar {
    /// Passes on what the node at `honest` says.
    pub(super) async fn start(params: &Arc<Params>, honest: SocketAddr, lie: Lie) -> Self {
        let honest = PeerServiceClient::connect(format!("http://{honest}")).await.expect("the honest node listens");
        let honest = honest.max_decoding_message_size(4 << 20);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let shared = Arc::new(Shared {
            honest,
            params: Arc::clone(params),
            lie,
            made: Mutex::default(),
            asked: AtomicBool::new(false),
            may_go_on: Semaphore::new(0),
        });
        let service = PeerServiceServer::new(Proxy(Arc::clone(&shared))).max_decoding_message_size(4 << 20);
        let stop = CancellationToken::new();
        let serving = Server::builder().add_service(service.max_encoding_message_size(4 << 20));
        tokio::spawn(serving.serve_with_incoming_shutdown(TcpIncoming::from(listener), stop.clone().cancelled_owned()));
        Self { address, shared, _stop: stop.drop_guard() }
    }

    /// Lets it give what it holds back.
    pub(super) fn go_on(&self) {
        self.shared.may_go_on.add_permits(1_000);
    }

    /// Whether a piece or the hashes were asked of it.
    pub(super) fn was_asked(&self) -> bool {
        self.shared.asked.load(Ordering::Acquire)
    }
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

struct Proxy(Arc<Shared>);

impl Proxy {
    fn honest(&self) -> PeerServiceClient<Channel> {
        self.0.honest.clone()
    }

    fn made(&self) -> Result<Made, Status> {
        self.0.asked.store(true, Ordering::Release);
        self.0.made.lock().expect("no panic").clone().ok_or_else(|| Status::unavailable("not yet"))
    }

    /// Fetches the honest node's lowest checkpoint, and makes a lie of it.
    async fn make(&self, session_id: &Bytes) -> Result<Option<Made>, Status> {
        let request = wire::GetCheckpointsRequest { session_id: session_id.clone() };
        let found = self.honest().get_checkpoints(request).await?.into_inner().checkpoints.unwrap_or_default();
        let Some(mut offer) = found.checkpoints.into_iter().min_by_key(|offer| offer.height) else { return Ok(None) };
        let (height, params) = (Height::new(offer.height), &self.0.params);
        let layout = Layout::new(params, height, offer.accounts).expect("an honest checkpoint");
        let query = wire::CheckpointPiecesQuery {
            block_id: offer.block_id.clone(),
            digest: offer.digest.clone(),
            first: 0,
            count: u32::try_from(layout.pieces()).expect("few"),
        };
        let request = wire::GetCheckpointPiecesRequest { session_id: session_id.clone(), query: Some(query) };
        let pieces: Streaming<_> = self.honest().get_checkpoint_pieces(request).await?.into_inner();
        let mut pieces: Vec<Vec<u8>> = pieces.map(|piece| piece.expect("it is honest").piece.to_vec()).collect().await;
        if pieces.iter().filter(|piece| !piece.is_empty()).count() as u64 != layout.pieces() {
            // The honest node has just removed it, for newer ones.
            return Ok(None);
        }
        if let Lie::Forged(forge) = self.0.lie {
            forge(&mut pieces, &layout);
            offer.accounts = accounts_of(&pieces, &layout);
        }
        if matches!(self.0.lie, Lie::OtherBlock) {
            let request = wire::GetHeadersRequest {
                session_id: session_id.clone(),
                locator: Some(wire::Locator { block_ids: vec![offer.block_id.clone()] }),
                max_headers: 1,
            };
            let headers = self.honest().get_headers(request).await?.into_inner().headers.unwrap_or_default();
            let header = <farthing::Header as farthing::codec::Canonical>::from_canonical(&headers.headers[0]);
            offer.height += 1;
            offer.block_id = header.expect("it is honest").id().to_bytes().to_vec().into();
        }
        let hashes: Vec<_> = pieces.iter().map(|piece| piece_hash(piece)).collect();
        let block = farthing::BlockId::try_from(&*offer.block_id).expect("32 bytes");
        offer.digest = digest(&block, offer.accounts, &hashes).to_bytes().to_vec().into();
        if matches!(self.0.lie, Lie::TooMany) {
            offer.accounts = u64::MAX / 2;
        }
        Ok(Some(Made { offer, pieces, hashes }))
    }
}

fn accounts_of(pieces: &[Vec<u8>], layout: &Layout) -> u64 {
    let is_accounts = |index: usize| matches!(layout.piece(index as u64), Some(PieceRange::Accounts { .. }) | None);
    let count = |piece: &Vec<u8>| u64::from(u32::from_le_bytes(*piece.first_chunk().expect("a count")));
    pieces.iter().enumerate().filter(|(index, _)| is_accounts(*index)).map(|(_, piece)| count(piece)).sum()
}

async fn silence<T>() -> T {
    std::future::pending().await
}

#[tonic::async_trait]
impl PeerService for Proxy {
    async fn handshake(
        &self,
        request: Request<wire::HandshakeRequest>,
    ) -> Result<Response<wire::HandshakeResponse>, Status> {
        // Each takes it for another node than the one behind it, or the two could have no session of their own.
        let other = |hello: Option<wire::Hello>| {
            hello.map(|hello| {
                let mut id = hello.node_id.to_vec();
                id[0] ^= 0xff;
                wire::Hello { node_id: id.into(), ..hello }
            })
        };
        let mut request = request.into_inner();
        request.hello = other(request.hello);
        let mut answer = self.honest().handshake(request).await?.into_inner();
        answer.hello = other(answer.hello);
        Ok(Response::new(answer))
    }

    type FollowStream = Events<wire::FollowResponse>;

    async fn follow(&self, request: Request<wire::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        Ok(Response::new(self.honest().follow(request.into_inner()).await?.into_inner().boxed()))
    }

    async fn announce(
        &self,
        request: Request<wire::AnnounceRequest>,
    ) -> Result<Response<wire::AnnounceResponse>, Status> {
        self.honest().announce(request.into_inner()).await
    }

    async fn deliver(&self, request: Request<wire::DeliverRequest>) -> Result<Response<wire::DeliverResponse>, Status> {
        self.honest().deliver(request.into_inner()).await
    }

    async fn get_headers(
        &self,
        request: Request<wire::GetHeadersRequest>,
    ) -> Result<Response<wire::GetHeadersResponse>, Status> {
        self.honest().get_headers(request.into_inner()).await
    }

    type GetBlocksStream = Events<wire::GetBlocksResponse>;

    async fn get_blocks(
        &self,
        request: Request<wire::GetBlocksRequest>,
    ) -> Result<Response<Self::GetBlocksStream>, Status> {
        Ok(Response::new(self.honest().get_blocks(request.into_inner()).await?.into_inner().boxed()))
    }

    async fn get_transactions(
        &self,
        request: Request<wire::GetTransactionsRequest>,
    ) -> Result<Response<wire::GetTransactionsResponse>, Status> {
        self.honest().get_transactions(request.into_inner()).await
    }

    async fn get_compact_block(
        &self,
        request: Request<wire::GetCompactBlockRequest>,
    ) -> Result<Response<wire::GetCompactBlockResponse>, Status> {
        self.honest().get_compact_block(request.into_inner()).await
    }

    async fn get_block_transactions(
        &self,
        request: Request<wire::GetBlockTransactionsRequest>,
    ) -> Result<Response<wire::GetBlockTransactionsResponse>, Status> {
        self.honest().get_block_transactions(request.into_inner()).await
    }

    async fn get_checkpoints(
        &self,
        request: Request<wire::GetCheckpointsRequest>,
    ) -> Result<Response<wire::GetCheckpointsResponse>, Status> {
        let made = self.0.made.lock().expect("no panic").clone();
        let made = match made {
            Some(made) => Some(made),
            None => self.make(&request.get_ref().session_id).await?,
        };
        self.0.made.lock().expect("no panic").clone_from(&made);
        let checkpoints = made.map(|made| made.offer).into_iter().collect();
        let checkpoints = Some(wire::Checkpoints { checkpoints });
        Ok(Response::new(wire::GetCheckpointsResponse { checkpoints }))
    }

    async fn get_checkpoint_hashes(
        &self,
        _: Request<wire::GetCheckpointHashesRequest>,
    ) -> Result<Response<wire::GetCheckpointHashesResponse>, Status> {
        let mut hashes = self.made()?.hashes;
        if matches!(self.0.lie, Lie::OtherHashes) {
            hashes[0] = Hash::ZERO;
        }
        let hashes = hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
        Ok(Response::new(wire::GetCheckpointHashesResponse { hashes }))
    }

    type GetCheckpointPiecesStream = Events<wire::GetCheckpointPiecesResponse>;

    async fn get_checkpoint_pieces(
        &self,
        request: Request<wire::GetCheckpointPiecesRequest>,
    ) -> Result<Response<Self::GetCheckpointPiecesStream>, Status> {
        let (made, lie) = (self.made()?, self.0.lie);
        let query = request.into_inner().query.expect("a query");
        let first = usize::try_from(query.first).expect("few");
        let piece = |bytes: Vec<u8>| wire::GetCheckpointPiecesResponse { piece: bytes.into() };
        if matches!(lie, Lie::Endless) {
            return Ok(Response::new(stream::repeat(piece(vec![0; 700_000])).map(Ok).boxed()));
        }
        let mut pieces: Vec<_> = made.pieces.into_iter().skip(first).collect();
        match lie {
            Lie::Flipped => {
                let last = pieces.last_mut().expect("one at least");
                let middle = last.len() / 2;
                last[middle] ^= 1;
            }
            Lie::Silent | Lie::Truncated => pieces.truncate(1),
            _ => {}
        }
        if matches!(lie, Lie::Held) {
            self.0.may_go_on.acquire().await.expect("it is never closed").forget();
        }
        let given = stream::iter(pieces.into_iter().map(move |bytes| Ok(piece(bytes))));
        Ok(Response::new(match lie {
            Lie::Silent => given.chain(stream::once(silence())).boxed(),
            _ => given.boxed(),
        }))
    }

    async fn exchange_peers(
        &self,
        _: Request<wire::ExchangePeersRequest>,
    ) -> Result<Response<wire::ExchangePeersResponse>, Status> {
        Ok(Response::new(wire::ExchangePeersResponse::default()))
    }
}
