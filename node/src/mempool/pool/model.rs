//! A second pool without indexes, written from the rules.

use std::{
    cmp::{Ordering, Reverse},
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use farthing::{Account, Address, TxId};

use super::{
    Now,
    tests::{Spend, View, address},
};
use crate::mempool::PoolLimits;

pub(super) const OPENING_COST: u64 = 10_000_000;

pub(super) fn limits() -> PoolLimits {
    PoolLimits {
        bytes: 3_500,
        executable_per_account: 4,
        queued_per_account: 2,
        queued_bytes: 1_600,
        ..PoolLimits::default()
    }
}

/// A transaction of the model.
#[derive(Debug, Clone)]
pub(super) struct Waiting {
    spend: Spend,
    pub(super) id: TxId,
    bytes: usize,
    arrival: u64,
    /// None for an executable one.
    pub(super) deadline: Option<Duration>,
}

impl Waiting {
    fn total(&self) -> u64 {
        self.spend.fee + self.spend.amount
    }

    fn sender(&self) -> Address {
        address(self.spend.from)
    }
}

/// A fraction: net fee over bytes.
type Fraction = (u64, usize);

fn compare(a: &Fraction, b: &Fraction) -> Ordering {
    (u128::from(a.0) * b.1 as u128).cmp(&(u128::from(b.0) * a.1 as u128))
}

#[derive(Debug, Clone)]
pub(super) struct Model {
    pub(super) all: Vec<Waiting>,
    pub(super) view: View,
    pub(super) next_arrival: u64,
    pub(super) dropped: BTreeMap<TxId, &'static str>,
}

impl Model {
    pub(super) fn account(&self, address: &Address) -> Account {
        self.view.accounts.get(address).copied().unwrap_or_default()
    }

    fn burned(&self, spend: &Spend) -> u64 {
        if self.view.accounts.contains_key(&spend.to) { 0 } else { OPENING_COST }
    }

    fn net(&self, waiting: &Waiting) -> u64 {
        waiting.spend.fee.saturating_sub(self.burned(&waiting.spend))
    }

    fn rate(&self, waiting: &Waiting) -> Fraction {
        (self.net(waiting), waiting.bytes)
    }

    fn of(&self, sender: &Address, executable: bool) -> Vec<&Waiting> {
        let mut found: Vec<&Waiting> =
            self.all.iter().filter(|w| w.sender() == *sender && w.deadline.is_none() == executable).collect();
        found.sort_by_key(|waiting| waiting.spend.nonce);
        found
    }

    /// What a miner gets per byte for coming this far in the account's chain.
    fn worth(&self, waiting: &Waiting) -> Fraction {
        let before = self.of(&waiting.sender(), true).into_iter().filter(|w| w.spend.nonce < waiting.spend.nonce);
        before.map(|w| self.rate(w)).chain([self.rate(waiting)]).min_by(compare).unwrap()
    }

    fn bytes(&self) -> usize {
        self.all.iter().map(|waiting| waiting.bytes).sum()
    }

    fn queued_bytes(&self) -> usize {
        self.all.iter().filter(|waiting| waiting.deadline.is_some()).map(|waiting| waiting.bytes).sum()
    }

    fn remove(&mut self, id: &TxId, reason: &'static str) {
        self.all.retain(|waiting| waiting.id != *id);
        self.dropped.insert(*id, reason);
    }

    fn push(&mut self, spend: &Spend, now: Now) {
        let bytes = spend.signed().size_bytes();
        let deadline = Some(now.elapsed + limits().queued_for);
        self.dropped.remove(&spend.id());
        self.all.push(Waiting { spend: spend.clone(), id: spend.id(), bytes, arrival: self.next_arrival, deadline });
        self.next_arrival += 1;
    }

    pub(super) fn admit(&mut self, spend: &Spend, now: Now) -> Result<(), &'static str> {
        let new = Waiting {
            spend: spend.clone(),
            id: spend.id(),
            bytes: spend.signed().size_bytes(),
            arrival: u64::MAX,
            deadline: None,
        };
        if self.all.iter().any(|waiting| waiting.id == new.id) {
            return Ok(());
        }
        let sender = new.sender();
        let account = self.account(&sender);
        if spend.nonce < account.next_nonce {
            return Err("NONCE_TOO_LOW");
        }
        if spend.valid_until.is_some_and(|last| last < self.view.height.get() + 3) {
            return Err("EXPIRES_TOO_SOON");
        }
        if spend.fee < self.burned(spend) + 100 * new.bytes as u64 {
            return Err("FEE_TOO_LOW");
        }
        let balance = account.balance.get();
        if new.total() > balance {
            return Err("INSUFFICIENT_BALANCE");
        }
        let (displaced, executable) = self.place(&new, account)?;
        let mut after = self.clone();
        for id in &displaced {
            after.remove(id, "REPLACED");
        }
        let before = after.of(&sender, true).into_iter().filter(|waiting| waiting.spend.nonce < spend.nonce);
        let worth = before.map(|waiting| after.rate(waiting)).chain([self.rate(&new)]).min_by(compare).unwrap();
        let mut evicted = BTreeSet::new();
        while after.bytes() + new.bytes > limits().bytes {
            if !executable {
                return Err("POOL_FULL");
            }
            let queued = after.first_queued(Some(sender));
            let victim = queued.or_else(|| {
                let tail = after.cheapest_tail(Some(sender))?;
                (compare(&after.worth(tail), &worth) == Ordering::Less).then_some(tail)
            });
            let Some(victim) = victim else { return Err("POOL_FULL") };
            let (id, from) = (victim.id, victim.sender());
            evicted.insert(from);
            after.remove(&id, "EVICTED");
        }
        after.push(spend, now);
        for from in evicted.into_iter().chain([sender]) {
            after.settle(&from, now);
        }
        *self = after;
        Ok(())
    }

    /// Which ones it takes the place of, and whether it is executable then.
    fn place(&self, new: &Waiting, account: Account) -> Result<(Vec<TxId>, bool), &'static str> {
        let (sender, nonce) = (new.sender(), new.spend.nonce);
        let (balance, chain) = (account.balance.get(), self.of(&sender, true));
        if let Some(old) = self.all.iter().find(|w| w.sender() == sender && w.spend.nonce == nonce) {
            let mut displaced = vec![old];
            if old.deadline.is_none() {
                let earlier = chain.iter().filter(|w| w.spend.nonce < nonce).map(|w| w.total()).sum::<u64>();
                let mut spent = earlier + new.total();
                if spent > balance {
                    return Err("INSUFFICIENT_BALANCE");
                }
                for follower in chain.iter().filter(|w| w.spend.nonce > nonce) {
                    spent += follower.total();
                    if spent > balance {
                        displaced.push(follower);
                    }
                }
            }
            let bytes: usize = displaced.iter().map(|w| w.bytes).sum::<usize>() + new.bytes;
            let lost: u64 = displaced.iter().map(|w| self.net(w)).sum();
            if self.net(new) < lost + 100 * bytes as u64 {
                return Err("REPLACEMENT_UNDERPAID");
            }
            if old.deadline.is_some() && self.queued_bytes() - old.bytes + new.bytes > limits().queued_bytes {
                return Err("TOO_MANY_QUEUED");
            }
            return Ok((displaced.iter().map(|w| w.id).collect(), old.deadline.is_none()));
        }
        let next = account.next_nonce + chain.len() as u64;
        if nonce == next {
            if chain.len() >= limits().executable_per_account {
                return Err("ACCOUNT_FULL");
            }
            if chain.iter().map(|w| w.total()).sum::<u64>() + new.total() > balance {
                return Err("INSUFFICIENT_BALANCE");
            }
            return Ok((Vec::new(), true));
        }
        let first_here = self.all.iter().any(|w| w.sender() == sender && w.spend.nonce == 0);
        if account.next_nonce == 0 && !first_here {
            return Err("KEY_UNKNOWN");
        }
        if self.of(&sender, false).len() >= limits().queued_per_account
            || self.queued_bytes() + new.bytes > limits().queued_bytes
            || nonce >= account.next_nonce + limits().executable_per_account as u64
        {
            return Err("TOO_MANY_QUEUED");
        }
        Ok((Vec::new(), false))
    }

    fn first_queued(&self, except: Option<Address>) -> Option<&Waiting> {
        let queued = self.all.iter().filter(|w| w.deadline.is_some() && Some(w.sender()) != except);
        queued.min_by_key(|w| (w.deadline, w.sender(), w.spend.nonce))
    }

    fn cheapest_tail(&self, except: Option<Address>) -> Option<&Waiting> {
        let senders: BTreeSet<Address> = self.all.iter().map(Waiting::sender).collect();
        let tails =
            senders.into_iter().filter(|s| Some(*s) != except).filter_map(|s| self.of(&s, true).last().copied());
        tails.min_by(|a, b| compare(&self.worth(a), &self.worth(b)).then(Reverse(a.arrival).cmp(&Reverse(b.arrival))))
    }

    fn settle(&mut self, sender: &Address, now: Now) {
        let account = self.account(sender);
        let mut mine: Vec<Waiting> = self.all.iter().filter(|w| w.sender() == *sender).cloned().collect();
        mine.sort_by_key(|waiting| waiting.spend.nonce);
        let (mut executable, mut spent, mut end) = (0, 0, None);
        let mut queued = Vec::new();
        for waiting in mine {
            if waiting.spend.nonce < account.next_nonce {
                self.remove(&waiting.id, "NONCE_USED");
                continue;
            }
            if waiting.spend.fee < self.burned(&waiting.spend) {
                self.remove(&waiting.id, "FEE_TOO_LOW");
                continue;
            }
            if end.is_none() {
                if waiting.spend.nonce != account.next_nonce + executable as u64 {
                    end = Some("GAP_TOO_LARGE");
                } else if executable >= limits().executable_per_account {
                    end = Some("EVICTED");
                } else if spent + waiting.total() > account.balance.get() {
                    end = Some("INSUFFICIENT_BALANCE");
                }
            }
            let known = self.all.iter_mut().find(|w| w.id == waiting.id).unwrap();
            if end.is_none() {
                spent += waiting.total();
                executable += 1;
                known.deadline = None;
            } else {
                known.deadline.get_or_insert(now.elapsed + limits().queued_for);
                queued.push(waiting.id);
            }
        }
        for id in queued.into_iter().skip(limits().queued_per_account) {
            self.remove(&id, end.unwrap());
        }
    }

    fn settle_all(&mut self, now: Now) {
        let senders: BTreeSet<Address> = self.all.iter().map(Waiting::sender).collect();
        for sender in senders {
            self.settle(&sender, now);
        }
    }

    pub(super) fn advance(&mut self, view: &View, undone: &[Spend], applied: &[Spend], now: Now) {
        self.view = view.clone();
        for spend in applied {
            self.all.retain(|waiting| waiting.id != spend.id());
            self.dropped.remove(&spend.id());
        }
        let mined: BTreeSet<TxId> = applied.iter().map(Spend::id).collect();
        for spend in undone.iter().filter(|spend| !mined.contains(&spend.id())) {
            if self.all.iter().any(|waiting| waiting.id == spend.id()) {
                continue;
            }
            let taken = |w: &Waiting| w.spend.from == spend.from && w.spend.nonce == spend.nonce;
            if self.all.iter().any(taken) {
                self.dropped.insert(spend.id(), "REPLACED");
            } else {
                self.push(spend, now);
            }
        }
        self.settle_all(now);
        let expired = |w: &&Waiting| w.spend.valid_until.is_some_and(|last| last <= view.height.get());
        for id in self.all.iter().filter(expired).map(|w| w.id).collect::<Vec<_>>() {
            self.remove(&id, "EXPIRED");
        }
        self.settle_all(now);
        while self.queued_bytes() > limits().queued_bytes {
            let id = self.first_queued(None).unwrap().id;
            self.remove(&id, "GAP_TOO_LARGE");
        }
        while self.bytes() > limits().bytes {
            let id = self.first_queued(None).or_else(|| self.cheapest_tail(None)).unwrap().id;
            self.remove(&id, "EVICTED");
            self.settle_all(now);
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        let over = |w: &&Waiting| w.deadline.is_some_and(|deadline| deadline <= now.elapsed);
        for id in self.all.iter().filter(over).map(|w| w.id).collect::<Vec<_>>() {
            self.remove(&id, "GAP_TIMEOUT");
        }
    }

    /// The order of templates: always the best of the accounts' next ones.
    pub(super) fn order(&self) -> Vec<TxId> {
        let mut rest = self.clone();
        rest.all.retain(|waiting| waiting.deadline.is_none());
        let mut order = Vec::new();
        while !rest.all.is_empty() {
            let senders: BTreeSet<Address> = rest.all.iter().map(Waiting::sender).collect();
            let heads = senders.iter().map(|sender| rest.of(sender, true)[0]);
            let best = heads
                .max_by(|a, b| compare(&rest.rate(a), &rest.rate(b)).then(Reverse(a.arrival).cmp(&Reverse(b.arrival))))
                .unwrap()
                .id;
            rest.all.retain(|waiting| waiting.id != best);
            order.push(best);
        }
        order
    }
}
