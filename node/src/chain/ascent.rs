//! An account's history, read forwards. Blocks name only the account's previous touch, so the way up is found by going
//! down: through a bounded number of blocks a call, with marks left on the way that a later call starts from.
//!
//! Of the marks one is kept for each power of two of entries between it and the place to go on from: 64 at most. What
//! lies between two of them is gone through once more when the reader comes there, so a history of n entries takes
//! O(n log n) steps in all, and no call needs memory of an earlier one.

use std::sync::Arc;

use farthing::{Account, Address, Hash, Height};
use farthing_consensus::HeaderContext;

use super::{Chain, ChainView, entries::AccountEntry, handle::Shared, rejection::ChainError};
use crate::store::AccountEffect;

/// Blocks that one call goes through at most; four times the entries of a page, or a reader would make no progress.
pub const MAX_BACK_BLOCKS: usize = 512;

/// A block that touched an account: how many entries the account has after it, and its height.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    /// Entries after the block.
    pub entry: u64,
    /// Height of the block.
    pub height: Height,
}

/// What one call found.
#[derive(Debug, Clone)]
pub struct Ascent {
    /// Entries from the wanted one on, the oldest first; none if the way down was not finished.
    pub entries: Vec<AccountEntry>,
    /// Blocks to go on from, the highest first; more than need be kept.
    pub marks: Vec<Mark>,
    /// The account at the tip.
    pub account: Account,
    /// The tip that this is for.
    pub tip: HeaderContext,
    /// Blocks that the call went through.
    pub passed: usize,
}

/// A block that the way down went through.
struct Passed {
    mark: Mark,
    effect: AccountEffect,
    context: HeaderContext,
}

/// Of marks, highest first, those that a reader needs to go on from entry `first`: the lowest for each power of two of
/// entries above it.
#[must_use]
pub fn sparse(marks: &[Mark], first: u64) -> Vec<Mark> {
    let mut kept: Vec<Mark> = Vec::new();
    let power = |mark: &Mark| mark.entry.saturating_sub(first).saturating_add(1).ilog2();
    for mark in marks.iter().filter(|mark| mark.entry >= first) {
        if kept.last().is_some_and(|last| power(last) == power(mark)) {
            kept.pop();
        }
        kept.push(*mark);
    }
    kept
}

impl Chain {
    /// At most `limit` entries of an account's history from number `first` (1 is the oldest) on. `marks` are those that
    /// an earlier call left, highest first, or none.
    ///
    /// # Errors
    /// If the store fails, or the marks are not of this history, or the best chain changed meanwhile.
    pub async fn account_entries_from(
        &self,
        address: Address,
        first: u64,
        marks: Vec<Mark>,
        limit: usize,
    ) -> Result<Ascent, ChainError> {
        let view = self.view();
        self.read(move |shared| shared.entries_from(&view, address, first, marks, limit, MAX_BACK_BLOCKS)).await
    }
}

impl Shared {
    fn entries_from(
        &self,
        view: &Arc<ChainView>,
        address: Address,
        first: u64,
        mut marks: Vec<Mark>,
        limit: usize,
        max_back: usize,
    ) -> Result<Ascent, ChainError> {
        let found = view.accounts.get(&address);
        let account = found.map_or_else(Account::default, |found| found.account);
        let mut ascent = Ascent { entries: Vec::new(), marks: Vec::new(), account, tip: view.tip, passed: 0 };
        let top = found.filter(|_| account.entries >= first);
        let Some(top) = top.map(|top| Mark { entry: account.entries, height: top.meta.last_touch }) else {
            return Ok(ascent);
        };
        // The lowest from which a whole page can be read on the way back up.
        let full = first.saturating_add(limit as u64).saturating_sub(1);
        let start = loop {
            match marks.pop() {
                None => break top,
                Some(mark) if mark.entry >= full.min(account.entries) => break mark,
                Some(_) => {}
            }
        };
        let (passed, reached) = self.descend(address, start, first, max_back)?;
        if reached {
            // Where the account's state is known from above, the block must lead to it.
            let top = (start == top).then_some(account);
            self.climb(address, first, limit, &passed, top, &mut ascent.entries)?;
        }
        if self.store.best_at(view.tip.height())? != Some(view.tip.id()) {
            return Err(ChainError::Inconsistent("the best chain has left the tip of the answer".to_owned()));
        }
        ascent.passed = passed.len();
        marks.extend(passed.iter().map(|passed| passed.mark));
        ascent.marks = marks;
        Ok(ascent)
    }

