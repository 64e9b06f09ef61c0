//! Room for announcements that wait to be looked at, in all sessions together: each has a little to itself, and beyond
//! that takes what is left. Otherwise many strangers, each within its own bound, would have very much.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use super::limits::{MAX_WAITING_IN_ALL, MAX_WAITING_WIRE_IDS, OWN_WAITING_WIRE_IDS};

/// What is waiting in all sessions. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Room(Arc<AtomicUsize>);

/// What is waiting in one session; given back when the session is dropped.
#[derive(Debug)]
pub(super) struct Share {
    all: Room,
    held: AtomicUsize,
}

impl Room {
    /// Room of a new session.
    pub(super) fn share(&self) -> Share {
        Share { all: self.clone(), held: AtomicUsize::new(0) }
    }
}

impl Share {
    /// Takes room for so many, or for as many as there is room for. Others may take at the same time, so the bound of all
    /// is exceeded by one message of each session at most.
    pub(super) fn take(&self, wanted: usize) -> usize {
        let is_left = self.all.0.load(Ordering::Relaxed) < MAX_WAITING_IN_ALL;
        let most = if is_left { MAX_WAITING_WIRE_IDS } else { OWN_WAITING_WIRE_IDS };
        let granted = wanted.min(most.saturating_sub(self.held.load(Ordering::Relaxed)));
        self.held.fetch_add(granted, Ordering::Relaxed);
        self.all.0.fetch_add(granted, Ordering::Relaxed);
        granted
    }

    /// So many wait no longer.
    pub(super) fn give_back(&self, count: usize) {
        self.held.fetch_sub(count, Ordering::Relaxed);
        self.all.0.fetch_sub(count, Ordering::Relaxed);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.0.fetch_sub(*self.held.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_sessions_that_take_all_they_can_leave_each_other_one_a_little_of_its_own() {
        let room = Room::default();
        let greedy: Vec<Share> = (0..112).map(|_| room.share()).collect();
        let taken: usize = greedy.iter().map(|share| share.take(usize::MAX)).sum();
        assert!(taken <= MAX_WAITING_IN_ALL + MAX_WAITING_WIRE_IDS + 112 * OWN_WAITING_WIRE_IDS, "{taken}");
        let honest = room.share();
        assert_eq!(honest.take(OWN_WAITING_WIRE_IDS + 10), OWN_WAITING_WIRE_IDS);
        assert_eq!(honest.take(1), 0);
        honest.give_back(10);
        assert_eq!(honest.take(20), 10);
        drop(greedy);
        assert_eq!(honest.take(usize::MAX), MAX_WAITING_WIRE_IDS - OWN_WAITING_WIRE_IDS);
        drop(honest);
        assert_eq!(room.0.load(Ordering::Relaxed), 0);
    }
}
