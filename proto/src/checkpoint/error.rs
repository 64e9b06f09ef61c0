//! What can be wrong with a checkpoint.

use crate::{Address, BlockId, Hash, Height, codec::DecodeError, keys::KeyError, merkle::TxPathError};

/// Why what was sent is not the checkpoint of a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointFault {
    /// More accounts than can exist at its height, or than can be sent \[R-CKP-01\].
    #[error("{found} accounts, at most {most} can exist at its height, and none with more than 32768 pieces is sent")]
    TooManyAccounts {
        /// What it claims.
        found: u64,
        /// How many openings there can have been.
        most: u64,
    },
    /// Another number of pieces than its accounts and coinbases fill \[R-CKP-01\].
    #[error("{found} pieces, expected {expected}")]
    PieceCount {
        /// What is there.
        found: u64,
        /// What accounts and coinbases fill.
        expected: u64,
    },
    /// The hashes of its pieces give another digest \[R-CKP-02\].
    #[error("its pieces' hashes give the digest {found}, expected {expected}")]
    WrongDigest {
        /// What they give.
        found: Hash,
        /// What it was said to be.
        expected: Hash,
    },
    /// A piece has another hash than the digest covers \[R-CKP-03\].
    #[error("piece {index} has the hash {found}, expected {expected}")]
    WrongPiece {
        /// Which, from 0.
        index: u64,
        /// Its hash.
        found: Hash,
        /// What the digest covers.
        expected: Hash,
    },
    /// A piece holds another number of items \[R-CKP-04\].
    #[error("a piece of {found} items, expected {expected}")]
    ItemCount {
        /// What it holds.
        found: u64,
        /// What its place gives it.
        expected: u64,
    },
    /// A piece does not decode.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// Addresses that do not strictly increase \[R-CKP-05\].
    #[error("account {address} stands behind {before}")]
    AddressOrder {
        /// The one before.
        before: Address,
        /// The one that should be above it.
        address: Address,
    },
    /// An account that has sent without its key, or one that has not with one \[R-CKP-06\].
    #[error("account {address} with {next_nonce} transactions sent, key {}", if *.key { "there" } else { "missing" })]
    KeyPresence {
        /// The account.
        address: Address,
        /// What it has sent.
        next_nonce: u64,
        /// Whether a key is there.
        key: bool,
    },
    /// Bytes that are no key.
    #[error("the key of account {address} is none: {source}")]
    Key {
        /// The account.
        address: Address,
        /// Why not.
        source: KeyError,
    },
    /// A key of another account \[R-CKP-07\].
    #[error("the key of account {address} hashes to {found}")]
    ForeignKey {
        /// The account.
        address: Address,
        /// Whose key it is.
        found: Address,
    },
    /// A coinbase of another height \[R-CKP-08\].
    #[error("a coinbase of height {found}, expected {expected}")]
    CoinbaseHeight {
        /// What it says.
        found: Height,
        /// Whose turn it is.
        expected: Height,
    },
    /// A coinbase that its block's header does not commit to \[R-CKP-09\].
    #[error("the coinbase of height {height} is not proven: {source}")]
    UnprovenCoinbase {
        /// Its height.
        height: Height,
        /// What is wrong with its path.
        source: TxPathError,
    },
    /// The accounts are not those that the block's header commits to \[R-CKP-10\].
    #[error("its accounts are not what the header of block {block} commits to")]
    WrongAccounts {
        /// The block.
        block: BlockId,
    },
}

impl CheckpointFault {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        match self {
            Self::TooManyAccounts { .. } | Self::PieceCount { .. } => "R-CKP-01",
            Self::WrongDigest { .. } => "R-CKP-02",
            Self::WrongPiece { .. } => "R-CKP-03",
            Self::ItemCount { .. } => "R-CKP-04",
            Self::Decode(error) => error.rule(),
            Self::AddressOrder { .. } => "R-CKP-05",
            Self::KeyPresence { .. } => "R-CKP-06",
            Self::Key { source, .. } => source.rule(),
            Self::ForeignKey { .. } => "R-CKP-07",
            Self::CoinbaseHeight { .. } => "R-CKP-08",
            Self::UnprovenCoinbase { .. } => "R-CKP-09",
            Self::WrongAccounts { .. } => "R-CKP-10",
        }
    }
}
