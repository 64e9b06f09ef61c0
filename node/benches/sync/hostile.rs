//! Peers that have a chain, show all of its headers, and keep its bodies from whoever asks.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use farthing::{
    BlockId, Signature,
    codec::Canonical as _,
    wire::peer::{
        self as wire,
        peer_service_server::{PeerService, PeerServiceServer},
    },
};
use farthing_node::{chain::Chain, node::Node};
use futures_util::{Stream, StreamExt as _, stream};
use prost::bytes::Bytes;
use tokio::net::TcpListener;
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// What such a peer does when it is asked for bodies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Deed {
    /// It never answers.
    Stall,
    /// It gives the block with the signature of its last transfer changed.
    Lie,
}

/// A peer on a port of its own.
pub(super) struct Hostile {
    address: SocketAddr,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    asked: OnceLock<Instant>,
    times: AtomicUsize,
}

impl Hostile {
    /// Starts a peer with the chain of a node.
    pub(super) async fn start(source: &Node, deed: Deed) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let record = Arc::new(Record::default());
        let peer = Peer { chain: source.chain().clone(), deed, port: address.port(), record: Arc::clone(&record) };
        let service = PeerServiceServer::new(peer).max_encoding_message_size(16 << 20);
        tokio::spawn(Server::builder().add_service(service).serve_with_incoming(TcpIncoming::from(listener)));
        Self { address, record }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// When it was first asked for bodies.
    pub(super) fn asked(&self) -> Option<Instant> {
        self.record.asked.get().copied()
    }

    pub(super) fn times_asked(&self) -> usize {
        self.record.times.load(Ordering::Relaxed)
    }
}

struct Peer {
    chain: Chain,
    deed: Deed,
    port: u16,
    record: Arc<Record>,
}

fn bytes(id: &[u8; 32]) -> Bytes {
    Bytes::copy_from_slice(id)
}

/// A block as the chain has it, but for one byte of a signature.
async fn mutated(chain: &Chain, id: Bytes) -> Result<wire::GetBlocksResponse, Status> {
    let unknown = || Status::not_found("no such block");
    let known = BlockId::try_from(id.as_ref()).map_err(|_| unknown())?;
    let mut block = (*chain.block(known).await.ok().flatten().ok_or_else(unknown)?).clone();
    if let Some(last) = block.transactions.pop() {
        let mut signature = last.signature().as_bytes().to_vec();
        signature[0] ^= 1;
        let signature = Signature::from_bytes(&signature).unwrap();
        block.transactions.push(farthing::SignedTransaction::new(last.transaction().clone(), signature).unwrap());
    }
    Ok(wire::GetBlocksResponse { block_id: id, block: block.to_canonical().into() })
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for Peer {
    async fn handshake(&self, _: Request<wire::HandshakeRequest>) -> Result<Response<wire::HandshakeResponse>, Status> {
        let (params, tip) = (self.chain.params(), self.chain.view().tip);
        let hello = wire::Hello {
            protocol_version: 1,
            genesis_id: bytes(params.genesis_id().as_bytes()),
            network: params.name.clone(),
            node_id: Bytes::copy_from_slice(&[self.deed as u8 + 1; 16]),
            listen_port: self.port.into(),
            tip_height: tip.height().get(),
            tip_id: bytes(tip.id().as_bytes()),
            total_work: Bytes::copy_from_slice(&tip.total_work().get().to_be_bytes()),
            version: format!("{:?}", self.deed),
            ..wire::Hello::default()
        };
        let session_id = Bytes::from_static(&[7; 16]);
        Ok(Response::new(wire::HandshakeResponse { hello: Some(hello), session_id }))
    }

    type FollowStream = Events<wire::FollowResponse>;

    async fn follow(&self, _: Request<wire::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        // The hello told of the tip.
        Ok(Response::new(stream::pending().boxed()))
    }

    async fn announce(&self, _: Request<wire::AnnounceRequest>) -> Result<Response<wire::AnnounceResponse>, Status> {
        Ok(Response::new(wire::AnnounceResponse {}))
    }

    async fn deliver(&self, _: Request<wire::DeliverRequest>) -> Result<Response<wire::DeliverResponse>, Status> {
        Ok(Response::new(wire::DeliverResponse {}))
    }

    async fn get_headers(
        &self,
        request: Request<wire::GetHeadersRequest>,
    ) -> Result<Response<wire::GetHeadersResponse>, Status> {
        let request = request.into_inner();
        let ids = request.locator.unwrap_or_default().block_ids;
        let locator = ids.iter().filter_map(|id| BlockId::try_from(id.as_ref()).ok()).collect();
        let headers = self.chain.headers_after(locator, request.max_headers as usize).await.unwrap();
        let headers = headers.iter().map(|header| Bytes::copy_from_slice(&header.to_bytes())).collect();
        Ok(Response::new(wire::GetHeadersResponse { headers: Some(wire::Headers { headers }) }))
    }

    type GetBlocksStream = Events<wire::GetBlocksResponse>;

    async fn get_blocks(
        &self,
        request: Request<wire::GetBlocksRequest>,
    ) -> Result<Response<Self::GetBlocksStream>, Status> {
        self.record.asked.get_or_init(Instant::now);
        self.record.times.fetch_add(1, Ordering::Relaxed);
        match self.deed {
            Deed::Stall => std::future::pending().await,
            Deed::Lie => {
                let ids = request.into_inner().blocks.unwrap_or_default().block_ids;
                let chain = self.chain.clone();
                let answers = stream::iter(ids).then(move |id| {
                    let chain = chain.clone();
                    async move { mutated(&chain, id).await }
                });
                Ok(Response::new(answers.boxed()))
            }
        }
    }

    async fn get_transactions(
        &self,
        _: Request<wire::GetTransactionsRequest>,
    ) -> Result<Response<wire::GetTransactionsResponse>, Status> {
        Ok(Response::new(wire::GetTransactionsResponse::default()))
    }

    async fn get_compact_block(
        &self,
        _: Request<wire::GetCompactBlockRequest>,
    ) -> Result<Response<wire::GetCompactBlockResponse>, Status> {
        Ok(Response::new(wire::GetCompactBlockResponse::default()))
    }

    async fn get_block_transactions(
        &self,
        _: Request<wire::GetBlockTransactionsRequest>,
    ) -> Result<Response<wire::GetBlockTransactionsResponse>, Status> {
        Ok(Response::new(wire::GetBlockTransactionsResponse::default()))
    }

    async fn get_checkpoints(
        &self,
        _: Request<wire::GetCheckpointsRequest>,
    ) -> Result<Response<wire::GetCheckpointsResponse>, Status> {
        Ok(Response::new(wire::GetCheckpointsResponse::default()))
    }

    async fn get_checkpoint_hashes(
        &self,
        _: Request<wire::GetCheckpointHashesRequest>,
    ) -> Result<Response<wire::GetCheckpointHashesResponse>, Status> {
        Ok(Response::new(wire::GetCheckpointHashesResponse::default()))
    }

    type GetCheckpointPiecesStream = Events<wire::GetCheckpointPiecesResponse>;

    async fn get_checkpoint_pieces(
        &self,
        _: Request<wire::GetCheckpointPiecesRequest>,
    ) -> Result<Response<Self::GetCheckpointPiecesStream>, Status> {
        Ok(Response::new(stream::empty().boxed()))
    }

    async fn exchange_peers(
        &self,
        _: Request<wire::ExchangePeersRequest>,
    ) -> Result<Response<wire::ExchangePeersResponse>, Status> {
        Ok(Response::new(wire::ExchangePeersResponse::default()))
    }
}
