//! Tips of side branches whose bodies are here: what the fork choice picks from.

use std::{collections::HashMap, time::Duration};

use farthing::{BlockId, Work};
use farthing_consensus::HeaderContext;

/// Most side tips that are remembered; those with the least work go first. Their blocks stay in the store.
const MAX_CANDIDATES: usize = 1_000;

/// A side tip and when it was first seen, on the clock that never goes back.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) context: HeaderContext,
    pub(super) since: Duration,
}

/// The side tips.
#[derive(Debug, Default)]
pub(super) struct Candidates(HashMap<BlockId, Candidate>);

impl Candidates {
    /// A block with a body joined a side branch.
    pub(super) fn insert(&mut self, context: HeaderContext, since: Duration) {
        self.0.remove(&context.header().previous);
        self.0.insert(context.id(), Candidate { context, since });
        if self.0.len() > MAX_CANDIDATES
            && let Some(weakest) =
                self.0.values().min_by_key(|c| (c.context.total_work(), c.context.id())).map(|c| c.context.id())
        {
            self.0.remove(&weakest);
        }
    }

    pub(super) fn remove(&mut self, id: &BlockId) {
        self.0.remove(id);
    }

    /// The side tips with at least this work, the heaviest first.
    pub(super) fn with_work(&self, at_least: Work) -> Vec<Candidate> {
        let mut found: Vec<_> = self.0.values().filter(|c| c.context.total_work() >= at_least).cloned().collect();
        found.sort_by_key(|c| (std::cmp::Reverse(c.context.total_work()), c.context.id()));
        found
    }
}
