//! Why an answer could not be had, what to do about it, and whether a transfer handed in may have arrived all the same.

use std::{collections::BTreeMap, time::Duration};

use farthing::wire::WireError;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::{
    advice,
    retry::Class,
    text::{MAX_MESSAGE, MAX_TEXT, printable},
    url::NodeUrl,
    verify::VerifyError,
};

/// The domain of every reason that a node of this ledger gives.
pub(crate) const DOMAIN: &str = "farthing";

/// Refusals that depend on what this very node keeps.
pub(crate) const OTHERS_HAVE: [&str; 2] = ["BLOCK_PRUNED", "TRANSACTION_INDEX_OFF"];

/// Why an answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody there.
    #[error("no node answers at {node}")]
    Unreachable {
        /// Where.
        node: NodeUrl,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody there, but the line broke, or something between answered in the node's place.
    #[error("no answer came from {node}: {message}")]
    Interrupted {
        /// Where.
        node: NodeUrl,
        /// The gRPC code that the transport made up.
        code: Code,
        /// What it says.
        message: String,
    },
    /// No answer in time.
    #[error("no answer came from {node} within {after:?}")]
    Deadline {
        /// Where.
        node: NodeUrl,
        /// The deadline of the call.
        after: Duration,
    },
    /// The node said no, and why.
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Something that does not know the method.
    #[error("what listens at {node} is not the public API of a node, or of an older one")]
    NotTheApi {
        /// Where.
        node: NodeUrl,
    },
    /// A node of another network than the one that this client is for.
    #[error("the node at {node} is of the network {found:?}, this client is for {expected:?}")]
    WrongNetwork {
        /// Where.
        node: NodeUrl,
        /// The node's network, fit to be shown.
        found: String,
        /// The client's.
        expected: String,
    },
    /// The answer is not what the protocol says.
    #[error("the answer of {node} is malformed")]
    Malformed {
        /// Who.
        node: NodeUrl,
        /// Which field, and what is wrong with it.
        #[source]
        source: WireError,
    },
    /// The answer does not agree with its proof, or with what came before it.
    #[error("the answer of {node} is not believed")]
    Unproven {
        /// Who.
        node: NodeUrl,
        /// What does not hold.
        #[source]
        source: VerifyError,
    },
    /// Every attempt failed.
    #[error("gave up after {attempts} attempts in {elapsed:?}")]
    Exhausted {
        /// How many.
        attempts: u32,
        /// How long they took.
        elapsed: Duration,
        /// Why the last one failed.
        #[source]
        last: Box<Error>,
    },
    /// A client without a node, or an HTTP client that cannot be set up.
    #[error("cannot set up the client: {0}")]
    Setup(String),
}

/// What a node said no with. The reasons are those of `docs/api/errors.md`; the message is for people and may change.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the node at {node} refuses: {message} [{reason}]")]
pub struct Refusal {
    /// Who.
    pub node: NodeUrl,
    /// Stable reason, such as `NONCE_TOO_LOW`.
    pub reason: String,
    /// What was wrong and what was expected, fit to be shown.
    pub message: String,
    /// The gRPC code.
    pub code: Code,
    /// Particulars, such as `expected_nonce`.
    pub metadata: BTreeMap<String, String>,
    /// How long to wait before the same call may succeed.
    pub retry_after: Option<Duration>,
}

impl Refusal {
    /// A particular that is a number.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<u64> {
        self.metadata.get(key)?.parse().ok()
    }

    /// What to do about it.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        advice::for_reason(&self.reason).unwrap_or("docs/api/errors.md lists all reasons; a newer node may have more")
    }

    fn class(&self) -> Class {
        match self.code {
            Code::Unavailable | Code::DeadlineExceeded => Class::Again(self.retry_after),
            Code::ResourceExhausted if self.retry_after.is_some() => Class::Again(self.retry_after),
            Code::Internal => Class::Elsewhere,
            Code::FailedPrecondition if OTHERS_HAVE.contains(&self.reason.as_str()) => Class::Elsewhere,
            _ => Class::Final,
        }
    }
}

