//! What the operator decides: flags, then environment, then a TOML file, then defaults. All of it is checked before
//! anything is opened or bound.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt::Display,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroU64, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use farthing::{Address, Params, Work, params::Network};
use tracing_subscriber::EnvFilter;

use crate::{
    env::{Disk, disk::read_whole},
    server::{self, WebSettings},
    store::checkpoint::Policy,
};

mod commands;
mod error;
mod layers;
mod options;
mod remote;
mod values;

#[cfg(test)]
mod tests;

pub use commands::{AdminCommand, Wish};
pub use error::ConfigError;
pub use layers::Origin;
pub use remote::RemoteMining;
pub use values::{HostPort, LogFormat, Malformed, Panels, PortRange, SeedName};

use layers::{Setting, Settings};
use values::OnOff;

/// A file of network parameters larger than this is a mistake: it holds at most 10,000 allocations.
const MAX_NETWORK_FILE_BYTES: u64 = 4 << 20;

/// What the program is asked to do.
#[derive(Debug)]
pub enum Invocation {
    /// Run the node.
    Run(Config),
    /// Check a data directory.
    Verify(Config),
    /// Rebuild the index of a data directory.
    Reindex(Config),
    /// Ask the node that runs on this configuration's data directory.
    Ask(Config, AdminCommand),
    /// Mine on another node.
    Mine {
        /// Where, and for whom.
        mining: RemoteMining,
        /// What is logged.
        log_filter: String,
        /// How.
        log_format: LogFormat,
    },
    /// Print this text, the effective configuration, and stop.
    Print(String),
}

/// The checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network.
    pub params: Arc<Params>,
    /// Where the chain is kept.
    pub data_dir: PathBuf,
    /// Where the public API listens.
    pub rpc_listen: SocketAddr,
    /// Whether browsers may call the public API, and from which pages.
    pub web: Option<WebSettings>,
    /// Where other nodes are taken.
    pub p2p_listen: SocketAddr,
    /// Nodes to connect to.
    pub connect: Vec<HostPort>,
    /// Nodes to try once and to keep in the address book.
    pub add_peer: Vec<HostPort>,
    /// Ports to search for nodes.
    pub discover: Vec<PortRange>,
    /// Whether blocks near the tip travel without the transfers that both sides have.
    pub compact_relay: bool,
    /// Names to ask for addresses of nodes.
    pub seed_dns: Vec<SeedName>,
    /// Whether only the nodes of `connect` are dialled.
    pub no_discovery: bool,
    /// Mining, if wanted.
    pub mining: Option<MiningConfig>,
    /// Whether blocks are shown on stdout.
    pub panels: Panels,
    /// Whether the place of every transaction is kept by its id.
    pub transaction_index: bool,
    /// Bytes for the index's cache.
    pub index_cache_bytes: u64,
    /// How an empty data directory begins.
    pub sync: SyncMode,
    /// When checkpoints are made, and which stay.
    pub checkpoints: Policy,
    /// Bytes for waiting transfers.
    pub mempool_bytes: u64,
    /// How many parsed public keys are remembered.
    pub key_cache: NonZeroUsize,
    /// A block with so many others on top is never undone; none: any may be.
    pub finality_depth: Option<NonZeroU64>,
    /// What is logged.
    pub log_filter: String,
    /// The form of the log.
    pub log_format: LogFormat,
    /// Where the bound addresses are written once serving.
    pub ready_file: Option<PathBuf>,
}

/// How an empty data directory begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// All blocks are executed.
    Full,
    /// The accounts after a block are taken from peers, and the blocks behind it executed.
    Checkpoint {
        /// How many blocks behind the best header it must be.
        depth: u64,
        /// The least work that the headers must show.
        minimum_work: Work,
    },
}

/// How to mine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MiningConfig {
    /// Who is credited.
    pub address: Address,
    /// Threads that mine.
    pub threads: NonZeroUsize,
    /// Mine only once so many transfers wait; 0: always.
    pub when: u32,
    /// Take at most so many transfers into a block.
    pub max: Option<NonZeroU32>,
    /// Mine fewer than `when` once a transfer has waited so long.
    pub wait: Option<Duration>,
}

