//! Holds what a node says about an account against what a chain of proven work commits to: the checks of
//! [`farthing_client::verify`] and of [`crate::light`], and what a wallet says when one fails.

mod agreement;
mod evidence;

use std::ops::Deref;

pub use farthing_client::verify::{Cause, Entry, HistoryWalk, VerifiedAccount, VerifyError, account, stated_head};

pub use self::{
    agreement::{Agreement, Disagreement, Label, Opinion, Says},
    evidence::{Evidence, in_words},
};
use crate::{
    error::{Exit, Explain},
    light::Standing,
};

/// An account proven against a header, and how that header stands on its chain.
#[derive(Debug, Clone)]
pub struct ProvenAccount {
    account: VerifiedAccount,
    standing: Standing,
    agreement: Option<Agreement>,
}

impl ProvenAccount {
    /// Puts together what was proven.
    #[must_use]
    pub const fn new(account: VerifiedAccount, standing: Standing) -> Self {
        Self { account, standing, agreement: None }
    }

    /// How its header stands on the chain.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    pub(crate) const fn standing_mut(&mut self) -> &mut Standing {
        &mut self.standing
    }

    /// What several nodes said of it, if several were to agree.
    #[must_use]
    pub const fn agreement(&self) -> Option<&Agreement> {
        self.agreement.as_ref()
    }

    pub(crate) fn agreed(mut self, agreement: Agreement) -> Self {
        self.agreement = Some(agreement);
        self
    }

    /// What was checked, for results.
    #[must_use]
    pub fn evidence(&self) -> Evidence {
        Evidence::of(&self.account, &self.standing, self.agreement.as_ref())
    }
}

impl Deref for ProvenAccount {
    type Target = VerifiedAccount;

    fn deref(&self) -> &VerifiedAccount {
        &self.account
    }
}

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
