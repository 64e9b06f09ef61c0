//! Tells the operator that peers' blocks are ahead of this node's clock. If it is this clock that is wrong, nothing else
//! shows it: the node has peers, blames nobody, and stands still.

use std::{fmt::Display, net::SocketAddr, sync::Mutex, time::Duration};

use super::session::lock;

/// How often the log says so, whoever sends how many such blocks.
const EVERY: Duration = Duration::from_secs(60);

/// When it was said last.
#[derive(Debug, Default)]
pub(super) struct ClockDoubts(Mutex<Option<Duration>>);

impl ClockDoubts {
    /// A peer showed a header that is ahead of the clock. `now` is time since the start.
    pub(super) fn note(&self, now: Duration, peer: SocketAddr, error: &impl Display) {
        if self.is_due(now) {
            tracing::warn!(%peer, %error, "blocks of a peer are ahead of this node's clock and wait; is the clock right?");
        }
    }

    fn is_due(&self, now: Duration) -> bool {
        let mut said = lock(&self.0);
        let due = said.is_none_or(|said| now.saturating_sub(said) >= EVERY);
        if due {
            *said = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute_however_often_it_is_noted() {
        let doubts = ClockDoubts::default();
        let said = (0..180).filter(|second| doubts.is_due(Duration::from_secs(*second)));
        assert_eq!(said.collect::<Vec<_>>(), [0, 60, 120]);
    }
}
