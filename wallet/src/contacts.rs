//! Names for other people's addresses, in one TOML file a network.

use std::{collections::BTreeMap, path::PathBuf};

use farthing::{Address, AddressPrefix, address::ParseAddressError};
use serde::{Deserialize, Serialize};

pub mod import;

use crate::{
    disk::{self, DiskError},
    error::{Exit, Explain},
    lookalike,
    name::Name,
};

/// Longest contacts file: some ten thousand of them.
pub(crate) const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// Why the contacts cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ContactsError {
    /// Not such a file.
    #[error("{} is not a contacts file", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// An address in it is wrong.
    #[error("the address of {name:?} in {} is wrong", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// Whose.
        name: Name,
        /// What is wrong with it.
        #[source]
        source: ParseAddressError,
    },
    /// The name stands for someone else already.
    #[error("the contact {name:?} already stands for {address}")]
    Taken {
        /// The name.
        name: Name,
        /// The address that it stands for.
        address: String,
    },
    /// The name is that of a key here.
    #[error("{name:?} is a key of this wallet, with the address {address}; no contact can have its name")]
    OwnKey {
        /// The name.
        name: Name,
        /// The key's address.
        address: String,
    },
    /// No such contact.
    #[error("there is no contact named {name:?}")]
    NotFound {
        /// The name.
        name: Name,
        /// The contact that was probably meant.
        near: Option<Name>,
    },
    /// The file cannot be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for ContactsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Syntax { .. } | Self::Address { .. } => "BAD_CONTACTS",
            Self::Taken { .. } | Self::OwnKey { .. } => "CONTACT_TAKEN",
            Self::NotFound { .. } => "UNKNOWN_CONTACT",
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Taken { .. } | Self::OwnKey { .. } | Self::NotFound { .. } => Exit::Usage,
            _ => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Taken { name, .. } => {
                vec!["another name".into(), format!("farthing-wallet contact remove {name}, then add it again")]
            }
            Self::OwnKey { name, .. } => {
                vec!["another name".into(), format!("farthing-wallet key rename {name} NEW_NAME, then add it again")]
            }
            Self::NotFound { near, .. } => {
                let meant = near.iter().map(|near| format!("{near}, if you meant that"));
                meant.chain(["farthing-wallet contact list".into()]).collect()
            }
            Self::Disk(error) => error.tries(),
            Self::Syntax { path, .. } | Self::Address { path, .. } => {
                vec![format!("mend '{0}', or move it away and add the contacts again", path.display())]
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    contacts: BTreeMap<Name, String>,
}

/// The contacts of one network, as they were read.
#[derive(Debug)]
pub struct Contacts {
    path: PathBuf,
    prefix: AddressPrefix,
    entries: BTreeMap<Name, Address>,
}

impl Contacts {
    /// Reads the file; no file means no contacts.
    ///
    /// # Errors
    /// [`ContactsError::Syntax`], [`ContactsError::Address`], [`ContactsError::Disk`].
    pub fn read(path: PathBuf, prefix: AddressPrefix) -> Result<Self, ContactsError> {
        let bytes = match disk::read_private(&path, MAX_FILE_BYTES) {
            Err(error) if error.is_missing() => return Ok(Self { path, prefix, entries: BTreeMap::new() }),
            other => other?,
        };
        let file: File = match toml::from_slice(&bytes) {
            Ok(file) => file,
            Err(source) => return Err(ContactsError::Syntax { path, source }),
        };
        let mut entries = BTreeMap::new();
        for (name, text) in file.contacts {
            match prefix.parse(&text) {
                Ok(address) => entries.insert(name, address),
                Err(source) => return Err(ContactsError::Address { path, name, source }),
            };
        }
        Ok(Self { path, prefix, entries })
    }

    /// The address behind a name.
    #[must_use]
    pub fn get(&self, name: &Name) -> Option<Address> {
        self.entries.get(name).copied()
    }

    /// The address behind a name that must be there.
    ///
    /// # Errors
    /// [`ContactsError::NotFound`], with the contact that was probably meant.
    pub fn find(&self, name: &Name) -> Result<Address, ContactsError> {
        self.get(name).ok_or_else(|| {
            let near = lookalike::nearest(name.as_str(), self.entries.keys().map(Name::as_str));
            let near = near.and_then(|near| near.parse().ok());
            ContactsError::NotFound { name: name.clone(), near }
        })
    }

