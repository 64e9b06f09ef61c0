//! Block headers: 118 bytes, one cached midstate and two compressions per mining attempt \[R-HDR\].

use std::fmt;

use crate::{
    Bits, BlockId, Hash, TimeMs,
    codec::{Canonical, DecodeError, Reader},
    hash::{sha256, tag},
};

/// Size of a header in bytes.
pub const HEADER_BYTES: usize = 118;
/// The only version there is \[R-HDR-02\].
pub const HEADER_VERSION: u16 = 1;

/// A block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Id of the parent; genesis has a hash of the network's parameters here.
    pub previous: BlockId,
    /// Commitment to the accounts after this block and the chain before it.
    pub commitment: Hash,
    /// Root over coinbase and transactions.
    pub tx_root: Hash,
    /// When the miner says it was made.
    pub time: TimeMs,
    /// Compact target.
    pub bits: Bits,
    /// What the miner searched.
    pub nonce: u64,
}

impl Header {
    /// The 118 bytes that are hashed.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let encoded = self.to_canonical();
        encoded.try_into().expect("a header has 118 bytes")
    }

    /// Double SHA-256 of the header \[R-HDR-06\].
    #[must_use]
    pub fn id(&self) -> BlockId {
        BlockId::from_bytes(sha256(&[&sha256(&[&self.to_bytes()])]))
    }

    /// Whether the id, as a big-endian number, is within the target that the header states \[R-HDR-03\].
    ///
    /// Whether the header may state that target is a contextual rule.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.bits.target().is_ok_and(|target| target.is_met_by(&self.id()))
    }
}

/// What a header commits to: `SHA-256(0x40 ‖ accounts_root ‖ chain_root)` \[R-HDR-07\].
#[must_use]
pub fn commitment(accounts_root: &Hash, chain_root: &Hash) -> Hash {
    Hash::from_bytes(sha256(&[&[tag::COMMITMENT], accounts_root.as_bytes(), chain_root.as_bytes()]))
}

impl fmt::Display for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {}", self.id())
    }
}

impl Canonical for Header {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&HEADER_VERSION.to_le_bytes());
        self.previous.encode(out);
        self.commitment.encode(out);
        self.tx_root.encode(out);
        self.time.encode(out);
        out.extend_from_slice(&self.bits.to_compact().to_le_bytes());
        out.extend_from_slice(&self.nonce.to_le_bytes());
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let found = reader.u16("header version")?;
        if found != HEADER_VERSION {
            return Err(DecodeError::UnknownVersion { what: "header", found, expected: HEADER_VERSION });
        }
        Ok(Self {
            previous: BlockId::decode(reader)?,
            commitment: Hash::decode(reader)?,
            tx_root: Hash::decode(reader)?,
            time: TimeMs::decode(reader)?,
            bits: Bits::from_compact(reader.u32("bits")?),
            nonce: reader.u64("nonce")?,
        })
    }
}
