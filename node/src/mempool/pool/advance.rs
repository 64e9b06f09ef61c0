//! Following the chain and the clock.

use std::{
    collections::{BTreeSet, HashSet},
    sync::Arc,
};

use farthing::{Address, Block, SignedTransaction, TxId};

use super::{
    super::{Confirmed, DropReason, Exit, Pooled, Source},
    Now, Pool,
    cost::Cost,
    queue::{Entry, State},
};

/// A block that joined or left the best chain.
#[derive(Debug, Clone, Copy)]
pub(in crate::mempool) struct BlockBody<'a> {
    pub(in crate::mempool) block: &'a Block,
    /// Ids of its transactions, in order.
    pub(in crate::mempool) tx_ids: &'a [TxId],
}

impl Pool {
    /// The tip has changed: `undone` and `applied` lead from the old one to that of `confirmed`, each the lowest first.
    pub(in crate::mempool) fn advance(
        &mut self,
        confirmed: Arc<dyn Confirmed>,
        undone: &[BlockBody<'_>],
        applied: &[BlockBody<'_>],
        now: Now,
    ) {
        self.confirmed = confirmed;
        self.rejected.new_tip();
        let mut touched = self.remove_mined(applied);
        let mined: HashSet<&TxId> = applied.iter().flat_map(|body| body.tx_ids).collect();
        self.readmit(undone, |id, _| mined.contains(id), now);
        touched.extend(self.reprice(!undone.is_empty()));
        if undone.is_empty() {
            touched.extend(self.deadlines.iter().map(|(_, address, _)| *address));
        } else {
            touched.extend(self.queues.keys());
        }
        self.settle_all(touched, now);
        self.after_change(now);
    }

    /// The tip has changed, and only the blocks that left the chain are known, the lowest first. Returns the
    /// transactions whose nonces are used: each was mined or lost its place to another one.
    pub(in crate::mempool) fn resynchronise(
        &mut self,
        confirmed: Arc<dyn Confirmed>,
        undone: &[BlockBody<'_>],
        now: Now,
    ) -> Vec<TxId> {
        self.confirmed = confirmed;
        self.rejected.new_tip();
        let mut used = Vec::new();
        for address in self.queues.keys().copied().collect::<BTreeSet<Address>>() {
            let next_nonce = self.confirmed.account(&address).unwrap_or_default().next_nonce;
            let Some(queue) = self.queues.get(&address) else { continue };
            let stale: Vec<_> = queue.entries.range(..next_nonce).map(|(n, entry)| (*n, entry.pooled.id)).collect();
            for (nonce, id) in stale {
                self.pull(&address, nonce, Exit::NonceTaken);
                used.push(id);
            }
        }
        let confirmed = Arc::clone(&self.confirmed);
        let is_used = |id: &TxId, signed: &SignedTransaction| {
            let account = confirmed.account(&signed.transaction().sender_address()).unwrap_or_default();
            let is_used = signed.transaction().nonce() < account.next_nonce;
            used.extend(is_used.then_some(*id));
            is_used
        };
        self.readmit(undone, is_used, now);
        self.reprice(true);
        self.settle_all(self.queues.keys().copied().collect(), now);
        self.after_change(now);
        used.sort_unstable();
        used.dedup();
        used
    }

    /// Gives up what has waited too long for a gap to close.
    pub(in crate::mempool) fn tick(&mut self, now: Now) {
        while let Some((deadline, address, nonce)) = self.deadlines.first().copied()
            && deadline <= now.elapsed
        {
            self.pull(&address, nonce, DropReason::GapTimeout.into());
            self.settle(address, now);
        }
    }

    /// Forgets reasons that are too old.
    pub(in crate::mempool) fn prune_reasons(&mut self) {
        self.reasons.prune(self.confirmed.height(), &self.limits);
    }

    pub(super) fn settle_all(&mut self, addresses: BTreeSet<Address>, now: Now) {
        for address in addresses {
            self.settle(address, now);
        }
    }

    fn after_change(&mut self, now: Now) {
        self.drop_expired(now);
        self.enforce_bounds(now);
        self.prune_reasons();
    }

    /// Takes out what was mined. Returns the accounts that the blocks touched and that have a queue.
    fn remove_mined(&mut self, applied: &[BlockBody<'_>]) -> BTreeSet<Address> {
        let mut touched = BTreeSet::new();
        for BlockBody { block, tx_ids } in applied {
            let mined = Exit::Mined { block: block.id(), height: block.coinbase.height };
            for id in *tx_ids {
                if let Some((address, nonce)) = self.ids.get(id).copied() {
                    self.pull(&address, nonce, mined);
                }
                self.reasons.clear(id);
            }
            touched.insert(block.coinbase.to);
            for signed in &block.transactions {
                touched.insert(signed.transaction().sender_address());
                touched.extend(signed.transaction().outputs().iter().map(|output| output.to));
            }
        }
        touched.retain(|address| self.queues.contains_key(address));
        touched
    }

    /// Brings back what left the chain and has no place on the new branch.
    fn readmit(
        &mut self,
        undone: &[BlockBody<'_>],
        mut is_used: impl FnMut(&TxId, &SignedTransaction) -> bool,
        now: Now,
    ) {
        for BlockBody { block, tx_ids } in undone {
            for (signed, id) in block.transactions.iter().zip(*tx_ids) {
                if is_used(id, signed) || self.ids.contains_key(id) {
                    continue;
                }
                let sender = signed.transaction().sender_address();
                let nonce = signed.transaction().nonce();
                let taken = self.queues.get(&sender).and_then(|queue| queue.entries.get(&nonce));
                if let Some(taken) = taken {
                    let by = taken.pooled.id;
                    self.record_drop(*id, DropReason::Replaced { by });
                    continue;
                }
                let pooled = Arc::new(Pooled {
                    transaction: signed.clone(),
                    id: *id,
                    received: now.wall,
                    source: Source::Reorg,
                    arrival: self.next_arrival,
                });
                self.next_arrival += 1;
                self.record_added(&pooled);
                let cost = Cost::of(&self.params, &*self.confirmed, signed);
                let rate = super::rate::Rate::new(cost.net(signed.transaction().fee()), signed.size_bytes());
                let state = State::Queued(now.elapsed.saturating_add(self.limits.queued_for));
                self.hold(Entry { pooled, cost, state, floor: rate, synced: false });
            }
        }
    }

    /// Finds anew what transactions burn: all of them after a reorg, else only those that open accounts. Returns the
    /// accounts with a change.
    fn reprice(&mut self, all: bool) -> BTreeSet<Address> {
        let keys: Vec<(Address, u64)> =
            if all { self.ids.values().copied().collect() } else { self.opening.iter().copied().collect() };
        let mut changed = BTreeSet::new();
        for (address, nonce) in keys {
            let Some(mut queue) = self.queues.remove(&address) else { continue };
            if let Some(entry) = queue.entries.get_mut(&nonce) {
                let cost = Cost::of(&self.params, &*self.confirmed, &entry.pooled.transaction);
                if cost != entry.cost {
                    self.change_cost(entry, cost);
                    changed.insert(address);
                }
            }
            self.queues.insert(address, queue);
        }
        changed
    }

    /// Drops what the next block may not include any more.
    pub(super) fn drop_expired(&mut self, now: Now) {
        let next = self.confirmed.height().next();
        let mut touched = BTreeSet::new();
        while let Some((last, address, nonce)) = self.expiring.first().copied()
            && last < next
        {
            self.pull(&address, nonce, DropReason::Expired.into());
            touched.insert(address);
        }
        self.settle_all(touched, now);
    }
}
