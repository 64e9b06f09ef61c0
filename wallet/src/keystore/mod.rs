//! The keys of one wallet on one network: a private folder with one PEM file an account.
//!
//! A file holds the private key as encrypted PKCS#8 and, behind it, its public half, so that addresses can be shown
//! without a passphrase. `openssl pkey` and `ssh-keygen -y` open it. It is made once and never overwritten.

mod agent;
pub mod dev;
mod error;
mod export;
mod holder;
mod import;
mod legacy;
mod pem;
mod pkcs8;
mod public;
mod secret;
mod signer;
mod token;
mod token_uri;
mod weakness;

use std::{
    fs,
    path::{Path, PathBuf},
};

use farthing::PublicKey;
use rand_core::OsRng;
use zeroize::Zeroizing;

pub use self::{
    agent::{Agent, AgentError, AgentSigner},
    error::KeystoreError,
    export::{ExportError, Format, private_text, public_text},
    holder::{Holder, ParseHolderError},
    import::{ImportError, MAX_KEY_FILE_BYTES, read_key},
    pem::PemError,
    pkcs8::UnlockError,
    public::{fingerprint, read_public},
    secret::{SecretKey, SecretKeyError},
    signer::{FileSigner, SignError, Signer},
    token::{Token, TokenError, TokenSigner},
    token_uri::{ParseUriError, TokenUri},
};
pub(crate) use self::{
    import::guarded,
    public::{from_ssh, to_ssh},
};
use crate::{
    disk::{self, DiskError},
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

/// What is known of a key without its passphrase.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// The account's name.
    pub name: Name,
    /// The public half.
    pub public: PublicKey,
    /// Whether signing takes a passphrase.
    pub encrypted: bool,
    /// Who has the private half.
    pub holder: Holder,
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
        self.check_new(key.public())?;
        let (text, encrypted) = self.sealed_text(name, key, seal)?;
        self.put(name, text.as_bytes())?;
        Ok(KeyEntry { name: name.clone(), public: key.public().clone(), encrypted, holder: Holder::File })
    }

    /// Writes the public half of a key that this wallet does not hold.
    ///
    /// # Errors
    /// [`KeystoreError::NameTaken`], [`KeystoreError::KeyTaken`], [`KeystoreError::Disk`].
    pub fn create_public(&self, name: &Name, public: &PublicKey, holder: Holder) -> Result<KeyEntry, KeystoreError> {
        self.check_new(public)?;
        let text = format!("{}{holder}\n{}", holder::PREFIX, *pem::write(pem::PUBLIC, public.as_spki()));
        self.put(name, text.as_bytes())?;
        Ok(KeyEntry { name: name.clone(), public: public.clone(), encrypted: false, holder })
    }

    /// Writes a key again, under another passphrase. The caller holds the wallet's lock.
    ///
    /// # Errors
    /// [`KeystoreError::Changed`] if the file is of another key by now, [`KeystoreError::Unencrypted`],
    /// [`KeystoreError::Disk`], [`KeystoreError::Secret`], and as [`Keystore::entry`].
    pub fn reseal(&self, name: &Name, key: &SecretKey, seal: Seal<'_>) -> Result<KeyEntry, KeystoreError> {
        let (text, encrypted) = self.sealed_text(name, key, seal)?;
        let entry = KeyEntry { name: name.clone(), public: key.public().clone(), encrypted, holder: Holder::File };
        // It may be the only copy that is replaced: what takes its place must open.
        let again = import::read_key(text.as_bytes(), &mut || match seal {
            Seal::Passphrase(passphrase) => Ok(passphrase.clone()),
            Seal::Plain => Err(PassphraseError::NoTerminal),
        });
        if !again.is_ok_and(|again| again.public() == key.public()) {
            return Err(SecretKeyError::Inconsistent.into());
        }
        self.check_same(&entry)?;
        disk::replace_private(&self.path(name), text.as_bytes())?;
        Ok(entry)
    }

    /// Gives a key another name.
    ///
    /// # Errors
    /// [`KeystoreError::NotFound`], [`KeystoreError::NameTaken`], [`KeystoreError::Disk`].
    pub fn rename(&self, old: &Name, new: &Name) -> Result<KeyEntry, KeystoreError> {
        let entry = self.entry(old)?;
        disk::rename(&self.path(old), &self.path(new)).map_err(|error| taken(new, error))?;
        Ok(KeyEntry { name: new.clone(), ..entry })
    }

    /// Removes a key's file for good, if it is still the one that was looked at. The caller holds the wallet's lock.
    ///
    /// # Errors
    /// [`KeystoreError::Changed`], [`KeystoreError::Disk`], and as [`Keystore::entry`].
    pub fn remove(&self, entry: &KeyEntry) -> Result<(), KeystoreError> {
        self.check_same(entry)?;
        disk::remove(&self.path(&entry.name)).map_err(|error| self.missing(&entry.name, error))
    }

    /// A person may have been asked meanwhile, and another command may have come first.
    fn check_same(&self, entry: &KeyEntry) -> Result<(), KeystoreError> {
        let now = self.entry(&entry.name)?;
        let is_same = now.public == entry.public && now.holder == entry.holder;
        if is_same { Ok(()) } else { Err(KeystoreError::Changed { name: entry.name.clone() }) }
    }

    fn check_new(&self, public: &PublicKey) -> Result<(), KeystoreError> {
        disk::make_folder(&self.folder)?;
        match self.list()?.into_iter().find(|entry| entry.public == *public) {
            Some(entry) => Err(KeystoreError::KeyTaken { name: entry.name, holder: entry.holder }),
            None => Ok(()),
        }
    }

    fn put(&self, name: &Name, text: &[u8]) -> Result<(), KeystoreError> {
        disk::create_private(&self.path(name), text).map_err(|error| taken(name, error))
    }

    fn sealed_text(
        &self,
        name: &Name,
        key: &SecretKey,
        seal: Seal<'_>,
    ) -> Result<(Zeroizing<String>, bool), KeystoreError> {
        let (label, der, encrypted) = match seal {
            Seal::Passphrase(passphrase) => (pem::ENCRYPTED, pkcs8::encrypt(key, passphrase, &mut OsRng)?, true),
            Seal::Plain if self.plain_allowed => (pem::PRIVATE, key.to_pkcs8()?, false),
            Seal::Plain => {
                return Err(KeystoreError::Unencrypted { name: name.clone(), path: self.path(name) });
            }
        };
        let private = pem::write(label, der.as_bytes());
        let public = pem::write(pem::PUBLIC, key.public().as_spki());
        let mut text = Zeroizing::new(String::with_capacity(private.len() + public.len()));
        text.push_str(&private);
        text.push_str(&public);
        Ok((text, encrypted))
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
        let file = match self.read(name)? {
            Stored::Key(file) => file,
            Stored::Elsewhere(public, holder) => {
                return Ok(KeyEntry { name: name.clone(), public, encrypted: false, holder });
            }
        };
        let encrypted = file.is_encrypted();
        let public = match &file.public {
            Some(spki) => self.public(name, spki)?,
            // Rewritten by another program, which kept the private half only.
            None if !encrypted => self.open(name, &file, &mut || Err(PassphraseError::NoTerminal))?.public().clone(),
            // As `ssh-keygen -p` leaves it.
            None => file
                .public_inside()
                .ok_or_else(|| KeystoreError::NoPublic { name: name.clone(), path: self.path(name) })?,
        };
        Ok(KeyEntry { name: name.clone(), public, encrypted, holder: Holder::File })
    }

    fn public(&self, name: &Name, spki: &[u8]) -> Result<PublicKey, KeystoreError> {
        PublicKey::from_spki(spki).map_err(|source| KeystoreError::Public { path: self.path(name), source })
    }

    /// Whether there is a key of that name.
    #[must_use]
    pub fn contains(&self, name: &Name) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// Opens a key; asks for its passphrase only if it has one.
    ///
    /// # Errors
    /// As [`Keystore::entry`], [`KeystoreError::Tampered`] and [`KeystoreError::NotHere`].
    pub fn unlock(
        &self,
        name: &Name,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<SecretKey, KeystoreError> {
        let file = self.read_key_file(name)?;
        self.open(name, &file, ask)
    }

    /// Who has the private half of a key that is not in this wallet; none if it is.
    ///
    /// # Errors
    /// As [`Keystore::entry`].
    pub fn elsewhere(&self, name: &Name) -> Result<Option<(PublicKey, Holder)>, KeystoreError> {
        match self.read(name)? {
            Stored::Key(_) => Ok(None),
            Stored::Elsewhere(public, holder) => Ok(Some((public, holder))),
        }
    }

    fn read_key_file(&self, name: &Name) -> Result<import::KeyFile, KeystoreError> {
        match self.read(name)? {
            Stored::Key(file) => Ok(file),
            Stored::Elsewhere(_, holder) => Err(KeystoreError::NotHere { name: name.clone(), holder }),
        }
    }

    /// The private key as it lies on the disk, in encrypted PKCS#8; none if another program left it in another form.
    ///
    /// # Errors
    /// As [`Keystore::entry`]; [`KeystoreError::Unencrypted`] if it is not encrypted.
    pub fn export_sealed(&self, name: &Name) -> Result<Option<Zeroizing<String>>, KeystoreError> {
        let file = self.read_key_file(name)?;
        if !file.is_encrypted() {
            return Err(KeystoreError::Unencrypted { name: name.clone(), path: self.path(name) });
        }
        let is_pkcs8 = file.private.label == pem::ENCRYPTED;
        Ok(is_pkcs8.then(|| pem::write(&file.private.label, &file.private.der)))
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

    fn read(&self, name: &Name) -> Result<Stored, KeystoreError> {
        let path = self.path(name);
        disk::check_folder(&self.folder).map_err(|error| self.missing(name, error))?;
        let bytes = disk::read_private(&path, MAX_KEY_FILE_BYTES).map_err(|error| self.missing(name, error))?;
        let unreadable = |source| KeystoreError::Open { name: name.clone(), source };
        if let Some(spki) = public::only(&bytes) {
            let text = holder::line(&bytes);
            let holder = text.parse().ok().filter(|holder| *holder != Holder::File);
            let holder = holder.ok_or_else(|| KeystoreError::Holder { path, found: text.to_owned() })?;
            return Ok(Stored::Elsewhere(self.public(name, &spki)?, holder));
        }
        let file = import::KeyFile::parse(&bytes).map_err(unreadable)?;
        if !file.is_encrypted() && !self.plain_allowed {
            return Err(KeystoreError::Unencrypted { name: name.clone(), path });
        }
        Ok(Stored::Key(file))
    }

    fn missing(&self, name: &Name, error: DiskError) -> KeystoreError {
        match error.is_missing() {
            true => KeystoreError::NotFound { name: name.clone(), known: self.names().unwrap_or_default() },
            false => error.into(),
        }
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

    /// The file of a key of that name.
    #[must_use]
    pub fn path(&self, name: &Name) -> PathBuf {
        self.folder.join(format!("{name}.pem"))
    }
}

/// What a file of the folder holds.
enum Stored {
    /// A private key.
    Key(import::KeyFile),
    /// The public half of a key that someone else holds.
    Elsewhere(PublicKey, Holder),
}

fn taken(name: &Name, error: DiskError) -> KeystoreError {
    if error.is_exists() { KeystoreError::NameTaken { name: name.clone() } } else { error.into() }
}

fn name_of(path: &Path) -> Option<Name> {
    path.file_name()?.to_str()?.strip_suffix(".pem")?.parse().ok()
}

/// A public key as `openssl` reads and writes it.
#[must_use]
pub fn public_pem(key: &PublicKey) -> String {
    pem::write(pem::PUBLIC, key.as_spki()).to_string()
}

#[cfg(test)]
mod tests;
