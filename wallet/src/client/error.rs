//! Why a node's answer could not be had, and whether a transfer handed in with the call may have arrived all the same.

use farthing::{
    Mites,
    params::{Network, Params},
    wire::WireError,
};
use farthing_client::{Error as ClientError, Refusal, printable};
use tonic::Code;

use crate::{
    config::NodeUrl,
    error::{Error, Exit, Explain},
    verify::VerifyError,
};

/// Most characters of a message that are shown.
const MAX_MESSAGE: usize = 500;

/// Why a node's answer could not be had.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// Nobody there.
    #[error("no node answers at {url}")]
    Unreachable {
        /// Where.
        url: String,
        /// Name of the network that a node is sought for.
        network: String,
        /// What the transport says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Somebody there, but no answer, or none that is one.
    #[error("the node at {url} does not answer now: {message} [{reason}]")]
    NotNow {
        /// Where.
        url: String,
        /// Stable reason when the node gave one, else the gRPC code.
        reason: String,
        /// What it said.
        message: String,
    },
    /// The node looks at no transfer before it has all blocks.
    #[error("the node at {url} is still fetching blocks and took nothing")]
    Syncing {
        /// Where.
        url: String,
    },
    /// The node said no, and why.
    #[error("the node refuses: {message} [{reason}]")]
    Refused {
        /// Stable reason, such as `NONCE_TOO_LOW`.
        reason: String,
        /// What it said.
        message: String,
        /// The gRPC code.
        code: Code,
        /// The fee that would do, if a higher one helps.
        required_fee: Option<Mites>,
    },
    /// Something that does not know the method.
    #[error("what listens at {url} is not the public API of a node")]
    WrongPort {
        /// Where.
        url: String,
    },
    /// A node of the network that does not know the method.
    #[error("the node at {url} cannot answer what this wallet asks: it is older than the wallet")]
    TooOld {
        /// Where.
        url: String,
    },
    /// The answer is not what the protocol says.
    #[error("the node's answer is malformed")]
    Malformed(#[source] WireError),
    /// The answer contradicts itself.
    #[error(transparent)]
    Unproven(VerifyError),
    /// Another node took the place of the one that the wallet was connected to.
    #[error(transparent)]
    OtherNetwork(OtherNetwork),
    /// The wallet itself could not set up its side.
    #[error("cannot set up the connection")]
    Local(#[source] std::io::Error),
}

impl NodeError {
    /// Whether a transfer handed in with this call was certainly not taken. A line that breaks, a proxy that answers
    /// in the node's place and a node that fails half-way all leave that open.
    #[must_use]
    pub const fn is_definite(&self) -> bool {
        matches!(self, Self::Refused { .. } | Self::Syncing { .. })
    }

    /// Whether the node knows nothing under that name.
    #[must_use]
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { code: Code::NotFound, .. })
    }

    /// Whether the node does not know a transfer that it was asked for. One without an index of transactions knows only what
    /// waits, not what was mined.
    #[must_use]
    pub fn is_unknown_transfer(&self) -> bool {
        self.is_not_found() || self.is_refused_for("TRANSACTION_INDEX_OFF")
    }

    /// Whether the node refused for this stable reason.
    #[must_use]
    pub fn is_refused_for(&self, wanted: &str) -> bool {
        matches!(self, Self::Refused { reason, .. } if reason == wanted)
    }

    /// The same refusal, where it comes with another answer.
    #[must_use]
    pub fn of_verdict(refusal: Refusal) -> Self {
        let url = refusal.node.to_string();
        Self::of_refusal(refusal, url)
    }

    /// What the client says, in the words of a wallet that is connected to one node.
    pub(crate) fn read(error: ClientError, node: &NodeUrl) -> Self {
        let url = node.to_string();
        match error {
            ClientError::Exhausted { last, .. } => Self::read(*last, node),
            ClientError::Refused(refusal) => Self::of_refusal(*refusal, url),
            // It said of which network it is before anything else was asked.
            ClientError::NotTheApi { .. } => Self::TooOld { url },
            ClientError::Malformed { source, .. } => Self::Malformed(source),
            ClientError::Interrupted { code, message, .. } => {
                Self::NotNow { url, reason: format!("{code:?}"), message }
            }
            ClientError::Deadline { after, .. } => {
                let message = format!("no answer within {} s", after.as_secs());
                Self::NotNow { url, reason: "DEADLINE".into(), message }
            }
            // It was there a moment ago.
            ClientError::Unreachable { source, .. } => {
                Self::NotNow { url, reason: format!("{:?}", Code::Unavailable), message: deepest(source.as_ref()) }
            }
            ClientError::WrongNetwork { found, expected, .. } => {
                Self::OtherNetwork(OtherNetwork { url, found, expected })
            }
            // An answer about another transfer says nothing about this one.
            ClientError::Unproven { source: VerifyError::OtherAnswer { .. }, .. } => {
                Self::Malformed(WireError::missing("status.transaction_id"))
            }
            ClientError::Unproven { source, .. } => Self::Unproven(source),
            ClientError::Setup(message) => Self::Local(std::io::Error::other(message)),
        }
    }

    fn of_refusal(refusal: Refusal, url: String) -> Self {
        let required_fee = refusal.number("required_fee_mites").map(Mites::new);
        let Refusal { reason, message, code, .. } = refusal;
        match code {
            Code::InvalidArgument
            | Code::FailedPrecondition
            | Code::NotFound
            | Code::OutOfRange
            | Code::ResourceExhausted => Self::Refused { reason, message, code, required_fee },
            Code::Unavailable if reason == "SYNCING" => Self::Syncing { url },
            _ => Self::NotNow { url, reason, message },
        }
    }
}

