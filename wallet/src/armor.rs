//! Text around bytes that people hand to each other: a first and a last line that say what it is and in which version,
//! base64 between them, and a checksum in it. Read strictly: there is one text for the same bytes, so a file with any
//! byte changed is refused.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use sha2::{Digest as _, Sha256};

/// Characters of base64 a line, as in PEM.
pub(crate) const LINE: usize = 64;
/// Bytes of the checksum.
const CHECKSUM: usize = 32;

/// What a text holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// In capitals, such as `TRANSFER`.
    pub label: &'static str,
    /// Of what is inside; raised when older wallets could not read it.
    pub version: u32,
}

/// Why a text is not what it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArmorError {
    /// Another first line.
    #[error("its first line is not {expected:?}")]
    Begin {
        /// What stands there in such a file.
        expected: String,
    },
    /// Made by a later wallet.
    #[error("it has version {found}, this wallet reads {expected}")]
    Version {
        /// Its version.
        found: u32,
        /// What is read here.
        expected: u32,
    },
    /// Cut short, or something behind the end.
    #[error("it does not end with {expected:?}")]
    End {
        /// What stands there in such a file.
        expected: String,
    },
    /// Between the two lines is no base64.
    #[error("what stands between its first and last line is not base64")]
    Base64,
    /// Changed on the way.
    #[error("its checksum does not fit: some of it was changed")]
    Checksum,
    /// Line breaks or spaces where there should be none.
    #[error("its lines are not as they were written")]
    Form,
}

/// Adds base64 to a text, in lines as PEM has them. Whoever adds a secret has reserved the room: `base64.len()` and a
/// [`LINE`]th of it.
pub(crate) fn push_lines(text: &mut String, base64: &str) {
    let mut rest = base64;
    while !rest.is_empty() {
        let (line, behind) = rest.split_at(rest.len().min(LINE));
        text.push_str(line);
        text.push('\n');
        rest = behind;
    }
}

impl Kind {
    fn line(self, word: &str) -> String {
        format!("-----{word} FARTHING {} {}-----\n", self.label, self.version)
    }

    fn checksum(self, bytes: &[u8]) -> [u8; CHECKSUM] {
        let mut hasher = Sha256::new();
        hasher.update(self.line("BEGIN"));
        hasher.update(bytes);
        hasher.finalize().into()
    }

    /// The text around some bytes.
    #[must_use]
    pub fn wrap(self, bytes: &[u8]) -> String {
        let inner = BASE64.encode([bytes, &self.checksum(bytes)].concat());
        let mut text = self.line("BEGIN");
        text.reserve(inner.len() + inner.len() / LINE + 64);
        push_lines(&mut text, &inner);
        text.push_str(&self.line("END"));
        text
    }

    /// The bytes in a text.
    ///
    /// # Errors
    /// [`ArmorError`].
    pub fn unwrap(self, text: &[u8]) -> Result<Vec<u8>, ArmorError> {
        let (begin, end) = (self.line("BEGIN"), self.line("END"));
        let Some(rest) = text.strip_prefix(begin.as_bytes()) else {
            return Err(match self.other_version(text) {
                Some(found) => ArmorError::Version { found, expected: self.version },
                None => ArmorError::Begin { expected: begin.trim_end().to_owned() },
            });
        };
        let inner = rest.strip_suffix(end.as_bytes());
        let inner = inner.ok_or_else(|| ArmorError::End { expected: end.trim_end().to_owned() })?;
        let inner: Vec<u8> = inner.iter().copied().filter(|byte| *byte != b'\n').collect();
        let all = BASE64.decode(inner).map_err(|_| ArmorError::Base64)?;
        let (bytes, checksum) = all.split_last_chunk::<CHECKSUM>().ok_or(ArmorError::Checksum)?;
        if *checksum != self.checksum(bytes) {
            return Err(ArmorError::Checksum);
        }
        if self.wrap(bytes).as_bytes() == text { Ok(bytes.to_vec()) } else { Err(ArmorError::Form) }
    }

    fn other_version(self, text: &[u8]) -> Option<u32> {
        let line = std::str::from_utf8(text.split(|byte| *byte == b'\n').next()?).ok()?;
        let rest = line.strip_prefix("-----BEGIN FARTHING ")?.strip_prefix(self.label)?;
        let version = rest.strip_prefix(' ')?.strip_suffix("-----")?.parse().ok()?;
        (version != self.version).then_some(version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHEESE: Kind = Kind { label: "CHEESE", version: 2 };

    #[test]
    fn what_is_wrapped_comes_out_again() {
        for length in [0, 1, 15, 16, 47, 48, 1000] {
            let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let text = CHEESE.wrap(&bytes);
            assert!(text.starts_with("-----BEGIN FARTHING CHEESE 2-----\n"), "{text}");
            assert!(text.lines().all(|line| line.len() <= LINE), "{text}");
            assert_eq!(CHEESE.unwrap(text.as_bytes()), Ok(bytes));
        }
    }

    #[test]
    fn no_byte_can_be_changed_left_out_or_put_in() {
        let text = CHEESE.wrap(b"gouda").into_bytes();
        for at in 0..text.len() {
            for bit in 0..8 {
                let mut changed = text.clone();
                changed[at] ^= 1 << bit;
                CHEESE.unwrap(&changed).unwrap_err();
            }
            let shorter = [&text[..at], &text[at + 1..]].concat();
            CHEESE.unwrap(&shorter).unwrap_err();
            for extra in [b'\n', b' ', b'A', b'='] {
                CHEESE.unwrap(&[&text[..at], &[extra], &text[at..]].concat()).unwrap_err();
            }
        }
        CHEESE.unwrap(&[text.as_slice(), b"\n"].concat()).unwrap_err();
    }

    #[test]
    fn another_version_and_another_kind_are_told_apart() {
        let later = Kind { version: 3, ..CHEESE }.wrap(b"gouda");
        assert_eq!(CHEESE.unwrap(later.as_bytes()), Err(ArmorError::Version { found: 3, expected: 2 }));
        let other = Kind { label: "BREAD", version: 2 }.wrap(b"rye");
        assert!(matches!(CHEESE.unwrap(other.as_bytes()), Err(ArmorError::Begin { .. })));
        assert!(matches!(CHEESE.unwrap(b""), Err(ArmorError::Begin { .. })));
        assert!(matches!(CHEESE.unwrap(later.replace('3', "2").as_bytes()), Err(ArmorError::Checksum)));
    }
}
