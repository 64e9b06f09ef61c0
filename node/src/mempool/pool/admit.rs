//! Taking a transaction whose signature was verified.

use std::sync::Arc;

use farthing::{SignedTransaction, TimeMs, TxId};

use super::{
    super::{Admitted, DropReason, PoolStatus, Pooled, Rejection, Source},
    Now, Pool,
    place::{Place, Screened},
    queue::{Entry, State},
};

/// A transaction whose signature holds.
#[derive(Debug, Clone)]
pub(in crate::mempool) struct Candidate {
    pub(in crate::mempool) transaction: SignedTransaction,
    pub(in crate::mempool) id: TxId,
    pub(in crate::mempool) received: TimeMs,
    pub(in crate::mempool) source: Source,
}

impl Pool {
    /// Takes a transaction, or says where it stands if it is here.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub(in crate::mempool) fn admit(&mut self, candidate: Candidate, now: Now) -> Result<Admitted, Rejection> {
        let id = candidate.id;
        if let Some(status) = self.present(&id) {
            return Ok(Admitted { id, status });
        }
        let screened = self.screen(&candidate.transaction, candidate.source)?;
        let place = self.place(&candidate.transaction, &screened, candidate.source)?;
        let plan = self.room_for(&candidate.transaction, &screened, &place)?;
        self.admitting = true;
        self.insert(candidate, &screened, &place, &plan, now);
        self.admitting = false;
        Ok(Admitted { id, status: self.status(&id).unwrap_or(PoolStatus::Queued) })
    }

    /// What must go for it.
    pub(super) fn room_for(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        place: &Place,
    ) -> Result<Vec<(farthing::Address, u64)>, Rejection> {
        let tx = signed.transaction();
        let Some(queue) = self.queues.get(&tx.sender_address()) else {
            let worth = matches!(place, Place::Append).then_some(screened.rate);
            return self.plan_room(signed, screened, 0, worth);
        };
        match place {
            Place::Queue => self.plan_room(signed, screened, 0, None),
            Place::Append => {
                let worth = Self::worth(screened, queue.last_executable());
                self.plan_room(signed, screened, 0, Some(worth))
            }
            Place::Replace(displaced) => {
                let freed = displaced.iter().filter_map(|nonce| queue.entries.get(nonce)).map(Entry::bytes).sum();
                let waiting = queue.entries.get(&tx.nonce());
                let before = tx.nonce().checked_sub(1).and_then(|nonce| queue.entries.get(&nonce));
                let worth = waiting.filter(|entry| entry.is_executable()).map(|_| Self::worth(screened, before));
                self.plan_room(signed, screened, freed, worth)
            }
        }
    }

    /// Puts it in and lets go of what is in its way. It is written first: whatever part of that survives a power cut,
    /// nothing is missing for the sake of a transaction that is not there.
    fn insert(
        &mut self,
        candidate: Candidate,
        screened: &Screened,
        place: &Place,
        plan: &[(farthing::Address, u64)],
        now: Now,
    ) {
        let Candidate { transaction, id, received, source } = candidate;
        let pooled = Arc::new(Pooled { transaction, id, received, source, arrival: self.next_arrival });
        self.next_arrival += 1;
        let address = pooled.sender();
        if source != Source::Journal {
            self.record_added(&pooled);
        }
        self.evict(plan, now);
        if let Place::Replace(displaced) = place {
            for nonce in displaced {
                self.pull(&address, *nonce, DropReason::Replaced { by: id }.into());
            }
        }
        let state = State::Queued(now.elapsed.saturating_add(self.limits.queued_for));
        let synced = source == Source::Journal;
        let entry = Entry { pooled, cost: screened.cost, state, floor: screened.rate, synced };
        if *place == Place::Append && self.append(&entry, screened) {
            return;
        }
        self.hold(entry);
        self.settle(address, now);
    }

    /// Puts an entry into its queue, which must be settled afterwards.
    pub(super) fn hold(&mut self, entry: Entry) {
        self.attach(&entry);
        let queue = self.queues.entry(entry.pooled.sender()).or_default();
        queue.entries.insert(entry.pooled.nonce(), entry);
    }

    /// The common case without looking at the whole queue: the entry follows the executable ones, and none waits
    /// behind it. Does nothing and says so if that is not the case.
    fn append(&mut self, entry: &Entry, screened: &Screened) -> bool {
        let address = entry.pooled.sender();
        let mut queue = self.queues.remove(&address).unwrap_or_default();
        if queue.queued() > 0 {
            self.queues.insert(address, queue);
            return false;
        }
        let floor = Self::worth(screened, queue.last_executable());
        let entry = Entry { state: State::Executable, floor, ..entry.clone() };
        queue.next_nonce = screened.account.next_nonce;
        queue.balance = screened.account.balance;
        queue.spent = queue.spent.checked_add(entry.total()).expect("placed within the balance");
        queue.executable += 1;
        self.attach(&entry);
        self.remove_tail(&mut queue);
        queue.entries.insert(entry.pooled.nonce(), entry);
        self.add_tail(&mut queue);
        self.queues.insert(address, queue);
        true
    }
}
