//! `pay`.

use std::path::PathBuf;

use clap::Args;

/// A payroll.
#[derive(Debug, Args)]
pub struct Pay {
    /// A CSV file with the columns recipient and amount, and label for your own notes; the first line names them.
    pub file: PathBuf,
    /// slow, normal or fast as the node estimates it, or the whole fee of each transaction in far, opening costs included;
    /// normal if left out.
    #[arg(long, value_name = "SPEED|AMOUNT")]
    pub fee: Option<String>,
    /// Pay at most these fees in far, all transactions and opening costs included. Without it the miner gets at most 0.05
    /// far a transaction (max_fee in the settings), whatever the node estimates.
    #[arg(long, value_name = "AMOUNT")]
    pub max_fee: Option<String>,
    /// Pay nothing if amounts and fees come to more than this, in far.
    #[arg(long, value_name = "AMOUNT")]
    pub max_total: Option<String>,
    /// At most 256 bytes for all recipients, in every transaction, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Wait until the transactions have so many confirmations.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=10_000))]
    pub wait: u64,
    /// Do not wait: end once the node has taken the transactions.
    #[arg(long, conflicts_with = "wait")]
    pub no_wait: bool,
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
