//! Collects the options from flags, environment and file, the first of them winning, and remembers the origin of each.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    path::{Path, PathBuf},
};

use clap::{ArgMatches, parser::ValueSource};
use toml::{Value, de::DeTable};

use super::{
    ConfigError,
    options::{CONFIG, Kind, OPTIONS, Opt, find},
};
use crate::env::{Disk, disk::read_whole};

/// A configuration file larger than this is a mistake.
const MAX_FILE_BYTES: u64 = 1 << 20;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A line of the file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// The command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// The text of an option and its origin.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
}

/// All options that have a value.
#[derive(Debug)]
pub(super) struct Settings(BTreeMap<&'static str, Setting>);

impl Settings {
    pub(super) fn collect(
        matches: &ArgMatches,
        variables: &BTreeMap<OsString, OsString>,
        disk: &dyn Disk,
    ) -> Result<Self, ConfigError> {
        let mut settings = BTreeMap::new();
        for option in OPTIONS {
            if let Some(default) = option.default {
                settings.insert(option.name, Setting { values: vec![default.to_owned()], origin: Origin::Default });
            }
        }
        let file = matches.get_one::<String>(CONFIG).map(PathBuf::from);
        let file = file.or_else(|| variables.get(&OsString::from("FARTHING_CONFIG")).map(PathBuf::from));
        if let Some(path) = file {
            settings.extend(from_file(&path, disk)?);
        }
        for option in OPTIONS {
            if let Some(setting) = from_environment(option, variables)? {
                settings.insert(option.name, setting);
            }
            if let Some(setting) = from_flags(option, matches) {
                settings.insert(option.name, setting);
            }
        }
        Ok(Self(settings))
    }

    pub(super) fn get(&self, name: &str) -> Option<&Setting> {
        self.0.get(name)
    }

    /// Adds a value that is made from others.
    pub(super) fn set_default(&mut self, name: &'static str, value: String) {
        self.0.entry(name).or_insert(Setting { values: vec![value], origin: Origin::Default });
    }

    /// The effective configuration as a file that can be read again.
    pub(super) fn print(&self) -> String {
        let mut text = String::new();
        for option in OPTIONS {
            match self.get(option.name) {
                None => text.push_str(&format!("# {} is not set\n", option.name)),
                Some(Setting { values, origin }) => {
                    text.push_str(&format!("{} = {}  # {origin}\n", option.name, toml_value(option.kind, values)));
                }
            }
        }
        text
    }
}

fn toml_value(kind: Kind, values: &[String]) -> Value {
    let first = values.first().cloned().unwrap_or_default();
    match kind {
        Kind::List => Value::Array(values.iter().cloned().map(Value::String).collect()),
        Kind::Text => Value::String(first),
        Kind::Number => first.parse().map_or(Value::String(first), Value::Integer),
        Kind::Switch => Value::Boolean(first == "true"),
    }
}

fn from_flags(option: &Opt, matches: &ArgMatches) -> Option<Setting> {
    if matches.value_source(option.name) != Some(ValueSource::CommandLine) {
        return None;
    }
    let values = matches.get_many::<String>(option.name)?.cloned().collect();
    Some(Setting { values, origin: Origin::Flag(option.name) })
}

fn from_environment(option: &Opt, variables: &BTreeMap<OsString, OsString>) -> Result<Option<Setting>, ConfigError> {
    let name = option.variable();
    let Some(value) = variables.get(&OsString::from(&name)) else { return Ok(None) };
    let value = value.to_str().ok_or_else(|| ConfigError::NotUnicode { variable: name.clone() })?;
    let values = match option.kind {
        Kind::List => value.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
        Kind::Text | Kind::Number | Kind::Switch => vec![value.to_owned()],
    };
    Ok(Some(Setting { values, origin: Origin::Environment(name) }))
}

fn from_file(path: &Path, disk: &dyn Disk) -> Result<Vec<(&'static str, Setting)>, ConfigError> {
    let unreadable = |source| ConfigError::ReadFile { path: path.to_owned(), source };
    let bytes = read_whole(disk, path, MAX_FILE_BYTES).map_err(unreadable)?;
    let text = String::from_utf8(bytes).map_err(|error| unreadable(std::io::Error::other(error)))?;
    let line_at = |offset: usize| 1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count();
    let broken = |error: toml::de::Error| ConfigError::Toml {
        path: path.to_owned(),
        line: line_at(error.span().map_or(0, |span| span.start)),
        message: error.message().to_owned(),
    };
    let spans = DeTable::parse(&text).map_err(broken)?;
    let values: toml::Table = toml::from_str(&text).map_err(broken)?;
    let mut settings = Vec::new();
    for key in spans.get_ref().keys() {
        let (name, line) = (key.get_ref().as_ref(), line_at(key.span().start));
        let path = path.to_owned();
        let Some(option) = find(name) else {
            return Err(ConfigError::UnknownKey { path, line, key: name.to_owned() });
        };
        let value = values.get(name).and_then(|value| texts(option.kind, value)).ok_or_else(|| {
            ConfigError::WrongType { path: path.clone(), line, key: option.name, expected: option.kind.expected() }
        })?;
        settings.push((option.name, Setting { values: value, origin: Origin::File { path, line } }));
    }
    Ok(settings)
}

impl Kind {
    fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text in quotes",
            Self::Number => "a number",
            Self::Switch => "true or false",
            Self::List => "an array of texts",
        }
    }
}

fn texts(kind: Kind, value: &Value) -> Option<Vec<String>> {
    match (kind, value) {
        (Kind::Text, Value::String(text)) => Some(vec![text.clone()]),
        (Kind::Number, Value::Integer(number)) => Some(vec![number.to_string()]),
        (Kind::Switch, Value::Boolean(switch)) => Some(vec![switch.to_string()]),
        (Kind::List, Value::Array(items)) => items.iter().map(|item| item.as_str().map(str::to_owned)).collect(),
        _ => None,
    }
}
