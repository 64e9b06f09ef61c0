//! The order of templates: by fee rate, nonces in order.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc};

use farthing::{Address, Height, limits::MIN_TRANSACTION_BYTES};

use super::{
    super::{Pooled, TemplateLimits},
    Pool,
    queue::Entry,
    rate::Rate,
};

/// An account's next transaction and where it is found; the greatest is taken first, among equals the earliest.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head<K> {
    rate: Rate,
    arrival: Reverse<u64>,
    at: K,
}

impl<K> Head<K> {
    pub(super) const fn new(rate: Rate, arrival: u64, at: K) -> Self {
        Self { rate, arrival: Reverse(arrival), at }
    }
}

impl Head<(Address, u64)> {
    fn of(entry: &Entry) -> Self {
        let pooled = &entry.pooled;
        Self::new(entry.rate(), pooled.arrival, (pooled.sender(), pooled.nonce()))
    }
}

impl Pool {
    /// What a block should take. What does not fit ends its account's turn; the others go on.
    pub(in crate::mempool) fn select(&self, limits: &TemplateLimits) -> Vec<Arc<Pooled>> {
        let heads = self.queues.values().filter_map(|q| q.executables().next()).map(Head::of).collect();
        let mut chosen = Vec::new();
        fill(heads, limits, |(account, nonce), rest| {
            let queue = self.queues.get(account)?;
            let entry = queue.entries.get(nonce)?;
            let less = Needs::of(entry).taken_from(rest)?;
            chosen.push(Arc::clone(&entry.pooled));
            let next = nonce.checked_add(1).and_then(|nonce| queue.entries.get(&nonce));
            Some((less, next.filter(|entry| entry.is_executable()).map(Head::of)))
        });
        chosen
    }
}

/// What waits, as it is copied out of the pool to be put in order: that takes long where there are many, and the pool is free
/// meanwhile.
#[derive(Debug)]
pub(in crate::mempool) struct Unsorted {
    /// Those of an account together and in order.
    executable: Vec<Placed>,
    queued: Vec<Arc<Pooled>>,
}

/// An executable transaction.
#[derive(Debug)]
struct Placed {
    rate: Rate,
    /// Whether it is its account's first.
    is_first: bool,
    pooled: Arc<Pooled>,
}

impl Pool {
    /// All that waits.
    pub(in crate::mempool) fn unsorted(&self) -> Unsorted {
        let mut executable = Vec::with_capacity(self.stats.executable);
        for queue in self.queues.values() {
            executable.extend(queue.executables().enumerate().map(|(at, entry)| Placed {
                rate: entry.rate(),
                is_first: at == 0,
                pooled: Arc::clone(&entry.pooled),
            }));
        }
        Unsorted { executable, queued: self.queued() }
    }
}

impl Unsorted {
    /// The executable ones in the order in which a block without limits would take them, and the others in order of
    /// arrival.
    pub(in crate::mempool) fn sorted(self) -> (Vec<Arc<Pooled>>, Vec<Arc<Pooled>>) {
        let Self { executable, queued } = self;
        let head = |at: usize| executable.get(at).map(|one| Head::new(one.rate, one.pooled.arrival, at));
        let firsts = executable.iter().enumerate().filter(|(_, one)| one.is_first);
        let mut heads: BinaryHeap<_> = firsts.filter_map(|(at, _)| head(at)).collect();
        let mut sorted = Vec::with_capacity(executable.len());
        while let Some(Head { at, .. }) = heads.pop() {
            sorted.extend(executable.get(at).map(|one| Arc::clone(&one.pooled)));
            let behind = at.saturating_add(1);
            heads.extend(head(behind).filter(|_| executable.get(behind).is_some_and(|one| !one.is_first)));
        }
        (sorted, queued)
    }
}

/// Fills a block from these transactions and those behind them. `take` says what is left of the limits with one of them,
/// and which comes behind it; none if it does not fit. Returns what is left of the limits, and each account's first
/// transaction that was not taken.
pub(super) fn fill<K: Ord>(
    heads: Vec<Head<K>>,
    limits: &TemplateLimits,
    mut take: impl FnMut(&K, &TemplateLimits) -> Option<(TemplateLimits, Option<Head<K>>)>,
) -> (TemplateLimits, Vec<Head<K>>) {
    let mut heads = BinaryHeap::from(heads);
    let (mut rest, mut left) = (*limits, Vec::new());
    while rest.count > 0
        && rest.bytes >= MIN_TRANSACTION_BYTES
        && rest.signature_units > 0
        && let Some(head) = heads.pop()
    {
        let Some((less, next)) = take(&head.at, &rest) else {
            left.push(head);
            continue;
        };
        rest = less;
        heads.extend(next);
    }
    left.extend(heads.into_vec());
    (rest, left)
}

/// What a transaction takes of a block.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    pub(super) bytes: usize,
    pub(super) signature_units: u64,
    pub(super) openings: u32,
    pub(super) valid_until: Option<Height>,
}

impl Needs {
    pub(super) fn of(entry: &Entry) -> Self {
        let signed = &entry.pooled.transaction;
        Self {
            bytes: signed.size_bytes(),
            signature_units: signed.signature().size().signature_units(),
            openings: entry.cost.openings,
            valid_until: signed.transaction().valid_until(),
        }
    }

    /// What is left of the limits once it is taken; none if it does not fit.
    pub(super) fn taken_from(&self, rest: &TemplateLimits) -> Option<TemplateLimits> {
        if self.valid_until.is_some_and(|last| last < rest.height) {
            return None;
        }
        Some(TemplateLimits {
            height: rest.height,
            bytes: rest.bytes.checked_sub(self.bytes)?,
            signature_units: rest.signature_units.checked_sub(self.signature_units)?,
            openings: rest.openings.checked_sub(self.openings)?,
            count: rest.count.checked_sub(1)?,
        })
    }
}
