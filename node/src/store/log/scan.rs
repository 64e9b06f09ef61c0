//! Reading the log from front to back after a start: where it ends, what in it is damaged, what to cut.
//!
//! Batch n + 1 is written only after the sync of batch n. So a broken batch with anything of a later one behind it had
//! been synced and is damaged; with nothing behind it, it was never acknowledged and is cut.

use super::{Log, LogPosition, RECORD_HEADER, RecordHeader, SEGMENT_HEADER, Segment};
use crate::store::{LogPlace, StoreError};

/// Bytes read at a time in search of the next record.
const WINDOW: usize = 1 << 20;

/// A record as it was found.
#[derive(Debug)]
pub(crate) struct ScannedRecord {
    pub(crate) header: RecordHeader,
    pub(crate) place: LogPlace,
    pub(crate) contents: Vec<u8>,
    /// The contents are not what was written.
    pub(crate) damaged: bool,
}

/// A batch as it was found.
#[derive(Debug)]
pub(crate) struct ScannedBatch {
    pub(crate) start: LogPosition,
    pub(crate) end: LogPosition,
    pub(crate) records: Vec<ScannedRecord>,
    /// Records are missing from it: their headers were damaged.
    pub(crate) lossy: bool,
    closed: bool,
}

impl ScannedBatch {
    fn new(start: LogPosition) -> Self {
        Self { start, end: start, records: Vec::new(), lossy: false, closed: false }
    }

    /// True if all of it is as it was written.
    pub(crate) fn is_whole(&self) -> bool {
        self.closed && !self.lossy && self.records.iter().all(|record| !record.damaged)
    }

    /// Bytes of its records.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.records.iter().map(|record| record.header.record_len()).sum()
    }

    fn is_untouched(&self) -> bool {
        self.records.is_empty() && !self.lossy
    }
}

impl Log {
    /// Hands every batch from `from` on to `visit`, then cuts a torn tail and makes the log ready for writing.
    /// Nothing before `synced` is ever cut. Returns the end of the log.
    pub(crate) fn scan(
        &self,
        from: LogPosition,
        synced: LogPosition,
        visit: &mut dyn FnMut(ScannedBatch) -> Result<(), StoreError>,
    ) -> Result<LogPosition, StoreError> {
        let (tail, last) = self.read_batches(from, synced, visit)?;
        if let Some((start, end)) = last.filter(|(start, end)| start.segment == end.segment) {
            self.write_again(start, end)?;
        }
        self.cut(tail)?;
        *self.next_batch() = tail.batch;
        Ok(tail)
    }

    /// As [`Log::scan`], but changes nothing. Returns the end of the log.
    pub(crate) fn inspect(
        &self,
        visit: &mut dyn FnMut(ScannedBatch) -> Result<(), StoreError>,
    ) -> Result<LogPosition, StoreError> {
        self.read_batches(LogPosition::START, LogPosition::START, visit).map(|(tail, _)| tail)
    }

    /// Hands on every batch; gives the end of the log and the bounds of the last batch.
    fn read_batches(
        &self,
        from: LogPosition,
        synced: LogPosition,
        visit: &mut dyn FnMut(ScannedBatch) -> Result<(), StoreError>,
    ) -> Result<(LogPosition, Option<(LogPosition, LogPosition)>), StoreError> {
        let mut scan = Scan { batch: ScannedBatch::new(from), last: None, visit };
        let segments: Vec<Segment> =
            self.segments().range(from.segment..).map(|(_, segment)| segment.clone()).collect();
        for segment in &segments {
            if segment.header.number > from.segment {
                // The segment was begun by a batch after all of the one before.
                scan.confirm(LogPosition {
                    segment: segment.header.number,
                    offset: SEGMENT_HEADER,
                    batch: scan.batch.start.batch,
                })?;
            }
            scan.segment(segment)?;
        }
        let tail = scan.finish(synced)?;
        Ok((tail, scan.last))
    }

    /// Drops what lies behind the end.
    fn cut(&self, end: LogPosition) -> Result<(), StoreError> {
        let segment = self.segments().get(&end.segment).cloned();
        let Some(segment) = segment else { return Ok(()) };
        if end.offset <= SEGMENT_HEADER {
            // Whether the file's name is durable is unknown if its directory's sync failed: it is made anew.
            self.segments_mut().remove(&end.segment);
            let removed = self.disk.remove(&segment.path);
            return removed.map_err(StoreError::io("removing an empty segment", &segment.path));
        }
        if segment.len > end.offset {
            tracing::warn!(
                path = %segment.path.display(),
                bytes = segment.len - end.offset,
                "cutting a torn tail that was never acknowledged"
            );
            segment.file.set_len(end.offset.into()).map_err(StoreError::io("cutting a torn tail", &segment.path))?;
            segment.file.sync_data().map_err(StoreError::unknown("syncing the block log", &segment.path))?;
            self.segments_mut().insert(end.segment, Segment { len: end.offset, ..segment });
        }
        Ok(())
    }

