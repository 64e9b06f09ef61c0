//! Where a transaction would go, or why it is refused. Changes nothing, so that it can be asked before the signature
//! is verified.

use std::collections::HashMap;

use farthing::{Account, Address, Height, Mites, SignedTransaction, TxId};

use super::{
    super::{PoolStatus, Rejection, Source},
    Pool,
    cost::Cost,
    queue::{Entry, Queue},
    rate::Rate,
};

/// A transaction that keeps the rules which concern it alone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Screened {
    pub(super) account: Account,
    pub(super) cost: Cost,
    pub(super) rate: Rate,
}

/// Where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Behind the executable ones of its account.
    Append,
    /// Kept until an earlier one arrives.
    Queue,
    /// In the place of another one; these nonces go.
    Replace(Vec<u64>),
}

/// What earlier transactions of the same batch will have done to their accounts, if all goes well.
#[derive(Debug, Default)]
pub(in crate::mempool) struct Foreseen {
    next: HashMap<Address, (u64, Mites)>,
    queued: HashMap<Address, usize>,
}

impl Pool {
    /// Whether a transaction's signature is worth verifying; its status if it is here. `foreseen` goes along a batch.
    ///
    /// # Errors
    /// Why it is refused as things stand.
    pub(in crate::mempool) fn check(
        &self,
        signed: &SignedTransaction,
        id: &TxId,
        source: Source,
        foreseen: &mut Foreseen,
    ) -> Result<Option<PoolStatus>, Rejection> {
        if let Some(status) = self.present(id) {
            return Ok(Some(status));
        }
        if let Some(rejection) = self.rejected.lasting(&signed.wire_id()) {
            return Err(rejection.clone());
        }
        let screened = self.screen(signed, source)?;
        let (sender, nonce) = (signed.transaction().sender_address(), signed.transaction().nonce());
        let queue = self.queues.get(&sender);
        let (next, spent) = foreseen.next.get(&sender).copied().unwrap_or_else(|| standing(queue, &screened.account));
        if queue.is_some_and(|queue| queue.entries.contains_key(&nonce)) {
            self.place(signed, &screened, source)?;
        } else if nonce == next {
            let spent = self.appendable(signed, &screened, next, spent)?;
            self.room_by_rate(signed, &screened, queue)?;
            // Those that wait behind it follow.
            let waiting = queue.into_iter().flat_map(|queue| queue.entries.range(next.saturating_add(1)..));
            let following = waiting.zip(next.saturating_add(1)..).take_while(|((found, _), wanted)| *found == wanted);
            let next = next.saturating_add(1).saturating_add(following.count() as u64);
            foreseen.next.insert(sender, (next, spent));
        } else if nonce > next {
            if next == 0 && self.first_key(&sender).is_none() {
                return Err(Rejection::KeyUnknown { address: sender });
            }
            let count = foreseen.queued.entry(sender).or_default();
            self.queueable(signed, &screened, next, queue.map_or(0, Queue::queued) + *count)?;
            *count += 1;
        }
        // A nonce below `next` that is not occupied is that of another one in this batch: admission compares the two.
        Ok(None)
    }

    /// The rules that concern a transaction alone, as of the confirmed state.
    pub(super) fn screen(&self, signed: &SignedTransaction, source: Source) -> Result<Screened, Rejection> {
        let tx = signed.transaction();
        let account = self.confirmed.account(&tx.sender_address()).unwrap_or_default();
        if tx.nonce() < account.next_nonce {
            let expected_nonce = self.account_pending(&tx.sender_address()).next_nonce;
            return Err(Rejection::NonceTooLow { nonce: tx.nonce(), expected_nonce });
        }
        self.check_expiry(signed, source)?;
        let cost = Cost::of(&self.params, &*self.confirmed, signed);
        if cost.openings > self.params.max_openings {
            let limit = self.params.max_openings;
            return Err(Rejection::TooManyOpenings { openings: cost.openings, limit });
        }
        let floor = if is_relaxed(source) { Mites::ZERO } else { self.floor(signed.size_bytes()) };
        let required = cost.burned.checked_add(floor).unwrap_or(Mites::MAX);
        if tx.fee() < required {
            return Err(Rejection::FeeTooLow { fee: tx.fee(), required });
        }
        if tx.total() > account.balance && !is_relaxed(source) {
            return Err(Rejection::InsufficientBalance { needed: tx.total(), available: account.balance });
        }
        let net = cost.net(tx.fee());
        Ok(Screened { account, cost, rate: Rate::new(net, signed.size_bytes()) })
    }

    fn check_expiry(&self, signed: &SignedTransaction, source: Source) -> Result<(), Rejection> {
        let Some(valid_until) = signed.transaction().valid_until() else { return Ok(()) };
        let blocks = if is_relaxed(source) { 1 } else { self.limits.blocks_before_expiry };
        let required: Height = self.confirmed.height().saturating_add(blocks);
        if valid_until < required { Err(Rejection::ExpiresTooSoon { valid_until, required }) } else { Ok(()) }
    }

    /// The least net fee for so many bytes.
    pub(super) fn floor(&self, bytes: usize) -> Mites {
        Mites::new(self.limits.floor_mites_per_byte.saturating_mul(bytes as u64))
    }

