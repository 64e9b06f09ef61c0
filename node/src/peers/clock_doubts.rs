//! Tells the operator that peers' blocks are ahead of this node's clock. If it is this clock that is wrong, nothing else
//! shows it: the node has peers, blames nobody, and stands still. One peer alone, among others, is more likely wrong itself.

use std::{collections::BTreeMap, fmt::Display, sync::Mutex, time::Duration};

use super::{session::lock, standing::Culprit};

/// How often the log says so, whoever sends how many such blocks.
const EVERY: Duration = Duration::from_secs(60);
/// Peers that must show such blocks, unless there are fewer.
const SEVERAL: usize = 2;
/// Within so long.
const TOGETHER: Duration = Duration::from_secs(600);

/// Who showed such blocks, and when it was said last.
#[derive(Debug, Default)]
pub(super) struct ClockDoubts(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// The newest of those that showed some, and when.
    shown: BTreeMap<Culprit, Duration>,
    said: Option<Duration>,
}

impl ClockDoubts {
    /// One of so many peers showed a header that is ahead of the clock. `now` is time since the start.
    pub(super) fn note(&self, now: Duration, peer: Culprit, peers: usize, error: &impl Display) {
        if lock(&self.0).is_due(now, peer, peers) {
            tracing::warn!(%peer, %error, "blocks of peers are ahead of this node's clock and wait; is the clock right?");
        } else {
            tracing::debug!(%peer, %error, "a peer shows blocks that are ahead of this node's clock");
        }
    }
}

impl State {
    fn is_due(&mut self, now: Duration, peer: Culprit, peers: usize) -> bool {
        self.shown.retain(|_, shown| now.saturating_sub(*shown) < TOGETHER);
        // More of them tell no more.
        if self.shown.len() < SEVERAL || self.shown.contains_key(&peer) {
            self.shown.insert(peer, now);
        }
        let due =
            self.shown.len() >= SEVERAL.min(peers) && self.said.is_none_or(|said| now.saturating_sub(said) >= EVERY);
        if due {
            self.said = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn peer(last: u8) -> Culprit {
        Culprit::new(IpAddr::from([192, 0, 2, last]), 0)
    }

    #[test]
    fn it_is_said_at_once_and_then_once_a_minute_however_often_it_is_noted() {
        let mut doubts = State::default();
        let said = (0..180).filter(|second| doubts.is_due(Duration::from_secs(*second), peer(1), 1));
        assert_eq!(said.collect::<Vec<_>>(), [0, 60, 120]);
    }

    #[test]
    fn one_peer_among_others_is_not_believed_and_a_second_one_within_ten_minutes_is() {
        let mut doubts = State::default();
        for minute in 0..30 {
            assert!(!doubts.is_due(Duration::from_secs(60 * minute), peer(1), 8));
        }
        assert!(!doubts.is_due(Duration::from_secs(3_600), peer(2), 8), "the first one is long silent");
        assert!(doubts.is_due(Duration::from_secs(3_601), peer(3), 8));
    }
}
