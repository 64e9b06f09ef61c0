//! Taking back what could not be written: nothing stands, or is missing, for the sake of a transaction that is not here.

use std::collections::{BTreeSet, HashSet};

use farthing::TxId;

use super::{
    super::{DropReason, Exit, JournalEntry, Source},
    Now, Pool,
    cost::Cost,
    queue::{Entry, State},
};

/// An entry for the journal, and what comes back if it cannot be written.
#[derive(Debug, Clone)]
pub(in crate::mempool) struct Change {
    pub(in crate::mempool) entry: JournalEntry,
    /// Had to go for a transaction that was admitted; not for a change of the tip, which stands in any case.
    pub(super) displaced: Option<Entry>,
}

/// What came of taking back.
#[derive(Debug, Default)]
pub(in crate::mempool) struct Withdrawn {
    /// Not taken after all.
    pub(in crate::mempool) lost: HashSet<TxId>,
    /// Should have come back, but their nonces are used by now: each was mined or lost its place to another one.
    pub(in crate::mempool) used: Vec<TxId>,
}

impl Pool {
    /// Undoes admissions that could not be made durable: all since some moment, in order. What a block held before it
    /// left the chain stays, written or not: this node may be the only one that still knows it.
    pub(in crate::mempool) fn withdraw(&mut self, changes: Vec<Change>, now: Now) -> Withdrawn {
        let (fresh, displaced) = sort_out(changes);
        let mut withdrawn = Withdrawn::default();
        let mut touched = BTreeSet::new();
        for id in fresh {
            if let Some((address, nonce)) = self.ids.get(&id).copied() {
                self.pull(&address, nonce, Exit::NotWritten);
                touched.insert(address);
            } else if !self.reasons.clear(&id) {
                // Mined meanwhile.
                continue;
            }
            withdrawn.lost.insert(id);
        }
        for entry in displaced {
            touched.insert(entry.pooled.sender());
            withdrawn.lost.remove(&entry.pooled.id);
            withdrawn.used.extend(self.bring_back(entry, now));
        }
        self.settle_all(touched, now);
        self.drop_expired(now);
        self.enforce_bounds(now);
        withdrawn
    }

    /// Gives an entry its place again; its id if a block has used its nonce.
    fn bring_back(&mut self, entry: Entry, now: Now) -> Option<TxId> {
        let (id, sender, nonce) = (entry.pooled.id, entry.pooled.sender(), entry.pooled.nonce());
        if self.ids.contains_key(&id) {
            return None;
        }
        if nonce < self.confirmed.account(&sender).unwrap_or_default().next_nonce {
            self.reasons.clear(&id);
            return Some(id);
        }
        if let Some(taken) = self.queues.get(&sender).and_then(|queue| queue.entries.get(&nonce)) {
            let by = taken.pooled.id;
            self.record_drop(id, DropReason::Replaced { by });
            return None;
        }
        let cost = Cost::of(&self.params, &*self.confirmed, &entry.pooled.transaction);
        let state = State::Queued(now.elapsed.saturating_add(self.limits.queued_for));
        // The journal has all but what only a block had held.
        let synced = entry.synced || entry.pooled.source != Source::Reorg;
        self.hold(Entry { cost, state, synced, ..entry });
        None
    }
}

/// What was new, and what had been here before and went for it.
fn sort_out(changes: Vec<Change>) -> (HashSet<TxId>, Vec<Entry>) {
    let (mut fresh, mut displaced) = (HashSet::new(), Vec::new());
    for Change { entry, displaced: gone } in changes {
        match entry {
            JournalEntry::Added(pooled) if pooled.source != Source::Reorg => {
                fresh.insert(pooled.id);
            }
            JournalEntry::Added(_) => {}
            JournalEntry::Dropped { id, .. } => displaced.extend(gone.filter(|_| !fresh.contains(&id))),
        }
    }
    (fresh, displaced)
}