    /// Where a screened transaction goes as its account's queue stands.
    pub(super) fn place(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        source: Source,
    ) -> Result<Place, Rejection> {
        let tx = signed.transaction();
        let sender = tx.sender_address();
        let queue = self.queues.get(&sender);
        if let (Some(queue), Some(waiting)) = (queue, queue.and_then(|queue| queue.entries.get(&tx.nonce()))) {
            return self.replace(signed, screened, queue, waiting);
        }
        let (next, spent) = standing(queue, &screened.account);
        if tx.nonce() == next {
            match self.appendable(signed, screened, next, spent) {
                Ok(_) => return Ok(Place::Append),
                // What an earlier run or another branch held waits for its money to come back.
                Err(Rejection::InsufficientBalance { .. }) if is_relaxed(source) => {}
                Err(rejection) => return Err(rejection),
            }
        } else if screened.account.next_nonce == 0 && self.first_key(&sender).is_none() && !is_relaxed(source) {
            return Err(Rejection::KeyUnknown { address: sender });
        }
        self.queueable(signed, screened, next, queue.map_or(0, Queue::queued))?;
        Ok(Place::Queue)
    }

    /// Whether a transaction can follow the executable ones of its account; what the account then spends.
    fn appendable(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        next: u64,
        spent: Mites,
    ) -> Result<Mites, Rejection> {
        let tx = signed.transaction();
        let limit = self.limits.executable_per_account;
        if next.saturating_sub(screened.account.next_nonce) >= limit as u64 {
            return Err(Rejection::AccountFull { limit });
        }
        let needed = spent.checked_add(tx.total()).unwrap_or(Mites::MAX);
        if needed > screened.account.balance {
            return Err(Rejection::InsufficientBalance { needed, available: screened.account.balance });
        }
        Ok(needed)
    }

    /// Whether a transaction can be kept with a gap before it.
    fn queueable(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        next: u64,
        queued: usize,
    ) -> Result<(), Rejection> {
        let bytes = self.queued_bytes + signed.size_bytes();
        let farthest = screened.account.next_nonce.checked_add(self.limits.executable_per_account as u64);
        let nonce = signed.transaction().nonce();
        if queued >= self.limits.queued_per_account
            || bytes > self.limits.queued_bytes
            || farthest.is_none_or(|farthest| nonce >= farthest)
        {
            return Err(Rejection::TooManyQueued { nonce, expected_nonce: next });
        }
        Ok(())
    }

    /// Whether a transaction may take the place of the one that waits at its nonce.
    fn replace(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        queue: &Queue,
        waiting: &Entry,
    ) -> Result<Place, Rejection> {
        let tx = signed.transaction();
        let displaced: Vec<&Entry> = if waiting.is_executable() {
            let spent_before: Mites = Mites::checked_sum(
                queue.executables().take_while(|entry| entry.pooled.nonce() < tx.nonce()).map(Entry::total),
            )
            .expect("executable transactions are within the balance");
            let needed = spent_before.checked_add(tx.total()).unwrap_or(Mites::MAX);
            if needed > screened.account.balance {
                return Err(Rejection::InsufficientBalance { needed, available: screened.account.balance });
            }
            // Those behind it that the account can then no longer pay.
            let followers = queue.executables().skip_while(|entry| entry.pooled.nonce() <= tx.nonce());
            let mut spent = Some(needed);
            let unpaid = followers.skip_while(|entry| {
                spent = spent.and_then(|spent| spent.checked_add(entry.total()));
                spent.is_some_and(|spent| spent <= screened.account.balance)
            });
            std::iter::once(waiting).chain(unpaid).collect()
        } else {
            vec![waiting]
        };
        let required = self.replacement_fee(signed, screened.cost, &displaced);
        if tx.fee() < required {
            return Err(Rejection::ReplacementUnderpaid { fee: tx.fee(), required, waiting: waiting.pooled.id });
        }
        let queued_bytes = self.queued_bytes.saturating_sub(waiting.bytes()).saturating_add(signed.size_bytes());
        if !waiting.is_executable() && queued_bytes > self.limits.queued_bytes {
            return Err(Rejection::TooManyQueued { nonce: tx.nonce(), expected_nonce: queue.next_pending() });
        }
        Ok(Place::Replace(displaced.iter().map(|entry| entry.pooled.nonce()).collect()))
    }
}

impl Pool {
    /// The least fee for which a transaction may displace these.
    pub(super) fn replacement_fee(&self, signed: &SignedTransaction, cost: Cost, displaced: &[&Entry]) -> Mites {
        let bytes = displaced.iter().map(|entry| entry.bytes()).sum::<usize>() + signed.size_bytes();
        let lost = Mites::checked_sum(displaced.iter().map(|entry| entry.net())).unwrap_or(Mites::MAX);
        let required = lost.checked_add(self.floor(bytes)).unwrap_or(Mites::MAX);
        required.checked_add(cost.burned).unwrap_or(Mites::MAX)
    }
}

/// The next nonce and what the executable ones spend.
fn standing(queue: Option<&Queue>, account: &Account) -> (u64, Mites) {
    queue.map_or((account.next_nonce, Mites::ZERO), |queue| (queue.next_pending(), queue.spent))
}

/// Transactions that were taken once already are held only to what a block demands.
pub(super) const fn is_relaxed(source: Source) -> bool {
    matches!(source, Source::Journal | Source::Reorg)
}
