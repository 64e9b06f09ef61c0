//! Whom this wallet has paid before, so that a first payment and a lookalike are noticed.

use std::path::PathBuf;

use farthing::Address;

use crate::disk::{self, DiskError};

/// Most addresses that are kept; the oldest go first.
const MAX_ADDRESSES: usize = 10_000;
/// Longest file: a line of 65 bytes for each.
const MAX_FILE_BYTES: u64 = 65 * MAX_ADDRESSES as u64;
/// Characters at either end that a person compares.
const COMPARED: usize = 4;

/// The addresses, in a file of their own, one a line in hex, the newest last.
#[derive(Debug)]
pub struct Recipients {
    path: PathBuf,
    addresses: Vec<Address>,
}

impl Recipients {
    /// Reads the file; no file means nobody was paid. A line that is no address counts as none: this is a help to the
    /// eye, no record of payments.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn read(path: PathBuf) -> Result<Self, DiskError> {
        let bytes = match disk::read_private(&path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(Self { path, addresses: Vec::new() }),
            other => other?,
        };
        let address = |line: &str| hex::decode(line).ok().and_then(|bytes| Address::try_from(bytes.as_slice()).ok());
        let addresses = String::from_utf8_lossy(&bytes).lines().filter_map(address).collect();
        Ok(Self { path, addresses })
    }

    /// Whether that address was paid before.
    #[must_use]
    pub fn contains(&self, address: &Address) -> bool {
        self.addresses.contains(address)
    }

    /// All of them, the newest last.
    pub fn iter(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter()
    }

    /// Remembers those that are new.
    ///
    /// # Errors
    /// [`DiskError`].
    pub fn remember(&mut self, paid: impl IntoIterator<Item = Address>) -> Result<(), DiskError> {
        let before = self.addresses.len();
        for address in paid {
            if !self.addresses.contains(&address) {
                self.addresses.push(address);
            }
        }
        if self.addresses.len() == before {
            return Ok(());
        }
        let surplus = self.addresses.len().saturating_sub(MAX_ADDRESSES);
        self.addresses.drain(..surplus);
        let lines: String = self.addresses.iter().map(|address| hex::encode(address.as_bytes()) + "\n").collect();
        disk::replace_private(&self.path, lines.as_bytes())
    }
}

/// Whether two addresses, as they are written, look alike to somebody who compares their beginnings and ends.
#[must_use]
pub fn look_alike(one: &str, other: &str) -> bool {
    let ends = |text: &str| {
        let data = text.rsplit_once('1').map_or(text, |(_, data)| data);
        let tail = data.len().saturating_sub(COMPARED);
        Some((data.get(..COMPARED)?.to_owned(), data.get(tail..)?.to_owned()))
    };
    one != other && ends(one).is_some() && ends(one) == ends(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recipients_are_remembered_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = || folder.path().join("recipients");
        let [one, two] = [1, 2].map(|byte| Address::from_bytes([byte; 32]));
        Recipients::read(path()).unwrap().remember([one, two, one]).unwrap();
        let mut again = Recipients::read(path()).unwrap();
        again.remember([two]).unwrap();
        assert_eq!(again.iter().copied().collect::<Vec<_>>(), [one, two]);
        assert!(again.contains(&two) && !again.contains(&Address::from_bytes([3; 32])));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = || folder.path().join("recipients");
        let address = |number: u64| {
            let mut bytes = [0; 32];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            Address::from_bytes(bytes)
        };
        Recipients::read(path()).unwrap().remember((0..10_001).map(address)).unwrap();
        let read = Recipients::read(path()).unwrap();
        assert_eq!(read.iter().count(), MAX_ADDRESSES);
        assert!(!read.contains(&address(0)) && read.contains(&address(10_000)));
    }

    #[test]
    fn addresses_look_alike_by_their_ends() {
        assert!(look_alike("dfar1abcdxxxxwxyz", "dfar1abcdyyyywxyz"));
        for other in ["dfar1abcdxxxxwxyz", "dfar1abceyyyywxyz", "dfar1abcdyyyywxya", "dfar1a"] {
            assert!(!look_alike("dfar1abcdxxxxwxyz", other), "{other}");
        }
        assert!(!look_alike("", "x"));
    }
}
