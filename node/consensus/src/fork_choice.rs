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
