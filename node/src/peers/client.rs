//! The calls of a dialler, each with the largest answer that it takes, and its deadline unless its caller has one.

use std::{io, net::SocketAddr, time::Duration};

use farthing::wire::peer::{self as wire, peer_service_client::PeerServiceClient};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::time::timeout;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{
    handshake::{Hello, Refusal},
    limits::{
        ANSWER_DEADLINE, BLOCK_MESSAGE_OVERHEAD, CHECKPOINT_HASHES_BYTES, CHECKPOINT_PIECE_BYTES, KEEPALIVE_INTERVAL,
        KEEPALIVE_TIMEOUT, MAX_HEADERS_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_TRANSACTIONS_MESSAGE_BYTES, SEND_DEADLINE,
        announcement_bytes, compact_block_bytes,
    },
};
use crate::env::Env;

/// Why a node could not be dialled.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    /// Nobody answers there.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// It took too long.
    #[error("no answer within {} s", .0.as_secs())]
    Late(Duration),
    /// What answers does not speak HTTP/2.
    #[error("not a node: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// It does not want a session, or this node does not.
    #[error("{0}")]
    Refused(#[from] Refusal),
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CallError {
    /// No answer in time.
    #[error("no answer in time")]
    Late,
    /// The other side refused, or the connection is lost.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(Box<Status>),
}

impl From<Status> for CallError {
    fn from(status: Status) -> Self {
        Self::Status(Box::new(status))
    }
}

/// A connection to a node that was dialled.
pub(super) async fn connect(
    env: &Env,
    host: &str,
    port: u16,
) -> Result<(PeerServiceClient<Channel>, SocketAddr), DialError> {
    let connection = env.net().dial(host, port).await.map_err(DialError::Connect)?;
    let address = connection.peer();
    // A session lives and dies with its connection, so the channel gets this one and never another.
    let mut only = Some(TokioIo::new(connection.into_io()));
    let connector = tower::service_fn(move |_: http::Uri| {
        let io = only.take().ok_or_else(|| io::Error::new(io::ErrorKind::NotConnected, "the connection is lost"));
        std::future::ready(io)
    });
    let endpoint = Endpoint::from_static("http://peer.farthing")
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_stream_window_size(1024 * 1024)
        .initial_connection_window_size(4 * 1024 * 1024)
        .http2_max_header_list_size(8192);
    let channel = endpoint.connect_with_connector(connector).await?;
    Ok((PeerServiceClient::new(channel).max_decoding_message_size(MAX_MESSAGE_BYTES), address))
}

/// Introduces this node.
pub(super) async fn shake_hands(
    client: &mut PeerServiceClient<Channel>,
    hello: &Hello,
) -> Result<(Hello, Bytes), Refusal> {
    introduce(client, hello, false).await
}

/// Asks who is there, without a session.
pub(super) async fn probe(client: &mut PeerServiceClient<Channel>, hello: &Hello) -> Result<Hello, Refusal> {
    introduce(client, hello, true).await.map(|(theirs, _)| theirs)
}

async fn introduce(
    client: &mut PeerServiceClient<Channel>,
    hello: &Hello,
    probe: bool,
) -> Result<(Hello, Bytes), Refusal> {
    let request = wire::HandshakeRequest { hello: Some(hello.to_wire()), probe };
    let answer = client.handshake(request).await.map_err(|status| Refusal::from_status(&status))?.into_inner();
    let theirs = Hello::from_wire(answer.hello)?;
    super::handshake::check(hello, &theirs)?;
    Ok((theirs, answer.session_id))
}

/// The calls of a session that this node began.
#[derive(Debug, Clone)]
pub(super) struct Client {
    inner: PeerServiceClient<Channel>,
    session_id: Bytes,
    max_block_bytes: usize,
}

impl Client {
    pub(super) const fn new(inner: PeerServiceClient<Channel>, session_id: Bytes, max_block_bytes: usize) -> Self {
        Self { inner, session_id, max_block_bytes }
    }

    fn taking(&self, bytes: usize) -> PeerServiceClient<Channel> {
        self.inner.clone().max_decoding_message_size(bytes)
    }

    pub(super) async fn follow(&self) -> Result<Streaming<wire::FollowResponse>, CallError> {
        let request = wire::FollowRequest { session_id: self.session_id.clone() };
        answer(ANSWER_DEADLINE, self.taking(announcement_bytes(self.max_block_bytes)).follow(request)).await
    }

    pub(super) async fn announce(
        &self,
        tip: Option<wire::Tip>,
        transactions: Option<wire::TransactionIds>,
    ) -> Result<(), CallError> {
        self.tell(wire::AnnounceRequest { tip, transactions, ..wire::AnnounceRequest::default() }).await
    }

    pub(super) async fn ask_for_pool(&self) -> Result<(), CallError> {
        let pool_query = Some(wire::PoolQuery {});
        self.tell(wire::AnnounceRequest { pool_query, ..wire::AnnounceRequest::default() }).await
    }

    async fn tell(&self, news: wire::AnnounceRequest) -> Result<(), CallError> {
        let request = wire::AnnounceRequest { session_id: self.session_id.clone(), ..news };
        answer(SEND_DEADLINE, self.taking(MAX_MESSAGE_BYTES).announce(request)).await?;
        Ok(())
    }

    pub(super) async fn deliver(
        &self,
        want_id: u64,
        item: Option<wire::deliver_request::Item>,
        last: bool,
    ) -> Result<(), CallError> {
        let request = wire::DeliverRequest { session_id: self.session_id.clone(), want_id, item, last };
        answer(SEND_DEADLINE, self.taking(MAX_MESSAGE_BYTES).deliver(request)).await?;
        Ok(())
    }

    /// Has no deadline of its own.
    pub(super) async fn headers(&self, locator: wire::Locator, max: u32) -> Result<Option<wire::Headers>, CallError> {
        let session_id = self.session_id.clone();
        let request = wire::GetHeadersRequest { session_id, locator: Some(locator), max_headers: max };
        Ok(self.taking(MAX_HEADERS_MESSAGE_BYTES).get_headers(request).await?.into_inner().headers)
    }

    /// Has no deadline of its own.
    pub(super) async fn blocks(&self, blocks: wire::BlockIds) -> Result<Streaming<wire::GetBlocksResponse>, CallError> {
        let request = wire::GetBlocksRequest { session_id: self.session_id.clone(), blocks: Some(blocks) };
        let bytes = self.max_block_bytes.saturating_add(BLOCK_MESSAGE_OVERHEAD);
        Ok(self.taking(bytes).get_blocks(request).await?.into_inner())
    }

    pub(super) async fn compact_block(&self, block_id: Bytes) -> Result<Option<wire::CompactBlock>, CallError> {
        let request = wire::GetCompactBlockRequest { session_id: self.session_id.clone(), block_id };
        let bytes = compact_block_bytes(self.max_block_bytes);
        let call = async { self.taking(bytes).get_compact_block(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.block)
    }

    pub(super) async fn block_transactions(&self, query: wire::BlockTransactionsQuery) -> Result<Bytes, CallError> {
        let request = wire::GetBlockTransactionsRequest { session_id: self.session_id.clone(), query: Some(query) };
        let bytes = self.max_block_bytes.saturating_add(BLOCK_MESSAGE_OVERHEAD);
        let call = async { self.taking(bytes).get_block_transactions(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.transactions)
    }

    pub(super) async fn transactions(
        &self,
        ids: wire::TransactionIds,
    ) -> Result<Option<wire::Transactions>, CallError> {
        let request = wire::GetTransactionsRequest { session_id: self.session_id.clone(), transactions: Some(ids) };
        let call = async { self.taking(MAX_TRANSACTIONS_MESSAGE_BYTES).get_transactions(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.transactions)
    }

    pub(super) async fn checkpoints(&self) -> Result<Option<wire::Checkpoints>, CallError> {
        let request = wire::GetCheckpointsRequest { session_id: self.session_id.clone() };
        let call = async { self.taking(MAX_MESSAGE_BYTES).get_checkpoints(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.checkpoints)
    }

    pub(super) async fn checkpoint_hashes(&self, query: wire::CheckpointHashesQuery) -> Result<Bytes, CallError> {
        let request = wire::GetCheckpointHashesRequest { session_id: self.session_id.clone(), query: Some(query) };
        let call = async { self.taking(CHECKPOINT_HASHES_BYTES).get_checkpoint_hashes(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.hashes)
    }

    pub(super) async fn checkpoint_pieces(
        &self,
        query: wire::CheckpointPiecesQuery,
    ) -> Result<Streaming<wire::GetCheckpointPiecesResponse>, CallError> {
        let request = wire::GetCheckpointPiecesRequest { session_id: self.session_id.clone(), query: Some(query) };
        answer(ANSWER_DEADLINE, self.taking(CHECKPOINT_PIECE_BYTES).get_checkpoint_pieces(request)).await
    }

    pub(super) async fn exchange_peers(
        &self,
        peers: Vec<wire::PeerAddress>,
    ) -> Result<Vec<wire::PeerAddress>, CallError> {
        let request = wire::ExchangePeersRequest { session_id: self.session_id.clone(), peers };
        let call = async { self.taking(MAX_MESSAGE_BYTES).exchange_peers(request).await };
        Ok(answer(ANSWER_DEADLINE, call).await?.peers)
    }
}

async fn answer<T>(
    deadline: Duration,
    call: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, CallError> {
    Ok(timeout(deadline, call).await.map_err(|_| CallError::Late)??.into_inner())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use farthing::{Network, wire::peer::HandshakeRequest};
    use futures_util::future::BoxFuture;
    use tokio::{io::DuplexStream, time::Instant};

    use super::*;
    use crate::{
        env::{Connection, Listener, Net},
        peers::{NodeId, handshake::own_hello},
    };

    /// Whoever is dialled takes the connection and is never heard.
    #[derive(Debug)]
    struct Silent(Mutex<Option<DuplexStream>>);

    impl Net for Silent {
        fn listen(&self, _address: SocketAddr) -> BoxFuture<'_, io::Result<Box<dyn Listener>>> {
            Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
        }

        fn dial<'a>(&'a self, _host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Connection>> {
            let io = self.0.lock().unwrap().take().unwrap();
            Box::pin(async move { Ok(Connection::new(io, SocketAddr::from(([127, 0, 0, 1], port)))) })
        }

        fn resolve<'a>(&'a self, _host: &'a str, _port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
            Box::pin(async { Ok(Vec::new()) })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_comes_is_dead_after_thirty_seconds() {
        let (ours, _theirs) = tokio::io::duplex(64 * 1024);
        let env = Env::system().unwrap().with_net(Silent(Mutex::new(Some(ours))));
        let start = Instant::now();
        let (mut calls, _) = connect(&env, "127.0.0.1", 1).await.unwrap();
        let hello = own_hello(Network::Dev.params(), NodeId::from_bytes([1; 16]), "waits".to_owned());
        // A call without a deadline, as is the stream that a dialler follows.
        let request = HandshakeRequest { hello: Some(hello.to_wire()), probe: false };
        calls.handshake(request).await.unwrap_err();
        assert_eq!(start.elapsed().as_secs(), 30);
    }
}
