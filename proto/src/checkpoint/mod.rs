//! A checkpoint as nodes send it to each other (SPEC section "Checkpoints"): every account after one block, in pieces
//! that depend on nothing but that block, so that any node can go on with a transfer that another one began.

mod coinbases;
mod error;
mod piece;
#[cfg(test)]
mod tests;

pub use coinbases::{ProvenCoinbase, decode_coinbases, encode_coinbases};
pub use error::CheckpointFault;
pub use piece::{CheckpointAccount, decode_accounts, encode_accounts};

use crate::{BlockId, Hash, Height, Params, hash::sha256};

/// Accounts of a piece; the last one may hold fewer.
pub const PIECE_ACCOUNTS: u64 = 1_000;
/// Coinbases of a piece; the last one may hold fewer.
pub const PIECE_COINBASES: u64 = 500;
/// Most pieces of a checkpoint: more than 32 million accounts, some 10 GB of memory.
pub const MAX_PIECES: usize = 32_768;
/// No piece is larger, in bytes: 1,000 accounts with the longest keys are 642,004.
pub const MAX_PIECE_BYTES: usize = 640 * 1024;

const TAG: &[u8] = b"farthing checkpoint\0";

/// What a checkpoint's pieces are, before any of them is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    accounts: u64,
    coinbases: u64,
}

impl Layout {
    /// The layout of the checkpoint at a height of a network, with so many accounts \[R-CKP-01\].
    ///
    /// # Errors
    /// If the rules of execution do not let so many accounts exist at that height, or they are too many to be sent.
    pub fn new(params: &Params, height: Height, accounts: u64) -> Result<Self, CheckpointFault> {
        let most = most_accounts(params, height);
        let layout = Self { accounts, coinbases: height.get().min(params.reward_delay) };
        if accounts > most || usize::try_from(layout.pieces()).map_or(true, |pieces| pieces > MAX_PIECES) {
            return Err(CheckpointFault::TooManyAccounts { found: accounts, most });
        }
        Ok(layout)
    }

    /// Accounts in all.
    #[must_use]
    pub const fn accounts(&self) -> u64 {
        self.accounts
    }

    /// Coinbases in all: those not yet credited.
    #[must_use]
    pub const fn coinbases(&self) -> u64 {
        self.coinbases
    }

    /// Pieces in all.
    #[must_use]
    pub const fn pieces(&self) -> u64 {
        self.coinbase_pieces().saturating_add(self.accounts.div_ceil(PIECE_ACCOUNTS))
    }

    const fn coinbase_pieces(&self) -> u64 {
        self.coinbases.div_ceil(PIECE_COINBASES)
    }

    /// What a piece holds; none behind the last. Coinbases come first.
    #[must_use]
    pub const fn piece(&self, index: u64) -> Option<PieceRange> {
        let of_coinbases = self.coinbase_pieces();
        if index < of_coinbases {
            let first = index.saturating_mul(PIECE_COINBASES);
            let left = self.coinbases.saturating_sub(first);
            let count = if left < PIECE_COINBASES { left } else { PIECE_COINBASES };
            return Some(PieceRange::Coinbases { first, count });
        }
        let first = index.saturating_sub(of_coinbases).saturating_mul(PIECE_ACCOUNTS);
        let left = self.accounts.saturating_sub(first);
        if left == 0 {
            return None;
        }
        Some(PieceRange::Accounts { first, count: if left < PIECE_ACCOUNTS { left } else { PIECE_ACCOUNTS } })
    }
}

/// What one piece holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PieceRange {
    /// Coinbases not yet credited, counted from the oldest.
    Coinbases {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
    /// Accounts, counted from the lowest address.
    Accounts {
        /// The first.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// As many accounts as can exist after the block at this height: each was allocated or opened by a block.
#[must_use]
pub fn most_accounts(params: &Params, height: Height) -> u64 {
    // A block's transactions open so many at most, and its coinbase one.
    let a_block = u64::from(params.max_openings).saturating_add(1);
    height.get().saturating_mul(a_block).saturating_add(params.allocations.len() as u64)
}

/// The hash of a piece's bytes \[R-CKP-03\].
#[must_use]
pub fn piece_hash(bytes: &[u8]) -> Hash {
    Hash::from_bytes(sha256(&[bytes]))
}

/// What names a checkpoint's bytes: over its block, its number of accounts, and its pieces' hashes \[R-CKP-02\].
#[must_use]
pub fn digest(block: &BlockId, accounts: u64, pieces: &[Hash]) -> Hash {
    let hashes: Vec<u8> = pieces.iter().flat_map(|hash| *hash.as_bytes()).collect();
    Hash::from_bytes(sha256(&[TAG, block.as_bytes(), &accounts.to_le_bytes(), &hashes]))
}

/// Checks that these are the hashes of the pieces of a checkpoint.
///
/// # Errors
/// Another number of them, or another digest.
pub fn check_manifest(
    block: &BlockId,
    layout: &Layout,
    expected: &Hash,
    pieces: &[Hash],
) -> Result<(), CheckpointFault> {
    if pieces.len() as u64 != layout.pieces() {
        return Err(CheckpointFault::PieceCount { found: pieces.len() as u64, expected: layout.pieces() });
    }
    let found = digest(block, layout.accounts, pieces);
    if found != *expected {
        return Err(CheckpointFault::WrongDigest { found, expected: *expected });
    }
    Ok(())
}

/// Checks a piece's bytes against the hash that its checkpoint's digest covers \[R-CKP-03\].
///
/// # Errors
/// If they are others.
pub fn check_piece(index: u64, bytes: &[u8], expected: &Hash) -> Result<(), CheckpointFault> {
    let found = piece_hash(bytes);
    if found == *expected { Ok(()) } else { Err(CheckpointFault::WrongPiece { index, found, expected: *expected }) }
}
