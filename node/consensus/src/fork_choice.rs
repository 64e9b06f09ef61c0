//! Fork choice: which of two valid branches is the best chain \[R-FRK-01, R-FRK-02\].

use crate::headers::HeaderContext;

/// How many target spacings a tie stands before the smaller id wins.
const TIE_SPACINGS: u64 = 3;

/// How long a tie stands before the smaller id wins, in milliseconds.
#[must_use]
pub const fn tie_break_after_ms(target_spacing_ms: u64) -> u64 {
    target_spacing_ms.saturating_mul(TIE_SPACINGS)
}

/// Whether a node whose best tip is `current` moves to `candidate`, both complete and valid.
///
/// More work wins at once. On equal work the branch seen first stays, unless the tie has stood for three target
/// spacings by the node's own monotonic clock: then the smaller id wins, so that a quiet network converges.
#[must_use]
pub fn prefer(current: &HeaderContext, candidate: &HeaderContext, tie_age_ms: u64, target_spacing_ms: u64) -> bool {
    match candidate.total_work().cmp(&current.total_work()) {
        std::cmp::Ordering::Greater => true,
        std::cmp::Ordering::Less => false,
        std::cmp::Ordering::Equal => {
            tie_age_ms >= tie_break_after_ms(target_spacing_ms) && candidate.id() < current.id()
        }
    }
}

#[cfg(test)]
mod tests {
    use farthing::{Height, Work};

    use super::*;
    use crate::fixtures::network;

    /// Two tips with different ids, the one with the smaller id first, of such total works.
    fn tips(works: [u128; 2]) -> [HeaderContext; 2] {
        let params = network(|_| ());
        let header = *HeaderContext::genesis(&params).header();
        let mut headers = [header, farthing::Header { nonce: 1, ..header }];
        headers.sort_by_key(farthing::Header::id);
        let [small, large] = headers;
        let tip = |header, work| HeaderContext::from_stored(header, Height::new(5), Work::new(work));
        [tip(small, works[0]), tip(large, works[1])]
    }

    #[test]
    fn more_work_wins_at_once_whatever_the_ids() {
        let [small, large] = tips([10, 11]);
        assert!(prefer(&small, &large, 0, 10_000));
        assert!(!prefer(&large, &small, u64::MAX, 10_000));
    }

    #[test]
    fn a_tie_stays_with_the_first_seen_until_it_has_stood_three_spacings() {
        let [small, large] = tips([10, 10]);
        assert!(!prefer(&large, &small, 29_999, 10_000));
        assert!(prefer(&large, &small, 30_000, 10_000));
        assert!(!prefer(&small, &large, u64::MAX, 10_000));
        assert!(!prefer(&small, &small, u64::MAX, 10_000));
    }
}