    /// The name of an address.
    #[must_use]
    pub fn name_of(&self, address: &Address) -> Option<&Name> {
        self.entries.iter().find(|(_, known)| *known == address).map(|(name, _)| name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Name, &Address)> {
        self.entries.iter()
    }

    /// Adds one and writes the file; adding the same again changes nothing.
    ///
    /// # Errors
    /// [`ContactsError::Taken`] and [`ContactsError::Disk`].
    pub fn add(&mut self, name: &Name, address: Address) -> Result<(), ContactsError> {
        match self.entries.get(name) {
            Some(known) if *known == address => return Ok(()),
            Some(known) => {
                return Err(ContactsError::Taken { name: name.clone(), address: self.prefix.format(known) });
            }
            None => self.entries.insert(name.clone(), address),
        };
        self.write()
    }

    /// Adds several and writes the file once: all of them, or none.
    ///
    /// # Errors
    /// [`ContactsError::Taken`] and [`ContactsError::Disk`].
    pub fn add_all(&mut self, contacts: &[(Name, Address)]) -> Result<(), ContactsError> {
        let mut entries = self.entries.clone();
        for (name, address) in contacts {
            let known = *entries.entry(name.clone()).or_insert(*address);
            if known != *address {
                return Err(ContactsError::Taken { name: name.clone(), address: self.prefix.format(&known) });
            }
        }
        self.entries = entries;
        self.write()
    }

    /// Gives one another name and writes the file.
    ///
    /// # Errors
    /// [`ContactsError::NotFound`], [`ContactsError::Taken`], [`ContactsError::Disk`].
    pub fn rename(&mut self, from: &Name, to: &Name) -> Result<Address, ContactsError> {
        let address = self.find(from)?;
        match self.get(to) {
            Some(known) if known != address => {
                return Err(ContactsError::Taken { name: to.clone(), address: self.prefix.format(&known) });
            }
            _ => {}
        }
        self.entries.remove(from);
        self.entries.insert(to.clone(), address);
        self.write()?;
        Ok(address)
    }

    /// A contact with another address whose name is easily taken for this one.
    #[must_use]
    pub fn lookalike_of(&self, name: &Name, address: &Address) -> Option<&Name> {
        let is_alike = |(known, other): &(&Name, &Address)| *other != address && lookalike::are_alike(known, name);
        self.entries.iter().find(is_alike).map(|(known, _)| known)
    }

    /// Removes one and writes the file.
    ///
    /// # Errors
    /// [`ContactsError::NotFound`] and [`ContactsError::Disk`].
    pub fn remove(&mut self, name: &Name) -> Result<Address, ContactsError> {
        let address = self.find(name)?;
        self.entries.remove(name);
        self.write()?;
        Ok(address)
    }

    fn write(&self) -> Result<(), ContactsError> {
        let contacts = self.entries.iter().map(|(name, address)| (name.clone(), self.prefix.format(address))).collect();
        let text = toml::to_string(&File { contacts }).expect("a table of texts is always valid TOML");
        Ok(disk::replace_private(&self.path, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix() -> AddressPrefix {
        "dfar".parse().unwrap()
    }

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_added_is_there_next_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contacts.toml");
        let mut contacts = Contacts::read(path.clone(), prefix()).unwrap();
        contacts.add(&name("j.doe"), Address::from_bytes([1; 32])).unwrap();
        contacts.add(&name("ann"), Address::from_bytes([2; 32])).unwrap();
        let again = Contacts::read(path, prefix()).unwrap();
        assert_eq!(again.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["ann", "j.doe"]);
        assert_eq!(again.get(&name("j.doe")), Some(Address::from_bytes([1; 32])));
        assert_eq!(again.name_of(&Address::from_bytes([2; 32])), Some(&name("ann")));
    }

    #[test]
    fn a_name_is_not_turned_to_another_address_silently() {
        let folder = tempfile::tempdir().unwrap();
        let mut contacts = Contacts::read(folder.path().join("contacts.toml"), prefix()).unwrap();
        contacts.add(&name("ann"), Address::from_bytes([2; 32])).unwrap();
        contacts.add(&name("ann"), Address::from_bytes([2; 32])).unwrap();
        let error = contacts.add(&name("ann"), Address::from_bytes([3; 32])).unwrap_err();
        assert_eq!(error.code(), "CONTACT_TAKEN");
        assert_eq!(contacts.get(&name("ann")), Some(Address::from_bytes([2; 32])));
        let slip = contacts.remove(&name("anm")).unwrap_err();
        assert_eq!((slip.code(), slip.tries().remove(0).as_str()), ("UNKNOWN_CONTACT", "ann, if you meant that"));
        contacts.remove(&name("ann")).unwrap();
        assert_eq!(contacts.remove(&name("ann")).unwrap_err().code(), "UNKNOWN_CONTACT");
    }

    #[test]
    fn a_file_with_a_mistake_is_refused_and_the_mistake_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contacts.toml");
        let other: AddressPrefix = "far".parse().unwrap();
        let foreign = format!("[contacts]\nann = \"{}\"\n", other.format(&Address::from_bytes([1; 32])));
        for (text, words) in [
            ("[contact]\n", "not a contacts file"),
            ("[contacts]\n\"../x\" = \"a\"\n", "not a contacts file"),
            ("[contacts]\nann = \"dfar1qqqq\"\n", "address of \"ann\""),
            (foreign.as_str(), "address of \"ann\""),
        ] {
            disk::replace_private(&path, text.as_bytes()).unwrap();
            let error = Contacts::read(path.clone(), prefix()).unwrap_err();
            assert_eq!(error.code(), "BAD_CONTACTS");
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
