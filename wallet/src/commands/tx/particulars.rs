//! What a transfer's file says, every field derived from its bytes.

use std::fmt;

use farthing::Mites;
use serde::Serialize;

use crate::{
    commands::terms::Terms,
    context::Context,
    error::Result,
    transfer_file::{Standing, TransferFile},
};

/// Signature as programs read of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum SignatureView {
    None,
    Valid,
    Invalid,
}

/// A transfer, signed or not, in full.
#[derive(Debug, Serialize)]
pub(super) struct Particulars {
    pub(super) transaction_id: String,
    /// `signed` or `unsigned`.
    state: &'static str,
    pub(super) signature: SignatureView,
    network: String,
    genesis_id: String,
    #[serde(flatten)]
    terms: Terms,
    /// Mites of the fee for each byte, to two digits.
    fee_mites_per_byte: String,
    /// What leaves the account.
    total: String,
    total_mites: String,
    /// With its signature.
    size_bytes: usize,
}

impl Particulars {
    pub(super) fn of(context: &Context, file: &TransferFile) -> Result<Self> {
        let transaction = file.transaction();
        let network = context.settings.network();
        let size_bytes = file.size_bytes()?;
        let signature = match file.standing()? {
            Standing::Unsigned => SignatureView::None,
            Standing::Valid => SignatureView::Valid,
            Standing::Invalid(_) => SignatureView::Invalid,
        };
        Ok(Self {
            transaction_id: transaction.id(network.genesis_id()).to_string(),
            state: if signature == SignatureView::None { "unsigned" } else { "signed" },
            signature,
            network: network.name.clone(),
            genesis_id: network.genesis_id().to_string(),
            terms: Terms::of(context, transaction)?,
            fee_mites_per_byte: per_byte(transaction.fee(), size_bytes),
            total: transaction.total().to_string(),
            total_mites: transaction.total().get().to_string(),
            size_bytes,
        })
    }
}

/// A fee per byte with two digits, cut off.
fn per_byte(fee: Mites, bytes: usize) -> String {
    let hundredths = u128::from(fee.get()) * 100 / (bytes.max(1) as u128);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

impl fmt::Display for Particulars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network    {} (genesis {})", self.network, self.genesis_id)?;
        writeln!(f, "id         {}", self.transaction_id)?;
        writeln!(f, "{}", self.terms)?;
        if self.terms.valid_until.is_none() {
            writeln!(f, "until      its nonce is used")?;
        }
        writeln!(f, "total      {} far leave the account", self.total)?;
        writeln!(f, "size       {} bytes, {} mites of the fee a byte", self.size_bytes, self.fee_mites_per_byte)?;
        f.write_str(match self.signature {
            SignatureView::None => "signature  none yet",
            SignatureView::Valid => "signature  valid: by the key of the account that pays",
            SignatureView::Invalid => {
                "signature  INVALID: not by the key of the account that pays, or over something else"
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_rate_has_two_digits() {
        assert_eq!(per_byte(Mites::new(38_000), 380), "100.00");
        assert_eq!(per_byte(Mites::new(1), 380), "0.00");
        assert_eq!(per_byte(Mites::new(u64::MAX), 1), "18446744073709551615.00");
        assert_eq!(per_byte(Mites::new(1_000), 3), "333.33");
    }
}
