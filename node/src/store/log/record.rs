//! How a record stands in a log: a header with a checksum of its own, then the bytes.
//!
//! Both checksums begin with the file's salt: bytes that a stranger puts into a memo cannot pass for a record.

use farthing::{BlockId, Height};

/// Bytes of a record's header.
pub(crate) const RECORD_HEADER: usize = 68;
/// Longest contents of a record: a block of the largest kind, and far more than its effects.
pub(crate) const MAX_CONTENTS: usize = 256 << 20;

const MAGIC: [u8; 4] = *b"FRec";
const VERSION: u8 = 1;
/// Flag: the last record of its batch.
const LAST: u16 = 1;

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A block's canonical bytes.
    Block,
    /// What a block did.
    Effects,
    /// Nothing: the id is the tip of the best chain from here on.
    Tip,
    /// Another copy of a block whose first one is damaged.
    Replacement,
    /// Keys of accounts that had sent before the block that the chain begins with.
    Keys,
    /// The chain begins here, with a checkpoint: coinbases that were not yet credited.
    Base,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Block, Self::Effects, Self::Tip, Self::Replacement, Self::Keys, Self::Base];

    fn code(self) -> u8 {
        match self {
            Self::Block => 1,
            Self::Effects => 2,
            Self::Tip => 3,
            Self::Replacement => 4,
            Self::Keys => 5,
            Self::Base => 6,
        }
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Block | Self::Replacement => "block",
            Self::Effects => "effects",
            Self::Tip => "tip",
            Self::Keys => "keys",
            Self::Base => "beginning",
        }
    }
}

/// The random number that keeps the records of one file apart from all other bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; 8]);

impl Salt {
    fn checksum(self, parts: &[&[u8]]) -> u32 {
        parts.iter().fold(crc32c::crc32c(&self.0), |sum, part| crc32c::crc32c_append(sum, part))
    }
}

/// A record's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RecordHeader {
    pub(crate) kind: Kind,
    pub(crate) last: bool,
    pub(crate) len: u32,
    pub(crate) batch: u64,
    pub(crate) height: Height,
    pub(crate) id: BlockId,
    checksum: u32,
}

impl RecordHeader {
    /// Bytes of the whole record.
    pub(crate) fn record_len(&self) -> u64 {
        RECORD_HEADER as u64 + u64::from(self.len)
    }

    /// Reads a header; none if it is not one, or a damaged one.
    pub(crate) fn read(bytes: &[u8], salt: Salt) -> Option<Self> {
        let bytes: &[u8; RECORD_HEADER] = bytes.first_chunk()?;
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if body[..4] != MAGIC || body[4] != VERSION || u32::from_le_bytes(*sum) != salt.checksum(&[body]) {
            return None;
        }
        let kind = Kind::ALL.into_iter().find(|kind| kind.code() == body[5])?;
        let header = Self {
            kind,
            last: u16::from_le_bytes([body[6], body[7]]) & LAST != 0,
            len: u32::from_le_bytes(field(body, 8)),
            batch: u64::from_le_bytes(field(body, 12)),
            height: Height::new(u64::from_le_bytes(field(body, 20))),
            id: BlockId::from_bytes(field(body, 28)),
            checksum: u32::from_le_bytes(field(body, 60)),
        };
        (usize::try_from(header.len).is_ok_and(|len| len <= MAX_CONTENTS)).then_some(header)
    }

    /// Whether these are the bytes that the header was written for.
    pub(crate) fn fits(&self, contents: &[u8], salt: Salt) -> bool {
        contents.len() as u64 == u64::from(self.len) && salt.checksum(&[contents]) == self.checksum
    }

    /// True if `bytes` may begin a record: what a search for the next one looks for.
    pub(crate) fn may_begin(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }
}

/// A fixed field of a record's header.
fn field<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the header is longer than its fields")
}

/// A batch while it is put together: records that become durable together.
#[derive(Debug)]
pub(crate) struct Batch {
    salt: Salt,
    number: u64,
    bytes: Vec<u8>,
    /// Where each record begins.
    starts: Vec<usize>,
}

impl Batch {
    pub(crate) fn new(salt: Salt, number: u64) -> Self {
        Self { salt, number, bytes: Vec::new(), starts: Vec::new() }
    }

    /// Adds a record. Returns the offset of its contents in the batch.
    pub(crate) fn push(&mut self, kind: Kind, height: Height, id: &BlockId, contents: &[u8]) -> usize {
        let start = self.bytes.len();
        self.starts.push(start);
        self.bytes.extend_from_slice(&MAGIC);
        self.bytes.extend_from_slice(&[VERSION, kind.code(), 0, 0]);
        self.bytes.extend_from_slice(&u32::try_from(contents.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.bytes.extend_from_slice(&self.number.to_le_bytes());
        self.bytes.extend_from_slice(&height.get().to_le_bytes());
        self.bytes.extend_from_slice(id.as_bytes());
        self.bytes.extend_from_slice(&self.salt.checksum(&[contents]).to_le_bytes());
        let sum = self.salt.checksum(&[&self.bytes[start..]]);
        self.bytes.extend_from_slice(&sum.to_le_bytes());
        self.bytes.extend_from_slice(contents);
        start + RECORD_HEADER
    }

    /// Marks the last record as the batch's last and gives the bytes.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        if let Some(start) = self.starts.last().copied() {
            let end = start + RECORD_HEADER - 4;
            self.bytes[start + 6..start + 8].copy_from_slice(&LAST.to_le_bytes());
            let sum = self.salt.checksum(&[&self.bytes[start..end]]);
            self.bytes[end..end + 4].copy_from_slice(&sum.to_le_bytes());
        }
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SALT: Salt = Salt(*b"saltsalt");

    fn batch() -> Vec<u8> {
        let mut batch = Batch::new(SALT, 7);
        batch.push(Kind::Block, Height::new(3), &BlockId::from_bytes([1; 32]), b"contents");
        batch.push(Kind::Tip, Height::new(3), &BlockId::from_bytes([1; 32]), b"");
        batch.finish()
    }

    #[test]
    fn records_read_back_and_only_the_last_ends_the_batch() {
        let bytes = batch();
        let first = RecordHeader::read(&bytes, SALT).unwrap();
        assert_eq!((first.kind, first.last, first.batch, first.len), (Kind::Block, false, 7, 8));
        let contents = &bytes[RECORD_HEADER..RECORD_HEADER + 8];
        assert!(first.fits(contents, SALT) && !first.fits(b"c0ntents", SALT) && !first.fits(&contents[..7], SALT));
        let second = RecordHeader::read(&bytes[RECORD_HEADER + 8..], SALT).unwrap();
        assert_eq!((second.kind, second.last, second.len), (Kind::Tip, true, 0));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_seen_and_so_is_another_files_salt() {
        let bytes = batch();
        assert_eq!(RecordHeader::read(&bytes, Salt(*b"pepperpe")), None);
        for bit in 0..RECORD_HEADER * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(RecordHeader::read(&flipped, SALT), None, "bit {bit}");
        }
    }
}