/// Why no connection to a node of the wallet's network came about.
pub(super) fn of_connecting(error: ClientError, url: &NodeUrl, network: &Params) -> Error {
    match error {
        ClientError::Unreachable { source, .. } => {
            NodeError::Unreachable { url: url.to_string(), network: network.name.clone(), source }.into()
        }
        ClientError::NotTheApi { .. } => NodeError::WrongPort { url: url.to_string() }.into(),
        other => match NodeError::read(other, url) {
            NodeError::OtherNetwork(error) => error.into(),
            error => error.into(),
        },
    }
}

/// The cause below all others.
fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(below) = deepest.source() {
        deepest = below;
    }
    printable(&deepest.to_string(), MAX_MESSAGE)
}

impl Explain for NodeError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "NODE_UNREACHABLE",
            Self::NotNow { .. } => "NODE_UNAVAILABLE",
            Self::Syncing { .. } => "NODE_SYNCING",
            Self::Refused { .. } => "NODE_REFUSED",
            Self::WrongPort { .. } => "WRONG_PORT",
            Self::TooOld { .. } => "NODE_TOO_OLD",
            Self::Malformed(_) => "BAD_ANSWER",
            Self::Unproven(error) => error.code(),
            Self::OtherNetwork(error) => error.code(),
            Self::Local(_) => "CONNECTION",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unreachable { .. }
            | Self::NotNow { .. }
            | Self::Syncing { .. }
            | Self::WrongPort { .. }
            | Self::TooOld { .. } => Exit::Unreachable,
            Self::Refused { .. } | Self::Local(_) => Exit::Other,
            Self::Malformed(_) | Self::Unproven(_) => Exit::Verification,
            Self::OtherNetwork(error) => error.exit(),
        }
    }

    fn tries(&self) -> Vec<String> {
        let elsewhere = || "--node URL with another node".to_owned();
        match self {
            Self::Unreachable { network, .. } => {
                let start = match Network::by_name(network) {
                    Some(_) if network == "dev" => {
                        "farthing-node --network dev --mine ADDRESS --mine-when 1, or ./run_all.sh".to_owned()
                    }
                    Some(_) => format!("farthing-node --network {network}"),
                    None => format!("farthing-node --network FILE, with the file of the network {network}"),
                };
                vec![format!("start a node: {start}"), "--node URL, if the node is elsewhere".into()]
            }
            Self::NotNow { .. } => vec!["again in a moment".into(), elsewhere()],
            Self::Syncing { .. } => {
                vec!["again in a while; farthing-wallet status says how far it is".into(), elsewhere()]
            }
            Self::WrongPort { .. } => {
                vec!["--node with the API's port (a node's --rpc-listen, 50051 unless told otherwise)".into()]
            }
            Self::TooOld { .. } => vec!["update the node; status shows its version".into(), elsewhere()],
            Self::Malformed(_) | Self::Refused { .. } => vec![elsewhere()],
            Self::Unproven(error) => error.tries(),
            Self::OtherNetwork(error) => error.tries(),
            Self::Local(_) => vec!["again; the system let this program open no connection".into()],
        }
    }
}

