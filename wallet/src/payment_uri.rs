//! Requests for a payment as one text that can be sent, clicked or scanned: `farthing:ADDRESS?amount=12.5&label=Rent`, in
//! the manner of BIP 21.
//!
//! The scheme is read in either case, keys are not. Amounts are in far. An unknown key is passed over, unless it begins
//! with `req-`: then whoever made the request insists on it, and it is refused. So is a key that comes twice.

use farthing::{Address, Mites, amount::ParseAmountError};

use crate::{
    error::{Exit, Explain},
    wallet::{LookupError, Wallet},
};

/// Longest URI that is read, in bytes.
pub const MAX_URI_BYTES: usize = 1024;
/// Longest label, in characters.
pub const MAX_LABEL_CHARS: usize = 100;
const SCHEME: &str = "farthing:";

/// Why a text is no request for a payment.
#[derive(Debug, thiserror::Error)]
pub enum UriError {
    /// Too long.
    #[error("a payment request of {0} bytes; at most {MAX_URI_BYTES} are read")]
    TooLong(usize),
    /// Not the scheme.
    #[error("{0:?} is no payment request: it does not begin with \"farthing:\"")]
    Scheme(String),
    /// A bad address.
    #[error(transparent)]
    Address(#[from] LookupError),
    /// A bad amount.
    #[error("the payment request's amount {text:?} is not an amount")]
    Amount {
        /// What was given.
        text: String,
        /// Why.
        #[source]
        source: ParseAmountError,
    },
    /// Nothing is asked for.
    #[error("the payment request asks for nothing: its amount is zero")]
    Zero,
    /// The same key again.
    #[error("the payment request has {0:?} twice")]
    Twice(String),
    /// Something that one must understand to pay it.
    #[error("the payment request insists on {0:?}, which this wallet does not know")]
    Required(String),
    /// Not percent-encoded UTF-8.
    #[error("{0:?} in the payment request is not percent-encoded UTF-8")]
    Encoding(String),
    /// A label that is too long, or that could command a terminal.
    #[error("the label must have 1 to {MAX_LABEL_CHARS} characters, and no control characters")]
    Label,
}

impl Explain for UriError {
    fn code(&self) -> &'static str {
        match self {
            Self::Address(error) => error.code(),
            _ => "BAD_PAYMENT_URI",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Address(error) => error.tries(),
            Self::Label => vec!["a shorter label, in plain words".into()],
            Self::Required(_) => vec!["ask the recipient for address and amount alone".into()],
            _ => vec!["copy the request again, all of it".into(), "the address and the amount by themselves".into()],
        }
    }
}

/// A request for a payment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PaymentUri {
    /// Whom to pay.
    pub to: Address,
    /// How much; left to the payer if absent. Not zero.
    pub amount: Option<Mites>,
    /// What the recipient calls it.
    pub label: Option<String>,
}

/// Whether a text is meant as a request for a payment.
#[must_use]
pub fn is_uri(text: &str) -> bool {
    text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

impl PaymentUri {
    /// A request, if the label is fit for one.
    ///
    /// # Errors
    /// [`UriError::Label`] and [`UriError::Zero`].
    pub fn new(to: Address, amount: Option<Mites>, label: Option<&str>) -> Result<Self, UriError> {
        if amount.is_some_and(|amount| amount.is_zero()) {
            return Err(UriError::Zero);
        }
        Ok(Self { to, amount, label: label.map(check_label).transpose()? })
    }

    /// Reads one for this wallet's network.
    ///
    /// # Errors
    /// [`UriError`].
    pub fn parse(text: &str, wallet: &Wallet) -> Result<Self, UriError> {
        if text.len() > MAX_URI_BYTES {
            return Err(UriError::TooLong(text.len()));
        }
        if !is_uri(text) {
            return Err(UriError::Scheme(text.chars().take(60).collect()));
        }
        let rest = text.get(SCHEME.len()..).unwrap_or_default();
        let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
        let to = wallet.parse_address(address)?;
        let (mut amount, mut label) = (None, None);
        let mut seen: Vec<&str> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if seen.contains(&key) {
                return Err(UriError::Twice(key.to_owned()));
            }
            seen.push(key);
            match key {
                "amount" => amount = Some(read_amount(value)?),
                "label" => label = Some(decode(value)?),
                _ if key.starts_with("req-") => return Err(UriError::Required(key.to_owned())),
                _ => {}
            }
        }
        Self::new(to, amount, label.as_deref())
    }

    /// As text, with the address in the form of the wallet's network.
    #[must_use]
    pub fn text(&self, wallet: &Wallet) -> String {
        self.write(SCHEME, &wallet.show(&self.to))
    }

    /// The same for a QR code, which is smaller for capitals: scheme and address mean the same in either case.
    #[must_use]
    pub fn text_for_qr(&self, wallet: &Wallet) -> String {
        self.write(&SCHEME.to_uppercase(), &wallet.show(&self.to).to_uppercase())
    }

    fn write(&self, scheme: &str, address: &str) -> String {
        let amount = self.amount.map(|amount| format!("amount={amount}"));
        let label = self.label.as_deref().map(|label| format!("label={}", encode(label)));
        let query: Vec<String> = amount.into_iter().chain(label).collect();
        if query.is_empty() { format!("{scheme}{address}") } else { format!("{scheme}{address}?{}", query.join("&")) }
    }
}

