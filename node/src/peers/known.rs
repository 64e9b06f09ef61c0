//! What a peer is known to have, so that nothing is echoed to where it came from.

use std::{
    collections::HashSet,
    hash::{BuildHasher as _, Hash, RandomState},
    marker::PhantomData,
};

/// A bounded set that remembers at least the newest half of its bound. It holds a keyed hash of each item, 8 bytes, in
/// two generations of which the older one goes as a whole: a stranger can fill one of these for each session. Two items
/// that share a hash, which nobody can bring about who does not know the key, are taken for one.
#[derive(Debug)]
pub(super) struct Known<K> {
    newer: HashSet<u64>,
    older: HashSet<u64>,
    /// Items of a generation.
    most: usize,
    key: RandomState,
    items: PhantomData<K>,
}

impl<K: Hash> Known<K> {
    /// A set of so many items.
    pub(super) fn new(most: usize) -> Self {
        Self {
            newer: HashSet::new(),
            older: HashSet::new(),
            most: most / 2,
            key: RandomState::new(),
            items: PhantomData,
        }
    }

    /// Remembers it. False if it was known.
    pub(super) fn insert(&mut self, item: &K) -> bool {
        let hash = self.key.hash_one(item);
        if self.newer.contains(&hash) {
            return false;
        }
        let is_new = !self.older.contains(&hash);
        if self.newer.len() >= self.most {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.insert(hash);
        is_new
    }

    pub(super) fn contains(&self, item: &K) -> bool {
        let hash = self.key.hash_one(item);
        self.newer.contains(&hash) || self.older.contains(&hash)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::peers::limits::MAX_KNOWN_WIRE_IDS;

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_bound_and_keeps_the_newest_half_of_it(
            keys in prop::collection::vec(0_u32..50, 0..200),
        ) {
            let mut known = Known::new(20);
            for (at, key) in keys.iter().enumerate() {
                let was_known = known.contains(key);
                prop_assert_eq!(known.insert(key), !was_known);
                prop_assert!(known.newer.len() + known.older.len() <= 20);
                let mut newest: Vec<u32> = Vec::new();
                for earlier in keys[..=at].iter().rev() {
                    if !newest.contains(earlier) && newest.len() < 10 {
                        newest.push(*earlier);
                    }
                }
                prop_assert!(newest.iter().all(|key| known.contains(key)));
            }
        }
    }

    #[test]
    fn an_insert_says_whether_it_is_new() {
        let mut known = Known::new(2);
        assert!(known.insert(&1));
        assert!(!known.insert(&1));
        assert!(known.contains(&1) && !known.contains(&2));
    }

    #[test]
    fn a_full_one_takes_little_memory() {
        let mut known = Known::new(MAX_KNOWN_WIRE_IDS);
        for number in 0..MAX_KNOWN_WIRE_IDS * 2 {
            known.insert(&number);
        }
        // A slot of the table is 9 bytes, and at least an eighth of them are free.
        let slots = (known.newer.capacity() + known.older.capacity()) * 8 / 7;
        assert!(slots * 9 <= 600_000, "{slots} slots");
    }
}
