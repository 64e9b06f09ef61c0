//! `send`.

use clap::Args;

use super::{Fees, Wait};

/// A transfer.
#[derive(Debug, Args)]
pub struct Send {
    /// Who receives: a contact, a key of this wallet, an address, or a payment request (farthing:...).
    pub to: String,
    /// How much, in far, such as 12.5; max for all that can be spent, less the fee. A payment request may say it.
    #[arg(allow_negative_numbers = true)]
    pub amount: Option<String>,
    /// What it may cost.
    #[command(flatten)]
    pub fees: Fees,
    /// At most 256 bytes for the recipient, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Whether to wait.
    #[command(flatten)]
    pub wait: Wait,
    /// Say what the command would do, and ask the node what would happen; sign and send nothing.
    #[arg(long, conflicts_with_all = ["wait", "no_wait", "sign_only"])]
    pub dry_run: bool,
    /// Your id for this payment: it is made once, however often the command comes.
    #[arg(long, value_name = "KEY", conflicts_with = "sign_only")]
    pub id: Option<String>,
    /// Pay once more, though an interrupted command has paid the same already.
    #[arg(long, conflicts_with_all = ["id", "sign_only"])]
    pub again: bool,
    /// Sign and print the request for SubmitTransaction as JSON, for grpcurl or another machine; submit nothing.
    #[arg(long, conflicts_with_all = ["wait", "no_wait"])]
    pub sign_only: bool,
    /// Ask no node: sign the transfer with this nonce, how many the key has paid before. Needs --fee with an amount.
    #[arg(long, value_name = "N", requires_all = ["sign_only", "fee"])]
    pub nonce: Option<u64>,
    /// The last block that may include what is signed; without it, it stays good until its nonce is used.
    #[arg(long, value_name = "HEIGHT", requires = "sign_only", value_parser = clap::value_parser!(u64).range(1..))]
    pub valid_until: Option<u64>,
}
