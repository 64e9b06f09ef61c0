//! Headers of the best chain for those who read many.

use std::sync::Arc;

use farthing::{BlockId, Header, Height, chain_proof::ChainProof};

use super::{Chain, ChainView, rejection::ChainError};
use crate::store::StoreError;

/// Where a header stands beside the best chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// On it, at this height.
    Best(Height),
    /// On a branch.
    Beside {
        /// Height of its highest ancestor on the best chain.
        fork_height: Height,
        /// That ancestor.
        fork_id: BlockId,
    },
}

impl Chain {
    /// Where a header whose body is here stands; none if there is no such one.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn side_of(&self, id: BlockId) -> Result<Option<Side>, ChainError> {
        self.read(move |shared| {
            let mut at = id;
            loop {
                let Some(context) = shared.store.header(&at)? else { return Ok(None) };
                let height = context.height();
                if shared.store.best_at(height)? == Some(at) {
                    let beside = Side::Beside { fork_height: height, fork_id: at };
                    return Ok(Some(if at == id { Side::Best(height) } else { beside }));
                }
                at = context.header().previous;
            }
        })
        .await
    }

    /// Headers of the best chain from `first` to `last`, both included, on the way to `tip`. None if that is not on the
    /// best chain, or not any more when all were read.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn headers_towards(
        &self,
        tip: BlockId,
        first: Height,
        last: Height,
    ) -> Result<Option<Vec<Header>>, ChainError> {
        self.read(move |shared| {
            let mut headers = Vec::new();
            let mut at = first;
            while at <= last {
                let Some(id) = shared.store.best_at(at)? else { return Ok(None) };
                let Some(context) = shared.store.header(&id)? else { return Ok(None) };
                headers.push(*context.header());
                at = at.next();
            }
            // Asked last: what was read before belongs to it.
            let on_chain = shared.best_height_of(&tip)?.is_some();
            Ok(on_chain.then_some(headers))
        })
        .await
    }

    /// A sampled proof of the work below the view's tip. None if the best chain has left that tip meanwhile.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn chain_proof(&self, view: &Arc<ChainView>) -> Result<Option<ChainProof>, ChainError> {
        let view = Arc::clone(view);
        self.read(move |shared| {
            let header = |height: u64| -> Result<Header, Unreadable> {
                let id = shared.store.best_at(Height::new(height))?.ok_or(Unreadable::Gone)?;
                Ok(*shared.store.header(&id)?.ok_or(Unreadable::Gone)?.header())
            };
            let node = |position: u64| Ok(shared.store.range_node(position)?);
            let (tip, accounts_root) = (*view.tip.header(), view.accounts.root());
            match ChainProof::build(tip, accounts_root, view.tip.height().get(), node, header) {
                Ok(proof) => Ok(proof),
                Err(Unreadable::Gone) => Ok(None),
                Err(Unreadable::Store(error)) => Err(error.into()),
            }
        })
        .await
    }
}

/// Why a part of a proof is not there.
enum Unreadable {
    /// The best chain became shorter meanwhile.
    Gone,
    Store(StoreError),
}

impl From<StoreError> for Unreadable {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
