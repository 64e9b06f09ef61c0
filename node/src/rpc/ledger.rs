//! `LedgerService`: each method handed to the file that knows how.

use std::sync::Arc;

use farthing::wire::v1::{self, ledger_service_server::LedgerService};
use futures_util::stream::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::{
    Deps, accounts, blocks, fees, headers, info, limits, proofs, refusals::Refusals, stream, submission, supply,
    transactions, waiting,
};
use crate::server::CallMeter;

/// The service.
#[derive(Debug)]
pub(super) struct LedgerApi {
    deps: Deps,
    refusals: Arc<Refusals>,
    fees: fees::FeeBook,
}

impl LedgerApi {
    pub(super) fn new(deps: Deps) -> Self {
        Self { deps, refusals: Arc::new(Refusals::new()), fees: fees::FeeBook::new() }
    }
}

#[tonic::async_trait]
impl LedgerService for LedgerApi {
    async fn submit_transaction(
        &self,
        request: Request<v1::SubmitTransactionRequest>,
    ) -> Result<Response<v1::SubmitTransactionResponse>, Status> {
        let credit = self.refusals.of(request.remote_addr());
        Ok(Response::new(transactions::submit(&self.deps, &credit, request.into_inner()).await?))
    }

    async fn submit_transactions(
        &self,
        request: Request<v1::SubmitTransactionsRequest>,
    ) -> Result<Response<v1::SubmitTransactionsResponse>, Status> {
        let credit = self.refusals.of(request.remote_addr());
        if let Some(meter) = request.extensions().get::<CallMeter>() {
            meter.charge(request.get_ref().transactions_bytes.len());
        }
        Ok(Response::new(transactions::submit_many(&self.deps, &credit, request.into_inner()).await?))
    }

    type SubmitTransactionStreamStream = BoxStream<'static, Result<v1::SubmitTransactionStreamResponse, Status>>;

    async fn submit_transaction_stream(
        &self,
        request: Request<Streaming<v1::SubmitTransactionStreamRequest>>,
    ) -> Result<Response<Self::SubmitTransactionStreamStream>, Status> {
        let intake = submission::Intake {
            deps: self.deps.clone(),
            refusals: Arc::clone(&self.refusals),
            caller: request.remote_addr(),
            meter: request.extensions().get().cloned(),
        };
        let terms = stream::Terms::of(&self.deps, &request);
        Ok(Response::new(submission::verdicts(intake, request.into_inner(), terms)))
    }

    async fn submit_transaction_and_wait(
        &self,
        request: Request<v1::SubmitTransactionAndWaitRequest>,
    ) -> Result<Response<v1::SubmitTransactionAndWaitResponse>, Status> {
        let credit = self.refusals.of(request.remote_addr());
        Ok(Response::new(submission::submit_and_wait(&self.deps, &credit, request.into_inner()).await?))
    }

    async fn simulate_transaction(
        &self,
        request: Request<v1::SimulateTransactionRequest>,
    ) -> Result<Response<v1::SimulateTransactionResponse>, Status> {
        let credit = self.refusals.of(request.remote_addr());
        Ok(Response::new(submission::simulate(&self.deps, &credit, request.into_inner()).await?))
    }

    async fn estimate_fee(
        &self,
        request: Request<v1::EstimateFeeRequest>,
    ) -> Result<Response<v1::EstimateFeeResponse>, Status> {
        Ok(Response::new(fees::estimate(&self.deps, &self.fees, request.into_inner()).await?))
    }

    async fn get_fees(&self, _request: Request<v1::GetFeesRequest>) -> Result<Response<v1::GetFeesResponse>, Status> {
        Ok(Response::new(fees::get(&self.deps, &self.fees).await?))
    }

    async fn get_transaction(
        &self,
        request: Request<v1::GetTransactionRequest>,
    ) -> Result<Response<v1::GetTransactionResponse>, Status> {
        let meter = request.extensions().get::<CallMeter>().cloned();
        Ok(Response::new(transactions::get(&self.deps, request.into_inner(), meter.as_ref()).await?))
    }

    async fn get_transaction_proof(
        &self,
        request: Request<v1::GetTransactionProofRequest>,
    ) -> Result<Response<v1::GetTransactionProofResponse>, Status> {
        Ok(Response::new(proofs::transaction(&self.deps, request.into_inner()).await?))
    }

