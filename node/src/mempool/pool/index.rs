//! Keeping the indexes in step with what is in the queues.

use std::sync::Arc;

use farthing::Mites;

use super::{
    super::{DropReason, Exit, JournalEntry, PoolEvent, PoolNews, Pooled},
    Change, Pool,
    queue::{Entry, State},
};

impl Pool {
    /// An entry joins its queue.
    pub(super) fn attach(&mut self, entry: &Entry) {
        let (address, nonce) = (entry.pooled.sender(), entry.pooled.nonce());
        self.ids.insert(entry.pooled.id, (address, nonce));
        self.wires.insert(entry.pooled.wire_id(), entry.pooled.id);
        self.stats.bytes += entry.bytes();
        if entry.cost.openings > 0 {
            self.opening.insert((address, nonce));
        }
        if let Some(last) = entry.pooled.transaction.transaction().valid_until() {
            self.expiring.insert((last, address, nonce));
        }
        self.reasons.clear(&entry.pooled.id);
        self.rejected.forget(&entry.pooled.wire_id());
        self.enter_state(entry);
        self.tell(entry, PoolNews::Added(entry.status()));
    }

    fn tell(&mut self, entry: &Entry, what: PoolNews) {
        self.events.news.push(PoolEvent { pooled: Arc::clone(&entry.pooled), what });
    }

    /// An entry has left its queue.
    pub(super) fn detach(&mut self, entry: &Entry, exit: Exit) {
        let (id, address, nonce) = (entry.pooled.id, entry.pooled.sender(), entry.pooled.nonce());
        self.leave_state(entry);
        self.ids.remove(&id);
        self.wires.remove(&entry.pooled.wire_id());
        self.stats.bytes -= entry.bytes();
        self.opening.remove(&(address, nonce));
        if let Some(last) = entry.pooled.transaction.transaction().valid_until() {
            self.expiring.remove(&(last, address, nonce));
        }
        self.tell(entry, PoolNews::Removed(exit));
        if let Some(reason) = exit.reason() {
            self.record(id, reason, self.admitting.then(|| entry.clone()));
        }
    }

    /// Remembers why a transaction is not here.
    pub(in crate::mempool) fn record_drop(&mut self, id: farthing::TxId, reason: DropReason) {
        self.record(id, reason, None);
    }

    fn record(&mut self, id: farthing::TxId, reason: DropReason, displaced: Option<Entry>) {
        let height = self.confirmed.height();
        self.reasons.record(id, reason, height, &self.limits);
        self.events.changes.push(Change { entry: JournalEntry::Dropped { id, reason, height }, displaced });
    }

    /// Has a transaction written to the journal.
    pub(super) fn record_added(&mut self, pooled: &Arc<Pooled>) {
        self.events.changes.push(Change { entry: JournalEntry::Added(Arc::clone(pooled)), displaced: None });
    }

    /// Remembers a reason that an earlier run recorded.
    pub(in crate::mempool) fn restore_drop(&mut self, id: farthing::TxId, reason: DropReason, at: farthing::Height) {
        self.reasons.record(id, reason, at, &self.limits);
    }

    /// The state of an entry changes.
    pub(super) fn change_state(&mut self, entry: &mut Entry, state: State) {
        self.leave_state(entry);
        entry.state = state;
        self.enter_state(entry);
        self.tell(entry, PoolNews::Changed(entry.status()));
    }

    /// What an entry burns changes.
    pub(super) fn change_cost(&mut self, entry: &mut Entry, cost: super::cost::Cost) {
        let key = (entry.pooled.sender(), entry.pooled.nonce());
        if entry.is_executable() {
            self.stats.net_fees = less(self.stats.net_fees, entry.net());
            self.stats.net_fees = more(self.stats.net_fees, cost.net(entry.fee()));
            self.stats.generation += 1;
        }
        entry.cost = cost;
        if cost.openings > 0 {
            self.opening.insert(key);
        } else {
            self.opening.remove(&key);
        }
    }

    fn enter_state(&mut self, entry: &Entry) {
        let pooled = &entry.pooled;
        match entry.state {
            State::Executable => {
                self.stats.executable += 1;
                self.stats.generation += 1;
                self.stats.net_fees = more(self.stats.net_fees, entry.net());
                self.arrivals.insert(pooled.arrival, Arc::clone(pooled));
                for output in pooled.transaction.transaction().outputs() {
                    let sum = self.incoming.entry(output.to).or_default();
                    *sum = more(*sum, output.amount);
                }
                self.events.announced.push((pooled.wire_id(), pooled.source));
            }
            State::Queued(deadline) => {
                self.stats.queued += 1;
                self.queued_bytes += entry.bytes();
                self.deadlines.insert((deadline, pooled.sender(), pooled.nonce()));
                self.queued_arrivals.insert(pooled.arrival, Arc::clone(pooled));
            }
        }
    }

