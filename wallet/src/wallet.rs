//! One wallet on one network: its folder with keys, contacts and outbox, and what names in it stand for.

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use farthing::{
    Address, Params,
    address::{Bech32mFault, ParseAddressError},
};
use serde::{Deserialize, Serialize};

use crate::{
    config::{ConfigError, Settings},
    contacts::Contacts,
    disk,
    error::{Exit, Explain, Result},
    keystore::{KeyEntry, Keystore, KeystoreError, dev},
    lookalike,
    name::Name,
    outbox::Outbox,
    recipients::Recipients,
};

/// Longest `wallet.toml`.
const MAX_FILE_BYTES: u64 = 64 * 1024;
/// Most keys that are named to choose from.
const MAX_SHOWN: usize = 4;
/// How long another command may hold this wallet up.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why a name or address does not lead to an account.
#[derive(Debug, thiserror::Error)]
pub enum LookupError {
    /// Neither contact nor own key.
    #[error("{name:?} is neither a contact nor a key of this wallet")]
    UnknownName {
        /// The name.
        name: Name,
        /// The contact or key that was probably meant.
        near: Option<Name>,
        /// Whether it is one of the well-known accounts of a development network.
        well_known: bool,
    },
    /// Contact and key, with different addresses.
    #[error("{name:?} is both a contact ({contact}) and a key of this wallet ({own})")]
    Ambiguous {
        /// The name.
        name: Name,
        /// The contact's address.
        contact: String,
        /// The key's address.
        own: String,
    },
    /// Neither a name nor an address.
    #[error("{text:?} is neither a name nor an address of this network")]
    Malformed {
        /// What was given.
        text: String,
        /// Why it is not an address.
        #[source]
        source: AddressFault,
    },
    /// An address of another network.
    #[error("{text:?} is an address of another network")]
    OtherNetwork {
        /// What was given.
        text: String,
        /// Which one was expected.
        #[source]
        source: ParseAddressError,
    },
    /// No key at all.
    #[error("this wallet has no key yet")]
    NoKeys,
    /// Several keys and no choice.
    #[error("this wallet has {} keys; say which one to use", names.len())]
    SeveralKeys {
        /// Their names.
        names: Vec<Name>,
    },
}

/// What is wrong with an address, for whoever typed or copied it.
#[derive(Debug, thiserror::Error)]
pub enum AddressFault {
    /// It begins well.
    #[error("a character in it is wrong, missing or too many: the checksum does not match")]
    Slip,
    /// It is something else.
    #[error("an address of this network begins with \"{0}1\" and has {length} characters", length = .0.len() + 59)]
    Form(String),
}

impl Explain for LookupError {
    fn code(&self) -> &'static str {
        match self {
            Self::UnknownName { .. } => "UNKNOWN_CONTACT",
            Self::Ambiguous { .. } => "AMBIGUOUS_NAME",
            Self::Malformed { .. } => "BAD_ADDRESS",
            Self::OtherNetwork { .. } => "WRONG_NETWORK",
            Self::NoKeys => "NO_KEYS",
            Self::SeveralKeys { .. } => "WHICH_KEY",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::UnknownName { name, near, well_known } => {
                let meant = near.iter().map(|near| format!("{near}, if you meant that"));
                let import = format!("farthing-wallet key import --dev {name} --no-passphrase, for everybody's {name}");
                let add =
                    [format!("farthing-wallet contact add {name} ADDRESS"), "farthing-wallet contact list".into()];
                meant.chain(well_known.then_some(import)).chain(add).collect()
            }
            Self::Ambiguous { own, contact, .. } => vec![format!("the address itself: {contact} or {own}")],
            Self::Malformed { .. } => vec!["copy the address again, all of it; it is never repaired".into()],
            Self::OtherNetwork { .. } => vec!["ask for an address of this network, or choose another --network".into()],
            Self::NoKeys => vec!["farthing-wallet init".into(), "farthing-wallet key import FILE".into()],
            Self::SeveralKeys { names } => {
                let one = names.iter().take(MAX_SHOWN).map(|name| format!("--account {name}"));
                one.chain(["farthing-wallet config set account NAME, which chooses it for good".into()]).collect()
            }
        }
    }
}

/// `wallet.toml`: ties the folder to its network for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    network: String,
    genesis_id: String,
}

impl Identity {
    fn of(network: &Params) -> Self {
        Self { network: network.name.clone(), genesis_id: network.genesis_id().to_string() }
    }

