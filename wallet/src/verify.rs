//! Holds what a node says about an account against what a header with work commits to: the checks of
//! [`farthing_client::verify`], and what a wallet says when one fails.

pub use farthing_client::verify::{
    Cause, Entry, Evidence, HistoryWalk, VerifiedAccount, VerifyError, account, stated_head,
};

use crate::error::{Exit, Explain};

impl Explain for VerifyError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoProof | Self::Malformed(_) | Self::Inconsistent(_) => "BAD_ANSWER",
            _ => "VERIFICATION_FAILED",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Verification
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::HistoryChanged => vec!["again in a moment".into(), "--node URL with another node".into()],
            _ => vec!["--node URL with another node; this one is broken or lies".into()],
        }
    }
}

#[cfg(test)]
#[path = "verify_tests.rs"]
mod tests;
