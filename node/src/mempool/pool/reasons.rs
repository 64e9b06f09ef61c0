//! Why transactions left, for a bounded number of blocks.

use std::collections::{HashMap, VecDeque};

use farthing::{Height, TxId};

use super::super::{DropReason, PoolLimits};

/// Reasons by transaction id, the oldest forgotten first.
#[derive(Debug, Default)]
pub(super) struct Reasons {
    by_id: HashMap<TxId, (DropReason, Height)>,
    order: VecDeque<(Height, TxId)>,
}

impl Reasons {
    pub(super) fn get(&self, id: &TxId) -> Option<(DropReason, Height)> {
        self.by_id.get(id).copied()
    }

    pub(super) fn record(&mut self, id: TxId, reason: DropReason, height: Height, limits: &PoolLimits) {
        self.by_id.insert(id, (reason, height));
        self.order.push_back((height, id));
        while self.order.len() > limits.reasons {
            self.forget_oldest();
        }
    }

    /// The transaction is back, or it never left. Says whether there was a reason.
    pub(super) fn clear(&mut self, id: &TxId) -> bool {
        self.by_id.remove(id).is_some()
    }

    pub(super) fn prune(&mut self, tip: Height, limits: &PoolLimits) {
        while self.order.front().is_some_and(|(height, _)| tip.distance_from(*height) > limits.reasons_for_blocks) {
            self.forget_oldest();
        }
    }

    /// What is remembered, the oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = (TxId, DropReason, Height)> {
        let present = |(height, id): &(Height, TxId)| {
            self.get(id).filter(|(_, recorded)| recorded == height).map(|(reason, height)| (*id, reason, height))
        };
        self.order.iter().filter_map(present)
    }

    fn forget_oldest(&mut self) {
        if let Some((height, id)) = self.order.pop_front()
            && self.by_id.get(&id).is_some_and(|(_, recorded)| *recorded == height)
        {
            self.by_id.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_bounded_in_number_and_in_age() {
        let limits = PoolLimits { reasons: 3, reasons_for_blocks: 10, ..PoolLimits::default() };
        let id = |n| TxId::from_bytes([n; 32]);
        let mut reasons = Reasons::default();
        for n in 0..5 {
            reasons.record(id(n), DropReason::Evicted, Height::new(n.into()), &limits);
        }
        assert!(reasons.get(&id(1)).is_none() && reasons.get(&id(2)).is_some());
        reasons.prune(Height::new(13), &limits);
        assert!(reasons.get(&id(2)).is_none() && reasons.get(&id(3)).is_some());
        reasons.clear(&id(3));
        assert_eq!(reasons.iter().map(|(id, ..)| id).collect::<Vec<_>>(), [id(4)]);
    }
}
