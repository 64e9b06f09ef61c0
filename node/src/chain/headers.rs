//! Headers whose bodies are not here yet: a bounded tree in memory, never written to disk.

use std::collections::{BTreeMap, HashMap, HashSet};

use farthing::{BlockId, Work};
use farthing_consensus::HeaderContext;

/// Most headers that wait for bodies; about 300 bytes each.
pub(super) const MAX_WAITING_HEADERS: usize = 100_000;

/// What became of a list of headers.
#[derive(Debug, Clone)]
pub struct HeadersAccepted {
    /// The last header of the list.
    pub last: HeaderContext,
    /// Blocks on the way to `last` whose bodies are not here, the lowest first; at most the number asked for.
    pub missing_bodies: Vec<BlockId>,
}

/// Valid headers without bodies.
#[derive(Debug, Default)]
pub(super) struct HeaderTree {
    waiting: HashMap<BlockId, HeaderContext>,
    by_work: BTreeMap<(Work, BlockId), ()>,
}

impl HeaderTree {
    pub(super) fn get(&self, id: &BlockId) -> Option<&HeaderContext> {
        self.waiting.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The waiting header with the most work.
    pub(super) fn best(&self) -> Option<&HeaderContext> {
        let ((_, id), ()) = self.by_work.last_key_value()?;
        self.waiting.get(id)
    }

    pub(super) fn insert(&mut self, context: HeaderContext) {
        self.by_work.insert((context.total_work(), context.id()), ());
        self.waiting.insert(context.id(), context);
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        if let Some(context) = self.waiting.remove(id) {
            self.by_work.remove(&(context.total_work(), context.id()));
        }
    }

    /// Forgets every header that leads to nothing heavier than `tip`: its branch lost before its bodies came.
    pub(super) fn prune(&mut self, tip: Work) {
        let mut kept = HashSet::new();
        for (&(_, id), ()) in self.by_work.range((tip, BlockId::ZERO)..) {
            let mut next = self.waiting.get(&id);
            while let Some(context) = next.filter(|context| kept.insert(context.id())) {
                next = self.waiting.get(&context.header().previous);
            }
        }
        self.waiting.retain(|id, _| kept.contains(id));
        self.by_work.retain(|(_, id), ()| kept.contains(id));
    }

    /// Forgets every header that stands on `id`, and `id` itself. Returns the ids.
    pub(super) fn remove_branch(&mut self, id: BlockId) -> Vec<BlockId> {
        let mut gone = vec![id];
        let mut at = 0;
        while let Some(parent) = gone.get(at).copied() {
            let children =
                self.waiting.values().filter(|child| child.header().previous == parent).map(|child| child.id());
            gone.extend(children.collect::<Vec<_>>());
            self.remove(&parent);
            at += 1;
        }
        gone
    }

    /// The waiting headers from the first behind a known body up to `last`, the lowest first.
    pub(super) fn path_to(&self, last: &BlockId) -> Vec<BlockId> {
        let mut path: Vec<BlockId> =
            std::iter::successors(self.waiting.get(last), |context| self.waiting.get(&context.header().previous))
                .map(|context| context.id())
                .collect();
        path.reverse();
        path
    }
}
