//! The keys of one wallet on one network: a private folder with one PEM file an account.
//!
//! A file holds the private key as encrypted PKCS#8 and, behind it, its public half, so that addresses can be shown
//! without a passphrase. `openssl pkey` and `ssh-keygen -y` open it. It is made once and never overwritten.

pub mod dev;
mod import;
mod pem;
mod pkcs8;
mod secret;
mod signer;

use std::{
    fs,
    path::{Path, PathBuf},
};

use farthing::{PublicKey, keys::KeyError};
use rand_core::OsRng;
use zeroize::Zeroizing;

pub use self::{
    import::{ImportError, MAX_KEY_FILE_BYTES, read_key},
    pem::PemError,
    pkcs8::UnlockError,
    secret::{SecretKey, SecretKeyError},
    signer::{FileSigner, SignError, Signer},
};
use crate::{
    disk::{self, DiskError},
    error::{Exit, Explain},
    name::Name,
    passphrase::{Passphrase, PassphraseError},
};

/// How a key lies on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Seal<'a> {
    /// Encrypted under a passphrase.
    Passphrase(&'a Passphrase),
    /// As it is: for development networks only, whose money is worth nothing.
    Plain,
}

/// Why the keystore did not do it.
#[derive(Debug, thiserror::Error)]
pub enum KeystoreError {
    /// No such account.
    #[error("this wallet has no key named {name:?}")]
    NotFound {
        /// The name.
        name: Name,
        /// The names that it has.
        known: Vec<Name>,
    },
    /// The name is taken.
    #[error("this wallet already has a key named {name:?}; keys are never overwritten")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// The same key under another name.
    #[error("this wallet already has that key, under the name {name:?}")]
    KeyTaken {
        /// The other name.
        name: Name,
    },
    /// An unencrypted key where that is not allowed.
    #[error("the key {name:?} lies unencrypted in {}; that is allowed on a development network only", path.display())]
    Unencrypted {
        /// The name.
        name: Name,
        /// Its file.
        path: PathBuf,
    },
    /// The file's two halves are of different keys.
    #[error("the public half in {} does not belong to its private key; someone changed the file", path.display())]
    Tampered {
        /// The file.
        path: PathBuf,
    },
    /// The public half breaks a rule.
    #[error("the public half in {} is not a Farthing key", path.display())]
    Public {
        /// The file.
        path: PathBuf,
        /// The rule.
        #[source]
        source: KeyError,
    },
    /// A file in the folder that cannot be a key.
    #[error("{} is not named like a key file (NAME.pem)", path.display())]
    StrangeFile {
        /// The file.
        path: PathBuf,
    },
    /// The key cannot be read or opened.
    #[error("cannot open the key {name:?}: {source}")]
    Open {
        /// The name.
        name: Name,
        /// Why.
        source: ImportError,
    },
    /// The key could not be written down.
    #[error(transparent)]
    Secret(#[from] SecretKeyError),
    /// A file or folder is not as it should be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for KeystoreError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "KEY_NOT_FOUND",
            Self::NameTaken { .. } => "KEY_NAME_TAKEN",
            Self::KeyTaken { .. } => "KEY_TAKEN",
            Self::Unencrypted { .. } => "KEY_UNENCRYPTED",
            Self::Tampered { .. } => "KEY_TAMPERED",
            Self::Public { .. } => "KEY_UNUSABLE",
            Self::StrangeFile { .. } => "KEY_FILE_NAME",
            Self::Open { source, .. } => source.code(),
            Self::Secret(error) => error.code(),
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } | Self::NameTaken { .. } | Self::KeyTaken { .. } => Exit::Usage,
            Self::Open { source, .. } => source.exit(),
            _ => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NotFound { name, known } if known.is_empty() => vec![format!("farthing-wallet key new {name}")],
            Self::NotFound { name, known } => {
                let known: Vec<&str> = known.iter().map(Name::as_str).collect();
                vec![format!("one of: {}", known.join(", ")), format!("farthing-wallet key new {name}")]
            }
            Self::NameTaken { .. } => vec!["another name".into(), "farthing-wallet key list".into()],
            Self::Unencrypted { name, path } => {
                vec![format!(
                    "move '{0}' away, then: farthing-wallet key import {name}.pem --name {name}",
                    path.display()
                )]
            }
            Self::Open { source, .. } => source.tries(),
            Self::KeyTaken { name } => {
                vec![format!("use it as it is: --account {name}"), "farthing-wallet key list".into()]
            }
            Self::Tampered { path } | Self::Public { path, .. } => {
                vec![format!(
                    "put your copy of '{0}' back; do not pay to the address that it shows now",
                    path.display()
                )]
            }
            Self::StrangeFile { path } => {
                vec![format!("move '{}' out of the folder; only key files belong there", path.display())]
            }
            Self::Secret(error) => error.tries(),
            Self::Disk(error) => error.tries(),
        }
    }
}

