//! What every command shares that spends money: fees and the wait for confirmations.

use clap::Args;

/// What transfers may cost.
#[derive(Debug, Clone, Default, Args)]
pub struct Fees {
    /// slow, normal or fast as the node estimates it, or the whole fee of each transaction in far, opening costs included;
    /// normal if left out, and for a replacement in any case as much as nodes ask.
    #[arg(long, value_name = "SPEED|AMOUNT", allow_negative_numbers = true)]
    pub fee: Option<String>,
    /// Pay at most this fee in far, all transactions of the command and opening costs included. Without it the miner gets at
    /// most 0.05 far a transaction (max_fee in the settings), whatever the node estimates.
    #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
    pub max_fee: Option<String>,
}

/// Whether to wait until what was handed in is mined.
#[derive(Debug, Clone, Copy, Args)]
pub struct Wait {
    /// Wait until all of it has so many confirmations.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(..=10_000))]
    wait: u64,
    /// Do not wait: end once the node has taken it.
    #[arg(long, conflicts_with = "wait")]
    no_wait: bool,
}

impl Wait {
    /// How many confirmations are waited for; none, if there shall be no wait.
    #[must_use]
    pub const fn wanted(self) -> u64 {
        if self.no_wait { 0 } else { self.wait }
    }
}
