//! What the index holds of a block.

use farthing::{
    Block, BlockId, Header, Height, Work,
    codec::{Canonical as _, DecodeError, Reader},
};
use farthing_consensus::HeaderContext;

use crate::store::{LogPlace, StoreError};

/// A block's header, its place in the tree of blocks, and the places of its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BlockEntry {
    pub(crate) header: Header,
    pub(crate) height: Height,
    pub(crate) total_work: Work,
    /// None for those below the block that the chain begins with, and for it.
    pub(crate) block: Option<LogPlace>,
    pub(crate) effects: Option<LogPlace>,
}

impl BlockEntry {
    pub(crate) fn new(block: &Block, height: Height, total_work: Work, place: LogPlace) -> Self {
        Self { header: block.header, height, total_work, block: Some(place), effects: None }
    }

    /// A header whose body is not here.
    pub(crate) fn of_header(context: &HeaderContext) -> Self {
        let (header, height, total_work) = (*context.header(), context.height(), context.total_work());
        Self { header, height, total_work, block: None, effects: None }
    }

    pub(crate) fn context(&self) -> HeaderContext {
        HeaderContext::from_stored(self.header, self.height, self.total_work)
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        self.header.encode(&mut out);
        self.height.encode(&mut out);
        out.extend_from_slice(&self.total_work.get().to_le_bytes());
        LogPlace::encode_optional(self.block, &mut out);
        LogPlace::encode_optional(self.effects, &mut out);
        out
    }

    pub(crate) fn decode(id: &BlockId, bytes: &[u8]) -> Result<Self, StoreError> {
        let read = || -> Result<Self, DecodeError> {
            let mut reader = Reader::new(bytes);
            let header = Header::decode(&mut reader)?;
            let height = Height::decode(&mut reader)?;
            let total_work = Work::new(reader.u128("work")?);
            let block = LogPlace::decode_optional(&mut reader)?;
            let effects = LogPlace::decode_optional(&mut reader)?;
            reader.finish()?;
            Ok(Self { header, height, total_work, block, effects })
        };
        read().map_err(|_| StoreError::IndexDamaged(format!("the entry of block {id} does not decode")))
    }
}
