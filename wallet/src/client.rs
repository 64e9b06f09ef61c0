//! Speaks to a node's public API. Everything that it answers is converted here, and believed nowhere.

use std::{future::Future, time::Duration};

use farthing::{
    Address, Params, SignedTransaction, TxId,
    codec::Canonical as _,
    wire::{
        TransactionStatus, WireError,
        v1::{self, ledger_service_client::LedgerServiceClient},
    },
};
use tokio::runtime::Runtime;
use tonic::{
    Code, Response, Status,
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt as _;

use crate::{
    config::NodeUrl,
    error::{Exit, Explain},
};

/// How long a connection may take.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// How long an answer may take. A node acknowledges a transfer only once it is synced to its disk.
const CALL_DEADLINE: Duration = Duration::from_secs(15);
/// Largest answer: a page of 100 history entries of at most 5 KB.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Why a node's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Nobody there.
    #[error("no node answers at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody there, but no answer in time, or not now.
    #[error("the node at {url} does not answer now: {message}")]
    NotNow {
        /// Where.
        url: String,
        /// Stable reason, when the node gave one.
        reason: String,
        /// What it said.
        message: String,
    },
    /// The node said no, and why.
    #[error("the node refuses: {message}")]
    Refused {
        /// Stable reason, such as `NONCE_TOO_LOW`; the gRPC code when the node gave none.
        reason: String,
        /// What it said.
        message: String,
        /// The gRPC code.
        code: Code,
    },
    /// The answer is not what the protocol says.
    #[error("the node's answer is malformed")]
    Malformed(#[source] WireError),
    /// The wallet itself could not set up its side.
    #[error("cannot set up the connection")]
    Local(#[source] std::io::Error),
}

impl NodeError {
    /// Whether the same call may succeed later, and a transfer handed in with it may have arrived.
    #[must_use]
    pub const fn is_uncertain(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::NotNow { .. } | Self::Malformed(_))
    }

    /// Whether the node knows nothing under that name.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }

    fn from_status(status: &Status, url: &NodeUrl) -> Self {
        let info = status.get_details_error_info();
        let reason = info.map_or_else(|| format!("{:?}", status.code()), |info| info.reason);
        let message = status.message().chars().take(500).collect();
        match status.code() {
            Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Aborted => {
                Self::NotNow { url: url.to_string(), reason, message }
            }
            code => Self::Refused { reason, message, code },
        }
    }
}

impl Explain for NodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "NODE_UNREACHABLE",
            Self::NotNow { .. } => "NODE_UNAVAILABLE",
            Self::Refused { .. } => "NODE_REFUSED",
            Self::Malformed(_) => "BAD_ANSWER",
            Self::Local(_) => "CONNECTION",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. } | Self::NotNow { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::Local(_) => Exit::Other,
            Self::Malformed(_) => Exit::Verification,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Unreachable { .. } => vec![
                "start a node: farthing-node --network dev, or ./run_all.sh".into(),
                "--node URL, if the node is elsewhere".into(),
            ],
            Self::NotNow { .. } => vec!["again in a moment".into(), "--node URL with another node".into()],
            Self::Malformed(_) => vec!["--node URL with another node".into()],
            _ => Vec::new(),
        }
    }
}

/// A connection to one node.
#[derive(Debug)]
pub struct NodeClient {
    runtime: Runtime,
    service: LedgerServiceClient<Channel>,
    url: NodeUrl,
}

impl NodeClient {
    /// Connects.
    ///
    /// # Errors
    /// [`NodeError::Unreachable`] and [`NodeError::Local`].
    pub fn connect(url: &NodeUrl) -> Result<Self, NodeError> {
        // A thread of its own answers the node's keep-alive pings while a person is thinking.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(NodeError::Local)?;
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| NodeError::Unreachable { url: url.to_string(), source };
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

    /// What the node is.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn node_info(&self) -> Result<v1::GetNodeInfoResponse, NodeError> {
        let mut service = self.service.clone();
        self.call(async move { service.get_node_info(v1::GetNodeInfoRequest {}).await })
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
                found: info.network.chars().take(40).collect(),
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
    status
        .ok_or_else(|| WireError::missing("status"))
        .and_then(|status| TransactionStatus::try_from(status).map_err(|error| error.within("status")))
        .map_err(NodeError::Malformed)
}

/// The node is of another network.
#[derive(Debug, thiserror::Error)]
#[error("the node at {url} is of the network {found:?}, this wallet is for {expected:?}")]
pub struct OtherNetwork {
    /// Where.
    url: String,
    /// The node's network.
    found: String,
    /// The wallet's.
    expected: String,
}

impl Explain for OtherNetwork {
    fn code(&self) -> &'static str {
        "WRONG_NETWORK"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec![format!("--network {}, if you meant that one", self.found), "--node URL with another node".into()]
    }
}
