//! The two tables of the book, each of many small buckets. Which bucket an address belongs in follows from a keyed hash,
//! so that nobody outside can tell whom it would have to push out; how many buckets a network group or an informer can
//! reach is bounded (Heilman, Kendler, Zohar, Goldberg: Eclipse Attacks on Bitcoin's Peer-to-Peer Network, 2015).

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::SocketAddr,
};

use sha2::{Digest as _, Sha256};

use super::{NetGroup, Source};
use crate::peers::limits::{
    BOOK_BUCKET, BOOK_NEW_BUCKETS, BOOK_NEW_PER_SOURCE, BOOK_TRIED_BUCKET, BOOK_TRIED_BUCKETS, BOOK_TRIED_PER_GROUP,
};

/// The key of the hashes: random, chosen at the first start, kept over restarts, told to nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::peers) struct Salt([u8; 32]);

impl Salt {
    pub(in crate::peers) const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A keyed hash of texts of fixed meaning: `what` tells its uses apart.
    pub(in crate::peers) fn hash(&self, what: &[u8; 4], first: &[u8], second: &[u8]) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(what);
        hash.update([u8::try_from(first.len()).unwrap_or(u8::MAX)]);
        hash.update(first);
        hash.update(second);
        let [a, b, c, d, e, f, g, h, ..] = <[u8; 32]>::from(hash.finalize());
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    fn new_bucket(&self, address: SocketAddr, source: Source) -> u64 {
        let (group, source) = (NetGroup::of(address.ip()).to_bytes(), source.to_bytes());
        let share = self.hash(b"newg", &source, &group) % BOOK_NEW_PER_SOURCE;
        self.hash(b"newb", &source, &share.to_le_bytes()) % BOOK_NEW_BUCKETS
    }

    fn tried_bucket(&self, address: SocketAddr) -> u64 {
        let group = NetGroup::of(address.ip()).to_bytes();
        let share = self.hash(b"trig", &group, address.to_string().as_bytes()) % BOOK_TRIED_PER_GROUP;
        self.hash(b"trib", &group, &share.to_le_bytes()) % BOOK_TRIED_BUCKETS
    }
}

impl fmt::Debug for Salt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Salt(..)")
    }
}

/// Which table an address is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peers) enum Table {
    /// Hearsay: this node never had a session with it, or its place among the tried was needed.
    New,
    /// This node had a session with it.
    Tried,
}

/// Who is in which bucket. The entries themselves are in the book.
#[derive(Debug)]
pub(super) struct Buckets {
    salt: Salt,
    new: BTreeMap<u64, BTreeSet<SocketAddr>>,
    tried: BTreeMap<u64, BTreeSet<SocketAddr>>,
}

impl Buckets {
    pub(super) const fn new(salt: Salt) -> Self {
        Self { salt, new: BTreeMap::new(), tried: BTreeMap::new() }
    }

    fn at(&self, table: Table, address: SocketAddr, source: Source) -> (u64, usize) {
        match table {
            Table::New => (self.salt.new_bucket(address, source), BOOK_BUCKET),
            Table::Tried => (self.salt.tried_bucket(address), BOOK_TRIED_BUCKET),
        }
    }

    const fn table(&self, table: Table) -> &BTreeMap<u64, BTreeSet<SocketAddr>> {
        match table {
            Table::New => &self.new,
            Table::Tried => &self.tried,
        }
    }

    const fn table_mut(&mut self, table: Table) -> &mut BTreeMap<u64, BTreeSet<SocketAddr>> {
        match table {
            Table::New => &mut self.new,
            Table::Tried => &mut self.tried,
        }
    }

    /// Puts an address into its bucket. False if that is full.
    pub(super) fn insert(&mut self, table: Table, address: SocketAddr, source: Source) -> bool {
        let (bucket, room) = self.at(table, address, source);
        let members = self.table_mut(table).entry(bucket).or_default();
        members.len() < room && members.insert(address)
    }

    /// Takes an address out of its bucket.
    pub(super) fn remove(&mut self, table: Table, address: SocketAddr, source: Source) {
        let (bucket, _) = self.at(table, address, source);
        let buckets = self.table_mut(table);
        if let Some(members) = buckets.get_mut(&bucket) {
            members.remove(&address);
            if members.is_empty() {
                buckets.remove(&bucket);
            }
        }
    }

    /// Who shares a bucket with this address.
    pub(super) fn members(
        &self,
        table: Table,
        address: SocketAddr,
        source: Source,
    ) -> impl Iterator<Item = SocketAddr> + '_ {
        let (bucket, _) = self.at(table, address, source);
        self.table(table).get(&bucket).into_iter().flatten().copied()
    }

    /// Whose place among the tried this address could have: always the same one, which nobody else can foresee.
    pub(super) fn rival(&self, address: SocketAddr, source: Source) -> Option<SocketAddr> {
        let newcomer = address.to_string();
        let rank = |member: &SocketAddr| self.salt.hash(b"riva", newcomer.as_bytes(), member.to_string().as_bytes());
        self.members(Table::Tried, address, source).min_by_key(rank)
    }

    #[cfg(test)]
    pub(super) fn sizes(&self, table: Table) -> impl Iterator<Item = usize> + '_ {
        self.table(table).values().map(BTreeSet::len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(a: u8, b: u8, c: u8, d: u8) -> SocketAddr {
        SocketAddr::from(([a, b, c, d], 1))
    }

    #[test]
    fn a_group_reaches_few_buckets_of_the_tried_and_an_informer_few_of_the_new() {
        let salt = Salt::from_bytes([7; 32]);
        let tried: BTreeSet<u64> = (0..=u16::MAX)
            .map(|host| salt.tried_bucket(at(20, 1, host.to_be_bytes()[0], host.to_be_bytes()[1])))
            .collect();
        assert!(tried.len() as u64 <= BOOK_TRIED_PER_GROUP && tried.len() > 1, "{}", tried.len());
        let informer = Source::Group(NetGroup::V4([30, 1]));
        let groups = || (0..=u16::MAX).map(|group| at(group.to_be_bytes()[0], group.to_be_bytes()[1], 1, 1));
        let new: BTreeSet<u64> = groups().map(|address| salt.new_bucket(address, informer)).collect();
        assert!(new.len() as u64 <= BOOK_NEW_PER_SOURCE && new.len() > 1, "{}", new.len());
        let all: BTreeSet<u64> = groups().map(|address| salt.tried_bucket(address)).collect();
        assert_eq!(all.len() as u64, BOOK_TRIED_BUCKETS, "all groups together reach every bucket");
        let pair: BTreeSet<u64> = (0..=255).map(|host| salt.new_bucket(at(20, 1, 1, host), informer)).collect();
        assert_eq!(pair.len(), 1, "one group from one informer has one bucket");
    }

    #[test]
    fn another_salt_sorts_otherwise() {
        let places = |byte| {
            let salt = Salt::from_bytes([byte; 32]);
            (0..64).map(|host| salt.tried_bucket(at(20, host, 1, 1))).collect::<Vec<_>>()
        };
        assert_eq!(places(1), places(1));
        assert_ne!(places(1), places(2));
        assert_eq!(format!("{:?}", Salt::from_bytes([1; 32])), "Salt(..)", "it is told to nobody");
    }
}