/// What is known of a key without its passphrase.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// The account's name.
    pub name: Name,
    /// The public half.
    pub public: PublicKey,
    /// Whether signing takes a passphrase.
    pub encrypted: bool,
}

/// The folder with the keys.
#[derive(Debug, Clone)]
pub struct Keystore {
    folder: PathBuf,
    plain_allowed: bool,
}

impl Keystore {
    /// Names the folder; nothing is read yet. `plain_allowed` on development networks only.
    #[must_use]
    pub const fn new(folder: PathBuf, plain_allowed: bool) -> Self {
        Self { folder, plain_allowed }
    }

    /// Writes a new key.
    ///
    /// # Errors
    /// [`KeystoreError::NameTaken`], [`KeystoreError::KeyTaken`], [`KeystoreError::Unencrypted`],
    /// [`KeystoreError::Disk`], [`KeystoreError::Secret`].
    pub fn create(&self, name: &Name, key: &SecretKey, seal: Seal<'_>) -> Result<KeyEntry, KeystoreError> {
        disk::make_folder(&self.folder)?;
        let path = self.path(name);
        if let Some(entry) = self.list()?.into_iter().find(|entry| entry.public == *key.public()) {
            return Err(KeystoreError::KeyTaken { name: entry.name });
        }
        let (label, der, encrypted) = match seal {
            Seal::Passphrase(passphrase) => (pem::ENCRYPTED, pkcs8::encrypt(key, passphrase, &mut OsRng)?, true),
            Seal::Plain if self.plain_allowed => (pem::PRIVATE, key.to_pkcs8()?, false),
            Seal::Plain => return Err(KeystoreError::Unencrypted { name: name.clone(), path }),
        };
        let private = pem::write(label, der.as_bytes());
        let public = pem::write(pem::PUBLIC, key.public().as_spki());
        let mut text = Zeroizing::new(String::with_capacity(private.len() + public.len()));
        text.push_str(&private);
        text.push_str(&public);
        disk::create_private(&path, text.as_bytes()).map_err(|error| {
            if error.is_exists() { KeystoreError::NameTaken { name: name.clone() } } else { error.into() }
        })?;
        Ok(KeyEntry { name: name.clone(), public: key.public().clone(), encrypted })
    }

    /// All keys, by name.
    ///
    /// # Errors
    /// [`KeystoreError::Disk`], [`KeystoreError::StrangeFile`], [`KeystoreError::Open`], [`KeystoreError::Public`].
    pub fn list(&self) -> Result<Vec<KeyEntry>, KeystoreError> {
        self.names()?.into_iter().map(|name| self.entry(&name)).collect()
    }

