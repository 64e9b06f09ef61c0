//! The order of templates: by fee rate, nonces in order.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use farthing::{Address, limits::MIN_TRANSACTION_BYTES};

use super::{
    super::{Pooled, TemplateLimits},
    Pool,
    queue::Entry,
    rate::Rate,
};

/// An account's next transaction; the greatest is taken first, among equals the earliest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    rate: Rate,
    arrival: Reverse<u64>,
    account: Address,
    nonce: u64,
}

impl Head {
    fn of(entry: &Entry) -> Self {
        let pooled = &entry.pooled;
        Self { rate: entry.rate(), arrival: Reverse(pooled.arrival), account: pooled.sender(), nonce: pooled.nonce() }
    }
}

impl Pool {
    /// What a block should take. What does not fit ends its account's turn; the others go on.
    pub(in crate::mempool) fn select(&self, limits: &TemplateLimits) -> Vec<Arc<Pooled>> {
        let mut chosen = Vec::new();
        self.fill(self.heads(), limits, |entry| chosen.push(Arc::clone(&entry.pooled)));
        chosen
    }

    /// Every account's first executable transaction.
    pub(super) fn heads(&self) -> Vec<Head> {
        self.queues.values().filter_map(|q| q.executables().next()).map(Head::of).collect()
    }

    /// Fills a block from these transactions and those behind them. Returns what is left of the limits, and each
    /// account's first transaction that was not taken.
    pub(super) fn fill(
        &self,
        heads: Vec<Head>,
        limits: &TemplateLimits,
        mut take_up: impl FnMut(&Entry),
    ) -> (TemplateLimits, Vec<Head>) {
        let mut heads = BinaryHeap::from(heads);
        let (mut rest, mut left) = (*limits, Vec::new());
        while rest.count > 0
            && rest.bytes >= MIN_TRANSACTION_BYTES
            && rest.signature_units > 0
            && let Some(head) = heads.pop()
        {
            let Some(queue) = self.queues.get(&head.account) else { continue };
            let Some(entry) = queue.entries.get(&head.nonce) else { continue };
            let Some(less) = take(&rest, entry) else {
                left.push(head);
                continue;
            };
            rest = less;
            take_up(entry);
            let next = head.nonce.checked_add(1).and_then(|nonce| queue.entries.get(&nonce));
            heads.extend(next.filter(|entry| entry.is_executable()).map(Head::of));
        }
        left.extend(heads.into_vec());
        (rest, left)
    }
}

/// What is left of the limits once the entry is taken; none if it does not fit.
fn take(rest: &TemplateLimits, entry: &Entry) -> Option<TemplateLimits> {
    let signed = &entry.pooled.transaction;
    if signed.transaction().valid_until().is_some_and(|last| last < rest.height) {
        return None;
    }
    Some(TemplateLimits {
        height: rest.height,
        bytes: rest.bytes.checked_sub(signed.size_bytes())?,
        signature_units: rest.signature_units.checked_sub(signed.signature().size().signature_units())?,
        openings: rest.openings.checked_sub(entry.cost.openings)?,
        count: rest.count.checked_sub(1)?,
    })
}
