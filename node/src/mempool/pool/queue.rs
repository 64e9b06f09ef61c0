//! The transactions of one account, by nonce.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use farthing::{Address, Mites};

use super::{
    super::{PoolStatus, Pooled},
    cost::Cost,
    rate::Rate,
};

/// A transaction in its account's queue.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) pooled: Arc<Pooled>,
    pub(super) cost: Cost,
    pub(super) state: State,
    /// The cheapest rate from the account's first transaction up to this one: it is worth no more to a miner.
    pub(super) floor: Rate,
    /// Whether the journal has it on disk.
    pub(super) synced: bool,
}

/// Whether the next block may include a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// It may: all earlier nonces are here, and the account can pay them all.
    Executable,
    /// It may not yet; it is dropped when the clock passes this.
    Queued(Duration),
}

impl Entry {
    pub(super) fn bytes(&self) -> usize {
        self.pooled.transaction.size_bytes()
    }

    /// What the miner would get.
    pub(super) fn net(&self) -> Mites {
        self.cost.net(self.fee())
    }

    pub(super) fn fee(&self) -> Mites {
        self.pooled.transaction.transaction().fee()
    }

    pub(super) fn rate(&self) -> Rate {
        Rate::new(self.net(), self.bytes())
    }

    /// What leaves the account.
    pub(super) fn total(&self) -> Mites {
        self.pooled.transaction.transaction().total()
    }

    /// Where it stands.
    pub(super) const fn status(&self) -> PoolStatus {
        if self.is_executable() { PoolStatus::Pending } else { PoolStatus::Queued }
    }

    pub(super) const fn is_executable(&self) -> bool {
        matches!(self.state, State::Executable)
    }
}

/// Order in which full pools let go: the cheapest first, among equals the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Tail {
    pub(super) floor: Rate,
    pub(super) arrival: Reverse<u64>,
    pub(super) account: Address,
    pub(super) nonce: u64,
}

impl Tail {
    pub(super) fn of(entry: &Entry) -> Self {
        let Entry { pooled, floor, .. } = entry;
        Self { floor: *floor, arrival: Reverse(pooled.arrival), account: pooled.sender(), nonce: pooled.nonce() }
    }
}

/// The transactions of one account.
#[derive(Debug, Default)]
pub(super) struct Queue {
    /// As of the confirmed state.
    pub(super) next_nonce: u64,
    /// As of the confirmed state.
    pub(super) balance: Mites,
    pub(super) entries: BTreeMap<u64, Entry>,
    /// How many, from `next_nonce` on, are executable.
    pub(super) executable: usize,
    /// What they take from the account; within the balance.
    pub(super) spent: Mites,
    /// How the last executable one stands in the order of eviction.
    pub(super) tail: Option<Tail>,
}

impl Queue {
    /// The nonce behind the executable ones.
    pub(super) fn next_pending(&self) -> u64 {
        self.next_nonce.saturating_add(self.executable as u64)
    }

    pub(super) fn queued(&self) -> usize {
        self.entries.len().saturating_sub(self.executable)
    }

    /// The last executable one.
    pub(super) fn last_executable(&self) -> Option<&Entry> {
        let last = self.next_pending().checked_sub(1)?;
        self.entries.get(&last).filter(|entry| entry.is_executable())
    }

    /// The executable ones, the first first.
    pub(super) fn executables(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().take(self.executable)
    }
}
