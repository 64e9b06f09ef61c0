//! A node that does what a script says: for each method what it does next, and for each stream its frames.

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use farthing::{
    Account, Address, Block, Coinbase, Hash, Header, Height, Mites, Network, Params, SignedTransaction, TimeMs, Work,
    account::accounts_root,
    header::commitment,
    proof::AccountProof,
    wire::{
        AnchoredProof, ChainPoint, TransactionStanding, TransactionStatus,
        v1::{
            self,
            ledger_service_server::{LedgerService, LedgerServiceServer},
        },
    },
};
use farthing_client::{Builder, Client, NodeUrl, RetryPolicy};
use tokio::net::TcpListener;
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{
    frames::{Frames, Part, Script, play, view},
    headers::HeaderParts,
    queries::Answer,
};

/// What a method does with one call instead of answering.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    /// Answers.
    Answer,
    /// Refuses as nodes do: with a reason, and with a time to wait if there is one.
    Refuse(Code, &'static str, Option<Duration>),
    /// A status that something between made up.
    Break(Code),
    /// Never answers.
    Hang,
    /// Does what was asked, and cuts every connection instead of answering.
    Cut,
}

#[derive(Default)]
pub(crate) struct State {
    deeds: HashMap<&'static str, VecDeque<Deed>>,
    /// Calls by method.
    calls: HashMap<&'static str, usize>,
    streams: VecDeque<Vec<Part>>,
    /// What streams were asked for.
    pub(crate) starts: Vec<v1::subscribe_blocks_request::Start>,
    pub(crate) account: Script<v1::WatchAccountResponse, v1::WatchAccountRequest>,
    pub(crate) transaction: Script<v1::WatchTransactionResponse, v1::WatchTransactionRequest>,
    pub(crate) mempool: Script<v1::SubscribeTransactionsResponse, v1::SubscribeTransactionsRequest>,
    pub(crate) submitted: Vec<Vec<u8>>,
    pub(crate) tip: Option<ChainPoint>,
    pub(crate) genesis: Option<[u8; 32]>,
    pub(crate) blocks: Vec<Block>,
    /// What the account's balance is said to be above what is proven.
    pub(crate) boast: u64,
    pub(crate) answer: Option<Answer>,
    pub(crate) waits: Vec<v1::SubmitTransactionAndWaitRequest>,
    pub(crate) estimates: Vec<v1::EstimateFeeRequest>,
    pub(crate) headers: VecDeque<HeaderParts>,
    pub(crate) headers_asked: Vec<v1::GetHeadersRequest>,
    connections: Vec<std::net::TcpStream>,
    pub(crate) accepted: usize,
}

impl State {
    /// What a method does with its next calls; behind them it answers.
    pub(crate) fn will(&mut self, method: &'static str, deeds: impl IntoIterator<Item = Deed>) {
        self.deeds.entry(method).or_default().extend(deeds);
    }

    /// The next stream.
    pub(crate) fn will_stream(&mut self, parts: impl IntoIterator<Item = Part>) {
        self.streams.push_back(parts.into_iter().collect());
    }

    pub(crate) fn calls(&self, method: &'static str) -> usize {
        self.calls.get(method).copied().unwrap_or_default()
    }

    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

/// A node.
pub(crate) struct Node {
    pub(crate) url: NodeUrl,
    state: Arc<Mutex<State>>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Node {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let state = Arc::new(Mutex::new(State { tip: Some(point(0, 2)), ..State::default() }));
        let remembered = Arc::clone(&state);
        let incoming = TcpListenerStream::new(listener).map(move |connection| {
            let connection = connection?.into_std()?;
            // Else every small answer waits for an acknowledgement.
            connection.set_nodelay(true)?;
            let mut state = remembered.lock().unwrap();
            state.accepted += 1;
            state.connections.push(connection.try_clone()?);
            tokio::net::TcpStream::from_std(connection)
        });
        let service = LedgerServiceServer::new(Service(Arc::clone(&state)));
        let server = tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming);
        let task = tokio::spawn(async move { server.await.unwrap() });
        Self { url, state, task }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

pub(crate) fn params() -> &'static Params {
    Network::Dev.params()
}

/// A client of these nodes that does not pause for long.
pub(crate) fn client<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Client {
    builder(nodes).build().unwrap()
}

pub(crate) fn builder<'a>(nodes: impl IntoIterator<Item = &'a Node>) -> Builder {
    let first_pause = Duration::from_millis(10);
    Client::builder(Arc::new(params().clone()))
        .nodes(nodes.into_iter().map(|node| node.url.clone()))
        .retry(RetryPolicy { first_pause, longest_pause: Duration::from_millis(100), ..RetryPolicy::default() })
}

