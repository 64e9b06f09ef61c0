//! Keeping the indexes in step with what is in the queues.

use farthing::Mites;

use super::{
    super::{DropReason, JournalEntry},
    Pool,
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
    }

    /// An entry has left its queue, for this reason unless it was mined.
    pub(super) fn detach(&mut self, entry: &Entry, reason: Option<DropReason>) {
        let (id, address, nonce) = (entry.pooled.id, entry.pooled.sender(), entry.pooled.nonce());
        self.leave_state(entry);
        self.ids.remove(&id);
        self.wires.remove(&entry.pooled.wire_id());
        self.stats.bytes -= entry.bytes();
        self.opening.remove(&(address, nonce));
        if let Some(last) = entry.pooled.transaction.transaction().valid_until() {
            self.expiring.remove(&(last, address, nonce));
        }
        if let Some(reason) = reason {
            self.record_drop(id, reason);
        }
    }

    /// Remembers why a transaction is not here.
    pub(in crate::mempool) fn record_drop(&mut self, id: farthing::TxId, reason: DropReason) {
        let height = self.confirmed.height();
        self.reasons.record(id, reason, height, &self.limits);
        self.events.journal.push(JournalEntry::Dropped { id, reason, height });
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
                self.arrivals.insert(pooled.arrival, pooled.received);
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
