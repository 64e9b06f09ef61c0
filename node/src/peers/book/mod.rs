//! The address book: where nodes may be found. Bounded in all, per network group and per informer, so that nobody can
//! fill it; picked from group by group, so that many addresses of one group weigh no more than one.

mod entry;
mod group;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use farthing::TimeMs;

use self::entry::Entry;
pub(super) use self::group::{NetGroup, is_public};
pub use self::store::{BookStore, BookStoreError, MemoryBookStore, Record, Shelf};
use super::limits::{MAX_BOOK, MAX_BOOK_GROUP, MAX_BOOK_SOURCE};
use crate::env::{Random, canonical};

/// Addresses that nobody saw alive for so long are not passed on, nor taken.
const STALE_AFTER_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// An address as it is passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SeenAddress {
    pub(super) address: SocketAddr,
    pub(super) last_seen: TimeMs,
}

/// What became of an address that was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Learned {
    /// It is new.
    New,
    /// It was known.
    Known,
    /// There is no room for it, it is stale, or it can be nobody's.
    Refused,
}

/// Addresses of nodes.
#[derive(Debug)]
pub(super) struct Book {
    groups: BTreeMap<NetGroup, BTreeMap<SocketAddr, Entry>>,
    len: usize,
    per_source: BTreeMap<NetGroup, usize>,
    changed: BTreeSet<SocketAddr>,
    /// Whether private and loopback addresses may be learnt and passed on.
    private: bool,
}

impl Book {
    pub(super) const fn new(private: bool) -> Self {
        Self { groups: BTreeMap::new(), len: 0, per_source: BTreeMap::new(), changed: BTreeSet::new(), private }
    }

    /// How many addresses it has.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes up the records of an earlier run; those that cannot be read are dropped. Returns how many were.
    pub(super) fn restore(&mut self, records: impl IntoIterator<Item = Record>) -> usize {
        let mut dropped = 0;
        for (key, record) in records {
            match (entry::address_of(&key), Entry::from_record(&record)) {
                (Some(address), Ok(entry)) if self.is_allowed(address) && self.make_room(address, entry.source) => {
                    self.insert(address, entry);
                }
                _ => dropped += 1,
            }
        }
        dropped
    }

    /// An address that somebody told of.
    pub(super) fn learn(&mut self, seen: SeenAddress, source: NetGroup, now: TimeMs) -> Learned {
        let address = canonical(seen.address);
        let last_seen = seen.last_seen.min(now);
        if !self.is_allowed(address) || now.since(last_seen) > STALE_AFTER_MS {
            return Learned::Refused;
        }
        if let Some(entry) = self.entry_mut(address) {
            // Small steps are not worth a write.
            if last_seen.since(entry.last_seen) > 60_000 {
                entry.last_seen = last_seen;
                self.changed.insert(address);
            }
            return Learned::Known;
        }
        if !self.make_room(address, source) {
            return Learned::Refused;
        }
        self.insert(address, Entry::new(last_seen, source));
        self.changed.insert(address);
        Learned::New
    }

    /// A session with this address came about.
    pub(super) fn connected(&mut self, address: SocketAddr, now: TimeMs) {
        let address = canonical(address);
        let seen = SeenAddress { address, last_seen: now };
        if self.learn(seen, NetGroup::of(address.ip()), now) == Learned::Refused {
            return;
        }
        if let Some(entry) = self.entry_mut(address) {
            let before = (entry.met, entry.failures);
            (entry.met, entry.failures, entry.retry_at) = (true, 0, Duration::ZERO);
            if before != (true, 0) {
                self.changed.insert(address);
            }
        }
    }

