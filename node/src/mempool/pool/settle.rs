//! Bringing one account's queue into shape: what is executable, what waits, what goes.

use farthing::{Account, Address, Mites};

use super::{
    super::{DropReason, Exit},
    Now, Pool,
    queue::{Entry, Queue, State, Tail},
    rate::Rate,
};

/// Why the executable part of a queue ends.
#[derive(Debug, Clone, Copy)]
enum End {
    Gap,
    Funds,
    Full,
}

impl End {
    /// Why those behind it are dropped if they cannot all wait.
    const fn reason(self) -> DropReason {
        match self {
            Self::Gap => DropReason::GapTooLarge,
            Self::Funds => DropReason::InsufficientBalance,
            Self::Full => DropReason::Evicted,
        }
    }
}

/// How far the executable part reaches.
#[derive(Debug)]
struct Reach {
    next_nonce: u64,
    executable: usize,
    spent: Mites,
    floor: Option<Rate>,
    end: Option<End>,
}

impl Reach {
    /// Whether the next entry in order of nonce is executable too.
    fn extend(&mut self, entry: &Entry, balance: Mites, limit: usize) -> bool {
        if self.end.is_some() {
            return false;
        }
        let expected = self.next_nonce.checked_add(self.executable as u64);
        let spent = self.spent.checked_add(entry.total()).filter(|spent| *spent <= balance);
        match spent {
            _ if expected != Some(entry.pooled.nonce()) => self.end = Some(End::Gap),
            _ if self.executable >= limit => self.end = Some(End::Full),
            None => self.end = Some(End::Funds),
            Some(spent) => {
                self.spent = spent;
                self.executable += 1;
                self.floor = Some(self.floor.map_or(entry.rate(), |floor| floor.min(entry.rate())));
                return true;
            }
        }
        false
    }
}

/// The nonce behind the executable ones of these, given in order of nonces, and what those take from the account.
pub(super) fn reach<'a>(entries: impl IntoIterator<Item = &'a Entry>, account: &Account, limit: usize) -> (u64, Mites) {
    let next_nonce = account.next_nonce;
    let mut reach = Reach { next_nonce, executable: 0, spent: Mites::ZERO, floor: None, end: None };
    for entry in entries {
        if !reach.extend(entry, account.balance, limit) {
            break;
        }
    }
    (next_nonce.saturating_add(reach.executable as u64), reach.spent)
}

impl Pool {
    /// Brings a queue into shape after its entries, the account or what they cost has changed.
    pub(super) fn settle(&mut self, address: Address, now: Now) {
        let Some(mut queue) = self.queues.remove(&address) else { return };
        self.remove_tail(&mut queue);
        let account = self.confirmed.account(&address).unwrap_or_default();
        self.drop_stale(&mut queue, &account);
        let end = self.divide(&mut queue, &account, now);
        self.trim_queued(&mut queue, end);
        if !queue.entries.is_empty() {
            self.add_tail(&mut queue);
            self.queues.insert(address, queue);
        }
    }

    /// Drops what can never be executed: nonces that are used, fees below what they would burn.
    fn drop_stale(&mut self, queue: &mut Queue, account: &Account) {
        let later = queue.entries.split_off(&account.next_nonce);
        for entry in std::mem::replace(&mut queue.entries, later).into_values() {
            self.detach(&entry, DropReason::NonceUsed.into());
        }
        let unpaid = |entry: &Entry| entry.fee() < entry.cost.burned;
        let nonces: Vec<u64> = queue.entries.values().filter(|e| unpaid(e)).map(|e| e.pooled.nonce()).collect();
        for nonce in nonces {
            if let Some(entry) = queue.entries.remove(&nonce) {
                self.detach(&entry, DropReason::FeeTooLow.into());
            }
        }
    }

    /// Finds where the executable part ends and changes the entries' states accordingly.
    fn divide(&mut self, queue: &mut Queue, account: &Account, now: Now) -> End {
        let deadline = now.elapsed.saturating_add(self.limits.queued_for);
        let next_nonce = account.next_nonce;
        let mut reach = Reach { next_nonce, executable: 0, spent: Mites::ZERO, floor: None, end: None };
        for entry in queue.entries.values_mut() {
            if reach.extend(entry, account.balance, self.limits.executable_per_account) {
                entry.floor = reach.floor.unwrap_or(entry.floor);
                if !entry.is_executable() {
                    self.change_state(entry, State::Executable);
                }
            } else if entry.is_executable() {
                self.change_state(entry, State::Queued(deadline));
            }
        }
        queue.next_nonce = account.next_nonce;
        queue.balance = account.balance;
        queue.executable = reach.executable;
        queue.spent = reach.spent;
        reach.end.unwrap_or(End::Gap)
    }

    /// Keeps only so many waiting, those with the lowest nonces.
    fn trim_queued(&mut self, queue: &mut Queue, end: End) {
        while queue.queued() > self.limits.queued_per_account
            && let Some((_, entry)) = queue.entries.pop_last()
        {
            self.detach(&entry, end.reason().into());
        }
    }

    pub(super) fn remove_tail(&mut self, queue: &mut Queue) {
        if let Some(tail) = queue.tail.take() {
            self.tails.remove(&tail);
        }
    }

    pub(super) fn add_tail(&mut self, queue: &mut Queue) {
        queue.tail = queue.last_executable().map(Tail::of);
        self.tails.extend(queue.tail);
    }

    /// Takes an entry out of its queue, which must be settled afterwards.
    pub(super) fn pull(&mut self, address: &Address, nonce: u64, exit: Exit) {
        let entry = self.queues.get_mut(address).and_then(|queue| queue.entries.remove(&nonce));
        if let Some(entry) = entry {
            self.detach(&entry, exit);
        }
    }
}