fn read_amount(text: &str) -> Result<Mites, UriError> {
    text.parse().map_err(|source| UriError::Amount { text: text.chars().take(60).collect(), source })
}

fn check_label(label: &str) -> Result<String, UriError> {
    let is_fit = (1..=MAX_LABEL_CHARS).contains(&label.chars().count());
    // It is shown on terminals.
    let is_plain = !label.chars().any(|one| one.is_control() || is_unprintable(one));
    if is_fit && is_plain { Ok(label.to_owned()) } else { Err(UriError::Label) }
}

/// Marks that turn the direction of writing, and other characters that nobody sees.
fn is_unprintable(one: char) -> bool {
    matches!(one, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Percent-encodes all but what RFC 3986 calls unreserved.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(char::from(byte)),
            other => encoded.push_str(&format!("%{other:02X}")),
        }
    }
    encoded
}

fn decode(text: &str) -> Result<String, UriError> {
    let bad = || UriError::Encoding(text.chars().take(60).collect());
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        rest = behind;
        if first == b'%' {
            let (digits, behind) = rest.split_at_checked(2).ok_or_else(bad)?;
            bytes.extend(hex::decode(digits).map_err(|_| bad())?);
            rest = behind;
        } else {
            bytes.push(first);
        }
    }
    String::from_utf8(bytes).map_err(|_| bad())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Choices, Settings};

    fn wallet() -> (tempfile::TempDir, Wallet) {
        let root = tempfile::tempdir().unwrap();
        let choices =
            Choices { network: Some("dev".into()), nodes: Vec::new(), wallet_dir: Some(root.path().to_owned()) };
        let wallet = Wallet::open(&Settings::resolve(&choices, |_| None).unwrap()).unwrap();
        (root, wallet)
    }

    fn bob() -> Address {
        Address::from_bytes([7; 32])
    }

    #[test]
    fn a_request_is_read_as_it_was_written() {
        let (_root, wallet) = wallet();
        let amount = Some("12.5".parse().unwrap());
        for (amount, label) in
            [(None, None), (amount, None), (None, Some("50% & more=?#")), (amount, Some("Kaffee für zwei ☕"))]
        {
            let request = PaymentUri::new(bob(), amount, label).unwrap();
            let text = request.text(&wallet);
            assert!(text.is_ascii() && text.starts_with("farthing:dfar1"), "{text}");
            assert_eq!(PaymentUri::parse(&text, &wallet).unwrap(), request, "{text}");
            let qr = request.text_for_qr(&wallet);
            assert!(qr.starts_with("FARTHING:DFAR1"), "{qr}");
            assert_eq!(PaymentUri::parse(&qr, &wallet).unwrap(), request, "{qr}");
        }
    }

    #[test]
    fn unknown_keys_are_passed_over_unless_they_are_required() {
        let (_root, wallet) = wallet();
        let address = wallet.show(&bob());
        let parse = |query: &str| PaymentUri::parse(&format!("farthing:{address}{query}"), &wallet);
        let request = parse("?message=hello&amount=1&&flag").unwrap();
        assert_eq!((request.amount, request.label), (Some("1".parse().unwrap()), None));
        assert!(matches!(parse("?req-colour=red"), Err(UriError::Required(key)) if key == "req-colour"));
        assert!(matches!(parse("?amount=1&amount=2"), Err(UriError::Twice(key)) if key == "amount"));
    }

    #[test]
    fn what_is_wrong_with_a_request_is_said() {
        let (_root, wallet) = wallet();
        let address = wallet.show(&bob());
        let code = |text: &str| PaymentUri::parse(text, &wallet).unwrap_err().code();
        for query in
            ["amount=", "amount=0", "amount=-1", "amount=1%2C5", "label=%f", "label=%ff", "label=", "label=%1b[2J"]
        {
            assert_eq!(code(&format!("farthing:{address}?{query}")), "BAD_PAYMENT_URI", "{query}");
        }
        assert_eq!(code(&format!("farthing:{address}?label=a%E2%80%AEb")), "BAD_PAYMENT_URI");
        assert_eq!(code(&format!("farthing:{address}?label={}", "x".repeat(MAX_URI_BYTES))), "BAD_PAYMENT_URI");
        assert_eq!(code(&format!("bitcoin:{address}")), "BAD_PAYMENT_URI");
        assert_eq!(code("farthing:dfar1nonsense"), "BAD_ADDRESS");
        let foreign = farthing::params::Network::Main.params().prefix.format(&bob());
        assert_eq!(code(&format!("farthing:{foreign}")), "WRONG_NETWORK");
        assert!(is_uri("FARTHING:x") && !is_uri("farthing") && !is_uri("ä"));
    }
}