    fn shown(&self) -> String {
        format!("{} (genesis {})", self.network, self.genesis_id)
    }
}

/// The folder of one network.
#[derive(Debug, Clone)]
pub struct Wallet {
    home: PathBuf,
    network: Arc<Params>,
}

impl Wallet {
    /// Opens the folder that the settings name; it need not exist yet.
    ///
    /// # Errors
    /// [`ConfigError`], above all when the folder is of another network.
    pub fn open(settings: &Settings) -> Result<Self, ConfigError> {
        let wallet = Self { home: settings.home(), network: Arc::clone(settings.network()) };
        wallet.check()?;
        Ok(wallet)
    }

    /// Makes the folder before something is written to it. A second time does nothing.
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn prepare(&self) -> Result<(), ConfigError> {
        disk::make_folder(&self.home)?;
        // What is there needs no room on the disk.
        if self.identity_path().symlink_metadata().is_ok() {
            return self.check();
        }
        let text = toml::to_string(&Identity::of(&self.network)).expect("two texts are always valid TOML");
        match disk::create_private(&self.identity_path(), text.as_bytes()) {
            Err(error) if error.is_exists() => self.check(),
            other => Ok(other?),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let path = self.identity_path();
        let bytes = match disk::read_private(&path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        };
        let found: Identity =
            toml::from_slice(&bytes).map_err(|source| ConfigError::Syntax { path: path.clone(), source })?;
        let expected = Identity::of(&self.network);
        if found != expected {
            let (found, expected) = (found.shown(), expected.shown());
            return Err(ConfigError::OtherNetwork { path: self.home.clone(), found, expected });
        }
        Ok(())
    }

    fn identity_path(&self) -> PathBuf {
        self.home.join("wallet.toml")
    }

    /// The folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Params {
        &self.network
    }

    /// The keys. Only the development network, whose money is worth nothing, lets them lie unencrypted.
    #[must_use]
    pub fn keys(&self) -> Keystore {
        Keystore::new(self.home.join("keys"), self.network.is_dev())
    }

    /// The contacts.
    ///
    /// # Errors
    /// [`crate::contacts::ContactsError`].
    pub fn contacts(&self) -> Result<Contacts> {
        Ok(Contacts::read(self.home.join("contacts.toml"), self.network.prefix.clone())?)
    }

    /// The transfers whose fate is not known yet.
    #[must_use]
    pub fn outbox(&self) -> Outbox {
        Outbox::new(self.home.join("outbox"), *self.network.genesis_id())
    }

    /// Whom this wallet has paid before.
    ///
    /// # Errors
    /// [`disk::DiskError`].
    pub fn recipients(&self) -> Result<Recipients, disk::DiskError> {
        Recipients::read(self.home.join("recipients"))
    }

    /// Waits until no other command changes this wallet; held until dropped.
    ///
    /// # Errors
    /// [`disk::DiskError`].
    pub fn lock(&self) -> Result<File> {
        self.prepare()?;
        Ok(disk::lock(&self.home.join("lock"), PATIENCE, &mut || {})?)
    }

    /// Waits until no other command sends from this wallet, so that no two take the same nonce; held until dropped. Calls
    /// `waiting` if another one does: a person may be thinking about its question.
    ///
    /// # Errors
    /// [`disk::DiskError`].
    pub fn lock_sending(&self, waiting: &mut dyn FnMut()) -> Result<File> {
        self.prepare()?;
        Ok(disk::lock(&self.home.join("sending.lock"), PATIENCE, waiting)?)
    }

    /// An address as this network shows it.
    #[must_use]
    pub fn show(&self, address: &Address) -> String {
        self.network.prefix.format(address)
    }

    /// The key to use: the one named, or the only one. Everybody has the keys of a development network's well-known
    /// accounts: they count only if there is no other.
    ///
    /// # Errors
    /// [`LookupError::NoKeys`], [`LookupError::SeveralKeys`] and those of the keystore.
    pub fn own_key(&self, name: Option<&Name>) -> Result<KeyEntry> {
        if let Some(name) = name {
            return Ok(self.keys().entry(name)?);
        }
        let mut entries = self.keys().list()?;
        let is_well_known = |entry: &KeyEntry| self.network.is_dev() && dev::is_well_known(&entry.public);
        if entries.iter().filter(|entry| !is_well_known(entry)).count() == 1 {
            entries.retain(|entry| !is_well_known(entry));
        }
        match (entries.pop(), entries.is_empty()) {
            (None, _) => Err(LookupError::NoKeys.into()),
            (Some(only), true) => Ok(only),
            (Some(last), false) => {
                let names = entries.into_iter().chain([last]).map(|entry| entry.name).collect();
                Err(LookupError::SeveralKeys { names }.into())
            }
        }
    }