impl Config {
    /// A node without mining that listens on free ports of loopback: for tests that run nodes in their own process.
    pub fn on_loopback(params: Arc<Params>, data_dir: PathBuf) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            params,
            data_dir,
            rpc_listen: any,
            web: None,
            p2p_listen: any,
            connect: Vec::new(),
            add_peer: Vec::new(),
            discover: Vec::new(),
            compact_relay: true,
            seed_dns: Vec::new(),
            no_discovery: false,
            mining: None,
            panels: Panels::Off,
            transaction_index: true,
            index_cache_bytes: 16 << 20,
            sync: SyncMode::Full,
            checkpoints: Policy::default(),
            mempool_bytes: 64 << 20,
            key_cache: NonZeroUsize::new(65_536).expect("a literal above 0"),
            finality_depth: None,
            log_filter: "info".to_owned(),
            log_format: LogFormat::Human,
            ready_file: None,
        }
    }
}

/// Reads the arguments (the first is the program's name), the environment and the file that they name.
///
/// # Errors
/// The first thing that is wrong.
pub fn load(
    arguments: impl IntoIterator<Item = OsString>,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
    disk: &dyn Disk,
) -> Result<Invocation, ConfigError> {
    let matches = options::command().try_get_matches_from(arguments)?;
    let variables: BTreeMap<OsString, OsString> = variables.into_iter().collect();
    let mut settings = Settings::collect(&matches, &variables, disk)?;
    if let Some(mining) = remote::read(&matches) {
        // It keeps no chain: it needs no directory, and of no network.
        let (log_filter, log_format) = (log_filter(&settings)?, required(&settings, "log-format")?);
        return Ok(Invocation::Mine { mining, log_filter, log_format });
    }
    let config = build(&mut settings, &variables, disk)?;
    if matches.get_flag(options::PRINT_CONFIG) {
        return Ok(Invocation::Print(settings.print()));
    }
    if let Some(command) = commands::read(&matches) {
        return Ok(Invocation::Ask(config, command));
    }
    Ok(match matches.subcommand_name() {
        Some("verify") => Invocation::Verify(config),
        Some("reindex") => Invocation::Reindex(config),
        _ => Invocation::Run(config),
    })
}

fn build(
    settings: &mut Settings,
    variables: &BTreeMap<OsString, OsString>,
    disk: &dyn Disk,
) -> Result<Config, ConfigError> {
    let params = network(settings, disk)?;
    if settings.get("data-dir").is_none() {
        let directory = default_data_dir(variables, &params.name)?;
        settings.set_default("data-dir", directory.display().to_string());
    }
    let (rpc_listen, p2p_listen) = listeners(settings)?;
    Ok(Config {
        data_dir: one::<PathBuf>(settings, "data-dir", "a directory")?.ok_or(ConfigError::NoHome)?,
        rpc_listen,
        web: web(settings)?,
        p2p_listen,
        connect: list(settings, "connect")?,
        add_peer: list(settings, "add-peer")?,
        discover: list(settings, "discover")?,
        compact_relay: required::<OnOff>(settings, "compact-relay")?.0,
        seed_dns: list(settings, "seed-dns")?,
        no_discovery: required::<OnOff>(settings, "no-discovery")?.0,
        mining: mining(settings, &params)?,
        panels: required(settings, "panels")?,
        transaction_index: required::<OnOff>(settings, "transaction-index")?.0,
        index_cache_bytes: mebibytes(settings, "index-cache-mib", 4096)?,
        sync: sync(settings)?,
        checkpoints: checkpoints(settings)?,
        mempool_bytes: mebibytes(settings, "mempool-mib", 65_536)?,
        key_cache: number(settings, "key-cache", 1..=16_777_216, "a number from 1 to 16777216")?,
        finality_depth: one(settings, "finality-depth", "a number of blocks above 0")?,
        log_filter: log_filter(settings)?,
        log_format: required(settings, "log-format")?,
        ready_file: one(settings, "ready-file", "a file")?,
        params,
    })
}

