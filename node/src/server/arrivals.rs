//! How often connections may come, from one network and from all: decided before anything is made for one of them.
//!
//! How many there may be at a time says nothing about how often: a client that connects anew, again and again, costs a
//! handshake of HTTP/2 each time, and begins with full bursts of what its calls may cost.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    rate::{Bucket, Rate},
    tally::Tally,
};
use crate::env::{is_own_machine, prefix};

/// How often new connections are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionRates {
    /// From one /24, or /64 of IPv6.
    pub per_network: Rate,
    /// From all of them together.
    pub total: Rate,
    /// Beyond the total, from networks that have not come for a minute: those that come again and again leave them room.
    pub newcomers: Rate,
}

/// How long no connection is taken from a network of which one had to be cut for what it did: or it would come back
/// with all that a connection may do at once.
const PENALTY: Duration = Duration::from_secs(10);
/// How long a network stays away to be new.
const NEW_AFTER: Duration = Duration::from_secs(60);
/// So many networks are remembered before those are looked for that can be forgotten.
const FEW: usize = 1_024;

/// Why a connection is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooOften {
    #[error("its network connects more often than {} times at once and {} a second", .0.burst, .0.per_second)]
    Network(Rate),
    #[error("all networks connect more often than {} times at once and {} a second", .0.burst, .0.per_second)]
    All(Rate),
}

/// Counts connections as they come. Clones share the count.
#[derive(Clone, Debug)]
pub(super) struct Arrivals {
    rates: ConnectionRates,
    exempt_own_machine: bool,
    /// Connections that were cut for what they did.
    pub(super) cut: Tally,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    total: Bucket,
    newcomers: Bucket,
    /// Networks that came within [`NEW_AFTER`], and others until the next look. Only what is taken enters it: what all may
    /// take in that time bounds it.
    networks: BTreeMap<[u8; 8], Known>,
    /// When there are so many of them, it is looked for those that can be forgotten.
    look_at: usize,
}

/// A network that came.
#[derive(Clone, Copy, Debug)]
struct Known {
    bucket: Bucket,
    last: Instant,
}

impl Known {
    fn is_new(&self, now: Instant) -> bool {
        self.bucket.is_full(now) && now.saturating_duration_since(self.last) >= NEW_AFTER
    }
}

impl Arrivals {
    /// With `exempt_own_machine` nothing holds for the own machine, so that local clusters work.
    pub(super) fn new(rates: ConnectionRates, exempt_own_machine: bool) -> Self {
        let (total, newcomers) = (Bucket::default(), Bucket::default());
        let state = State { total, newcomers, networks: BTreeMap::new(), look_at: FEW };
        Self { rates, exempt_own_machine, cut: Tally::default(), state: Arc::new(Mutex::new(state)) }
    }

    fn network(&self, peer: IpAddr) -> Option<[u8; 8]> {
        (!(self.exempt_own_machine && is_own_machine(peer))).then(|| prefix(peer))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a connection. One that is refused costs its network nothing.
    pub(super) fn admit(&self, peer: IpAddr) -> Result<(), TooOften> {
        let Some(network) = self.network(peer) else { return Ok(()) };
        let (rates, now) = (&self.rates, Instant::now());
        let mut state = self.lock();
        let known = state.networks.get(&network).copied();
        let is_newcomer = known.is_none_or(|known| known.is_new(now));
        let mut bucket = known.map(|known| known.bucket).unwrap_or_default();
        if !bucket.try_take(rates.per_network, now) {
            return Err(TooOften::Network(rates.per_network));
        }
        let there_is_room =
            state.total.try_take(rates.total, now) || is_newcomer && state.newcomers.try_take(rates.newcomers, now);
        if !there_is_room {
            return Err(TooOften::All(rates.total));
        }
        state.put(network, bucket, now);
        Ok(())
    }

    /// Keeps a network away for a while of which a connection was cut for what it did.
    pub(super) fn punish(&self, peer: IpAddr) {
        let Some(network) = self.network(peer) else { return };
        let now = Instant::now();
        let mut state = self.lock();
        let mut bucket = state.networks.get(&network).map(|known| known.bucket).unwrap_or_default();
        bucket.block(PENALTY, self.rates.per_network, now);
        state.put(network, bucket, now);
    }
}

impl State {
    fn put(&mut self, network: [u8; 8], bucket: Bucket, now: Instant) {
        if self.networks.len() >= self.look_at {
            self.networks.retain(|_, known| !known.is_new(now));
            // Looked at again when as many have been added: one step for each.
            self.look_at = FEW.max(2 * self.networks.len());
        }
        self.networks.insert(network, Known { bucket, last: now });
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const RATES: ConnectionRates = ConnectionRates {
        per_network: Rate { per_second: 10, burst: 4 },
        total: Rate { per_second: 20, burst: 10 },
        newcomers: Rate { per_second: 5, burst: 3 },
    };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Which of so many networks, from the first on.
    fn network(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0001 + (number << 8)))
    }

