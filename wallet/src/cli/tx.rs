//! `tx ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use farthing::TxId;

use super::{Fees, Wait};

/// What to do with one transfer.
#[derive(Debug, Subcommand)]
pub enum TxCommand {
    /// Plan a transfer and write it to a file, not signed; one payment or several.
    #[command(display_order = 5)]
    Build(TxBuild),
    /// Show what a transfer's file says, derived from its bytes; asks no node.
    #[command(display_order = 6)]
    Inspect {
        /// The file, or - for what comes through a pipe.
        #[arg(value_parser = super::path())]
        file: PathBuf,
        /// Also write the exact bytes that are to be signed to this new file, for openssl or another signer.
        #[arg(long, value_name = "NEW_FILE", value_parser = super::path())]
        message_out: Option<PathBuf>,
    },
    /// Sign a transfer's file; asks no node.
    #[command(display_order = 7)]
    Sign {
        /// The file, or - for what comes through a pipe.
        #[arg(value_parser = super::path())]
        file: PathBuf,
        /// Where to write the signed transfer, a new file; printed if left out.
        #[arg(long, value_name = "NEW_FILE", value_parser = super::path())]
        out: Option<PathBuf>,
        /// Take the signature from this file, as openssl dgst -sha256 -sign made it, instead of signing here.
        #[arg(long, value_name = "FILE", value_parser = super::path())]
        signature: Option<PathBuf>,
    },
    /// Hand a signed transfer's file in.
    #[command(display_order = 8)]
    Broadcast {
        /// The file, or - for what comes through a pipe.
        #[arg(value_parser = super::path())]
        file: PathBuf,
        /// Whether to wait.
        #[command(flatten)]
        wait: Wait,
    },
    /// Show where a transfer stands, and what it says.
    #[command(display_order = 1)]
    Show {
        /// The transfer's id.
        #[arg(value_name = "ID")]
        id: TxId,
    },
    /// Wait until a transfer is mined; any transfer, also one that this wallet did not send.
    #[command(display_order = 2)]
    Wait {
        /// The transfer's id.
        #[arg(value_name = "ID")]
        id: TxId,
        /// How many blocks from its own on: 1 once it is mined.
        #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        confirmations: u64,
    },
    /// Replace a waiting transfer of this wallet by the same one with a higher fee.
    #[command(display_order = 3)]
    Bump(TxReplace),
    /// Replace a waiting transfer of this wallet by one that pays nobody; what the first one pays is then not paid.
    #[command(display_order = 4)]
    Cancel(TxReplace),
    /// Prove a mined transfer: write one file that anyone can check without a node.
    #[command(display_order = 9)]
    Prove {
        /// The transfer's id.
        #[arg(value_name = "ID")]
        id: TxId,
        /// Where to write the receipt, a new file; printed if left out.
        #[arg(long, value_name = "NEW_FILE", value_parser = super::path())]
        out: Option<PathBuf>,
    },
    /// Check a receipt that tx prove wrote; asks no node.
    #[command(display_order = 10)]
    VerifyProof {
        /// The file, or - for what comes through a pipe.
        #[arg(value_parser = super::path())]
        file: PathBuf,
    },
}

/// A waiting transfer to be replaced.
#[derive(Debug, Args)]
pub struct TxReplace {
    /// The transfer's id.
    #[arg(value_name = "ID")]
    pub id: TxId,
    /// What it may cost.
    #[command(flatten)]
    pub fees: Fees,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
}

/// A transfer to be written down.
#[derive(Debug, Args)]
pub struct TxBuild {
    /// Who receives, and how much in far; again for each further recipient, up to 64. For one, max for all that can be
    /// spent, less the fee.
    #[arg(required = true, num_args = 2.., value_names = ["TO", "AMOUNT"], allow_negative_numbers = true)]
    pub payments: Vec<String>,
    /// What it may cost.
    #[command(flatten)]
    pub fees: Fees,
    /// Ask no node: use this nonce, how many transfers the key has paid before. Needs --fee with an amount.
    #[arg(long, value_name = "N", requires = "fee")]
    pub nonce: Option<u64>,
    /// At most 256 bytes for the recipients, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// The last block that may include it; without it, it stays good until its nonce is used.
    #[arg(long, value_name = "HEIGHT", value_parser = clap::value_parser!(u64).range(1..))]
    pub valid_until: Option<u64>,
    /// Where to write the transfer, a new file; printed if left out.
    #[arg(long, value_name = "NEW_FILE", value_parser = super::path())]
    pub out: Option<PathBuf>,
}
