//! Why a header, a block or a transaction breaks a rule: one variant per cause, each knowing its rule in SPEC.md.
//!
//! Names are those of SPEC.md. What a fault means for the block's id, and whether it may pass with time, the error
//! says itself, so that no caller decides it anew.

use farthing::{
    Address, Bits, BlockId, Hash, Height, Mites, TimeMs, TxId, Work, keys::SignatureError, target::BitsError,
};

/// Why a header is not valid, or not yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Bits that name no target, or not in its one form \[R-DIF-01 to R-DIF-04\].
    #[error(transparent)]
    Bits(#[from] BitsError),
    /// A target easier than the network's limit or harder than any \[R-DIF-05\].
    #[error("bits {found} are out of range: the target must be at least 2^160 and at most that of {limit}")]
    TargetOutOfRange {
        /// The header's bits.
        found: Bits,
        /// The network's limit.
        limit: Bits,
    },
    /// The id is above the target \[R-HDR-03\].
    #[error("block id {id} is above the target of bits {bits}: the work was not done")]
    InsufficientWork {
        /// The header's id.
        id: BlockId,
        /// The header's bits.
        bits: Bits,
    },
    /// A time beyond the format \[R-TIM-03\].
    #[error("time {0} is not below 2^48 ms")]
    TimeTooLarge(TimeMs),
    /// A time that does not grow \[R-TIM-01\].
    #[error("time {time} is not after the parent's {parent}")]
    TimeNotAfterParent {
        /// The header's time.
        time: TimeMs,
        /// The parent's time.
        parent: TimeMs,
    },
    /// Bits other than the schedule asks for \[R-DIF-06\].
    #[error("bits {found}, expected {expected} after this parent")]
    WrongBits {
        /// The header's bits.
        found: Bits,
        /// What was expected.
        expected: Bits,
    },
    /// A chain with more work than can be written \[R-HDR-04\].
    #[error("work {work} on top of {parent} is not below 2^128")]
    WorkOverflow {
        /// The header's work.
        work: Work,
        /// Total work of the parent.
        parent: Work,
    },
    /// Another parent than the one at hand: not yet \[R-HDR-05\].
    #[error("the parent {previous} is not known")]
    ParentUnknown {
        /// What the header names as its parent.
        previous: BlockId,
    },
    /// A time too far ahead of the node's clock: not yet \[R-TIM-02\].
    #[error("time {time} is too far ahead; it may be tried again at {retry_at}")]
    TimeTooFarAhead {
        /// The header's time.
        time: TimeMs,
        /// When this rule will hold.
        retry_at: TimeMs,
    },
}

impl HeaderError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Bits(error) => error.rule(),
            Self::TargetOutOfRange { .. } => "R-DIF-05",
            Self::WrongBits { .. } => "R-DIF-06",
            Self::InsufficientWork { .. } => "R-HDR-03",
            Self::WorkOverflow { .. } => "R-HDR-04",
            Self::ParentUnknown { .. } => "R-HDR-05",
            Self::TimeNotAfterParent { .. } => "R-TIM-01",
            Self::TimeTooFarAhead { .. } => "R-TIM-02",
            Self::TimeTooLarge(_) => "R-TIM-03",
        }
    }

    /// Whether the same header may be valid later: keep it or ask again, blame nobody \[R-FRK-04\].
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        matches!(self, Self::ParentUnknown { .. } | Self::TimeTooFarAhead { .. })
    }

    /// Whether the id, and so every descendant, is invalid for good \[R-FRK-03\].
    ///
    /// An id without work is as invalid, but costs nothing to make: remember only ids whose work was done.
    #[must_use]
    pub const fn condemns_id(&self) -> bool {
        !self.is_temporary()
    }
}