    fn taken(arrivals: &Arrivals, from: &str, tries: usize) -> usize {
        (0..tries).filter(|_| arrivals.admit(ip(from)).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_may_connect_so_often_whichever_of_its_hosts_calls_and_others_still_may() {
        let arrivals = Arrivals::new(RATES, true);
        assert_eq!(taken(&arrivals, "192.0.2.1", 3), 3);
        arrivals.admit(ip("::ffff:192.0.2.2")).unwrap();
        assert_eq!(arrivals.admit(ip("192.0.2.3")).unwrap_err(), TooOften::Network(RATES.per_network));
        arrivals.admit(ip("198.51.100.1")).unwrap();
        assert_eq!(taken(&arrivals, "2001:db8:1:2::1", 9), 4);
        tokio::time::advance(Duration::from_millis(100)).await;
        assert_eq!(taken(&arrivals, "192.0.2.1", 9), 1, "one has come back");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_refused_does_not_make_a_network_wait_longer() {
        let arrivals = Arrivals::new(RATES, true);
        assert_eq!(taken(&arrivals, "192.0.2.1", 1_000), 4);
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(taken(&arrivals, "192.0.2.1", 1_000), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn networks_that_come_again_and_again_leave_room_for_those_that_do_not() {
        let arrivals = Arrivals::new(RATES, true);
        let knocking = (0..20).map(|number| (0..9).filter(|_| arrivals.admit(network(number)).is_ok()).count());
        // Three networks took it all; of those after them each is new once, as long as there is something for newcomers.
        assert_eq!(knocking.collect::<Vec<_>>()[..8], [4, 4, 2, 1, 1, 1, 0, 0]);
        assert_eq!(arrivals.admit(network(0)).unwrap_err(), TooOften::Network(RATES.per_network));
        tokio::time::advance(Duration::from_millis(200)).await;
        // What has come back to all goes to those that were here; one that was not still gets in.
        assert_eq!([0, 1].map(|number| (0..9).filter(|_| arrivals.admit(network(number)).is_ok()).count()), [2, 2]);
        arrivals.admit(ip("192.0.2.1")).unwrap();
        assert_eq!(arrivals.admit(ip("198.51.100.1")).unwrap_err(), TooOften::All(RATES.total));
    }

    /// However they pace themselves: here each as often as it may.
    #[tokio::test(start_paused = true)]
    async fn networks_that_never_stop_coming_are_not_new_again_and_again() {
        let arrivals = Arrivals::new(RATES, true);
        let mut refused = 0;
        for round in 0..1_200 {
            let came = (0..20).filter(|number| arrivals.admit(network((number + 2 * round) % 20)).is_ok()).count();
            if round > 20 {
                assert!(came <= 2, "what comes back to all in a tenth of a second, not what is for newcomers: {came}");
            }
            if round > 20 && round % 10 == 9 {
                refused += usize::from(arrivals.admit(network(100 + round)).is_err());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert_eq!(refused, 0, "one newcomer a second");
    }

    #[tokio::test(start_paused = true)]
    async fn the_own_machine_is_not_counted_unless_it_is_to_be() {
        for own in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(taken(&Arrivals::new(RATES, true), own, 100), 100);
            assert_eq!(taken(&Arrivals::new(RATES, false), own, 100), 4);
        }
        assert_eq!(
            taken(&Arrivals::new(RATES, true), "127.1.0.1", 100),
            4,
            "the rest of loopback is for trying it out"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_network_of_which_one_was_cut_stays_away_for_a_while() {
        let arrivals = Arrivals::new(RATES, true);
        for _ in 0..5 {
            arrivals.punish(ip("192.0.2.1"));
        }
        tokio::time::advance(PENALTY - Duration::from_millis(1)).await;
        assert_eq!(taken(&arrivals, "192.0.2.9", 9), 0);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(taken(&arrivals, "192.0.2.9", 9), 1, "not longer for many than for one");
        arrivals.punish(ip("127.0.0.1"));
        arrivals.admit(ip("127.0.0.1")).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn however_many_networks_come_only_those_are_remembered_that_matter() {
        let arrivals = Arrivals::new(RATES, true);
        let mut most = 0;
        for number in 0..100_000 {
            let _ = arrivals.admit(network(number));
            most = most.max(arrivals.lock().networks.len());
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        let in_a_minute = 60 * (RATES.total.per_second + RATES.newcomers.per_second) as usize;
        assert!(most <= 2 * in_a_minute, "{most}");
    }
}
