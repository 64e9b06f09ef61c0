//! Who has the private half of a key.

use std::{fmt, str::FromStr};

use super::token_uri::{ParseUriError, TokenUri};

/// What stands before the holder in a key's file.
pub(super) const PREFIX: &str = "signer: ";

/// Who has the private half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// This wallet, in the key's file.
    File,
    /// Nobody that this wallet knows: the key is watched only.
    Nobody,
    /// An ssh-agent, which signs on request.
    Agent,
    /// A token behind a PKCS #11 module, which signs on request.
    Token(TokenUri),
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File => f.write_str("file"),
            Self::Nobody => f.write_str("none"),
            Self::Agent => f.write_str("ssh-agent"),
            Self::Token(uri) => fmt::Display::fmt(uri, f),
        }
    }
}

/// No such holder.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseHolderError {
    /// A word that says nothing.
    #[error("{0:?} is no signer; expected file, ssh-agent or pkcs11:...")]
    Unknown(String),
    /// A URI that does not name a key.
    #[error(transparent)]
    Uri(#[from] ParseUriError),
}

impl FromStr for Holder {
    type Err = ParseHolderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "file" => Ok(Self::File),
            "none" => Ok(Self::Nobody),
            "ssh-agent" => Ok(Self::Agent),
            uri if uri.starts_with(TokenUri::SCHEME) => Ok(Self::Token(uri.parse()?)),
            other => Err(ParseHolderError::Unknown(other.to_owned())),
        }
    }
}

/// What a file says about the holder of its private half: nobody, if it does not say.
pub(super) fn line(bytes: &[u8]) -> &str {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix(PREFIX)).unwrap_or("none").trim()
}
