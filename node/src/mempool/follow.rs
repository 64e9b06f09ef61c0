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

/// Blocks that left the chain and are in memory at once, when many did.
const UNDONE_AT_ONCE: usize = 64;

impl AccountView for ChainView {
    fn account(&self, address: &Address) -> Option<farthing::Account> {
        self.account(address)
    }
}

impl Confirmed for ChainView {
    fn height(&self) -> Height {
        self.tip.height()
    }

    fn tip(&self) -> BlockId {
        self.tip.id()
    }
}

impl Ledger for Chain {
    fn confirmed(&self) -> Arc<dyn Confirmed> {
        self.view()
    }

    fn verifying_key(&self, address: &Address) -> Option<VerifyingKey> {
        known(self.verifying_key_blocking(*address)).flatten()
    }

    fn may_be_mined(&self, id: &TxId) -> bool {
        known(self.may_be_mined_blocking(id)).unwrap_or(true)
    }

    fn is_verified(&self, id: &WireId) -> bool {
        self.verified().contains(id)
    }

    fn remember_verified(&self, ids: &[WireId]) {
        self.verified().insert_all(ids.iter().copied());
    }
}

/// The chain of a node that starts.
#[derive(Debug)]
pub struct StartingLedger {
    chain: Chain,
    recovered: Arc<ChainView>,
    transaction_index: bool,
}

impl StartingLedger {
    /// `recovered` is the view that the chain was started with, before anything could move its tip: what the journal
    /// says of transactions holds as of then. Without a transaction index nobody can say what was mined.
    pub fn new(chain: Chain, recovered: Arc<ChainView>, transaction_index: bool) -> Self {
        Self { chain, recovered, transaction_index }
    }
}

impl Ledger for StartingLedger {
    fn confirmed(&self) -> Arc<dyn Confirmed> {
        Arc::clone(&self.recovered) as Arc<dyn Confirmed>
    }

    fn verifying_key(&self, address: &Address) -> Option<VerifyingKey> {
        Ledger::verifying_key(&self.chain, address)
    }

    fn may_be_mined(&self, id: &TxId) -> bool {
        !self.transaction_index || self.chain.may_be_mined(id)
    }

    fn is_verified(&self, id: &WireId) -> bool {
        self.chain.is_verified(id)
    }

    fn remember_verified(&self, ids: &[WireId]) {
        self.chain.remember_verified(ids);
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
    // The chain may have moved before anybody listened.
    let mut tip = catch_up(&mempool, &chain, &env).await;
    loop {
        let change = tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            change = changes.next() => change,
        };
        tip = match change {
            Ok(None) => return Ok(()),
            Ok(Some(change)) if change.old_tip.id() == tip && !change.is_deep() => {
                let new_tip = change.view.tip.id();
                let mempool = mempool.clone();
                env.compute().run(move || advance(&mempool, &change)).await;
                new_tip
            }
            // Seen already, through the view that was caught up with.
            Ok(Some(change)) if change.view.tip.id() == tip => tip,
            Ok(Some(_)) => catch_up(&mempool, &chain, &env).await,
            Err(lagged) => {
                tracing::warn!(%lagged, "the mempool reads the chain anew");
                catch_up(&mempool, &chain, &env).await
            }
        };
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

/// Brings the pool from the tip that it knows to that of the chain, without having been told of the changes between.
/// Blocks that left the chain are read in parts, the lowest first, for they may be many.
async fn catch_up(mempool: &Mempool, chain: &Chain, env: &Env) -> BlockId {
    let view = chain.view();
    let (from, tip) = (mempool.tip(), view.tip.id());
    if from == tip {
        return tip;
    }
    let mut undone = left_the_chain(chain, from).await;
    loop {
        let part = undone.split_off(undone.len().saturating_sub(UNDONE_AT_ONCE));
        let mut blocks = Vec::with_capacity(part.len());
        for id in part.into_iter().rev() {
            blocks.extend(known(chain.chain_block(id).await).flatten());
        }
        let (mempool, view) = (mempool.clone(), Arc::clone(&view));
        let resynchronise = move || {
            let undone: Vec<_> = blocks.iter().map(body).collect();
            mempool.resynchronise(view, &undone);
        };
        env.compute().run_blocking(resynchronise).await;
        if undone.is_empty() {
            return tip;
        }
    }
}

/// The blocks from this one down that are not on the best chain. Should the tip move meanwhile, the change that says so
/// puts right what is taken for undone here.
async fn left_the_chain(chain: &Chain, from: BlockId) -> Vec<BlockId> {
    let (mut undone, mut next) = (Vec::new(), from);
    loop {
        match parent_of_undone(chain, next).await {
            Ok(Some(parent)) => {
                undone.push(next);
                next = parent;
            }
            Ok(None) => return undone,
            Err(error) => {
                tracing::error!(%error, block = %next, "the mempool cannot follow the branch that was left");
                return undone;
            }
        }
    }
}

/// The parent of a block, if that is not on the best chain.
async fn parent_of_undone(chain: &Chain, id: BlockId) -> Result<Option<BlockId>, ChainError> {
    if chain.best_height_of(id).await?.is_some() {
        return Ok(None);
    }
    Ok(chain.header(id).await?.map(|header| header.header().previous))
}
