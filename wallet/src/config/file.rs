//! `config.toml`: what a person chose once and for all commands.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, TomlError, Value};

use super::{Choices, ConfigError, DEFAULT_NETWORK, DEFAULT_NODE, MAX_FILE_BYTES, Places, network_of, nodes_of};
use crate::{cli::duration, disk, name::Name};

/// Whether results and remarks are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Colour {
    /// On terminals.
    Auto,
    /// Nowhere.
    Never,
}

/// What the file may say. Each of these is a key of [`KEYS`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// A name or a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// A URL, or several with commas between them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// The account of commands that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How many nodes must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum: Option<u8>,
    /// How long to wait for a confirmation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// The most, in far, that the miner of a transfer may get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fee: Option<String>,
    /// The least work of a chain that is believed, in attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum_work: Option<String>,
    /// Whether there are colours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<Colour>,
}

impl ConfigFile {
    /// Reads it; empty if there is none.
    ///
    /// # Errors
    /// [`ConfigError::Disk`] and [`ConfigError::Syntax`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = match disk::read_any(path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(Self::default()),
            other => other?,
        };
        toml::from_slice(&bytes).map_err(|source| ConfigError::Syntax { path: path.to_owned(), source })
    }

    /// Writes it if there is none yet; tells whether it did.
    ///
    /// # Errors
    /// [`ConfigError::Disk`].
    pub fn create(&self, path: &Path) -> Result<bool, ConfigError> {
        let text = toml::to_string(self).expect("texts are always valid TOML");
        make_folder_of(path)?;
        match disk::create_private(path, text.as_bytes()) {
            Ok(()) => Ok(true),
            Err(error) if error.is_exists() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the settings keep colours away. What is wrong with the settings is told elsewhere.
pub fn forbids_colours(choices: &Choices, variable: impl Fn(&str) -> Option<PathBuf>) -> bool {
    let places = Places::find(choices.wallet_dir.as_deref(), variable).ok();
    let file = places.and_then(|places| ConfigFile::read(&places.config).ok());
    file.and_then(|file| file.color) == Some(Colour::Never)
}

/// Something that can be chosen in the file.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// What it decides.
    pub what: &'static str,
    /// What holds when nothing is said, if anything does.
    pub default: Option<&'static str>,
    /// Reads what a person typed, or says what is wrong with it.
    check: fn(&str) -> Result<Value, ConfigError>,
}

/// Everything that can be chosen in the file.
pub const KEYS: &[Key] = &[
    Key {
        name: "network",
        what: "main, test, dev, or the file of a private network",
        default: Some(DEFAULT_NETWORK),
        check: network,
    },
    Key {
        name: "node",
        what: "the node to ask; several with commas between them",
        default: Some(DEFAULT_NODE),
        check: |text| nodes_of(text.split(',')).map(|_| text.into()),
    },
    Key {
        name: "account",
        what: "the account of commands that name none",
        default: None,
        check: |text| text.parse::<Name>().map(|_| text.into()).map_err(|source| bad("account", text, source)),
    },
    Key {
        name: "quorum",
        what: "how many of the nodes must prove an account on the same chain",
        default: None,
        check: |text| match text.parse::<u8>() {
            Ok(number @ 1..) => Ok(i64::from(number).into()),
            _ => Err(bad("quorum", text, "expected a number from 1 to the number of nodes")),
        },
    },
    Key {
        name: "timeout",
        what: "how long to wait for a confirmation, such as 90s or 10m",
        default: Some("10m"),
        check: |text| match duration::parse(text) {
            // With its unit, so that nobody takes seconds for minutes.
            Ok(time) => Ok(humantime::format_duration(time).to_string().replace(' ', "").into()),
            Err(why) => Err(bad("timeout", text, why)),
        },
    },
    Key {
        name: "max_fee",
        what: "the most in far that a transfer pays to the miner, beside what opening accounts costs",
        default: Some("0.05"),
        check: |text| text.parse::<farthing::Mites>().map(|_| text.into()).map_err(|why| bad("max_fee", text, why)),
    },
    Key {
        name: "minimum_work",
        what: "the least work in attempts of a chain of the network set here that is believed; status shows a chain's",
        default: None,
        check: |text| text.parse::<u128>().map(|_| text.into()).map_err(|why| bad("minimum_work", text, why)),
    },
    Key {
        name: "color",
        what: "auto, which is on terminals, or never",
        default: Some("auto"),
        check: |text| match text {
            "auto" | "never" => Ok(text.into()),
            _ => Err(bad("color", text, "expected auto or never")),
        },
    },
];

/// The file's path may be relative to where the command was started; the setting must not be.
fn network(text: &str) -> Result<Value, ConfigError> {
    network_of(text)?;
    let file = std::fs::canonicalize(text).ok().filter(|_| farthing::params::Network::by_name(text).is_none());
    Ok(file.map_or_else(|| text.to_owned(), |file| file.to_string_lossy().into_owned()).into())
}

fn bad(key: &'static str, value: &str, why: impl ToString) -> ConfigError {
    ConfigError::Value { key, value: value.chars().take(200).collect(), why: why.to_string() }
}

/// The key of that name, which may be spelt as its flag is.
///
/// # Errors
/// [`ConfigError::UnknownKey`].
pub fn key(name: &str) -> Result<&'static Key, ConfigError> {
    let spelt = name.replace('-', "_").replace("colour", "color");
    KEYS.iter().find(|key| key.name == spelt).ok_or_else(|| ConfigError::UnknownKey(name.chars().take(100).collect()))
}

