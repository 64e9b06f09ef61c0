//! The address book: where nodes may be found. After the design of Bitcoin Core's `addrman`: two tables of buckets, one
//! of hearsay and one of nodes that this one had a session with, so that nobody can fill it; picked from group by group,
//! so that many addresses of one group weigh no more than one.

mod buckets;
mod contest;
mod entry;
mod group;
mod store;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use farthing::TimeMs;

pub use self::store::{BookStore, BookStoreError, Change, MemoryBookStore, Record, Shelf};
use self::{buckets::Buckets, contest::Contests, entry::Entry};
pub(super) use self::{
    buckets::{Salt, Table},
    group::{NetGroup, Source, is_public},
};
use crate::env::{Random, canonical};

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
    buckets: Buckets,
    contests: Contests,
    /// How often an address was reached in this run.
    successes: u64,
    changed: BTreeSet<SocketAddr>,
    /// Keys of records that could not be read.
    unreadable: Vec<Vec<u8>>,
    /// Whether private and loopback addresses may be learnt and passed on.
    private: bool,
}

impl Book {
    pub(super) fn new(private: bool, salt: Salt) -> Self {
        Self {
            groups: BTreeMap::new(),
            len: 0,
            buckets: Buckets::new(salt),
            contests: Contests::default(),
            successes: 0,
            changed: BTreeSet::new(),
            unreadable: Vec::new(),
            private,
        }
    }

    /// How many addresses it has.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Takes up the records of an earlier run, also of the version before; those that cannot be read or that have no
    /// room are dropped, here and in the store. Returns how many were.
    pub(super) fn restore(&mut self, records: impl IntoIterator<Item = Record>) -> usize {
        let mut dropped = 0;
        for (key, record) in records {
            let Some(address) = entry::address_of(&key) else {
                self.unreadable.push(key);
                dropped += 1;
                continue;
            };
            let kept = match Entry::from_record(&record) {
                Ok((entry, is_current)) if self.is_allowed(address) && self.entry(address).is_none() => {
                    // A table that is full sends the others back to hearsay.
                    let as_new = entry.clone().in_table(Table::New);
                    (self.insert(address, entry) || self.insert(address, as_new)) && is_current
                }
                _ => false,
            };
            if self.entry(address).is_none() {
                dropped += 1;
            }
            if !kept {
                self.changed.insert(address);
            }
        }
        dropped
    }

    /// An address that somebody told of.
    pub(super) fn learn(&mut self, seen: SeenAddress, source: impl Into<Source>, now: TimeMs) -> Learned {
        let address = canonical(seen.address);
        let last_seen = seen.last_seen.min(now);
        if !self.is_allowed(address) || entry::is_stale(last_seen, now) {
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
        let entry = Entry::new(last_seen, source.into());
        let is_in = self.insert(address, entry.clone())
            || (self.make_room(address, entry.source, now) && self.insert(address, entry));
        if !is_in {
            return Learned::Refused;
        }
        self.changed.insert(address);
        Learned::New
    }

    /// This address was reached: a session with it came about, or it answered a probe.
    pub(super) fn connected(&mut self, address: SocketAddr, now: TimeMs) {
        let address = canonical(address);
        if !self.is_allowed(address) {
            return;
        }
        self.successes += 1;
        self.contests.answered(address);
        let own_group = Source::Group(NetGroup::of(address.ip()));
        if self.entry(address).is_none() {
            let entry = Entry::new(now, own_group);
            let is_in =
                self.insert(address, entry.clone().in_table(Table::Tried)) || self.insert(address, entry.clone());
            if !is_in {
                // It is there, which hearsay may not be, nor what was reached longer ago.
                let members = self.buckets.members(Table::New, address, own_group);
                let least = members.min_by_key(|member| self.entry(*member).and_then(|entry| entry.last_success));
                if let Some(least) = least {
                    self.forget(least);
                }
                self.insert(address, entry);
            }
        }
        if let Some(entry) = self.entry_mut(address) {
            entry.succeed(now);
            self.changed.insert(address);
        }
        self.promote(address, now);
    }

    /// An attempt to reach this address failed. `now` is the steady clock's.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Duration, jitter: f64) {
        let address = canonical(address);
        let successes = self.successes;
        let Some(entry) = self.entry_mut(address) else { return };
        let counts = entry.fail(now, jitter, successes);
        let is_lost = entry.is_lost();
        self.changed.insert(address);
        if counts && let Some(newcomer) = self.contests.failed(address) {
            // It kept its place only as long as it answered.
            self.demote(address);
            self.move_to(newcomer, Table::Tried);
        }
        if is_lost {
            self.forget(address);
        }
    }