fn network(settings: &Settings, disk: &dyn Disk) -> Result<Arc<Params>, ConfigError> {
    let Setting { values, origin } = settings.get("network").expect("network has a default");
    let name = single(values);
    if let Some(known) = Network::by_name(name) {
        return Ok(Arc::new(known.params().clone()));
    }
    let path = PathBuf::from(name);
    let bytes = read_whole(disk, &path, MAX_NETWORK_FILE_BYTES).map_err(|error| ConfigError::Value {
        option: "network",
        value: name.to_owned(),
        origin: origin.clone(),
        expected: format!("dev, test, main or a file of parameters ({error})"),
    })?;
    let text = String::from_utf8_lossy(&bytes);
    let params = text.parse().map_err(|error| ConfigError::NetworkFile { path, source: Box::new(error) })?;
    Ok(Arc::new(params))
}

/// `$XDG_DATA_HOME/farthing/<network>`, else below `~/.local/share`. A relative XDG_DATA_HOME is to be ignored (XDG
/// Base Directory Specification).
fn default_data_dir(variables: &BTreeMap<OsString, OsString>, network: &str) -> Result<PathBuf, ConfigError> {
    let variable = |name: &str| {
        variables.get(&OsString::from(name)).map(Path::new).filter(|path| path.is_absolute()).map(Path::to_owned)
    };
    let home = variable("XDG_DATA_HOME").or_else(|| variable("HOME").map(|home| home.join(".local/share")));
    Ok(home.ok_or(ConfigError::NoHome)?.join("farthing").join(network))
}

fn listeners(settings: &Settings) -> Result<(SocketAddr, SocketAddr), ConfigError> {
    const EXPECTED: &str = "ADDRESS:PORT, such as 127.0.0.1:50051 or [::1]:0";
    let address = |name| one::<SocketAddr>(settings, name, EXPECTED).map(|found| found.expect("it has a default"));
    let (rpc, p2p) = (address("rpc-listen")?, address("p2p-listen")?);
    let allow_remote = required::<OnOff>(settings, "rpc-allow-remote")?.0;
    if !rpc.ip().to_canonical().is_loopback() && !allow_remote {
        let origin = settings.get("rpc-listen").map_or(Origin::Default, |setting| setting.origin.clone());
        return Err(ConfigError::RemoteRpc { address: rpc, origin });
    }
    let overlap = rpc.ip() == p2p.ip() || rpc.ip().is_unspecified() || p2p.ip().is_unspecified();
    if rpc.port() != 0 && rpc.port() == p2p.port() && overlap {
        return Err(ConfigError::SamePort { rpc, p2p });
    }
    Ok((rpc, p2p))
}

fn web(settings: &Settings) -> Result<Option<WebSettings>, ConfigError> {
    let origins: Vec<server::Origin> = list(settings, "cors-origin")?;
    let is_on = required::<OnOff>(settings, "grpc-web")?.0;
    match settings.get("cors-origin").filter(|_| !origins.is_empty()) {
        Some(Setting { origin, .. }) if !is_on => Err(ConfigError::NoGrpcWeb { origin: origin.clone() }),
        None if is_on => {
            let origin = settings.get("grpc-web").map_or(Origin::Default, |setting| setting.origin.clone());
            Err(ConfigError::NoCorsOrigin { origin })
        }
        _ => Ok(is_on.then_some(WebSettings { origins })),
    }
}

fn mining(settings: &Settings, params: &Params) -> Result<Option<MiningConfig>, ConfigError> {
    let Some(setting) = settings.get("mine") else {
        for option in ["mine-threads", "mine-when", "mine-max", "mine-wait"] {
            // Stating a default, as a printed configuration does, asks for nothing.
            let default = options::find(option).and_then(|option| option.default);
            match settings.get(option) {
                Some(Setting { values, origin }) if Some(single(values)) != default => {
                    return Err(ConfigError::NotMining { option, origin: origin.clone() });
                }
                _ => {}
            }
        }
        return Ok(None);
    };
    let text = single(&setting.values);
    let address = params
        .prefix
        .parse(text)
        .map_err(|error| malformed("mine", text, setting, &format!("an address of this network ({error})")))?;
    let threads = number(settings, "mine-threads", 1..=1024, "a number from 1 to 1024")?;
    let when: u32 = required(settings, "mine-when")?;
    let max: Option<NonZeroU32> = one(settings, "mine-max", "a number above 0")?;
    let wait = one::<u32>(settings, "mine-wait", "a number of seconds")?.map(|s| Duration::from_secs(s.into()));
    match max {
        Some(max) if when > max.get() => Err(ConfigError::MineWhenAboveMax { when, max: max.get() }),
        _ => Ok(Some(MiningConfig { address, threads, when, max, wait })),
    }
}

