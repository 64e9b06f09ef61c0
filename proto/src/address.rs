//! Addresses: SHA-256 of a public key's DER, shown in bech32m with the network's prefix \[R-ADR\].

use std::{fmt, str::FromStr};

use bech32::{
    Bech32m, Hrp,
    primitives::decode::{CheckedHrpstring, CheckedHrpstringError, ChecksumError},
};

use crate::hash::hash_type;

hash_type! {
    /// SHA-256 of a public key's SubjectPublicKeyInfo in DER. Its text form needs the network's [`AddressPrefix`].
    Address
}

/// The human-readable part of a network's addresses: 1 to 16 lower-case letters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AddressPrefix(String);

/// Why a text is not an address of this network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAddressError {
    /// Wrong checksum, wrong characters or not bech32m at all.
    #[error("{text:?} is not an address: {reason}; an address of this network begins with \"{expected}1\"")]
    NotBech32m {
        /// What was given, shortened.
        text: String,
        /// What is wrong.
        reason: Bech32mFault,
        /// The network's prefix.
        expected: String,
    },
    /// An address of another network.
    #[error("the address is for a network with prefix {found:?}, this one has {expected:?}")]
    WrongPrefix {
        /// The prefix in the text.
        found: String,
        /// The network's prefix.
        expected: String,
    },
    /// A well-formed text of the wrong size.
    #[error("the address holds {0} bytes, expected 32")]
    WrongLength(usize),
}

/// What keeps a text from being bech32m over 32 bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Bech32mFault {
    /// Characters, cases, separator or length are not those of bech32 \[R-ADR-01\].
    #[error("{0}")]
    Form(String),
    /// A checksum that does not match, or that of another code \[R-ADR-02\].
    #[error("{0}")]
    Checksum(String),
    /// Bits that only fill up the last character, and are not zero \[R-ADR-04\].
    #[error("the last character carries stray bits")]
    StrayBits,
}

impl From<CheckedHrpstringError> for Bech32mFault {
    fn from(error: CheckedHrpstringError) -> Self {
        let text = error.to_string();
        match error {
            CheckedHrpstringError::Checksum(ChecksumError::InvalidResidue(_)) => Self::Checksum(text),
            _ => Self::Form(text),
        }
    }
}

impl ParseAddressError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::NotBech32m { reason: Bech32mFault::Form(_), .. } => "R-ADR-01",
            Self::NotBech32m { reason: Bech32mFault::Checksum(_), .. } => "R-ADR-02",
            Self::WrongPrefix { .. } => "R-ADR-03",
            Self::NotBech32m { reason: Bech32mFault::StrayBits, .. } | Self::WrongLength(_) => "R-ADR-04",
        }
    }
}

/// Why a text is not an address prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the address prefix {0:?} is not 1 to 16 lower-case letters")]
pub struct ParsePrefixError(String);

impl AddressPrefix {
    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text of an address on this network.
    #[must_use]
    pub fn format(&self, address: &Address) -> String {
        let prefix = Hrp::parse_unchecked(&self.0);
        bech32::encode::<Bech32m>(prefix, address.as_bytes())
            .expect("16 letters and 32 bytes are within the length of bech32m")
    }

    /// Reads an address of this network. Nothing is repaired.
    ///
    /// # Errors
    /// If the text is malformed, its checksum wrong, or its prefix another network's.
    pub fn parse(&self, text: &str) -> Result<Address, ParseAddressError> {
        let checked = CheckedHrpstring::new::<Bech32m>(text).map_err(|error| ParseAddressError::NotBech32m {
            text: text.chars().take(100).collect(),
            reason: error.into(),
            expected: self.0.clone(),
        })?;
        let found = checked.hrp().to_lowercase();
        if found != self.0 {
            return Err(ParseAddressError::WrongPrefix { found, expected: self.0.clone() });
        }
        // Two texts must never name one address, so the padding of the last character is held to zeros as well.
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let address = Address::try_from(bytes.as_slice()).map_err(|_| ParseAddressError::WrongLength(bytes.len()))?;
        if self.format(&address) != text.to_lowercase() {
            return Err(ParseAddressError::NotBech32m {
                text: text.chars().take(100).collect(),
                reason: Bech32mFault::StrayBits,
                expected: self.0.clone(),
            });
        }
        Ok(address)
    }
}

impl FromStr for AddressPrefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, ParsePrefixError> {
        let fits = (1..=16).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase());
        fits.then(|| Self(text.to_owned())).ok_or_else(|| ParsePrefixError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for AddressPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dev() -> AddressPrefix {
        "dfar".parse().unwrap()
    }

    #[test]
    fn an_address_reads_back_in_either_case() {
        let address = Address::from_bytes([7; 32]);
        let text = dev().format(&address);
        assert!(text.starts_with("dfar1"), "{text}");
        assert_eq!(dev().parse(&text), Ok(address));
        assert_eq!(dev().parse(&text.to_uppercase()), Ok(address));
    }

    #[test]
    fn every_single_wrong_character_is_refused() {
        let text = dev().format(&Address::from_bytes([7; 32]));
        for at in 5..text.len() {
            let wrong = if &text[at..=at] == "q" { "p" } else { "q" };
            let mut changed = text.clone();
            changed.replace_range(at..=at, wrong);
            assert!(dev().parse(&changed).is_err(), "{changed}");
        }
    }

    #[test]
    fn another_networks_address_is_refused_by_name() {
        let main: AddressPrefix = "far".parse().unwrap();
        let text = main.format(&Address::from_bytes([7; 32]));
        assert_eq!(
            dev().parse(&text),
            Err(ParseAddressError::WrongPrefix { found: "far".into(), expected: "dfar".into() })
        );
    }
}
