//! Why a receipt does not prove a payment.

use std::path::PathBuf;

use farthing::{Height, TxId, transaction_proof::TransactionProofError, wire::AnchoredProofError};
use farthing_consensus::{ChainProofError, HeaderError};

use crate::{
    armor::ArmorError,
    disk::DiskError,
    error::{Exit, Explain},
    light::ChainError,
};

/// Why a receipt does not prove a payment, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ReceiptError {
    /// Not such a file, or changed on the way.
    #[error("{} is not a receipt as farthing-wallet tx prove writes it", path.display())]
    Armor {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ArmorError,
    },
    /// What it holds cannot be read.
    #[error("what {} holds is not a receipt: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Of another network than the wallet's.
    #[error("the receipt is of {found}, this wallet is on {expected}")]
    OtherNetwork {
        /// Name, or genesis id.
        found: String,
        /// Name.
        expected: String,
    },
    /// The work is not shown.
    #[error("the receipt does not show the work behind it")]
    Chain(#[source] ChainProofError),
    /// The transfer is not shown to be mined.
    #[error("the receipt does not show that the transfer was mined")]
    Transfer(#[source] TransactionProofError),
    /// A recipient's account is not shown.
    #[error("the receipt does not show the recipient's account")]
    Account(#[source] AnchoredProofError),
    /// A header between the transfer's block and the end of the chain breaks a rule.
    #[error("the receipt does not show the headers above the transfer's block: block {height} breaks a rule")]
    Link {
        /// Its height.
        height: Height,
        /// The rule.
        #[source]
        error: Box<HeaderError>,
    },
    /// Dated ahead of the clock.
    #[error(transparent)]
    Clock(ChainError),
    /// More headers above the block than a receipt holds.
    #[error("the transfer is {blocks} blocks deep, and a receipt holds the headers of {most} at most")]
    TooDeep {
        /// Headers that it would need.
        blocks: u64,
        /// What it can have.
        most: u64,
    },
    /// Two parts that do not belong together.
    #[error("{0} do not fit together")]
    Contradiction(&'static str),
    /// Nothing to prove yet.
    #[error("the transfer {0} is not mined, so there is nothing to prove yet")]
    NotMined(TxId),
    /// The node knows no such transfer.
    #[error("the node knows no transfer {0}")]
    Unknown(TxId),
    /// The parts were for one tip and then for another, again and again.
    #[error("the node's chain grew between its answers, {0} times in a row")]
    Moving(usize),
    /// It cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ReceiptError {
    fn code(&self) -> &'static str {
        match self {
            Self::Armor { .. } | Self::Content { .. } => "BAD_RECEIPT",
            Self::OtherNetwork { .. } => "WRONG_NETWORK",
            Self::Chain(_) | Self::Transfer(_) | Self::Account(_) | Self::Contradiction(_) | Self::Link { .. } => {
                "RECEIPT_NOT_PROVEN"
            }
            Self::Clock(error) => error.code(),
            Self::TooDeep { .. } => "TOO_DEEP",
            Self::NotMined(_) => "NOT_MINED",
            Self::Unknown(_) => "UNKNOWN_TRANSFER",
            Self::Moving(_) => "CHAIN_MOVES",
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Armor { .. }
            | Self::Content { .. }
            | Self::Chain(_)
            | Self::Transfer(_)
            | Self::Account(_)
            | Self::Contradiction(_)
            | Self::Link { .. } => Exit::Verification,
            Self::Clock(error) => error.exit(),
            Self::OtherNetwork { .. } => Exit::Usage,
            Self::NotMined(_) => Exit::Unconfirmed,
            Self::Unknown(_) | Self::Moving(_) | Self::TooDeep { .. } => Exit::Other,
            Self::Disk(error) => error.exit(),
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Armor { .. } | Self::Content { .. } => {
                vec!["ask for the file again, whole and unchanged; as it is, it proves nothing".into()]
            }
            Self::OtherNetwork { found, .. } => vec![format!("--network with that of the receipt: {found}")],
            Self::Clock(error) => error.tries(),
            Self::TooDeep { .. } => {
                vec![
                    "tx show with its id: what the chain says of it now".into(),
                    "next time tx prove soon; a receipt stays good".into(),
                ]
            }
            Self::Chain(_) | Self::Transfer(_) | Self::Account(_) | Self::Contradiction(_) | Self::Link { .. } => vec![
                "believe nothing that it says; whoever made it must make another one".into(),
                "--network FILE, if the receipt is of another private network of that name".into(),
            ],
            Self::NotMined(_) => vec!["again once it is mined".into()],
            Self::Unknown(_) => vec!["copy the id again, all of it".into(), "--node URL with another node".into()],
            Self::Moving(_) => vec!["again in a moment".into(), "--node URL with a nearer node".into()],
            Self::Disk(error) => error.tries(),
        }
    }
}
