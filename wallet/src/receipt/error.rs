//! Why a receipt does not prove a payment.

use std::path::PathBuf;

use farthing::{TxId, transaction_proof::TransactionProofError, wire::AnchoredProofError};
use farthing_consensus::ChainProofError;

use crate::{
    armor::ArmorError,
    disk::DiskError,
    error::{Exit, Explain},
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
            Self::Chain(_) | Self::Transfer(_) | Self::Account(_) | Self::Contradiction(_) => "RECEIPT_NOT_PROVEN",
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
            | Self::Contradiction(_) => Exit::Verification,
            Self::OtherNetwork { .. } => Exit::Usage,
            Self::NotMined(_) => Exit::Unconfirmed,
            Self::Unknown(_) | Self::Moving(_) => Exit::Other,
            Self::Disk(error) => error.exit(),
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Armor { .. } | Self::Content { .. } => {
                vec!["ask for the file again, whole and unchanged; as it is, it proves nothing".into()]
            }
            Self::OtherNetwork { found, .. } => vec![format!("--network with that of the receipt: {found}")],
            Self::Chain(_) | Self::Transfer(_) | Self::Account(_) | Self::Contradiction(_) => vec![
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
