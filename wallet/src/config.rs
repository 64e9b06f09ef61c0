//! Where the wallet lives, which network it is for and which node it asks: flags, then the environment, then
//! `config.toml` in the wallet's folder, then defaults.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use farthing::params::{Network, Params, ParamsFileError};
pub use farthing_client::NodeUrl;
use farthing_client::NodeUrlError;
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, DiskError},
    error::{Exit, Explain},
};

/// Asked when nothing else is said.
pub const DEFAULT_NODE: &str = "http://127.0.0.1:50051";
/// Used when nothing else is said: real money never goes to the wrong place by a forgotten flag's default elsewhere.
pub const DEFAULT_NETWORK: &str = "main";
/// Longest settings or network file.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

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
            Self::Syntax { .. } => "BAD_CONFIG",
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
            Self::UnknownNetwork(_) => vec!["--network dev".into(), "--network FILE.toml for a private network".into()],
            Self::NodeUrl(_) | Self::Tls(_) => vec![format!("--node {DEFAULT_NODE}")],
            Self::NoFolder => vec!["--wallet-dir FOLDER".into()],
            Self::Disk(error) => error.tries(),
            Self::OtherNetwork { .. } => vec!["--wallet-dir with another folder".into()],
            Self::NetworkFile(error) => error.tries(),
            Self::NetworkParameters { path, .. } => {
                vec![format!("mend '{}'; docs/private-network.md lists all parameters", path.display())]
            }
            Self::Syntax { path, .. } => vec![format!(
                "mend '{}'; it may hold network = \"...\" and node = \"...\", nothing else",
                path.display()
            )],
        }
    }
}

impl From<NodeUrlError> for ConfigError {
    fn from(error: NodeUrlError) -> Self {
        match error {
            NodeUrlError::Form(text) => Self::NodeUrl(text),
            NodeUrlError::Tls(text) => Self::Tls(text),
        }
    }
}

/// What was said on the command line or in the environment.
#[derive(Debug, Clone, Default)]
pub struct Choices {
    /// A name or a file.
    pub network: Option<String>,
    /// URLs.
    pub nodes: Vec<String>,
    /// The wallet's folder.
    pub wallet_dir: Option<PathBuf>,
}

/// `config.toml` in the wallet's folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// A name or a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// A URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

impl ConfigFile {
    fn path(root: &Path) -> PathBuf {
        root.join("config.toml")
    }

    /// Reads it; empty if there is none.
    ///
    /// # Errors
    /// [`ConfigError::Disk`] and [`ConfigError::Syntax`].
    pub fn read(root: &Path) -> Result<Self, ConfigError> {
        let path = Self::path(root);
        let bytes = match disk::read_any(&path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(Self::default()),
            other => other?,
        };
        toml::from_slice(&bytes).map_err(|source| ConfigError::Syntax { path, source })
    }

    /// Writes it if there is none yet; tells whether it did.
    ///
    /// # Errors
    /// [`ConfigError::Disk`].
    pub fn create(&self, root: &Path) -> Result<bool, ConfigError> {
        let text = toml::to_string(self).expect("two texts are always valid TOML");
        match disk::create_private(&Self::path(root), text.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.is_exists() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Everything that was chosen, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    root: PathBuf,
    network: Arc<Params>,
    nodes: Vec<NodeUrl>,
}

impl Settings {
    /// Puts flags (which include the environment), the file and the defaults together.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn resolve(choices: &Choices, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, ConfigError> {
        let root = match &choices.wallet_dir {
            Some(root) => root.clone(),
            None => default_root(variable)?,
        };
        let file = ConfigFile::read(&root)?;
        let network = choices.network.as_deref().or(file.network.as_deref()).unwrap_or(DEFAULT_NETWORK);
        let in_file = || file.node.as_deref().unwrap_or(DEFAULT_NODE).split(',').map(str::to_owned).collect();
        let nodes = if choices.nodes.is_empty() { in_file() } else { choices.nodes.clone() };
        let mut urls: Vec<NodeUrl> = Vec::new();
        for node in nodes {
            let url = node.trim().parse()?;
            if !urls.contains(&url) {
                urls.push(url);
            }
        }
        Ok(Self { network: network_of(network)?, nodes: urls, root })
    }

    /// The wallet's folder, common to all networks.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder for the chosen network: its keys and contacts never mix with another's.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.root.join(&self.network.name)
    }

