//! Difficulty: the bits that a header must carry, from its parent alone \[R-DIF-06\].
//!
//! ASERT holds the chain to an absolute schedule: for every half-life that the parent is late, the target doubles
//! (`aserti3-2d` of Bitcoin Cash, CHIP-2020-11, with genesis as the anchor). Integers only, so that all nodes agree.

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::ops::RangeInclusive;

use farthing::{Bits, Height, Params, RangeNode, Target, TimeMs, Work, params::Retarget};
use ruint::aliases::U256;

use crate::headers::HeaderContext;

/// The bits that a child of `parent` must carry.
#[must_use]
pub fn required_bits(params: &Params, parent: &HeaderContext) -> Bits {
    match params.retarget {
        Retarget::None => params.genesis_bits,
        Retarget::Asert => Schedule::of(params).target(parent.height(), parent.time()).to_bits(),
    }
}

/// Work that `node.count` headers from height `first` (above genesis) on can have, if the parent of the first has
/// time `parent_time` and the node's times are theirs: a later parent makes a header easier, a higher one harder. Every
/// chain that keeps the schedule is within; the wider the times, the wider the bounds.
pub(crate) fn work_bounds(
    params: &Params,
    first: Height,
    parent_time: TimeMs,
    node: &RangeNode,
) -> RangeInclusive<u128> {
    let work = |parents: u64, time: TimeMs| {
        let parent = first.saturating_add(parents).previous().unwrap_or(Height::GENESIS);
        let bits = match params.retarget {
            Retarget::None => params.genesis_bits,
            Retarget::Asert => Schedule::of(params).target(parent, time).to_bits(),
        };
        bits.target().ok().and_then(Target::work).map_or(u128::MAX, Work::get)
    };
    let latest = if node.count == 1 { parent_time } else { node.last_time };
    let least = work(0, latest).saturating_mul(node.count.into());
    let most = work(node.count.saturating_sub(1), parent_time).saturating_mul(node.count.into());
    least..=most
}

/// The absolute schedule of a network.
struct Schedule {
    genesis_time: TimeMs,
    genesis_target: Target,
    limit: Target,
    spacing_ms: u64,
    half_life_ms: u64,
}

impl Schedule {
    fn of(params: &Params) -> Self {
        Self {
            genesis_time: params.genesis_time,
            genesis_target: params.genesis_bits.target().expect("checked when the parameters were made"),
            limit: params.limit(),
            spacing_ms: params.target_spacing_ms,
            half_life_ms: params.half_life_ms,
        }
    }

    /// The target after a parent of this height and time, clamped and not yet truncated to its compact form.
    fn target(&self, height: Height, time: TimeMs) -> Target {
        let (whole, factor) = self.doublings(height, time);
        // Limits of such networks are below 2^239 and the factor is at most 2^17: the product fits 256 bits.
        let product = self.genesis_target.value().saturating_mul(U256::from(factor));
        let shift = whole.saturating_sub(16);
        let places = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
        let target = if shift < 0 {
            if places < 256 { product.wrapping_shr(places) } else { U256::ZERO }
        } else if product.bit_len().saturating_add(places) <= 256 {
            product.wrapping_shl(places)
        } else {
            U256::MAX
        };
        Target::new(target).unwrap_or(Target::HARDEST).clamp(Target::HARDEST, self.limit)
    }

    /// By how many doublings the parent is late (negative: early): whole ones, and `65536 * 2^fraction`.
    #[expect(
        clippy::arithmetic_side_effects,
        reason = "spacing * height is below 2^86 and times 65536 below 2^103; the half-life is at least 1,000"
    )]
    fn doublings(&self, height: Height, time: TimeMs) -> (i128, u128) {
        let elapsed = i128::from(time.get()) - i128::from(self.genesis_time.get());
        let scheduled = i128::from(self.spacing_ms) * i128::from(height.get());
        let exponent = (elapsed - scheduled) * 65_536 / i128::from(self.half_life_ms);
        let fraction = (exponent & 0xffff).unsigned_abs();
        // A cubic fit of 2^x on [0, 1), good to 0.013 %; every step is below 2^66.
        let cubic =
            195_766_423_245_049 * fraction + 971_821_376 * fraction.pow(2) + 5_127 * fraction.pow(3) + (1 << 47);
        (exponent >> 16, 65_536 + (cubic >> 48))
    }
}