pub(crate) fn point(height: u64, work: u128) -> ChainPoint {
    let block_id = farthing::BlockId::from_bytes([height as u8; 32]);
    ChainPoint { height: Height::new(height), block_id, total_work: Work::new(work), time: TimeMs::new(1) }
}

/// The first blocks of a chain of this network, genesis included. Chains with another salt part behind `common`.
pub(crate) fn chain(length: u64, common: u64, salt: u8) -> Vec<Block> {
    let mut blocks = vec![params().genesis().clone()];
    for height in 1..length {
        let tag = if height < common { Vec::new() } else { vec![salt] };
        let to = Address::from_bytes([1; 32]);
        let coinbase = Coinbase { height: Height::new(height), to, amount: Mites::new(5), tag };
        let header = Header {
            previous: blocks.last().unwrap().id(),
            commitment: Hash::ZERO,
            tx_root: Hash::ZERO,
            time: TimeMs::new(params().genesis_time.get() + height),
            bits: params().genesis_bits,
            nonce: 0,
        };
        let mut block = Block { header, coinbase, transactions: Vec::new() };
        block.header.tx_root = block.tx_root();
        while !block.header.has_work() {
            block.header.nonce += 1;
        }
        blocks.push(block);
    }
    blocks
}

pub(crate) fn refusal(code: Code, reason: &str, retry: Option<Duration>) -> Status {
    let particulars = [("expected_nonce".to_owned(), "7".to_owned())];
    let mut details = ErrorDetails::with_error_info(reason, "farthing", HashMap::from(particulars));
    if retry.is_some() {
        details.set_retry_info(retry);
    }
    Status::with_error_details(code, format!("no, because of {reason}"), details)
}

/// A refusal inside of an answer.
pub(crate) fn refusal_message(reason: &str) -> tonic_types::pb::Status {
    let status = refusal(Code::FailedPrecondition, reason, None);
    prost::Message::decode(status.details()).unwrap()
}

struct Service(Arc<Mutex<State>>);

/// The answer of this kind that the script has.
macro_rules! scripted {
    ($self:ident, $kind:ident) => {
        match $self.0.lock().unwrap().answer.clone() {
            Some(Answer::$kind(answer)) => Ok(Response::new(answer)),
            other => panic!("asked for {}, the script has {other:?}", stringify!($kind)),
        }
    };
}

impl Service {
    async fn deed(&self, method: &'static str) -> Result<(), Status> {
        let deed = {
            let mut state = self.0.lock().unwrap();
            *state.calls.entry(method).or_default() += 1;
            state.deeds.get_mut(method).and_then(VecDeque::pop_front).unwrap_or(Deed::Answer)
        };
        match deed {
            Deed::Answer => Ok(()),
            Deed::Refuse(code, reason, retry) => Err(refusal(code, reason, retry)),
            Deed::Break(code) => Err(Status::new(code, "made up on the way")),
            Deed::Hang => std::future::pending().await,
            Deed::Cut => {
                self.0.lock().unwrap().cut();
                Err(Status::unavailable("never arrives"))
            }
        }
    }

    fn tip(&self) -> Option<v1::ChainPoint> {
        self.0.lock().unwrap().tip.as_ref().map(v1::ChainPoint::from)
    }
}

#[tonic::async_trait]
impl LedgerService for Service {
    type SubscribeBlocksStream = Frames<v1::SubscribeBlocksResponse>;

