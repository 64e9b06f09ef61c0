//! What a transaction pays per byte, compared exactly.

use std::cmp::Ordering;

use farthing::Mites;

/// Net fee over canonical bytes.
#[derive(Debug, Clone, Copy)]
pub(in crate::mempool) struct Rate {
    net: u64,
    bytes: u64,
}

impl Rate {
    /// `bytes` of a signed transaction are never zero.
    pub(in crate::mempool) fn new(net: Mites, bytes: usize) -> Self {
        Self { net: net.get(), bytes: bytes as u64 }
    }

    /// The least net fee of a transaction of this size that pays more per byte.
    pub(in crate::mempool) fn outbid_by(self, bytes: usize) -> Mites {
        let product = u128::from(self.net) * bytes as u128;
        let least = product.checked_div(u128::from(self.bytes)).unwrap_or(0) + 1;
        Mites::new(u64::try_from(least).unwrap_or(u64::MAX))
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Self) -> Ordering {
        let left = u128::from(self.net) * u128::from(other.bytes);
        left.cmp(&(u128::from(other.net) * u128::from(self.bytes)))
    }
}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rate {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_compare_as_fractions_and_not_as_rounded_numbers() {
        let rate = |net, bytes| Rate::new(Mites::new(net), bytes);
        assert!(rate(100, 300) > rate(33, 100));
        assert_eq!(rate(1, 2), rate(2, 4));
        assert!(rate(u64::MAX, 4_096) > rate(u64::MAX - 1, 4_096));
    }

    #[test]
    fn the_least_fee_that_outbids_does_and_one_mite_less_does_not() {
        let rate = Rate::new(Mites::new(1_000), 300);
        let least = rate.outbid_by(700);
        assert!(Rate::new(least, 700) > rate);
        assert!(Rate::new(Mites::new(least.get() - 1), 700) <= rate);
    }
}
