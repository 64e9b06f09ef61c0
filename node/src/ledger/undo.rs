//! Undoing a block: its effects hold every touched account as it was before.

use std::{collections::VecDeque, sync::Arc};

use farthing::{Block, Coinbase, Mites, Params, RangePeaks, header::commitment};
use farthing_consensus::{Entry, HeaderContext};

use super::{ChainView, LedgerError};
use crate::store::Effects;

/// What a view needs beside a block's effects to go back before it.
#[derive(Debug)]
pub struct Before {
    /// The parent.
    pub parent: HeaderContext,
    /// The header range from genesis to the parent.
    pub range: RangePeaks,
    /// The coinbase that the block credited, if `reward_delay` is not 0 and there was one.
    pub matured: Option<Arc<Coinbase>>,
}

impl ChainView {
    /// Goes back before the tip. Whether the result is what the parent committed to is asked by
    /// [`ChainView::certify`], once for a whole branch.
    #[must_use]
    pub fn undo(&self, params: &Params, block: &Block, effects: &Effects, before: Before) -> Self {
        let mut accounts = self.accounts.clone();
        for effect in &effects.accounts {
            match effect.before {
                Some((account, meta)) => accounts.insert(effect.address, Entry { account, meta }),
                None => {
                    accounts.remove(&effect.address);
                }
            }
        }
        let Before { parent, range, matured } = before;
        let mut immature: VecDeque<_> = self.immature.clone();
        if params.reward_delay > 0 {
            immature.pop_back();
            if let Some(matured) = matured {
                immature.push_front(matured);
            }
        }
        let fees = Mites::checked_sum(block.transactions.iter().map(|signed| signed.transaction().fee()));
        // coinbase = subsidy + fees - burned, so supply before = supply - subsidy + burned = supply + fees - coinbase.
        let supply = fees
            .and_then(|fees| self.supply.checked_add(fees))
            .and_then(|sum| sum.checked_sub(block.coinbase.amount))
            .expect("the same sums were checked when the block was applied");
        Self { tip: parent, accounts, range, supply, immature }
    }

    /// Checks that this view is what its tip committed to; `before` is the header range without the tip.
    ///
    /// # Errors
    /// [`LedgerError::Commitment`].
    pub fn certify(&self, before: &RangePeaks) -> Result<(), LedgerError> {
        let found = commitment(&self.accounts.root(), &before.chain_root()?);
        if found == self.tip.header().commitment {
            return Ok(());
        }
        Err(LedgerError::Commitment { block: self.tip.id(), height: self.tip.height() })
    }
}