/// The node is of another network.
#[derive(Debug, thiserror::Error)]
#[error("the node at {url} is of the network {found:?}, this wallet is for {expected:?}")]
pub struct OtherNetwork {
    /// Where.
    pub(super) url: String,
    /// The node's network, fit to be shown.
    pub(super) found: String,
    /// The wallet's.
    pub(super) expected: String,
}

impl Explain for OtherNetwork {
    fn code(&self) -> &'static str {
        "WRONG_NETWORK"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec![format!("--network {}, if you meant that one", self.found), "--node URL with another node".into()]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tonic::Status;
    use tonic_types::{ErrorDetails, StatusExt as _};

    use super::*;

    const DOMAIN: &str = "farthing";

    fn read(code: Code, domain: Option<&str>, reason: &str) -> NodeError {
        let url: NodeUrl = "http://127.0.0.1:1".parse().unwrap();
        let status = match domain {
            Some(domain) => {
                Status::with_error_details(code, "no", ErrorDetails::with_error_info(reason, domain, HashMap::new()))
            }
            None => Status::new(code, "no"),
        };
        NodeError::read(ClientError::from_status(&status, &url), &url)
    }

    #[test]
    fn only_a_reason_of_the_ledger_with_a_code_of_refusal_is_a_definite_no() {
        let definite = [
            Code::InvalidArgument,
            Code::FailedPrecondition,
            Code::NotFound,
            Code::OutOfRange,
            Code::ResourceExhausted,
        ];
        for number in 1..=16 {
            let code = Code::from(number);
            let error = read(code, Some(DOMAIN), "SOMETHING");
            assert_eq!(error.is_definite(), definite.contains(&code), "{code:?}: {error}");
            assert!(!read(code, None, "").is_definite(), "{code:?} without a reason");
            assert!(!read(code, Some("example.org"), "SOMETHING").is_definite(), "{code:?} of another domain");
        }
    }

    #[test]
    fn a_status_that_the_transport_made_counts_as_no_answer() {
        for code in [Code::Unknown, Code::Internal, Code::Unavailable, Code::Cancelled, Code::DeadlineExceeded] {
            let error = read(code, None, "");
            assert_eq!((error.exit(), error.code()), (Exit::Unreachable, "NODE_UNAVAILABLE"), "{code:?}");
        }
        assert_eq!(read(Code::Internal, Some(DOMAIN), "INTERNAL").exit(), Exit::Unreachable);
    }

    #[test]
    fn a_syncing_node_took_nothing_and_a_failing_one_may_have() {
        assert!(read(Code::Unavailable, Some(DOMAIN), "SYNCING").is_definite());
        assert!(!read(Code::Unavailable, Some(DOMAIN), "JOURNAL_FAILED").is_definite());
        assert!(!read(Code::Unavailable, None, "SYNCING").is_definite());
    }

    #[test]
    fn a_port_without_any_method_is_not_the_apis_and_a_node_without_this_one_is_old() {
        let url: NodeUrl = "http://127.0.0.1:1".parse().unwrap();
        let nothing = ClientError::from_status(&Status::unimplemented(""), &url);
        let error = of_connecting(nothing, &url, Network::Dev.params());
        assert_eq!((error.code(), error.exit()), ("WRONG_PORT", Exit::Unreachable));
        assert!(error.report().tries[0].contains("50051"));
        let error = read(Code::Unimplemented, None, "");
        assert_eq!((error.code(), error.exit()), ("NODE_TOO_OLD", Exit::Unreachable));
        assert!(error.tries()[0].contains("update the node"));
    }

    #[test]
    fn the_advice_names_the_wallets_network() {
        let tries = |network: &str| {
            let source = "nobody".into();
            NodeError::Unreachable { url: String::new(), network: network.into(), source }.tries().remove(0)
        };
        assert_eq!(
            tries("dev"),
            "start a node: farthing-node --network dev --mine ADDRESS --mine-when 1, or ./run_all.sh"
        );
        assert_eq!(tries("main"), "start a node: farthing-node --network main");
        assert!(tries("ours").contains("--network FILE"));
    }
}