/// Why a block's body breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// More bytes than the network allows \[R-BLK-01\].
    #[error("the block has {size} bytes, at most {max} are allowed")]
    TooLarge {
        /// Canonical bytes, the header included.
        size: usize,
        /// The network's limit.
        max: u32,
    },
    /// A coinbase tag that no encoding can carry \[R-CB-01\].
    #[error("the coinbase's tag has {0} bytes, at most 64 are allowed")]
    TagTooLong(usize),
    /// Another body than the header's \[R-BLK-02\].
    #[error("the body's tx_root is {found}, the header's {expected}")]
    WrongTxRoot {
        /// Root over the body at hand.
        found: Hash,
        /// What the header says.
        expected: Hash,
    },
    /// Signatures that cost too much to verify \[R-BLK-03\].
    #[error("{found} signature units, at most {max} are allowed")]
    TooManySignatureUnits {
        /// Units of all transactions.
        found: u64,
        /// The network's limit.
        max: u32,
    },
    /// One transaction id twice \[R-BLK-04\].
    #[error("transaction {0} is in the block twice")]
    DuplicateTransaction(TxId),
    /// A coinbase for another height \[R-CB-02\].
    #[error("the coinbase is for height {found}, expected {expected}")]
    WrongCoinbaseHeight {
        /// The coinbase's height.
        found: Height,
        /// The block's height.
        expected: Height,
    },
    /// A coinbase that takes more or less than it may \[R-CB-03\].
    #[error("the coinbase pays {found} far, expected {expected} far: subsidy and fees less what is burned")]
    WrongCoinbaseAmount {
        /// The coinbase's amount.
        found: Mites,
        /// Subsidy and fees less what is burned.
        expected: Mites,
    },
    /// A transaction that cannot be executed where it stands.
    #[error("transaction {id} at position {position}: {error}")]
    Transaction {
        /// Its place in the block, from 1: 0 is the coinbase.
        position: u32,
        /// Its id.
        id: TxId,
        /// What is wrong with it.
        error: TxError,
    },
    /// Crediting the delayed coinbase leaves `u64` \[R-ACC-04\].
    #[error("crediting the coinbase to account {0} overflows it")]
    AccountOverflow(Address),
    /// A header that commits to another state \[R-BLK-05\].
    #[error("the commitment is {found}, expected {expected} after execution")]
    WrongCommitment {
        /// The header's commitment.
        found: Hash,
        /// What execution gives.
        expected: Hash,
    },
    /// The caller brought another coinbase than the one that is due: its own mistake, not the block's.
    #[error("the coinbase of height {found:?} was given to be credited, that of {expected:?} is due")]
    WrongMatured {
        /// Height of the coinbase given.
        found: Option<Height>,
        /// Height of the coinbase due.
        expected: Option<Height>,
    },
}

impl BlockError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "R-BLK-01",
            Self::WrongTxRoot { .. } => "R-BLK-02",
            Self::TooManySignatureUnits { .. } => "R-BLK-03",
            Self::DuplicateTransaction(_) => "R-BLK-04",
            Self::WrongCommitment { .. } => "R-BLK-05",
            Self::TagTooLong(_) => "R-CB-01",
            Self::WrongCoinbaseHeight { .. } => "R-CB-02",
            Self::WrongCoinbaseAmount { .. } => "R-CB-03",
            Self::AccountOverflow(_) => "R-ACC-04",
            Self::Transaction { error, .. } => error.rule(),
            Self::WrongMatured { .. } => "R-FRK-04",
        }
    }

    /// Whether the id, and so every descendant, is invalid for good \[R-FRK-03\].
    ///
    /// Only a body that the header commits to condemns it; whoever sent any other body is to blame, and the next body
    /// for the same id is tried.
    #[must_use]
    pub const fn condemns_id(&self) -> bool {
        match self {
            Self::TooLarge { .. } | Self::TagTooLong(_) | Self::WrongTxRoot { .. } | Self::WrongMatured { .. } => false,
            Self::TooManySignatureUnits { .. }
            | Self::DuplicateTransaction(_)
            | Self::WrongCoinbaseHeight { .. }
            | Self::WrongCoinbaseAmount { .. }
            | Self::Transaction { .. }
            | Self::AccountOverflow(_)
            | Self::WrongCommitment { .. } => true,
        }
    }

    /// Whether whoever sent the bytes is to blame: everything but the caller's own mistake.
    #[must_use]
    pub const fn blames_sender(&self) -> bool {
        !matches!(self, Self::WrongMatured { .. })
    }
}

