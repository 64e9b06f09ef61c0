//! Why a transaction is not taken: stable names, particulars, and what kind of refusal it is.

use farthing::{Address, Height, Mites, TxId, keys::SignatureError};

/// Why a submitted transaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The account has already used this nonce.
    #[error("nonce {nonce} is already used, the next one is {expected_nonce}")]
    NonceTooLow {
        /// The transaction's.
        nonce: u64,
        /// What the account's next transaction carries, those in the mempool counted.
        expected_nonce: u64,
    },
    /// The account cannot pay outputs and fees of this transaction and of those that wait before it.
    #[error("{needed} far are needed for this transfer and those waiting before it, the account holds {available} far")]
    InsufficientBalance {
        /// Outputs and fees of the whole chain up to this transaction.
        needed: Mites,
        /// Confirmed balance.
        available: Mites,
    },
    /// The fee does not cover the floor and what is burned for opening accounts.
    #[error("the fee is {fee} far, at least {required} far are required for its size and the accounts that it opens")]
    FeeTooLow {
        /// The transaction's.
        fee: Mites,
        /// The least that would do.
        required: Mites,
    },
    /// It opens more accounts than a block may.
    #[error("it opens {openings} accounts, a block may open at most {limit}")]
    TooManyOpenings {
        /// Outputs to addresses that do not exist.
        openings: u32,
        /// The network's limit.
        limit: u32,
    },
    /// It may soon, or already, not be mined any more.
    #[error("it expires at height {valid_until}, at least height {required} is required now")]
    ExpiresTooSoon {
        /// The transaction's.
        valid_until: Height,
        /// The least that would do.
        required: Height,
    },
    /// Another transaction with this nonce waits, and this one does not pay enough to take its place.
    #[error("the fee is {fee} far, at least {required} far are required to replace what waits at this nonce")]
    ReplacementUnderpaid {
        /// The transaction's.
        fee: Mites,
        /// The least that would do.
        required: Mites,
        /// What waits there.
        waiting: TxId,
    },
    /// It names its sender by address, but the first transaction, which carries the key, is not here yet.
    #[error("the key of this account is not known yet; its first transaction carries it")]
    KeyUnknown {
        /// The sender.
        address: Address,
    },
    /// The signature is not the sender's over this transaction on this network.
    #[error("bad signature: {0}")]
    BadSignature(SignatureError),
    /// The sender's key cannot be used.
    #[error("the sender's key cannot be used")]
    UnusableKey,
    /// The account has as many executable transactions here as one may have.
    #[error("{limit} transfers of this account wait already; wait until some are mined")]
    AccountFull {
        /// The limit.
        limit: usize,
    },
    /// The account, or the pool, holds as many transactions with a gap before them as it may.
    #[error("nonce {nonce} leaves a gap, the next one is {expected_nonce}, and no more such transfers are kept")]
    TooManyQueued {
        /// The transaction's.
        nonce: u64,
        /// The nonce that would leave none.
        expected_nonce: u64,
    },
    /// The pool is full of transactions that pay at least as much.
    #[error("the mempool is full; a fee above {required} far would have made room")]
    PoolFull {
        /// What this transaction would have had to pay more than.
        required: Mites,
    },
    /// This source made the node verify too many signatures for nothing.
    #[error("too many refused transfers from this source; try again in {retry_after_ms} ms")]
    SourceLimited {
        /// When to try again.
        retry_after_ms: u64,
    },
    /// The transaction could not be made durable, so it was not taken.
    #[error("the transfer could not be written to disk and was not taken: {0}")]
    JournalFailed(String),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

/// What kind of refusal it is, and so what the sender can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RejectionKind {
    /// These bytes are never valid on this network.
    Invalid,
    /// Not valid or not wanted as the ledger and the pool stand; another transaction may be.
    Precondition,
    /// A bound was reached; try again later or pay more.
    Limited,
    /// The node cannot take it now.
    Unavailable,
}

