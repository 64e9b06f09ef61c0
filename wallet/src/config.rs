//! Where the wallet lives, which network it is for and which node it asks: flags, then the environment, then
//! `config.toml`, then defaults.

mod error;
pub mod file;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use farthing::{
    Mites, Work,
    amount::ParseAmountError,
    params::{Network, Params},
};
pub use farthing_client::NodeUrl;

pub use self::{error::ConfigError, file::ConfigFile};
use crate::{
    cli::duration,
    disk,
    name::{Name, NameError},
};

/// Asked when nothing else is said.
pub const DEFAULT_NODE: &str = "http://127.0.0.1:50051";
/// Used when nothing else is said: real money never goes to the wrong place by a forgotten flag's default elsewhere.
pub const DEFAULT_NETWORK: &str = "main";
/// Longest settings or network file.
pub const MAX_FILE_BYTES: u64 = 1024 * 1024;

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

/// Where things lie. With a folder of its own (`--wallet-dir`), everything is in it; else settings and data are where the
/// XDG base directory specification wants them. Settings that lie with the data from earlier keep their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The wallet's folder, common to all networks.
    pub root: PathBuf,
    /// The settings.
    pub config: PathBuf,
}

impl Places {
    /// Finds them.
    ///
    /// # Errors
    /// [`ConfigError::NoFolder`].
    pub fn find(wallet_dir: Option<&Path>, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, ConfigError> {
        if let Some(root) = wallet_dir {
            return Ok(Self { config: root.join(CONFIG_FILE), root: root.to_owned() });
        }
        let root = base(&variable, "XDG_DATA_HOME", ".local/share").ok_or(ConfigError::NoFolder)?;
        let beside = root.join(CONFIG_FILE);
        let config = base(&variable, "XDG_CONFIG_HOME", ".config").map(|folder| folder.join(CONFIG_FILE));
        let config = match config {
            Some(config) if config.exists() || !beside.exists() => config,
            _ => beside,
        };
        Ok(Self { root, config })
    }

    /// The folder with the files of private networks that were added.
    #[must_use]
    pub fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// Where the file of an added network lies, if there is one of that name.
    #[must_use]
    pub fn added_network(&self, name: &str) -> PathBuf {
        self.networks().join(format!("{name}.toml"))
    }

    /// What a person names as a network, with the path of its file for the name of one that was added.
    #[must_use]
    pub fn network(&self, choice: &str) -> String {
        let is_name = choice.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let path = self.added_network(choice);
        let added = is_name && Network::by_name(choice).is_none() && path.is_file();
        if added { path.to_string_lossy().into_owned() } else { choice.to_owned() }
    }
}

/// Name of the settings file.
const CONFIG_FILE: &str = "config.toml";

/// The wallet's folder in a base directory of the XDG specification, which asks to ignore paths that are not absolute.
fn base(variable: impl Fn(&str) -> Option<PathBuf>, name: &str, below_home: &str) -> Option<PathBuf> {
    let absolute = |name: &str| variable(name).filter(|path| path.is_absolute());
    let base = absolute(name).or_else(|| absolute("HOME").map(|home| home.join(below_home)));
    base.map(|base| base.join("farthing-wallet"))
}

/// Everything that was chosen, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    places: Places,
    network: Arc<Params>,
    nodes: Vec<NodeUrl>,
    account: Option<Name>,
    timeout: Option<Duration>,
    quorum: Option<u8>,
    max_fee: Option<Mites>,
    minimum_work: Work,
}

impl Settings {
    /// Puts flags (which include the environment), the file and the defaults together.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn resolve(choices: &Choices, variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, ConfigError> {
        let places = Places::find(choices.wallet_dir.as_deref(), variable)?;
        let file = ConfigFile::read(&places.config)?;
        let network = choices.network.as_deref().or(file.network.as_deref()).unwrap_or(DEFAULT_NETWORK);
        let nodes = if choices.nodes.is_empty() {
            nodes_of(file.node.as_deref().unwrap_or(DEFAULT_NODE).split(','))?
        } else {
            nodes_of(choices.nodes.iter().map(String::as_str))?
        };
        let value = |key, value: &str, why: String| ConfigError::Value { key, value: value.to_owned(), why };
        let account = file
            .account
            .as_deref()
            .map(|text| text.parse().map_err(|error: NameError| value("account", text, error.to_string())));
        let timeout =
            file.timeout.as_deref().map(|text| duration::parse(text).map_err(|why| value("timeout", text, why)));
        let max_fee = file
            .max_fee
            .as_deref()
            .map(|text| text.parse().map_err(|error: ParseAmountError| value("max_fee", text, error.to_string())));
        let (account, timeout, max_fee) = (account.transpose()?, timeout.transpose()?, max_fee.transpose()?);
        let quorum = file.quorum;
        // It is of the network that the file is for, which a flag may change.
        let text =
            file.minimum_work.as_deref().filter(|_| network == file.network.as_deref().unwrap_or(DEFAULT_NETWORK));
        let minimum_work = text.map(|text| {
            let work = text.parse::<u128>().map(Work::new);
            work.map_err(|error| value("minimum_work", text, error.to_string()))
        });
        let (minimum_work, network) =
            (minimum_work.transpose()?.unwrap_or(Work::ZERO), network_of(&places.network(network))?);
        Ok(Self { network, nodes, account, timeout, quorum, max_fee, minimum_work, places })
    }

    /// The wallet's folder, common to all networks.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.places.root
    }

    /// The settings file, which need not exist.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.places.config
    }

    /// The account that the settings file chooses, if any.
    #[must_use]
    pub const fn account(&self) -> Option<&Name> {
        self.account.as_ref()
    }

    /// How many nodes must agree, if the settings file says so.
    #[must_use]
    pub const fn quorum(&self) -> Option<u8> {
        self.quorum
    }

    /// How long the settings file says to wait for a confirmation, if it does.
    #[must_use]
    pub const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// The folder for the chosen network: its keys and contacts never mix with another's.
    #[must_use]
    pub fn home(&self) -> PathBuf {
        self.places.root.join(&self.network.name)
    }

    /// The network that commands without a flag are for: the one in `config.toml`, or the default.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn remembered_network(&self) -> Result<String, ConfigError> {
        let file = ConfigFile::read(&self.places.config)?;
        match file.network {
            Some(network) => network_of(&self.places.network(&network)).map(|params| params.name.clone()),
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

    /// The most that a transfer may pay to the miner, if the settings say so.
    #[must_use]
    pub const fn max_fee(&self) -> Option<Mites> {
        self.max_fee
    }

    /// The least work of a chain that is believed; zero if the settings say nothing, or say it of another network.
    #[must_use]
    pub const fn minimum_work(&self) -> Work {
        self.minimum_work
    }

    /// The first of them.
    #[must_use]
    pub fn node(&self) -> &NodeUrl {
        &self.nodes[0]
    }
}

