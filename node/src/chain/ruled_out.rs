//! Branches that this node does not follow whatever their work: they leave the chain below its final block, or below the
//! checkpoint that it begins with. Nothing of them is kept, but their work is counted: people must decide about one that is
//! the heavier, and not be alarmed by one that anybody can make up in a minute.

use std::{num::NonZeroUsize, time::Duration};

use farthing::{BlockId, Header, Height};
use farthing_consensus::{HeaderContext, check_header, check_header_alone};
use lru::LruCache;
use tracing::warn;

use super::{rejection::HeaderRejection, writer::Writer};

/// Headers that are remembered so that an announcement goes on with the count. Whoever asks for list after list brings the last
/// one's end along.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(4_096).expect("not zero");
/// How often it is said that a branch below the beginning is left aside, at most.
const WARN_BELOW_BASE: Duration = Duration::from_secs(60);

/// What a branch would undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// The final block, at this height.
    Final(Height),
    /// The checkpoint at this height.
    Base(Height),
}

/// What was counted of such branches.
#[derive(Debug)]
pub(super) struct RuledOut {
    counted: LruCache<BlockId, (HeaderContext, Limit)>,
    /// When it was last said that a branch is left aside.
    warned_below_base: Option<Duration>,
}

impl Default for RuledOut {
    fn default() -> Self {
        Self { counted: LruCache::new(REMEMBERED), warned_below_base: None }
    }
}

impl RuledOut {
    /// A header that was counted, and what its branch would undo.
    pub(super) fn get(&mut self, id: &BlockId) -> Option<(HeaderContext, Limit)> {
        self.counted.get(id).copied()
    }
}

impl Writer {
    /// A list follows on a branch that was ruled out up to here. Other sessions' branches may have pushed it out meanwhile.
    pub(super) fn goes_on_with(&mut self, last: &HeaderContext) {
        let base = || self.shared.store.base().map(|base| Limit::Base(base.tip.height()));
        let limit = self.shared.finality.height().map(Limit::Final).or_else(base);
        if let Some(limit) = limit {
            self.ruled_out.counted.get_or_insert(last.id(), || (*last, limit));
        }
    }

    /// Counts headers that stand on a parent that must not be left, and says so if their branch is the heavier one. Those
    /// from `at` on are new.
    pub(super) fn rule_out(
        &mut self,
        headers: &[Header],
        at: usize,
        parent: HeaderContext,
        limit: Limit,
    ) -> HeaderRejection {
        let now = self.shared.env.clock().now();
        let mut last = parent;
        for (at, header) in headers.iter().enumerate().skip(at) {
            let params = &self.shared.params;
            match check_header_alone(params, header).and_then(|_| check_header(params, &last, header, now)) {
                Ok(context) => last = context,
                Err(error) if error.is_temporary() => break,
                Err(error) => return HeaderRejection::Invalid { at, id: header.id(), error },
            }
            self.ruled_out.counted.put(last.id(), (last, limit));
        }
        if last.total_work() > self.view.tip.total_work() {
            match limit {
                Limit::Final(final_height) => self.shared.say_refused(&last, final_height),
                Limit::Base(base) => self.warn_below_base(&last, base),
            }
        }
        let (id, last) = (last.id(), Box::new(last));
        match limit {
            Limit::Final(final_height) => HeaderRejection::BelowFinal { id, final_height, last },
            Limit::Base(base) => HeaderRejection::BelowBase { id, base, last },
        }
    }

    /// Says now and then that a branch is left aside, and what an operator can do.
    fn warn_below_base(&mut self, branch: &HeaderContext, base: Height) {
        let now = self.shared.env.clock().elapsed();
        if self.ruled_out.warned_below_base.is_some_and(|last| now.saturating_sub(last) < WARN_BELOW_BASE) {
            return;
        }
        self.ruled_out.warned_below_base = Some(now);
        warn!(
            id = %branch.id(), height = %branch.height(), %base,
            "a branch with more work that leaves the chain below the checkpoint it begins with cannot be executed and is \
             left aside; if that branch is the right one, remove the data directory and start again with --sync full"
        );
    }
}
