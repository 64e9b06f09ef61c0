//! What the mempool decides: a plain data structure. Time, the confirmed state and what happens to it are arguments.
//!
//! Every account has a queue by nonce. Its first part, contiguous from the account's next nonce and paid for in full by
//! the confirmed balance, is executable; the rest waits. [`Pool::settle`] brings one queue into that shape and all
//! indexes with it; everything else is built on it.

mod admit;
mod advance;
mod cost;
mod foresee;
mod index;
mod place;
mod prices;
mod queue;
mod rate;
mod reasons;
mod rejected;
mod room;
mod select;
mod settle;
mod withdraw;

#[cfg(test)]
mod histories;
#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    sync::Arc,
    time::Duration,
};

use farthing::{Address, BlockId, Height, Mites, Params, PublicKey, Sender, TimeMs, TxId, WireId};

use self::{queue::Queue, queue::Tail, reasons::Reasons, rejected::Rejected};
use super::{
    AccountPending, Confirmed, JournalEntry, Listed, PoolEvent, PoolLimits, PoolPart, PoolStats, PoolStatus, Pooled,
    Rejection, Source,
};

pub(super) use self::{
    admit::Candidate,
    advance::BlockBody,
    place::Foreseen,
    select::Unsorted,
    withdraw::{Change, Withdrawn},
};
pub use self::{
    foresee::Outlook,
    prices::{Level, Paid, Prices, ProjectedBlock},
};

/// The time of an operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// What the wall clock says: for people.
    pub(super) wall: TimeMs,
    /// A clock that never goes back: for deadlines.
    pub(super) elapsed: Duration,
}

/// What an operation wants done outside: drained by [`Pool::take_events`].
#[derive(Debug, Default)]
pub(super) struct Events {
    /// To be written to the journal.
    pub(super) changes: Vec<Change>,
    /// To be announced once that is on disk.
    pub(super) announced: Vec<(WireId, Source)>,
    /// To be told to those who follow the pool.
    pub(super) news: Vec<PoolEvent>,
}

/// The mempool's state.
pub(super) struct Pool {
    params: Arc<Params>,
    limits: PoolLimits,
    confirmed: Arc<dyn Confirmed>,
    queues: HashMap<Address, Queue>,
    ids: HashMap<TxId, (Address, u64)>,
    wires: HashMap<WireId, TxId>,
    /// The last executable transaction of each account.
    tails: BTreeSet<Tail>,
    /// When queued ones are given up.
    deadlines: BTreeSet<(Duration, Address, u64)>,
    /// Those that expire.
    expiring: BTreeSet<(Height, Address, u64)>,
    /// Those that open accounts, so that what they burn may change with every block.
    opening: BTreeSet<(Address, u64)>,
    /// Executable ones in order of arrival.
    arrivals: BTreeMap<u64, Arc<Pooled>>,
    /// Queued ones in order of arrival.
    queued_arrivals: BTreeMap<u64, Arc<Pooled>>,
    /// What executable ones bring each account.
    incoming: HashMap<Address, Mites>,
    next_arrival: u64,
    queued_bytes: usize,
    stats: PoolStats,
    reasons: Reasons,
    rejected: Rejected,
    events: Events,
    /// A transaction is being admitted: what goes now, goes for it.
    admitting: bool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool").field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl Pool {
    pub(super) fn new(params: Arc<Params>, limits: PoolLimits, confirmed: Arc<dyn Confirmed>) -> Self {
        Self {
            rejected: Rejected::new(limits.rejected),
            params,
            limits,
            confirmed,
            queues: HashMap::new(),
            ids: HashMap::new(),
            wires: HashMap::new(),
            tails: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            expiring: BTreeSet::new(),
            opening: BTreeSet::new(),
            arrivals: BTreeMap::new(),
            queued_arrivals: BTreeMap::new(),
            incoming: HashMap::new(),
            next_arrival: 0,
            queued_bytes: 0,
            stats: PoolStats::default(),
            reasons: Reasons::default(),
            events: Events::default(),
            admitting: false,
        }
    }

    /// The block up to which the pool knows the chain.
    pub(super) fn tip(&self) -> BlockId {
        self.confirmed.tip()
    }

    /// What has to be done outside since the last call.
    pub(super) fn take_events(&mut self) -> Events {
        std::mem::take(&mut self.events)
    }

    /// The journal was written anew and holds all changes.
    pub(super) fn forget_changes(&mut self) {
        self.events.changes.clear();
    }

    /// Nobody follows the pool yet.
    pub(super) fn forget_news(&mut self) {
        self.events.news.clear();
    }

    pub(super) fn status(&self, id: &TxId) -> Option<PoolStatus> {
        self.present(id).or_else(|| {
            let (reason, height) = self.reasons.get(id)?;
            Some(PoolStatus::Dropped { reason, height })
        })
    }

    /// Status of a transaction that is in the pool.
    fn present(&self, id: &TxId) -> Option<PoolStatus> {
        self.entry(id).map(queue::Entry::status)
    }

    fn entry(&self, id: &TxId) -> Option<&queue::Entry> {
        let (address, nonce) = self.ids.get(id)?;
        self.queues.get(address)?.entries.get(nonce)
    }

    pub(super) fn get(&self, id: &TxId) -> Option<Arc<Pooled>> {
        self.entry(id).map(|entry| Arc::clone(&entry.pooled))
    }

