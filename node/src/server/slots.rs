//! How much of something (connections, calls) is taken, in all and by one network, so that no network takes it all.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::env::{is_own_machine, prefix};

/// How much there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// In all.
    pub total: usize,
    /// For one /24, or /64 of IPv6.
    pub per_prefix: usize,
}

/// Counts what is taken. Clones share the count.
#[derive(Clone, Debug)]
pub(crate) struct Slots {
    share: Share,
    exempt_own_machine: bool,
    taken: Arc<Mutex<Taken>>,
}

#[derive(Debug, Default)]
struct Taken {
    total: usize,
    /// Only prefixes that hold something are in it, so it has at most as many entries as there are slots.
    prefixes: BTreeMap<[u8; 8], usize>,
}

/// Why there is no slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SlotRefusal {
    #[error("all {limit} are taken")]
    AllTaken { limit: usize },
    #[error("its network has {limit} already")]
    PrefixFull { limit: usize },
}

impl Slots {
    /// With `exempt_own_machine` only the total holds for the own machine, so that local clusters work.
    pub(crate) fn new(share: Share, exempt_own_machine: bool) -> Self {
        Self { share, exempt_own_machine, taken: Arc::default() }
    }

    /// Takes a slot.
    pub(crate) fn take(&self, peer: IpAddr) -> Result<Slot, SlotRefusal> {
        self.take_many(peer, 1)
    }

    /// Takes so many, which are given back together.
    pub(crate) fn take_many(&self, peer: IpAddr, amount: usize) -> Result<Slot, SlotRefusal> {
        let mut taken = self.lock();
        if self.share.total.checked_sub(taken.total).is_none_or(|left| left < amount) {
            return Err(SlotRefusal::AllTaken { limit: self.share.total });
        }
        let prefix = (!(self.exempt_own_machine && is_own_machine(peer))).then(|| prefix(peer));
        if let Some(prefix) = prefix {
            let count = taken.prefixes.get(&prefix).copied().unwrap_or(0);
            if self.share.per_prefix.checked_sub(count).is_none_or(|left| left < amount) {
                return Err(SlotRefusal::PrefixFull { limit: self.share.per_prefix });
            }
            taken.prefixes.insert(prefix, count + amount);
        }
        taken.total += amount;
        Ok(Slot { slots: self.clone(), prefix, amount })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place, free again when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    slots: Slots,
    prefix: Option<[u8; 8]>,
    amount: usize,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        taken.total -= self.amount;
        if let Some(prefix) = self.prefix
            && let Some(count) = taken.prefixes.get_mut(&prefix)
        {
            *count -= self.amount;
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
        let slots = Slots::new(Share { total: 10, per_prefix: 2 }, true);
        let _a = slots.take(ip("192.0.2.1")).unwrap();
        let b = slots.take(ip("::ffff:192.0.2.2")).unwrap();
        assert_eq!(slots.take(ip("192.0.2.3")).unwrap_err(), SlotRefusal::PrefixFull { limit: 2 });
        let _c = slots.take(ip("198.51.100.1")).unwrap();
        drop(b);
        let _d = slots.take(ip("192.0.2.3")).unwrap();
    }

    #[test]
    fn the_own_machine_counts_only_towards_the_total() {
        let slots = Slots::new(Share { total: 3, per_prefix: 1 }, true);
        let held: Vec<Slot> = (0..3).map(|_| slots.take(ip("127.0.0.1")).unwrap()).collect();
        assert_eq!(slots.take(ip("::1")).unwrap_err(), SlotRefusal::AllTaken { limit: 3 });
        assert_eq!(slots.take(ip("192.0.2.1")).unwrap_err(), SlotRefusal::AllTaken { limit: 3 });
        drop(held);
        slots.take(ip("192.0.2.1")).unwrap();
        assert!(slots.lock().prefixes.is_empty(), "nothing is remembered of who left");
    }
}