fn sync(settings: &Settings) -> Result<SyncMode, ConfigError> {
    let depth = number(settings, "sync-depth", 1..=1_000_000_000, "a number of blocks from 1 to 1000000000")?;
    let minimum_work = Work::new(required(settings, "minimum-work")?);
    let setting = settings.get("sync").expect("sync has a default");
    match single(&setting.values) {
        "full" => Ok(SyncMode::Full),
        "checkpoint" => Ok(SyncMode::Checkpoint { depth: depth.get() as u64, minimum_work }),
        other => Err(malformed("sync", other, setting, &"full or checkpoint")),
    }
}

fn checkpoints(settings: &Settings) -> Result<Policy, ConfigError> {
    let every = number(settings, "checkpoint-every", 10..=1_000_000, "a number of blocks from 10 to 1000000")?;
    let every_blocks = every.get() as u64;
    // Who begins with a checkpoint asks for one that is as deep as --sync-depth says unless it is told otherwise.
    let default = Policy::default();
    Ok(Policy { every_blocks, deep_blocks: every_blocks.max(default.deep_blocks), ..default })
}

fn log_filter(settings: &Settings) -> Result<String, ConfigError> {
    let setting = settings.get("log").expect("log has a default");
    let text = single(&setting.values);
    text.parse::<EnvFilter>()
        .map_err(|error| malformed("log", text, setting, &format!("a level or a list of target=level ({error})")))?;
    Ok(text.to_owned())
}

/// The value of an option that has at most one. An array or a repeated flag cannot get here: only lists take several.
fn single(values: &[String]) -> &str {
    values.last().map_or("", String::as_str)
}

fn malformed(option: &'static str, text: &str, setting: &Setting, expected: &dyn Display) -> ConfigError {
    let (value, origin, expected) = (text.to_owned(), setting.origin.clone(), expected.to_string());
    ConfigError::Value { option, value, origin, expected }
}

fn one<T: FromStr>(settings: &Settings, option: &'static str, expected: &str) -> Result<Option<T>, ConfigError> {
    let Some(setting) = settings.get(option) else { return Ok(None) };
    let text = single(&setting.values);
    if text.is_empty() {
        return Err(malformed(option, text, setting, &expected));
    }
    text.parse().map(Some).map_err(|_| malformed(option, text, setting, &expected))
}

fn required<T: FromStr<Err: Display>>(settings: &Settings, option: &'static str) -> Result<T, ConfigError> {
    let setting = settings.get(option).expect("the option has a default");
    let text = single(&setting.values);
    text.parse().map_err(|error| malformed(option, text, setting, &error))
}

fn list<T: FromStr<Err: Display>>(settings: &Settings, option: &'static str) -> Result<Vec<T>, ConfigError> {
    let Some(setting) = settings.get(option) else { return Ok(Vec::new()) };
    let parse = |text: &String| text.parse().map_err(|error| malformed(option, text, setting, &error));
    setting.values.iter().map(parse).collect()
}

fn number(
    settings: &Settings,
    option: &'static str,
    range: std::ops::RangeInclusive<usize>,
    expected: &str,
) -> Result<NonZeroUsize, ConfigError> {
    let setting = settings.get(option).expect("the option has a default");
    let text = single(&setting.values);
    let value = text.parse().ok().filter(|value: &NonZeroUsize| range.contains(&value.get()));
    value.ok_or_else(|| malformed(option, text, setting, &expected))
}

fn mebibytes(settings: &Settings, option: &'static str, max: usize) -> Result<u64, ConfigError> {
    let count = number(settings, option, 1..=max, &format!("a number of MiB from 1 to {max}"))?;
    Ok((count.get() as u64) << 20)
}
