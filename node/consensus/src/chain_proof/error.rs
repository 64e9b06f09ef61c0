//! Why a proof does not show the work of a chain.

use farthing::{BlockId, Hash, Work, chain_proof::SubsetError};

use crate::error::HeaderError;

/// Why a proof does not show the work of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainProofError {
    /// Headers and nodes do not make a range \[R-FLY-01\], \[R-RNG-05\], \[R-RNG-06\].
    #[error(transparent)]
    Subset(#[from] SubsetError),
    /// The range is not the one that the tip commits to \[R-FLY-02\].
    #[error("the proof leads to commitment {found}, the tip has {expected}")]
    WrongCommitment {
        /// Where it leads.
        found: Hash,
        /// What the tip says.
        expected: Hash,
    },
    /// The chain begins with another header than the network's \[R-FLY-03\].
    #[error("the chain begins with {found}, which is not the network's first block")]
    OtherGenesis {
        /// The header.
        found: BlockId,
    },
    /// A header that must be shown is not \[R-FLY-04\].
    #[error("header {height} is not shown")]
    NotShown {
        /// Its height.
        height: u64,
    },
    /// No header that is shown covers a sample \[R-FLY-04\].
    #[error("no header shown covers the work at {place}")]
    SampleMissing {
        /// Work before the sample.
        place: u128,
    },
    /// A header that nobody asked for \[R-FLY-04\].
    #[error("header {height} is shown although nothing asks for it")]
    NotAsked {
        /// Its height.
        height: u64,
    },
    /// A shown header breaks a rule \[R-FLY-05\].
    #[error("header {height} breaks a rule")]
    Header {
        /// Its height.
        height: u64,
        /// The rule.
        #[source]
        error: Box<HeaderError>,
    },
    /// A node claims work that its heights and times do not allow \[R-FLY-06\].
    #[error("{count} headers from {height} on cannot have work {work} in their time")]
    ImpossibleWork {
        /// Height of the first.
        height: u64,
        /// How many.
        count: u64,
        /// What is claimed.
        work: Work,
    },
}

impl ChainProofError {
    pub(super) fn header(height: u64, error: HeaderError) -> Self {
        Self::Header { height, error: Box::new(error) }
    }

    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Subset(error) => error.rule(),
            Self::WrongCommitment { .. } => "R-FLY-02",
            Self::OtherGenesis { .. } => "R-FLY-03",
            Self::NotShown { .. } | Self::SampleMissing { .. } | Self::NotAsked { .. } => "R-FLY-04",
            Self::Header { .. } => "R-FLY-05",
            Self::ImpossibleWork { .. } => "R-FLY-06",
        }
    }
}
