//! What single blocks did to one account, or whether they hold one transaction: what streams ask for that follow these.

use farthing::{Account, Address, BlockId, Height, Mites, TxId};
use farthing_consensus::HeaderContext;

use super::{AccountEntry, Chain, ChainView, EntryCause, handle::Shared, rejection::ChainError};
use crate::store::AccountEffect;

/// What one block did to one account.
#[derive(Debug, Clone)]
pub struct Touch {
    /// The links that it added to the account's history, the oldest first.
    pub entries: Vec<AccountEntry>,
    /// The account after it.
    pub after: Account,
}

/// A block of the best chain, and what it is to whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting<T> {
    /// The block.
    pub context: HeaderContext,
    /// What was asked of it.
    pub seen: T,
}

/// What an account was before a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// The same as behind it: the block does not touch the account.
    Untouched,
    /// This; none if it did not exist.
    Was(Option<Account>),
    /// The block was never executed here, so nobody knows.
    Unknown,
}

impl Chain {
    /// What a block of the best chain did to an account, if it touched it; none if the block is not on the best chain, or
    /// has left it while this was found out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn account_in(
        &self,
        address: Address,
        id: BlockId,
    ) -> Result<Option<Sighting<Option<Touch>>>, ChainError> {
        self.read(move |shared| shared.while_best(id, |context| shared.account_in(address, context))).await
    }

    /// What an account was before a block on any branch, and the block.
    ///
    /// # Errors
    /// If the store fails, or the block is not known.
    pub async fn account_before(&self, address: Address, id: BlockId) -> Result<(HeaderContext, Before), ChainError> {
        self.read(move |shared| {
            let unknown = || ChainError::Inconsistent(format!("block {id} is no longer in the store"));
            let context = shared.store.header(&id)?.ok_or_else(unknown)?;
            let before = match shared.store.effects(&id)? {
                None => Before::Unknown,
                Some(effects) => match effects.of(&address) {
                    None => Before::Untouched,
                    Some(effect) => Before::Was(effect.before.map(|(account, _)| account)),
                },
            };
            Ok((context, before))
        })
        .await
    }

    /// An account after a block of the best chain, and the block; none if the block is not on the best chain, or that has
    /// changed while this was found out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn account_after(
        &self,
        address: Address,
        id: BlockId,
    ) -> Result<Option<(HeaderContext, Option<Account>)>, ChainError> {
        let view = self.view();
        self.read(move |shared| {
            let found = shared.while_best(view.tip.id(), |_| {
                shared
                    .while_best(id, |context| Ok((*context, shared.account_back_to(&view, address, context.height())?)))
            })?;
            Ok(found.flatten())
        })
        .await
    }

    /// Position of a transaction in a block of the best chain, 1 for the first behind the coinbase, if it is there; none if
    /// the block is not on the best chain, or has left it while this was found out.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn transaction_in(&self, tx: TxId, id: BlockId) -> Result<Option<Sighting<Option<u32>>>, ChainError> {
        self.read(move |shared| {
            shared.while_best(id, |context| {
                let index = if shared.store.indexes_transactions() {
                    let located = shared.store.locate(&tx)?.filter(|(height, _)| *height == context.height());
                    located.map(|(_, index)| index.saturating_add(1))
                } else {
                    shared.index_in(&tx, &id)?
                };
                Ok(Sighting { context: *context, seen: index })
            })
        })
        .await
    }

    /// Position of a transaction in a block on any branch, 1 for the first behind the coinbase; none if it is not there,
    /// or the block's body is not here.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn index_in(&self, tx: TxId, id: BlockId) -> Result<Option<u32>, ChainError> {
        self.read(move |shared| shared.index_in(&tx, &id)).await
    }
}

impl Shared {
    /// An answer that holds as long as a block is on the best chain; none if it is not, or has left it meanwhile. The
    /// best chain only ever changes for a better one, so what is on it before and behind the answer was there throughout.
    fn while_best<T>(
        &self,
        id: BlockId,
        answer: impl FnOnce(&HeaderContext) -> Result<T, ChainError>,
    ) -> Result<Option<T>, ChainError> {
        let Some(context) = self.store.header(&id)? else { return Ok(None) };
        let is_best = || Ok::<_, ChainError>(self.store.best_at(context.height())? == Some(id));
        if !is_best()? {
            return Ok(None);
        }
        // What looks like damage may be two branches in one answer.
        let answer = answer(&context);
        if is_best()? { answer.map(Some) } else { Ok(None) }
    }

    fn account_in(&self, address: Address, context: &HeaderContext) -> Result<Sighting<Option<Touch>>, ChainError> {
        if context.height() == Height::GENESIS {
            let after = ChainView::genesis(&self.params).account(&address);
            let seen = after.map(|after| Touch { entries: Vec::new(), after });
            return Ok(Sighting { context: *context, seen });
        }
        let lost = || ChainError::Inconsistent(format!("no effects of block {}", context.id()));
        let effects = self.store.effects(&context.id())?.ok_or_else(lost)?;
        let seen = effects.of(&address).map(|effect| self.touch(effect, context)).transpose()?;
        Ok(Sighting { context: *context, seen })
    }

    fn touch(&self, effect: &AccountEffect, context: &HeaderContext) -> Result<Touch, ChainError> {
        let address = effect.address;
        let entries = self.links(address, effect, context)?;
        let mut after = effect.before.map_or_else(Account::default, |(account, _)| account);
        let wrong = || ChainError::Inconsistent(format!("block {} overdraws account {address}", context.id()));
        for entry in &entries {
            match &entry.cause {
                EntryCause::Transaction(signed) => {
                    let transaction = signed.transaction();
                    if transaction.sender_address() == address {
                        after.balance = after.balance.checked_sub(transaction.total()).ok_or_else(wrong)?;
                        after.next_nonce = after.next_nonce.saturating_add(1);
                    }
                    let own = transaction.outputs().iter().filter(|output| output.to == address);
                    let received = Mites::checked_sum(own.map(|output| output.amount)).ok_or_else(wrong)?;
                    after.balance = after.balance.checked_add(received).ok_or_else(wrong)?;
                }
                EntryCause::Coinbase(coinbase) => {
                    after.balance = after.balance.checked_add(coinbase.amount).ok_or_else(wrong)?;
                }
            }
        }
        if let Some(last) = entries.last() {
            (after.entries, after.history) = (last.entry, last.history);
        }
        Ok(Touch { entries, after })
    }

    /// An account after the block at a height below a view's tip, by what the blocks above it did.
    fn account_back_to(
        &self,
        view: &ChainView,
        address: Address,
        height: Height,
    ) -> Result<Option<Account>, ChainError> {
        let Some(entry) = view.accounts.get(&address) else { return Ok(None) };
        let (mut account, mut last_touch) = (entry.account, entry.meta.last_touch);
        while last_touch > height {
            let (effect, _) = self.effect_at(address, last_touch)?;
            let Some((before, meta)) = effect.before else { return Ok(None) };
            (account, last_touch) = (before, meta.last_touch);
        }
        Ok(Some(account))
    }

    fn index_in(&self, tx: &TxId, id: &BlockId) -> Result<Option<u32>, ChainError> {
        let Some(block) = self.store.block(id)? else { return Ok(None) };
        let genesis = self.params.genesis_id();
        let mut ids = block.transactions.iter().map(|signed| signed.transaction().id(genesis));
        Ok(ids.position(|found| found == *tx).and_then(|at| u32::try_from(at).ok()?.checked_add(1)))
    }
}
