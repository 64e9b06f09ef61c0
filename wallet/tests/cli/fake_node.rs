//! A node that keeps one account in memory, and lies on request. It mines when told to.

use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, mpsc},
};

use farthing::{
    Account, Address, Hash, Header, Height, Mites, Params, SignedTransaction, TimeMs, TxId, Work,
    chain_proof::SAMPLES_PER_HALVING,
    params::Network,
    wire::{
        ChainPoint, Draft, TransactionStanding, TransactionStatus, transaction_view,
        v1::{
            self,
            ledger_service_server::{LedgerService, LedgerServiceServer},
        },
    },
};
use prost::Message as _;
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::{
    Stream, StreamExt as _,
    wrappers::{TcpListenerStream, UnboundedReceiverStream},
};
use tonic::{Code, Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fake_streams::{account_entry, mempool_entry};

pub(crate) use crate::fake_ledger::{Behaviour, PAINT, State};

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
        Self::on(params(), address, far)
    }

    /// The same on another network, whose work is trivial.
    pub(crate) fn on(params: &'static Params, address: Address, far: u64) -> Self {
        let mut state = State::new(params, address, far);
        state.mine();
        let state = Arc::new(Mutex::new(state));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = LedgerServiceServer::new(Service(Arc::clone(&state)));
        let remembered = Arc::clone(&state);
        let incoming = TcpListenerStream::new(listener).map(move |connection| {
            let connection = connection?.into_std()?;
            // Else every small answer waits for an acknowledgement.
            connection.set_nodelay(true)?;
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

/// The tip as a place.
pub(super) fn point(state: &State) -> v1::ChainPoint {
    let header = state.chain.header(state.height());
    let total_work = state.chain.work(state.height());
    let height = Height::new(state.height());
    (&ChainPoint { height, block_id: header.id(), total_work, time: header.time }).into()
}

/// A refusal as nodes word it.
fn refusal(code: Code, reason: &str) -> Status {
    let details = ErrorDetails::with_error_info(reason, "farthing", std::collections::HashMap::new());
    Status::with_error_details(code, format!("no, because of {reason}"), details)
}

/// A refusal with the fee that would do.
fn underpaid(code: Code, reason: &str, fee: u64) -> Status {
    let facts = std::collections::HashMap::from([("required_fee_mites".to_owned(), fee.to_string())]);
    let details = ErrorDetails::with_error_info(reason, "farthing", facts);
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
        let mut state = self.0.lock().unwrap();
        let id = transfer.transaction().id(state.params.genesis_id());
        state.submissions += 1;
        if let Behaviour::Refuses(code, reason) = state.behaviour {
            return Err(refusal(code, reason));
        }
        if let (Behaviour::Drops(reason), None) = (state.behaviour, state.status(&id)) {
            state.dropped.push((transfer, reason));
            let status = TransactionStatus { id, standing: TransactionStanding::Pending };
            return Ok(Response::new(v1::SubmitTransactionResponse { status: Some((&status).into()) }));
        }
        // What it dropped it takes like any other, unless it drops that again.
        if state.find(&id).is_none() && !matches!(state.behaviour, Behaviour::Drops(_)) {
            state.take(transfer).map_err(|(reason, fee)| underpaid(Code::FailedPrecondition, reason, fee))?;
            let genesis = *state.params.genesis_id();
            state.dropped.retain(|(dropped, _)| dropped.transaction().id(&genesis) != id);
        }
        if let Behaviour::TakesAndRefuses(code, reason) = state.behaviour {
            return Err(refusal(code, reason));
        }
        // As of now: a node without an index does not know it any more once it is mined.
        let waits = state.status(&id).unwrap();
        if state.mines
            && matches!(state.behaviour, Behaviour::Honest | Behaviour::CountsTooMany | Behaviour::KeepsNoIndex)
        {
            state.mine();
        }
        if state.behaviour == Behaviour::LosesAnswers {
            state.cut();
        }
        let status = state.status(&id).unwrap_or(waits);
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
        let state = self.0.lock().unwrap();
        let status = state.status(&id).ok_or_else(|| match state.behaviour {
            Behaviour::KeepsNoIndex => refusal(Code::FailedPrecondition, "TRANSACTION_INDEX_OFF"),
            _ => refusal(Code::NotFound, "TRANSACTION_NOT_FOUND"),
        })?;
        let transaction = state.find(&id).map(|transfer| transaction_view(state.params, &transfer));
        Ok(Response::new(v1::GetTransactionResponse { status: Some((&status).into()), transaction }))
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
        state.account_questions += 1;
        state.maybe_die();
        let exists = address == state.address && state.behaviour != Behaviour::ForgesAbsence;
        let mut account = if exists { state.shown_account() } else { Account::default() };
        if matches!(state.behaviour, Behaviour::Boasts | Behaviour::ForgesTheProof | Behaviour::SwapsTheHeader) {
            account.balance = account.balance.checked_add(Mites::new(1)).unwrap();
        }
        let (pending, pending_out, pending_in) = if exists { state.waiting() } else { (0, 0, 0) };
        let mut proof = state.tip();
        if state.behaviour == Behaviour::StatesAnotherHeight {
            proof.height = proof.height.next();
        }
        let tip = point(&state);
        if state.behaviour == Behaviour::MinesBetween {
            state.mine();
        }
        Ok(Response::new(v1::GetAccountResponse {
            address: address.to_bytes().to_vec().into(),
            address_text: state.params.prefix.format(&address),
            exists,
            account: Some((&account).into()),
            next_pending_nonce: account.next_nonce + pending,
            pending_out_mites: pending_out,
            pending_in_mites: pending_in,
            tip: Some(tip),
            proof: Some((&proof).into()),
            ..v1::GetAccountResponse::default()
        }))
    }

    async fn list_account_entries(
        &self,
        request: Request<v1::ListAccountEntriesRequest>,
    ) -> Result<Response<v1::ListAccountEntriesResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        let request = request.into_inner();
        if state.behaviour == Behaviour::LosesPages && !request.page_token.is_empty() {
            state.behaviour = Behaviour::Honest;
            return Err(refusal(Code::InvalidArgument, "INVALID_PAGE_TOKEN"));
        }
        // Two a page, so that every walk turns a page.
        let from: usize = request.page_token.parse().unwrap_or(0);
        let mut mined: Vec<(usize, &(SignedTransaction, u64, Hash))> =
            state.mined.iter().filter(|(_, height, _)| *height <= state.height()).enumerate().collect();
        match state.behaviour {
            Behaviour::HidesThePayment => drop(mined.pop()),
            Behaviour::CutsTheHistory => drop(mined.remove(0)),
            Behaviour::SwapsEntries => mined.swap(0, 1),
            _ => {}
        }
        let newest = mined.len();
        let altered = Behaviour::AltersAnEntry == state.behaviour;
        let entries: Vec<v1::AccountEntry> = mined
            .into_iter()
            .rev()
            .skip(from)
            .take(2)
            .map(|(at, mined)| {
                let entry = account_entry(&state, at, mined);
                v1::AccountEntry { height: entry.height - u64::from(altered), ..entry }
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
        let sync_state = if state.syncing { v1::SyncState::Syncing } else { v1::SyncState::Synced };
        Ok(Response::new(v1::GetNodeInfoResponse {
            network: state.params.name.clone(),
            genesis_id: state.params.genesis_id().to_bytes().to_vec().into(),
            genesis_id_hex: state.params.genesis_id().to_string(),
            version: state.version.into(),
            tip: Some(point(&state)),
            accounts_root: vec![0; 32].into(),
            sync_state: sync_state.into(),
            time_ms: state.clock.unwrap_or_default(),
            best_header_height: 900,
            mining: state.mining,
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
        request: Request<v1::SimulateTransactionRequest>,
    ) -> Result<Response<v1::SimulateTransactionResponse>, Status> {
        let draft =
            Draft::try_from(request.into_inner()).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let Draft::Unsigned(transaction) = draft else {
            return Err(Status::unimplemented("the wallet asks before it signs"));
        };
        let id = transaction.id(params().genesis_id());
        let state = self.0.lock().unwrap();
        let verdict = if let Behaviour::Refuses(code, reason) = state.behaviour {
            let details = refusal(code, reason);
            let message = tonic_types::pb::Status::decode(details.details()).unwrap();
            v1::simulate_transaction_response::Verdict::Error(message)
        } else {
            let status = TransactionStatus { id, standing: TransactionStanding::Pending };
            v1::simulate_transaction_response::Verdict::Status((&status).into())
        };
        Ok(Response::new(v1::SimulateTransactionResponse {
            verdict: Some(verdict),
            transaction_id: id.to_bytes().to_vec().into(),
            transaction_id_hex: id.to_string(),
            fee: Some(v1::SimulatedFee {
                fee_mites: transaction.fee().get(),
                required_fee_mites: state.required_fee(&transaction),
                ..v1::SimulatedFee::default()
            }),
            tip: Some(point(&state)),
            ..v1::SimulateTransactionResponse::default()
        }))
    }

    async fn estimate_fee(
        &self,
        request: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        let Some(v1::estimate_fee_request::Subject::Shape(shape)) = request.into_inner().subject else {
            return Err(Status::unimplemented("the wallet asks for a shape"));
        };
        let state = self.0.lock().unwrap();
        let estimate = |factor: u64, blocks: u32| v1::FeeEstimate {
            fee_mites: 0,
            rate_mites_per_byte: state.rate * factor,
            burned_mites: 0,
            expected_within_blocks: blocks,
            expected_by_height: state.height() + u64::from(blocks),
        };
        Ok(Response::new(v1::EstimateFeeResponse {
            slow: Some(estimate(1, 10)),
            normal: Some(estimate(1, 3)),
            fast: Some(estimate(2, 1)),
            size_bytes: shape.size_bytes,
            key_bits: shape.key_bits,
            tip: Some(point(&state)),
        }))
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
        let mut state = self.0.lock().unwrap();
        if !state.streams {
            return Err(Status::unimplemented("an older node"));
        }
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(state.follow_pool()))))
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
        let mut state = self.0.lock().unwrap();
        if !state.streams {
            return Err(Status::unimplemented("an older node"));
        }
        Ok(Response::new(Box::pin(UnboundedReceiverStream::new(state.follow_account()))))
    }

    async fn get_mempool(&self, _: Request<v1::GetMempoolRequest>) -> Result<Response<v1::GetMempoolResponse>, Status> {
        let state = self.0.lock().unwrap();
        let entries = state.pool.iter().map(|transfer| mempool_entry(&state, transfer));
        Ok(Response::new(v1::GetMempoolResponse { entries: entries.collect(), ..v1::GetMempoolResponse::default() }))
    }

    async fn get_transaction_proof(
        &self,
        request: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        let Some(v1::get_transaction_proof_request::Id::TransactionId(id)) = request.into_inner().id else {
            return Err(Status::invalid_argument("id"));
        };
        let mut state = self.0.lock().unwrap();
        let proof = state.transaction_proof(&TxId::try_from(id.as_ref()).unwrap());
        let mut proof = proof.map_err(|reason| match reason {
            "TRANSACTION_NOT_FOUND" => refusal(Code::NotFound, reason),
            reason => refusal(Code::FailedPrecondition, reason),
        })?;
        let tip = point(&state);
        match state.behaviour {
            Behaviour::MinesMeanwhile => state.mine(),
            Behaviour::MovesATransfer => proof.path.index ^= 2,
            _ => {}
        }
        Ok(Response::new(v1::GetTransactionProofResponse {
            proof: Some((&proof).into()),
            tip: Some(tip),
            ..v1::GetTransactionProofResponse::default()
        }))
    }

    async fn get_chain_proof(
        &self,
        _: Request<v1::GetChainProofRequest>,
    ) -> Result<Response<v1::GetChainProofResponse>, Status> {
        let mut state = self.0.lock().unwrap();
        state.chain_proofs += 1;
        let samples = if state.behaviour == Behaviour::TakesFewerSamples { 5 } else { SAMPLES_PER_HALVING };
        let mut proof = state.chain.proof(state.height(), samples);
        match state.behaviour {
            Behaviour::OmitsASample => drop(proof.shown.remove(1)),
            Behaviour::ClaimsMoreWork => proof.nodes[0].work = Work::new(1 << 64),
            _ => {}
        }
        Ok(Response::new(v1::GetChainProofResponse { proof: Some((&proof).into()), tip: Some(point(&state)) }))
    }

    async fn get_supply(&self, _: Request<v1::GetSupplyRequest>) -> Result<Response<v1::GetSupplyResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }

    async fn get_headers(&self, request: Request<v1::GetHeadersRequest>) -> Result<Response<Headers>, Status> {
        let state = self.0.lock().unwrap();
        let request = request.into_inner();
        let Some(v1::get_headers_request::Start::AfterBlockId(id)) = request.start else {
            return Err(Status::invalid_argument("start"));
        };
        let behind = (0..=state.height()).find(|height| state.chain.header(*height).id().as_bytes() == id.as_ref());
        let behind = behind.ok_or_else(|| refusal(Code::Aborted, "REORGANISED"))?;
        let stop = request.stop_height.unwrap_or(u64::MAX).min(state.height());
        let mut headers: Vec<Header> = (behind + 1..=stop).map(|height| *state.chain.header(height)).collect();
        if state.behaviour == Behaviour::ForgesAHeader {
            let last = headers.last_mut().unwrap();
            last.time = TimeMs::new(0);
            while !last.has_work() {
                last.nonce += 1;
            }
        }
        let headers_bytes = headers.iter().map(|header| header.to_bytes().to_vec().into()).collect();
        let run = v1::HeaderRun { first_height: behind + 1, headers_bytes };
        let event = Some(v1::get_headers_response::Event::Headers(run));
        let message = v1::GetHeadersResponse { event, tip: Some(point(&state)) };
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(message)))))
    }

    async fn get_limits(&self, _: Request<v1::GetLimitsRequest>) -> Result<Response<v1::GetLimitsResponse>, Status> {
        Err(Status::unimplemented("the wallet does not call this"))
    }
}
