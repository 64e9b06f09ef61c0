//! Pieces with coinbases that are not yet credited. No account holds them, so each is proven by its own block's header.

use super::{CheckpointFault, MAX_PIECE_BYTES, PIECE_COINBASES};
use crate::{
    Coinbase, Hash, Height,
    codec::{Canonical, DecodeError, Reader, put_count},
    merkle::TxPath,
};

/// Most hashes of a path: a block's count of leaves has 32 bits.
const MAX_PATH: usize = 32;
/// Bytes of a coinbase without a tag, and of a path without hashes.
const LEAST_BYTES: usize = 8 + 32 + 8 + 4 + 4 + 4;

/// A coinbase with its way to the `tx_root` of its block's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenCoinbase {
    /// The coinbase.
    pub coinbase: Coinbase,
    /// Its path, as leaf 0.
    pub path: TxPath,
}

impl ProvenCoinbase {
    fn encode(&self, out: &mut Vec<u8>) {
        self.coinbase.encode(out);
        out.extend_from_slice(&self.path.count.to_le_bytes());
        put_count(out, self.path.siblings.len());
        self.path.siblings.iter().for_each(|sibling| sibling.encode(out));
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let coinbase = Coinbase::decode(reader)?;
        let count = reader.u32("transactions of a block")?;
        let length = reader.count("path of a coinbase", MAX_PATH, 32)?;
        let siblings = (0..length).map(|_| Hash::decode(reader)).collect::<Result<_, _>>()?;
        Ok(Self { coinbase, path: TxPath { index: 0, count, siblings } })
    }

    /// Checks that this is the coinbase of the block at this height, whose header has this `tx_root`.
    fn check(&self, height: Height, tx_root: &Hash) -> Result<(), CheckpointFault> {
        if self.coinbase.height != height {
            return Err(CheckpointFault::CoinbaseHeight { found: self.coinbase.height, expected: height });
        }
        let proven = self.path.verify(&self.coinbase.leaf(), tx_root);
        proven.map_err(|source| CheckpointFault::UnprovenCoinbase { height, source })
    }
}

/// The bytes of a piece with these coinbases.
#[must_use]
pub fn encode_coinbases(coinbases: &[ProvenCoinbase]) -> Vec<u8> {
    let mut out = Vec::new();
    put_count(&mut out, coinbases.len());
    coinbases.iter().for_each(|coinbase| coinbase.encode(&mut out));
    out
}

/// Reads a piece with the coinbases of the blocks from `first` on, whose headers have these `tx_roots`.
///
/// # Errors
/// The first rule that is broken \[R-CKP-04, -08, -09\].
pub fn decode_coinbases(bytes: &[u8], first: Height, tx_roots: &[Hash]) -> Result<Vec<Coinbase>, CheckpointFault> {
    if bytes.len() > MAX_PIECE_BYTES {
        return Err(DecodeError::TooLarge { what: "a piece", size: bytes.len(), max: MAX_PIECE_BYTES }.into());
    }
    let mut reader = Reader::new(bytes);
    let most = usize::try_from(PIECE_COINBASES).unwrap_or(usize::MAX);
    let found = reader.count("coinbases of a piece", most, LEAST_BYTES)?;
    if found != tx_roots.len() {
        return Err(CheckpointFault::ItemCount { found: found as u64, expected: tx_roots.len() as u64 });
    }
    let mut coinbases = Vec::with_capacity(found);
    for (tx_root, offset) in tx_roots.iter().zip(0..) {
        let proven = ProvenCoinbase::decode(&mut reader)?;
        proven.check(first.saturating_add(offset), tx_root)?;
        coinbases.push(proven.coinbase);
    }
    reader.finish()?;
    Ok(coinbases)
}
