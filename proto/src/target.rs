//! Proof of work: compact bits, targets and work \[R-DIF\].

use std::fmt;

use ruint::aliases::U256;

use crate::BlockId;

/// A target in compact form: an exponent byte and a 23-bit mantissa, as Bitcoin writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bits(u32);

/// Why compact bits name no target \[R-DIF-01 to -04\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BitsError {
    /// The sign bit is set.
    #[error("bits {0:#010x} have the sign bit set")]
    Negative(u32),
    /// The target is zero.
    #[error("bits {0:#010x} name a target of zero")]
    Zero(u32),
    /// The target does not fit 256 bits.
    #[error("bits {0:#010x} name a target beyond 256 bits")]
    Overflow(u32),
    /// The same target has another, shorter form.
    #[error("bits {found:#010x} are not the one form of their target; that is {canonical:#010x}")]
    NotCanonical {
        /// The bits.
        found: u32,
        /// The one form.
        canonical: u32,
    },
}

impl BitsError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Negative(_) => "R-DIF-01",
            Self::Zero(_) => "R-DIF-02",
            Self::Overflow(_) => "R-DIF-03",
            Self::NotCanonical { .. } => "R-DIF-04",
        }
    }
}

impl Bits {
    /// Takes compact bits, valid or not.
    #[must_use]
    pub const fn from_compact(compact: u32) -> Self {
        Self(compact)
    }

    /// The compact bits.
    #[must_use]
    pub const fn to_compact(self) -> u32 {
        self.0
    }

    /// The target that they name.
    ///
    /// # Errors
    /// If they name none, or are not its one form; see [`BitsError`].
    pub fn target(self) -> Result<Target, BitsError> {
        let exponent = self.0 >> 24;
        let mantissa = self.0 & 0x007f_ffff;
        if self.0 & 0x0080_0000 != 0 {
            return Err(BitsError::Negative(self.0));
        }
        let mantissa = U256::from(mantissa);
        let value = if exponent <= 3 {
            mantissa.wrapping_shr(8_usize.saturating_mul(3_usize.saturating_sub(small(exponent))))
        } else {
            let shift = 8_usize.saturating_mul(small(exponent).saturating_sub(3));
            if mantissa.bit_len().saturating_add(shift) > 256 {
                return Err(BitsError::Overflow(self.0));
            }
            mantissa.wrapping_shl(shift)
        };
        let target = Target::new(value).ok_or(BitsError::Zero(self.0))?;
        let canonical = target.to_bits();
        if canonical != self {
            return Err(BitsError::NotCanonical { found: self.0, canonical: canonical.0 });
        }
        Ok(target)
    }
}

impl fmt::Display for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// An exponent byte as a number of bytes.
fn small(exponent: u32) -> usize {
    usize::try_from(exponent).unwrap_or(usize::MAX)
}

/// The number that a block id must not exceed; never zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target(U256);

impl Target {
    /// The hardest target that difficulty can reach: 2^160.
    pub const HARDEST: Self = Self(U256::from_limbs([0, 0, 1 << 32, 0]));
    /// The easiest target of a network that adjusts its difficulty: 2^239 - 1, or ASERT's product would overflow.
    pub const EASIEST_ADJUSTING: Self = Self(U256::from_limbs([u64::MAX, u64::MAX, u64::MAX, (1 << 47) - 1]));
    /// The easiest target of any network, that of bits 0x207fffff.
    pub const EASIEST: Self = Self(U256::from_limbs([0, 0, 0, 0x007f_ffff << 40]));

    /// Takes a number that is not zero.
    #[must_use]
    pub fn new(value: U256) -> Option<Self> {
        (!value.is_zero()).then_some(Self(value))
    }

    /// The number.
    #[must_use]
    pub const fn value(self) -> U256 {
        self.0
    }

    /// Whether a block id, as a big-endian number, is small enough.
    #[must_use]
    pub fn is_met_by(&self, id: &BlockId) -> bool {
        U256::from_be_bytes(id.to_bytes()) <= self.0
    }