    async fn get_account(
        &self,
        request: Request<v1::GetAccountRequest>,
    ) -> Result<Response<v1::GetAccountResponse>, Status> {
        Ok(Response::new(accounts::get(&self.deps, request.into_inner()).await?))
    }

    async fn get_block(&self, request: Request<v1::GetBlockRequest>) -> Result<Response<v1::GetBlockResponse>, Status> {
        Ok(Response::new(blocks::get(&self.deps, request.into_inner()).await?))
    }

    async fn list_blocks(
        &self,
        request: Request<v1::ListBlocksRequest>,
    ) -> Result<Response<v1::ListBlocksResponse>, Status> {
        let meter = request.extensions().get::<CallMeter>().cloned();
        Ok(Response::new(blocks::list(&self.deps, request.into_inner(), meter.as_ref()).await?))
    }

    async fn list_account_entries(
        &self,
        request: Request<v1::ListAccountEntriesRequest>,
    ) -> Result<Response<v1::ListAccountEntriesResponse>, Status> {
        let meter = request.extensions().get::<CallMeter>().cloned();
        Ok(Response::new(accounts::list_entries(&self.deps, request.into_inner(), meter.as_ref()).await?))
    }

    async fn get_chain_proof(
        &self,
        _request: Request<v1::GetChainProofRequest>,
    ) -> Result<Response<v1::GetChainProofResponse>, Status> {
        Ok(Response::new(proofs::chain(&self.deps).await?))
    }

    type GetHeadersStream = BoxStream<'static, Result<v1::GetHeadersResponse, Status>>;

    async fn get_headers(
        &self,
        request: Request<v1::GetHeadersRequest>,
    ) -> Result<Response<Self::GetHeadersStream>, Status> {
        Ok(Response::new(headers::stream(&self.deps, request).await?))
    }

    async fn get_supply(
        &self,
        _request: Request<v1::GetSupplyRequest>,
    ) -> Result<Response<v1::GetSupplyResponse>, Status> {
        Ok(Response::new(supply::get(&self.deps)?))
    }

    type SubscribeBlocksStream = BoxStream<'static, Result<v1::SubscribeBlocksResponse, Status>>;

    async fn subscribe_blocks(
        &self,
        request: Request<v1::SubscribeBlocksRequest>,
    ) -> Result<Response<Self::SubscribeBlocksStream>, Status> {
        Ok(Response::new(blocks::subscribe(&self.deps, request).await?))
    }

    type SubscribeTransactionsStream = BoxStream<'static, Result<v1::SubscribeTransactionsResponse, Status>>;

    async fn subscribe_transactions(
        &self,
        request: Request<v1::SubscribeTransactionsRequest>,
    ) -> Result<Response<Self::SubscribeTransactionsStream>, Status> {
        Ok(Response::new(stream::subscribe_transactions(&self.deps, request)?))
    }

    type WatchTransactionStream = BoxStream<'static, Result<v1::WatchTransactionResponse, Status>>;

    async fn watch_transaction(
        &self,
        request: Request<v1::WatchTransactionRequest>,
    ) -> Result<Response<Self::WatchTransactionStream>, Status> {
        Ok(Response::new(stream::watch_transaction(&self.deps, request).await?))
    }

    type WatchAccountStream = BoxStream<'static, Result<v1::WatchAccountResponse, Status>>;

    async fn watch_account(
        &self,
        request: Request<v1::WatchAccountRequest>,
    ) -> Result<Response<Self::WatchAccountStream>, Status> {
        Ok(Response::new(stream::watch_account(&self.deps, request).await?))
    }

    async fn get_node_info(
        &self,
        _request: Request<v1::GetNodeInfoRequest>,
    ) -> Result<Response<v1::GetNodeInfoResponse>, Status> {
        Ok(Response::new(info::get(&self.deps)))
    }

    async fn get_mempool(
        &self,
        request: Request<v1::GetMempoolRequest>,
    ) -> Result<Response<v1::GetMempoolResponse>, Status> {
        Ok(Response::new(waiting::list(&self.deps, request.into_inner()).await?))
    }

    async fn get_limits(
        &self,
        _request: Request<v1::GetLimitsRequest>,
    ) -> Result<Response<v1::GetLimitsResponse>, Status> {
        Ok(Response::new(limits::get(&self.deps)))
    }
}
