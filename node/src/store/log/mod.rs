//! The block log: append-only segments, one sync a batch. The truth from which all else can be made again.

mod poison;
mod record;
mod scan;
mod segment;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use farthing::{BlockId, Height, limits::MAX_TRANSACTION_BYTES};

pub(crate) use poison::Poison;
pub(crate) use record::Kind;
pub(crate) use scan::{ScannedBatch, ScannedRecord};
pub(crate) use segment::NetworkName;

use self::{
    record::{Batch, RECORD_HEADER, RecordHeader, Salt},
    segment::{CreateError, SEGMENT_HEADER, Segment, SegmentHeader, number_of},
};
use super::{LogPlace, StoreError, error::is_no_space};
use crate::env::{Disk, Random};

/// A position between two batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LogPosition {
    pub(crate) segment: u32,
    pub(crate) offset: u32,
    /// Number of the batch that begins here.
    pub(crate) batch: u64,
}

impl LogPosition {
    /// Where the log begins.
    pub(crate) const START: Self = Self { segment: 0, offset: SEGMENT_HEADER, batch: 1 };
}

/// How the log lies on the disk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogOptions {
    /// Size at which the next segment is begun.
    pub(crate) segment_bytes: u32,
    /// Bytes that must stay free on the disk.
    pub(crate) reserve_bytes: u64,
}

/// A record to be appended.
#[derive(Debug)]
pub(crate) struct NewRecord {
    pub(crate) kind: Kind,
    pub(crate) height: Height,
    pub(crate) id: BlockId,
    pub(crate) contents: Vec<u8>,
}

/// What an append did.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Where each record's contents stand.
    pub(crate) places: Vec<LogPlace>,
    /// The end of the log now.
    pub(crate) end: LogPosition,
}

/// The open log. One writer, any number of readers.
#[derive(Debug)]
pub(crate) struct Log {
    disk: Arc<dyn Disk>,
    random: Arc<dyn Random>,
    directory: PathBuf,
    network: NetworkName,
    options: LogOptions,
    segments: RwLock<BTreeMap<u32, Segment>>,
    next_batch: Mutex<u64>,
    poison: Arc<Poison>,
}

