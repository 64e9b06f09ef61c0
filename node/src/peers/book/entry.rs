//! What the book knows of one address.

use std::{net::SocketAddr, time::Duration};

use farthing::{
    TimeMs,
    codec::{Canonical as _, DecodeError, Reader, put_bytes},
};

use super::NetGroup;
use crate::{env::canonical, peers::backoff};

const RECORD_VERSION: u8 = 1;
/// The first and the longest wait after failed attempts.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
/// An address that never answered is dropped after so many attempts.
const ATTEMPTS_OF_STRANGERS: u32 = 6;
/// One that answered once is dropped after so many failures in a row.
const ATTEMPTS_OF_FRIENDS: u32 = 50;

/// An address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was last seen alive, by whoever told of it.
    pub(super) last_seen: TimeMs,
    /// Whether this node had a session with it.
    pub(super) met: bool,
    /// The network group of whoever told of it first.
    pub(super) source: NetGroup,
    /// Failures in a row.
    pub(super) failures: u32,
    /// Not to be dialled before, by the steady clock of this run.
    pub(super) retry_at: Duration,
}

impl Entry {
    pub(super) const fn new(last_seen: TimeMs, source: NetGroup) -> Self {
        Self { last_seen, met: false, source, failures: 0, retry_at: Duration::ZERO }
    }

    /// A failed attempt. False if the address is not worth keeping.
    pub(super) fn fail(&mut self, now: Duration, jitter: f64) -> bool {
        self.retry_at = now.saturating_add(backoff::delay(FIRST_RETRY, LONGEST_RETRY, self.failures, jitter));
        self.failures = self.failures.saturating_add(1);
        self.failures < if self.met { ATTEMPTS_OF_FRIENDS } else { ATTEMPTS_OF_STRANGERS }
    }

    /// How much it is worth; the least leaves first.
    pub(super) fn worth(&self) -> (bool, std::cmp::Reverse<u32>, TimeMs) {
        (self.met, std::cmp::Reverse(self.failures), self.last_seen)
    }

    pub(super) fn to_record(&self) -> Vec<u8> {
        let mut record = vec![RECORD_VERSION];
        self.last_seen.encode(&mut record);
        record.push(u8::from(self.met));
        put_bytes(&mut record, self.source.to_address().to_string().as_bytes());
        record.extend_from_slice(&self.failures.to_le_bytes());
        record
    }

    pub(super) fn from_record(record: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(record);
        let version = reader.u8("version")?;
        if version != RECORD_VERSION {
            let (found, expected) = (version.into(), RECORD_VERSION.into());
            return Err(DecodeError::UnknownVersion { what: "address record", found, expected });
        }
        let last_seen = TimeMs::decode(&mut reader)?;
        let met = match reader.u8("met")? {
            0 => false,
            1 => true,
            value => return Err(DecodeError::UnknownChoice { field: "met", value }),
        };
        let source = reader.text("source", 64)?.parse().map_err(|_| DecodeError::NotText("source"))?;
        let failures = reader.u32("failures")?;
        reader.finish()?;
        Ok(Self { met, failures, ..Self::new(last_seen, NetGroup::of(source)) })
    }
}

/// The key of an address in the store.
pub(super) fn key(address: SocketAddr) -> Vec<u8> {
    address.to_string().into_bytes()
}

/// The address of a key.
pub(super) fn address_of(key: &[u8]) -> Option<SocketAddr> {
    std::str::from_utf8(key).ok()?.parse().ok().map(canonical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_an_error() {
        let entry = Entry {
            met: true,
            failures: 3,
            ..Entry::new(TimeMs::new(77), NetGroup::of("2001:db8::1".parse().unwrap()))
        };
        let record = entry.to_record();
        assert_eq!(Entry::from_record(&record).as_ref(), Ok(&entry));
        for cut in 0..record.len() {
            assert!(Entry::from_record(&record[..cut]).is_err());
        }
        let address: SocketAddr = "[2001:db8::1]:50061".parse().unwrap();
        assert_eq!(address_of(&key(address)), Some(address));
        assert_eq!(address_of(b"nonsense"), None);
    }

    #[test]
    fn a_stranger_is_given_up_sooner_than_a_friend() {
        let attempts = |met| {
            let mut entry = Entry { met, ..Entry::new(TimeMs::new(0), NetGroup::V4([1, 2])) };
            (1..).find(|_| !entry.fail(Duration::ZERO, 0.5)).unwrap()
        };
        assert_eq!((attempts(false), attempts(true)), (ATTEMPTS_OF_STRANGERS, ATTEMPTS_OF_FRIENDS));
    }
}
