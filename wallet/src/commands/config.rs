//! `config ...`. It needs no wallet, so that settings that stop every other command can be mended.

use std::{
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use crate::{
    cli::{ConfigCommand, Global},
    config::{
        Choices, Places, Settings,
        file::{self, Draft, KEYS, Key},
    },
    disk,
    error::Result,
    output::Output,
    wallet::Wallet,
};

/// How long another command may be changing the settings.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Serialize)]
struct SettingView {
    key: &'static str,
    value: Option<String>,
    from: &'static str,
    #[serde(skip)]
    what: &'static str,
}

/// One setting alone: its value and nothing else, for scripts.
#[derive(Serialize)]
#[serde(transparent)]
struct One(SettingView);

impl fmt::Display for One {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.value.as_deref().unwrap_or_default())
    }
}

#[derive(Serialize)]
struct All {
    file: PathBuf,
    settings: Vec<SettingView>,
}

impl fmt::Display for All {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for SettingView { key, value, from, what } in &self.settings {
            writeln!(f, "{key:<12} {:<32} {from:<8} {what}", value.as_deref().unwrap_or("-"))?;
        }
        Ok(())
    }
}

#[derive(Serialize)]
struct PathsView {
    settings: PathBuf,
    wallet: PathBuf,
    network: String,
    keys: PathBuf,
    contacts: PathBuf,
    outbox: PathBuf,
}

impl fmt::Display for PathsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = [
            ("settings", &self.settings),
            ("wallet", &self.wallet),
            ("keys", &self.keys),
            ("contacts", &self.contacts),
            ("outbox", &self.outbox),
        ];
        for (what, path) in places {
            let absent = if path.exists() { "" } else { "  (not there yet)" };
            writeln!(f, "{what:<9} {}{absent}", path.display())?;
        }
        Ok(())
    }
}

/// Runs one of them.
///
/// # Errors
/// A setting or a value that does not exist; a file that cannot be read or written.
pub fn run(
    output: &mut Output,
    global: &Global,
    command: &ConfigCommand,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Result<()> {
    let places = Places::find(global.choices().wallet_dir.as_deref(), &variable)?;
    let path = places.config.clone();
    match command {
        ConfigCommand::Get { key: None } => {
            let draft = Draft::read(&path)?;
            warn_of_unknown(output, &draft, &path);
            let settings = KEYS.iter().map(|key| view(key, &draft, global)).collect();
            Ok(output.data(&All { file: path, settings })?)
        }
        ConfigCommand::Get { key: Some(name) } => {
            let key = file::key(name)?;
            Ok(output.data(&One(view(key, &Draft::read(&path)?, global)))?)
        }
        ConfigCommand::Set { key: name, value } => {
            let key = file::key(name)?;
            let value = if key.name == "network" { &places.network(value) } else { value };
            let value = change(output, &path, |draft| draft.set(key, value))?;
            output.note(format_args!("{} is {value} from now on, in {}", key.name, path.display()));
            if view(key, &Draft::read(&path)?, global).from == "flag" {
                output.warn(format_args!(
                    "a flag or a FARTHING_ variable of this shell goes before the {name} in the file"
                ));
            }
            if let Some(doubt) = doubt(key, &value, &global.choices(), variable) {
                output.warn(doubt);
            }
            Ok(output.data(&One(SettingView { key: key.name, value: Some(value), from: "file", what: key.what }))?)
        }
        ConfigCommand::Unset { key: name } => {
            let key = file::key(name)?;
            let was_there = change(output, &path, |draft| Ok(draft.unset(key)))?;
            let what = if was_there { "is not in" } else { "was not in" };
            output.note(format_args!("{} {what} {} any more", key.name, path.display()));
            Ok(output.data(&One(view(key, &Draft::read(&path)?, global)))?)
        }
        ConfigCommand::Path => {
            let settings = Settings::resolve(&global.choices(), variable)?;
            let home = settings.home();
            let view = PathsView {
                settings: path,
                wallet: places.root,
                network: settings.network().name.clone(),
                keys: home.join("keys"),
                contacts: home.join("contacts.toml"),
                outbox: home.join("outbox"),
            };
            Ok(output.data(&view)?)
        }
    }
}

/// What is doubtful of a setting that could be made: later commands would stumble over it.
fn doubt(key: &Key, value: &str, choices: &Choices, variable: impl Fn(&str) -> Option<PathBuf>) -> Option<String> {
    let settings = Settings::resolve(choices, variable).ok()?;
    match key.name {
        "account" => {
            let wallet = Wallet::open(&settings).ok()?;
            let (name, network) = (value.parse().ok()?, &settings.network().name);
            let is_known = wallet.keys().contains(&name) || wallet.contacts().ok()?.get(&name).is_some();
            (!is_known).then(|| format!("there is neither a key nor a contact {name} on the network {network} yet"))
        }
        "quorum" => {
            let (wanted, nodes) = (settings.quorum()?, settings.nodes().len());
            let text =
                format!("nodes that must agree: {wanted}, nodes to ask: {nodes}; config set node URL,URL names more");
            (usize::from(wanted) > nodes).then_some(text)
        }
        _ => None,
    }
}

/// Uses a network for all later commands.
///
/// # Errors
/// A network that does not exist; a file that cannot be read or written.
pub fn choose_network(output: &mut Output, global: &Global, places: &Places, name: &str) -> Result<()> {
    let key = file::key("network")?;
    let path = &places.config;
    let value = change(output, path, |draft| draft.set(key, &places.network(name)))?;
    output.note(format_args!("network is {value} from now on, in {}", path.display()));
    if view(key, &Draft::read(path)?, global).from == "flag" {
        output.warn("a flag or a FARTHING_ variable of this shell goes before the network in the file");
    }
    Ok(())
}

/// Changes the file while no other command does.
fn change<T>(
    output: &mut Output,
    path: &Path,
    change: impl FnOnce(&mut Draft) -> Result<T, crate::config::ConfigError>,
) -> Result<T> {
    file::make_folder_of(path)?;
    let _lock = disk::lock(&path.with_extension("lock"), PATIENCE, &mut || {})?;
    let mut draft = Draft::read(path)?;
    let outcome = change(&mut draft)?;
    draft.write(path)?;
    warn_of_unknown(output, &draft, path);
    Ok(outcome)
}

fn warn_of_unknown(output: &mut Output, draft: &Draft, path: &Path) {
    let unknown = draft.unknown();
    if !unknown.is_empty() {
        let (names, path) = (unknown.join(", "), path.display());
        output.warn(format_args!("{path} sets what this wallet does not know, which stops other commands: {names}"));
    }
}

/// What holds for commands that are started as this one was.
fn view(key: &'static Key, draft: &Draft, global: &Global) -> SettingView {
    let choices = global.choices();
    let flag = match key.name {
        "network" => choices.network,
        "node" => (!choices.nodes.is_empty()).then(|| choices.nodes.join(",")),
        "account" => global.account().map(str::to_owned),
        "quorum" => global.quorum.map(|number| number.to_string()),
        "timeout" => global.timeout.map(|time| humantime::format_duration(time).to_string().replace(' ', "")),
        "color" => global.no_color.then(|| "never".to_owned()),
        _ => None,
    };
    let default = || (key.default.map(str::to_owned), "default");
    let (value, from) = match (flag, draft.get(key)) {
        (Some(flag), _) => (Some(flag), "flag"),
        (None, Some(value)) => (Some(value), "file"),
        (None, None) => default(),
    };
    SettingView { key: key.name, value, from, what: key.what }
}
