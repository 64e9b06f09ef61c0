//! The calls of a dialler, each with the largest answer that it takes, and its deadline unless its caller has one.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use farthing::wire::peer::{self as wire, peer_service_client::PeerServiceClient};
use hyper_util::rt::TokioIo;
use prost::bytes::Bytes;
use tokio::{
    sync::{Mutex, MutexGuard},
    time::{sleep, timeout},
};
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use super::{
    handshake::{Hello, Refusal},
    limits::{
        ANSWER_DEADLINE, BLOCK_MESSAGE_OVERHEAD, CHECKPOINT_HASHES_BYTES, CHECKPOINT_PIECE_BYTES, KEEPALIVE_INTERVAL,
        KEEPALIVE_TIMEOUT, MAX_HEADERS_MESSAGE_BYTES, MAX_MESSAGE_BYTES, MAX_PATIENCE, MAX_TRANSACTIONS_MESSAGE_BYTES,
        SEND_DEADLINE, announcement_bytes, compact_block_bytes,
    },
};
use crate::{env::Env, server::told_to_wait};

/// How long a call is put off in all because the other side says that it is too early.
const PATIENCE: Duration = SEND_DEADLINE;
/// How long it is put off at least each time, whatever the other side says.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

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

/// Which methods a call is being put off of; other calls of them wait behind it, so that one at a time tries again.
#[derive(Debug, Default)]
struct Turns {
    follow: Mutex<()>,
    announce: Mutex<()>,
    deliver: Mutex<()>,
    get_headers: Mutex<()>,
    get_blocks: Mutex<()>,
    get_compact_block: Mutex<()>,
    get_block_transactions: Mutex<()>,
    get_transactions: Mutex<()>,
    get_checkpoints: Mutex<()>,
    get_checkpoint_hashes: Mutex<()>,
    get_checkpoint_pieces: Mutex<()>,
    exchange_peers: Mutex<()>,
}

/// One call, which may have to be made more than once.
macro_rules! ask {
    ($self:ident, $deadline:expr, $bytes:expr, $method:ident, $request:expr) => {{
        let (client, request) = ($self.taking($bytes), $request);
        answer($deadline, &$self.turns.$method, || {
            let (mut client, request) = (client.clone(), request.clone());
            async move { client.$method(request).await }
        })
        .await
    }};
}

/// The calls of a session that this node began.
#[derive(Debug, Clone)]
pub(super) struct Client {
    inner: PeerServiceClient<Channel>,
    session_id: Bytes,
    max_block_bytes: usize,
    turns: Arc<Turns>,
}

impl Client {
    pub(super) fn new(inner: PeerServiceClient<Channel>, session_id: Bytes, max_block_bytes: usize) -> Self {
        Self { inner, session_id, max_block_bytes, turns: Arc::default() }
    }

    fn taking(&self, bytes: usize) -> PeerServiceClient<Channel> {
        self.inner.clone().max_decoding_message_size(bytes)
    }

    pub(super) async fn follow(&self) -> Result<Streaming<wire::FollowResponse>, CallError> {
        let request = wire::FollowRequest { session_id: self.session_id.clone() };
        ask!(self, ANSWER_DEADLINE, announcement_bytes(self.max_block_bytes), follow, request)
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
        ask!(self, SEND_DEADLINE, MAX_MESSAGE_BYTES, announce, request).map(drop)
    }

    pub(super) async fn deliver(
        &self,
        want_id: u64,
        item: Option<wire::deliver_request::Item>,
        last: bool,
    ) -> Result<(), CallError> {
        let request = wire::DeliverRequest { session_id: self.session_id.clone(), want_id, item, last };
        ask!(self, SEND_DEADLINE, MAX_MESSAGE_BYTES, deliver, request).map(drop)
    }

    /// Its deadline is the caller's, at most the longest that one has patience for.
    pub(super) async fn headers(&self, locator: wire::Locator, max: u32) -> Result<Option<wire::Headers>, CallError> {
        let session_id = self.session_id.clone();
        let request = wire::GetHeadersRequest { session_id, locator: Some(locator), max_headers: max };
        Ok(ask!(self, MAX_PATIENCE, MAX_HEADERS_MESSAGE_BYTES, get_headers, request)?.headers)
    }

    /// Its deadline is the caller's, at most the longest that one has patience for.
    pub(super) async fn blocks(&self, blocks: wire::BlockIds) -> Result<Streaming<wire::GetBlocksResponse>, CallError> {
        let request = wire::GetBlocksRequest { session_id: self.session_id.clone(), blocks: Some(blocks) };
        let bytes = self.max_block_bytes.saturating_add(BLOCK_MESSAGE_OVERHEAD);
        ask!(self, MAX_PATIENCE, bytes, get_blocks, request)
    }

