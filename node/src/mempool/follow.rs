//! Following the chain: what is mined leaves the pool, what a reorg takes from the chain comes back.

use std::{convert::Infallible, sync::Arc};

use farthing::{Address, BlockId, Height, TxId, WireId, keys::VerifyingKey};
use farthing_consensus::AccountView;
use tokio_util::sync::CancellationToken;

use super::{Confirmed, Ledger, Mempool, pool::BlockBody};
use crate::{
    chain::{Chain, ChainBlock, ChainError, ChainView, TipChange, TipChanges},
    env::Env,
};

impl AccountView for ChainView {
    fn account(&self, address: &Address) -> Option<farthing::Account> {
        self.account(address)
    }
}

impl Confirmed for ChainView {
    fn height(&self) -> Height {
        self.tip.height()
    }
}

impl Ledger for Chain {
    fn confirmed(&self) -> Arc<dyn Confirmed> {
        self.view()
    }

    fn verifying_key(&self, address: &Address) -> Option<VerifyingKey> {
        known(self.verifying_key_blocking(*address)).flatten()
    }

    fn is_mined(&self, id: &TxId) -> bool {
        known(self.is_mined_blocking(id)).unwrap_or(false)
    }

    fn is_verified(&self, id: &WireId) -> bool {
        self.verified().contains(id)
    }

    fn remember_verified(&self, ids: &[WireId]) {
        self.verified().insert_all(ids.iter().copied());
    }
}

/// A store that fails makes a transaction wait or be refused; stopping the node is the chain's decision.
fn known<T>(answer: Result<T, ChainError>) -> Option<T> {
    answer.inspect_err(|error| tracing::error!(%error, "the mempool cannot read the chain")).ok()
}

/// Keeps the pool in step with the chain until the chain stops. `changes` was subscribed before the pool was started.
///
/// # Errors
/// None.
pub async fn follow(
    mempool: Mempool,
    chain: Chain,
    mut changes: TipChanges,
    env: Env,
    token: CancellationToken,
) -> Result<(), Infallible> {
    // The pool began with some view of about now; from here on its tip is known.
    let mut tip = resynchronise(&mempool, &chain, &env).await;
    loop {
        let change = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            change = changes.next() => change,
        };
        tip = match change {
            Ok(None) => return Ok(()),
            Ok(Some(change)) if begins_at(&change) == Some(tip) => {
                let new_tip = change.view.tip.id();
                let mempool = mempool.clone();
                env.compute().run(move || advance(&mempool, &change)).await;
                new_tip
            }
            // Already seen through the view that the pool began with.
            Ok(Some(change)) if change.view.tip.id() == tip => tip,
            Ok(Some(_)) => resynchronise(&mempool, &chain, &env).await,
            Err(lagged) => {
                tracing::warn!(%lagged, "the mempool reads the chain anew");
                resynchronise(&mempool, &chain, &env).await
            }
        };
    }
}

/// The tip from which a change leads.
fn begins_at(change: &TipChange) -> Option<BlockId> {
    match (change.undone.first(), change.applied.first()) {
        (Some(undone), _) => Some(undone.id),
        (None, Some(applied)) => Some(applied.block.header.previous),
        (None, None) => None,
    }
}

fn advance(mempool: &Mempool, change: &TipChange) {
    // A change lists what was undone from the old tip down; the pool takes it back from the lowest up.
    let undone: Vec<_> = change.undone.iter().rev().map(body).collect();
    let applied: Vec<_> = change.applied.iter().map(body).collect();
    mempool.advance(Arc::clone(&change.view) as Arc<dyn Confirmed>, &undone, &applied);
}

fn body(block: &Arc<ChainBlock>) -> BlockBody<'_> {
    BlockBody { block: &block.block, tx_ids: &block.tx_ids }
}

async fn resynchronise(mempool: &Mempool, chain: &Chain, env: &Env) -> BlockId {
    let view = chain.view();
    let tip = view.tip.id();
    let mempool = mempool.clone();
    env.compute().run_blocking(move || mempool.resynchronise(view)).await;
    tip
}
