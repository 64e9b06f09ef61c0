//! Who has the private half of a key.

use std::{fmt, str::FromStr};

/// What stands before the holder in a key's file.
pub(super) const PREFIX: &str = "signer: ";

/// Who has the private half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This wallet, in the key's file.
    File,
    /// Nobody that this wallet knows: the key is watched only.
    Nobody,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Nobody => f.write_str("none"),
        }
    }
}

/// No such holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signer")]
pub struct ParseHolderError(String);

impl FromStr for Holder {
    type Err = ParseHolderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" | "" => Ok(Self::Nobody),
            other => Err(ParseHolderError(other.to_owned())),
        }
    }
}

/// What a file says about the holder; nothing if it does not say.
pub(super) fn line(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(PREFIX)).unwrap_or_default().trim()
}
