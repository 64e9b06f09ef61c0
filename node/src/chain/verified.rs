//! Signatures that were verified already, so that a transfer is verified once: in the mempool, not again in its block.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::WireId;
use lru::LruCache;

/// A bounded set of signed transactions whose signature holds. Clones share it.
///
/// It is keyed by the wire id, which covers every byte, key and signature included; and a key is fixed by its address.
/// So the verdict depends on nothing else, and only the signature's: all rules that look at the state run again.
#[derive(Debug, Clone)]
pub struct VerifiedCache(Arc<Mutex<LruCache<WireId, ()>>>);

impl VerifiedCache {
    /// A set of at most so many.
    #[must_use]
    pub fn new(capacity: NonZeroUsize) -> Self {
        Self(Arc::new(Mutex::new(LruCache::new(capacity))))
    }

    /// Whether this transaction's signature was verified.
    #[must_use]
    pub fn contains(&self, id: &WireId) -> bool {
        self.lock().contains(id)
    }

    /// Remembers that these signatures hold.
    pub fn insert_all(&self, ids: impl IntoIterator<Item = WireId>) {
        let mut cache = self.lock();
        for id in ids {
            cache.put(id, ());
        }
    }

    fn lock(&self) -> MutexGuard<'_, LruCache<WireId, ()>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