    /// Writes a batch again in place: after a failed sync it may be in the cache and not on the drive, with its pages
    /// marked clean.
    fn write_again(&self, start: LogPosition, end: LogPosition) -> Result<(), StoreError> {
        let Some(segment) = self.segments().get(&end.segment).cloned() else { return Ok(()) };
        let path = &segment.path;
        let mut bytes = vec![0; usize::try_from(end.offset - start.offset).unwrap_or_default()];
        let read = segment.file.read_exact_at(start.offset.into(), &mut bytes);
        read.map_err(StoreError::io("reading the last batch", path))?;
        let written = segment.file.write_all_at(start.offset.into(), &bytes);
        written.map_err(StoreError::io("writing the last batch again", path))?;
        segment.file.sync_data().map_err(StoreError::unknown("syncing the block log", path))
    }
}

struct Scan<'a> {
    /// The batch that is being read.
    batch: ScannedBatch,
    /// Bounds of the last batch that was handed on.
    last: Option<(LogPosition, LogPosition)>,
    visit: &'a mut dyn FnMut(ScannedBatch) -> Result<(), StoreError>,
}

impl Scan<'_> {
    fn segment(&mut self, segment: &Segment) -> Result<(), StoreError> {
        let number = segment.header.number;
        let mut at = if number == self.batch.start.segment { self.batch.start.offset } else { SEGMENT_HEADER };
        while at < segment.len {
            let Some(header) = header_at(segment, at)? else {
                self.batch.lossy = true;
                match next_header(segment, at + 1)? {
                    Some(next) => at = next,
                    None => break,
                }
                continue;
            };
            if header.batch > self.batch.start.batch {
                // Something of a later batch: all before had been synced.
                self.confirm(LogPosition { segment: number, offset: at, batch: header.batch })?;
            }
            let end = u64::from(at) + header.record_len();
            self.record(segment, at, header)?;
            if end > segment.len.into() {
                break;
            }
            at = u32::try_from(end).expect("the end is within the segment");
            if header.last {
                self.batch.closed = true;
                self.batch.end = LogPosition { segment: number, offset: at, batch: header.batch + 1 };
                if self.batch.is_whole() {
                    self.confirm(self.batch.end)?;
                }
            }
        }
        Ok(())
    }

    fn record(&mut self, segment: &Segment, at: u32, header: RecordHeader) -> Result<(), StoreError> {
        let offset = at.checked_add(RECORD_HEADER as u32);
        let place = offset.and_then(|offset| LogPlace::new(segment.header.number, offset));
        let place = place.expect("a header that was read is within the segment");
        let left = segment.len.saturating_sub(place.offset()).min(header.len);
        let mut contents = vec![0; usize::try_from(left).unwrap_or_default()];
        // A drive that cannot read its sectors is damage like any other.
        let readable = segment.file.read_exact_at(place.offset().into(), &mut contents).is_ok();
        let damaged = !readable || !header.fits(&contents, segment.header.salt);
        self.batch.records.push(ScannedRecord { header, place, contents, damaged });
        Ok(())
    }

    /// Hands on the batch read so far, for it had been synced, and begins the next at `next`.
    fn confirm(&mut self, next: LogPosition) -> Result<(), StoreError> {
        let mut batch = std::mem::replace(&mut self.batch, ScannedBatch::new(next));
        if batch.is_untouched() {
            return Ok(());
        }
        batch.end = next;
        if next.batch == batch.start.batch {
            // Its end was lost with its segment's.
            self.batch.start.batch += 1;
            batch.end.batch += 1;
        }
        self.last = Some((batch.start, batch.end));
        (self.visit)(batch)
    }

    /// Judges what is left at the end of the log.
    fn finish(&mut self, synced: LogPosition) -> Result<LogPosition, StoreError> {
        let start = self.batch.start;
        if self.batch.is_untouched() {
            return Ok(start);
        }
        if (start.segment, start.offset) < (synced.segment, synced.offset) {
            // A marker says that it had been synced: damage, although nothing stands behind it.
            let end = LogPosition { batch: start.batch + 1, ..synced };
            self.confirm(end)?;
            return Ok(end);
        }
        Ok(start)
    }
}

fn header_at(segment: &Segment, at: u32) -> Result<Option<RecordHeader>, StoreError> {
    let mut bytes = [0; RECORD_HEADER];
    match segment.file.read_exact_at(at.into(), &mut bytes) {
        Ok(()) => Ok(RecordHeader::read(&bytes, segment.header.salt)),
        Err(_) => Ok(None),
    }
}

/// Offset of the next readable header from `from` on.
fn next_header(segment: &Segment, from: u32) -> Result<Option<u32>, StoreError> {
    let mut window = vec![0; WINDOW + RECORD_HEADER];
    let mut at = u64::from(from);
    let end = u64::from(segment.len);
    while at + RECORD_HEADER as u64 <= end {
        let len = usize::try_from((end - at).min(window.len() as u64)).unwrap_or_default();
        let bytes = &mut window[..len];
        if segment.file.read_exact_at(at, bytes).is_ok() {
            let starts = 0..=len.saturating_sub(RECORD_HEADER).min(WINDOW - 1);
            for start in starts {
                if RecordHeader::may_begin(&bytes[start..])
                    && RecordHeader::read(&bytes[start..], segment.header.salt).is_some()
                {
                    return Ok(u32::try_from(at + start as u64).ok());
                }
            }
        }
        at += WINDOW as u64;
    }
    Ok(None)
}
