//! What the mempool asks of the chain. A trait, so that the pool is tested without a chain.

use std::{fmt, sync::Arc};

use farthing::{Address, Height, TxId, WireId, keys::VerifyingKey};
use farthing_consensus::AccountView;

/// The ledger at one tip: a snapshot.
pub trait Confirmed: AccountView + Send + Sync {
    /// Height of the tip.
    fn height(&self) -> Height;
}

/// The chain as the mempool sees it.
pub trait Ledger: fmt::Debug + Send + Sync + 'static {
    /// The present tip.
    fn confirmed(&self) -> Arc<dyn Confirmed>;

    /// The key of an account that has sent a transaction on the best chain. May read the disk.
    fn verifying_key(&self, address: &Address) -> Option<VerifyingKey>;

    /// Whether a transaction is on the best chain. May read the disk.
    fn is_mined(&self, id: &TxId) -> bool;

    /// Whether a signature was verified before, in a block or here.
    fn is_verified(&self, id: &WireId) -> bool;

    /// Remembers verified signatures, so that they are not verified again in a block.
    fn remember_verified(&self, ids: &[WireId]);
}
