//! Heights and times as types of their own.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Number of blocks between a block and genesis, which has height 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Height(u64);

impl Height {
    /// Height of the genesis block.
    pub const GENESIS: Self = Self(0);

    /// Takes a number of blocks.
    #[must_use]
    pub const fn new(blocks: u64) -> Self {
        Self(blocks)
    }

    /// The number of blocks above genesis.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The height of a child. Saturates, which no chain can reach.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The height of the parent; none for genesis.
    #[must_use]
    pub fn previous(self) -> Option<Self> {
        self.0.checked_sub(1).map(Self)
    }

    /// The height so many blocks further down; none below genesis.
    #[must_use]
    pub fn checked_sub(self, blocks: u64) -> Option<Self> {
        self.0.checked_sub(blocks).map(Self)
    }

    /// The height so many blocks further up. Saturates.
    #[must_use]
    pub const fn saturating_add(self, blocks: u64) -> Self {
        Self(self.0.saturating_add(blocks))
    }

    /// Number of blocks from `lower` up to this one, 0 if it is not lower.
    #[must_use]
    pub const fn distance_from(self, lower: Self) -> u64 {
        self.0.saturating_sub(lower.0)
    }
}

impl fmt::Display for Height {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Unix time in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TimeMs(u64);

impl TimeMs {
    /// Takes milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn new(milliseconds: u64) -> Self {
        Self(milliseconds)
    }

    /// Milliseconds since 1970-01-01T00:00:00Z.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Later by so many milliseconds. Saturates.
    #[must_use]
    pub const fn saturating_add(self, milliseconds: u64) -> Self {
        Self(self.0.saturating_add(milliseconds))
    }

    /// Milliseconds since `earlier`, 0 if that is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for TimeMs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

macro_rules! canonical_u64 {
    ($($name:ident),*) => {$(
        impl crate::codec::Canonical for $name {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.0.to_le_bytes());
            }

            fn decode(reader: &mut crate::codec::Reader<'_>) -> Result<Self, crate::codec::DecodeError> {
                reader.u64(stringify!($name)).map(Self)
            }
        }
    )*};
}
canonical_u64!(Height, TimeMs);
