//! The marker: up to which position of the log the index is complete and durable.

use farthing::{
    BlockId, Height,
    codec::{DecodeError, Reader},
};

use crate::store::{LogPlace, base::BasePlace, log::LogPosition};

/// Of this layout of the index; another one is rebuilt.
const SCHEMA: u32 = 1;
/// The same, and at the end where the chain begins.
const SCHEMA_WITH_BASE: u32 = 2;
/// The marker's key.
pub(crate) const MARKER_KEY: &[u8] = b"marker";

/// Numbers of keys in the trees that the log determines, in the order of `Tree::COUNTED`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    pub(crate) blocks: u64,
    pub(crate) heights: u64,
    pub(crate) transactions: u64,
    pub(crate) side: u64,
}

impl Counts {
    pub(crate) fn each(self) -> [u64; 4] {
        [self.blocks, self.heights, self.transactions, self.side]
    }
}

/// What the index stands for at one position of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    pub(crate) position: LogPosition,
    pub(crate) tip: BlockId,
    pub(crate) height: Height,
    pub(crate) counts: Counts,
    /// Whether transactions are indexed.
    pub(crate) transactions: bool,
    /// Whether the store was closed in order.
    pub(crate) clean: bool,
    /// The machine's boot: if it is another one now, power may have been cut.
    pub(crate) boot: [u8; 16],
    /// Where the chain begins, if not with genesis.
    pub(crate) base: Option<BasePlace>,
}

impl Marker {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128);
        let schema = if self.base.is_some() { SCHEMA_WITH_BASE } else { SCHEMA };
        out.extend_from_slice(&schema.to_le_bytes());
        out.extend_from_slice(&self.position.segment.to_le_bytes());
        out.extend_from_slice(&self.position.offset.to_le_bytes());
        out.extend_from_slice(&self.position.batch.to_le_bytes());
        out.extend_from_slice(self.tip.as_bytes());
        out.extend_from_slice(&self.height.get().to_le_bytes());
        for count in self.counts.each() {
            out.extend_from_slice(&count.to_le_bytes());
        }
        out.extend_from_slice(&[self.transactions.into(), self.clean.into()]);
        out.extend_from_slice(&self.boot);
        if let Some(BasePlace { height, id, place }) = self.base {
            out.extend_from_slice(&height.get().to_le_bytes());
            out.extend_from_slice(id.as_bytes());
            LogPlace::encode_optional(Some(place), &mut out);
        }
        out
    }

    /// None if it is of another layout.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let read = || -> Result<Option<Self>, DecodeError> {
            let mut reader = Reader::new(bytes);
            let schema = reader.u32("schema")?;
            if ![SCHEMA, SCHEMA_WITH_BASE].contains(&schema) {
                return Ok(None);
            }
            let (segment, offset) = (reader.u32("segment")?, reader.u32("offset")?);
            let mut marker = Self {
                position: LogPosition { segment, offset, batch: reader.u64("batch")? },
                tip: BlockId::from_bytes(reader.array("tip")?),
                height: Height::new(reader.u64("height")?),
                counts: Counts {
                    blocks: reader.u64("blocks")?,
                    heights: reader.u64("heights")?,
                    transactions: reader.u64("transactions")?,
                    side: reader.u64("side")?,
                },
                transactions: reader.u8("with transactions")? != 0,
                clean: reader.u8("clean")? != 0,
                boot: reader.array("boot")?,
                base: None,
            };
            if schema == SCHEMA_WITH_BASE {
                let height = Height::new(reader.u64("height of the beginning")?);
                let id = BlockId::from_bytes(reader.array("beginning")?);
                let Some(place) = LogPlace::decode_optional(&mut reader)? else { return Ok(None) };
                marker.base = Some(BasePlace { height, id, place });
            }
            reader.finish()?;
            Ok(Some(marker))
        };
        read().ok().flatten()
    }
}
