//! What a transfer says: one place for its words and for its JSON.

use std::fmt;

use farthing::{Address, Height, Mites, Transaction};
use serde::Serialize;

use crate::{context::Context, error::Result};

/// One payment.
#[derive(Debug, Serialize)]
pub struct Payment {
    to: String,
    /// What this wallet calls the recipient.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_name: Option<String>,
    amount: String,
    amount_mites: String,
}

impl fmt::Display for Payment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "to         {}", named(self.to_name.as_ref(), &self.to))?;
        write!(f, "  amount   {} far", self.amount)
    }
}

/// Who pays whom how much, and on what terms.
#[derive(Debug, Serialize)]
pub struct Terms {
    from: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    from_name: Option<String>,
    /// The recipient, if there is but one.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    outputs: Vec<Payment>,
    /// All payments together, the fee not counted.
    amount: String,
    amount_mites: String,
    fee: String,
    fee_mites: String,
    nonce: u64,
    /// The last block that may include it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    memo: Option<String>,
}

impl Terms {
    /// Of a transfer, signed or not.
    ///
    /// # Errors
    /// Those of contacts and keystore.
    pub fn of(context: &Context, transaction: &Transaction) -> Result<Self> {
        let sender = transaction.sender_address();
        let amount = transaction.total().checked_sub(transaction.fee()).unwrap_or(Mites::ZERO);
        let payment = |output: &farthing::Output| {
            Ok::<_, crate::error::Error>(Payment {
                to: context.wallet.show(&output.to),
                to_name: name_of(context, &output.to)?,
                amount: output.amount.to_string(),
                amount_mites: output.amount.get().to_string(),
            })
        };
        let to = match transaction.outputs() {
            [only] => Some(context.wallet.show(&only.to)),
            _ => None,
        };
        let memo = transaction.memo();
        Ok(Self {
            from: context.wallet.show(&sender),
            from_name: name_of(context, &sender)?,
            to,
            outputs: transaction.outputs().iter().map(payment).collect::<Result<_>>()?,
            amount: amount.to_string(),
            amount_mites: amount.get().to_string(),
            fee: transaction.fee().to_string(),
            fee_mites: transaction.fee().get().to_string(),
            nonce: transaction.nonce(),
            valid_until: transaction.valid_until().map(Height::get),
            memo: (!memo.is_empty()).then(|| String::from_utf8_lossy(memo).into_owned()),
        })
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from       {}", named(self.from_name.as_ref(), &self.from))?;
        for payment in &self.outputs {
            write!(f, "\n{payment}")?;
        }
        if self.outputs.len() > 1 {
            write!(f, "\ntogether   {} far to {} recipients", self.amount, self.outputs.len())?;
        }
        write!(f, "\nfee        {} far\nnonce      {}", self.fee, self.nonce)?;
        if let Some(height) = self.valid_until {
            write!(f, "\nuntil      block {height}")?;
        }
        match &self.memo {
            Some(memo) => write!(f, "\nmemo       {memo:?} (public for ever)"),
            None => Ok(()),
        }
    }
}

/// What this wallet calls an address.
///
/// # Errors
/// Those of contacts and keystore.
pub fn name_of(context: &Context, address: &Address) -> Result<Option<String>> {
    Ok(context.wallet.name_of(address)?.map(|name| name.to_string()))
}

/// A name and an address, or an address without a name.
#[must_use]
pub fn named(name: Option<&String>, address: &str) -> String {
    match name {
        Some(name) => format!("{name}, {address}"),
        None => format!("{address} (no contact)"),
    }
}
