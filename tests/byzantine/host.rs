//! The hostile node's own listener. It refuses whoever dials it, until it is told in which manner to receive.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use farthing::wire::peer::{
    self as wire,
    peer_service_server::{PeerService, PeerServiceServer},
};
use futures_util::{Stream, StreamExt as _, stream};
use prost::bytes::Bytes;
use tokio::{net::TcpListener, sync::watch};
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use super::hostile::{headers_to_wire, tip};
use crate::harness::cluster::Cluster;

/// How a hostile listener receives a node that dials it.
#[derive(Default)]
pub(super) struct Manner {
    /// What it says of itself; none: nothing at all, it leaves the dialler waiting.
    pub(super) hello: Option<wire::Hello>,
    /// What it says to a follower, before it falls silent.
    pub(super) news: Vec<wire::FollowResponse>,
    /// Its answer to every question for headers; also announced, as those of a branch with more work than any.
    pub(super) headers: Vec<farthing::Header>,
    /// Its answer to every question for blocks: this body. None: it never answers.
    pub(super) body: Option<Bytes>,
    /// Its answer to every question for addresses.
    pub(super) addresses: Vec<wire::PeerAddress>,
}

impl Manner {
    /// What a follower is told.
    fn told(&self) -> Vec<wire::FollowResponse> {
        let mut told = self.news.clone();
        if !self.headers.is_empty() {
            let event = wire::follow_response::Event::Tip(tip(&self.headers, u128::MAX / 2));
            told.push(wire::FollowResponse { event: Some(event) });
        }
        told
    }
}

/// The listener.
pub(crate) struct Host {
    port: u16,
    shared: Arc<Shared>,
    serial: AtomicU64,
    _stop: DropGuard,
}

struct Shared {
    manner: watch::Sender<Option<Arc<Manner>>>,
    received: AtomicUsize,
}

impl Host {
    /// Listens on a port of its own, which the cluster's nodes can dial as that of node `number`.
    pub(crate) async fn start(cluster: &Cluster, number: usize) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        cluster.fabric.adopt(port, number);
        let shared = Arc::new(Shared { manner: watch::Sender::new(None), received: AtomicUsize::new(0) });
        let stop = CancellationToken::new();
        let service = PeerServiceServer::new(Receiver(Arc::clone(&shared)));
        let stopped = stop.clone().cancelled_owned();
        let serving = Server::builder().add_service(service);
        tokio::spawn(serving.serve_with_incoming_shutdown(TcpIncoming::from(listener), stopped));
        let serial = AtomicU64::new(u64::from(port) << 32);
        Arc::new(Self { port, shared, serial, _stop: stop.drop_guard() })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A number that no other thing of any host has.
    pub(super) fn serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Receives whoever dials from now on like this, and goes on like this with whoever follows.
    pub(super) fn receive(&self, manner: Manner) {
        self.shared.manner.send_replace(Some(Arc::new(manner)));
    }

    /// How many handshakes nodes have begun with it since it has a manner.
    pub(super) fn received(&self) -> usize {
        self.shared.received.load(Ordering::Relaxed)
    }
}

/// The service behind the listener.
struct Receiver(Arc<Shared>);

impl Receiver {
    fn manner(&self) -> Result<Arc<Manner>, Status> {
        let manner = self.0.manner.borrow().clone();
        manner.ok_or_else(|| Status::unavailable("not now"))
    }
}

/// Never.
async fn silence<T>() -> T {
    std::future::pending().await
}

type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl PeerService for Receiver {
    async fn handshake(&self, _: Request<wire::HandshakeRequest>) -> Result<Response<wire::HandshakeResponse>, Status> {
        let manner = self.manner()?;
        self.0.received.fetch_add(1, Ordering::Relaxed);
        match &manner.hello {
            Some(hello) => {
                let session_id = Bytes::from_static(&[7; 16]);
                Ok(Response::new(wire::HandshakeResponse { hello: Some(hello.clone()), session_id }))
            }
            None => silence().await,
        }
    }

    type FollowStream = Events<wire::FollowResponse>;

    async fn follow(&self, _: Request<wire::FollowRequest>) -> Result<Response<Self::FollowStream>, Status> {
        let manners = WatchStream::new(self.0.manner.subscribe());
        let told = manners.flat_map(|manner| {
            let told = manner.map(|manner| manner.told()).unwrap_or_default();
            stream::iter(told.into_iter().map(Ok))
        });
        Ok(Response::new(told.boxed()))
    }

    async fn announce(&self, _: Request<wire::AnnounceRequest>) -> Result<Response<wire::AnnounceResponse>, Status> {
        Ok(Response::new(wire::AnnounceResponse {}))
    }

    async fn deliver(&self, _: Request<wire::DeliverRequest>) -> Result<Response<wire::DeliverResponse>, Status> {
        silence().await
    }

    async fn get_headers(
        &self,
        _: Request<wire::GetHeadersRequest>,
    ) -> Result<Response<wire::GetHeadersResponse>, Status> {
        let headers = Some(headers_to_wire(&self.manner()?.headers));
        Ok(Response::new(wire::GetHeadersResponse { headers }))
    }

    type GetBlocksStream = Events<wire::GetBlocksResponse>;

    async fn get_blocks(
        &self,
        request: Request<wire::GetBlocksRequest>,
    ) -> Result<Response<Self::GetBlocksStream>, Status> {
        let Some(block) = self.manner()?.body.clone() else { return silence().await };
        let ids = request.into_inner().blocks.unwrap_or_default().block_ids;
        let answers = ids.into_iter().map(move |block_id| {
            let block = block.clone();
            Ok(wire::GetBlocksResponse { block_id, block })
        });
        Ok(Response::new(stream::iter(answers).boxed()))
    }

    async fn get_transactions(
        &self,
        _: Request<wire::GetTransactionsRequest>,
    ) -> Result<Response<wire::GetTransactionsResponse>, Status> {
        silence().await
    }

    async fn get_compact_block(
        &self,
        _: Request<wire::GetCompactBlockRequest>,
    ) -> Result<Response<wire::GetCompactBlockResponse>, Status> {
        silence().await
    }

    async fn get_block_transactions(
        &self,
        _: Request<wire::GetBlockTransactionsRequest>,
    ) -> Result<Response<wire::GetBlockTransactionsResponse>, Status> {
        silence().await
    }

    async fn get_checkpoints(
        &self,
        _: Request<wire::GetCheckpointsRequest>,
    ) -> Result<Response<wire::GetCheckpointsResponse>, Status> {
        silence().await
    }

    async fn get_checkpoint_hashes(
        &self,
        _: Request<wire::GetCheckpointHashesRequest>,
    ) -> Result<Response<wire::GetCheckpointHashesResponse>, Status> {
        silence().await
    }

    type GetCheckpointPiecesStream = Events<wire::GetCheckpointPiecesResponse>;

    async fn get_checkpoint_pieces(
        &self,
        _: Request<wire::GetCheckpointPiecesRequest>,
    ) -> Result<Response<Self::GetCheckpointPiecesStream>, Status> {
        silence().await
    }

    async fn exchange_peers(
        &self,
        _: Request<wire::ExchangePeersRequest>,
    ) -> Result<Response<wire::ExchangePeersResponse>, Status> {
        Ok(Response::new(wire::ExchangePeersResponse { peers: self.manner()?.addresses.clone() }))
    }
}
