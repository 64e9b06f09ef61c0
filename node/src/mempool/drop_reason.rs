//! Why a transaction that had been taken left the pool without being mined.

use std::fmt;

use farthing::TxId;

/// Why a transaction was dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// Another one of the same account paid for its place.
    Replaced {
        /// Which.
        by: TxId,
    },
    /// The pool was full, and others paid more.
    Evicted,
    /// No block may include it any more.
    Expired,
    /// The chain holds another transaction with its nonce.
    NonceUsed,
    /// After a change of the tip the account cannot pay it.
    InsufficientBalance,
    /// After a change of the tip its fee no longer covers what it would burn.
    FeeTooLow,
    /// The gap before it was not closed in time.
    GapTimeout,
    /// An earlier one of its account left, and no more with a gap before them are kept.
    GapTooLarge,
    /// After a change of the tip the account's key is not on the chain.
    KeyUnknown,
    /// A block could not include it although the pool held it for executable.
    NotExecutable,
}

impl DropReason {
    /// A stable name.
    #[must_use]
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Replaced { .. } => "REPLACED",
            Self::Evicted => "EVICTED",
            Self::Expired => "EXPIRED",
            Self::NonceUsed => "NONCE_USED",
            Self::InsufficientBalance => "INSUFFICIENT_BALANCE",
            Self::FeeTooLow => "FEE_TOO_LOW",
            Self::GapTimeout => "GAP_TIMEOUT",
            Self::GapTooLarge => "GAP_TOO_LARGE",
            Self::KeyUnknown => "KEY_UNKNOWN",
            Self::NotExecutable => "NOT_EXECUTABLE",
        }
    }

    /// True if it may have left for the sake of another transaction of the pool; else the chain or the clock is why.
    pub(super) const fn makes_room(self) -> bool {
        match self {
            Self::Replaced { .. } | Self::Evicted | Self::InsufficientBalance | Self::GapTooLarge => true,
            Self::Expired
            | Self::NonceUsed
            | Self::FeeTooLow
            | Self::GapTimeout
            | Self::KeyUnknown
            | Self::NotExecutable => false,
        }
    }

    /// One byte for the journal, and the id that goes with it.
    #[must_use]
    pub const fn to_code(self) -> (u8, Option<TxId>) {
        match self {
            Self::Replaced { by } => (1, Some(by)),
            Self::Evicted => (2, None),
            Self::Expired => (3, None),
            Self::NonceUsed => (4, None),
            Self::InsufficientBalance => (5, None),
            Self::FeeTooLow => (6, None),
            Self::GapTimeout => (7, None),
            Self::GapTooLarge => (8, None),
            Self::KeyUnknown => (9, None),
            Self::NotExecutable => (10, None),
        }
    }

    /// Reads what [`DropReason::to_code`] wrote; none for a code that it does not write.
    #[must_use]
    pub const fn from_code(code: u8, by: Option<TxId>) -> Option<Self> {
        Some(match (code, by) {
            (1, Some(by)) => Self::Replaced { by },
            (2, None) => Self::Evicted,
            (3, None) => Self::Expired,
            (4, None) => Self::NonceUsed,
            (5, None) => Self::InsufficientBalance,
            (6, None) => Self::FeeTooLow,
            (7, None) => Self::GapTimeout,
            (8, None) => Self::GapTooLarge,
            (9, None) => Self::KeyUnknown,
            (10, None) => Self::NotExecutable,
            _ => return None,
        })
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Replaced { by } => write!(f, "replaced by {by}"),
            Self::Evicted => f.write_str("the mempool was full and others paid more"),
            Self::Expired => f.write_str("no block may include it any more"),
            Self::NonceUsed => f.write_str("another transfer with its nonce was mined"),
            Self::InsufficientBalance => f.write_str("the account can no longer pay it"),
            Self::FeeTooLow => f.write_str("its fee no longer covers the accounts that it opens"),
            Self::GapTimeout => f.write_str("an earlier transfer of the account did not arrive in time"),
            Self::GapTooLarge => f.write_str("an earlier transfer of the account left"),
            Self::KeyUnknown => f.write_str("the account's first transfer is no longer on the chain"),
            Self::NotExecutable => f.write_str("no block could include it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_reads_back_from_its_code() {
        let mut names = std::collections::BTreeSet::new();
        for code in 0..=u8::MAX {
            for by in [None, Some(TxId::from_bytes([7; 32]))] {
                if let Some(reason) = DropReason::from_code(code, by) {
                    assert_eq!(reason.to_code(), (code, by));
                    assert!(names.insert(reason.reason()), "{}", reason.reason());
                }
            }
        }
        assert_eq!(names.len(), 10);
    }
}
