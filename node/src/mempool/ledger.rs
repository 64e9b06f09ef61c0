//! What the mempool asks of the chain. A trait, so that the pool is tested without a chain.

use std::{fmt, sync::Arc};

use farthing::{Address, BlockId, Height, TxId, WireId, keys::VerifyingKey};
use farthing_consensus::AccountView;

/// The ledger at one tip: a snapshot.
pub trait Confirmed: AccountView + Send + Sync {
    /// Height of the tip.
    fn height(&self) -> Height;

    /// The tip.
    fn tip(&self) -> BlockId;
}

/// The chain as the mempool sees it.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// The tip that the mempool begins with; what has happened since, it learns from the chain.
    fn confirmed(&self) -> Arc<dyn Confirmed>;

    /// The key of an account that has sent a transaction on the best chain. May read the disk.
    fn verifying_key(&self, address: &Address) -> Option<VerifyingKey>;

    /// Whether a transaction, whose nonce is used, is on the best chain; true also when that cannot be told, so that
    /// nobody is told that it is not. May read the disk.
    fn may_be_mined(&self, id: &TxId) -> bool;

    /// Whether a signature was verified before, in a block or here.
    fn is_verified(&self, id: &WireId) -> bool;

    /// Remembers verified signatures, so that they are not verified again in a block.
    fn remember_verified(&self, ids: &[WireId]);
}
