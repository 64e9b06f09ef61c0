//! A node that keeps one account in memory, and lies on request. It mines when told to.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, mpsc},
};

use farthing::{
    Account, Address, BlockId, EntryId, Hash, Header, Height, Mites, Params, SignedTransaction, TimeMs, TxId, Work,
    account::accounts_root,
    header::commitment,
    params::Network,
    proof::AccountProof,
    wire::{
        AnchoredProof, ChainPoint, TransactionStanding, TransactionStatus, transaction_view,
        v1::{
            self,
            ledger_service_server::{LedgerService, LedgerServiceServer},
        },
    },
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::{Stream, StreamExt as _, wrappers::TcpListenerStream};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the node does wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Behaviour {
    /// Nothing.
    Honest,
    /// States a higher balance than it can prove.
    Boasts,
    /// Refuses every transfer, with this code and reason.
    Refuses(Code, &'static str),
    /// Takes a transfer and dies before it answers: all connections end.
    LosesAnswers,
    /// Says that a transfer is mined that is not.
    PretendsToMine,
    /// Takes a transfer and drops it at once, for this reason.
    Drops(&'static str),
    /// Dies whenever it is asked for an account or a transaction.
    DiesWhenAsked,
    /// Refuses the second page of every history once, as after a reorganisation.
    LosesPages,
}

/// What could clear a screen and write its own.
pub(crate) const PAINT: &str = "\u{1b}[2J\u{1b}[Hmined";

pub(crate) struct State {
    pub(crate) behaviour: Behaviour,
    /// Whether a transfer is mined as soon as it is submitted.
    pub(crate) mines: bool,
    address: Address,
    account: Account,
    height: u64,
    pool: Vec<SignedTransaction>,
    mined: Vec<(SignedTransaction, u64, Hash)>,
    dropped: Vec<(SignedTransaction, &'static str)>,
    connections: Vec<std::net::TcpStream>,
    /// Told of the next death.
    mourner: Option<mpsc::Sender<()>>,
    pub(crate) submissions: usize,
    /// Whether it says that it is still fetching blocks.
    pub(crate) syncing: bool,
    /// Its version.
    pub(crate) version: &'static str,
}

/// The node and the runtime that it lives in.
pub(crate) struct FakeNode {
    pub(crate) url: String,
    state: Arc<Mutex<State>>,
    _runtime: Runtime,
}

fn params() -> &'static Params {
    Network::Dev.params()
}

impl FakeNode {
    /// Serves a network on which `address` holds `far` and nobody else holds anything.
    pub(crate) fn start(address: &str, far: u64) -> Self {
        let address = params().prefix.parse(address).unwrap();
        // Its history begins with an allocation, as the wallet knows it from the network's parameters.
        let allocation = params().allocations.iter().find(|one| one.address == address);
        let balance = allocation.map_or(Mites::from_far(far).unwrap(), |one| one.amount);
        let state = Arc::new(Mutex::new(State {
            behaviour: Behaviour::Honest,
            mines: true,
            address,
            account: Account::with_balance(balance),
            height: 1,
            pool: Vec::new(),
            mined: Vec::new(),
            dropped: Vec::new(),
            connections: Vec::new(),
            mourner: None,
            submissions: 0,
            syncing: false,
            version: "fake-node/1",
        }));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = LedgerServiceServer::new(Service(Arc::clone(&state)));
        let remembered = Arc::clone(&state);
        let incoming = TcpListenerStream::new(listener).map(move |connection| {
            let connection = connection?.into_std()?;
            remembered.lock().unwrap().connections.push(connection.try_clone()?);
            tokio::net::TcpStream::from_std(connection)
        });
        runtime.spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { url, state, _runtime: runtime }
    }

    /// Hears of the next time that it dies.
    pub(crate) fn next_death(&self) -> mpsc::Receiver<()> {
        let (sender, receiver) = mpsc::channel();
        self.state().mourner = Some(sender);
        receiver
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl State {
    fn tip(&self) -> AnchoredProof {
        let chain_root = Hash::from_bytes([9; 32]);
        let root = accounts_root(&[(self.address, self.account)]);
        let mut header = Header {
            previous: *params().genesis_id(),
            commitment: commitment(&root, &chain_root),
            tx_root: Hash::ZERO,
            time: TimeMs::new(1_800_000_000_000 + self.height),
            bits: params().genesis_bits,
            nonce: 0,
        };
        while !header.has_work() {
            header.nonce += 1;
        }
        let proof = AccountProof { leaf: Some((self.address, self.account)), steps: Vec::new() };
        AnchoredProof { header, height: Height::new(self.height), chain_root, range: None, proof }
    }

    /// Loses what was not mined, as no honest node does.
    pub(crate) fn forget(&mut self) {
        self.pool.clear();
        self.dropped.clear();
    }

    /// Takes back into the pool what it dropped: what another node would still hold.
    pub(crate) fn revive(&mut self) {
        self.pool.extend(self.dropped.drain(..).map(|(transfer, _)| transfer));
    }

    fn maybe_die(&mut self) {
        if self.behaviour == Behaviour::DiesWhenAsked {
            self.cut();
        }
    }

    /// Ends all connections, as a node that is killed does.
    fn cut(&mut self) {
        for connection in self.connections.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        if let Some(mourner) = self.mourner.take() {
            let _ = mourner.send(());
        }
    }

    pub(crate) fn mine(&mut self) {
        self.height += 1;
        for transfer in std::mem::take(&mut self.pool) {
            let transaction = transfer.transaction();
            let back = transaction.outputs().iter().filter(|output| output.to == self.address);
            let back = Mites::checked_sum(back.map(|output| output.amount)).unwrap();
            self.account.balance = self.account.balance.checked_sub(transaction.total()).unwrap();
            self.account.balance = self.account.balance.checked_add(back).unwrap();
            self.account.next_nonce += 1;
            self.account.link(EntryId::from(transaction.id(params().genesis_id())), Height::new(self.height));
            self.mined.push((transfer, self.height, self.account.history));
        }
    }

    fn status(&self, id: &TxId) -> Option<TransactionStatus> {
        let is_it = |transfer: &SignedTransaction| transfer.transaction().id(params().genesis_id()) == *id;
        let mined = |height: u64| TransactionStanding::Mined {
            block_id: BlockId::from_bytes([7; 32]),
            height: Height::new(height),
            index: 1,
            confirmations: self.height - height + 1,
        };
        let standing = if let Some((_, height, _)) = self.mined.iter().find(|(transfer, _, _)| is_it(transfer)) {
            mined(*height)
        } else if self.pool.iter().any(is_it) {
            if self.behaviour == Behaviour::PretendsToMine { mined(self.height) } else { TransactionStanding::Pending }
        } else if let Some((_, reason)) = self.dropped.iter().find(|(transfer, _)| is_it(transfer)) {
            TransactionStanding::Dropped { reason: (*reason).to_owned(), replaced_by: None }
        } else {
            return None;
        };
        Some(TransactionStatus { id: *id, standing })
    }
}

/// The tip as a place.
fn point(tip: &AnchoredProof) -> v1::ChainPoint {
    let total_work = Work::new(2 * u128::from(tip.height.get() + 1));
    let point = ChainPoint { height: tip.height, block_id: tip.header.id(), total_work, time: tip.header.time };
    (&point).into()
}

/// A refusal as nodes word it.
fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "farthing", std::collections::HashMap::new());
    Status::with_error_details(code, format!("no, because of {reason}"), details)
}

struct Service(Arc<Mutex<State>>);

type BoxStream<F> = Pin<Box<dyn Stream<Item = Result<F, Status>> + Send>>;
type Frames = BoxStream<v1::SubscribeBlocksResponse>;
type Headers = BoxStream<v1::GetHeadersResponse>;

#[tonic::async_trait]
impl LedgerService for Service {
    type SubscribeBlocksStream = Frames;
    type GetHeadersStream = Headers;
    type SubscribeTransactionsStream = BoxStream<v1::SubscribeTransactionsResponse>;
    type WatchTransactionStream = BoxStream<v1::WatchTransactionResponse>;
    type WatchAccountStream = BoxStream<v1::WatchAccountResponse>;

    async fn submit_transaction(
        &self,
        request: Request<v1::SubmitTransactionRequest>,
    ) -> Result<Response<v1::SubmitTransactionResponse>, Status> {
        let transfer = SignedTransaction::try_from(request.into_inner())
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let id = transfer.transaction().id(params().genesis_id());
        let mut state = self.0.lock().unwrap();
        state.submissions += 1;
        if let Behaviour::Refuses(code, reason) = state.behaviour {
            return Err(refusal(code, reason));
        }
        if let (Behaviour::Drops(reason), None) = (state.behaviour, state.status(&id)) {
            state.dropped.push((transfer, reason));
            let status = TransactionStatus { id, standing: TransactionStanding::Pending };
            return Ok(Response::new(v1::SubmitTransactionResponse { status: Some((&status).into()) }));
        }
        if state.status(&id).is_none() {
            state.pool.push(transfer);
        }
        if state.mines && state.behaviour == Behaviour::Honest {
            state.mine();
        }
        if state.behaviour == Behaviour::LosesAnswers {
            state.cut();
        }
        let status = state.status(&id).unwrap();
        Ok(Response::new(v1::SubmitTransactionResponse { status: Some((&status).into()) }))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        let Some(v1::get_transaction_request::Id::TransactionId(id)) = request.into_inner().id else {
            return Err(Status::invalid_argument("id"));
        };
        let id = TxId::try_from(id.as_ref()).unwrap();
        self.0.lock().unwrap().maybe_die();
        let status = self.0.lock().unwrap().status(&id);
        let status = status.ok_or_else(|| refusal(Code::NotFound, "TRANSACTION_NOT_FOUND"))?;
        Ok(Response::new(v1::GetTransactionResponse { status: Some((&status).into()), transaction: None }))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        let Some(v1::get_account_request::Id::Address(address)) = request.into_inner().id else {
            return Err(Status::invalid_argument("id"));
        };
        let address = Address::try_from(address.as_ref()).unwrap();
        let mut state = self.0.lock().unwrap();
        state.maybe_die();
        let exists = address == state.address;
        let mut account = if exists { state.account } else { Account::default() };
        if state.behaviour == Behaviour::Boasts {
            account.balance = account.balance.checked_add(Mites::new(1)).unwrap();
        }
        let pending: Vec<u64> =
            state.pool.iter().filter(|_| exists).map(|one| one.transaction().total().get()).collect();
        Ok(Response::new(v1::GetAccountResponse {
            address: address.to_bytes().to_vec().into(),
            address_text: params().prefix.format(&address),
            exists,
            account: Some((&account).into()),
            next_pending_nonce: account.next_nonce + pending.len() as u64,
            pending_out_mites: pending.iter().sum(),
            tip: Some(point(&state.tip())),
            proof: Some((&state.tip()).into()),
            ..v1::GetAccountResponse::default()
        }))
    }

    async fn list_account_entries(
        &self,
        request: Request<v1::ListAccountEntriesRequest>,
    ) -> Result<Response<v1::ListAccountEntriesResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        let newest = state.mined.len();
        let request = request.into_inner();
        if state.behaviour == Behaviour::LosesPages && !request.page_token.is_empty() {
            state.behaviour = Behaviour::Honest;
            return Err(refusal(Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
        }
        // Two a page, so that every walk turns a page.
        let from: usize = request.page_token.parse().unwrap_or(0);
        let entries: Vec<v1::AccountEntry> = state
            .mined
            .iter()
            .enumerate()
            .rev()
            .skip(from)
            .take(2)
            .map(|(at, (transfer, height, history))| v1::AccountEntry {
                entry: at as u64 + 1,
                height: *height,
                id: transfer.transaction().id(params().genesis_id()).to_bytes().to_vec().into(),
                id_hex: transfer.transaction().id(params().genesis_id()).to_string(),
                history: history.to_bytes().to_vec().into(),
                cause: Some(v1::account_entry::Cause::Transaction(transaction_view(params(), transfer))),
                time_ms: 1_800_000_000_000,
            })
            .collect();
        let next = from + entries.len();
        let next_page_token = if next < newest { next.to_string() } else { String::new() };
        Ok(Response::new(v1::ListAccountEntriesResponse { entries, next_page_token, tip: None }))
    }

    async fn get_node_info(
        &self,
        _: Request<v1::GetNodeInfoRequest>,
    ) -> Result<Response<v1::GetNodeInfoResponse>, Status> {
        let state = self.0.lock().unwrap();
        let tip = state.tip();
        let sync_state = if state.syncing { v1::SyncState::Syncing } else { v1::SyncState::Synced };
        Ok(Response::new(v1::GetNodeInfoResponse {
            network: "dev".into(),
            genesis_id: params().genesis_id().to_bytes().to_vec().into(),
            genesis_id_hex: params().genesis_id().to_string(),
            version: state.version.into(),
            tip: Some(point(&tip)),
            accounts_root: vec![0; 32].into(),
            sync_state: sync_state.into(),
            best_header_height: 900,
            ..v1::GetNodeInfoResponse::default()
        }))
    }

    async fn submit_transactions(
        &self,
        _: Request<v1::SubmitTransactionsRequest>,
    ) -> Result<Response<v1::SubmitTransactionsResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    type SubmitTransactionStreamStream =
        Pin<Box<dyn Stream<Item = Result<v1::SubmitTransactionStreamResponse, Status>> + Send>>;

    async fn submit_transaction_stream(
        &self,
        _: Request<tonic::Streaming<v1::SubmitTransactionStreamRequest>>,
    ) -> Result<Response<Self::SubmitTransactionStreamStream>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn submit_transaction_and_wait(
        &self,
        _: Request<v1::SubmitTransactionAndWaitRequest>,
    ) -> Result<Response<v1::SubmitTransactionAndWaitResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn simulate_transaction(
        &self,
        _: Request<v1::SimulateTransactionRequest>,
    ) -> Result<Response<v1::SimulateTransactionResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn estimate_fee(
        &self,
        _: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_fees(&self, _: Request<v1::GetFeesRequest>) -> Result<Response<v1::GetFeesResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_block(&self, _: Request<v1::GetBlockRequest>) -> Result<Response<v1::GetBlockResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn list_blocks(&self, _: Request<v1::ListBlocksRequest>) -> Result<Response<v1::ListBlocksResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn subscribe_blocks(&self, _: Request<v1::SubscribeBlocksRequest>) -> Result<Response<Frames>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn subscribe_transactions(
        &self,
        _: Request<v1::SubscribeTransactionsRequest>,
    ) -> Result<Response<Self::SubscribeTransactionsStream>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn watch_transaction(
        &self,
        _: Request<v1::WatchTransactionRequest>,
    ) -> Result<Response<Self::WatchTransactionStream>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn watch_account(
        &self,
        _: Request<v1::WatchAccountRequest>,
    ) -> Result<Response<Self::WatchAccountStream>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_mempool(&self, _: Request<v1::GetMempoolRequest>) -> Result<Response<v1::GetMempoolResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_transaction_proof(
        &self,
        _: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_chain_proof(
        &self,
        _: Request<v1::GetChainProofRequest>,
    ) -> Result<Response<v1::GetChainProofResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_supply(&self, _: Request<v1::GetSupplyRequest>) -> Result<Response<v1::GetSupplyResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_headers(&self, _: Request<v1::GetHeadersRequest>) -> Result<Response<Headers>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_limits(&self, _: Request<v1::GetLimitsRequest>) -> Result<Response<v1::GetLimitsResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }
}
