//! What the vectors say of a refusal, and how the code's own errors say it.

use std::fmt::Debug;

use farthing::{
    address::ParseAddressError,
    codec::DecodeError,
    history::HistoryError,
    keys::{KeyError, SignatureError},
    merkle::TxPathError,
    params::ParamsError,
    proof::ProofError,
    range::AncestryError,
    target::BitsError,
    transaction_proof::TransactionProofError,
};
use farthing_consensus::{BlockError, HeaderError, TxError};
use farthing_node::ledger::LedgerError;

/// The id of the broken rule, and the name of the error without its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    rule: String,
    name: String,
}

impl Refusal {
    pub(crate) fn new(rule: &str, name: &str) -> Self {
        Self { rule: rule.to_owned(), name: name.to_owned() }
    }

    /// Names a variant as its `Debug` form begins.
    fn of(rule: &str, error: &dyn Debug) -> Self {
        let debug = format!("{error:?}");
        Self::new(rule, debug.split(|c: char| !c.is_alphanumeric()).next().unwrap_or(&debug))
    }
}

macro_rules! from_plain_errors {
    ($($error:ty),+ $(,)?) => {$(
        impl From<$error> for Refusal {
            fn from(error: $error) -> Self {
                Self::of(error.rule(), &error)
            }
        }
    )+};
}

from_plain_errors!(
    AncestryError,
    BitsError,
    HistoryError,
    KeyError,
    ParamsError,
    ParseAddressError,
    ProofError,
    SignatureError,
    TxPathError,
);

// An error that carries another is named by that; the rule is always what the outer one says.

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let inner: &dyn Debug = match &error {
            DecodeError::Key(inner) => inner,
            DecodeError::Transaction(inner) => inner,
            DecodeError::Signature(inner) => inner,
            DecodeError::Prefix(inner) => inner,
            other => other,
        };
        Self::of(error.rule(), inner)
    }
}

impl From<TransactionProofError> for Refusal {
    fn from(error: TransactionProofError) -> Self {
        let inner: &dyn Debug = match &error {
            TransactionProofError::Path(inner) => inner,
            TransactionProofError::Ancestry(inner) => inner,
            other => other,
        };
        Self::of(error.rule(), inner)
    }
}

impl From<HeaderError> for Refusal {
    fn from(error: HeaderError) -> Self {
        match &error {
            HeaderError::Bits(inner) => Self::of(error.rule(), inner),
            other => Self::of(error.rule(), other),
        }
    }
}

impl From<TxError> for Refusal {
    fn from(error: TxError) -> Self {
        match &error {
            TxError::Signature(inner) => Self::of(error.rule(), inner),
            other => Self::of(error.rule(), other),
        }
    }
}

impl From<BlockError> for Refusal {
    fn from(error: BlockError) -> Self {
        match error {
            BlockError::Transaction { error, .. } => error.into(),
            other => Self::of(other.rule(), &other),
        }
    }
}

impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Block(error) => error.into(),
            other => panic!("no fault of a block: {other}"),
        }
    }
}
