//! Names of accounts and contacts: short, lower case, safe as a file name, never mistaken for an address or a flag.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::error::{Exit, Explain};

/// A valid name: 1 to 32 of `a-z 0-9 . _ -`, starting with a letter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("the name is empty, expected 1 to 32 characters")]
    Empty,
    /// More than 32 characters.
    #[error("the name {name:?} has {length} characters, at most 32 are allowed")]
    TooLong {
        /// What was given.
        name: String,
        /// Its length.
        length: usize,
    },
    /// Does not start with a letter.
    #[error("the name {name:?} starts with {found:?}, expected a letter from a to z{}", would_do(name))]
    Start {
        /// What was given.
        name: String,
        /// Its first character.
        found: char,
    },
    /// A character outside the set.
    #[error("the name {name:?} contains {found:?}, allowed are a-z, 0-9, '.', '_' and '-'{}", would_do(name))]
    Character {
        /// What was given.
        name: String,
        /// The first such character.
        found: char,
    },
}

impl Explain for NameError {
    fn code(&self) -> &'static str {
        "BAD_NAME"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["a short lower-case name such as alice or shop-2".into()]
    }
}

/// Names the nearest valid name, if there is one.
fn would_do(text: &str) -> String {
    let text = text.trim().to_lowercase().replace(char::is_whitespace, "-");
    text.parse::<Name>().map_or_else(|_| String::new(), |name| format!("; {name:?} would do"))
}

impl Name {
    /// Longest name.
    pub const MAX_LENGTH: usize = 32;

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let name = || text.chars().take(80).collect::<String>();
        let length = text.chars().count();
        let first = text.chars().next().ok_or(NameError::Empty)?;
        if length > Self::MAX_LENGTH {
            return Err(NameError::TooLong { name: name(), length });
        }
        if !first.is_ascii_lowercase() {
            return Err(NameError::Start { name: name(), found: first });
        }
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
        match text.chars().find(|c| !allowed(*c)) {
            Some(found) => Err(NameError::Character { name: name(), found }),
            None => Ok(Self(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// As in a message: the text in quotes.
impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_names_are_taken() {
        for name in ["a", "alice", "shop-2", "j.doe_3", &"x".repeat(32)] {
            assert_eq!(name.parse::<Name>().unwrap().as_str(), name);
        }
    }

    #[test]
    fn a_name_cannot_leave_its_folder_or_pass_for_a_flag() {
        for name in ["", "..", ".pem", "-y", "1st", "a/b", "a\\b", "Alice", "ann\n", "ann\0", "å", "a b"] {
            name.parse::<Name>().unwrap_err();
        }
        assert_eq!("x".repeat(33).parse::<Name>().unwrap_err().code(), "BAD_NAME");
    }

    #[test]
    fn the_error_names_the_offending_character() {
        let error = "ann e".parse::<Name>().unwrap_err();
        assert_eq!(error, NameError::Character { name: "ann e".into(), found: ' ' });
        assert!(error.to_string().ends_with("; \"ann-e\" would do"), "{error}");
        assert!(!"a/b".parse::<Name>().unwrap_err().to_string().contains("would do"));
    }
}
