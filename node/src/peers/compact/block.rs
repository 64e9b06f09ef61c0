//! A block without its transactions.

use std::collections::HashSet;

use farthing::{
    Block, BlockId, Coinbase, Header,
    codec::Canonical as _,
    header::HEADER_BYTES,
    limits::{MAX_COINBASE_TAG_BYTES, MIN_TRANSACTION_BYTES},
    wire::peer as wire,
};
use prost::bytes::Bytes;

use super::short_id::{SALT_BYTES, SHORT_ID_BYTES, Salt, ShortId, ShortIdKey};
use crate::{
    env::Random,
    peers::{
        convert::{Malformed, array, header_to_wire},
        limits::COMPACT_SALTS,
    },
};

/// Longest canonical coinbase in bytes: height, address, amount, and the tag behind its length.
pub(super) const MAX_COINBASE_BYTES: usize = 8 + 32 + 8 + 4 + MAX_COINBASE_TAG_BYTES;
/// Bytes of the count in front of a block's transactions.
const COUNT_BYTES: usize = 4;

/// A block whose transactions are told by short ids, all of them different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::peers) struct CompactBlock {
    pub(super) header: Header,
    pub(super) salt: Salt,
    pub(super) coinbase: Coinbase,
    pub(super) short_ids: Vec<ShortId>,
}

impl CompactBlock {
    /// The compact form of a block under a salt with which no two of its transactions collide. None if there is none
    /// among a few: then the block travels whole.
    pub(in crate::peers) fn of(block: &Block, random: &dyn Random) -> Option<Self> {
        (0..COMPACT_SALTS).find_map(|_| Self::with_salt(block, random.array()))
    }

    pub(super) fn with_salt(block: &Block, salt: Salt) -> Option<Self> {
        let key = ShortIdKey::new(&block.header, &salt);
        let short_ids: Vec<_> = block.transactions.iter().map(|signed| key.short_id(&signed.wire_id())).collect();
        let compact = Self { header: block.header, salt, coinbase: block.coinbase.clone(), short_ids };
        all_different(&compact.short_ids).then_some(compact)
    }

    pub(in crate::peers) fn id(&self) -> BlockId {
        self.header.id()
    }

    /// How many transactions it has.
    pub(in crate::peers) fn len(&self) -> usize {
        self.short_ids.len()
    }

    pub(super) fn key(&self) -> ShortIdKey {
        ShortIdKey::new(&self.header, &self.salt)
    }

    /// Reads one; its transactions must fit into a block of so many bytes.
    pub(in crate::peers) fn from_wire(compact: &wire::CompactBlock, max_block_bytes: usize) -> Result<Self, Malformed> {
        let canonical = |field| move |error| Malformed::Canonical { field, error };
        let field = "compact_block.header";
        let header = array::<HEADER_BYTES>(field, &compact.header)?;
        let header = Header::from_canonical(&header).map_err(canonical(field))?;
        let salt = array::<SALT_BYTES>("compact_block.salt", &compact.salt)?;
        let field = "compact_block.coinbase";
        if compact.coinbase.len() > MAX_COINBASE_BYTES {
            return Err(Malformed::TooMany { field, found: compact.coinbase.len(), max: MAX_COINBASE_BYTES });
        }
        let coinbase = Coinbase::from_canonical(&compact.coinbase).map_err(canonical(field))?;
        let room = max_block_bytes.saturating_sub(HEADER_BYTES + COUNT_BYTES).saturating_sub(compact.coinbase.len());
        let short_ids = short_ids_from_wire(&compact.short_ids, room / MIN_TRANSACTION_BYTES)?;
        Ok(Self { header, salt, coinbase, short_ids })
    }

    pub(in crate::peers) fn to_wire(&self) -> wire::CompactBlock {
        let short_ids: Vec<u8> = self.short_ids.iter().flat_map(|id| id.as_bytes()).copied().collect();
        wire::CompactBlock {
            header: header_to_wire(&self.header),
            salt: Bytes::copy_from_slice(&self.salt),
            coinbase: Bytes::from(self.coinbase.to_canonical()),
            short_ids: Bytes::from(short_ids),
        }
    }
}

fn short_ids_from_wire(bytes: &[u8], most: usize) -> Result<Vec<ShortId>, Malformed> {
    let field = "compact_block.short_ids";
    let (ids, rest) = bytes.as_chunks::<SHORT_ID_BYTES>();
    if !rest.is_empty() {
        return Err(Malformed::NotA { field, expected: "a multiple of 6 bytes" });
    }
    if ids.len() > most {
        return Err(Malformed::TooMany { field, found: ids.len(), max: most });
    }
    let ids: Vec<_> = ids.iter().copied().map(ShortId::from_bytes).collect();
    // A sender chooses its salt so that they are.
    if all_different(&ids) { Ok(ids) } else { Err(Malformed::NotA { field, expected: "all different" }) }
}

fn all_different(ids: &[ShortId]) -> bool {
    let mut seen = HashSet::with_capacity(ids.len());
    ids.iter().all(|id| seen.insert(*id))
}