impl Log {
    /// Opens the segments in a directory that is there, durably; refuses those of another network. Nothing is cut before [`Log::scan`] has said where the
    /// log ends.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        random: Arc<dyn Random>,
        directory: &Path,
        network: NetworkName,
        options: LogOptions,
        poison: Arc<Poison>,
    ) -> Result<Self, StoreError> {
        let mut segments = BTreeMap::new();
        let entries = disk.list(directory).map_err(StoreError::io("listing the block log", directory))?;
        let numbers: Vec<u32> = entries.iter().filter_map(|entry| number_of(entry.name())).collect();
        for number in &numbers {
            let path = directory.join(segment::file_name(*number));
            match Segment::open(disk.as_ref(), path.clone())? {
                Some(found) => {
                    network.require(directory, &found.header.network)?;
                    segments.insert(*number, found);
                }
                // Never finished: its header is durable before anything else is put into it. It is made anew.
                None if Some(number) == numbers.last() && file_len(disk.as_ref(), &path)? <= SEGMENT_HEADER.into() => {}
                None => {
                    let reason = "both copies of the segment's header are damaged; restore the file, or remove the \
                                  whole data directory to fetch the chain again"
                        .to_owned();
                    return Err(StoreError::Unreadable { path, reason });
                }
            }
        }
        require_all(directory, &segments)?;
        Ok(Self {
            disk,
            random,
            directory: directory.to_owned(),
            network,
            options,
            segments: RwLock::new(segments),
            next_batch: Mutex::new(LogPosition::START.batch),
            poison,
        })
    }

    /// Bytes in all segments.
    pub(crate) fn size_bytes(&self) -> u64 {
        self.segments().values().map(|segment| u64::from(segment.len)).sum()
    }

    /// Bytes behind a position.
    pub(crate) fn bytes_behind(&self, position: LogPosition) -> u64 {
        let segments = self.segments();
        let behind = segments.range(position.segment..).map(|(number, segment)| {
            let from = if *number == position.segment { position.offset } else { 0 };
            u64::from(segment.len.saturating_sub(from))
        });
        behind.sum()
    }

    /// Whether the log reaches to a position that was synced once.
    pub(crate) fn reaches(&self, position: LogPosition) -> bool {
        let segments = self.segments();
        match segments.get(&position.segment) {
            Some(segment) => segment.len >= position.offset,
            None => {
                let next = segments.last_key_value().map_or(0, |(number, _)| number + 1);
                position.segment == next && position.offset == SEGMENT_HEADER
            }
        }
    }

    /// Appends records as one batch: when this returns they are durable, all of them. On an error that is not fatal
    /// nothing was appended.
    pub(crate) fn append(&self, records: &[NewRecord]) -> Result<Appended, StoreError> {
        let mut next_batch = self.next_batch();
        self.poison.check()?;
        let len: usize = records.iter().map(|record| RECORD_HEADER + record.contents.len()).sum();
        self.require_room(len as u64)?;
        let segment = self.segment_for(len as u64)?;
        let mut batch = Batch::new(segment.header.salt, *next_batch);
        let mut places = Vec::with_capacity(records.len());
        for record in records {
            let within = batch.push(record.kind, record.height, &record.id, &record.contents);
            let offset = u32::try_from(within).ok().and_then(|within| segment.len.checked_add(within));
            places.push(
                offset
                    .and_then(|offset| LogPlace::new(segment.header.number, offset))
                    .expect("batches are far smaller than what an offset can count"),
            );
        }
        let bytes = batch.finish();
        self.write(&segment, &bytes)?;
        let len = segment.len + u32::try_from(bytes.len()).expect("the places before it fitted");
        *next_batch += 1;
        self.segments_mut().insert(segment.header.number, Segment { len, ..segment.clone() });
        Ok(Appended { places, end: LogPosition { segment: segment.header.number, offset: len, batch: *next_batch } })
    }

    /// Reads a record's contents. Whatever is wrong with them, or with the drive under them, is damage.
    pub(crate) fn read(&self, kind: Kind, id: &BlockId, place: LogPlace) -> Result<Vec<u8>, StoreError> {
        let corrupt =
            |reason: &str| StoreError::Corrupt { kind: kind.name(), id: *id, place, reason: reason.to_owned() };
        let segment = self.segments().get(&place.segment()).cloned().ok_or_else(|| corrupt("no such segment"))?;
        let start = place.offset().checked_sub(RECORD_HEADER as u32).ok_or_else(|| corrupt("no such place"))?;
        let mut header = [0; RECORD_HEADER];
        let read = segment.file.read_exact_at(start.into(), &mut header);
        read.map_err(|error| corrupt(&error.to_string()))?;
        let header =
            RecordHeader::read(&header, segment.header.salt).ok_or_else(|| corrupt("its header is damaged"))?;
        if header.kind.name() != kind.name() || header.id != *id {
            return Err(corrupt("another record stands there"));
        }
        let mut contents = vec![0; usize::try_from(header.len).unwrap_or_default()];
        let read = segment.file.read_exact_at(place.offset().into(), &mut contents);
        read.map_err(|error| corrupt(&error.to_string()))?;
        if !header.fits(&contents, segment.header.salt) {
            return Err(corrupt("the checksum does not match"));
        }
        Ok(contents)
    }

    /// Reads the bytes of a transaction, and whatever follows it. The caller must be able to tell whether they are
    /// right.
    pub(crate) fn read_transaction(&self, place: LogPlace) -> Result<Vec<u8>, StoreError> {
        let corrupt = |reason: String| StoreError::CorruptKey { place, reason };
        let segment = self.segments().get(&place.segment()).cloned();
        let segment = segment.ok_or_else(|| corrupt("no such segment".to_owned()))?;
        let mut bytes = vec![0; MAX_TRANSACTION_BYTES];
        let mut filled = 0;
        while filled < bytes.len() {
            let at = u64::from(place.offset()) + filled as u64;
            match segment.file.read_at(at, &mut bytes[filled..]).map_err(|error| corrupt(error.to_string()))? {
                0 => break,
                read => filled += read,
            }
        }
        bytes.truncate(filled);
        Ok(bytes)
    }

    /// The block whose record holds the byte at a place, and where its contents begin. Goes through the headers of that
    /// segment from its front: for the rare case that something at the place is damaged.
    pub(crate) fn block_around(&self, place: LogPlace) -> Option<(BlockId, LogPlace)> {
        let segment = self.segments().get(&place.segment()).cloned()?;
        let mut at = SEGMENT_HEADER;
        while at < segment.len {
            let mut header = [0; RECORD_HEADER];
            segment.file.read_exact_at(at.into(), &mut header).ok()?;
            let header = RecordHeader::read(&header, segment.header.salt)?;
            let contents = at.checked_add(RECORD_HEADER as u32)?;
            let end = contents.checked_add(header.len)?;
            if (contents..end).contains(&place.offset()) {
                let is_block = header.kind.name() == Kind::Block.name();
                return LogPlace::new(place.segment(), contents).filter(|_| is_block).map(|at| (header.id, at));
            }
            at = end;
        }
        None
    }

    fn require_room(&self, needed: u64) -> Result<(), StoreError> {
        let path = &self.directory;
        let free = self.disk.free_space(path).map_err(StoreError::io("asking for free space", path))?;
        let free = free.saturating_sub(self.options.reserve_bytes);
        if free >= needed { Ok(()) } else { Err(StoreError::DiskFull { path: path.clone(), needed, free }) }
    }

    /// The segment that takes so many more bytes: the last one, or a new one.
    fn segment_for(&self, len: u64) -> Result<Segment, StoreError> {
        let last = self.segments().last_key_value().map(|(_, segment)| segment.clone());
        if let Some(segment) = &last {
            let fits = u64::from(segment.len) + len <= self.options.segment_bytes.into();
            if fits || segment.len == SEGMENT_HEADER {
                return Ok(segment.clone());
            }
        }
        let number = last.map_or(0, |segment| segment.header.number + 1);
        let mut salt = [0; 8];
        self.random.fill(&mut salt);
        let header = SegmentHeader { number, network: self.network.clone(), salt: Salt(salt) };
        let segment = Segment::create(self.disk.as_ref(), &self.directory, header).map_err(|error| match error {
            CreateError::NotMade { path, source } if is_no_space(&source) => {
                StoreError::DiskFull { path, needed: len, free: 0 }
            }
            CreateError::NotMade { path, source } => {
                StoreError::Io { what: "making a segment of the block log", path, source }
            }
            CreateError::NotSynced { path, source } => {
                self.poison.set(StoreError::Unknown { what: "syncing a new segment of the block log", path, source })
            }
        })?;
        self.segments_mut().insert(number, segment.clone());
        Ok(segment)
    }

    fn write(&self, segment: &Segment, bytes: &[u8]) -> Result<(), StoreError> {
        let path = &segment.path;
        if let Err(error) = segment.file.write_all_at(segment.len.into(), bytes) {
            // Synced, so that no sector of this attempt can ever mix with those of the next.
            let undone = segment.file.set_len(segment.len.into()).and_then(|()| segment.file.sync_data());
            undone.map_err(|source| {
                let what = "taking back a failed write to the block log";
                self.poison.set(StoreError::Unknown { what, path: path.clone(), source })
            })?;
            if is_no_space(&error) {
                return Err(StoreError::DiskFull { path: path.clone(), needed: bytes.len() as u64, free: 0 });
            }
            return Err(StoreError::io("writing to the block log", path)(error));
        }
        segment.file.sync_data().map_err(|source| {
            self.poison.set(StoreError::Unknown { what: "syncing the block log", path: path.clone(), source })
        })
    }

    fn segments(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<u32, Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn segments_mut(&self) -> std::sync::RwLockWriteGuard<'_, BTreeMap<u32, Segment>> {
        self.segments.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn next_batch(&self) -> MutexGuard<'_, u64> {
        self.next_batch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn file_len(disk: &dyn Disk, path: &Path) -> Result<u64, StoreError> {
    let len = disk.open(path).and_then(|file| file.len());
    len.map_err(StoreError::io("measuring a segment of the block log", path))
}

/// A missing segment is not damage that peers could heal unnoticed: it is said by name.
fn require_all(directory: &Path, segments: &BTreeMap<u32, Segment>) -> Result<(), StoreError> {
    for (expected, (number, segment)) in (0..).zip(segments) {
        if *number != expected || segment.header.number != expected {
            let reason = format!("the segment is missing, or another one has its name; found number {number}");
            return Err(StoreError::Unreadable { path: directory.join(segment::file_name(expected)), reason });
        }
    }
    Ok(())
}
