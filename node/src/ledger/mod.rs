//! The ledger at one tip: what a block changes and what undoing it restores. Pure; the chain and recovery share it.

mod apply;
mod undo;

use std::{collections::VecDeque, sync::Arc};

use farthing::{Account, Address, Coinbase, Height, Mites, Params, RangeNode, RangePeaks, range::RangeOverflow};
use farthing_consensus::{AccountTree, Entry, HeaderContext};

pub use apply::{Applied, NewKey};
pub use undo::Before;

use crate::store::{AccountMeta, LogPlace};

/// Everything that is known at one tip. A snapshot: cheap to clone, never changes under its holder.
#[derive(Debug, Clone)]
pub struct ChainView {
    /// The tip.
    pub tip: HeaderContext,
    /// All accounts after the tip.
    pub accounts: AccountTree<AccountMeta>,
    /// The header range from genesis to the tip.
    pub range: RangePeaks,
    /// Money in existence: allocations and subsidies less what was burned.
    pub supply: Mites,
    /// Coinbases not yet credited, the oldest first: those of the last `reward_delay` blocks.
    pub immature: VecDeque<Arc<Coinbase>>,
}

impl ChainView {
    /// The ledger at genesis.
    ///
    /// # Panics
    /// Never: a range of one header cannot overflow.
    #[must_use]
    pub fn genesis(params: &Params) -> Self {
        let tip = HeaderContext::genesis(params);
        let meta = AccountMeta { key: None, last_touch: Height::GENESIS };
        let accounts = AccountTree::genesis(params, &meta);
        let mut range = RangePeaks::default();
        range.append(range_leaf(&tip)).expect("one header cannot overflow");
        Self { tip, accounts, range, supply: params.allocated(), immature: VecDeque::new() }
    }

    /// An account's committed state.
    #[must_use]
    pub fn account(&self, address: &Address) -> Option<Account> {
        self.accounts.get(address).map(|entry| entry.account)
    }

    /// Where an account's key stands in the log.
    #[must_use]
    pub fn key_place(&self, address: &Address) -> Option<LogPlace> {
        self.accounts.get(address).and_then(|entry| entry.meta.key)
    }

    /// Mined money of an account that is not yet credited.
    #[must_use]
    pub fn immature_of(&self, address: &Address) -> Mites {
        let amounts = self.immature.iter().filter(|coinbase| coinbase.to == *address).map(|coinbase| coinbase.amount);
        Mites::checked_sum(amounts).unwrap_or(Mites::MAX)
    }

    /// Stores where an account's key stands, once the log knows. Changes no hash.
    pub fn set_key_place(&mut self, address: &Address, place: LogPlace) {
        if let Some(entry) = self.accounts.get(address).copied() {
            let meta = AccountMeta { key: Some(place), ..entry.meta };
            self.accounts.insert(*address, Entry { meta, ..entry });
        }
    }
}

/// The leaf that a block adds to the header range.
#[must_use]
pub fn range_leaf(context: &HeaderContext) -> RangeNode {
    RangeNode::leaf(context.header(), context.work().expect("a checked header has a target and work"))
}

/// Why a block cannot be applied or undone.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The block breaks a rule.
    #[error(transparent)]
    Block(#[from] farthing_consensus::BlockError),
    /// The header range overflows, which no real chain reaches.
    #[error(transparent)]
    Range(#[from] RangeOverflow),
    /// The accounts are not what the tip's header committed to: a checkpoint or effects are damaged.
    #[error("the accounts at block {block}, height {height}, are not what its header commits to")]
    Commitment {
        /// The block.
        block: farthing::BlockId,
        /// Its height.
        height: Height,
    },
}
