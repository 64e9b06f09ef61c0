//! What admission would do, without doing it.

use std::{sync::Arc, time::Duration};

use farthing::{Account, Mites, SignedTransaction, TimeMs, TxId};

use super::{
    super::{DropReason, PoolStatus, Pooled, Rejection, Source},
    Pool,
    cost::Cost,
    place::{Foreseen, Place, Screened},
    queue::{Entry, Queue, State},
    settle::reach,
};

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
    /// The least fee that would do.
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
        if let Err(Rejection::ReplacementUnderpaid { required, .. } | Rejection::PoolFull { required }) =
            outlook.before_signature
        {
            outlook.required = required;
        }
        if matches!(outlook.before_signature, Ok(None)) {
            outlook.behind_signature = self.foresee_admission(signed, id, queue, &mut outlook);
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
        let plan = self.room_for(signed, &screened, &place).inspect_err(|rejection| {
            if let Rejection::PoolFull { required } = rejection {
                outlook.required = *required;
            }
        })?;
        let replaced: &[u64] = if let Place::Replace(nonces) = &place { nonces } else { &[] };
        let gone: Vec<&Entry> =
            queue.into_iter().flat_map(|q| replaced.iter().filter_map(|nonce| q.entries.get(nonce))).collect();
        if !gone.is_empty() {
            outlook.required = self.replacement_fee(signed, screened.cost, &gone);
        }
        // With less it would not be worth more than the dearest of those that must go.
        let executable = plan.iter().filter_map(|(address, nonce)| self.queues.get(address)?.entries.get(nonce));
        if let Some(dearest) = executable.filter(|entry| entry.is_executable()).map(|entry| entry.floor).max() {
            let outbid = dearest.outbid_by(signed.size_bytes()).checked_add(screened.cost.burned);
            outlook.required = outlook.required.max(outbid.unwrap_or(Mites::MAX));
        }
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
