//! How many connections a listener holds, in all and from one network.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::env::prefix;

/// Counts connections. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    total: usize,
    per_prefix: usize,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Only prefixes with a connection are in it, so it is as small as the number of slots.
    prefixes: BTreeMap<[u8; 8], usize>,
}

/// Why a connection got no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotRefusal {
    #[error("all {limit} connections are taken")]
    AllTaken { limit: usize },
    #[error("its network has {limit} connections already")]
    PrefixFull { limit: usize },
}

impl Slots {
    pub(crate) fn new(total: usize, per_prefix: usize) -> Self {
        Self { total, per_prefix, taken: Arc::default() }
    }

    /// Takes a slot. Loopback is exempt from the limit per network, so that local clusters work.
    pub(crate) fn take(&self, peer: IpAddr) -> Result<Slot, SlotRefusal> {
        let peer = peer.to_canonical();
        let mut taken = self.lock();
        if taken.total >= self.total {
            return Err(SlotRefusal::AllTaken { limit: self.total });
        }
        let prefix = (!peer.is_loopback()).then(|| prefix(peer));
        if let Some(prefix) = prefix {
            let count = taken.prefixes.entry(prefix).or_default();
            if *count >= self.per_prefix {
                return Err(SlotRefusal::PrefixFull { limit: self.per_prefix });
            }
            *count += 1;
        }
        taken.total += 1;
        Ok(Slot { slots: self.clone(), prefix })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One connection's place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    prefix: Option<[u8; 8]>,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.total -= 1;
        if let Some(prefix) = self.prefix
            && let Some(count) = taken.prefixes.get_mut(&prefix)
        {
            *count -= 1;
            if *count == 0 {
                taken.prefixes.remove(&prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_gets_its_share_and_another_still_gets_in() {
        let slots = Slots::new(10, 2);
        let _a = slots.take(ip("192.0.2.1")).unwrap();
        let b = slots.take(ip("::ffff:192.0.2.2")).unwrap();
        assert_eq!(slots.take(ip("192.0.2.3")).unwrap_err(), SlotRefusal::PrefixFull { limit: 2 });
        let _c = slots.take(ip("198.51.100.1")).unwrap();
        drop(b);
        let _d = slots.take(ip("192.0.2.3")).unwrap();
    }

    #[test]
    fn loopback_counts_only_towards_the_total() {
        let slots = Slots::new(3, 1);
        let held: Vec<Slot> = (0..3).map(|_| slots.take(ip("127.0.0.1")).unwrap()).collect();
        assert_eq!(slots.take(ip("::1")).unwrap_err(), SlotRefusal::AllTaken { limit: 3 });
        assert_eq!(slots.take(ip("192.0.2.1")).unwrap_err(), SlotRefusal::AllTaken { limit: 3 });
        drop(held);
        slots.take(ip("192.0.2.1")).unwrap();
        assert!(slots.lock().prefixes.is_empty(), "nothing is remembered of who left");
    }
}