impl Rejection {
    /// A stable name.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NonceTooLow { .. } => "NONCE_TOO_LOW",
            Self::InsufficientBalance { .. } => "INSUFFICIENT_BALANCE",
            Self::FeeTooLow { .. } => "FEE_TOO_LOW",
            Self::TooManyOpenings { .. } => "TOO_MANY_OPENINGS",
            Self::ExpiresTooSoon { .. } => "EXPIRES_TOO_SOON",
            Self::ReplacementUnderpaid { .. } => "REPLACEMENT_UNDERPAID",
            Self::KeyUnknown { .. } => "KEY_UNKNOWN",
            Self::BadSignature(_) => "BAD_SIGNATURE",
            Self::UnusableKey => "UNUSABLE_KEY",
            Self::AccountFull { .. } => "ACCOUNT_FULL",
            Self::TooManyQueued { .. } => "TOO_MANY_QUEUED",
            Self::PoolFull { .. } => "POOL_FULL",
            Self::SourceLimited { .. } => "SOURCE_LIMITED",
            Self::JournalFailed(_) => "JOURNAL_FAILED",
            Self::Stopping => "STOPPING",
        }
    }

    /// What kind of refusal it is.
    #[must_use]
    pub const fn kind(&self) -> RejectionKind {
        match self {
            Self::BadSignature(_) | Self::UnusableKey | Self::TooManyOpenings { .. } => RejectionKind::Invalid,
            Self::NonceTooLow { .. }
            | Self::InsufficientBalance { .. }
            | Self::FeeTooLow { .. }
            | Self::ExpiresTooSoon { .. }
            | Self::ReplacementUnderpaid { .. }
            | Self::KeyUnknown { .. } => RejectionKind::Precondition,
            Self::AccountFull { .. }
            | Self::TooManyQueued { .. }
            | Self::PoolFull { .. }
            | Self::SourceLimited { .. } => RejectionKind::Limited,
            Self::JournalFailed(_) | Self::Stopping => RejectionKind::Unavailable,
        }
    }

    /// The fee that would do as far as this refusal goes, if a higher one helps.
    #[must_use]
    pub const fn required_fee(&self) -> Option<Mites> {
        match self {
            Self::FeeTooLow { required, .. }
            | Self::ReplacementUnderpaid { required, .. }
            | Self::PoolFull { required } => Some(*required),
            _ => None,
        }
    }

    /// Particulars as stable names with values: what a program needs to do better.
    #[must_use]
    pub fn metadata(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::NonceTooLow { nonce, expected_nonce } | Self::TooManyQueued { nonce, expected_nonce } => {
                vec![("nonce", nonce.to_string()), ("expected_nonce", expected_nonce.to_string())]
            }
            Self::InsufficientBalance { needed, available } => {
                vec![("needed_mites", needed.get().to_string()), ("available_mites", available.get().to_string())]
            }
            Self::FeeTooLow { fee, required } => fees(*fee, *required),
            Self::ReplacementUnderpaid { fee, required, waiting } => {
                let mut metadata = fees(*fee, *required);
                metadata.push(("waiting_transaction_id", waiting.to_string()));
                metadata
            }
            Self::PoolFull { required } => vec![("required_fee_mites", required.get().to_string())],
            Self::TooManyOpenings { openings, limit } => {
                vec![("openings", openings.to_string()), ("limit", limit.to_string())]
            }
            Self::ExpiresTooSoon { valid_until, required } => {
                vec![("valid_until", valid_until.to_string()), ("required_height", required.to_string())]
            }
            Self::KeyUnknown { address } => vec![("address_hex", address.to_string())],
            Self::AccountFull { limit } => vec![("limit", limit.to_string())],
            Self::SourceLimited { retry_after_ms } => vec![("retry_after_ms", retry_after_ms.to_string())],
            Self::BadSignature(_) | Self::UnusableKey | Self::JournalFailed(_) | Self::Stopping => Vec::new(),
        }
    }

    /// True if whoever relayed it should have known: nobody who verifies before relaying sends it.
    #[must_use]
    pub const fn is_senders_fault(&self) -> bool {
        matches!(self, Self::BadSignature(_) | Self::UnusableKey)
    }

    /// True if the same bytes are refused whatever the ledger and the pool hold.
    pub(crate) const fn is_lasting(&self) -> bool {
        matches!(self, Self::BadSignature(_) | Self::UnusableKey)
    }

    /// True if the refusal may end without a new tip, so that it is not worth remembering.
    pub(crate) const fn is_passing(&self) -> bool {
        matches!(self, Self::KeyUnknown { .. } | Self::SourceLimited { .. } | Self::JournalFailed(_) | Self::Stopping)
    }
}

fn fees(fee: Mites, required: Mites) -> Vec<(&'static str, String)> {
    vec![("fee_mites", fee.get().to_string()), ("required_fee_mites", required.get().to_string())]
}
