//! `network ...`. Like `config`, it needs no wallet.

mod find;
mod scan;

use std::{
    fmt,
    path::{Path, PathBuf},
};

use farthing::{Params, params::Network};
use serde::Serialize;

use crate::{
    cli::{Global, NetworkCommand},
    config::{ConfigError, Places, Settings, network_of},
    disk,
    error::{Exit, Explain, Result},
    output::Output,
};

/// Most networks that are listed.
const MAX_ADDED: usize = 1_000;

/// Why a network cannot be added.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddError {
    /// Another one was added under its name.
    #[error("another network was added as {name:?}; its genesis is {genesis}")]
    Taken {
        /// The name.
        name: String,
        /// Genesis id of the one that was added.
        genesis: String,
    },
}

impl Explain for AddError {
    fn code(&self) -> &'static str {
        "NETWORK_NAME_TAKEN"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["ask whoever runs it for another name; each network has one of its own".into(), "--network FILE".into()]
    }
}

#[derive(Serialize)]
struct NetworkView {
    name: String,
    genesis_id: String,
    address_prefix: String,
    /// `known`, `added`, or `file` for one that is in use without having been added.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    in_use: bool,
}

impl NetworkView {
    fn new(network: &Params, kind: &'static str, path: Option<PathBuf>, in_use: Option<&Params>) -> Self {
        Self {
            name: network.name.clone(),
            genesis_id: network.genesis_id().to_string(),
            address_prefix: network.prefix.to_string(),
            kind,
            path,
            in_use: in_use.is_some_and(|used| used.genesis_id() == network.genesis_id()),
        }
    }
}

impl fmt::Display for NetworkView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.in_use { '*' } else { ' ' };
        write!(f, "{mark} {:<12} {:<6} genesis {}", self.name, self.kind, self.genesis_id)
    }
}

#[derive(Serialize)]
struct NetworkList {
    networks: Vec<NetworkView>,
}

impl fmt::Display for NetworkList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.networks.iter().try_for_each(|network| writeln!(f, "{network}"))
    }
}

/// Runs one of them.
///
/// # Errors
/// A network or a place that does not exist; a file that cannot be read or written.
pub fn run(
    output: &mut Output,
    global: &Global,
    command: &NetworkCommand,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<()> {
    let places = Places::find(global.choices().wallet_dir.as_deref(), &variable)?;
    match command {
        NetworkCommand::List => list(output, global, &places, variable),
        NetworkCommand::Add { file } => add(output, &places, file),
        NetworkCommand::Use { name } => {
            let network = network_of(&places.network(name))?;
            super::config::choose_network(output, global, &places, name)?;
            let view = NetworkView::new(&network, kind(&places, &network, name), None, Some(&network));
            Ok(output.data(&view)?)
        }
        NetworkCommand::Find { place } => {
            let settings = Settings::resolve(&global.choices(), variable)?;
            find::run(output, settings.network(), place)
        }
    }
}

fn kind(places: &Places, network: &Params, name: &str) -> &'static str {
    match () {
        () if Network::by_name(name).is_some() => "known",
        () if places.added_network(&network.name).exists() => "added",
        () => "file",
    }
}

fn list(
    output: &mut Output,
    global: &Global,
    places: &Places,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<()> {
    let used = match Settings::resolve(&global.choices(), variable) {
        Ok(settings) => Some(settings.network().clone()),
        Err(error) => {
            output.warn(format_args!("none of them is in use: {error}"));
            None
        }
    };
    let used = used.as_deref();
    let known = Network::ALL.into_iter().map(|network| NetworkView::new(network.params(), "known", None, used));
    let mut networks: Vec<NetworkView> = known.collect();
    for path in added(places)? {
        match network_of(&path.to_string_lossy()) {
            Ok(network) => networks.push(NetworkView::new(&network, "added", Some(path), used)),
            Err(error) => output.warn(format_args!("{} is passed over: {error}", path.display())),
        }
    }
    if let Some(used) = used
        && !networks.iter().any(|network| network.in_use)
    {
        networks.push(NetworkView::new(used, "file", None, Some(used)));
    }
    Ok(output.data(&NetworkList { networks })?)
}

/// The files of the networks that were added, by name.
fn added(places: &Places) -> Result<Vec<PathBuf>, disk::DiskError> {
    let folder = places.networks();
    let entries = match std::fs::read_dir(&folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|source| disk::DiskError::Io { action: "list", path: folder, source })?,
    };
    let paths = entries.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let mut paths: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|found| found == "toml")).take(MAX_ADDED).collect();
    paths.sort_unstable();
    Ok(paths)
}

fn add(output: &mut Output, places: &Places, file: &Path) -> Result<()> {
    let text = disk::read_any(file, crate::config::MAX_FILE_BYTES).map_err(ConfigError::NetworkFile)?;
    let network: Params = String::from_utf8_lossy(&text)
        .parse()
        .map_err(|source| ConfigError::NetworkParameters { path: file.to_owned(), source })?;
    let name = &network.name;
    disk::make_folder(&places.networks())?;
    let path = places.added_network(name);
    match disk::create_private(&path, &text) {
        Err(error) if error.is_exists() => {
            let found = network_of(&path.to_string_lossy())?;
            if found.genesis_id() != network.genesis_id() {
                let genesis = found.genesis_id().to_string();
                return Err(AddError::Taken { name: name.clone(), genesis }.into());
            }
            output.note(format_args!("{name} was added before"));
        }
        other => {
            other?;
            output.note(format_args!("--network {name} names it from now on; network use {name} chooses it for good"));
        }
    }
    Ok(output.data(&NetworkView::new(&network, "added", Some(path), None))?)
}