    fn leave_state(&mut self, entry: &Entry) {
        let pooled = &entry.pooled;
        match entry.state {
            State::Executable => {
                self.stats.executable -= 1;
                self.stats.generation += 1;
                self.stats.net_fees = less(self.stats.net_fees, entry.net());
                self.arrivals.remove(&pooled.arrival);
                for output in pooled.transaction.transaction().outputs() {
                    let sum = self.incoming.entry(output.to).or_default();
                    *sum = less(*sum, output.amount);
                    if sum.is_zero() {
                        self.incoming.remove(&output.to);
                    }
                }
            }
            State::Queued(deadline) => {
                self.stats.queued -= 1;
                self.queued_bytes -= entry.bytes();
                self.deadlines.remove(&(deadline, pooled.sender(), pooled.nonce()));
                self.queued_arrivals.remove(&pooled.arrival);
            }
        }
    }
}

// What executable transactions move is covered by confirmed balances, and those add up to less than 2^63.
fn more(sum: Mites, amount: Mites) -> Mites {
    sum.checked_add(amount).expect("executable amounts are within the money supply")
}

fn less(sum: Mites, amount: Mites) -> Mites {
    sum.checked_sub(amount).expect("only what was added is taken off")
}

#[cfg(test)]
impl Pool {
    /// Makes every index anew from the queues and compares.
    pub(super) fn check_indexes(&self) {
        use std::collections::{BTreeMap, BTreeSet, HashMap};

        use super::queue::Tail;

        let entries: Vec<&Entry> = self.queues.values().flat_map(|queue| queue.entries.values()).collect();
        let key = |entry: &Entry| (entry.pooled.sender(), entry.pooled.nonce());
        assert_eq!(self.ids, entries.iter().map(|e| (e.pooled.id, key(e))).collect::<HashMap<_, _>>());
        assert_eq!(self.wires, entries.iter().map(|e| (e.pooled.wire_id(), e.pooled.id)).collect::<HashMap<_, _>>());
        let bytes = |filter: &dyn Fn(&Entry) -> bool| -> usize {
            entries.iter().filter(|e| filter(e)).map(|e| e.bytes()).sum()
        };
        assert_eq!(self.stats.bytes, bytes(&|_| true));
        assert_eq!(self.queued_bytes, bytes(&|entry| !entry.is_executable()));
        assert!(self.stats.bytes <= self.limits.bytes, "{} bytes", self.stats.bytes);
        assert!(self.queued_bytes <= self.limits.queued_bytes, "{} queued bytes", self.queued_bytes);
        let opening = entries.iter().filter(|e| e.cost.openings > 0).map(|e| key(e)).collect::<BTreeSet<_>>();
        assert_eq!(self.opening, opening);
        let (mut incoming, mut net, mut queued) = (HashMap::<_, u64>::new(), 0, BTreeMap::new());
        let (mut arrivals, mut deadlines, mut expiring) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        for entry in &entries {
            let tx = entry.pooled.transaction.transaction();
            if let Some(last) = tx.valid_until() {
                expiring.insert((last, key(entry).0, key(entry).1));
            }
            match entry.state {
                State::Executable => {
                    tx.outputs().iter().for_each(|o| *incoming.entry(o.to).or_default() += o.amount.get());
                    net += entry.net().get();
                    arrivals.insert(entry.pooled.arrival, Arc::clone(&entry.pooled));
                }
                State::Queued(at) => {
                    deadlines.insert((at, key(entry).0, key(entry).1));
                    queued.insert(entry.pooled.arrival, Arc::clone(&entry.pooled));
                }
            }
        }
        assert_eq!(self.incoming, incoming.into_iter().map(|(a, sum)| (a, Mites::new(sum))).collect());
        assert_eq!((self.stats.net_fees, self.stats.executable), (Mites::new(net), arrivals.len()));
        assert_eq!((&self.arrivals, &self.deadlines, &self.expiring), (&arrivals, &deadlines, &expiring));
        assert_eq!((self.stats.queued, &self.queued_arrivals), (self.deadlines.len(), &queued));
        assert_eq!(self.tails, self.queues.values().filter_map(|q| q.tail).collect());
        for (address, queue) in &self.queues {
            let account = self.confirmed.account(address).unwrap_or_default();
            assert_eq!((queue.next_nonce, queue.balance), (account.next_nonce, account.balance));
            assert!(!queue.entries.is_empty() && queue.queued() <= self.limits.queued_per_account);
            assert!(queue.executable <= self.limits.executable_per_account && queue.spent <= queue.balance);
            let spent = Mites::checked_sum(queue.executables().map(Entry::total));
            assert_eq!(spent, Some(queue.spent));
            let mut floor = None;
            for (nonce, entry) in (queue.next_nonce..).zip(queue.executables()) {
                assert!(entry.is_executable() && entry.pooled.nonce() == nonce);
                floor = floor.into_iter().chain([entry.rate()]).min();
                assert_eq!(Some(entry.floor), floor);
            }
            assert_eq!(queue.tail, queue.last_executable().map(Tail::of));
        }
    }
}
