//! Chunks with chained checksums, written and read from front to back.

use std::{io, sync::Arc};

use crate::env::DiskFile;

use super::Defect;

/// Kind, length, CRC.
pub(super) const CHUNK_HEADER: usize = 1 + 4 + 4;
/// No chunk's payload is longer. The longest is a head with 10,000 coinbases.
pub(super) const MAX_PAYLOAD: usize = 2 << 20;
/// Bytes after which what was written is synced: the block log's own syncs never wait behind much of a checkpoint.
const SYNC_EVERY: u64 = 32 << 20;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Accounts,
    End,
}

impl Kind {
    const fn code(self) -> u8 {
        match self {
            Self::Head => 1,
            Self::Accounts => 2,
            Self::End => 3,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::Head, Self::Accounts, Self::End].into_iter().find(|kind| kind.code() == code)
    }
}

fn checksum(before: u32, kind: u8, length: [u8; 4], payload: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(before, &[kind]);
    crc32c::crc32c_append(crc32c::crc32c_append(sum, &length), payload)
}

/// Writes chunks one behind the other.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    file: Arc<dyn DiskFile>,
    written: u64,
    synced: u64,
    sum: u32,
    /// Room for the header, then the payload that is being gathered.
    buffer: Vec<u8>,
}

impl ChunkWriter {
    /// Begins a file with bytes that are in no chunk but in the first one's checksum.
    pub(super) fn begin(file: Arc<dyn DiskFile>, preamble: &[u8]) -> io::Result<Self> {
        file.write_all_at(0, preamble)?;
        let written = preamble.len() as u64;
        let buffer = vec![0; CHUNK_HEADER];
        Ok(Self { file, written, synced: 0, sum: crc32c::crc32c(preamble), buffer })
    }

    /// Where the next chunk's payload is put together.
    pub(super) fn payload(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// Bytes of payload gathered so far.
    pub(super) fn gathered(&self) -> usize {
        self.buffer.len() - CHUNK_HEADER
    }

    /// Bytes of all chunks written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes the gathered payload as a chunk.
    pub(super) fn flush(&mut self, kind: Kind) -> io::Result<()> {
        let (header, payload) = self.buffer.split_at_mut(CHUNK_HEADER);
        let length = u32::try_from(payload.len()).ok().filter(|_| payload.len() <= MAX_PAYLOAD);
        let length = length.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, format!("a chunk of {} bytes", payload.len()))
        })?;
        let length = length.to_le_bytes();
        self.sum = checksum(self.sum, kind.code(), length, payload);
        header[0] = kind.code();
        header[1..5].copy_from_slice(&length);
        header[5..].copy_from_slice(&self.sum.to_le_bytes());
        self.file.write_all_at(self.written, &self.buffer)?;
        self.written += self.buffer.len() as u64;
        self.buffer.truncate(CHUNK_HEADER);
        if self.written - self.synced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes durable what was written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()?;
        self.synced = self.written;
        Ok(())
    }
}

/// Reads chunks one behind the other.
#[derive(Debug)]
pub(super) struct ChunkReader {
    file: Arc<dyn DiskFile>,
    at: u64,
    length: u64,
    sum: u32,
    payload: Vec<u8>,
}

impl ChunkReader {
    /// Begins behind a preamble that was read already.
    pub(super) fn begin(file: Arc<dyn DiskFile>, preamble: &[u8]) -> io::Result<Self> {
        let length = file.len()?;
        let at = preamble.len() as u64;
        Ok(Self { file, at, length, sum: crc32c::crc32c(preamble), payload: Vec::new() })
    }

    /// Where the next chunk begins.
    pub(super) fn position(&self) -> u64 {
        self.at
    }

    /// Bytes behind the chunks read so far.
    pub(super) fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }

    /// The payload of the chunk read last.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Reads the next chunk. Nothing is reserved for a length that the file does not have.
    pub(super) fn next(&mut self) -> Result<Kind, Defect> {
        let mut header = [0; CHUNK_HEADER];
        if self.left() < CHUNK_HEADER as u64 {
            return Err(Defect::Truncated(self.at));
        }
        self.file.read_exact_at(self.at, &mut header)?;
        let [code, l0, l1, l2, l3, sum @ ..] = header;
        let length = [l0, l1, l2, l3];
        let size = u32::from_le_bytes(length) as usize;
        let kind = Kind::from_code(code).filter(|_| size <= MAX_PAYLOAD).ok_or(Defect::Chunk(self.at))?;
        let end = self.at + (CHUNK_HEADER + size) as u64;
        if end > self.length {
            return Err(Defect::Truncated(self.at));
        }
        self.payload.resize(size, 0);
        self.file.read_exact_at(self.at + CHUNK_HEADER as u64, &mut self.payload)?;
        let expected = checksum(self.sum, code, length, &self.payload);
        if u32::from_le_bytes(sum) != expected {
            return Err(Defect::Chunk(self.at));
        }
        self.sum = expected;
        self.at = end;
        Ok(kind)
    }
}

/// Reads the payload of the chunk at a position, and where the next one begins; none if it is of another kind. Its
/// checksum, which hangs on all chunks before it, is not looked at: the caller must know what it should have read.
pub(super) fn read_chunk(file: &dyn DiskFile, at: u64, kind: Kind) -> Result<Option<(Vec<u8>, u64)>, Defect> {
    let mut header = [0; CHUNK_HEADER];
    file.read_exact_at(at, &mut header)?;
    let [code, l0, l1, l2, l3, ..] = header;
    let size = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
    let found = Kind::from_code(code).filter(|_| size <= MAX_PAYLOAD).ok_or(Defect::Chunk(at))?;
    if found != kind {
        return Ok(None);
    }
    let mut payload = vec![0; size];
    file.read_exact_at(at + CHUNK_HEADER as u64, &mut payload)?;
    Ok(Some((payload, at + (CHUNK_HEADER + size) as u64)))
}
