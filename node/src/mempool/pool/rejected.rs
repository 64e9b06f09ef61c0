//! Wire ids that were refused, so that nobody is asked for them again. Never transaction ids: those do not fix the
//! signature, and anybody can attach garbage to them.

use std::num::NonZeroUsize;

use farthing::WireId;
use lru::LruCache;

use super::super::Rejection;

/// A bounded memory of refusals.
#[derive(Debug)]
pub(super) struct Rejected {
    lasting: LruCache<WireId, Rejection>,
    /// Those that the next tip may heal.
    until_next_tip: LruCache<WireId, ()>,
}

impl Rejected {
    pub(super) fn new(capacity: usize) -> Self {
        let half = NonZeroUsize::new(capacity / 2).unwrap_or(NonZeroUsize::MIN);
        Self { lasting: LruCache::new(half), until_next_tip: LruCache::new(half) }
    }

    pub(super) fn remember(&mut self, id: WireId, rejection: &Rejection) {
        if rejection.is_lasting() {
            self.lasting.put(id, rejection.clone());
        } else if !rejection.is_passing() {
            self.until_next_tip.put(id, ());
        }
    }

    /// The verdict on bytes that are refused whatever the state.
    pub(super) fn lasting(&self, id: &WireId) -> Option<&Rejection> {
        self.lasting.peek(id)
    }

    pub(super) fn contains(&self, id: &WireId) -> bool {
        self.lasting.contains(id) || self.until_next_tip.contains(id)
    }

    /// The state has changed.
    pub(super) fn new_tip(&mut self) {
        self.until_next_tip.clear();
    }

    /// The pool has taken it after all.
    pub(super) fn forget(&mut self, id: &WireId) {
        self.until_next_tip.pop(id);
    }
}