    /// A session with this address, which this node began, ended.
    pub(super) fn parted(&mut self, address: SocketAddr, wall: TimeMs, now: Duration, lasted: Duration, jitter: f64) {
        let address = canonical(address);
        if let Some(entry) = self.entry_mut(address) {
            entry.succeed(wall);
            entry.part(now, lasted, jitter);
            self.changed.insert(address);
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
        self.buckets.remove(entry.table, address, entry.source);
        self.changed.insert(address);
        if let Some(newcomer) = self.contests.forget(address) {
            self.move_to(newcomer, Table::Tried);
        }
    }

    /// Drops hearsay of what nobody saw alive for a long time. Where this node has been it may be again.
    pub(super) fn expire(&mut self, now: TimeMs) {
        let hearsay = self.groups.values().flatten().filter(|(_, entry)| entry.table == Table::New);
        let stale: Vec<SocketAddr> =
            hearsay.filter(|(_, entry)| entry.is_stale(now)).map(|(address, _)| *address).collect();
        for address in stale {
            self.forget(address);
        }
    }

    /// An address to dial: a random one of a random group; groups that are not `in_use` before those that are. Half of
    /// the time it is one that was reached before, if there is any: hearsay of many groups costs nothing. The other half
    /// all groups have the same chance: those that this node never reached would else be few, and mostly an attacker's.
    pub(super) fn pick(
        &self,
        random: &dyn Random,
        now: Duration,
        in_use: &BTreeSet<NetGroup>,
        allowed: impl Fn(&SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let tables: &[Option<Table>] = if random.below(2) == 0 { &[Some(Table::Tried), None] } else { &[None] };
        [false, true].into_iter().find_map(|used| {
            let of_use = |group: &NetGroup| in_use.contains(group) == used;
            tables.iter().find_map(|table| self.pick_from(*table, random, now, of_use, &allowed))
        })
    }

    /// An address to probe: one whose place another claims, or else one that this node knows by hearsay only.
    pub(super) fn pick_to_probe(
        &self,
        random: &dyn Random,
        now: Duration,
        allowed: impl Fn(&SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let ready = |address: &SocketAddr| self.entry(*address).is_some_and(|entry| entry.retry_at <= now);
        let contested = self.contested().find(|address| ready(address) && allowed(address));
        contested.or_else(|| self.pick_from(Some(Table::New), random, now, |_| true, &allowed))
    }

    /// Addresses whose places among the tried others claim.
    pub(super) fn contested(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.contests.holders()
    }

    /// A random address of a random group: of one table, or of either with the same chance.
    fn pick_from(
        &self,
        table: Option<Table>,
        random: &dyn Random,
        now: Duration,
        group: impl Fn(&NetGroup) -> bool,
        allowed: impl Fn(&SocketAddr) -> bool,
    ) -> Option<SocketAddr> {
        let mut groups: Vec<&BTreeMap<SocketAddr, Entry>> =
            self.groups.iter().filter(|(key, _)| group(key)).map(|(_, entries)| entries).collect();
        random.shuffle(&mut groups);
        groups.into_iter().find_map(|entries| {
            let ready = entries.iter().filter(|(address, entry)| entry.retry_at <= now && allowed(address));
            let (tried, new): (Vec<_>, Vec<_>) = ready.partition(|(_, entry)| entry.table == Table::Tried);
            let from = match table {
                Some(Table::Tried) => tried,
                Some(Table::New) => new,
                None if new.is_empty() || (!tried.is_empty() && random.below(2) == 0) => tried,
                None => new,
            };
            let at = usize::try_from(random.below(from.len() as u64)).unwrap_or_default();
            from.get(at).map(|(address, _)| **address)
        })
    }

    /// Some addresses to pass on.
    pub(super) fn sample(&self, random: &dyn Random, most: usize, now: TimeMs) -> Vec<SeenAddress> {
        let entries = self.groups.values().flatten();
        let fresh = entries.filter(|(_, entry)| entry.failures == 0 && !entry.is_stale(now));
        let mut sample: Vec<SeenAddress> =
            fresh.map(|(address, entry)| SeenAddress { address: *address, last_seen: entry.last_seen }).collect();
        random.pick_some(&mut sample, most);
        sample
    }

    /// Records that changed since this was last asked: what to write, or nothing where a record is to be removed.
    pub(super) fn take_changes(&mut self) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
        let changed = std::mem::take(&mut self.changed);
        let record = |address: &SocketAddr| self.entry(*address).map(Entry::to_record);
        let mut changes: Vec<_> = changed.iter().map(|address| (entry::key(*address), record(address))).collect();
        changes.extend(std::mem::take(&mut self.unreadable).into_iter().map(|key| (key, None)));
        changes
    }

    /// These changes were not written: they are to be taken again.
    pub(super) fn put_back(&mut self, keys: impl IntoIterator<Item = Vec<u8>>) {
        for key in keys {
            match entry::address_of(&key) {
                // In another spelling it is one of those that could not be read.
                Some(address) if entry::key(address) == key => drop(self.changed.insert(address)),
                _ => self.unreadable.push(key),
            }
        }
    }

    #[cfg(test)]
    pub(in crate::peers) fn is_tried(&self, address: SocketAddr) -> bool {
        self.entry(address).is_some_and(|entry| entry.table == Table::Tried)
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

    /// Enters an address that is not in the book. False if its bucket is full.
    fn insert(&mut self, address: SocketAddr, entry: Entry) -> bool {
        if !self.buckets.insert(entry.table, address, entry.source) {
            return false;
        }
        if self.groups.entry(NetGroup::of(address.ip())).or_default().insert(address, entry).is_none() {
            self.len += 1;
        }
        true
    }

    /// Makes room for hearsay, at the cost of an address that is stale or never answered. False if there is none: what
    /// may be good is never displaced by what was merely told.
    fn make_room(&mut self, address: SocketAddr, source: Source, now: TimeMs) -> bool {
        let gives_way = |member: &SocketAddr| self.entry(*member).is_some_and(|entry| entry.gives_way(now));
        let leaving = self.buckets.members(Table::New, address, source).find(gives_way);
        leaving.map(|leaving| self.forget(leaving)).is_some()
    }
}

#[cfg(test)]
mod tests;
