//! What a person writes when they send.

use farthing::{Height, Mites, Output, amount::ParseAmountError};

use crate::{
    cli,
    error::{Exit, Explain, Result},
    payment_uri::{self, PaymentUri},
    transfer::{Fee, Order},
    wallet::Wallet,
};

/// What is wrong with the words of a transfer.
#[derive(Debug, thiserror::Error)]
pub enum WordsError {
    /// Not an amount.
    #[error("{text:?} is not an amount")]
    Amount {
        /// What was given.
        text: String,
        /// Why.
        #[source]
        source: ParseAmountError,
    },
    /// Neither a speed nor an amount.
    #[error("{text:?} is no fee: neither slow, normal or fast nor an amount")]
    Fee {
        /// What was given.
        text: String,
        /// Why it is no amount.
        #[source]
        source: ParseAmountError,
    },
    /// Nobody said how much.
    #[error("how much to send is missing")]
    NoAmount,
    /// All that can be spent, for several.
    #[error("max goes to one recipient, and there are {0}")]
    MaxForSeveral(usize),
    /// More than one amount.
    #[error("the payment request asks for {requested} far, and {given:?} is to be sent")]
    OtherAmount {
        /// What the request asks for.
        requested: Mites,
        /// What was said beside it.
        given: String,
    },
    /// Nothing to send.
    #[error("the amount is zero; send at least 0.00000001 far")]
    Zero,
    /// A speed where an amount is needed.
    #[error("without a node nobody knows what {0:?} costs")]
    SpeedOffline(String),
    /// Too long.
    #[error("the memo has {0} bytes, at most 256 are allowed")]
    Memo(usize),
}

impl Explain for WordsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Amount { .. } | Self::Zero | Self::NoAmount | Self::OtherAmount { .. } | Self::MaxForSeveral(_) => {
                "BAD_AMOUNT"
            }
            Self::SpeedOffline(_) | Self::Fee { .. } => "BAD_FEE",
            Self::Memo(_) => "BAD_MEMO",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Memo(_) => vec!["a shorter memo".into()],
            Self::OtherAmount { .. } => vec![
                "the payment request alone, to pay what it asks for".into(),
                "the address alone and your amount, to pay another one".into(),
            ],
            Self::Fee { .. } => vec!["--fee normal, which is meant if it is left out".into(), "--fee 0.001".into()],
            Self::SpeedOffline(_) => vec!["--fee 0.001, or another amount in far".into()],
            _ => vec!["an amount in far, such as 12.5".into()],
        }
    }
}

/// Reads an amount that a person wrote.
///
/// # Errors
/// [`WordsError::Amount`].
pub fn parse_amount(text: &str) -> Result<Mites, WordsError> {
    text.parse().map_err(|source| WordsError::Amount { text: text.chars().take(60).collect(), source })
}

/// Reads an amount to be sent.
///
/// # Errors
/// [`WordsError::Amount`] and [`WordsError::Zero`].
pub fn parse_payment(text: &str) -> Result<Mites, WordsError> {
    let amount = parse_amount(text)?;
    if amount.is_zero() { Err(WordsError::Zero) } else { Ok(amount) }
}

/// What a person wishes, as the command line says it.
///
/// # Errors
/// [`WordsError`] and those of [`crate::wallet::Wallet::find`].
pub(super) fn order(wallet: &Wallet, arguments: &cli::Send) -> Result<Order> {
    let (output, all) = payment(wallet, &arguments.to, arguments.amount.as_deref())?;
    Ok(Order {
        fee: parse_fee(arguments.fees.fee.as_deref())?,
        valid_until: arguments.valid_until.map(Height::new),
        memo: read_memo(arguments.memo.as_deref())?,
        outputs: vec![output],
        all,
    })
}

/// Reads whom a person pays how much, and whether that is all that can be spent.
///
/// # Errors
/// [`WordsError`] and those of [`crate::wallet::Wallet::find`].
pub fn payment(wallet: &Wallet, to: &str, amount: Option<&str>) -> Result<(Output, bool)> {
    let (to, requested) = if payment_uri::is_uri(to) {
        let request = PaymentUri::parse(to, wallet)?;
        (request.to, request.amount)
    } else {
        (wallet.find(to)?, None)
    };
    let all = amount == Some("max");
    // What is not known before the fee is.
    let given = amount.map(|text| if all { Ok(Mites::new(1)) } else { parse_payment(text) });
    let amount = match (given.transpose()?, requested) {
        (Some(given), Some(requested)) if all || given != requested => {
            let given = amount.into_iter().flat_map(str::chars).take(60).collect();
            return Err(WordsError::OtherAmount { requested, given }.into());
        }
        (given, requested) => given.or(requested).ok_or(WordsError::NoAmount)?,
    };
    Ok((Output { to, amount }, all))
}

/// Reads a fee that a person wrote.
///
/// # Errors
/// [`WordsError::Fee`].
pub fn parse_fee(text: Option<&str>) -> Result<Fee, WordsError> {
    let Some(text) = text else {
        return Ok(Fee::default());
    };
    text.parse().map_err(|source| WordsError::Fee { text: text.chars().take(60).collect(), source })
}

/// Reads a memo.
///
/// # Errors
/// [`WordsError::Memo`].
pub fn read_memo(memo: Option<&str>) -> Result<Vec<u8>, WordsError> {
    let memo = memo.unwrap_or_default().as_bytes();
    if memo.len() > farthing::limits::MAX_MEMO_BYTES { Err(WordsError::Memo(memo.len())) } else { Ok(memo.to_vec()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payment_is_an_exact_amount_above_zero() {
        assert_eq!(parse_payment("12.5").unwrap(), Mites::new(1_250_000_000));
        assert!(matches!(parse_payment("0.0"), Err(WordsError::Zero)));
        for text in ["", "-1", "1e3", "1,5", "1.123456789", "1 far"] {
            let error = parse_payment(text).unwrap_err();
            assert_eq!((error.code(), error.exit()), ("BAD_AMOUNT", Exit::Usage), "{text}");
        }
    }

    #[test]
    fn a_memo_is_measured_in_bytes() {
        assert_eq!(read_memo(Some(&"x".repeat(256))).unwrap().len(), 256);
        assert!(matches!(read_memo(Some(&"ä".repeat(129))), Err(WordsError::Memo(258))));
        assert_eq!(read_memo(None).unwrap(), Vec::<u8>::new());
    }
}
