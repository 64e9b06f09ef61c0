//! What the operator wants never to be undone again: a setting of one node, not a rule of the network.

use std::{
    num::NonZeroU64,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use farthing::Height;
use farthing_consensus::HeaderContext;
use tracing::error;

use super::{handle::Shared, rejection::ChainError};

/// How often the log says that a branch is refused, while it is.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// The highest final block of the best chain, if there is such a thing.
#[derive(Debug)]
pub(super) struct Finality {
    depth: Option<NonZeroU64>,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    height: Height,
    /// When it was last said that a branch is refused.
    pub(super) said: Option<Duration>,
}

impl Finality {
    /// Blocks with at least `depth` others on top are final; none ever is without a depth.
    pub(super) fn new(depth: Option<NonZeroU64>, tip: Height) -> Self {
        let finality = Self { depth, state: Mutex::new(State { height: Height::GENESIS, said: None }) };
        finality.advance(tip);
        finality
    }

    /// Height of the highest final block; none if nothing is ever final here.
    pub(super) fn height(&self) -> Option<Height> {
        self.depth.map(|_| self.state().height)
    }

    /// The best chain has a new tip. What was final stays so, also under a lower tip with more work.
    pub(super) fn advance(&self, tip: Height) {
        let Some(depth) = self.depth else { return };
        let deep_enough = Height::new(tip.get().saturating_sub(depth.get()));
        let mut state = self.state();
        state.height = state.height.max(deep_enough);
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// The final height, if what stands on this block, whose body is here, leaves the best chain below it. Walks down from
    /// the block at most to that height.
    pub(super) fn leaves_below_final(&self, parent: &HeaderContext) -> Result<Option<Height>, ChainError> {
        let Some(last) = self.finality.height() else { return Ok(None) };
        let mut at = *parent;
        while self.store.best_at(at.height())? != Some(at.id()) {
            if at.height() <= last {
                return Ok(Some(last));
            }
            let below = self.store.header(&at.header().previous)?;
            at = below.ok_or_else(|| ChainError::missing("the parent", &at.id()))?;
        }
        Ok((at.height() < last).then_some(last))
    }

    /// Says, now and then, that a branch with more work is refused which the rules of the network allow: people must decide.
    pub(super) fn say_refused(&self, branch: &HeaderContext, final_height: Height) {
        let now = self.env.clock().elapsed();
        let mut state = self.finality.state();
        if state.said.is_some_and(|said| now.saturating_sub(said) < SAY_EVERY) {
            return;
        }
        state.said = Some(now);
        drop(state);
        error!(
            id = %branch.id(), height = %branch.height(), %final_height,
            "refused a branch with more work that leaves the chain below its final block: this node and those that follow that branch \
             are apart until somebody decides. If that branch is the right one, restart without --finality-depth"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_final_only_grows_and_nothing_is_without_a_depth() {
        let finality = Finality::new(NonZeroU64::new(10), Height::new(5));
        assert_eq!(finality.height(), Some(Height::GENESIS));
        finality.advance(Height::new(30));
        assert_eq!(finality.height(), Some(Height::new(20)));
        finality.advance(Height::new(25));
        assert_eq!(finality.height(), Some(Height::new(20)));
        let none = Finality::new(None, Height::new(5_000));
        none.advance(Height::new(6_000));
        assert_eq!(none.height(), None);
    }
}
