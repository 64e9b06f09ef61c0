//! A block that is being put together from a compact one, from what is here, and from what the sender adds.

use std::collections::HashMap;

use farthing::{Block, SignedTransaction, WireId};

use super::{
    CompactBlock,
    short_id::{ShortId, ShortIdKey},
};
use crate::peers::blame::Misdeed;

/// Why a block did not come together. Nobody's fault: it is to be fetched whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unfit {
    /// Two transactions here have one short id.
    #[error("two known transactions have the same short id")]
    Collision,
    /// A place is still empty.
    #[error("a transaction is missing")]
    Incomplete,
    /// What was put together is not what the header commits to: a transaction was taken for another one.
    #[error("the transactions are not those that the header commits to")]
    OtherRoot,
}

/// A block in the making.
#[derive(Debug)]
pub(super) struct Draft {
    compact: CompactBlock,
    key: ShortIdKey,
    places: HashMap<ShortId, usize>,
    transactions: Vec<Option<SignedTransaction>>,
    collided: bool,
}

impl Draft {
    pub(super) fn new(compact: CompactBlock) -> Self {
        let places = compact.short_ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
        let transactions = vec![None; compact.short_ids.len()];
        Self { key: compact.key(), places, transactions, collided: false, compact }
    }

    /// Whether this may be one of the block's transactions.
    pub(super) fn may_hold(&self, id: &WireId) -> bool {
        self.places.contains_key(&self.key.short_id(id))
    }

    /// Puts a transaction that is here into its place, if it has one.
    pub(super) fn put(&mut self, transaction: &SignedTransaction) {
        self.put_as(self.key.short_id(&transaction.wire_id()), transaction);
    }

    pub(super) fn put_as(&mut self, id: ShortId, transaction: &SignedTransaction) {
        let Some(place) = self.places.get(&id) else { return };
        match self.transactions.get_mut(*place) {
            Some(Some(there)) => self.collided |= there.wire_id() != transaction.wire_id(),
            Some(empty) => *empty = Some(transaction.clone()),
            None => {}
        }
    }

    /// True once two transactions that are here claimed one place: which of them is meant cannot be known.
    pub(super) const fn has_collided(&self) -> bool {
        self.collided
    }

    /// Places that are still empty, ascending.
    pub(super) fn missing(&self) -> Vec<u32> {
        let empty = self.transactions.iter().enumerate().filter(|(_, there)| there.is_none());
        empty.filter_map(|(place, _)| u32::try_from(place).ok()).collect()
    }

    /// Puts what the sender added into the places that it was asked for. It told the short ids itself, so others than
    /// those are a wrong answer.
    pub(super) fn add(&mut self, places: &[u32], transactions: Vec<SignedTransaction>) -> Result<(), Misdeed> {
        if places.len() != transactions.len() {
            return Err(Misdeed::WrongAnswer("another number of transactions"));
        }
        for (place, transaction) in places.iter().zip(transactions) {
            let place = usize::try_from(*place).unwrap_or(usize::MAX);
            if self.compact.short_ids.get(place) != Some(&self.key.short_id(&transaction.wire_id())) {
                return Err(Misdeed::WrongAnswer("a transaction with another short id"));
            }
            if let Some(there) = self.transactions.get_mut(place) {
                *there = Some(transaction);
            }
        }
        Ok(())
    }

    /// The block, if it is the one that its header commits to.
    pub(super) fn finish(self) -> Result<Block, Unfit> {
        if self.collided {
            return Err(Unfit::Collision);
        }
        let transactions: Option<Vec<_>> = self.transactions.into_iter().collect();
        let transactions = transactions.ok_or(Unfit::Incomplete)?;
        let block = Block { header: self.compact.header, coinbase: self.compact.coinbase, transactions };
        if block.tx_root() == block.header.tx_root { Ok(block) } else { Err(Unfit::OtherRoot) }
    }
}