impl Error {
    /// Reads a status. Only a node of this ledger gives reasons of its domain; a status without one was made on the way.
    #[must_use]
    pub fn from_status(status: &Status, node: &NodeUrl) -> Self {
        let node = node.clone();
        let details = status.get_error_details();
        match details.error_info().filter(|info| info.domain == DOMAIN) {
            _ if status.code() == Code::Unimplemented => Self::NotTheApi { node },
            Some(info) => Self::Refused(Box::new(Refusal {
                node,
                reason: printable(&info.reason, MAX_TEXT),
                message: words(status),
                code: status.code(),
                metadata: info.metadata.iter().map(|(key, value)| (shown(key), shown(value))).collect(),
                retry_after: details.retry_info().and_then(|info| info.retry_delay),
            })),
            None => Self::Interrupted { node, code: status.code(), message: words(status) },
        }
    }

    /// The refusal in it, if a node gave one; the last one, if several attempts failed.
    #[must_use]
    pub fn refusal(&self) -> Option<&Refusal> {
        match self.last() {
            Self::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The error of the last attempt.
    #[must_use]
    pub fn last(&self) -> &Self {
        match self {
            Self::Exhausted { last, .. } => last.last(),
            other => other,
        }
    }

    /// Whether the node refused for this stable reason.
    #[must_use]
    pub fn is_refused_for(&self, reason: &str) -> bool {
        self.refusal().is_some_and(|refusal| refusal.reason == reason)
    }

    /// Whether the node knows nothing under that name.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        self.refusal().is_some_and(|refusal| refusal.code == Code::NotFound)
    }

    /// Whether a transfer handed in with this call was certainly not taken. A line that breaks, a proxy that answers in
    /// the node's place and a node that fails half-way all leave that open, and so does an earlier attempt of the same
    /// call that ended like this.
    #[must_use]
    pub fn is_definite(&self) -> bool {
        match self {
            Self::Refused(refusal) => {
                matches!(
                    refusal.code,
                    Code::InvalidArgument
                        | Code::FailedPrecondition
                        | Code::NotFound
                        | Code::OutOfRange
                        | Code::ResourceExhausted
                ) || (refusal.code == Code::Unavailable && refusal.reason == "SYNCING")
            }
            _ => false,
        }
    }

    /// Whether the same call may succeed later, or at another node, without being changed.
    #[must_use]
    pub fn is_temporary(&self) -> bool {
        self.last().class() != Class::Final
    }

    /// What to do about it, for people.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.advice(),
            Self::Unreachable { .. } => "start a node there, or name another one",
            Self::Interrupted { .. } | Self::Deadline { .. } => {
                "try again; a transfer may have arrived, and the same bytes again are the same transfer"
            }
            Self::NotTheApi { .. } => "name the port of the public API (--rpc-listen of the node), or update the node",
            Self::WrongNetwork { .. } => "name a node of your network, or give the client the parameters of that one",
            Self::Malformed { .. } | Self::Unproven { .. } => "ask another node; this one is broken or lies",
            Self::Exhausted { last, .. } => last.advice(),
            Self::Setup(_) => "mend the configuration",
        }
    }

    pub(crate) fn class(&self) -> Class {
        match self {
            Self::Unreachable { .. } | Self::Interrupted { .. } | Self::Deadline { .. } => Class::Again(None),
            Self::Refused(refusal) => refusal.class(),
            Self::NotTheApi { .. } | Self::WrongNetwork { .. } | Self::Malformed { .. } | Self::Unproven { .. } => {
                Class::Elsewhere
            }
            Self::Exhausted { .. } | Self::Setup(_) => Class::Final,
        }
    }
}

fn shown(text: &str) -> String {
    printable(text, MAX_TEXT)
}

/// What a status says; when the transport made it, what lies beneath says more.
fn words(status: &Status) -> String {
    let mut text = match status.message() {
        "" => status.code().description().to_owned(),
        message => message.to_owned(),
    };
    let mut deepest = std::error::Error::source(status);
    while let Some(below) = deepest.and_then(std::error::Error::source) {
        deepest = Some(below);
    }
    if let Some(cause) = deepest.map(ToString::to_string).filter(|cause| !text.contains(cause)) {
        text = format!("{text}: {cause}");
    }
    printable(&text, MAX_MESSAGE)
}

#[cfg(test)]
#[path = "error_tests.rs"]
mod tests;
