//! What can be wrong with a configuration.

use std::{io, net::SocketAddr, path::PathBuf};

use farthing::params::ParamsFileError;

use super::layers::Origin;

/// Why the node does not start as configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The command line is not understood, or only asks for help.
    #[error("{0}")]
    Usage(#[from] clap::Error),
    /// An environment variable is not Unicode.
    #[error("environment variable {variable} is not valid Unicode")]
    NotUnicode {
        /// Its name.
        variable: String,
    },
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file is not TOML.
    #[error("{}:{line}: {message}", path.display())]
    Toml {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// A key of the file does not exist.
    #[error("{}:{line}: unknown key {key:?}; `farthing-node --help` lists the options", path.display())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: String,
    },
    /// A value of the file has the wrong type.
    #[error("{}:{line}: {key} must be {expected}", path.display())]
    WrongType {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The key.
        key: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// A value that means nothing.
    #[error("{option} = {value:?} ({origin}): expected {expected}")]
    Value {
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What would be understood.
        expected: String,
    },
    /// The file of a private network describes none.
    #[error("{} does not describe a network", path.display())]
    NetworkFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<ParamsFileError>,
    },
    /// Nothing says where the data may live.
    #[error("neither XDG_DATA_HOME nor HOME is set; give --data-dir")]
    NoHome,
    /// The public API would be reachable from elsewhere.
    #[error(
        "rpc-listen = {address} ({origin}) is reachable from other machines without encryption; \
         give --rpc-allow-remote if that is meant, or listen on 127.0.0.1"
    )]
    RemoteRpc {
        /// The address.
        address: SocketAddr,
        /// Where it was given.
        origin: Origin,
    },
    /// Origins, and no browser is served.
    #[error("cors-origin ({origin}) has no effect without --grpc-web")]
    NoGrpcWeb {
        /// Where it was given.
        origin: Origin,
    },
    /// Browsers, and no page of theirs may call.
    #[error(
        "grpc-web ({origin}) serves no browser without --cors-origin: name the origins whose pages may call, such as \
         https://wallet.example, or * for all"
    )]
    NoCorsOrigin {
        /// Where it was given.
        origin: Origin,
    },
    /// Both listeners on one port.
    #[error("rpc-listen {rpc} and p2p-listen {p2p} are the same port; give each its own")]
    SamePort {
        /// The address of the public API.
        rpc: SocketAddr,
        /// The address for nodes.
        p2p: SocketAddr,
    },
    /// A mining option without mining.
    #[error("{option} ({origin}) has no effect without --mine ADDRESS")]
    NotMining {
        /// The option.
        option: &'static str,
        /// Where it was given.
        origin: Origin,
    },
    /// Mining waits for more transfers than it takes.
    #[error("mine-when = {when} is more than mine-max = {max}")]
    MineWhenAboveMax {
        /// Transfers waited for.
        when: u32,
        /// Transfers taken.
        max: u32,
    },
}

impl ConfigError {
    /// The exit code: 0 when only help or the version was asked for, else 2.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(error) if !error.use_stderr() => 0,
            _ => 2,
        }
    }
}