    /// An attempt to reach this address failed. `now` is the steady clock's.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Duration, jitter: f64) {
        let address = canonical(address);
        let Some(entry) = self.entry_mut(address) else { return };
        if entry.fail(now, jitter) {
            self.changed.insert(address);
        } else {
            self.forget(address);
        }
    }

    /// This address is nobody to dial: this node itself, or one of another network.
    pub(super) fn forget(&mut self, address: SocketAddr) {
        let address = canonical(address);
        let group = NetGroup::of(address.ip());
        let Some(entries) = self.groups.get_mut(&group) else { return };
        let Some(entry) = entries.remove(&address) else { return };
        if entries.is_empty() {
            self.groups.remove(&group);
        }
        self.len -= 1;
        if let Some(count) = self.per_source.get_mut(&entry.source) {
            *count -= 1;
            if *count == 0 {
                self.per_source.remove(&entry.source);
            }
        }
        self.changed.insert(address);
    }

    /// An address to dial: a random one of a random group, groups that are not `in_use` before those that are.
    pub(super) fn pick(
        &self,
        random: &dyn Random,
        now: Duration,
        in_use: &BTreeSet<NetGroup>,
        allowed: impl Fn(&SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let mut groups: Vec<&NetGroup> = self.groups.keys().collect();
        random.shuffle(&mut groups);
        groups.sort_by_key(|group| in_use.contains(group));
        groups.into_iter().find_map(|group| {
            let ready =
                self.groups.get(group)?.iter().filter(|(address, entry)| entry.retry_at <= now && allowed(address));
            let ready: Vec<&SocketAddr> = ready.map(|(address, _)| address).collect();
            let at = usize::try_from(random.below(ready.len() as u64)).unwrap_or_default();
            ready.get(at).map(|address| **address)
        })
    }

    /// Some addresses to pass on.
    pub(super) fn sample(&self, random: &dyn Random, most: usize, now: TimeMs) -> Vec<SeenAddress> {
        let entries = self.groups.values().flatten();
        let fresh = entries.filter(|(_, entry)| entry.failures == 0 && now.since(entry.last_seen) <= STALE_AFTER_MS);
        let mut sample: Vec<SeenAddress> =
            fresh.map(|(address, entry)| SeenAddress { address: *address, last_seen: entry.last_seen }).collect();
        random.shuffle(&mut sample);
        sample.truncate(most);
        sample
    }

    /// Records that changed since this was last asked: what to write, or nothing where a record is to be removed.
    pub(super) fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let record = |address: &SocketAddr| self.entry(*address).map(Entry::to_record);
        changed.iter().map(|address| (entry::key(*address), record(address))).collect()
    }

    fn is_allowed(&self, address: SocketAddr) -> bool {
        let ip = address.ip();
        let dialable = !ip.is_unspecified() && !ip.is_multicast() && address.port() != 0;
        dialable && (self.private || is_public(ip))
    }

    fn entry(&self, address: SocketAddr) -> Option<&Entry> {
        self.groups.get(&NetGroup::of(address.ip()))?.get(&address)
    }

    fn entry_mut(&mut self, address: SocketAddr) -> Option<&mut Entry> {
        self.groups.get_mut(&NetGroup::of(address.ip()))?.get_mut(&address)
    }

    fn insert(&mut self, address: SocketAddr, entry: Entry) {
        *self.per_source.entry(entry.source).or_default() += 1;
        if self.groups.entry(NetGroup::of(address.ip())).or_default().insert(address, entry).is_none() {
            self.len += 1;
        }
    }

    /// Makes room for a new address, at the cost of one that this node never met. False if there is none.
    fn make_room(&mut self, address: SocketAddr, source: NetGroup) -> bool {
        if self.per_source.get(&source).is_some_and(|count| *count >= MAX_BOOK_SOURCE) {
            return false;
        }
        let group = NetGroup::of(address.ip());
        if self.groups.get(&group).is_some_and(|entries| entries.len() >= MAX_BOOK_GROUP) {
            return self.evict_from(group);
        }
        if self.len < MAX_BOOK {
            return true;
        }
        let largest = self.groups.iter().max_by_key(|(_, entries)| entries.len()).map(|(group, _)| *group);
        largest.is_some_and(|group| self.evict_from(group))
    }

    fn evict_from(&mut self, group: NetGroup) -> bool {
        let entries = self.groups.get(&group).into_iter().flatten();
        let least = entries.min_by_key(|(_, entry)| entry.worth()).map(|(address, entry)| (*address, entry.met));
        match least {
            Some((address, false)) => {
                self.forget(address);
                true
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests;
