//! Why a message is not what it should be: the field's path from the request's root, and the fault.

use std::{borrow::Cow, fmt};

use crate::{
    address::ParseAddressError, codec::DecodeError, hash::ParseHashError, keys::KeyError, keys::SignatureError,
    tx::TransactionError,
};

/// A field that cannot be read, such as `transaction.outputs[3].address: expected 32 bytes, got 31`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct WireError {
    path: String,
    #[source]
    fault: WireFault,
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WireFault {
    /// Nothing was given.
    #[error("is required")]
    Missing,
    /// Bytes of another length.
    #[error("expected {expected} bytes, got {found}")]
    Length {
        /// Bytes that the field has.
        expected: usize,
        /// Bytes that were given.
        found: usize,
    },
    /// A list or byte string that is too long or too short.
    #[error("expected {min} to {max} {unit}, got {found}")]
    Count {
        /// What is counted.
        unit: &'static str,
        /// Fewest that are allowed.
        min: usize,
        /// Most that are allowed.
        max: usize,
        /// How many were given.
        found: usize,
    },
    /// A number outside its range.
    #[error("expected {min} to {max}, got {found}")]
    OutOfRange {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// What was given.
        found: u64,
    },
    /// A text that is no hash.
    #[error(transparent)]
    Hash(#[from] ParseHashError),
    /// A text that is no address of this network.
    #[error(transparent)]
    Address(#[from] ParseAddressError),
    /// Bytes that are no public key of this protocol.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Bytes that are no signature.
    #[error(transparent)]
    Signature(#[from] SignatureError),
    /// Fields that break a rule of transactions.
    #[error(transparent)]
    Transaction(#[from] TransactionError),
    /// Bytes that are not the canonical encoding.
    #[error(transparent)]
    Canonical(#[from] DecodeError),
    /// Bytes that are no protobuf message of the kind.
    #[error(transparent)]
    Protobuf(#[from] prost::DecodeError),
    /// A path of a field mask that names nothing.
    #[error("{path:?} names nothing: {of} has no such field{}", choices(.known))]
    UnknownPath {
        /// The path.
        path: String,
        /// The message, or the field without fields, where it leads nowhere.
        of: &'static str,
        /// The fields that are there.
        known: Vec<&'static str>,
    },
    /// Bytes that are not the one encoding of what they say.
    #[error("is not the one encoding of what it says")]
    NotCanonical,
    /// Two fields that say different things.
    #[error("does not match {other}")]
    Mismatch {
        /// The other field.
        other: &'static str,
    },
    /// A choice that was answered with something that cannot be meant.
    #[error("expected {expected}")]
    Unexpected {
        /// What may stand here.
        expected: &'static str,
    },
}

/// What could have been said instead.
fn choices(known: &[&'static str]) -> String {
    match known {
        [] => String::new(),
        known => format!("; expected one of {}", known.join(", ")),
    }
}

impl WireError {
    /// A fault of the field with this name.
    #[must_use]
    pub fn new(field: impl Into<String>, fault: impl Into<WireFault>) -> Self {
        Self { path: field.into(), fault: fault.into() }
    }

    /// A field without which the message says nothing.
    #[must_use]
    pub fn missing(field: &'static str) -> Self {
        Self::new(field, WireFault::Missing)
    }

    /// The same fault seen from the message that holds this one in `field`.
    #[must_use]
    pub fn within(mut self, field: &str) -> Self {
        self.path = match self.path.is_empty() {
            true => field.to_owned(),
            false => format!("{field}.{}", self.path),
        };
        self
    }

    /// The same fault seen from the message that holds this one in the list `field`.
    #[must_use]
    pub fn within_item(self, field: &str, index: usize) -> Self {
        self.within(&format!("{field}[{index}]"))
    }

    /// Path of the field from the root of the message, such as `outputs[3].address`; empty for the message itself.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong with it.
    #[must_use]
    pub const fn fault(&self) -> &WireFault {
        &self.fault
    }
}

impl fmt::Display for WireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path: Cow<'_, str> = if self.path.is_empty() { "message".into() } else { self.path.as_str().into() };
        write!(f, "{path}: {}", self.fault)
    }
}
