//! Places among the tried that two addresses claim. Whoever holds one keeps it for as long as it answers: it is probed
//! before it has to leave, so that an attacker who connects often does not push out nodes that are there.

use std::{collections::BTreeMap, net::SocketAddr};

use farthing::TimeMs;

use super::{Book, Table};
use crate::peers::limits::MAX_BOOK_CONTESTS;

/// A holder that was reached this lately is not probed again.
const LATELY_MS: u64 = 4 * 60 * 60 * 1_000;

/// Who claims whose place. Bounded: the oldest claim leaves first.
#[derive(Debug, Default)]
pub(super) struct Contests {
    next: u64,
    open: BTreeMap<u64, Contest>,
}

#[derive(Debug, Clone, Copy)]
struct Contest {
    holder: SocketAddr,
    newcomer: SocketAddr,
}

impl Contests {
    fn claim(&mut self, newcomer: SocketAddr, holder: SocketAddr) {
        if self.open.values().any(|open| open.newcomer == newcomer || open.holder == holder) {
            return;
        }
        if self.open.len() >= MAX_BOOK_CONTESTS {
            self.open.pop_first();
        }
        self.next += 1;
        self.open.insert(self.next, Contest { holder, newcomer });
    }

    /// It answered: it keeps its place, if one is claimed.
    pub(super) fn answered(&mut self, address: SocketAddr) {
        self.open.retain(|_, open| open.holder != address);
    }

    /// It did not answer: who gets its place.
    pub(super) fn failed(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        let number = self.open.iter().find(|(_, open)| open.holder == address).map(|(number, _)| *number)?;
        self.open.remove(&number).map(|open| open.newcomer)
    }

    /// It leaves the book: who gets its place.
    pub(super) fn forget(&mut self, address: SocketAddr) -> Option<SocketAddr> {
        self.open.retain(|_, open| open.newcomer != address);
        self.failed(address)
    }

    /// Whose places are claimed.
    pub(super) fn holders(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.open.values().map(|open| open.holder)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }
}

impl Book {
    /// Moves an address that was reached to the tried, or claims a place there.
    pub(super) fn promote(&mut self, address: SocketAddr, now: TimeMs) {
        let Some(entry) = self.entry(address).filter(|entry| entry.table == Table::New) else { return };
        let source = entry.source;
        if self.move_to(address, Table::Tried) {
            return;
        }
        let Some(rival) = self.buckets.rival(address, source) else { return };
        match self.entry(rival) {
            Some(holder) if !holder.is_stale(now) && !holder.is_lost() => {
                if holder.last_success.is_none_or(|reached| now.since(reached) > LATELY_MS) {
                    self.contests.claim(address, rival);
                }
            }
            _ => {
                self.forget(rival);
                self.move_to(address, Table::Tried);
            }
        }
    }

    /// Sends an address back to hearsay, or away if there is no room for it.
    pub(super) fn demote(&mut self, address: SocketAddr) {
        if !self.move_to(address, Table::New) {
            self.forget(address);
        }
    }

    /// Moves an address to the other table. False if its bucket there is full.
    pub(super) fn move_to(&mut self, address: SocketAddr, table: Table) -> bool {
        let Some(entry) = self.entry(address) else { return false };
        let (from, source) = (entry.table, entry.source);
        if from == table {
            return true;
        }
        if !self.buckets.insert(table, address, source) {
            return false;
        }
        self.buckets.remove(from, address, source);
        if let Some(entry) = self.entry_mut(address) {
            entry.table = table;
        }
        self.changed.insert(address);
        true
    }
}
