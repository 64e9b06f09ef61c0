//! PEM blocks, read leniently (any line width, text around the blocks) and written as RFC 7468 asks.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::armor::{LINE, push_lines};

/// Longest label: the longest that anybody uses has 21 characters.
const MAX_LABEL: usize = 40;

/// Label of PKCS#8 private keys.
pub(super) const PRIVATE: &str = "PRIVATE KEY";
/// Label of encrypted PKCS#8 private keys.
pub(super) const ENCRYPTED: &str = "ENCRYPTED PRIVATE KEY";
/// Label of PKCS#1 private keys.
pub(super) const PKCS1: &str = "RSA PRIVATE KEY";
/// Label of PKCS#1 public keys, which Python's `rsa` writes.
pub(super) const PKCS1_PUBLIC: &str = "RSA PUBLIC KEY";
/// Label of OpenSSH's private keys.
pub(super) const OPENSSH: &str = "OPENSSH PRIVATE KEY";
/// Label of SubjectPublicKeyInfo.
pub(super) const PUBLIC: &str = "PUBLIC KEY";

/// One block of a PEM file.
pub(super) struct Block {
    /// What stands between `BEGIN` and the dashes.
    pub(super) label: String,
    /// Headers before the data (RFC 1421), as the old encrypted form has them.
    pub(super) headers: Vec<String>,
    /// The data.
    pub(super) der: Zeroizing<Vec<u8>>,
}

/// Why a text is not PEM.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// No block in it.
    #[error("there is no PEM block (-----BEGIN ...-----) in it")]
    NoBlock,
    /// A block without an end.
    #[error("the PEM block {0:?} has no end")]
    NoEnd(String),
    /// Not base64.
    #[error("the PEM block {0:?} is not valid base64")]
    Base64(String),
    /// Not text.
    #[error("it is not a text file")]
    NotText,
}

/// All blocks of a file, at least one.
pub(super) fn blocks(bytes: &[u8]) -> Result<Vec<Block>, PemError> {
    let text = std::str::from_utf8(bytes).map_err(|_| PemError::NotText)?;
    let mut lines = text.lines().map(str::trim);
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        // A label is shown to people: nothing in it may move the cursor.
        let fits = |label: &&str| {
            label.len() <= MAX_LABEL && label.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ')
        };
        let label = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")).filter(fits);
        let Some(label) = label else { continue };
        let shown = || label.to_owned();
        let end = format!("-----END {label}-----");
        let mut base64 = Zeroizing::new(String::with_capacity(text.len()));
        let mut headers = Vec::new();
        loop {
            let line = lines.next().ok_or_else(|| PemError::NoEnd(shown()))?;
            if line == end {
                break;
            }
            // Base64 has no colon: this is an RFC 1421 header.
            if line.contains(':') {
                headers.push(line.to_owned());
            } else {
                base64.push_str(line);
            }
        }
        let mut der = Zeroizing::new(Vec::with_capacity(base64.len()));
        STANDARD.decode_vec(base64.as_bytes(), &mut der).map_err(|_| PemError::Base64(shown()))?;
        found.push(Block { label: label.to_owned(), headers, der });
    }
    if found.is_empty() { Err(PemError::NoBlock) } else { Ok(found) }
}

/// One block as text.
pub(super) fn write(label: &str, der: &[u8]) -> Zeroizing<String> {
    let capacity = der.len() / 3 * 4 + 4;
    let mut base64 = Zeroizing::new(String::with_capacity(capacity));
    STANDARD.encode_string(der, &mut base64);
    let mut text = Zeroizing::new(String::with_capacity(capacity + capacity / LINE + 2 * label.len() + 40));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    push_lines(&mut text, &base64);
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back() {
        for length in [0, 1, 47, 48, 49, 1000] {
            let der: Vec<u8> = (0..length).map(|i| i as u8).collect();
            let text = write("THING", &der);
            assert!(text.lines().all(|line| line.len() <= LINE));
            let read = blocks(text.as_bytes()).unwrap();
            assert_eq!((read.len(), read[0].label.as_str(), read[0].der.as_slice()), (1, "THING", der.as_slice()));
        }
    }

    #[test]
    fn text_around_and_odd_lines_do_not_matter() {
        let text = "subject: me\r\n-----BEGIN A-----\r\nAAEC\r\nAwQ=\r\n-----END A-----\r\nmore\n-----BEGIN B-----\n-----END B-----";
        let read = blocks(text.as_bytes()).unwrap();
        assert_eq!((read.len(), read[0].der.as_slice(), read[1].label.as_str()), (2, &[0, 1, 2, 3, 4][..], "B"));
        assert_eq!(read[0].headers.len(), 0);
    }

    #[test]
    fn a_label_holds_nothing_that_a_terminal_obeys() {
        for label in ["\u{1b}[2J PRIVATE KEY", "\u{9b}2J PRIVATE KEY", &"A".repeat(41)] {
            let text = format!("-----BEGIN {label}-----\nAAEC\n-----END {label}-----\n");
            assert_eq!(blocks(text.as_bytes()).err(), Some(PemError::NoBlock), "{label:?}");
        }
    }

    #[test]
    fn what_is_not_pem_is_named() {
        let error = |text: &[u8]| blocks(text).err().unwrap();
        assert_eq!(error(b""), PemError::NoBlock);
        assert_eq!(error(b"\xff"), PemError::NotText);
        assert_eq!(error(b"-----BEGIN A-----\nAAEC\n"), PemError::NoEnd("A".into()));
        assert_eq!(error(b"-----BEGIN A-----\nAA?C\n-----END A-----"), PemError::Base64("A".into()));
        assert_eq!(error(b"-----BEGIN A-----\nAAEC\n-----END B-----"), PemError::NoEnd("A".into()));
    }
}
