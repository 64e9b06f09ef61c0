//! What admission would do, without doing it.

use std::{sync::Arc, time::Duration};

use farthing::{
    Account, Mites, SignedTransaction, TimeMs, TxId,
    tx::{Transaction, TransactionFields},
};

use super::{
    super::{DropReason, PoolStatus, Pooled, Rejection, Source},
    Pool,
    cost::Cost,
    place::{Foreseen, Place, Screened},
    queue::{Entry, Queue, State},
    settle::reach,
};

/// Fees that are tried at most to find the least one that would do.
const MAX_TRIED_FEES: usize = 256;

/// What would happen to a transaction and to the pool, its signature not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// What is found before the signature: its status if it is here already, or why it is refused.
    pub(in crate::mempool) before_signature: Result<Option<PoolStatus>, Rejection>,
    /// What is found behind the signature.
    pub(in crate::mempool) behind_signature: Result<PoolStatus, Rejection>,
    /// The sender as the chain has it.
    pub account: Account,
    /// Its next nonce and what executable transactions spend, as it is.
    pub before: (u64, Mites),
    /// The same with this transaction.
    pub after: (u64, Mites),
    /// What it burns.
    pub burned: Mites,
    /// What must be left for the miner.
    pub floor: Mites,
    /// The least fee that would do; if none would, what the rejection asks for, or what it burns and the floor.
    pub required: Mites,
    /// Indexes of the outputs that open an account.
    pub openings: Vec<usize>,
    /// What has to go for it, and why.
    pub displaced: Vec<(TxId, DropReason)>,
}

impl Pool {
    /// What admission would do with a transaction of the public API.
    pub(in crate::mempool) fn foresee(&self, signed: &SignedTransaction, id: TxId) -> Outlook {
        let sender = signed.transaction().sender_address();
        let account = self.confirmed.account(&sender).unwrap_or_default();
        let cost = Cost::of(&self.params, &*self.confirmed, signed);
        let floor = self.floor(signed.size_bytes());
        let queue = self.queues.get(&sender);
        let before = queue.map_or((account.next_nonce, Mites::ZERO), |queue| (queue.next_pending(), queue.spent));
        let mut outlook = Outlook {
            before_signature: self.check(signed, &id, Source::Rpc, &mut Foreseen::default()),
            behind_signature: Ok(PoolStatus::Queued),
            account,
            before,
            after: before,
            burned: cost.burned,
            floor,
            required: cost.burned.checked_add(floor).unwrap_or(Mites::MAX),
            openings: self.opening_outputs(signed),
            displaced: Vec::new(),
        };
        if matches!(outlook.before_signature, Ok(None)) {
            outlook.behind_signature = self.foresee_admission(signed, id, queue, &mut outlook);
        }
        let is_here = matches!(outlook.before_signature, Ok(Some(_)));
        let least = if is_here { None } else { self.least_fee(signed, queue) };
        let verdict = outlook.before_signature.as_ref().err().or(outlook.behind_signature.as_ref().err());
        let told = || verdict.map_or_else(|| Some(signed.transaction().fee()), Rejection::required_fee);
        if let Some(required) = least.or_else(told).filter(|_| !is_here) {
            outlook.required = required;
        }
        outlook
    }

    fn foresee_admission(
        &self,
        signed: &SignedTransaction,
        id: TxId,
        queue: Option<&Queue>,
        outlook: &mut Outlook,
    ) -> Result<PoolStatus, Rejection> {
        let screened = self.screen(signed, Source::Rpc)?;
        let place = self.place(signed, &screened, Source::Rpc)?;
        let plan = self.room_for(signed, &screened, &place)?;
        let replaced: &[u64] = if let Place::Replace(nonces) = &place { nonces } else { &[] };
        let gone: Vec<&Entry> =
            queue.into_iter().flat_map(|q| replaced.iter().filter_map(|nonce| q.entries.get(nonce))).collect();
        let evicted = plan.iter().filter_map(|(address, nonce)| self.queues.get(address)?.entries.get(nonce));
        outlook.displaced = gone
            .iter()
            .map(|entry| (entry.pooled.id, DropReason::Replaced { by: id }))
            .chain(evicted.map(|entry| (entry.pooled.id, DropReason::Evicted)))
            .collect();
        let added = self.as_entry(signed, id, &screened);
        let kept = queue.into_iter().flat_map(|queue| queue.entries.values());
        let mut entries: Vec<&Entry> = kept.filter(|entry| !replaced.contains(&entry.pooled.nonce())).collect();
        let nonce = added.pooled.nonce();
        entries.insert(entries.partition_point(|entry| entry.pooled.nonce() < nonce), &added);
        outlook.after = reach(entries, &screened.account, self.limits.executable_per_account);
        Ok(if nonce < outlook.after.0 { PoolStatus::Pending } else { PoolStatus::Queued })
    }

