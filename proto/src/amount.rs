//! Money: `u64` mites, every operation checked, text as exact decimals.

use std::{fmt, iter, str::FromStr};

/// An amount in mites; 1 far = 100,000,000 mites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Mites(u64);

/// Mites in one far.
pub const MITES_PER_FAR: u64 = 100_000_000;
/// Decimal places of a far.
const DECIMALS: usize = 8;

/// Why a text is not an amount.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAmountError {
    /// Nothing there.
    #[error("the amount is empty; write it like 12.5")]
    Empty,
    /// Something other than digits and one point.
    #[error("{0:?} is not part of an amount; write it like 12.5, without sign, unit or thousands separator")]
    Character(char),
    /// Digits are missing on one side of the point.
    #[error("an amount has digits on both sides of its point, like 0.5")]
    MissingDigits,
    /// Finer than a mite.
    #[error("{0} decimal places are finer than a mite; at most 8 are possible")]
    TooFine(usize),
    /// More than an amount can hold.
    #[error("the amount is larger than 184467440737.09551615 far, the most that can be written")]
    TooLarge,
}

impl Mites {
    /// No money.
    pub const ZERO: Self = Self(0);
    /// The largest amount that can be written.
    pub const MAX: Self = Self(u64::MAX);

    /// Takes a number of mites.
    #[must_use]
    pub const fn new(mites: u64) -> Self {
        Self(mites)
    }

    /// A whole number of far; none if that overflows.
    #[must_use]
    pub fn from_far(far: u64) -> Option<Self> {
        far.checked_mul(MITES_PER_FAR).map(Self)
    }

    /// The number of mites.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True for no money.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum; none if it overflows.
    #[must_use]
    pub fn checked_add(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// The difference; none if it is negative.
    #[must_use]
    pub fn checked_sub(self, other: Self) -> Option<Self> {
        self.0.checked_sub(other.0).map(Self)
    }

    /// The product; none if it overflows.
    #[must_use]
    pub fn checked_mul(self, factor: u64) -> Option<Self> {
        self.0.checked_mul(factor).map(Self)
    }

    /// The sum of all; none if it overflows.
    pub fn checked_sum(amounts: impl IntoIterator<Item = Self>) -> Option<Self> {
        amounts.into_iter().try_fold(Self::ZERO, Self::checked_add)
    }
}

impl fmt::Display for Mites {
    /// An exact decimal number of far without needless zeros: `12.5`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (far, mites) = (self.0 / MITES_PER_FAR, self.0 % MITES_PER_FAR);
        let text =
            if mites == 0 { far.to_string() } else { format!("{far}.{mites:08}").trim_end_matches('0').to_owned() };
        f.pad(&text)
    }
}

impl FromStr for Mites {
    type Err = ParseAmountError;

    fn from_str(text: &str) -> Result<Self, ParseAmountError> {
        let (whole, fraction) = match text.split_once('.') {
            None => (text, None),
            Some((whole, fraction)) => (whole, Some(fraction)),
        };
        let digits = whole.chars().chain(fraction.unwrap_or("").chars());
        if let Some(odd) = digits.clone().find(|c| !c.is_ascii_digit()) {
            return Err(ParseAmountError::Character(odd));
        }
        if text.is_empty() {
            return Err(ParseAmountError::Empty);
        }
        if whole.is_empty() || fraction == Some("") {
            return Err(ParseAmountError::MissingDigits);
        }
        let missing = DECIMALS
            .checked_sub(fraction.map_or(0, str::len))
            .ok_or(ParseAmountError::TooFine(fraction.map_or(0, str::len)))?;
        digits
            .chain(iter::repeat_n('0', missing))
            .try_fold(0_u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit.to_digit(10)?)))
            .map(Self)
            .ok_or(ParseAmountError::TooLarge)
    }
}

impl crate::codec::Canonical for Mites {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0.to_le_bytes());
    }

    fn decode(reader: &mut crate::codec::Reader<'_>) -> Result<Self, crate::codec::DecodeError> {
        reader.u64("amount").map(Self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn amounts_are_exact_decimals() {
        for (text, mites) in [
            ("0", 0),
            ("12.5", 1_250_000_000),
            ("0.00000001", 1),
            ("007", 700_000_000),
            ("184467440737.09551615", u64::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Mites(mites)), "{text}");
        }
        assert_eq!(Mites(1_250_000_000).to_string(), "12.5");
        assert_eq!(format!("{:>6}", Mites(700_000_000)), "     7");
    }

    #[test]
    fn a_bad_amount_says_what_is_wrong() {
        use ParseAmountError as E;
        for (text, error) in [
            ("", E::Empty),
            (".", E::MissingDigits),
            (".5", E::MissingDigits),
            ("5.", E::MissingDigits),
            ("-1", E::Character('-')),
            ("1e3", E::Character('e')),
            ("1,5", E::Character(',')),
            ("1.2.3", E::Character('.')),
            ("0.000000001", E::TooFine(9)),
            ("184467440737.09551616", E::TooLarge),
        ] {
            assert_eq!(text.parse::<Mites>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_amount_reads_back(mites: u64) {
            prop_assert_eq!(Mites(mites).to_string().parse(), Ok(Mites(mites)));
        }
    }
}