    pub(super) async fn compact_block(&self, block_id: Bytes) -> Result<Option<wire::CompactBlock>, CallError> {
        let request = wire::GetCompactBlockRequest { session_id: self.session_id.clone(), block_id };
        let bytes = compact_block_bytes(self.max_block_bytes);
        Ok(ask!(self, ANSWER_DEADLINE, bytes, get_compact_block, request)?.block)
    }

    pub(super) async fn block_transactions(&self, query: wire::BlockTransactionsQuery) -> Result<Bytes, CallError> {
        let request = wire::GetBlockTransactionsRequest { session_id: self.session_id.clone(), query: Some(query) };
        let bytes = self.max_block_bytes.saturating_add(BLOCK_MESSAGE_OVERHEAD);
        Ok(ask!(self, ANSWER_DEADLINE, bytes, get_block_transactions, request)?.transactions)
    }

    pub(super) async fn transactions(
        &self,
        ids: wire::TransactionIds,
    ) -> Result<Option<wire::Transactions>, CallError> {
        let request = wire::GetTransactionsRequest { session_id: self.session_id.clone(), transactions: Some(ids) };
        Ok(ask!(self, ANSWER_DEADLINE, MAX_TRANSACTIONS_MESSAGE_BYTES, get_transactions, request)?.transactions)
    }

    pub(super) async fn checkpoints(&self) -> Result<Option<wire::Checkpoints>, CallError> {
        let request = wire::GetCheckpointsRequest { session_id: self.session_id.clone() };
        Ok(ask!(self, ANSWER_DEADLINE, MAX_MESSAGE_BYTES, get_checkpoints, request)?.checkpoints)
    }

    /// Its deadline is the caller's, at most the longest that one has patience for.
    pub(super) async fn checkpoint_hashes(&self, query: wire::CheckpointHashesQuery) -> Result<Bytes, CallError> {
        let request = wire::GetCheckpointHashesRequest { session_id: self.session_id.clone(), query: Some(query) };
        Ok(ask!(self, MAX_PATIENCE, CHECKPOINT_HASHES_BYTES, get_checkpoint_hashes, request)?.hashes)
    }

    /// Its deadline is the caller's, at most the longest that one has patience for.
    pub(super) async fn checkpoint_pieces(
        &self,
        query: wire::CheckpointPiecesQuery,
    ) -> Result<Streaming<wire::GetCheckpointPiecesResponse>, CallError> {
        let request = wire::GetCheckpointPiecesRequest { session_id: self.session_id.clone(), query: Some(query) };
        ask!(self, MAX_PATIENCE, CHECKPOINT_PIECE_BYTES, get_checkpoint_pieces, request)
    }

    pub(super) async fn exchange_peers(
        &self,
        peers: Vec<wire::PeerAddress>,
    ) -> Result<Vec<wire::PeerAddress>, CallError> {
        let request = wire::ExchangePeersRequest { session_id: self.session_id.clone(), peers };
        Ok(ask!(self, ANSWER_DEADLINE, MAX_MESSAGE_BYTES, exchange_peers, request)?.peers)
    }
}

/// Calls until there is an answer, or a refusal that is none for being too early. Each time that the other side says that
/// it is too early, it is given the time that it names, but no more than [`PATIENCE`] in all.
async fn answer<T, F>(deadline: Duration, turn: &Mutex<()>, mut call: impl FnMut() -> F) -> Result<T, CallError>
where
    F: Future<Output = Result<tonic::Response<T>, Status>>,
{
    let mut patience = PATIENCE;
    // Only behind one that waits; else they go side by side.
    let mut held = if turn.try_lock().is_ok() { None } else { Some(take(turn).await?) };
    loop {
        let status = match timeout(deadline, call()).await.map_err(|_| CallError::Late)? {
            Ok(response) => return Ok(response.into_inner()),
            Err(status) => status,
        };
        let Some(wait) = told_to_wait(&status).map(|wait| wait.max(SHORTEST_WAIT)).filter(|wait| *wait <= patience)
        else {
            return Err(status.into());
        };
        tracing::debug!(message = status.message(), "waiting, as the peer asks");
        patience -= wait;
        if held.is_none() {
            held = Some(take(turn).await?);
        }
        sleep(wait).await;
    }
}

/// Waits for those that are told to wait, but no longer than one of them may.
async fn take(turn: &Mutex<()>) -> Result<MutexGuard<'_, ()>, CallError> {
    timeout(PATIENCE, turn.lock()).await.map_err(|_| CallError::Late)
}

#[cfg(test)]
mod tests;
