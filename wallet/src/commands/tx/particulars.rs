//! What a transfer's file says, every field derived from its bytes.

use std::fmt;

use farthing::{Address, Height, Mites};
use serde::Serialize;

use crate::{
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

/// One payment.
#[derive(Debug, Serialize)]
pub(super) struct Payment {
    to: String,
    /// What this wallet calls the recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_name: Option<String>,
    amount: String,
    amount_mites: String,
}

impl Payment {
    pub(super) fn new(context: &Context, to: &Address, amount: Mites) -> Result<Self> {
        Ok(Self {
            to: context.wallet.show(to),
            to_name: name_of(context, to)?,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
        })
    }
}

impl fmt::Display for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "to         {}", named(self.to_name.as_ref(), &self.to))?;
        write!(f, "  amount   {} far", self.amount)
    }
}

pub(super) fn name_of(context: &Context, address: &Address) -> Result<Option<String>> {
    Ok(context.wallet.name_of(address)?.map(|name| name.to_string()))
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
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<String>,
    outputs: Vec<Payment>,
    /// All payments together, the fee not counted.
    amount: String,
    amount_mites: String,
    fee: String,
    fee_mites: String,
    /// Mites of the fee for each byte, to two digits.
    fee_mites_per_byte: String,
    /// What leaves the account.
    total: String,
    total_mites: String,
    nonce: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    valid_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
    /// With its signature.
    size_bytes: usize,
}

impl Particulars {
    pub(super) fn of(context: &Context, file: &TransferFile) -> Result<Self> {
        let transaction = file.transaction();
        let network = context.settings.network();
        let sender = transaction.sender_address();
        let size_bytes = file.size_bytes()?;
        let amount = transaction.total().checked_sub(transaction.fee()).unwrap_or(Mites::ZERO);
        let outputs = transaction.outputs().iter();
        let memo = transaction.memo();
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
            from: context.wallet.show(&sender),
            from_name: name_of(context, &sender)?,
            outputs: outputs.map(|output| Payment::new(context, &output.to, output.amount)).collect::<Result<_>>()?,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fee: transaction.fee().to_string(),
            fee_mites: transaction.fee().get().to_string(),
            fee_mites_per_byte: per_byte(transaction.fee(), size_bytes),
            total: transaction.total().to_string(),
            total_mites: transaction.total().get().to_string(),
            nonce: transaction.nonce(),
            valid_until: transaction.valid_until().map(Height::get),
            memo: (!memo.is_empty()).then(|| String::from_utf8_lossy(memo).into_owned()),
            size_bytes,
        })
    }
}

/// A fee per byte with two digits, cut off.
fn per_byte(fee: Mites, bytes: usize) -> String {
    let hundredths = u128::from(fee.get()) * 100 / (bytes.max(1) as u128);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A name and an address, or an address without a name.
pub(super) fn named(name: Option<&String>, address: &str) -> String {
    match name {
        Some(name) => format!("{name}, {address}"),
        None => format!("{address} (no contact)"),
    }
}

impl fmt::Display for Particulars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "network    {} (genesis {})", self.network, self.genesis_id)?;
        writeln!(f, "id         {}", self.transaction_id)?;
        writeln!(f, "from       {}", named(self.from_name.as_ref(), &self.from))?;
        for payment in &self.outputs {
            writeln!(f, "{payment}")?;
        }
        if self.outputs.len() > 1 {
            writeln!(f, "together   {} far to {} recipients", self.amount, self.outputs.len())?;
        }
        writeln!(f, "fee        {} far, {} mites a byte", self.fee, self.fee_mites_per_byte)?;
        writeln!(f, "total      {} far leave the account", self.total)?;
        writeln!(f, "nonce      {}", self.nonce)?;
        match self.valid_until {
            Some(height) => writeln!(f, "until      block {height}")?,
            None => writeln!(f, "until      its nonce is used")?,
        }
        if let Some(memo) = &self.memo {
            writeln!(f, "memo       {memo:?} (public for ever)")?;
        }
        writeln!(f, "size       {} bytes", self.size_bytes)?;
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
