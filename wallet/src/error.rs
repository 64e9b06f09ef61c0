//! How the wallet says that something went wrong: a stable code, what, why, what to do next, and an exit code.

use std::fmt;

use farthing::TxId;
use serde::Serialize;

/// What the process tells the shell. These numbers are part of the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// Anything without a number of its own.
    Other = 1,
    /// The command line, a name, an amount or an address is wrong.
    Usage = 2,
    /// The person said no, or nobody was there to say yes.
    Declined = 3,
    /// The passphrase does not open the key.
    WrongPassphrase = 4,
    /// Not enough money.
    Funds = 5,
    /// No node answered.
    Unreachable = 6,
    /// The node refused the transfer.
    Rejected = 7,
    /// The transfer was handed in, but is not confirmed (yet).
    Unconfirmed = 8,
    /// What the node said does not agree with its proof.
    Verification = 9,
    /// Ctrl-C.
    Interrupted = 130,
}

impl Exit {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Ok,
        Self::Other,
        Self::Usage,
        Self::Declined,
        Self::WrongPassphrase,
        Self::Funds,
        Self::Unreachable,
        Self::Rejected,
        Self::Unconfirmed,
        Self::Verification,
        Self::Interrupted,
    ];

    /// The number.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }
}

/// What every error of this wallet can say about itself. Its `Display` says what went wrong, carrying the offending
/// value; its source says why.
pub trait Explain: std::error::Error {
    /// Stable name in capitals, such as `KEY_NOT_FOUND`.
    fn code(&self) -> &'static str;

    /// The exit code of a command that ends with it.
    fn exit(&self) -> Exit;

    /// What to do next: commands or plain words, the most likely one first; at least one.
    fn tries(&self) -> Vec<String>;

    /// The transfer that it is about, if it is about one: what a script goes on with.
    fn transaction(&self) -> Option<TxId> {
        None
    }
}

/// An error of any room of the wallet.
pub struct Error(Box<dyn Explain + Send + Sync>);

/// What a command returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Stable name in capitals.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code()
    }

    /// The exit code of a command that ends with it.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.0.exit()
    }

    /// The whole story for printing.
    #[must_use]
    pub fn report(&self) -> Report {
        let what = self.0.to_string();
        let mut reasons: Vec<String> = Vec::new();
        let mut cause = self.0.source();
        while let Some(error) = cause {
            // Some end with a line of their own.
            let text = error.to_string().trim_end().to_owned();
            // Some libraries repeat their source in their own text.
            if !what.contains(&text) && !reasons.iter().any(|earlier| earlier.contains(&text)) {
                reasons.push(text);
            }
            cause = error.source();
        }
        Report {
            code: self.0.code(),
            what,
            why: (!reasons.is_empty()).then(|| reasons.join(": ")),
            tries: self.0.tries(),
            exit: self.0.exit().code(),
            transaction_id: self.0.transaction().map(|id| id.to_string()),
        }
    }
}

impl<E: Explain + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        Self(Box::new(error))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.report(), f)
    }
}

/// An error as it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Stable name in capitals.
    pub code: &'static str,
    /// What went wrong.
    pub what: String,
    /// Why, when something beneath knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What to do next.
    #[serde(rename = "try")]
    pub tries: Vec<String>,
    /// The exit code.
    pub exit: u8,
    /// The transfer that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub transaction_id: Option<String>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error[{}]: {}", self.code, self.what)?;
        if let Some(why) = &self.why {
            write!(f, " ({why})")?;
        }
        for hint in &self.tries {
            write!(f, "\n  try: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read cheese.toml")]
    struct Cheese(#[source] io::Error);

    impl Explain for Cheese {
        fn code(&self) -> &'static str {
            "CHEESE"
        }
        fn exit(&self) -> Exit {
            Exit::Usage
        }
        fn tries(&self) -> Vec<String> {
            vec!["eat bread".into(), "buy cheese".into()]
        }
    }

    #[test]
    fn an_error_says_what_why_and_what_next() {
        let error = Error::from(Cheese(io::Error::other("mould")));
        assert_eq!(
            error.to_string(),
            "error[CHEESE]: cannot read cheese.toml (mould)\n  try: eat bread\n  try: buy cheese"
        );
        assert_eq!(error.report().exit, 2);
    }

    #[test]
    fn the_json_form_has_the_same_parts() {
        let report = Error::from(Cheese(io::Error::other("mould"))).report();
        let json = serde_json::to_value(report).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"code": "CHEESE", "what": "cannot read cheese.toml", "why": "mould",
                "try": ["eat bread", "buy cheese"], "exit": 2})
        );
    }
}
