//! Whether this node is catching up: it then takes no transfers, for on an old chain most are refused that are good.
//!
//! Headers alone do not decide it: where work is cheap, anybody could make a node say so for as long as he likes. They are
//! believed once, until this node has been at the tip; from then on somebody must send bodies too, and go on doing so.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::watch;

/// A node that lacks so many bodies up to the best header that it knows is catching up: more than any burst that is just
/// being relayed. It is so until fewer than [`SYNCED_WITHIN`] are missing.
pub(super) const SYNCING_FROM: usize = 24;
const SYNCED_WITHIN: usize = 3;
/// How long headers alone are believed, once: until the first bodies are asked for, and one had time to come.
const HEADERS_BELIEVED_FOR: Duration = Duration::from_secs(90);
/// How long a body of many that were missing lets the others be waited for.
const BELIEVED_FOR: Duration = Duration::from_secs(30);

/// Whether this node is catching up, and why it is believed.
#[derive(Debug)]
pub(super) struct CatchingUp {
    syncing: watch::Sender<bool>,
    belief: Mutex<Belief>,
}

#[derive(Debug, Default)]
struct Belief {
    /// Headers alone were believed, or need not be any more.
    has_settled: bool,
    /// Until when what is missing is believed to come (elapsed time).
    until: Duration,
}

/// What a look at the chain finds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// Elapsed time.
    pub(super) now: Duration,
    /// How many bodies are missing up to the best header, counted up to [`SYNCING_FROM`].
    pub(super) behind: usize,
    /// Whether the tip is of these minutes: then this node has been at the tip.
    pub(super) tip_is_recent: bool,
    /// Whether the chain is yet to begin, with a checkpoint.
    pub(super) begins: bool,
}

impl CatchingUp {
    pub(super) fn new() -> Self {
        Self { syncing: watch::Sender::new(false), belief: Mutex::default() }
    }

    pub(super) fn is_so(&self) -> bool {
        *self.syncing.borrow()
    }

    /// The same as a value that can be waited on.
    pub(super) fn watch(&self) -> watch::Receiver<bool> {
        self.syncing.subscribe()
    }

    /// A body came of at least [`SYNCING_FROM`] that were missing.
    pub(super) fn body_came(&self, now: Duration) {
        self.belief.lock().unwrap_or_else(PoisonError::into_inner).until = now.saturating_add(BELIEVED_FOR);
    }

    /// Decides anew: after new headers and after new blocks.
    pub(super) fn look(&self, look: Look) {
        let mut belief = self.belief.lock().unwrap_or_else(PoisonError::into_inner);
        self.syncing.send_if_modified(|syncing| {
            let now = look.begins || belief.decides(*syncing, look);
            std::mem::replace(syncing, now) != now
        });
    }
}

impl Belief {
    fn decides(&mut self, is_syncing: bool, look: Look) -> bool {
        self.has_settled |= look.tip_is_recent;
        if look.behind < if is_syncing { SYNCED_WITHIN } else { SYNCING_FROM } {
            return false;
        }
        if !std::mem::replace(&mut self.has_settled, true) {
            self.until = look.now.saturating_add(HEADERS_BELIEVED_FOR);
        }
        look.now < self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peers::limits::HEADERS_AT_A_STRETCH;

    const fn at(seconds: u64, behind: usize) -> Look {
        Look { now: Duration::from_secs(seconds), behind, tip_is_recent: false, begins: false }
    }

    fn says(node: &CatchingUp, look: Look) -> bool {
        node.look(look);
        node.is_so()
    }

    #[test]
    fn a_node_that_starts_believes_headers_and_is_done_when_hardly_any_body_is_missing() {
        let node = CatchingUp::new();
        assert!(!says(&node, at(0, SYNCING_FROM - 1)));
        assert!(says(&node, at(1, SYNCING_FROM)));
        assert!(says(&node, at(2, SYNCED_WITHIN)));
        assert!(!says(&node, at(3, SYNCED_WITHIN - 1)));
    }

    #[test]
    fn headers_without_bodies_are_believed_once_and_not_for_long() {
        let node = CatchingUp::new();
        assert!(says(&node, at(0, 24)) && says(&node, at(89, 24)));
        assert!(HEADERS_BELIEVED_FOR > HEADERS_AT_A_STRETCH + BELIEVED_FOR, "bodies are asked for by then");
        assert!(!says(&node, at(90, 24)));
        assert!(!says(&node, at(91, 0)) && !says(&node, at(92, 24)), "nor after another session brought them");
    }

    #[test]
    fn a_node_that_was_at_the_tip_believes_bodies_and_only_while_they_come() {
        let node = CatchingUp::new();
        assert!(!says(&node, Look { tip_is_recent: true, ..at(0, 0) }));
        assert!(!says(&node, at(1, 24)));
        node.body_came(Duration::from_secs(2));
        assert!(says(&node, at(2, 24)));
        node.body_came(Duration::from_secs(20));
        assert!(says(&node, at(49, 24)));
        assert!(!says(&node, at(50, 24)));
    }

    #[test]
    fn a_node_whose_chain_is_yet_to_begin_is_catching_up_whatever_else() {
        let node = CatchingUp::new();
        assert!(says(&node, Look { begins: true, tip_is_recent: true, ..at(0, 0) }));
        assert!(!says(&node, at(1, 0)));
    }
}
