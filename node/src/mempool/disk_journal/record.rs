//! How entries lie in the file.
//!
//! ```text
//! record: length u32 of what follows the checksum | CRC-32C u32 of it | kind u8 | payload
//!   kind 1, added:   received u64 | canonical signed transaction
//!   kind 2, dropped: id 32 | code u8 | height u64 | id 32 of the one that replaced it, or nothing
//! ```
//! All numbers little-endian. A record whose checksum is wrong is passed over by its length. Nothing is searched for
//! behind a length that makes no sense: bytes that a stranger chose for a memo could pass for a record.

use std::collections::HashSet;

use farthing::{
    BlockId, Height, SignedTransaction, TimeMs, TxId,
    codec::{Canonical as _, Reader},
    limits::MAX_TRANSACTION_BYTES,
};

use crate::mempool::{DropReason, JournalEntry, LoadedEntry};

const ADDED: u8 = 1;
const DROPPED: u8 = 2;
/// No record is longer: a transaction, its time and its kind.
const MAX_RECORD_BYTES: usize = MAX_TRANSACTION_BYTES + 9;

pub(super) fn put(entry: &JournalEntry, out: &mut Vec<u8>) {
    let mut record = Vec::with_capacity(512);
    match entry {
        JournalEntry::Added(pooled) => {
            record.push(ADDED);
            pooled.received().encode(&mut record);
            pooled.transaction().encode(&mut record);
        }
        JournalEntry::Dropped { id, reason, height } => {
            let (code, by) = reason.to_code();
            record.push(DROPPED);
            id.encode(&mut record);
            record.push(code);
            height.encode(&mut record);
            if let Some(by) = by {
                by.encode(&mut record);
            }
        }
    }
    let length = u32::try_from(record.len()).expect("a record is a few kilobytes");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
    out.extend_from_slice(&record);
}

/// Where records stand.
#[derive(Debug)]
pub(super) struct Frames<'a> {
    /// The records in order; none for one that is not what was written.
    pub(super) records: Vec<Option<&'a [u8]>>,
    /// Where the last whole one ends.
    pub(super) end: usize,
}

/// Finds the records behind `start`. What is behind the last whole one is torn, or as good as that.
pub(super) fn frames(bytes: &[u8], start: usize) -> Frames<'_> {
    let (mut records, mut whole) = (Vec::new(), 0);
    let (mut at, mut end) = (start, start);
    while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
        let mut reader = Reader::new(rest);
        let Some(frame) = frame(&mut reader) else { break };
        at += rest.len() - reader.remaining();
        records.push(frame);
        if frame.is_some() {
            (whole, end) = (records.len(), at);
        }
    }
    records.truncate(whole);
    Frames { records, end }
}

/// One record's bytes, none if its checksum is wrong; nothing at all if it is cut off or its length makes no sense.
fn frame<'a>(reader: &mut Reader<'a>) -> Option<Option<&'a [u8]>> {
    let length = reader.u32("length").ok()?;
    let length = usize::try_from(length).ok().filter(|length| (1..=MAX_RECORD_BYTES).contains(length))?;
    let checksum = reader.u32("checksum").ok()?;
    let record = reader.take("record", length).ok()?;
    Some((crc32c::crc32c(record) == checksum).then_some(record))
}

/// What the records say, and how many say nothing.
pub(super) fn entries(frames: &Frames<'_>, genesis: &BlockId) -> (Vec<LoadedEntry>, usize) {
    let read: Vec<_> = frames.records.iter().map(|record| record.and_then(decode)).collect();
    let damaged = read.iter().filter(|entry| entry.is_none()).count();
    let entries = if damaged == 0 { read.into_iter().flatten().collect() } else { believable(read, genesis) };
    (entries, damaged)
}

fn decode(record: &[u8]) -> Option<LoadedEntry> {
    let mut reader = Reader::new(record);
    let entry = match reader.u8("kind").ok()? {
        ADDED => LoadedEntry::Added {
            received: TimeMs::decode(&mut reader).ok()?,
            transaction: SignedTransaction::decode(&mut reader).ok()?,
        },
        DROPPED => {
            let id = TxId::decode(&mut reader).ok()?;
            let code = reader.u8("reason").ok()?;
            let height = Height::decode(&mut reader).ok()?;
            let by = if reader.remaining() > 0 { Some(TxId::decode(&mut reader).ok()?) } else { None };
            LoadedEntry::Dropped { id, reason: DropReason::from_code(code, by)?, height }
        }
        _ => return None,
    };
    reader.finish().ok()?;
    Some(entry)
}

/// Leaves out, behind a record that cannot be read, what says that a transaction made room for another one: the other
/// one may be what that record held, and a torn write may have spared the second of the two.
fn believable(read: Vec<Option<LoadedEntry>>, genesis: &BlockId) -> Vec<LoadedEntry> {
    let (mut added, mut is_damaged) = (HashSet::new(), false);
    let mut kept = Vec::with_capacity(read.len());
    for entry in read {
        match &entry {
            None => is_damaged = true,
            Some(LoadedEntry::Added { transaction, .. }) => {
                added.insert(transaction.transaction().id(genesis));
            }
            Some(LoadedEntry::Dropped { id, reason, .. }) if is_damaged && added.contains(id) => match reason {
                DropReason::Replaced { by } if added.contains(by) => {}
                reason if reason.makes_room() => continue,
                _ => {}
            },
            Some(LoadedEntry::Dropped { .. }) => {}
        }
        kept.extend(entry);
    }
    kept
}
