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

/// Fees that are tried at most to find the least one that would do. Each goes through what waits of the account.
const MAX_TRIED_FEES: usize = 64;

/// Fees that displace the same ones of the account.
#[derive(Debug, Clone, Copy)]
struct Step {
    /// What it takes to displace them.
    required: Mites,
    /// The highest of these fees.
    last: Mites,
}

/// The least fee, from this one on, that is enough for those that it displaces.
fn least_of(steps: &[Step], from: Mites) -> Option<Mites> {
    let mut begin = from;
    for Step { required, last } in steps {
        let least = begin.max(*required);
        if least <= *last {
            return Some(least);
        }
        begin = begin.max(last.checked_add(Mites::new(1))?);
    }
    None
}

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
        // In order.
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
        let mut entries: Vec<&Entry> =
            kept.filter(|entry| replaced.binary_search(&entry.pooled.nonce()).is_err()).collect();
        let nonce = added.pooled.nonce();
        entries.insert(entries.partition_point(|entry| entry.pooled.nonce() < nonce), &added);
        outlook.after = reach(entries, &screened.account, self.limits.executable_per_account);
        Ok(if nonce < outlook.after.0 { PoolStatus::Pending } else { PoolStatus::Queued })
    }

    /// The least fee with which it would be taken, all else being equal; none if no fee would do.
    ///
    /// A higher fee may leave too little for later ones of the same account, which then have to go too. What it takes to
    /// outbid them is reckoned at once for all of them: an account may have a thousand, and the pool is locked meanwhile.
    /// Those of others that must leave a full pool are asked for: they are as many as fill one transaction.
    fn least_fee(&self, signed: &SignedTransaction, queue: Option<&Queue>) -> Option<Mites> {
        let steps = self.steps(signed, queue);
        let mut fee = Mites::ZERO;
        for _ in 0..MAX_TRIED_FEES {
            fee = least_of(&steps, fee)?;
            let rejection = match self.admissible(&with_fee(signed, fee)?) {
                Ok(()) => return Some(fee),
                Err(rejection) => rejection,
            };
            // Where no higher fee helps, it may still help that more of its own ones have to go: that leaves more room.
            let required = Some(rejection.required_fee()?).filter(|required| *required > fee);
            let next = steps.iter().map(|step| step.last).find(|last| *last >= fee);
            let next = next.and_then(|last| last.checked_add(Mites::new(1)));
            fee = required.into_iter().chain(next).min()?;
        }
        None
    }

    /// Which fees displace which of the account's own ones, the lowest first.
    fn steps(&self, signed: &SignedTransaction, queue: Option<&Queue>) -> Vec<Step> {
        let transaction = signed.transaction();
        let nonce = transaction.nonce();
        let waiting = queue.and_then(|queue| Some((queue, queue.entries.get(&nonce)?)));
        let Some((queue, waiting)) = waiting else { return vec![Step { required: Mites::ZERO, last: Mites::MAX }] };
        let cost = Cost::of(&self.params, &*self.confirmed, signed);
        let (mut net, mut bytes) = (waiting.net(), waiting.bytes().saturating_add(signed.size_bytes()));
        let required = |net: Mites, bytes: usize| {
            let floor = net.checked_add(self.floor(bytes));
            floor.and_then(|floor| floor.checked_add(cost.burned)).unwrap_or(Mites::MAX)
        };
        if !waiting.is_executable() {
            return vec![Step { required: required(net, bytes), last: Mites::MAX }];
        }
        let balance = self.confirmed.account(&transaction.sender_address()).unwrap_or_default().balance;
        let outputs = transaction.total().checked_sub(transaction.fee());
        let earlier = queue.executables().take_while(|entry| entry.pooled.nonce() < nonce).map(Entry::total);
        let spent = Mites::checked_sum(earlier.chain(outputs));
        let Some(left) = spent.and_then(|spent| balance.checked_sub(spent)) else { return Vec::new() };
        // The highest fee that leaves enough for each of the later ones, and for those before it.
        let mut rest = Some(left);
        let later = queue.executables().skip_while(|entry| entry.pooled.nonce() <= nonce).map(|entry| {
            rest = rest.and_then(|rest| rest.checked_sub(entry.total()));
            (entry, rest)
        });
        let mut steps = Vec::new();
        for (entry, last) in later.collect::<Vec<_>>().into_iter().rev() {
            steps.extend(last.map(|last| Step { required: required(net, bytes), last }));
            net = net.checked_add(entry.net()).unwrap_or(Mites::MAX);
            bytes = bytes.saturating_add(entry.bytes());
        }
        steps.push(Step { required: required(net, bytes), last: left });
        steps
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