    /// Down from `start` to the block that holds entry `first`, or as far as one call goes; and whether it is reached.
    fn descend(
        &self,
        address: Address,
        start: Mark,
        first: u64,
        max_back: usize,
    ) -> Result<(Vec<Passed>, bool), ChainError> {
        let lost = |mark: Mark| {
            let text = format!("block {} does not bring account {address} to {} entries", mark.height, mark.entry);
            ChainError::Inconsistent(text)
        };
        let mut passed: Vec<Passed> = Vec::new();
        let mut mark = start;
        while passed.len() < max_back {
            let (effect, context) = self.effect_at(address, mark.height)?;
            let before = effect.before.map_or(0, |(account, _)| account.entries);
            if before.saturating_add(effect.positions.len() as u64) != mark.entry {
                return Err(lost(mark));
            }
            let below = effect.before.map(|(account, meta)| Mark { entry: account.entries, height: meta.last_touch });
            passed.push(Passed { mark, effect, context });
            if before < first {
                return Ok((passed, true));
            }
            mark = below.filter(|below| below.height < mark.height).ok_or_else(|| lost(mark))?;
        }
        Ok((passed, false))
    }

    /// Back up from the lowest block passed: its entries from `first` on, and those of the blocks above it.
    fn climb(
        &self,
        address: Address,
        first: u64,
        limit: usize,
        passed: &[Passed],
        top: Option<Account>,
        entries: &mut Vec<AccountEntry>,
    ) -> Result<(), ChainError> {
        for at in (0..passed.len()).rev() {
            if entries.len() >= limit {
                break;
            }
            let links = self.links(address, &passed[at].effect, &passed[at].context)?;
            let head = links.last().map_or(Hash::ZERO, |link| link.history);
            let above = match at.checked_sub(1) {
                Some(above) => passed[above].effect.before.map(|(account, _)| account.history),
                None => top.map(|account| account.history),
            };
            if above.is_some_and(|above| above != head) {
                let text =
                    format!("block {} does not lead to the history of account {address}", passed[at].mark.height);
                return Err(ChainError::Inconsistent(text));
            }
            entries.extend(links.into_iter().filter(|link| link.entry >= first));
        }
        entries.truncate(limit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chain::Origin,
        testing::{TestChain, mine},
    };

    fn marks(entries: impl IntoIterator<Item = u64>) -> Vec<Mark> {
        entries.into_iter().map(|entry| Mark { entry, height: Height::new(entry) }).collect()
    }

    #[test]
    fn one_mark_is_kept_for_each_power_of_two_and_the_lowest_always() {
        let all = marks((1..=1_000).rev());
        let kept: Vec<u64> = sparse(&all, 1).iter().map(|mark| mark.entry).collect();
        assert_eq!(kept, [512, 256, 128, 64, 32, 16, 8, 4, 2, 1]);
        let kept: Vec<u64> = sparse(&all, 300).iter().map(|mark| mark.entry).collect();
        assert_eq!(kept, [811, 555, 427, 363, 331, 315, 307, 303, 301, 300]);
        assert_eq!(sparse(&marks([90, 70, 55]), 60), marks([90, 70]));
        assert_eq!(sparse(&marks((0..=u64::MAX).rev().step_by(1 << 50)), 1).len(), 15);
    }

    /// The whole history in pages, each call through so many blocks at most; and the blocks gone through by all.
    async fn climbed(test: &TestChain, address: Address, limit: usize, max_back: usize) -> (Vec<AccountEntry>, usize) {
        let (mut entries, mut marks, mut passed): (Vec<AccountEntry>, _, _) = (Vec::new(), Vec::new(), 0);
        loop {
            let (first, view, from) = (entries.len() as u64 + 1, test.chain.view(), marks);
            let found =
                test.chain.read(move |shared| shared.entries_from(&view, address, first, from, limit, max_back));
            let found = found.await.unwrap();
            assert!(found.entries.len() <= limit && found.passed <= max_back);
            passed += found.passed;
            entries.extend(found.entries);
            if entries.len() as u64 == found.account.entries {
                return (entries, passed);
            }
            marks = sparse(&found.marks, entries.len() as u64 + 1);
            assert!(marks.len() <= 64);
        }
    }

    #[tokio::test]
    async fn a_long_history_is_climbed_in_bounded_steps_without_memory_of_earlier_calls() {
        const BLOCKS: u64 = 600;
        let test = TestChain::start();
        for _ in 0..BLOCKS {
            // Each block rewards the same miner.
            let block = mine(test.chain.params(), &test.chain.view(), Vec::new(), 5);
            test.chain.submit_block(block, Origin::Local).await.unwrap();
        }
        let miner = Address::from_bytes([5; 32]);
        let (newest_first, _) = test.chain.account_entries(miner, None, usize::MAX).await.unwrap();
        let expected: Vec<_> = newest_first.iter().rev().map(|entry| (entry.entry, entry.id, entry.history)).collect();
        assert_eq!(expected.len() as u64, BLOCKS);
        for (limit, max_back) in [(1, 4), (5, 20), (16, 64), (100, 512)] {
            let (entries, passed) = climbed(&test, miner, limit, max_back).await;
            let found: Vec<_> = entries.iter().map(|entry| (entry.entry, entry.id, entry.history)).collect();
            assert!(found == expected, "{limit} by {max_back}");
            // n log n, with room for what a page walks beyond its end.
            let bound = BLOCKS as usize * (BLOCKS.ilog2() as usize + 4);
            assert!(passed <= bound, "{passed} blocks for {limit} by {max_back}, at most {bound}");
        }
    }
}
