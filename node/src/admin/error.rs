//! Why a wish of the operator is refused: a code, a stable reason, and words that say what to do.

use std::collections::HashMap;

use farthing::address::ParseAddressError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::{config::Malformed, miner::MineError, peers::OperatorError, tasks::Chain};

const ERROR_DOMAIN: &str = "farthing";

/// Why a call failed. The names never change; new ones may come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdminReason {
    /// A field has the wrong form or range.
    InvalidField,
    /// A text is not an address of this network.
    InvalidAddress,
    /// Nobody was named to be paid for mining.
    NoRewardAddress,
    /// This network's blocks are not mined on request.
    NotMinedOnRequest,
    /// As many sessions are kept as may be.
    TooManyKept,
    /// The node is banned.
    PeerBanned,
    /// There is no such peer.
    PeerNotFound,
    /// There is no such ban.
    NotBanned,
    /// A block could not be made.
    MiningFailed,
    /// The node is stopping.
    Stopping,
}

impl AdminReason {
    /// The stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.name_and_code().0
    }

    /// The code that it comes with.
    #[must_use]
    pub const fn code(self) -> Code {
        self.name_and_code().1
    }

    const fn name_and_code(self) -> (&'static str, Code) {
        match self {
            Self::InvalidField => ("INVALID_FIELD", Code::InvalidArgument),
            Self::InvalidAddress => ("INVALID_ADDRESS", Code::InvalidArgument),
            Self::NoRewardAddress => ("NO_REWARD_ADDRESS", Code::InvalidArgument),
            Self::NotMinedOnRequest => ("NOT_MINED_ON_REQUEST", Code::FailedPrecondition),
            Self::TooManyKept => ("TOO_MANY_KEPT", Code::ResourceExhausted),
            Self::PeerBanned => ("PEER_BANNED", Code::FailedPrecondition),
            Self::PeerNotFound => ("PEER_NOT_FOUND", Code::NotFound),
            Self::NotBanned => ("NOT_BANNED", Code::NotFound),
            Self::MiningFailed => ("MINING_FAILED", Code::Internal),
            Self::Stopping => ("STOPPING", Code::Unavailable),
        }
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// A text is not a host with a port.
    #[error("address: expected {expected}, not {text:?}")]
    HostPort {
        /// What was given, cut.
        text: String,
        /// What would be understood.
        expected: Malformed,
    },
    /// A wish about peers is not fulfilled.
    #[error(transparent)]
    Peers(#[from] OperatorError),
    /// Too many blocks at once, or none.
    #[error("count: expected 1 to {most}, not {count}")]
    Count {
        /// What was given.
        count: u32,
        /// The limit.
        most: u32,
    },
    /// Whoever is to be paid has no address of this network.
    #[error("to_address: {0}")]
    Address(#[from] ParseAddressError),
    /// Nobody is to be paid.
    #[error("nobody to pay: name an address (mine --to ADDRESS), or start the node with --mine ADDRESS")]
    NoReward,
    /// The network's difficulty follows time.
    #[error(
        "blocks are mined on request only on networks whose difficulty does not follow time (retarget = \"none\"), and \
         {network:?} is not one: start the node with --mine ADDRESS"
    )]
    NotOnRequest {
        /// Name of the network.
        network: String,
    },
    /// The miner failed.
    #[error("{}", Chain(.0))]
    Mining(#[from] MineError),
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopping,
}

impl AdminError {
    /// The reason.
    #[must_use]
    pub const fn reason(&self) -> AdminReason {
        match self {
            Self::HostPort { .. } | Self::Count { .. } => AdminReason::InvalidField,
            Self::Peers(error) => match error {
                OperatorError::TooManyKept { .. } => AdminReason::TooManyKept,
                OperatorError::Banned { .. } => AdminReason::PeerBanned,
                OperatorError::UnknownPeer { .. } => AdminReason::PeerNotFound,
                OperatorError::NotBanned { .. } => AdminReason::NotBanned,
                OperatorError::NoTarget { .. }
                | OperatorError::PortNeeded { .. }
                | OperatorError::Length { .. }
                | OperatorError::Reason { .. } => AdminReason::InvalidField,
            },
            Self::Address(_) => AdminReason::InvalidAddress,
            Self::NoReward => AdminReason::NoRewardAddress,
            Self::NotOnRequest { .. } => AdminReason::NotMinedOnRequest,
            Self::Mining(MineError::Stopping) | Self::Stopping => AdminReason::Stopping,
            Self::Mining(_) => AdminReason::MiningFailed,
        }
    }
}

impl From<AdminError> for Status {
    fn from(error: AdminError) -> Self {
        let reason = error.reason();
        let details = ErrorDetails::with_error_info(reason.as_str(), ERROR_DOMAIN, HashMap::new());
        Self::with_error_details(reason.code(), error.to_string(), details)
    }
}
