//! Keys of accounts: parsed ones in a bounded cache, the rest by their place in the log.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

use farthing::{Address, PublicKey, VerifyingKey};
use lru::LruCache;

use super::{ChainView, rejection::ChainError};
use crate::store::Store;

/// Parsed keys. A key is fixed by its address, so an entry is right for every branch.
#[derive(Debug)]
pub(super) struct KeyCache(Mutex<LruCache<Address, VerifyingKey>>);

impl KeyCache {
    pub(super) fn new(capacity: NonZeroUsize) -> Self {
        Self(Mutex::new(LruCache::new(capacity)))
    }

    /// The parsed form of a key that is at hand.
    pub(super) fn parse(&self, address: Address, key: &PublicKey) -> Option<VerifyingKey> {
        if let Some(found) = self.get(&address) {
            return Some(found);
        }
        let parsed = VerifyingKey::new(key).ok()?;
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(address, parsed.clone());
        Some(parsed)
    }

    /// The key of an account that has sent a transaction on this view's chain.
    pub(super) fn of_account(
        &self,
        view: &ChainView,
        store: &dyn Store,
        address: Address,
    ) -> Result<Option<VerifyingKey>, ChainError> {
        if let Some(found) = self.get(&address) {
            return Ok(Some(found));
        }
        let Some(place) = view.key_place(&address) else { return Ok(None) };
        let key = store.key_at(&place, &address)?;
        Ok(self.parse(address, &key))
    }

    fn get(&self, address: &Address) -> Option<VerifyingKey> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned()
    }
}