    /// The least fee with which it would be taken, all else being equal; none if no fee would do.
    ///
    /// What a rejection requires is exact as long as the same ones have to go for it. A higher fee may leave too little
    /// for later ones of the same account, which then have to go too, and that changes what is required.
    fn least_fee(&self, signed: &SignedTransaction, queue: Option<&Queue>) -> Option<Mites> {
        let mut fee = Mites::ZERO;
        let mut lasts = self.fees_that_leave_followers(signed, queue).into_iter().peekable();
        for _ in 0..MAX_TRIED_FEES {
            match self.admissible(&with_fee(signed, fee)?) {
                Ok(()) => return Some(fee),
                Err(rejection) => {
                    // Where no higher fee helps, it may still help that later ones have to go.
                    let required = Some(rejection.required_fee()?).filter(|required| *required > fee);
                    while lasts.next_if(|last| *last < fee).is_some() {}
                    let next = lasts.peek().and_then(|last| last.checked_add(Mites::new(1)));
                    fee = required.into_iter().chain(next).min()?;
                }
            }
        }
        None
    }

    /// The highest fees that leave enough for all later ones of the account, for all but the last, and so on, the lowest
    /// first.
    fn fees_that_leave_followers(&self, signed: &SignedTransaction, queue: Option<&Queue>) -> Vec<Mites> {
        let (nonce, total) = (signed.transaction().nonce(), signed.transaction().total());
        let mut fees = Vec::new();
        let Some(queue) = queue else { return fees };
        let outputs = total.checked_sub(signed.transaction().fee()).unwrap_or(Mites::ZERO);
        let balance = self.confirmed.account(&signed.transaction().sender_address()).unwrap_or_default().balance;
        let mut left = balance.checked_sub(outputs);
        for entry in queue.executables().filter(|entry| entry.pooled.nonce() != nonce) {
            left = left.and_then(|left| left.checked_sub(entry.total()));
            if entry.pooled.nonce() > nonce {
                fees.extend(left);
            }
        }
        fees.reverse();
        fees
    }

    /// Whether it would be taken, its signature not looked at.
    fn admissible(&self, signed: &SignedTransaction) -> Result<(), Rejection> {
        let screened = self.screen(signed, Source::Rpc)?;
        let place = self.place(signed, &screened, Source::Rpc)?;
        self.room_for(signed, &screened, &place).map(|_| ())
    }

    fn as_entry(&self, signed: &SignedTransaction, id: TxId, screened: &Screened) -> Entry {
        let pooled = Pooled {
            transaction: signed.clone(),
            id,
            received: TimeMs::new(0),
            source: Source::Rpc,
            arrival: self.next_arrival,
        };
        let state = State::Queued(Duration::ZERO);
        Entry { pooled: Arc::new(pooled), cost: screened.cost, state, floor: screened.rate, synced: false }
    }

    /// Indexes of the outputs that open an account, of several to one address the first.
    fn opening_outputs(&self, signed: &SignedTransaction) -> Vec<usize> {
        let outputs = signed.transaction().outputs();
        let is_first = |at: usize| !outputs[..at].iter().any(|earlier| earlier.to == outputs[at].to);
        (0..outputs.len()).filter(|at| is_first(*at) && self.confirmed.account(&outputs[*at].to).is_none()).collect()
    }
}

/// The same transaction with another fee, as far as that can be.
fn with_fee(signed: &SignedTransaction, fee: Mites) -> Option<SignedTransaction> {
    let transaction = signed.transaction();
    let fields = TransactionFields {
        sender: transaction.sender().clone(),
        nonce: transaction.nonce(),
        fee,
        valid_until: transaction.valid_until(),
        outputs: transaction.outputs().to_vec(),
        memo: transaction.memo().to_vec(),
    };
    SignedTransaction::new(Transaction::new(fields).ok()?, signed.signature().clone()).ok()
}
