//! Why the settings cannot be used.

use std::path::PathBuf;

use farthing::params::{Network, ParamsFileError};
use farthing_client::{NodeUrl, NodeUrlError};

use super::{DEFAULT_NODE, file};
use crate::{
    disk::DiskError,
    error::{Exit, Explain},
    lookalike,
};

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Neither a known network nor a file.
    #[error("{0:?} is neither a network (main, test, dev) nor a file with a network's parameters")]
    UnknownNetwork(String),
    /// The file of a private network cannot be read.
    #[error("cannot read the network's parameters")]
    NetworkFile(#[source] DiskError),
    /// The file of a private network is wrong.
    #[error("{} does not describe a network", path.display())]
    NetworkParameters {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ParamsFileError,
    },
    /// Not an address of a node.
    #[error("{0:?} is not a node's URL, expected http://HOST:PORT")]
    NodeUrl(String),
    /// TLS.
    #[error("{0:?} asks for TLS, which this wallet does not speak yet; expected http://HOST:PORT")]
    Tls(String),
    /// No place for the wallet.
    #[error("no folder for the wallet: neither --wallet-dir, FARTHING_WALLET_DIR, XDG_DATA_HOME nor HOME is set")]
    NoFolder,
    /// `config.toml` cannot be read.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// `config.toml` is wrong.
    #[error("{} is not a settings file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// `config.toml` cannot be changed because it is wrong.
    #[error("{} is not a settings file", path.display())]
    Edit {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: toml_edit::TomlError,
    },
    /// A value that the key cannot have.
    #[error("{value:?} cannot be the {key} of the settings: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What is wrong with it.
        why: String,
    },
    /// No such key.
    #[error("there is no setting named {0:?}")]
    UnknownKey(String),
    /// The wallet's folder is of another network with the same name.
    #[error("{} belongs to the network {found}, this is {expected}", path.display())]
    OtherNetwork {
        /// The folder.
        path: PathBuf,
        /// Name and genesis of its network.
        found: String,
        /// Name and genesis of the network chosen.
        expected: String,
    },
}

impl Explain for ConfigError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownNetwork(_) | Self::NetworkFile(_) | Self::NetworkParameters { .. } => "BAD_NETWORK",
            Self::NodeUrl(_) | Self::Tls(_) => "BAD_NODE_URL",
            Self::NoFolder => "NO_WALLET_FOLDER",
            Self::Disk(error) => error.code(),
            Self::Syntax { .. } | Self::Edit { .. } => "BAD_CONFIG",
            Self::Value { .. } => "BAD_SETTING",
            Self::UnknownKey(_) => "UNKNOWN_SETTING",
            Self::OtherNetwork { .. } => "OTHER_NETWORK",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Disk(_) => Exit::Other,
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::UnknownNetwork(text) => {
                let known = lookalike::nearest(text, Network::ALL.iter().map(|network| network.params().name.as_str()));
                let meant = known.map(|near| format!("{near}, if you meant that"));
                let others = ["farthing-wallet network list".into(), "the FILE.toml of a private network".into()];
                meant.into_iter().chain(others).collect()
            }
            // Most of those who leave the scheme out know host and port.
            Self::NodeUrl(text) => {
                let url = format!("http://{text}").parse::<NodeUrl>().map(|url| url.to_string());
                vec![format!("--node {}", url.unwrap_or_else(|_| DEFAULT_NODE.to_owned()))]
            }
            Self::Tls(_) => vec![format!("--node {DEFAULT_NODE}")],
            Self::NoFolder => vec!["--wallet-dir FOLDER".into()],
            Self::Disk(error) => error.tries(),
            Self::OtherNetwork { .. } => vec!["--wallet-dir with another folder".into()],
            Self::NetworkFile(error) => error.tries(),
            Self::NetworkParameters { path, .. } => {
                vec![format!("mend '{}'; docs/private-network.md lists all parameters", path.display())]
            }
            Self::Syntax { path, .. } | Self::Edit { path, .. } => {
                vec![format!("mend '{}'; it may set {}", path.display(), key_names())]
            }
            Self::Value { key, .. } => vec![format!("farthing-wallet config set {key} VALUE"), "config get".into()],
            Self::UnknownKey(name) => {
                let near = lookalike::nearest(name, file::KEYS.iter().map(|key| key.name));
                let meant = near.map(|near| format!("{near}, if you meant that"));
                meant.into_iter().chain([format!("one of: {}", key_names())]).collect()
            }
        }
    }
}

fn key_names() -> String {
    file::KEYS.iter().map(|key| key.name).collect::<Vec<_>>().join(", ")
}

impl From<NodeUrlError> for ConfigError {
    fn from(error: NodeUrlError) -> Self {
        match error {
            NodeUrlError::Form(text) => Self::NodeUrl(text),
            NodeUrlError::Tls(text) => Self::Tls(text),
        }
    }
}