    async fn submit_transaction(
        &self,
        request: Request<v1::SubmitTransactionRequest>,
    ) -> Result<Response<v1::SubmitTransactionResponse>, Status> {
        let transfer = SignedTransaction::try_from(request.into_inner()).unwrap();
        self.0.lock().unwrap().submitted.push(farthing::codec::Canonical::to_canonical(&transfer));
        self.deed("submit").await?;
        let id = transfer.transaction().id(params().genesis_id());
        let status = TransactionStatus { id, standing: TransactionStanding::Pending };
        Ok(Response::new(v1::SubmitTransactionResponse { status: Some((&status).into()) }))
    }

    type SubmitTransactionStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::SubmitTransactionStreamResponse, Status>> + Send>>;

    async fn submit_transaction_stream(
        &self,
        _: Request<tonic::Streaming<v1::SubmitTransactionStreamRequest>>,
    ) -> Result<Response<Self::SubmitTransactionStreamStream>, Status> {
        Err(Status::unimplemented("no test calls this"))
    }

    async fn submit_transaction_and_wait(
        &self,
        request: Request<v1::SubmitTransactionAndWaitRequest>,
    ) -> Result<Response<v1::SubmitTransactionAndWaitResponse>, Status> {
        self.0.lock().unwrap().waits.push(request.into_inner());
        self.deed("wait").await?;
        scripted!(self, Wait)
    }

    async fn simulate_transaction(
        &self,
        _: Request<v1::SimulateTransactionRequest>,
    ) -> Result<Response<v1::SimulateTransactionResponse>, Status> {
        scripted!(self, Simulation)
    }

    async fn estimate_fee(
        &self,
        request: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        self.0.lock().unwrap().estimates.push(request.into_inner());
        self.deed("estimate").await?;
        scripted!(self, Estimate)
    }

    async fn get_fees(&self, _: Request<v1::GetFeesRequest>) -> Result<Response<v1::GetFeesResponse>, Status> {
        self.deed("fees").await?;
        scripted!(self, Fees)
    }

    type GetHeadersStream = Pin<Box<dyn Stream<Item = Result<v1::GetHeadersResponse, Status>> + Send>>;

    async fn get_headers(
        &self,
        request: Request<v1::GetHeadersRequest>,
    ) -> Result<Response<Self::GetHeadersStream>, Status> {
        self.deed("headers").await?;
        let mut state = self.0.lock().unwrap();
        state.headers_asked.push(request.into_inner());
        let parts = state.headers.pop_front().unwrap_or_default();
        let parts = parts.into_iter().map(|part| part.map_err(|(code, reason)| refusal(code, reason, None)));
        Ok(Response::new(Box::pin(tokio_stream::iter(parts.collect::<Vec<_>>()))))
    }

    async fn get_transaction_proof(
        &self,
        _: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        scripted!(self, Proof)
    }

    async fn get_chain_proof(
        &self,
        _: Request<v1::GetChainProofRequest>,
    ) -> Result<Response<v1::GetChainProofResponse>, Status> {
        self.deed("chain").await?;
        scripted!(self, ChainProof)
    }

    async fn get_supply(&self, _: Request<v1::GetSupplyRequest>) -> Result<Response<v1::GetSupplyResponse>, Status> {
        scripted!(self, Supply)
    }

    type SubscribeTransactionsStream = Frames<v1::SubscribeTransactionsResponse>;

    async fn subscribe_transactions(
        &self,
        request: Request<v1::SubscribeTransactionsRequest>,
    ) -> Result<Response<Self::SubscribeTransactionsStream>, Status> {
        self.0.lock().unwrap().mempool.asked.push(request.into_inner());
        self.deed("watch").await?;
        Ok(Response::new(play(self.0.lock().unwrap().mempool.streams.pop_front())))
    }

    type WatchTransactionStream = Frames<v1::WatchTransactionResponse>;

    async fn watch_transaction(
        &self,
        request: Request<v1::WatchTransactionRequest>,
    ) -> Result<Response<Self::WatchTransactionStream>, Status> {
        self.0.lock().unwrap().transaction.asked.push(request.into_inner());
        self.deed("watch").await?;
        Ok(Response::new(play(self.0.lock().unwrap().transaction.streams.pop_front())))
    }

    type WatchAccountStream = Frames<v1::WatchAccountResponse>;

