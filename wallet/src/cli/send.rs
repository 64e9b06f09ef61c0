//! `send`.

use clap::Args;

/// A transfer.
#[derive(Debug, Args)]
pub struct Send {
    /// Who receives: a contact, a key of this wallet, or an address.
    pub to: String,
    /// How much, in far, such as 12.5.
    pub amount: String,
    /// Fee in far, opening costs included; computed if left out.
    #[arg(long, value_name = "AMOUNT")]
    pub fee: Option<String>,
    /// At most 256 bytes for the recipient, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Wait until the transfer has so many confirmations.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub wait: u64,
    /// Sign and print the request for SubmitTransaction as JSON, for grpcurl or another machine; submit nothing.
    #[arg(long, conflicts_with = "wait")]
    pub sign_only: bool,
    /// Ask no node: sign the transfer with this nonce, how many the key has paid before. Needs --fee.
    #[arg(long, value_name = "N", requires_all = ["sign_only", "fee"])]
    pub nonce: Option<u64>,
    /// The last block that may include what is signed; without it, it stays good until its nonce is used.
    #[arg(long, value_name = "HEIGHT", requires = "sign_only", value_parser = clap::value_parser!(u64).range(1..))]
    pub valid_until: Option<u64>,
}
