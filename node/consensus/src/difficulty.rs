//! Difficulty: the bits that a header must carry, from its parent alone \[R-DIF-06\].
//!
//! ASERT holds the chain to an absolute schedule: for every half-life that the parent is late, the target doubles
//! (`aserti3-2d` of Bitcoin Cash, CHIP-2020-11, with genesis as the anchor). Integers only, so that all nodes agree.

use farthing::{Bits, Params, Target, params::Retarget};
use ruint::aliases::U256;

use crate::headers::HeaderContext;

/// The bits that a child of `parent` must carry.
#[must_use]
pub fn required_bits(params: &Params, parent: &HeaderContext) -> Bits {
    match params.retarget {
        Retarget::None => params.genesis_bits,
        Retarget::Asert => asert(params, parent).to_bits(),
    }
}

/// The target that the schedule gives, clamped and not yet truncated to its compact form.
fn asert(params: &Params, parent: &HeaderContext) -> Target {
    let (whole, factor) = doublings(params, parent);
    let genesis = params.genesis_bits.target().expect("checked when the parameters were made").value();
    // Limits of such networks are below 2^239 and the factor is at most 2^17: the product fits 256 bits.
    let product = genesis.saturating_mul(U256::from(factor));
    let shift = whole.saturating_sub(16);
    let places = usize::try_from(shift.unsigned_abs()).unwrap_or(usize::MAX);
    let target = if shift < 0 {
        product.checked_shr(places).unwrap_or(U256::ZERO)
    } else if product.bit_len().saturating_add(places) > 256 {
        U256::MAX
    } else {
        product.checked_shl(places).unwrap_or(U256::MAX)
    };
    Target::new(target).unwrap_or(Target::HARDEST).clamp(Target::HARDEST, params.limit())
}

/// By how many doublings the parent is late (negative: early), as whole doublings and `65536 * 2^fraction`.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "spacing * height is below 2^86 and times 65536 below 2^102; the half-life is at least 1,000"
)]
fn doublings(params: &Params, parent: &HeaderContext) -> (i128, u128) {
    let elapsed = i128::from(parent.time().get()) - i128::from(params.genesis_time.get());
    let scheduled = i128::from(params.target_spacing_ms) * i128::from(parent.height().get());
    let exponent = (elapsed - scheduled) * 65_536 / i128::from(params.half_life_ms);
    let fraction = (exponent & 0xffff).unsigned_abs();
    // A cubic fit of 2^x on [0, 1), good to 0.013 %; every step is below 2^66.
    let cubic = 195_766_423_245_049 * fraction + 971_821_376 * fraction.pow(2) + 5_127 * fraction.pow(3) + (1 << 47);
    (exponent >> 16, 65_536 + (cubic >> 48))
}
