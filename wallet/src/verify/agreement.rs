//! What several nodes say of one account, and whether enough of them say the same.
//!
//! Every answer is verified by itself, against its own header. Two headers agree if they are the same, or if the one with less work
//! is an ancestor of the other, a few blocks back: then both answers are true, of two moments of one chain.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::error::{Exit, Explain};

/// How much a figure is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Checked here.
    Verified,
    /// Not checked, but so many of the nodes asked say the same.
    Agreed {
        /// How many say so.
        by: usize,
        /// How many were asked.
        of: usize,
    },
    /// On one node's word.
    Unverified,
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Verified => f.write_str("verified"),
            Self::Agreed { by, of } => write!(f, "agreed by {by} of {of}"),
            Self::Unverified => f.write_str("unverified"),
        }
    }
}

impl Serialize for Label {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// How a node's answer goes with the one that stands on most work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    /// It is for the same block.
    Same,
    /// It is for one of the last blocks before it, on the same chain.
    Behind,
    /// It is for a block of that chain further back.
    Stale,
    /// It is for a block that is not on that chain.
    OtherChain,
    /// There is none, or it was not believed.
    Nothing,
}

impl Says {
    /// Whether that agrees.
    #[must_use]
    pub const fn agrees(self) -> bool {
        matches!(self, Self::Same | Self::Behind)
    }
}

/// What one node says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Opinion {
    /// Its URL.
    pub node: String,
    /// How that goes with the answer that stands on most work.
    pub says: Says,
    /// Height of its block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<u64>,
    /// Id of its block.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_id: Option<String>,
    /// Work of its chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_work: Option<String>,
    /// The balance there, proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<String>,
    /// Why it says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Whether it lied, rather than being silent.
    #[serde(skip)]
    pub lied: bool,
}

impl fmt::Display for Opinion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.node)?;
        if let Some(error) = &self.error {
            return f.write_str(error);
        }
        let (height, id) = (self.height.unwrap_or_default(), self.block_id.as_deref().unwrap_or_default());
        write!(
            f,
            "{} far at block {height} ({}..., chain work {})",
            self.balance.as_deref().unwrap_or("0"),
            id.get(..16).unwrap_or(id),
            self.chain_work.as_deref().unwrap_or_default()
        )?;
        f.write_str(match self.says {
            Says::Same | Says::Nothing => "",
            Says::Behind => ", a few blocks behind on the same chain",
            Says::Stale => ", far behind on the same chain",
            Says::OtherChain => ", on another chain",
        })
    }
}

/// What several nodes said, and how many had to agree.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Agreement {
    /// How many had to.
    pub wanted: usize,
    /// How many do.
    pub agreed: usize,
    /// How many were asked.
    pub asked: usize,
    /// What each said.
    pub nodes: Vec<Opinion>,
}

impl Agreement {
    /// Counts what was said.
    #[must_use]
    pub fn of(wanted: usize, nodes: Vec<Opinion>) -> Self {
        let agreed = nodes.iter().filter(|node| node.says.agrees()).count();
        Self { wanted, agreed, asked: nodes.len(), nodes }
    }

    /// Whether enough agree.
    #[must_use]
    pub const fn is_enough(&self) -> bool {
        self.agreed >= self.wanted
    }
}

impl fmt::Display for Agreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} nodes stand on the same chain:", self.agreed, self.asked)?;
        self.nodes.iter().try_for_each(|node| write!(f, "\n  {node}"))
    }
}

/// Why several nodes do not count as agreeing.
#[derive(Debug, thiserror::Error)]
pub enum Disagreement {
    /// More nodes are to agree than were named.
    #[error("{wanted} nodes are to agree, but {named} named")]
    TooFewNodes {
        /// How many are to agree.
        wanted: usize,
        /// How many were named, in words.
        named: String,
    },
    /// Too few answered.
    #[error("{} of {} nodes gave an answer that holds, {} are to agree:{}", .0.agreed, .0.asked, .0.wanted, lines(.0))]
    TooFewAnswers(Box<Agreement>),
    /// They stand on different chains.
    #[error("the nodes disagree: {} of {} stand on the chain with most work, {} are to:{}", .0.agreed, .0.asked, .0.wanted, lines(.0))]
    Chains(Box<Agreement>),
}

fn lines(agreement: &Agreement) -> String {
    agreement.nodes.iter().map(|node| format!("\n  {node}")).collect()
}

impl Explain for Disagreement {
    fn code(&self) -> &'static str {
        match self {
            Self::TooFewNodes { .. } => "QUORUM_TOO_LARGE",
            Self::TooFewAnswers(_) => "QUORUM_NOT_REACHED",
            Self::Chains(_) => "NODES_DISAGREE",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::TooFewNodes { .. } => Exit::Usage,
            Self::TooFewAnswers(agreement) if agreement.nodes.iter().all(|node| !node.lied) => Exit::Unreachable,
            Self::TooFewAnswers(_) | Self::Chains(_) => Exit::Verification,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::TooFewNodes { .. } => vec!["--node URL once for each node, or a smaller --quorum".into()],
            Self::TooFewAnswers(_) => vec!["again in a moment".into(), "--node URL with other nodes".into()],
            Self::Chains(_) => vec![
                "again in a minute: an honest node that fell behind comes back to the chain with most work".into(),
                "--node URL with nodes that other people run, to see which ones stand alone".into(),
            ],
        }
    }
}
