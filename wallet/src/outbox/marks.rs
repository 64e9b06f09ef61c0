//! What the wallet notes beside a transfer, so that a command that comes again is known for what it is.

use std::{
    fmt,
    str::FromStr,
    time::{SystemTime, UNIX_EPOCH},
};

use farthing::{Address, Output};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::{Exit, Explain};

/// Longest id that a person may give.
const MAX_KEY: usize = 64;

/// Not an id.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not an id for a payment: 1 to 64 letters, digits, dots, dashes and underscores")]
pub struct KeyError(pub String);

impl Explain for KeyError {
    fn code(&self) -> &'static str {
        "BAD_ID"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["--id invoice-2026-07, for example".into()]
    }
}

/// The id that a person gives a payment, so that it is made once however often the command comes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Key(String);

impl Key {
    /// The id of a part of a payroll, which no person can give.
    #[must_use]
    pub fn of_part(plan: &str, number: usize) -> Self {
        Self(format!("pay:{plan}:{number}"))
    }

    /// The payroll that this is a part of, if it is.
    #[must_use]
    pub fn payroll(&self) -> Option<&str> {
        Some(self.0.strip_prefix("pay:")?.rsplit_once(':')?.0)
    }

    /// A file's name for it on any file system.
    #[must_use]
    pub fn file_name(&self) -> String {
        hex::encode(Sha256::digest(&self.0))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Key {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > MAX_KEY || !text.bytes().all(is_good) {
            return Err(KeyError(text.chars().take(MAX_KEY + 1).collect()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a transfer is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// It pays.
    #[default]
    Payment,
    /// It pays the same as another one with its nonce, with a higher fee.
    Bump,
    /// It takes the nonce of another one, so that that is not paid.
    Cancel,
}

/// How a transfer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// In the proven history, deep enough.
    Paid,
    /// A transfer that this wallet does not know took its nonce.
    NotPaid,
    /// Its own cancellation took its nonce.
    Cancelled,
}

/// What is noted about a transfer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The id that a person gave.
    pub key: Option<Key>,
    /// Digest of what was wished for; see [`content`].
    pub content: Option<String>,
    /// What it is for.
    pub kind: Kind,
    /// When it was signed, in seconds since 1970.
    pub made: u64,
    /// Whether a command has told somebody how it ended.
    pub told: bool,
}

impl Marks {
    /// Of a transfer that is being made.
    #[must_use]
    pub fn now(kind: Kind) -> Self {
        let made = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { kind, made, ..Self::default() }
    }
}

/// Digest of what a person wished for: two commands with the same digest say the same. The fee is no part of it.
#[must_use]
pub fn content(from: &Address, outputs: &[Output], all: bool, memo: &[u8]) -> String {
    let mut digest = Sha256::new();
    digest.update(from.as_bytes());
    digest.update([u8::from(all)]);
    for output in outputs {
        digest.update(output.to.as_bytes());
        digest.update(if all { 0 } else { output.amount.get() }.to_le_bytes());
    }
    digest.update((outputs.len() as u64).to_le_bytes());
    digest.update(memo);
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use farthing::Mites;

    use super::*;

    #[test]
    fn an_id_is_short_and_plain() {
        for good in ["a", "invoice-7", "2026.07_b"] {
            assert_eq!(good.parse::<Key>().unwrap().as_str(), good);
        }
        for bad in ["", "a b", "pay:x:1", "../x", "ä", &"x".repeat(65)] {
            assert_eq!(bad.parse::<Key>().unwrap_err().code(), "BAD_ID", "{bad}");
        }
    }

    #[test]
    fn the_same_words_have_the_same_content_and_others_another() {
        let [from, to] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        let pay = |amount| [Output { to, amount: Mites::new(amount) }];
        let base = content(&from, &pay(5), false, b"");
        assert_eq!(base, content(&from, &pay(5), false, b""));
        for other in [
            content(&to, &pay(5), false, b""),
            content(&from, &pay(6), false, b""),
            content(&from, &pay(5), true, b""),
            content(&from, &pay(5), false, b"memo"),
        ] {
            assert_ne!(base, other);
        }
        assert_eq!(content(&from, &pay(5), true, b""), content(&from, &pay(6), true, b""));
    }
}
