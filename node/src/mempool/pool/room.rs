//! Making room in a full pool: gapped ones go first, then tails of account queues, the cheapest first.

use std::collections::BTreeSet;

use farthing::{Address, SignedTransaction};

use super::{
    super::Rejection,
    Now, Pool,
    place::Screened,
    queue::{Entry, Queue, Tail},
    rate::Rate,
};
use crate::mempool::DropReason;

impl Pool {
    /// What a transaction behind the executable ones is worth: no more than the cheapest before it.
    pub(super) fn worth(screened: &Screened, before: Option<&Entry>) -> Rate {
        before.map_or(screened.rate, |entry| entry.floor.min(screened.rate))
    }

    /// A quick look, before the signature is verified, at whether a full pool has room for it.
    pub(super) fn room_by_rate(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        queue: Option<&Queue>,
    ) -> Result<(), Rejection> {
        let worth = Self::worth(screened, queue.and_then(Queue::last_executable));
        let size = signed.size_bytes();
        if self.stats.bytes + size <= self.limits.bytes || self.queued_bytes > 0 {
            return Ok(());
        }
        match self.tails.first() {
            Some(tail) if tail.floor >= worth => Err(full(signed, screened, tail.floor)),
            _ => Ok(()),
        }
    }

    /// What must go so that `size` more bytes, less `freed`, find room; never anything of `sender` itself, and of
    /// executable ones only what is worth less than `worth`; none of them if that is none.
    pub(super) fn plan_room(
        &self,
        signed: &SignedTransaction,
        screened: &Screened,
        freed: usize,
        worth: Option<Rate>,
    ) -> Result<Vec<(Address, u64)>, Rejection> {
        let sender = signed.transaction().sender_address();
        let wanted = (self.stats.bytes + signed.size_bytes()).saturating_sub(freed);
        let mut missing = wanted.saturating_sub(self.limits.bytes);
        let mut plan = Vec::new();
        if missing == 0 {
            return Ok(plan);
        }
        let Some(worth) = worth else { return Err(full(signed, screened, screened.rate)) };
        for (_, address, nonce) in self.deadlines.iter().filter(|(_, address, _)| *address != sender) {
            if missing == 0 {
                break;
            }
            let entry = self.queues.get(address).and_then(|queue| queue.entries.get(nonce));
            missing = missing.saturating_sub(entry.map_or(0, Entry::bytes));
            plan.push((*address, *nonce));
        }
        let mut tails = self.tails.iter().filter(|tail| tail.account != sender).copied().peekable();
        // Tails that show once those behind them are gone.
        let mut bared: BTreeSet<Tail> = BTreeSet::new();
        while missing > 0 {
            let from_bared = bared.first().is_some_and(|b| tails.peek().is_none_or(|tail| b < tail));
            let cheapest = if from_bared { bared.pop_first() } else { tails.next() };
            let Some(tail) = cheapest else { return Err(full(signed, screened, screened.rate)) };
            if tail.floor >= worth {
                return Err(full(signed, screened, tail.floor));
            }
            let Some(queue) = self.queues.get(&tail.account) else { continue };
            missing = missing.saturating_sub(queue.entries.get(&tail.nonce).map_or(0, Entry::bytes));
            plan.push((tail.account, tail.nonce));
            let before = tail.nonce.checked_sub(1).filter(|nonce| *nonce >= queue.next_nonce);
            bared.extend(before.and_then(|nonce| queue.entries.get(&nonce)).map(Tail::of));
        }
        Ok(plan)
    }

    /// Lets go of what was planned.
    pub(super) fn evict(&mut self, plan: &[(Address, u64)], now: Now) {
        for (address, nonce) in plan {
            self.pull(address, *nonce, DropReason::Evicted.into());
        }
        let accounts: BTreeSet<Address> = plan.iter().map(|(address, _)| *address).collect();
        for address in accounts {
            self.settle(address, now);
        }
    }

    /// Brings the pool back within its bounds after a change of the tip.
    pub(super) fn enforce_bounds(&mut self, now: Now) {
        while self.queued_bytes > self.limits.queued_bytes
            && let Some((_, address, nonce)) = self.deadlines.first().copied()
        {
            self.pull(&address, nonce, DropReason::GapTooLarge.into());
            self.settle(address, now);
        }
        while self.stats.bytes > self.limits.bytes {
            let queued = self.deadlines.first().map(|(_, address, nonce)| (*address, *nonce));
            let Some(go) = queued.or_else(|| self.tails.first().map(|tail| (tail.account, tail.nonce))) else { break };
            self.evict(&[go], now);
        }
    }
}

fn full(signed: &SignedTransaction, screened: &Screened, outbid: Rate) -> Rejection {
    let net = outbid.outbid_by(signed.size_bytes());
    let required = net.checked_add(screened.cost.burned).unwrap_or(farthing::Mites::MAX);
    Rejection::PoolFull { required }
}
