//! Why a running node could not be asked, or refused.

use std::{io, path::PathBuf, time::Duration};

use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// The system gives no threads.
    #[error("the runtime cannot be set up")]
    Runtime(#[source] io::Error),
    /// Nobody listens there.
    #[error(
        "no node runs on {data_dir}: start one with `farthing-node --data-dir {data_dir}`, or name the directory of a \
         running one with --data-dir, or its network with --network",
        data_dir = data_dir.display()
    )]
    NoNode {
        /// The data directory.
        data_dir: PathBuf,
    },
    /// The socket is there but may not or cannot be used.
    #[error("cannot use the admin socket {}; a node is looked after by the user that it runs as", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// What listens there does not speak HTTP/2.
    #[error("what listens on {} is no node", path.display())]
    Transport {
        /// The socket.
        path: PathBuf,
        /// The cause.
        source: tonic::transport::Error,
    },
    /// No answer in time.
    #[error(
        "the node has not answered within {} s; it may still be starting, or be stopping: its log says more",
        .0.as_secs()
    )]
    Late(Duration),
    /// The node refused.
    #[error("{message}")]
    Refused {
        /// The stable reason, if the node gave one.
        reason: Option<String>,
        /// What was wrong and what to do.
        message: String,
    },
    /// The node was lost while it was asked.
    #[error("the connection to the node was lost: {0}")]
    Lost(String),
    /// The node takes too long to stop.
    #[error("the node (process {process}) is stopping but has not ended within {} s; its log says more", .after.as_secs())]
    StillRunning {
        /// The process.
        process: u32,
        /// How long was waited.
        after: Duration,
    },
}

impl ControlError {
    /// What a status of the node means.
    pub(super) fn from_status(status: &Status) -> Self {
        let reason = status.get_details_error_info().map(|info| info.reason);
        match (status.code(), &reason) {
            // The node's own words carry a reason; the transport's do not.
            (Code::Unavailable | Code::Unknown | Code::Internal | Code::Cancelled, None) => {
                Self::Lost(status.message().to_owned())
            }
            _ => Self::Refused { reason, message: status.message().to_owned() },
        }
    }

    /// The exit code: 6 when no node runs there, else 1.
    #[must_use]
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::NoNode { .. } => 6,
            _ => 1,
        }
    }

    /// A stable name of the cause.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Runtime(_) => "RUNTIME",
            Self::NoNode { .. } => "NO_NODE",
            Self::Socket { .. } => "SOCKET",
            Self::Transport { .. } => "NOT_A_NODE",
            Self::Late(_) => "NO_ANSWER",
            Self::Refused { reason, .. } => reason.as_deref().unwrap_or("REFUSED"),
            Self::Lost(_) => "CONNECTION_LOST",
            Self::StillRunning { .. } => "STILL_RUNNING",
        }
    }

    /// The error as one line of JSON.
    #[must_use]
    pub fn to_json(&self) -> String {
        let message = crate::tasks::Chain(self).to_string();
        let error = json!({ "code": self.code(), "message": message, "exit": self.exit_code() });
        format!("{}\n", json!({ "schema": 1, "error": error }))
    }
}
