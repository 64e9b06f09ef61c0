//! An account's history, read backwards: each block's effects name the height of the account's previous touch, so no
//! index is needed.

use std::sync::Arc;

use farthing::{Account, Address, Coinbase, EntryId, Hash, Height, SignedTransaction, TimeMs};
use farthing_consensus::HeaderContext;

use super::{Chain, ChainView, handle::Shared, rejection::ChainError};
use crate::store::AccountEffect;

/// What touched an account.
#[derive(Debug, Clone)]
pub enum EntryCause {
    /// A transaction of a block.
    Transaction(Arc<SignedTransaction>),
    /// A coinbase that was credited.
    Coinbase(Arc<Coinbase>),
}

/// One link of an account's history.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// Position in the chain of links, 1 for the first.
    pub entry: u64,
    /// Height that the link carries.
    pub height: Height,
    /// Time of the block at that height.
    pub time: TimeMs,
    /// Id that the link carries.
    pub id: EntryId,
    /// Head of the chain after this link.
    pub history: Hash,
    /// What touched the account.
    pub cause: EntryCause,
}

/// Where a listing goes on: the last entry that was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryCursor {
    /// Its position in the chain of links.
    pub entry: u64,
    /// Its height.
    pub height: Height,
}

impl Chain {
    /// At most `limit` links of an account's history before `before`, newest first, and the tip that they are for.
    ///
    /// # Errors
    /// If the store fails, or the effects do not lead to the account's committed state.
    pub async fn account_entries(
        &self,
        address: Address,
        before: Option<EntryCursor>,
        limit: usize,
    ) -> Result<(Vec<AccountEntry>, HeaderContext), ChainError> {
        let shared = Arc::clone(&self.shared);
        let view = self.view();
        self.shared
            .env
            .compute()
            .run_blocking(move || {
                let entries = shared.account_entries(&view, address, before, limit)?;
                Ok((entries, view.tip))
            })
            .await
    }
}

impl Shared {
    fn account_entries(
        &self,
        view: &ChainView,
        address: Address,
        before: Option<EntryCursor>,
        limit: usize,
    ) -> Result<Vec<AccountEntry>, ChainError> {
        let mut found: Vec<AccountEntry> = Vec::new();
        let Some(account) = view.accounts.get(&address) else { return Ok(found) };
        let mut next = (account.account.entries > 0)
            .then(|| before.map_or(account.meta.last_touch, |cursor| cursor.height.min(account.meta.last_touch)));
        // Each block must lead to the state that the one above began with. If the best chain has changed since the
        // view was taken, the store answers from another branch, and it does not.
        let mut after = before.is_none().then_some(account.account);
        while let Some(height) = next.filter(|_| found.len() < limit) {
            let (effect, context) = match self.effect_at(address, height) {
                // What is above the beginning is told; the next page says why there is no more.
                Err(ChainError::Pruned { .. }) if !found.is_empty() => break,
                found => found?,
            };
            let links = self.links(address, &effect, &context)?;
            let head = links.last().map(|link| (link.entry, link.history));
            if after.is_some_and(|account| head != Some((account.entries, account.history))) {
                let text =
                    format!("the effects of block {} do not lead to the history of account {address}", context.id());
                return Err(ChainError::Inconsistent(text));
            }
            after = Some(effect.before.map_or_else(Account::default, |(account, _)| account));
            let wanted = |link: &AccountEntry| before.is_none_or(|cursor| link.entry < cursor.entry);
            found.extend(links.into_iter().rev().filter(wanted));
            next = effect.before.filter(|(account, _)| account.entries > 0).map(|(_, meta)| meta.last_touch);
        }
        found.truncate(limit);
        Ok(found)
    }

    pub(super) fn effect_at(
        &self,
        address: Address,
        height: Height,
    ) -> Result<(AccountEffect, HeaderContext), ChainError> {
        let lost = || ChainError::Inconsistent(format!("no effects on account {address} at height {height}"));
        if let Some(base) = self.store.base().filter(|base| height <= base.tip.height()) {
            return Err(ChainError::Pruned { height, lowest: base.lowest_body() });
        }
        let id = self.store.best_at(height)?.ok_or_else(lost)?;
        let effects = self.store.effects(&id)?.ok_or_else(lost)?;
        let context = self.store.header(&id)?.ok_or_else(lost)?;
        let effect = effects.accounts.iter().find(|effect| effect.address == address).cloned();
        Ok((effect.ok_or_else(lost)?, context))
    }

    /// The links that one block added to one account, the oldest first.
    pub(super) fn links(
        &self,
        address: Address,
        effect: &AccountEffect,
        context: &HeaderContext,
    ) -> Result<Vec<AccountEntry>, ChainError> {
        let lost = |what: &str| ChainError::Inconsistent(format!("{what} of account {address} is not in the store"));
        let genesis = self.params.genesis_id();
        let block = self.store.block(&context.id())?.ok_or_else(|| lost("a block"))?;
        let mut account = effect.before.map_or_else(Account::default, |(account, _)| account);
        // Position 0 is the credited coinbase, which is executed last.
        let transactions = effect.positions.iter().filter(|position| **position > 0);
        let credited = effect.positions.iter().filter(|position| **position == 0);
        let mut links = Vec::with_capacity(effect.positions.len());
        for position in transactions.chain(credited) {
            let (id, cause): (EntryId, _) = match position.checked_sub(1) {
                Some(index) => {
                    let signed = usize::try_from(index).ok().and_then(|index| block.transactions.get(index));
                    let signed = signed.ok_or_else(|| lost("a transaction"))?;
                    (signed.transaction().id(genesis).into(), EntryCause::Transaction(Arc::new(signed.clone())))
                }
                None => {
                    let coinbase = self.matured_at(context.height())?.ok_or_else(|| lost("a coinbase"))?;
                    (coinbase.id(genesis).into(), EntryCause::Coinbase(coinbase))
                }
            };
            account.link(id, context.height());
            links.push(AccountEntry {
                entry: account.entries,
                height: context.height(),
                time: context.header().time,
                id,
                history: account.history,
                cause,
            });
        }
        Ok(links)
    }

    /// The coinbase that the best chain's block at `height` credits.
    pub(super) fn matured_at(&self, height: Height) -> Result<Option<Arc<Coinbase>>, ChainError> {
        let Some(mined) = height.checked_sub(self.params.reward_delay).filter(|h| *h != Height::GENESIS) else {
            return Ok(None);
        };
        if let Some(coinbase) = self.store.base().and_then(|base| base.coinbase_at(mined).cloned()) {
            return Ok(Some(coinbase));
        }
        let Some(id) = self.store.best_at(mined)? else { return Ok(None) };
        Ok(self.store.block(&id)?.map(|block| Arc::new(block.coinbase.clone())))
    }
}