    /// One key.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`], [`KeystoreError::Disk`], [`KeystoreError::Open`], [`KeystoreError::Public`],
    /// [`KeystoreError::Unencrypted`].
    pub fn entry(&self, name: &Name) -> Result<KeyEntry, KeystoreError> {
        let file = self.read(name)?;
        let encrypted = file.is_encrypted();
        let public = match &file.public {
            Some(spki) => {
                PublicKey::from_spki(spki).map_err(|source| KeystoreError::Public { path: self.path(name), source })?
            }
            // Rewritten by another program, which kept the private half only.
            None if !encrypted => self.open(name, &file, &mut || Err(PassphraseError::NoTerminal))?.public().clone(),
            None => {
                let reason = "its public half is missing; move it away and import it again".to_owned();
                let label = file.private.label;
                let source = ImportError::Damaged { label, reason };
                return Err(KeystoreError::Open { name: name.clone(), source });
            }
        };
        Ok(KeyEntry { name: name.clone(), public, encrypted })
    }

    /// Whether there is a key of that name.
    #[must_use]
    pub fn contains(&self, name: &Name) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Opens a key; asks for its passphrase only if it has one.
    ///
    /// # Errors
    /// As [`Keystore::entry`], and [`KeystoreError::Tampered`].
    pub fn unlock(
        &self,
        name: &Name,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<SecretKey, KeystoreError> {
        let file = self.read(name)?;
        self.open(name, &file, ask)
    }

    /// The private key as it lies on the disk, encrypted.
    ///
    /// # Errors
    /// As [`Keystore::entry`]; [`KeystoreError::Unencrypted`] if it is not encrypted.
    pub fn export_sealed(&self, name: &Name) -> Result<Zeroizing<String>, KeystoreError> {
        let file = self.read(name)?;
        if !file.is_encrypted() {
            return Err(KeystoreError::Unencrypted { name: name.clone(), path: self.path(name) });
        }
        Ok(pem::write(&file.private.label, &file.private.der))
    }

    fn open(
        &self,
        name: &Name,
        file: &import::KeyFile,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<SecretKey, KeystoreError> {
        let key = file.open(ask).map_err(|source| KeystoreError::Open { name: name.clone(), source })?;
        match &file.public {
            Some(spki) if spki != key.public().as_spki() => Err(KeystoreError::Tampered { path: self.path(name) }),
            _ => Ok(key),
        }
    }

    fn read(&self, name: &Name) -> Result<import::KeyFile, KeystoreError> {
        let path = self.path(name);
        let missing = |error: DiskError| match error.is_missing() {
            true => KeystoreError::NotFound { name: name.clone(), known: self.names().unwrap_or_default() },
            false => error.into(),
        };
        disk::check_folder(&self.folder).map_err(missing)?;
        let bytes = disk::read_private(&path, MAX_KEY_FILE_BYTES).map_err(missing)?;
        let file =
            import::KeyFile::parse(&bytes).map_err(|source| KeystoreError::Open { name: name.clone(), source })?;
        if !file.is_encrypted() && !self.plain_allowed {
            return Err(KeystoreError::Unencrypted { name: name.clone(), path });
        }
        Ok(file)
    }

    fn names(&self) -> Result<Vec<Name>, KeystoreError> {
        match disk::check_folder(&self.folder) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            other => other?,
        }
        let unreadable = |source| DiskError::Io { action: "list", path: self.folder.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            // Drafts of interrupted writes and editors' leftovers are not keys.
            if path.file_name().is_some_and(|file| file.as_encoded_bytes().starts_with(b".")) {
                continue;
            }
            names.push(name_of(&path).ok_or(KeystoreError::StrangeFile { path })?);
        }
        names.sort();
        Ok(names)
    }

    fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }
}

fn name_of(path: &Path) -> Option<Name> {
    path.file_name()?.to_str()?.strip_suffix(".pem")?.parse().ok()
}

/// A key as PKCS#8 without encryption, for those who insist.
///
/// # Errors
/// [`SecretKeyError`] if it cannot be encoded.
pub fn plain_pem(key: &SecretKey) -> Result<Zeroizing<String>, SecretKeyError> {
    Ok(pem::write(pem::PRIVATE, key.to_pkcs8()?.as_bytes()))
}

/// A public key as `openssl` reads and writes it.
#[must_use]
pub fn public_pem(key: &PublicKey) -> String {
    pem::write(pem::PUBLIC, key.as_spki()).to_string()
}

#[cfg(test)]
mod tests;
