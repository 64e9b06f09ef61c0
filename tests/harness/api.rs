//! A node's public API as a client meets it.

use std::{net::SocketAddr, sync::Arc};

use farthing::{
    Account, Address, Hash, Params, SignedTransaction, TxId,
    codec::Canonical as _,
    wire::{
        AnchoredProof, TransactionStanding, TransactionStatus,
        v1::{self, ledger_service_client::LedgerServiceClient},
    },
};
use futures_util::{Stream, StreamExt as _};
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use super::PATIENCE;

/// Blocks as a node streams them.
pub(crate) type BlockStream = tonic::Streaming<v1::SubscribeBlocksResponse>;

/// Verdicts on transfers, tagged by their place in the stream.
pub(crate) type VerdictStream = tonic::Streaming<v1::SubmitTransactionStreamResponse>;

/// A connection to one node.
#[derive(Clone)]
pub(crate) struct Api {
    params: Arc<Params>,
    client: LedgerServiceClient<Channel>,
}

impl Api {
    pub(crate) async fn connect(params: &Arc<Params>, address: SocketAddr) -> Self {
        let channel = Self::try_connect(address).await.unwrap_or_else(|error| panic!("{address}: {error}"));
        Self::over(params, channel)
    }

    pub(crate) async fn try_connect(address: SocketAddr) -> Result<Channel, tonic::transport::Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address makes a URL");
        endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).connect().await
    }

    pub(crate) fn over(params: &Arc<Params>, channel: Channel) -> Self {
        Self { params: Arc::clone(params), client: LedgerServiceClient::new(channel) }
    }

    /// The generated client, for what this one does not wrap.
    pub(crate) fn raw(&self) -> LedgerServiceClient<Channel> {
        self.client.clone()
    }

    /// Submits a transfer; once this returns, the node has acknowledged it.
    pub(crate) async fn submit(&mut self, signed: &SignedTransaction) -> Result<TransactionStatus, Status> {
        let form = v1::submit_transaction_request::Form::TransactionBytes(signed.to_canonical().into());
        let request = v1::SubmitTransactionRequest { form: Some(form) };
        let status = self.client.submit_transaction(request).await?.into_inner().status;
        Ok(status.expect("a status").try_into().expect("a well-formed status"))
    }

    /// Submits transfers on one stream, as many as come, and hands back a verdict for each in their order.
    pub(crate) async fn submit_stream(
        &mut self,
        transfers: impl Stream<Item = SignedTransaction> + Send + 'static,
    ) -> Result<VerdictStream, Status> {
        let request = |(tag, signed): (usize, SignedTransaction)| v1::SubmitTransactionStreamRequest {
            tag: tag as u64,
            transaction_bytes: signed.to_canonical().into(),
        };
        Ok(self.client.submit_transaction_stream(transfers.enumerate().map(request)).await?.into_inner())
    }

    /// Where a transaction stands; none if the node does not know it.
    pub(crate) async fn standing(&mut self, id: TxId) -> Result<Option<TransactionStanding>, Status> {
        let id = v1::get_transaction_request::Id::TransactionIdHex(id.to_string());
        match self.client.get_transaction(v1::GetTransactionRequest { id: Some(id), read_mask: None }).await {
            Ok(response) => {
                let status: TransactionStatus =
                    response.into_inner().status.expect("a status").try_into().expect("a well-formed status");
                Ok(Some(status.standing))
            }
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    async fn get_account(&mut self, address: &Address, with_proof: bool) -> Result<v1::GetAccountResponse, Status> {
        let id = v1::get_account_request::Id::AddressText(self.params.prefix.format(address));
        let request = v1::GetAccountRequest { id: Some(id), with_proof };
        Ok(self.client.get_account(request).await?.into_inner())
    }

    /// An account as the node proves it; the proof is checked.
    pub(crate) async fn account(&mut self, address: &Address) -> Option<Account> {
        let response = self.get_account(address, true).await.expect("the node answers");
        let proof = AnchoredProof::try_from(response.proof.expect("a proof was asked for")).expect("well-formed");
        let proven = proof.verify(address).expect("the proof holds");
        let plain = response.account.map(|account| Account::try_from(account).expect("well-formed"));
        assert_eq!(plain.filter(|_| response.exists), proven, "the plain answer is the proven one");
        proven
    }

    /// The nonce that the account's next transfer carries, those that wait counted.
    pub(crate) async fn next_nonce(&mut self, address: &Address) -> Result<u64, Status> {
        Ok(self.get_account(address, false).await?.next_pending_nonce)
    }

    pub(crate) async fn info(&mut self) -> Result<v1::GetNodeInfoResponse, Status> {
        Ok(self.client.get_node_info(v1::GetNodeInfoRequest {}).await?.into_inner())
    }

    /// Id of the best chain's block at a height; none above the tip.
    pub(crate) async fn block_at(&mut self, height: u64) -> Result<Option<v1::BlockView>, Status> {
        let block = v1::get_block_request::Block::Height(height);
        match self.client.get_block(v1::GetBlockRequest { block: Some(block), read_mask: None }).await {
            Ok(response) => Ok(response.into_inner().block),
            Err(status) if status.code() == Code::NotFound => Ok(None),
            Err(status) => Err(status),
        }
    }

    /// A page of the best chain's headers, the newest first.
    pub(crate) async fn list_blocks(&mut self, page_token: &str) -> Result<v1::ListBlocksResponse, Status> {
        let request = v1::ListBlocksRequest {
            page_size: 100,
            page_token: page_token.to_owned(),
            headers_only: true,
            read_mask: None,
        };
        Ok(self.client.list_blocks(request).await?.into_inner())
    }

    /// Blocks as they come, from this height on.
    pub(crate) async fn subscribe(&mut self, from_height: u64) -> Result<BlockStream, Status> {
        let start = v1::subscribe_blocks_request::Start::FromHeight(from_height);
        let request = v1::SubscribeBlocksRequest { start: Some(start), ..Default::default() };
        Ok(self.client.subscribe_blocks(request).await?.into_inner())
    }
}

/// What must be the same on nodes that agree, and before and after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) height: u64,
    pub(crate) tip: String,
    pub(crate) accounts_root: Hash,
    pub(crate) accounts: u64,
    pub(crate) supply_mites: u64,
}

impl Standing {
    pub(crate) async fn of(api: &mut Api) -> Self {
        let info = api.info().await.expect("the node answers");
        let tip = info.tip.expect("a node has a tip");
        Self {
            height: tip.height,
            tip: tip.block_id_hex,
            accounts_root: Hash::try_from(&*info.accounts_root).expect("32 bytes"),
            accounts: info.accounts,
            supply_mites: info.supply_mites,
        }
    }
}
