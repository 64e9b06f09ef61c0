//! What the book knows of one address.

use std::{net::SocketAddr, time::Duration};

use farthing::{
    TimeMs,
    codec::{Canonical as _, DecodeError, Reader},
};

use super::{Source, Table};
use crate::{env::canonical, peers::backoff};

const RECORD_VERSION: u8 = 2;
/// Without the last success and the counted failures; what it says of the table is whether the node was ever met.
const OLD_RECORD_VERSION: u8 = 1;
/// The first and the longest wait after failed attempts, and after sessions that did not last.
const FIRST_RETRY: Duration = Duration::from_secs(2);
const LONGEST_RETRY: Duration = Duration::from_secs(600);
const FIRST_REST: Duration = Duration::from_secs(1);
const LONGEST_REST: Duration = Duration::from_secs(60);
/// A session that lasted this long was a good one.
const LASTING: Duration = Duration::from_secs(10);
/// An address that never answered is dropped after so many counted failures, and gives way to another after fewer.
const FAILURES_OF_STRANGERS: u32 = 6;
const FAILURES_TO_GIVE_WAY: u32 = 3;
/// One that answered once is dropped after so many counted failures in a row.
const FAILURES_OF_FRIENDS: u32 = 50;
/// Addresses that nobody saw alive for so long are not passed on, not taken and not kept.
const STALE_AFTER_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// An address of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// When it was last seen alive, by whoever told of it.
    pub(super) last_seen: TimeMs,
    /// When this node last reached it.
    pub(super) last_success: Option<TimeMs>,
    pub(super) table: Table,
    /// Who told of it first.
    pub(super) source: Source,
    /// Failures in a row: they lengthen the pauses.
    pub(super) failures: u32,
    /// Failures in a row that tell against the address: those before which another address was reached, or a node
    /// that has lost its own connection would lose its whole book.
    counted: u32,
    /// The book's count of successes at the last counted failure.
    counted_at: u64,
    /// Sessions in a row that did not last.
    short: u32,
    /// Not to be dialled before, by the steady clock of this run.
    pub(super) retry_at: Duration,
}

impl Entry {
    pub(super) const fn new(last_seen: TimeMs, source: Source) -> Self {
        Self {
            last_seen,
            last_success: None,
            table: Table::New,
            source,
            failures: 0,
            counted: 0,
            counted_at: 0,
            short: 0,
            retry_at: Duration::ZERO,
        }
    }

    /// The same in this table.
    pub(super) const fn in_table(self, table: Table) -> Self {
        Self { table, ..self }
    }

    /// A failed attempt; `successes` is the book's count. Says whether it tells against the address.
    pub(super) fn fail(&mut self, now: Duration, jitter: f64, successes: u64) -> bool {
        self.retry_at = now.saturating_add(backoff::delay(FIRST_RETRY, LONGEST_RETRY, self.failures, jitter));
        self.failures = self.failures.saturating_add(1);
        let counts = successes > self.counted_at;
        if counts {
            self.counted = self.counted.saturating_add(1);
            self.counted_at = successes;
        }
        counts
    }

    /// It was reached.
    pub(super) fn succeed(&mut self, now: TimeMs) {
        self.last_success = Some(now);
        self.last_seen = self.last_seen.max(now);
        (self.failures, self.counted, self.retry_at) = (0, 0, Duration::ZERO);
    }

    /// A session with it ended. Coming back at once would only repeat whatever ended it.
    pub(super) fn part(&mut self, now: Duration, lasted: Duration, jitter: f64) {
        self.short = if lasted < LASTING { self.short.saturating_add(1) } else { 0 };
        let rest = backoff::delay(FIRST_REST, LONGEST_REST, self.short.saturating_sub(1), jitter);
        self.retry_at = now.saturating_add(rest);
    }

    /// Nobody saw it alive for a long time.
    pub(super) fn is_stale(&self, now: TimeMs) -> bool {
        is_stale(self.last_seen, now)
    }

    /// Not worth keeping.
    pub(super) const fn is_lost(&self) -> bool {
        self.counted >= if self.last_success.is_some() { FAILURES_OF_FRIENDS } else { FAILURES_OF_STRANGERS }
    }

    /// Whether it leaves its place to a newcomer that nobody has tried yet.
    pub(super) fn gives_way(&self, now: TimeMs) -> bool {
        self.is_stale(now) || self.is_lost() || (self.last_success.is_none() && self.counted >= FAILURES_TO_GIVE_WAY)
    }

    pub(super) fn to_record(&self) -> Vec<u8> {
        let mut record = vec![RECORD_VERSION];
        self.last_seen.encode(&mut record);
        self.last_success.unwrap_or(TimeMs::new(0)).encode(&mut record);
        record.push(u8::from(self.table == Table::Tried));
        self.source.encode(&mut record);
        record.extend_from_slice(&self.failures.to_le_bytes());
        record.extend_from_slice(&self.counted.to_le_bytes());
        record
    }

