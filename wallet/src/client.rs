//! Asks one node, one call after the other. A wallet has a person in front of it: it says at once what is wrong, and tries
//! nothing again by itself. [`farthing_client`] makes the calls and checks the answers.

mod error;

use std::{future::Future, sync::Arc, time::Duration};

use farthing::{
    Address, Params, SignedTransaction, TxId,
    wire::{TransactionStatus, v1},
};
pub use farthing_client::printable;
use farthing_client::{AccountView, Client, NodeInfo, Page, PageToken, RetryPolicy, verify::VerifiedAccount};
use tokio::runtime::Runtime;

pub use self::error::{NodeError, OtherNetwork};
use crate::{config::NodeUrl, error::Result, verify::VerifyError};

/// Largest answer: a page of 100 history entries of at most 5 KB.
const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// A connection to one node.
#[derive(Debug)]
pub struct NodeClient {
    runtime: Runtime,
    client: Client,
    url: NodeUrl,
}

impl NodeClient {
    /// Connects, and makes sure that the node is of this network.
    ///
    /// # Errors
    /// [`OtherNetwork`], [`NodeError::Unreachable`], [`NodeError::Local`] and others of [`NodeError`].
    pub fn connect(url: &NodeUrl, network: &Arc<Params>) -> Result<Self> {
        // A thread of its own answers the node's keep-alive pings while a person is thinking.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(NodeError::Local)?;
        let client = Client::builder(Arc::clone(network))
            .node(url.clone())
            .retry(RetryPolicy::never())
            .max_answer_bytes(MAX_ANSWER_BYTES)
            .user_agent(concat!("farthing-wallet/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| NodeError::read(error, url))?;
        runtime.block_on(client.connect()).map_err(|error| error::of_connecting(error, url, network))?;
        Ok(Self { runtime, client, url: url.clone() })
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// What the node is; its texts are fit to be shown.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn node_info(&self) -> Result<NodeInfo, NodeError> {
        self.call(self.client.node_info())
    }

    /// An account, proven, and what the node says of what waits.
    ///
    /// # Errors
    /// [`NodeError`] and [`VerifyError`].
    pub fn account(&self, address: &Address) -> Result<(VerifiedAccount, AccountView)> {
        let view = match self.runtime.block_on(self.client.account(address)) {
            Ok(view) => view,
            Err(farthing_client::Error::Unproven { source, .. }) => return Err(source.into()),
            Err(error) => return Err(NodeError::read(error, &self.url).into()),
        };
        let proven = view.proven.clone().ok_or(VerifyError::NoProof)?;
        Ok((proven, view))
    }

    /// A page of an account's history, newest first.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn account_entries(
        &self,
        address: &Address,
        page_size: u32,
        page: Option<&PageToken>,
    ) -> Result<Page<v1::AccountEntry>, NodeError> {
        self.call(self.client.account_entries_to_prove(address, page_size, page))
    }

    /// Hands in a transfer.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn submit(&self, transfer: &SignedTransaction) -> Result<TransactionStatus, NodeError> {
        self.call(self.client.submit(transfer))
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`NodeError`]; see [`NodeError::is_not_found`].
    pub fn transaction_status(&self, id: &TxId) -> Result<TransactionStatus, NodeError> {
        Ok(self.call(self.client.transaction(id))?.status)
    }

    fn call<T>(&self, call: impl Future<Output = Result<T, farthing_client::Error>>) -> Result<T, NodeError> {
        self.runtime.block_on(call).map_err(|error| NodeError::read(error, &self.url))
    }
}
