//! The reckoning: what one must outbid in the blocks to come, and what would have got into those of late.

use super::book::{PROJECTED_BLOCKS, PaidBlock, Snapshot};
use crate::mempool::ProjectedBlock;

/// From so many thousandths on, a block counts as full: what paid less than its least had no place in it.
const FULL_PERMILLE: u32 = 950;

/// What is to be paid for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject {
    pub(super) bytes: usize,
    pub(super) signature_units: u64,
    pub(super) openings: u32,
}

/// How soon it should be mined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    /// The last block, 1 for the next one.
    blocks: usize,
    /// Of a hundred recent blocks, so many would have taken it.
    percent: usize,
}

/// Slow, normal, fast.
pub(super) const TARGETS: [Target; 3] = [
    Target { blocks: PROJECTED_BLOCKS, percent: 10 },
    Target { blocks: 3, percent: 50 },
    Target { blocks: 1, percent: 90 },
];

/// A rate, and what one gets for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Price {
    /// Net fee per byte, in mites.
    pub(super) rate: u64,
    /// Within how many blocks, as the pool stands.
    pub(super) blocks: u32,
}

/// Slow, normal, fast; none is cheaper than the one before.
pub(super) fn prices(snapshot: &Snapshot, subject: &Subject) -> [Price; 3] {
    let ahead: Vec<u64> =
        (0..PROJECTED_BLOCKS).map(|at| ahead(snapshot.prices.blocks.get(at), subject, snapshot.floor)).collect();
    let mut behind: Vec<u64> = snapshot.recent.iter().map(|block| entry(snapshot.floor, block)).collect();
    behind.sort_unstable();
    let mut least = snapshot.floor;
    TARGETS.map(|target| {
        let history = percentile(&behind, target.percent).unwrap_or(0);
        let pool = ahead.iter().take(target.blocks).min().copied().unwrap_or(0);
        least = least.max(history).max(pool);
        let first = ahead.iter().position(|needed| *needed <= least).unwrap_or(target.blocks - 1);
        Price { rate: least, blocks: u32::try_from(first + 1).unwrap_or(u32::MAX) }
    })
}

/// The least rate for a place in a projected block: the floor where there is room, else one mite more than the dearest of
/// those that must go for it.
fn ahead(block: Option<&ProjectedBlock>, subject: &Subject, floor: u64) -> u64 {
    let Some(block) = block else { return floor };
    let (mut bytes, mut units, mut openings) = (block.free.bytes, block.free.signature_units, block.free.openings);
    let mut rate = floor;
    for paid in &block.cheapest {
        if bytes >= subject.bytes && units >= subject.signature_units && openings >= subject.openings {
            break;
        }
        bytes = bytes.saturating_add(paid.bytes);
        units = units.saturating_add(paid.signature_units);
        openings = openings.saturating_add(paid.openings);
        rate = rate.max(paid.rate().saturating_add(1));
    }
    rate
}

/// The least rate that would have got into a block: the floor unless it was full.
const fn entry(floor: u64, block: &PaidBlock) -> u64 {
    if block.fullness_permille < FULL_PERMILLE {
        return floor;
    }
    let above = block.least.saturating_add(1);
    if above > floor { above } else { floor }
}

/// The least of sorted values that so many in a hundred do not exceed (nearest rank); none of none.
pub(super) fn percentile(sorted: &[u64], percent: usize) -> Option<u64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use farthing::{Height, Mites};

    use super::*;
    use crate::mempool::{Paid, TemplateLimits};

    const SUBJECT: Subject = Subject { bytes: 400, signature_units: 1, openings: 0 };

    fn paid(rate: u64, bytes: usize) -> Paid {
        Paid { net: Mites::new(rate * bytes as u64), bytes, signature_units: 1, openings: 0 }
    }

    fn block(free_bytes: usize, cheapest: Vec<Paid>) -> ProjectedBlock {
        let free = TemplateLimits {
            height: Height::new(1),
            bytes: free_bytes,
            signature_units: 10,
            openings: 10,
            count: usize::MAX,
        };
        ProjectedBlock { transactions: cheapest.len(), free, cheapest }
    }

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[7], 10), Some(7));
        let ten: Vec<u64> = (1..=10).collect();
        assert_eq!([10, 50, 90, 100].map(|percent| percentile(&ten, percent)), [1, 5, 9, 10].map(Some));
    }

    #[test]
    fn a_place_costs_the_floor_where_there_is_room_and_else_more_than_what_must_go() {
        assert_eq!(ahead(None, &SUBJECT, 100), 100);
        assert_eq!(ahead(Some(&block(400, vec![paid(150, 380)])), &SUBJECT, 100), 100);
        // One leaves 380 + 0 bytes free, which are too few; two do.
        let full = block(0, vec![paid(150, 380), paid(170, 380), paid(900, 380)]);
        assert_eq!(ahead(Some(&full), &SUBJECT, 100), 171);
        let small = Subject { bytes: 380, ..SUBJECT };
        assert_eq!(ahead(Some(&full), &small, 100), 151);
    }

    #[test]
    fn signature_units_and_openings_are_room_too() {
        let mut full = block(4_096, vec![paid(150, 380), paid(170, 380), paid(180, 380)]);
        full.free.signature_units = 0;
        assert_eq!(ahead(Some(&full), &Subject { signature_units: 3, ..SUBJECT }, 100), 181);
        full.free.signature_units = 5;
        full.free.openings = 0;
        full.cheapest[1].openings = 2;
        assert_eq!(ahead(Some(&full), &Subject { openings: 2, ..SUBJECT }, 100), 171);
    }
}
