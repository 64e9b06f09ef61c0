//! Headers one behind the other in a file, each with the work of its chain: 134 bytes. They certify themselves, so that
//! whatever a crash leaves of the file is checked when it is opened, and cut where it ceases to be a chain.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::{
    Header, Height, Params, TimeMs, Work,
    codec::{Canonical as _, Reader},
    header::HEADER_BYTES,
};
use farthing_consensus::{HeaderContext, check_header};

use crate::{
    env::{Disk, DiskFile},
    store::{StoreError, error::is_no_space},
};

/// Bytes of a header in the file.
const RECORD_BYTES: usize = HEADER_BYTES + 16;
/// Headers read at a time.
const STEP: u64 = 2_000;

/// A chain of headers on a parent.
#[derive(Debug)]
pub struct HeaderFile {
    disk: Arc<dyn Disk>,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// What the first header stands on.
    parent: HeaderContext,
    tip: HeaderContext,
    /// Bytes that must stay free on the disk.
    reserve_bytes: u64,
}

impl HeaderFile {
    /// The same, which leaves so many bytes of the disk free.
    #[must_use]
    pub fn leaving(self, reserve_bytes: u64) -> Self {
        Self { reserve_bytes, ..self }
    }

    /// An empty file in the place of whatever was there.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(disk: &Arc<dyn Disk>, path: &Path, parent: HeaderContext) -> Result<Self, StoreError> {
        let making = || StoreError::io("making a file of headers", path);
        if disk.exists(path).map_err(making())? {
            disk.remove(path).map_err(making())?;
        }
        let file = disk.create(path).map_err(making())?;
        Ok(Self { disk: Arc::clone(disk), file, path: path.to_owned(), parent, tip: parent, reserve_bytes: 0 })
    }

    /// The file as an earlier run left it, each header checked again by the rules; what is not a chain is cut. A new
    /// one if there is none.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn resume(disk: &Arc<dyn Disk>, path: &Path, params: &Params, now: TimeMs) -> Result<Self, StoreError> {
        let parent = HeaderContext::genesis(params);
        if !disk.exists(path).map_err(StoreError::io("looking for a file of headers", path))? {
            return Self::create(disk, path, parent);
        }
        // Its tip is found from below: a power cut may have left anything in the place of the last records.
        let (mut found, count) = Self::open_untold(disk, path, parent)?;
        let (mut good, end) = (parent, parent.height().saturating_add(count));
        let mut at = parent.height();
        'file: while at < end {
            let records = found.read(at.next(), STEP)?;
            if records.is_empty() {
                break;
            }
            for read in records {
                match check_header(params, &good, &read.header, now) {
                    Ok(context) if context.total_work() == read.work => good = context,
                    _ => break 'file,
                }
            }
            at = good.height();
        }
        found.tip = good;
        found.set_len()?;
        Ok(found)
    }

    /// A file whose headers were checked when it was made. What it holds is held together by ids only.
    pub(super) fn open(disk: &Arc<dyn Disk>, path: &Path, parent: HeaderContext) -> Result<Self, StoreError> {
        let (mut found, count) = Self::open_untold(disk, path, parent)?;
        if count > 0 {
            found.tip = found.context(parent.height().saturating_add(count))?;
        }
        Ok(found)
    }

    /// A file whose tip is not yet known, and how many whole records it has.
    fn open_untold(disk: &Arc<dyn Disk>, path: &Path, parent: HeaderContext) -> Result<(Self, u64), StoreError> {
        let reading = || StoreError::io("opening a file of headers", path);
        let file = disk.open(path).map_err(reading())?;
        let count = file.len().map_err(reading())? / RECORD_BYTES as u64;
        let path = path.to_owned();
        Ok((Self { disk: Arc::clone(disk), file, path, parent, tip: parent, reserve_bytes: 0 }, count))
    }

    /// The last header; the parent if there is none.
    #[must_use]
    pub const fn tip(&self) -> &HeaderContext {
        &self.tip
    }

    /// What the first header stands on.
    #[must_use]
    pub const fn parent(&self) -> &HeaderContext {
        &self.parent
    }

    /// The header at a height, from the parent's up to the tip's; none elsewhere.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn at(&self, height: Height) -> Result<Option<HeaderContext>, StoreError> {
        if height == self.parent.height() {
            return Ok(Some(self.parent));
        }
        if height < self.parent.height() || height > self.tip.height() {
            return Ok(None);
        }
        self.context(height).map(Some)
    }

    /// Puts headers behind the tip, each the child of the one before; checked by the caller.
    ///
    /// # Errors
    /// [`StoreError::DiskFull`], or the system's refusal; none is then behind the tip.
    pub fn push(&mut self, headers: &[HeaderContext]) -> Result<(), StoreError> {
        let Some(last) = headers.last() else { return Ok(()) };
        let mut bytes = Vec::with_capacity(headers.len() * RECORD_BYTES);
        for context in headers {
            context.header().encode(&mut bytes);
            bytes.extend_from_slice(&context.total_work().get().to_le_bytes());
        }
        let free = self.disk.free_space(&self.path).map_err(StoreError::io("asking for free space", &self.path))?;
        let (free, needed) = (free.saturating_sub(self.reserve_bytes), bytes.len() as u64);
        let full = |free| StoreError::DiskFull { path: self.path.clone(), needed, free };
        if free < needed {
            return Err(full(free));
        }
        self.file.write_all_at(self.offset(self.tip.height().next()), &bytes).map_err(|error| {
            if is_no_space(&error) { full(0) } else { StoreError::io("writing headers", &self.path)(error) }
        })?;
        self.tip = *last;
        Ok(())
    }

    /// The same file up to a height; none if it ends below. What is above stays in it until the store settles on what is
    /// below.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn up_to(&self, height: Height) -> Result<Option<Self>, StoreError> {
        let Some(tip) = self.at(height)? else { return Ok(None) };
        let (disk, file) = (Arc::clone(&self.disk), Arc::clone(&self.file));
        let (path, parent, reserve_bytes) = (self.path.clone(), self.parent, self.reserve_bytes);
        Ok(Some(Self { disk, file, path, parent, tip, reserve_bytes }))
    }

    /// Forgets what is above a height.
    ///
    /// # Errors
    /// If the file cannot be read or cut.
    pub fn truncate(&mut self, height: Height) -> Result<(), StoreError> {
        if let Some(context) = self.at(height)? {
            self.tip = context;
            self.set_len()?;
        }
        Ok(())
    }

    /// Hands every header above a height on, lowest first, some at a time. Each is the child of the one before, or the
    /// file is damaged.
    ///
    /// # Errors
    /// [`StoreError::BaseLost`] where it is no chain; what `visit` answers.
    pub fn each_above(
        &self,
        height: Height,
        visit: &mut dyn FnMut(&[HeaderContext]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let Some(mut last) = self.at(height)? else { return Ok(()) };
        while last.height() < self.tip.height() {
            let mut contexts = Vec::new();
            let left = self.tip.height().distance_from(last.height());
            let records = self.read(last.height().next(), STEP.min(left))?;
            if records.is_empty() {
                let reason = format!("its header at height {} cannot be read", last.height().next());
                return Err(StoreError::BaseLost { path: self.path.clone(), reason });
            }
            for read in records {
                let context = HeaderContext::from_stored(read.header, last.height().next(), read.work);
                let work = context.work().and_then(|work| last.total_work().checked_add(work));
                if read.header.previous != last.id() || work != Some(read.work) {
                    let reason = format!("its header at height {} is damaged", context.height());
                    return Err(StoreError::BaseLost { path: self.path.clone(), reason });
                }
                contexts.push(context);
                last = context;
            }
            visit(&contexts)?;
        }
        Ok(())
    }

    /// Makes it durable under another name in the same directory, and cuts what is above its tip.
    ///
    /// # Errors
    /// When a sync fails.
    pub(super) fn settle_as(self, path: &Path) -> Result<Self, StoreError> {
        self.set_len()?;
        self.file.sync_data().map_err(StoreError::unknown("syncing a file of headers", &self.path))?;
        self.disk.rename(&self.path, path).map_err(StoreError::io("naming a file of headers", path))?;
        if let Some(directory) = path.parent() {
            self.disk.sync_dir(directory).map_err(StoreError::unknown("syncing a directory", directory))?;
        }
        Ok(Self { path: path.to_owned(), ..self })
    }

    /// Removes the file.
    ///
    /// # Errors
    /// If that fails.
    pub fn remove(self) -> Result<(), StoreError> {
        self.disk.remove(&self.path).map_err(StoreError::io("removing a file of headers", &self.path))
    }

    fn set_len(&self) -> Result<(), StoreError> {
        let len = self.offset(self.tip.height().next());
        self.file.set_len(len).map_err(StoreError::io("cutting a file of headers", &self.path))
    }

    fn offset(&self, height: Height) -> u64 {
        height.distance_from(self.parent.height().next()) * RECORD_BYTES as u64
    }

    fn context(&self, height: Height) -> Result<HeaderContext, StoreError> {
        let read = self.read(height, 1)?;
        let read = read.first().ok_or_else(|| StoreError::BaseLost {
            path: self.path.clone(),
            reason: format!("it ends before height {height}"),
        })?;
        Ok(HeaderContext::from_stored(read.header, height, read.work))
    }

    /// Headers from a height on, at most so many; fewer at the end of the file.
    fn read(&self, from: Height, most: u64) -> Result<Vec<Record>, StoreError> {
        let reading = || StoreError::io("reading headers", &self.path);
        let offset = self.offset(from);
        let left = self.file.len().map_err(reading())?.saturating_sub(offset) / RECORD_BYTES as u64;
        let count = usize::try_from(left.min(most)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; count * RECORD_BYTES];
        self.file.read_exact_at(offset, &mut bytes).map_err(reading())?;
        let mut reader = Reader::new(&bytes);
        let mut read = Vec::with_capacity(count);
        while reader.remaining() > 0 {
            let record = Header::decode(&mut reader)
                .and_then(|header| Ok(Record { header, work: Work::new(reader.u128("work of a chain")?) }));
            // A torn record is where the chain ends.
            let Ok(record) = record else { break };
            read.push(record);
        }
        Ok(read)
    }
}

/// A header as it stands in the file.
struct Record {
    header: Header,
    work: Work,
}
