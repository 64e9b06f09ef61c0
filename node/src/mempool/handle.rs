//! The handle that everybody holds.
#![expect(
    clippy::unimplemented,
    unused_variables,
    clippy::unused_async,
    reason = "the interface lands before its insides"
)]

use std::sync::Arc;

use farthing::{Address, SignedTransaction, TxId, WireId};
use tokio::sync::{broadcast, watch};

use super::{
    AccountPending, Admitted, Announcement, Page, PageCursor, PoolStats, PoolStatus, Pooled, Rejection, Source,
    TemplateLimits,
};

/// Access to the mempool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mempool {}

impl Mempool {
    /// Takes transactions: cheap checks, signatures in parallel, admission, journal. One verdict each, in order;
    /// what is `Ok` is durable. A transaction that is here already gets its present status. One that is on the chain
    /// is `NONCE_TOO_LOW`: ask the chain for its id.
    pub async fn submit(
        &self,
        transactions: Vec<SignedTransaction>,
        source: Source,
    ) -> Vec<Result<Admitted, Rejection>> {
        unimplemented!()
    }

    /// Where a transaction stands; none if it never was here, was mined, or left too long ago.
    pub fn status(&self, id: &TxId) -> Option<PoolStatus> {
        unimplemented!()
    }

    /// A transaction by its id.
    pub fn get(&self, id: &TxId) -> Option<Arc<Pooled>> {
        unimplemented!()
    }

    /// A transaction by its wire id.
    pub fn get_by_wire(&self, id: &WireId) -> Option<Arc<Pooled>> {
        unimplemented!()
    }

    /// Which of these announced transactions are worth asking for: not here, and not refused lately.
    pub fn wanted(&self, ids: &[WireId]) -> Vec<WireId> {
        unimplemented!()
    }

    /// Wire ids of all executable transactions in the order of templates, at most `limit`: for a peer that connects,
    /// or after announcements were missed, and to complete compact blocks.
    pub fn wire_ids(&self, limit: usize) -> Vec<WireId> {
        unimplemented!()
    }

    /// What the pool would do to an account.
    pub fn account_pending(&self, address: &Address) -> AccountPending {
        unimplemented!()
    }

    /// A part of the pool, at most `limit` entries, in the order in which blocks would take it.
    pub fn page(&self, from: Option<PageCursor>, limit: usize) -> Page {
        unimplemented!()
    }

    /// Numbers of the pool.
    pub fn stats(&self) -> PoolStats {
        unimplemented!()
    }

    /// The same, as a value that can be waited on.
    pub fn watch(&self) -> watch::Receiver<PoolStats> {
        unimplemented!()
    }

    /// Transactions that became executable, from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Announcement>> {
        unimplemented!()
    }

    /// What a block should take: by fee rate, nonces in order.
    pub fn select(&self, limits: &TemplateLimits) -> Vec<Arc<Pooled>> {
        unimplemented!()
    }
}