    pub(super) fn get_by_wire(&self, id: &WireId) -> Option<Arc<Pooled>> {
        self.get(self.wires.get(id)?)
    }

    /// Those from blocks that left the chain which the journal does not have on disk yet.
    pub(super) fn unwritten(&self) -> Vec<JournalEntry> {
        let entries = self.queues.values().flat_map(|queue| queue.entries.values());
        let unwritten = entries.filter(|entry| !entry.synced && entry.pooled.source == Source::Reorg);
        let mut unwritten: Vec<_> = unwritten.map(|entry| Arc::clone(&entry.pooled)).collect();
        unwritten.sort_unstable_by_key(|pooled| pooled.arrival);
        unwritten.into_iter().map(JournalEntry::Added).collect()
    }

    /// True if the transaction is here but the journal does not have it on disk yet.
    pub(super) fn is_unsynced(&self, id: &TxId) -> bool {
        self.entry(id).is_some_and(|entry| !entry.synced)
    }

    /// True if the transaction is here and on disk.
    pub(super) fn is_durable(&self, id: &TxId) -> bool {
        self.entry(id).is_some_and(|entry| entry.synced)
    }

    /// The journal has these on disk.
    pub(super) fn mark_synced(&mut self, ids: impl IntoIterator<Item = TxId>) {
        for id in ids {
            if let Some((address, nonce)) = self.ids.get(&id)
                && let Some(queue) = self.queues.get_mut(address)
                && let Some(entry) = queue.entries.get_mut(nonce)
            {
                entry.synced = true;
            }
        }
    }

    /// Whether an announced transaction is worth asking for.
    pub(super) fn is_wanted(&self, id: &WireId) -> bool {
        !self.wires.contains_key(id) && !self.rejected.contains(id)
    }

    /// Remembers a refusal.
    pub(super) fn remember_rejected(&mut self, id: WireId, rejection: &Rejection) {
        self.rejected.remember(id, rejection);
    }

    /// The key that an account's first transaction carries, while that waits here.
    pub(super) fn first_key(&self, address: &Address) -> Option<PublicKey> {
        let first = self.queues.get(address)?.entries.get(&0)?;
        match first.pooled.transaction.transaction().sender() {
            Sender::Key(key) => Some(key.clone()),
            Sender::Address(_) => None,
        }
    }

    pub(super) fn account_pending(&self, address: &Address) -> AccountPending {
        let incoming = self.incoming.get(address).copied().unwrap_or(Mites::ZERO);
        match self.queues.get(address) {
            Some(queue) => AccountPending { next_nonce: queue.next_pending(), outgoing: queue.spent, incoming },
            None => {
                let next_nonce = self.confirmed.account(address).unwrap_or_default().next_nonce;
                AccountPending { next_nonce, outgoing: Mites::ZERO, incoming }
            }
        }
    }

    /// At most `limit` executable transactions in order of arrival, from this one on, and where the rest begins.
    pub(super) fn arrived(&self, from: u64, limit: usize) -> (Vec<WireId>, Option<u64>) {
        let mut rest = self.arrivals.range(from..);
        let ids = rest.by_ref().take(limit).map(|(_, pooled)| pooled.wire_id()).collect();
        (ids, rest.next().map(|(arrival, _)| *arrival))
    }

    /// At most `limit` transactions that arrived at this place or behind it, in order of arrival.
    pub(super) fn part(&self, from: u64, limit: usize) -> PoolPart {
        let first = |of: &BTreeMap<u64, Arc<Pooled>>, status| -> Vec<_> {
            let range = of.range(from..).take(limit.saturating_add(1));
            range.map(|(_, pooled)| (Arc::clone(pooled), status)).collect()
        };
        let executable = first(&self.arrivals, PoolStatus::Pending).into_iter();
        let queued = first(&self.queued_arrivals, PoolStatus::Queued);
        let mut entries: Vec<_> = executable.chain(queued).map(|(pooled, status)| Listed { pooled, status }).collect();
        entries.sort_unstable_by_key(|listed| listed.pooled.arrival);
        let is_last = entries.len() <= limit;
        entries.truncate(limit);
        PoolPart { entries, is_last }
    }

    /// Queued transactions in order of arrival.
    pub(super) fn queued(&self) -> Vec<Arc<Pooled>> {
        self.queued_arrivals.values().map(Arc::clone).collect()
    }

    /// All that a journal must hold: what is here, in order of arrival, and the reasons remembered.
    pub(super) fn journal_image(&self) -> Vec<JournalEntry> {
        let mut all: Vec<_> =
            self.queues.values().flat_map(|q| q.entries.values()).map(|e| Arc::clone(&e.pooled)).collect();
        all.sort_unstable_by_key(|pooled| pooled.arrival);
        let dropped = self.reasons.iter().map(|(id, reason, height)| JournalEntry::Dropped { id, reason, height });
        dropped.chain(all.into_iter().map(JournalEntry::Added)).collect()
    }

    /// What it holds at most, and what it asks for.
    pub(super) fn limits(&self) -> PoolLimits {
        self.limits.clone()
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            height: self.confirmed.height(),
            oldest: self.arrivals.values().next().map(|pooled| pooled.received),
            ..self.stats
        }
    }
}
