//! Why a node does not start.

use std::{io, net::SocketAddr, path::PathBuf};

use crate::{mempool::JournalError, store::StoreError};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot create the data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {} is in use by another farthing-node{}", path.display(), holder(*.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it could be told.
        pid: Option<u32>,
    },
    /// The lock cannot be taken for another reason.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A listener cannot be bound.
    #[error("cannot listen on {address} ({option}){}", advice(source))]
    Bind {
        /// The option that names it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The admin socket cannot be made.
    #[error("cannot listen on the admin socket {}", path.display())]
    AdminSocket {
        /// Where it should be.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The chain cannot be opened.
    #[error("cannot open the chain in {}", path.display())]
    Store {
        /// The data directory.
        path: PathBuf,
        /// The cause.
        source: StoreError,
    },
    /// The mempool's journal cannot be opened.
    #[error("cannot open the mempool's journal")]
    Journal(#[source] JournalError),
    /// The system gives no more threads.
    #[error("the system refuses a thread")]
    Threads(#[source] io::Error),
    /// The descriptors for reflection cannot be read.
    #[error("cannot serve reflection")]
    Reflection(#[source] tonic_reflection::server::Error),
    /// The ready file cannot be written.
    #[error("cannot write the ready file {}", path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// What to do where the cause alone does not say it.
fn advice(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse => ": choose another port, or stop what uses this one",
        io::ErrorKind::AddrNotAvailable => ": expected an address of this machine, or 0.0.0.0 for all of them",
        io::ErrorKind::PermissionDenied => ": choose a port above 1023",
        _ => "",
    }
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