/// The nodes that texts name, each once.
fn nodes_of<'a>(texts: impl Iterator<Item = &'a str>) -> Result<Vec<NodeUrl>, ConfigError> {
    let mut nodes: Vec<NodeUrl> = Vec::new();
    for text in texts {
        let url = text.trim().parse()?;
        if !nodes.contains(&url) {
            nodes.push(url);
        }
    }
    Ok(nodes)
}

/// A network by its name, or by the path of its file.
///
/// # Errors
/// [`ConfigError`].
pub fn network_of(choice: &str) -> Result<Arc<Params>, ConfigError> {
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
    use crate::error::{Exit, Explain as _};

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
        let (network, node) = (Some("dev".into()), Some("http://10.0.0.1:1".into()));
        let file = ConfigFile { network, node, ..ConfigFile::default() };
        assert!(file.create(&root.path().join(CONFIG_FILE)).unwrap());
        assert!(!file.create(&root.path().join(CONFIG_FILE)).unwrap());
        let settings = resolve(root.path(), None, Some("http://10.0.0.2:2")).unwrap();
        assert_eq!(
            (settings.network().name.as_str(), settings.node().to_string().as_str()),
            ("dev", "http://10.0.0.2:2")
        );
        assert_eq!(resolve(root.path(), Some("test"), None).unwrap().network().name, "test");
    }

    #[test]
    fn the_least_work_is_of_the_network_that_the_file_names() {
        let root = root();
        let file = ConfigFile { minimum_work: Some("12".into()), ..ConfigFile::default() };
        assert!(file.create(&root.path().join(CONFIG_FILE)).unwrap());
        assert_eq!(resolve(root.path(), None, None).unwrap().minimum_work(), Work::new(12));
        assert_eq!(resolve(root.path(), Some("main"), None).unwrap().minimum_work(), Work::new(12));
        assert_eq!(resolve(root.path(), Some("test"), None).unwrap().minimum_work(), Work::ZERO);
        std::fs::write(root.path().join(CONFIG_FILE), "minimum_work = \"much\"\n").unwrap();
        assert_eq!(resolve(root.path(), None, None).unwrap_err().code(), "BAD_SETTING");
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
    fn the_default_folders_follow_xdg() {
        let places = |data: Option<&str>, config: Option<&str>, home: Option<&str>| {
            Places::find(None, |name| match name {
                "XDG_DATA_HOME" => data.map(PathBuf::from),
                "XDG_CONFIG_HOME" => config.map(PathBuf::from),
                _ => home.map(PathBuf::from),
            })
        };
        let expected = |root: &str, config: &str| Places { root: root.into(), config: config.into() };
        assert_eq!(
            places(Some("/data"), Some("/config"), Some("/home/a")).unwrap(),
            expected("/data/farthing-wallet", "/config/farthing-wallet/config.toml")
        );
        let at_home = expected("/home/a/.local/share/farthing-wallet", "/home/a/.config/farthing-wallet/config.toml");
        assert_eq!(places(Some("rel"), Some("rel"), Some("/home/a")).unwrap(), at_home);
        assert_eq!(places(None, None, None).unwrap_err().code(), "NO_WALLET_FOLDER");
    }

    #[test]
    fn settings_that_lie_with_the_data_keep_their_place() {
        let home = root();
        let find = || Places::find(None, |name| (name == "HOME").then(|| home.path().to_owned())).unwrap();
        let old = home.path().join(".local/share/farthing-wallet/config.toml");
        let new = home.path().join(".config/farthing-wallet/config.toml");
        assert_eq!(find().config, new);
        for (file, expected) in [(&old, &old), (&new, &new)] {
            file::make_folder_of(file).unwrap();
            std::fs::write(file, "").unwrap();
            assert_eq!(find().config, *expected);
        }
        let own = Places::find(Some(home.path()), |_| None).unwrap();
        assert_eq!(own.config, home.path().join("config.toml"));
    }
}
