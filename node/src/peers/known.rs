//! What a peer is known to have, so that nothing is echoed to where it came from.

use std::hash::Hash;

use lru::LruCache;

/// A bounded set; the oldest leaves first.
#[derive(Debug)]
pub(super) struct Known<K: Hash + Eq> {
    // Unbounded for the map, bounded here: a bounded one reserves all its room at once, for every session.
    items: LruCache<K, ()>,
    most: usize,
}

impl<K: Hash + Eq> Known<K> {
    pub(super) fn new(most: usize) -> Self {
        Self { items: LruCache::unbounded(), most }
    }

    /// Remembers it. False if it was known.
    pub(super) fn insert(&mut self, key: K) -> bool {
        let new = self.items.put(key, ()).is_none();
        if self.items.len() > self.most {
            self.items.pop_lru();
        }
        new
    }

    pub(super) fn contains(&self, key: &K) -> bool {
        self.items.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_never_holds_more_than_its_bound_and_keeps_the_newest(keys in prop::collection::vec(0_u32..50, 0..200)) {
            let mut known = Known::new(10);
            for (at, key) in keys.iter().enumerate() {
                known.insert(*key);
                prop_assert!(known.items.len() <= 10);
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
        assert!(known.insert(1));
        assert!(!known.insert(1));
    }
}