/// Why a transaction cannot be executed on a state.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TxError {
    /// Not the account's next nonce \[R-ACC-01\].
    #[error("nonce {found}, expected {expected}")]
    WrongNonce {
        /// The transaction's nonce.
        found: u64,
        /// The account's next nonce.
        expected: u64,
    },
    /// Past its last height \[R-ACC-02\].
    #[error("valid up to height {valid_until}, not at {height}")]
    Expired {
        /// The last height that may include it.
        valid_until: Height,
        /// The height it was tried at.
        height: Height,
    },
    /// A signature that is not the sender's \[R-SIG\].
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// More than the sender has \[R-ACC-03\].
    #[error("fee and outputs come to {needed} far, the account has {balance} far")]
    InsufficientBalance {
        /// The sender's balance.
        balance: Mites,
        /// Fee and all outputs.
        needed: Mites,
    },
    /// A fee that does not pay for the accounts that the transaction opens \[R-OPN-01\].
    #[error("fee {fee} far, expected at least {needed} far for opening {openings} account(s)")]
    FeeBelowOpeningCost {
        /// The transaction's fee.
        fee: Mites,
        /// What opening costs.
        needed: Mites,
        /// Accounts that it opens.
        openings: u32,
    },
    /// More accounts than one block may open \[R-OPN-02\].
    #[error("the block would open {found} accounts, at most {max} are allowed")]
    TooManyOpenings {
        /// Accounts that the block would open.
        found: u32,
        /// The network's limit.
        max: u32,
    },
    /// A balance, a count or a sum of fees that leaves `u64` \[R-ACC-04\].
    #[error("a number of account {0} overflows")]
    AccountOverflow(Address),
}

impl TxError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::WrongNonce { .. } => "R-ACC-01",
            Self::Expired { .. } => "R-ACC-02",
            Self::InsufficientBalance { .. } => "R-ACC-03",
            Self::AccountOverflow(_) => "R-ACC-04",
            Self::FeeBelowOpeningCost { .. } => "R-OPN-01",
            Self::TooManyOpenings { .. } => "R-OPN-02",
            Self::Signature(error) => error.rule(),
        }
    }

    /// Whether the same transaction may be executed on a later state of the same branch: another may come before it,
    /// its sender may be paid, or the next block may have room.
    #[must_use]
    pub const fn is_temporary(&self) -> bool {
        match self {
            Self::WrongNonce { found, expected } => *found > *expected,
            Self::InsufficientBalance { .. } | Self::FeeBelowOpeningCost { .. } | Self::TooManyOpenings { .. } => true,
            Self::Expired { .. } | Self::Signature(_) | Self::AccountOverflow(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong or missing blame (GHSA-8hh2, GHSA-qhr3), mutated bodies (CVE-2024-52921): only a body that the header commits
    /// to condemns its id. Every variant has its line here: the match in `condemns_id` has no wildcard either.
    #[test]
    fn a_block_id_is_condemned_only_for_what_its_header_commits_to() {
        let (hash, height, address) = (Hash::ZERO, Height::GENESIS, Address::ZERO);
        let nonce = TxError::WrongNonce { found: 9, expected: 8 };
        for (error, condemns, blames) in [
            (BlockError::TooLarge { size: 2, max: 1 }, false, true),
            (BlockError::TagTooLong(65), false, true),
            (BlockError::WrongTxRoot { found: hash, expected: hash }, false, true),
            (BlockError::TooManySignatureUnits { found: 2, max: 1 }, true, true),
            (BlockError::DuplicateTransaction(TxId::ZERO), true, true),
            (BlockError::WrongCoinbaseHeight { found: height, expected: height }, true, true),
            (BlockError::WrongCoinbaseAmount { found: Mites::ZERO, expected: Mites::ZERO }, true, true),
            // Elsewhere it may pass with time; in a block it stands where it stands.
            (BlockError::Transaction { position: 1, id: TxId::ZERO, error: nonce }, true, true),
            (BlockError::AccountOverflow(address), true, true),
            (BlockError::WrongCommitment { found: hash, expected: hash }, true, true),
            (BlockError::WrongMatured { found: None, expected: None }, false, false),
        ] {
            assert_eq!((error.condemns_id(), error.blames_sender()), (condemns, blames), "{error}");
        }
    }

    #[test]
    fn what_a_later_state_may_heal_is_not_held_against_a_transaction() {
        let (few, many) = (Mites::new(1), Mites::new(2));
        let height = Height::GENESIS;
        for (error, temporary) in [
            (TxError::WrongNonce { found: 9, expected: 8 }, true),
            (TxError::WrongNonce { found: 8, expected: 9 }, false),
            (TxError::Expired { valid_until: height, height: height.next() }, false),
            (TxError::Signature(SignatureError::Mismatch), false),
            (TxError::InsufficientBalance { balance: few, needed: many }, true),
            (TxError::FeeBelowOpeningCost { fee: few, needed: many, openings: 1 }, true),
            (TxError::TooManyOpenings { found: 2, max: 1 }, true),
            (TxError::AccountOverflow(Address::ZERO), false),
        ] {
            assert_eq!(error.is_temporary(), temporary, "{error}");
        }
    }
}
