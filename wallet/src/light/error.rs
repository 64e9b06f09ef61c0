//! Why a header does not count as one of the network's chain.

use std::{path::PathBuf, time::Duration};

use farthing::{BlockId, Height, Work};
use farthing_consensus::{ChainProofError, HeaderError};

use crate::{
    error::{Exit, Explain},
    verify::in_words,
};

/// Why a node did not show what it was asked for.
pub type ShowError = farthing_client::Error;

/// Why a header does not count as one of the network's chain.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// The node did not answer, or not so that it could be read.
    #[error(transparent)]
    Node(#[from] ShowError),
    /// The proof of the work breaks a rule.
    #[error("the node's proof of its chain's work does not hold")]
    Proof(#[from] ChainProofError),
    /// A header behind what was known breaks a rule.
    #[error("block {height} on the chain that the node shows breaks a rule")]
    Header {
        /// Its height.
        height: Height,
        /// The rule.
        #[source]
        error: HeaderError,
    },
    /// The header is not on the chain whose work was shown.
    #[error(
        "block {height} ({id}), against which the account is proven, is not on the chain whose work the node shows"
    )]
    OffChain {
        /// Its height as stated.
        height: Height,
        /// The header.
        id: BlockId,
    },
    /// Dated ahead of the clock.
    #[error("block {height} is dated {} ahead of this machine's clock, as no block may be", in_words(*ahead))]
    FromTheFuture {
        /// Its height.
        height: Height,
        /// How far ahead.
        ahead: Duration,
    },
    /// Less work than the person wants.
    #[error(
        "the chain that the node shows has work {work} up to block {height}, less than the minimum_work {minimum} of the settings"
    )]
    TooLittleWork {
        /// Where the node stands.
        height: Height,
        /// Work up to there.
        work: Work,
        /// What was to be there at least.
        minimum: Work,
    },
    /// Another proof of the same block showed other work below it.
    #[error(
        "the node shows work {found} up to block {height}, of which work {expected} was verified before: one of the two proofs is false"
    )]
    Contradiction {
        /// Height of the block.
        height: Height,
        /// What the node shows.
        found: Work,
        /// What was shown before.
        expected: Work,
        /// Where that is remembered.
        cache: Option<PathBuf>,
    },
    /// More work was shown before.
    #[error(
        "the node stands at block {height} with work {work}, but block {known_height} with work {known_work} was verified before: \
         {}", if *is_old { "it hides newer blocks, or has lost them" } else { "it shows another chain with less work, or a long outdated end of this one" }
    )]
    LessWork {
        /// Where the node stands.
        height: Height,
        /// Work up to there.
        work: Work,
        /// Height of the heaviest chain known.
        known_height: Height,
        /// Its work.
        known_work: Work,
        /// Whether the node's block is one of that chain.
        is_old: bool,
        /// Where that is remembered.
        cache: Option<PathBuf>,
    },
}

impl Explain for ChainError {
    fn code(&self) -> &'static str {
        match self {
            Self::Node(_) => "NODE_UNAVAILABLE",
            Self::Proof(_) | Self::Header { .. } | Self::Contradiction { .. } => "CHAIN_NOT_PROVEN",
            Self::FromTheFuture { .. } => "BLOCK_FROM_THE_FUTURE",
            Self::TooLittleWork { .. } => "TOO_LITTLE_WORK",
            Self::OffChain { .. } => "NOT_ON_CHAIN",
            Self::LessWork { is_old: true, .. } => "STALE_NODE",
            Self::LessWork { .. } => "LESS_WORK",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Node(_) => Exit::Unreachable,
            _ => Exit::Verification,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Node(_) => vec!["again in a moment".into(), "--node URL with another node".into()],
            Self::Proof(_) | Self::Header { .. } => {
                vec!["--node URL with another node; this one is broken or lies".into()]
            }
            Self::OffChain { .. } => {
                vec!["again in a moment, if blocks come fast".into(), "--node URL with another node".into()]
            }
            Self::FromTheFuture { .. } => {
                vec![
                    "set this machine's clock; doctor compares it with the node's".into(),
                    "--node URL with another node".into(),
                ]
            }
            Self::TooLittleWork { .. } => vec![
                "--node URL with another node; this one is still fetching blocks, or shows a false chain".into(),
                "config get minimum_work, if you mistyped it".into(),
            ],
            Self::LessWork { cache, .. } | Self::Contradiction { cache, .. } => {
                let mut tries = vec![
                    "--node URL with another node".to_owned(),
                    "again later, if this node is still fetching".into(),
                ];
                if let Some(path) = cache {
                    tries.push(format!(
                        "rm '{}', only if you know that the network was begun anew, or several nodes of different people all say so",
                        path.display()
                    ));
                }
                tries
            }
        }
    }
}