/// The file as it stands, comments and all, for changing it.
#[derive(Debug)]
pub struct Draft(DocumentMut);

impl Draft {
    /// Reads it, unknown keys included; empty if there is none.
    ///
    /// # Errors
    /// [`ConfigError::Disk`] and [`ConfigError::Edit`].
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let bytes = match disk::read_any(path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(Self(DocumentMut::new())),
            other => other?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let document = text.parse().map_err(|source: TomlError| ConfigError::Edit { path: path.to_owned(), source })?;
        Ok(Self(document))
    }

    /// What it says under a key, as one would type it.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<String> {
        let value = self.0.get(key.name)?.as_value()?;
        Some(value.as_str().map_or_else(|| value.to_string().trim().to_owned(), str::to_owned))
    }

    /// Keys in it that mean nothing to this wallet.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        let names = self.0.iter().map(|(name, _)| name.to_owned());
        names.filter(|name| KEYS.iter().all(|key| key.name != name)).collect()
    }

    /// Changes a key, and gives the value as it is written.
    ///
    /// # Errors
    /// What is wrong with the value.
    pub fn set(&mut self, key: &Key, text: &str) -> Result<String, ConfigError> {
        let mut value = (key.check)(text.trim())?;
        // A remark behind the old value stays.
        if let Some(old) = self.0.get(key.name).and_then(Item::as_value) {
            *value.decor_mut() = old.decor().clone();
        }
        self.0[key.name] = Item::Value(value);
        Ok(self.get(key).unwrap_or_default())
    }

    /// Takes a key out; tells whether it was there.
    pub fn unset(&mut self, key: &Key) -> bool {
        self.0.remove(key.name).is_some()
    }

    /// Writes it in one step; where a link points, if the path is one.
    ///
    /// # Errors
    /// [`ConfigError::Disk`].
    pub fn write(&self, path: &Path) -> Result<(), ConfigError> {
        make_folder_of(path)?;
        let target = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        Ok(disk::replace_private(&target, self.0.to_string().as_bytes())?)
    }
}

/// Makes the folder that a file is in.
///
/// # Errors
/// [`ConfigError::Disk`].
pub fn make_folder_of(path: &Path) -> Result<(), ConfigError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => Ok(disk::make_folder(folder)?),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Explain as _;

    #[test]
    fn every_field_of_the_file_has_a_key_and_every_key_a_field() {
        let value = |key: &Key| match key.name {
            "quorum" => "1",
            "color" => "\"never\"",
            _ => "\"x\"",
        };
        let text: String = KEYS.iter().map(|key| format!("{} = {}\n", key.name, value(key))).collect();
        let file: ConfigFile = toml::from_str(&text).unwrap();
        let back: toml::Table = toml::from_str(&toml::to_string(&file).unwrap()).unwrap();
        assert_eq!(back.len(), KEYS.len());
    }

    #[test]
    fn a_change_leaves_comments_order_and_unknown_keys_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.toml");
        std::fs::write(&path, "# mine\nfuture = [1, 2]\nnetwork = \"dev\" # for now\n").unwrap();
        let mut draft = Draft::read(&path).unwrap();
        assert_eq!(draft.unknown(), ["future"]);
        draft.set(key("network").unwrap(), "test").unwrap();
        draft.set(key("account").unwrap(), "anna").unwrap();
        assert!(!draft.unset(key("node").unwrap()));
        draft.write(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "# mine\nfuture = [1, 2]\nnetwork = \"test\" # for now\naccount = \"anna\"\n");
    }

    #[test]
    fn values_that_could_not_be_used_are_refused() {
        let mut draft = Draft(DocumentMut::new());
        for (name, value, code) in [
            ("network", "mian", "BAD_NETWORK"),
            ("node", "localhost:1", "BAD_NODE_URL"),
            ("node", "http://a:1,", "BAD_NODE_URL"),
            ("account", "Anna", "BAD_SETTING"),
            ("timeout", "soon", "BAD_SETTING"),
            ("quorum", "0", "BAD_SETTING"),
            ("color", "green", "BAD_SETTING"),
        ] {
            assert_eq!(draft.set(key(name).unwrap(), value).unwrap_err().code(), code, "{name} {value}");
        }
        assert_eq!(key("netwrok").unwrap_err().code(), "UNKNOWN_SETTING");
        assert_eq!(draft.set(key("timeout").unwrap(), "90").unwrap(), "1m30s");
        assert_eq!(draft.set(key("max-fee").unwrap(), "0.1").unwrap(), "0.1");
        assert_eq!(draft.set(key("colour").unwrap(), "never").unwrap(), "never");
        assert_eq!(key("max_fees").unwrap_err().tries()[0], "max_fee, if you meant that");
        assert_eq!(draft.set(key("quorum").unwrap(), "2").unwrap(), "2");
    }

    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (path, target) = (folder.path().join("config.toml"), folder.path().join("dotfile"));
        std::fs::write(&target, "").unwrap();
        std::os::unix::fs::symlink(&target, &path).unwrap();
        let mut draft = Draft::read(&path).unwrap();
        draft.set(key("network").unwrap(), "dev").unwrap();
        draft.write(&path).unwrap();
        assert!(path.is_symlink());
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "network = \"dev\"\n");
    }
}