    /// The compact form, truncated towards zero.
    #[must_use]
    pub fn to_bits(self) -> Bits {
        let bytes = self.0.bit_len().div_ceil(8);
        let mantissa = if bytes <= 3 {
            self.0.wrapping_shl(8_usize.saturating_mul(3_usize.saturating_sub(bytes)))
        } else {
            self.0.wrapping_shr(8_usize.saturating_mul(bytes.saturating_sub(3)))
        };
        let mantissa: u32 = mantissa.saturating_to();
        // The top bit of the mantissa is a sign in this form, so a number that would set it takes one more byte.
        let (mantissa, bytes) =
            if mantissa & 0x0080_0000 == 0 { (mantissa, bytes) } else { (mantissa >> 8, bytes.saturating_add(1)) };
        Bits(mantissa | u32::try_from(bytes).unwrap_or(u32::MAX) << 24)
    }

    /// Expected number of attempts: `floor(2^256 / (target + 1))` \[R-DIF-08\].
    ///
    /// None for targets below 2^128 or so, whose work does not fit; no network can reach them.
    #[must_use]
    pub fn work(self) -> Option<Work> {
        // floor(2^256 / (t + 1)) = floor((2^256 - 1 - t) / (t + 1)) + 1, which stays within 256 bits.
        let divisor = self.0.checked_add(U256::ONE)?;
        let work = (!self.0).checked_div(divisor)?.checked_add(U256::ONE)?;
        u128::try_from(work).ok().map(Work)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({:#x})", self.0)
    }
}

/// An amount of proof of work: the expected number of attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Work(u128);

impl Work {
    /// No work.
    pub const ZERO: Self = Self(0);

    /// Takes a number of attempts.
    #[must_use]
    pub const fn new(attempts: u128) -> Self {
        Self(attempts)
    }

    /// The number of attempts.
    #[must_use]
    pub const fn get(self) -> u128 {
        self.0
    }

    /// The sum; none if it overflows.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn published_compact_targets_read_and_write() {
        for (compact, hex) in [
            (0x1d00_ffff, "ffff0000000000000000000000000000000000000000000000000000"),
            (0x1b04_04cb, "404cb000000000000000000000000000000000000000000000000"),
            (0x207f_ffff, "7fffff0000000000000000000000000000000000000000000000000000000000"),
            (0x0101_0000, "1"),
            (0x0200_8000, "80"),
        ] {
            let target = Bits(compact).target().unwrap();
            assert_eq!(target.0, U256::from_str_radix(hex, 16).unwrap(), "{compact:#x}");
            assert_eq!(target.to_bits(), Bits(compact));
        }
    }

    #[test]
    fn bits_that_name_no_target_or_not_in_its_one_form_are_refused() {
        assert_eq!(Bits(0x0180_0000).target(), Err(BitsError::Negative(0x0180_0000)));
        assert_eq!(Bits(0x2000_0000).target(), Err(BitsError::Zero(0x2000_0000)));
        assert_eq!(Bits(0x2301_0000).target(), Err(BitsError::Overflow(0x2301_0000)));
        let error = BitsError::NotCanonical { found: 0x1e00_00ff, canonical: 0x1d00_ff00 };
        assert_eq!(Bits(0x1e00_00ff).target(), Err(error));
        let error = BitsError::NotCanonical { found: 0x0101_0001, canonical: 0x0101_0000 };
        assert_eq!(Bits(0x0101_0001).target(), Err(error));
    }

    #[test]
    fn the_bounds_are_what_their_names_say() {
        assert_eq!(Target::HARDEST.0, U256::ONE << 160);
        assert_eq!(Target::EASIEST_ADJUSTING.0, (U256::ONE << 239) - U256::ONE);
        assert_eq!(Target::EASIEST.to_bits(), Bits::from_compact(0x207f_ffff));
        assert_eq!(Bits::from_compact(0x207f_ffff).target(), Ok(Target::EASIEST));
    }

    #[test]
    fn work_is_the_expected_number_of_attempts() {
        assert_eq!(Bits(0x207f_ffff).target().unwrap().work(), Some(Work(2)));
        assert_eq!(Bits(0x1d00_ffff).target().unwrap().work(), Some(Work(0x0001_0001_0001)));
        assert_eq!(Target(U256::MAX).work(), None);
        assert_eq!(Target::HARDEST.work(), Some(Work((1_u128 << 96) - 1)));
    }

    proptest! {
        #[test]
        fn every_canonical_form_reads_back(compact: u32) {
            if let Ok(target) = Bits(compact).target() {
                prop_assert_eq!(target.to_bits(), Bits(compact));
            }
        }
    }
}
