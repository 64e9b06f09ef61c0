//! Addresses that turned out to be this node's own. Anybody can answer with the id of whoever calls, so few are
//! remembered, and not for ever.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use super::limits::{MAX_OWN_ADDRESSES, OWN_ADDRESS_TIME};

/// Own addresses, each with the time at which it was found out, by the steady clock.
#[derive(Debug, Default)]
pub(super) struct OwnAddresses(BTreeMap<SocketAddr, Duration>);

impl OwnAddresses {
    /// Remembers one; the one found out first leaves for it.
    pub(super) fn note(&mut self, address: SocketAddr, now: Duration) {
        self.0.insert(address, now);
        if self.0.len() > MAX_OWN_ADDRESSES
            && let Some(first) = self.0.iter().min_by_key(|(_, found)| **found).map(|(first, _)| *first)
        {
            self.0.remove(&first);
        }
    }

    /// Whether this is one.
    pub(super) fn has(&self, address: SocketAddr, now: Duration) -> bool {
        self.0.get(&address).is_some_and(|found| now.saturating_sub(*found) < OWN_ADDRESS_TIME)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(port: usize) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], u16::try_from(port).unwrap()))
    }

    #[test]
    fn what_answers_with_the_own_id_is_believed_for_a_while() {
        let mut own = OwnAddresses::default();
        own.note(at(1), Duration::ZERO);
        assert!(own.has(at(1), OWN_ADDRESS_TIME - Duration::from_secs(1)) && !own.has(at(2), Duration::ZERO));
        assert!(!own.has(at(1), OWN_ADDRESS_TIME));
    }

    #[test]
    fn a_listener_on_many_ports_fills_no_more_than_the_bound_and_the_newest_stay() {
        let mut own = OwnAddresses::default();
        for port in 1..=MAX_OWN_ADDRESSES + 10 {
            own.note(at(port), Duration::from_secs(port as u64));
        }
        let now = Duration::from_secs(MAX_OWN_ADDRESSES as u64 + 10);
        assert_eq!(own.0.len(), MAX_OWN_ADDRESSES);
        assert!(!own.has(at(10), now) && own.has(at(11), now));
    }
}