    /// The account that a person means: an address, a contact's name or a key's name.
    ///
    /// # Errors
    /// [`LookupError`] and those of contacts and keystore.
    pub fn find(&self, text: &str) -> Result<Address> {
        let name = match text.parse::<Name>() {
            Ok(name) if !self.looks_like_address(text) => name,
            _ => return Ok(self.parse_address(text)?),
        };
        let contact = self.contacts()?.get(&name);
        let own = match self.keys().entry(&name) {
            Ok(entry) => Some(entry.public.address()),
            Err(KeystoreError::NotFound { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        match (contact, own) {
            (Some(contact), Some(own)) if contact != own => {
                let (contact, own) = (self.show(&contact), self.show(&own));
                Err(LookupError::Ambiguous { name, contact, own }.into())
            }
            (Some(address), _) | (None, Some(address)) => Ok(address),
            (None, None) => Err(self.unknown(name)?.into()),
        }
    }

    /// What there is to say of a name that leads nowhere.
    fn unknown(&self, name: Name) -> Result<LookupError> {
        let keys = self.keys().list()?;
        let contacts = self.contacts()?;
        let known = keys.iter().map(|key| &key.name).chain(contacts.iter().map(|(name, _)| name));
        let near = lookalike::nearest(name.as_str(), known.map(Name::as_str)).and_then(|near| near.parse().ok());
        let well_known = self.network.is_dev() && dev::names().any(|known| known == name.as_str());
        Ok(LookupError::UnknownName { name, near, well_known })
    }

    /// Whether a text is meant as an address, even if it is cut short.
    #[must_use]
    pub fn looks_like_address(&self, text: &str) -> bool {
        let lower = text.to_lowercase();
        lower.strip_prefix(self.network.prefix.as_str()).is_some_and(|rest| rest.starts_with('1'))
    }

    /// Reads an address of this network.
    ///
    /// # Errors
    /// [`LookupError::Malformed`] and [`LookupError::OtherNetwork`].
    pub fn parse_address(&self, text: &str) -> Result<Address, LookupError> {
        self.network.prefix.parse(text).map_err(|source| {
            let text = text.chars().take(100).collect();
            match source {
                ParseAddressError::WrongPrefix { .. } => LookupError::OtherNetwork { text, source },
                ParseAddressError::NotBech32m { reason: Bech32mFault::Form(_), expected, .. } => {
                    LookupError::Malformed { text, source: AddressFault::Form(expected) }
                }
                _ => LookupError::Malformed { text, source: AddressFault::Slip },
            }
        })
    }

    /// What this wallet calls an address, if it has a name for it.
    ///
    /// # Errors
    /// Those of contacts and keystore.
    pub fn name_of(&self, address: &Address) -> Result<Option<Name>> {
        if let Some(own) = self.keys().list()?.into_iter().find(|entry| entry.public.address() == *address) {
            return Ok(Some(own.name));
        }
        Ok(self.contacts()?.name_of(address).cloned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Choices,
        keystore::{Seal, dev},
    };

    fn wallet(root: &Path, network: &str) -> Wallet {
        let choices = Choices { network: Some(network.into()), nodes: Vec::new(), wallet_dir: Some(root.to_owned()) };
        Wallet::open(&Settings::resolve(&choices, |_| None).unwrap()).unwrap()
    }

    fn add(wallet: &Wallet, name: &str) -> Address {
        let name = name.parse().unwrap();
        wallet.keys().create(&name, &dev::key(&name).unwrap(), Seal::Plain).unwrap().public.address()
    }

    #[test]
    fn networks_do_not_share_keys() {
        let root = tempfile::tempdir().unwrap();
        let dev = wallet(root.path(), "dev");
        dev.prepare().unwrap();
        add(&dev, "alice");
        assert!(wallet(root.path(), "main").keys().list().unwrap().is_empty());
        assert_eq!(dev.keys().list().unwrap().len(), 1);
    }

    #[test]
    fn a_folder_of_another_genesis_is_refused_by_name() {
        let root = tempfile::tempdir().unwrap();
        let dev = wallet(root.path(), "dev");
        dev.prepare().unwrap();
        dev.prepare().unwrap();
        let text = std::fs::read_to_string(dev.identity_path()).unwrap();
        std::fs::write(dev.identity_path(), text.replace("genesis_id = \"", "genesis_id = \"0")).unwrap();
        let error = dev.prepare().unwrap_err();
        assert_eq!(error.code(), "OTHER_NETWORK");
    }

    #[test]
    fn the_only_key_needs_no_name_and_several_do() {
        let root = tempfile::tempdir().unwrap();
        let wallet = wallet(root.path(), "dev");
        assert_eq!(wallet.own_key(None).unwrap_err().code(), "NO_KEYS");
        add(&wallet, "alice");
        assert_eq!(wallet.own_key(None).unwrap().name.as_str(), "alice");
        add(&wallet, "bob");
        let error = wallet.own_key(None).unwrap_err();
        assert_eq!(error.code(), "WHICH_KEY");
        assert_eq!(error.report().tries[..2], ["--account alice", "--account bob"]);
        assert_eq!(wallet.own_key(Some(&"bob".parse().unwrap())).unwrap().name.as_str(), "bob");
    }

    #[test]
    fn everybodys_keys_do_not_stand_in_the_way_of_the_only_one_of_ones_own() {
        let root = tempfile::tempdir().unwrap();
        let wallet = wallet(root.path(), "dev");
        add(&wallet, "alice");
        let create = |name: &str, pem: &[u8]| {
            let never = &mut || unreachable!("it is not encrypted");
            let key = crate::keystore::read_key(pem, never).unwrap();
            wallet.keys().create(&name.parse().unwrap(), &key, Seal::Plain).unwrap();
        };
        create("me", include_bytes!("../tests/fixtures/pkcs8_2048.pem"));
        assert_eq!(wallet.own_key(None).unwrap().name.as_str(), "me");
        create("shop", include_bytes!("../tests/fixtures/pkcs8_3072.pem"));
        assert_eq!(wallet.own_key(None).unwrap_err().code(), "WHICH_KEY");
    }

    #[test]
    fn a_slip_of_the_finger_is_told_from_a_stranger() {
        let root = tempfile::tempdir().unwrap();
        let wallet = wallet(root.path(), "dev");
        add(&wallet, "alice");
        let hint = |name: &str| wallet.find(name).unwrap_err().report().tries.remove(0);
        assert_eq!(hint("alcie"), "alice, if you meant that");
        assert_eq!(hint("bob"), "farthing-wallet key import --dev bob --no-passphrase, for everybody's bob");
        assert_eq!(hint("zoe"), "farthing-wallet contact add zoe ADDRESS");
    }

    #[test]
    fn people_are_found_by_contact_key_or_address() {
        let root = tempfile::tempdir().unwrap();
        let wallet = wallet(root.path(), "dev");
        let _lock = wallet.lock().unwrap();
        let alice = add(&wallet, "alice");
        let erin = Address::from_bytes([7; 32]);
        wallet.contacts().unwrap().add(&"erin".parse().unwrap(), erin).unwrap();
        assert_eq!(wallet.find("alice").unwrap(), alice);
        assert_eq!(wallet.find("erin").unwrap(), erin);
        assert_eq!(wallet.find(&wallet.show(&erin)).unwrap(), erin);
        assert_eq!(wallet.name_of(&erin).unwrap(), Some("erin".parse().unwrap()));
        assert_eq!(wallet.find("frank").unwrap_err().code(), "UNKNOWN_CONTACT");
        let foreign = farthing::params::Network::Main.params().prefix.format(&erin);
        assert_eq!(wallet.find(&foreign).unwrap_err().code(), "WRONG_NETWORK");
        let mut typo = wallet.show(&erin);
        typo.replace_range(10..11, if &typo[10..11] == "q" { "p" } else { "q" });
        let report = wallet.find(&typo).unwrap_err().report();
        assert_eq!((report.code, report.to_string().matches(typo.as_str()).count()), ("BAD_ADDRESS", 1));
        assert!(report.why.is_some_and(|why| why.contains("checksum")));
        let form = wallet.find("Bob").unwrap_err().report().why.unwrap();
        assert_eq!(form, format!("an address of this network begins with \"dfar1\" and has {} characters", typo.len()));
        wallet.contacts().unwrap().add(&"alice".parse().unwrap(), erin).unwrap();
        assert_eq!(wallet.find("alice").unwrap_err().code(), "AMBIGUOUS_NAME");
    }
}