    /// The network that commands without a flag are for: the one in `config.toml`, or the default.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn remembered_network(&self) -> Result<String, ConfigError> {
        let file = ConfigFile::read(&self.root)?;
        match file.network {
            Some(network) => network_of(&network).map(|params| params.name.clone()),
            None => Ok(DEFAULT_NETWORK.to_owned()),
        }
    }

    /// The network's parameters.
    #[must_use]
    pub fn network(&self) -> &Arc<Params> {
        &self.network
    }

    /// The nodes to ask, each once; at least one.
    #[must_use]
    pub fn nodes(&self) -> &[NodeUrl] {
        &self.nodes
    }

    /// The first of them.
    #[must_use]
    pub fn node(&self) -> &NodeUrl {
        &self.nodes[0]
    }
}

fn default_root(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, ConfigError> {
    // The XDG base directory specification asks to ignore paths that are not absolute.
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .map(|data| data.join("farthing-wallet"))
        .ok_or(ConfigError::NoFolder)
}

fn network_of(choice: &str) -> Result<Arc<Params>, ConfigError> {
    if let Some(network) = Network::by_name(choice) {
        return Ok(Arc::new(network.params().clone()));
    }
    let path = PathBuf::from(choice);
    let bytes = match disk::read_any(&path, MAX_FILE_BYTES) {
        Err(error) if error.is_missing() => return Err(ConfigError::UnknownNetwork(choice.to_owned())),
        other => other.map_err(ConfigError::NetworkFile)?,
    };
    let text = String::from_utf8_lossy(&bytes);
    text.parse().map(Arc::new).map_err(|source| ConfigError::NetworkParameters { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn resolve(root: &Path, network: Option<&str>, node: Option<&str>) -> Result<Settings, ConfigError> {
        let choices = Choices {
            network: network.map(str::to_owned),
            nodes: node.into_iter().map(str::to_owned).collect(),
            wallet_dir: Some(root.to_owned()),
        };
        Settings::resolve(&choices, |_| None)
    }

    #[test]
    fn without_a_word_it_is_main_and_the_node_on_this_machine() {
        let root = root();
        let settings = resolve(root.path(), None, None).unwrap();
        assert_eq!((settings.network().name.as_str(), settings.node().to_string().as_str()), ("main", DEFAULT_NODE));
        assert_eq!(settings.home(), root.path().join("main"));
    }

    #[test]
    fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
        let root = root();
        let file = ConfigFile { network: Some("dev".into()), node: Some("http://10.0.0.1:1".into()) };
        assert!(file.create(root.path()).unwrap());
        assert!(!file.create(root.path()).unwrap());
        let settings = resolve(root.path(), None, Some("http://10.0.0.2:2")).unwrap();
        assert_eq!(
            (settings.network().name.as_str(), settings.node().to_string().as_str()),
            ("dev", "http://10.0.0.2:2")
        );
        assert_eq!(resolve(root.path(), Some("test"), None).unwrap().network().name, "test");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused() {
        let root = root();
        std::fs::write(root.path().join("config.toml"), "netwrok = \"dev\"\n").unwrap();
        assert_eq!(resolve(root.path(), None, None).unwrap_err().code(), "BAD_CONFIG");
    }

    #[test]
    fn an_unknown_network_is_refused_with_the_known_ones() {
        let error = resolve(root().path(), Some("mian"), None).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("BAD_NETWORK", Exit::Usage));
    }

    #[test]
    fn only_plain_urls_with_a_port_are_nodes() {
        for good in ["http://127.0.0.1:50051", "http://node.example:1/", "http://[::1]:50051"] {
            good.parse::<NodeUrl>().unwrap();
        }
        for bad in
            ["", "localhost:50051", "http://", "http://:1", "http://a", "http://a:1/x", "ftp://a:1", "http://a:x"]
        {
            assert_eq!(ConfigError::from(bad.parse::<NodeUrl>().unwrap_err()).code(), "BAD_NODE_URL", "{bad}");
        }
        assert!("https://a:1".parse::<NodeUrl>().unwrap_err().to_string().contains("TLS"));
    }

    #[test]
    fn a_loopback_node_is_local() {
        let local = |url: &str| url.parse::<NodeUrl>().unwrap().is_local();
        assert!(local("http://127.0.0.1:1") && local("http://localhost:1") && local("http://[::1]:1"));
        assert!(!local("http://10.0.0.1:1") && !local("http://localhost.example:1"));
    }

    #[test]
    fn the_default_folder_follows_xdg() {
        let root = |xdg: Option<&str>, home: Option<&str>| {
            default_root(|name| match name {
                "XDG_DATA_HOME" => xdg.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            })
        };
        assert_eq!(root(Some("/data"), Some("/home/a")).unwrap(), Path::new("/data/farthing-wallet"));
        assert_eq!(root(Some("rel"), Some("/home/a")).unwrap(), Path::new("/home/a/.local/share/farthing-wallet"));
        assert_eq!(root(None, None).unwrap_err().code(), "NO_WALLET_FOLDER");
    }
}
