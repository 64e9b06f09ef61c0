//! One file of the log: a header that names the network, then records.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::{
    BlockId, Params,
    codec::{DecodeError, Reader, put_bytes},
};

use super::record::Salt;
use crate::{
    env::{Disk, DiskFile},
    store::StoreError,
};

const MAGIC: &[u8; 8] = b"FARTHLOG";
const VERSION: u16 = 1;
/// Bytes of one copy of the header: padded, so that the first record's offset does not depend on the name.
const COPY: usize = 128;
/// Bytes before the first record. The header stands there twice: without it, and so without the salt, no record of the
/// segment could be read.
pub(crate) const SEGMENT_HEADER: u32 = 2 * COPY as u32;

/// Which network's records a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkName {
    pub(crate) name: String,
    pub(crate) genesis: BlockId,
}

impl NetworkName {
    pub(crate) fn of(params: &Params) -> Self {
        Self { name: params.name.clone(), genesis: *params.genesis_id() }
    }

    /// Refuses the data of another network by name.
    pub(crate) fn require(&self, path: &Path, found: &Self) -> Result<(), StoreError> {
        if self == found {
            return Ok(());
        }
        Err(StoreError::OtherNetwork {
            path: path.to_owned(),
            found: found.name.clone(),
            found_genesis: found.genesis,
            expected: self.name.clone(),
            genesis: self.genesis,
        })
    }
}

/// What the first bytes of a segment say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) number: u32,
    pub(crate) network: NetworkName,
    pub(crate) salt: Salt,
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(2 * COPY);
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.salt.0);
        out.extend_from_slice(self.network.genesis.as_bytes());
        put_bytes(&mut out, self.network.name.as_bytes());
        out.resize(COPY - 4, 0);
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_le_bytes());
        out.extend_from_within(..);
        out
    }

    /// Reads a header; none if both copies are damaged or it was never written whole.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        Self::decode_copy(bytes).or_else(|| Self::decode_copy(bytes.get(COPY..)?))
    }

    fn decode_copy(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; COPY] = bytes.first_chunk()?;
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != crc32c::crc32c(body) {
            return None;
        }
        let read = || -> Result<Option<Self>, DecodeError> {
            let mut reader = Reader::new(body);
            if reader.take("magic", 8)? != MAGIC || reader.u16("version")? != VERSION {
                return Ok(None);
            }
            let number = reader.u32("number")?;
            let salt = Salt(reader.array("salt")?);
            let genesis = BlockId::from_bytes(reader.array("genesis")?);
            let name = reader.text("name", 32)?.to_owned();
            Ok(Some(Self { number, network: NetworkName { name, genesis }, salt }))
        };
        read().ok().flatten()
    }
}

/// An open segment.
#[derive(Clone, Debug)]
pub(crate) struct Segment {
    pub(crate) header: SegmentHeader,
    pub(crate) path: PathBuf,
    pub(crate) file: Arc<dyn DiskFile>,
    /// Bytes in use. What lies behind is not part of the log.
    pub(crate) len: u32,
}

/// Name of a segment's file.
pub(crate) fn file_name(number: u32) -> String {
    format!("{number:06}.log")
}

/// The number in a segment's file name.
pub(crate) fn number_of(name: &std::ffi::OsStr) -> Option<u32> {
    let digits = name.to_str()?.strip_suffix(".log")?;
    (digits.len() >= 6).then(|| digits.parse().ok()).flatten()
}

impl Segment {
    /// Makes a segment, durable with its name before it is used.
    pub(crate) fn create(disk: &dyn Disk, directory: &Path, header: SegmentHeader) -> Result<Self, CreateError> {
        let path = directory.join(file_name(header.number));
        let fill = || -> io::Result<Arc<dyn DiskFile>> {
            if disk.exists(&path)? {
                disk.remove(&path)?;
            }
            let file = disk.create(&path)?;
            file.write_all_at(0, &header.encode())?;
            Ok(file)
        };
        let file = fill().map_err(|source| CreateError::NotMade { path: path.clone(), source })?;
        let made = file.sync_data().and_then(|()| disk.sync_dir(directory));
        made.map_err(|source| CreateError::NotSynced { path: path.clone(), source })?;
        Ok(Self { header, path, file, len: SEGMENT_HEADER })
    }

    /// Opens a segment; none if its header is damaged.
    pub(crate) fn open(disk: &dyn Disk, path: PathBuf) -> Result<Option<Self>, StoreError> {
        let file = disk.open(&path).map_err(StoreError::io("opening a segment of the block log", &path))?;
        let len = file.len().map_err(StoreError::io("measuring a segment of the block log", &path))?;
        let len = u32::try_from(len).map_err(|_| StoreError::Unreadable {
            path: path.clone(),
            reason: format!("{len} bytes are more than a segment can have"),
        })?;
        let mut bytes = [0; SEGMENT_HEADER as usize];
        if len < SEGMENT_HEADER {
            return Ok(None);
        }
        file.read_exact_at(0, &mut bytes).map_err(StoreError::io("reading a segment of the block log", &path))?;
        Ok(SegmentHeader::decode(&bytes).map(|header| Self { header, path, file, len }))
    }
}

/// Why a segment could not be made.
#[derive(Debug)]
pub(crate) enum CreateError {
    /// It, or its contents, could not be written: removed again at the next try.
    NotMade { path: PathBuf, source: io::Error },
    /// A sync failed.
    NotSynced { path: PathBuf, source: io::Error },
}

#[cfg(test)]
mod tests {
    use super::*;
    use farthing::Network;

    #[test]
    fn a_header_reads_back_survives_any_flipped_bit_and_is_lost_with_both_copies() {
        let network = NetworkName::of(Network::Dev.params());
        let header = SegmentHeader { number: 9, network, salt: Salt([5; 8]) };
        let bytes = header.encode();
        assert_eq!(bytes.len(), SEGMENT_HEADER as usize);
        assert_eq!(SegmentHeader::decode(&bytes).as_ref(), Some(&header));
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped).as_ref(), Some(&header), "bit {bit}");
            flipped[(bit / 8 + COPY) % (2 * COPY)] ^= 1 << (bit % 8);
            assert_eq!(SegmentHeader::decode(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn segments_sort_by_number_and_strangers_are_ignored() {
        assert_eq!(number_of(file_name(12).as_ref()), Some(12));
        assert_eq!(number_of("1234567.log".as_ref()), Some(1_234_567));
        assert_eq!(number_of("12.log".as_ref()), None);
        assert_eq!(number_of("000012.tmp".as_ref()), None);
    }
}
