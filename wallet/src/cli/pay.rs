//! `pay`.

use std::path::PathBuf;

use clap::Args;

use super::{Fees, Wait};

/// A payroll.
#[derive(Debug, Args)]
pub struct Pay {
    /// A CSV file with the columns recipient and amount, and label for your own notes; the first line names them.
    pub file: PathBuf,
    /// What it may cost.
    #[command(flatten)]
    pub fees: Fees,
    /// Pay nothing if amounts and fees come to more than this, in far.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub max_total: Option<String>,
    /// At most 256 bytes for all recipients, in every transaction, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Say what would be paid; sign and send nothing.
    #[arg(long, conflicts_with_all = ["wait", "no_wait", "resume"])]
    pub dry_run: bool,
    /// Only go on with an earlier command, and say what became of it; never begin anew.
    #[arg(long, conflicts_with = "again")]
    pub resume: bool,
    /// Pay once more what was paid already.
    #[arg(long)]
    pub again: bool,
}
