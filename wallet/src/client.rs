//! Speaks to a node's public API. Everything that it answers is converted here, texts included, and believed nowhere.

mod error;

use std::{future::Future, time::Duration};

use farthing::{
    Address, Params, SignedTransaction, TxId,
    codec::Canonical as _,
    wire::{
        TransactionStanding, TransactionStatus, WireError,
        v1::{self, ledger_service_client::LedgerServiceClient},
    },
};
use tokio::runtime::Runtime;
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

pub use self::error::{NodeError, OtherNetwork};
use crate::config::NodeUrl;

/// How long a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long an answer may take. A node acknowledges a transfer only once it is synced to its disk.
const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// Largest answer: a page of 100 history entries of at most 5 KB.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;
/// Most characters of a name, a reason or a version that are shown.
const MAX_TEXT: usize = 80;

/// A connection to one node.
#[derive(Debug)]
pub struct NodeClient {
    runtime: Runtime,
    service: LedgerServiceClient<Channel>,
    url: NodeUrl,
}

impl NodeClient {
    /// Connects. The network is for the advice when nobody is there.
    ///
    /// # Errors
    /// [`NodeError::Unreachable`] and [`NodeError::Local`].
    pub fn connect(url: &NodeUrl, network: &Params) -> Result<Self, NodeError> {
        // A thread of its own answers the node's keep-alive pings while a person is thinking.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(NodeError::Local)?;
        let unreachable = |source: Box<dyn std::error::Error + Send + Sync>| NodeError::Unreachable {
            url: url.to_string(),
            network: network.name.clone(),
            source,
        };
        let endpoint = Endpoint::from(url.uri().clone())
            .connect_timeout(CONNECT_DEADLINE)
            .tcp_nodelay(true)
            .user_agent(concat!("farthing-wallet/", env!("CARGO_PKG_VERSION")))
            .map_err(|error| unreachable(error.into()))?;
        let channel = runtime
            .block_on(async { tokio::time::timeout(CONNECT_DEADLINE, endpoint.connect()).await })
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|error| unreachable(error.into()))?;
        let service = LedgerServiceClient::new(channel).max_decoding_message_size(MAX_ANSWER_BYTES);
        Ok(Self { runtime, service, url: url.clone() })
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// What the node is; its texts are fit to be shown.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn node_info(&self) -> Result<v1::GetNodeInfoResponse, NodeError> {
        let mut service = self.service.clone();
        let mut info = self.call(async move { service.get_node_info(v1::GetNodeInfoRequest {}).await })?;
        let texts = [&mut info.network, &mut info.genesis_id_hex, &mut info.version];
        let peers = info.peers.iter_mut().flat_map(|peer| [&mut peer.address, &mut peer.version]);
        for text in texts.into_iter().chain(peers) {
            *text = printable(text, MAX_TEXT);
        }
        Ok(info)
    }

    /// An account with its proof.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn account(&self, address: &Address) -> Result<v1::GetAccountResponse, NodeError> {
        let mut service = self.service.clone();
        let id = Some(v1::get_account_request::Id::Address(address.to_bytes().to_vec().into()));
        self.call(async move { service.get_account(v1::GetAccountRequest { id, with_proof: true }).await })
    }

    /// A page of an account's history, newest first.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn account_entries(
        &self,
        address: &Address,
        page_size: u32,
        page_token: String,
    ) -> Result<v1::ListAccountEntriesResponse, NodeError> {
        let mut service = self.service.clone();
        let id = Some(v1::list_account_entries_request::Id::Address(address.to_bytes().to_vec().into()));
        let request = v1::ListAccountEntriesRequest { id, page_size, page_token };
        self.call(async move { service.list_account_entries(request).await })
    }

    /// Hands in a transfer.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn submit(&self, transfer: &SignedTransaction) -> Result<TransactionStatus, NodeError> {
        let mut service = self.service.clone();
        let bytes = transfer.to_canonical().into();
        let form = Some(v1::submit_transaction_request::Form::TransactionBytes(bytes));
        let answer =
            self.call(async move { service.submit_transaction(v1::SubmitTransactionRequest { form }).await })?;
        read_status(answer.status)
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`NodeError`]; see [`NodeError::is_not_found`].
    pub fn transaction_status(&self, id: &TxId) -> Result<TransactionStatus, NodeError> {
        let mut service = self.service.clone();
        let id = Some(v1::get_transaction_request::Id::TransactionId(id.to_bytes().to_vec().into()));
        let answer = self.call(async move { service.get_transaction(v1::GetTransactionRequest { id }).await })?;
        read_status(answer.status)
    }

    /// Refuses a node of another network, by name.
    ///
    /// # Errors
    /// [`OtherNetwork`] and [`NodeError`].
    pub fn check_network(&self, network: &Params) -> crate::error::Result<v1::GetNodeInfoResponse> {
        let info = self.node_info()?;
        if info.genesis_id.as_ref() != network.genesis_id().as_bytes() {
            return Err(OtherNetwork {
                url: self.url.to_string(),
                found: info.network,
                expected: network.name.clone(),
            }
            .into());
        }
        Ok(info)
    }

    fn call<T>(&self, call: impl Future<Output = Result<Response<T>, Status>>) -> Result<T, NodeError> {
        let answer = self.runtime.block_on(async { tokio::time::timeout(CALL_DEADLINE, call).await });
        match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(NodeError::from_status(&status, &self.url)),
            Err(_) => Err(NodeError::NotNow {
                url: self.url.to_string(),
                reason: "DEADLINE".into(),
                message: format!("no answer within {} s", CALL_DEADLINE.as_secs()),
            }),
        }
    }
}

fn read_status(status: Option<v1::TransactionStatus>) -> Result<TransactionStatus, NodeError> {
    let mut status = status
        .ok_or_else(|| WireError::missing("status"))
        .and_then(|status| TransactionStatus::try_from(status).map_err(|error| error.within("status")))
        .map_err(NodeError::Malformed)?;
    if let TransactionStanding::Dropped { reason } = &mut status.standing {
        *reason = printable(reason, MAX_TEXT);
    }
    Ok(status)
}

/// A text that somebody else wrote, fit for a terminal: what could command it is escaped, and a long one is cut.
#[must_use]
pub fn printable(text: &str, max: usize) -> String {
    let mut shown = String::new();
    for character in text.chars().take(max) {
        match character {
            // Harmless, and frequent in sentences.
            '\'' => shown.push('\''),
            other => shown.extend(other.escape_debug()),
        }
    }
    if text.chars().nth(max).is_some() {
        shown.push_str("...");
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_cannot_command_the_terminal() {
        assert_eq!(printable("\x1b[2Jhi\n", 100), "\\u{1b}[2Jhi\\n");
        assert_eq!(printable("k\u{e4}se isn't \u{202e}esrever", 100), "k\u{e4}se isn't \\u{202e}esrever");
        assert_eq!(printable("12345", 4), "1234...");
    }
}