    async fn watch_account(
        &self,
        request: Request<v1::WatchAccountRequest>,
    ) -> Result<Response<Self::WatchAccountStream>, Status> {
        self.0.lock().unwrap().account.asked.push(request.into_inner());
        self.deed("watch").await?;
        Ok(Response::new(play(self.0.lock().unwrap().account.streams.pop_front())))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        self.deed("account").await?;
        let request = request.into_inner();
        let Some(v1::get_account_request::Id::Address(address)) = request.id else { panic!("an address") };
        let address = Address::try_from(address.as_ref()).unwrap();
        let account = Account::with_balance(Mites::new(5));
        let chain_root = Hash::from_bytes([9; 32]);
        let mut header = chain(2, 2, 0).remove(1).header;
        header.commitment = commitment(&accounts_root(&[(address, account)]), &chain_root);
        while !header.has_work() {
            header.nonce += 1;
        }
        let proof = AccountProof { leaf: Some((address, account)), steps: Vec::new() };
        let anchored = AnchoredProof { header, height: Height::new(1), chain_root, range: None, proof };
        let stated = Account::with_balance(Mites::new(5 + self.0.lock().unwrap().boast));
        Ok(Response::new(v1::GetAccountResponse {
            address: address.to_bytes().to_vec().into(),
            exists: true,
            account: Some((&stated).into()),
            tip: self.tip(),
            proof: request.with_proof.then(|| (&anchored).into()),
            ..v1::GetAccountResponse::default()
        }))
    }

    async fn get_node_info(
        &self,
        _: Request<v1::GetNodeInfoRequest>,
    ) -> Result<Response<v1::GetNodeInfoResponse>, Status> {
        self.deed("info").await?;
        let genesis = self.0.lock().unwrap().genesis;
        Ok(Response::new(v1::GetNodeInfoResponse {
            network: if genesis.is_some() { "elsewhere" } else { "dev" }.into(),
            genesis_id: genesis.unwrap_or_else(|| params().genesis_id().to_bytes()).to_vec().into(),
            accounts_root: vec![0; 32].into(),
            tip: self.tip(),
            ..v1::GetNodeInfoResponse::default()
        }))
    }

    async fn subscribe_blocks(
        &self,
        request: Request<v1::SubscribeBlocksRequest>,
    ) -> Result<Response<Self::SubscribeBlocksStream>, Status> {
        self.0.lock().unwrap().starts.push(request.into_inner().start.unwrap());
        self.deed("subscribe").await?;
        Ok(Response::new(play(self.0.lock().unwrap().streams.pop_front())))
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Result<Response<v1::GetBlockResponse>, Status> {
        self.deed("block").await?;
        let Some(v1::get_block_request::Block::Height(height)) = request.into_inner().block else { panic!("height") };
        let block = self.0.lock().unwrap().blocks.get(height as usize).map(view);
        let block = block.ok_or_else(|| refusal(Code::NotFound, "BLOCK_NOT_FOUND", None))?;
        Ok(Response::new(v1::GetBlockResponse { block: Some(block) }))
    }

    async fn list_blocks(&self, _: Request<v1::ListBlocksRequest>) -> Result<Response<v1::ListBlocksResponse>, Status> {
        self.deed("blocks").await?;
        let blocks = self.0.lock().unwrap().blocks.iter().rev().map(view).collect();
        Ok(Response::new(v1::ListBlocksResponse { blocks, next_page_token: String::new() }))
    }

    async fn submit_transactions(
        &self,
        _: Request<v1::SubmitTransactionsRequest>,
    ) -> Result<Response<v1::SubmitTransactionsResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_transaction(
        &self,
        _: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn list_account_entries(
        &self,
        _: Request<v1::ListAccountEntriesRequest>,
    ) -> Result<Response<v1::ListAccountEntriesResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_mempool(&self, _: Request<v1::GetMempoolRequest>) -> Result<Response<v1::GetMempoolResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }

    async fn get_limits(&self, _: Request<v1::GetLimitsRequest>) -> Result<Response<v1::GetLimitsResponse>, Status> {
        Err(Status::unimplemented("not scripted"))
    }
}
