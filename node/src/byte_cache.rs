//! A cache bounded in bytes.

use std::{
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lru::LruCache;

/// The most recently used values, up to a number of bytes.
#[derive(Debug)]
pub(crate) struct ByteCache<K: Hash + Eq, V> {
    state: Mutex<State<K, V>>,
    limit: usize,
}

#[derive(Debug)]
struct State<K: Hash + Eq, V> {
    values: LruCache<K, (Arc<V>, usize)>,
    bytes: usize,
}

impl<K: Hash + Eq, V> ByteCache<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self { state: Mutex::new(State { values: LruCache::unbounded(), bytes: 0 }), limit }
    }

    pub(crate) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.lock().values.get(key).map(|(value, _)| Arc::clone(value))
    }

    /// Keeps a value of about so many bytes.
    pub(crate) fn put(&self, key: K, value: Arc<V>, bytes: usize) {
        let mut state = self.lock();
        if let Some((_, old)) = state.values.put(key, (value, bytes)) {
            state.bytes -= old;
        }
        state.bytes += bytes;
        while state.bytes > self.limit {
            let Some((_, (_, old))) = state.values.pop_lru() else { break };
            state.bytes -= old;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_goes_when_the_bytes_are_used_up() {
        let cache = ByteCache::new(10);
        cache.put(1, Arc::new("a"), 4);
        cache.put(2, Arc::new("b"), 4);
        assert!(cache.get(&1).is_some());
        cache.put(3, Arc::new("c"), 4);
        assert!(cache.get(&2).is_none() && cache.get(&1).is_some() && cache.get(&3).is_some());
        cache.put(4, Arc::new("too large"), 11);
        assert!(cache.get(&4).is_none());
    }
}