    /// Reads a record of this version or of the one before; says whether it was of this one.
    pub(super) fn from_record(record: &[u8]) -> Result<(Self, bool), DecodeError> {
        let mut reader = Reader::new(record);
        let version = reader.u8("version")?;
        let is_current = version == RECORD_VERSION;
        if !is_current && version != OLD_RECORD_VERSION {
            let (found, expected) = (version.into(), RECORD_VERSION.into());
            return Err(DecodeError::UnknownVersion { what: "address record", found, expected });
        }
        let last_seen = TimeMs::decode(&mut reader)?;
        let success = if is_current { TimeMs::decode(&mut reader)? } else { TimeMs::new(0) };
        let tried = match reader.u8("tried")? {
            0 => false,
            1 => true,
            value => return Err(DecodeError::UnknownChoice { field: "tried", value }),
        };
        let source = Source::decode(&mut reader)?;
        let failures = reader.u32("failures")?;
        let counted = if is_current { reader.u32("counted")? } else { 0 };
        reader.finish()?;
        let last_success = match success.get() {
            0 => (tried && !is_current).then_some(last_seen),
            _ => Some(success),
        };
        let table = if tried { Table::Tried } else { Table::New };
        Ok((Self { last_success, table, failures, counted, ..Self::new(last_seen, source) }, is_current))
    }
}

/// Whether an address that was last seen alive then is one to forget.
pub(super) fn is_stale(last_seen: TimeMs, now: TimeMs) -> bool {
    now.since(last_seen) > STALE_AFTER_MS
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
    use farthing::codec::put_bytes;

    use super::*;
    use crate::peers::book::NetGroup;

    fn group() -> Source {
        NetGroup::of("2001:db8::1".parse().unwrap()).into()
    }

    #[test]
    fn a_record_reads_back_and_a_damaged_one_is_an_error() {
        for source in [group(), Source::Seed, Source::Operator] {
            let entry = Entry {
                table: Table::Tried,
                last_success: Some(TimeMs::new(70)),
                failures: 3,
                counted: 2,
                ..Entry::new(TimeMs::new(77), source)
            };
            let record = entry.to_record();
            assert_eq!(Entry::from_record(&record), Ok((entry, true)));
            for cut in 0..record.len() {
                assert!(Entry::from_record(&record[..cut]).is_err());
            }
        }
        let address: SocketAddr = "[2001:db8::1]:50061".parse().unwrap();
        assert_eq!(address_of(&key(address)), Some(address));
        assert_eq!(address_of(b"nonsense"), None);
    }

    #[test]
    fn a_record_of_the_version_before_is_read() {
        for (met, table, last_success) in [(0, Table::New, None), (1, Table::Tried, Some(TimeMs::new(77)))] {
            let mut record = vec![1];
            TimeMs::new(77).encode(&mut record);
            record.push(met);
            put_bytes(&mut record, b"2001:db8::");
            record.extend_from_slice(&4_u32.to_le_bytes());
            let expected = Entry { table, last_success, failures: 4, ..Entry::new(TimeMs::new(77), group()) };
            assert_eq!(Entry::from_record(&record), Ok((expected, false)));
        }
        assert!(matches!(Entry::from_record(&[3]), Err(DecodeError::UnknownVersion { .. })));
    }

    #[test]
    fn a_stranger_is_given_up_sooner_than_a_friend() {
        let attempts = |last_success| {
            let mut entry = Entry { last_success, ..Entry::new(TimeMs::new(0), group()) };
            (1_u64..)
                .find(|successes| {
                    entry.fail(Duration::ZERO, 0.5, *successes);
                    entry.is_lost()
                })
                .unwrap()
        };
        assert_eq!(attempts(None), u64::from(FAILURES_OF_STRANGERS));
        assert_eq!(attempts(Some(TimeMs::new(5))), u64::from(FAILURES_OF_FRIENDS));
    }

    #[test]
    fn failures_count_only_if_somebody_else_answered_meanwhile() {
        let mut entry = Entry::new(TimeMs::new(0), group());
        for _ in 0..100 {
            assert!(!entry.fail(Duration::ZERO, 0.5, 0), "the node itself may be without a connection");
        }
        assert!(!entry.is_lost());
        assert!(entry.fail(Duration::ZERO, 0.5, 1));
        assert!(!entry.fail(Duration::ZERO, 0.5, 1));
    }

    #[test]
    fn the_rest_after_short_sessions_doubles_to_a_minute_and_a_long_one_makes_it_short_again() {
        let mut entry = Entry::new(TimeMs::new(0), group());
        let mut rests = |lasted: u64| {
            entry.part(Duration::ZERO, Duration::from_secs(lasted), 1.0);
            entry.retry_at.as_secs()
        };
        assert_eq!([0; 8].map(&mut rests), [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(rests(10), 1);
    }
}
