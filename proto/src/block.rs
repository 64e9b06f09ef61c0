//! Blocks: a header, a coinbase, transactions \[R-BLK\].

use crate::{
    Address, BlockId, CoinbaseId, Hash, Header, Height, Mites, SignedTransaction,
    codec::{Canonical, DecodeError, Reader, put_bytes, put_count},
    hash::{sha256, tag},
    limits::{MAX_BLOCK_BYTES, MAX_COINBASE_TAG_BYTES, MIN_TRANSACTION_BYTES},
    merkle,
};

/// What every coinbase id begins with.
const COINBASE_DOMAIN: &[u8] = b"farthing coinbase\0";

/// What a block pays its miner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coinbase {
    /// Height of the block: makes every coinbase unlike every other.
    pub height: Height,
    /// The miner's account.
    pub to: Address,
    /// Subsidy and fees less what was burned.
    pub amount: Mites,
    /// The miner's mark, at most 64 bytes.
    pub tag: Vec<u8>,
}

impl Coinbase {
    /// Id of this coinbase in the history of the account that it pays \[R-CB-04\].
    #[must_use]
    pub fn id(&self, genesis: &BlockId) -> CoinbaseId {
        CoinbaseId::from_bytes(sha256(&[COINBASE_DOMAIN, genesis.as_bytes(), &self.to_canonical()]))
    }

    /// Leaf 0 of the transaction tree.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        Hash::from_bytes(sha256(&[&[tag::TX_LEAF, 0], &self.to_canonical()]))
    }
}

impl Canonical for Coinbase {
    fn encode(&self, out: &mut Vec<u8>) {
        self.height.encode(out);
        self.to.encode(out);
        self.amount.encode(out);
        put_bytes(out, &self.tag);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            height: Height::decode(reader)?,
            to: Address::decode(reader)?,
            amount: Mites::decode(reader)?,
            tag: reader.bytes("coinbase tag", MAX_COINBASE_TAG_BYTES)?.to_vec(),
        })
    }
}

/// A block whose parts are well-formed; no rule that joins them was checked yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The header.
    pub header: Header,
    /// What the miner is paid.
    pub coinbase: Coinbase,
    /// The transfers in the order of execution.
    pub transactions: Vec<SignedTransaction>,
}

impl Block {
    /// Reads a block from a stranger's bytes: their number is held against the network's limit before anything is read
    /// \[R-BLK-01\].
    ///
    /// # Errors
    /// If the bytes are too many, or not exactly the encoding of a block.
    pub fn from_canonical_within(bytes: &[u8], max_block_bytes: u32) -> Result<Self, DecodeError> {
        let max = usize::try_from(max_block_bytes).unwrap_or(usize::MAX);
        if bytes.len() > max {
            return Err(DecodeError::TooLarge { what: "block", size: bytes.len(), max });
        }
        Self::from_canonical(bytes)
    }

    /// Id of the header.
    #[must_use]
    pub fn id(&self) -> BlockId {
        self.header.id()
    }

    /// The root that the header must carry \[R-BLK-02\].
    #[must_use]
    pub fn tx_root(&self) -> Hash {
        merkle::tx_root(&self.leaves())
    }

    /// Leaves of the transaction tree, the coinbase's first.
    #[must_use]
    pub fn leaves(&self) -> Vec<Hash> {
        let transactions = self.transactions.iter().map(|tx| Hash::from_bytes(tx.wire_id().to_bytes()));
        std::iter::once(self.coinbase.leaf()).chain(transactions).collect()
    }

    /// Size of the canonical bytes.
    #[must_use]
    pub fn size_bytes(&self) -> usize {
        let fixed =
            crate::header::HEADER_BYTES.saturating_add(8 + 32 + 8 + 4 + 4).saturating_add(self.coinbase.tag.len());
        self.transactions.iter().fold(fixed, |sum, tx| sum.saturating_add(tx.size_bytes()))
    }

    /// Signature units: what verifying all signatures costs \[R-BLK-03\].
    #[must_use]
    pub fn signature_units(&self) -> u64 {
        self.transactions.iter().fold(0_u64, |sum, tx| sum.saturating_add(tx.signature().size().signature_units()))
    }
}

impl Canonical for Block {
    fn encode(&self, out: &mut Vec<u8>) {
        out.reserve(self.size_bytes());
        self.header.encode(out);
        self.coinbase.encode(out);
        put_count(out, self.transactions.len());
        for transaction in &self.transactions {
            transaction.encode(out);
        }
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let header = Header::decode(reader)?;
        let coinbase = Coinbase::decode(reader)?;
        let count = reader.count("transactions", MAX_BLOCK_BYTES / MIN_TRANSACTION_BYTES, MIN_TRANSACTION_BYTES)?;
        let mut transactions = Vec::with_capacity(count);
        for _ in 0..count {
            transactions.push(SignedTransaction::decode(reader)?);
        }
        Ok(Self { header, coinbase, transactions })
    }
}
