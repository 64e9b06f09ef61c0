//! `key import`.

use std::path::Path;

use farthing::PublicKey;

use super::{
    KeyCommandError,
    new::{choose_passphrase, store},
    print,
};
use crate::{
    context::Context,
    disk,
    error::Result,
    keystore::{self, Holder, ImportError, KeyEntry, KeystoreError, MAX_KEY_FILE_BYTES, SecretKey, dev},
    name::Name,
};

/// Which key to take over.
#[derive(Debug)]
pub struct Import<'a> {
    /// A PEM file.
    pub file: Option<&'a Path>,
    /// The name here.
    pub name: Option<&'a Name>,
    /// Or a well-known key.
    pub dev: Option<&'a Name>,
    /// The file's own passphrase, when it is not the one that shall guard the key here.
    pub file_passphrase: Option<&'a Path>,
    /// Store it unencrypted.
    pub plain: bool,
    /// Keep the public half only.
    pub watch_only: bool,
}

/// Takes over a key.
///
/// # Errors
/// A file that is not a fitting key, a wrong passphrase, or those of [`new`].
pub fn import(context: &mut Context, request: &Import<'_>) -> Result<()> {
    if let Some(name) = request.dev {
        let entry = import_dev(context, name, request.name.unwrap_or(name))?;
        return print(context, &entry);
    }
    let file = request.file.unwrap_or(Path::new(""));
    let name = match request.name {
        Some(name) => name.clone(),
        None => name_from(file)?,
    };
    if context.wallet.keys().contains(&name) {
        return Err(KeystoreError::NameTaken { name }.into());
    }
    let bytes = match file.to_str() {
        Some("-") => disk::read_any(Path::new("/dev/stdin"), MAX_KEY_FILE_BYTES)?,
        _ => disk::read_any(file, MAX_KEY_FILE_BYTES)?,
    };
    let entry = if request.watch_only {
        let public = watched(context, file, &bytes, request.file_passphrase)?;
        store_public(context, &name, &public, Holder::Nobody)?
    } else {
        let (key, was_plain) = open(context, file, &bytes, request.file_passphrase)?;
        let passphrase = choose_passphrase(context, &name, request.plain)?;
        let entry = store(context, &name, &key, passphrase.as_ref())?;
        if was_plain && entry.encrypted && file != Path::new("-") {
            let shown = file.display();
            context
                .output
                .note(format_args!("note: {shown} still holds the key without encryption; shred -u '{shown}'"));
        }
        entry
    };
    print(context, &entry)
}

/// The private key in a file, and whether it lay there unencrypted.
fn open(context: &mut Context, file: &Path, bytes: &[u8], passphrase: Option<&Path>) -> Result<(SecretKey, bool)> {
    let mut was_plain = true;
    let mut ask = || {
        was_plain = false;
        match passphrase {
            Some(path) => context.passphrase_in(path),
            None => context.passphrase(&format!("Passphrase of {}: ", file.display())),
        }
    };
    let key = keystore::read_key(bytes, &mut ask)
        .map_err(|source| KeyCommandError::Import { file: file.to_owned(), source })?;
    Ok((key, was_plain))
}

/// The public half in a file, which may hold the private one too.
fn watched(context: &mut Context, file: &Path, bytes: &[u8], passphrase: Option<&Path>) -> Result<PublicKey> {
    match keystore::read_public(bytes) {
        Err(ImportError::NotAPublicKey(_)) => Ok(open(context, file, bytes, passphrase)?.0.public().clone()),
        other => Ok(other.map_err(|source| KeyCommandError::Import { file: file.to_owned(), source })?),
    }
}

fn store_public(context: &Context, name: &Name, public: &PublicKey, holder: Holder) -> Result<KeyEntry> {
    let _lock = context.wallet.lock()?;
    Ok(context.wallet.keys().create_public(name, public, holder)?)
}

/// Takes over a well-known key, unencrypted: its secret is public anyway. Having it already is fine.
///
/// # Errors
/// On any network but dev; an unknown name; those of the keystore.
pub fn import_dev(context: &Context, which: &Name, name: &Name) -> Result<KeyEntry> {
    let network = context.wallet.network();
    if !network.is_dev() {
        return Err(KeyCommandError::DevKeyElsewhere(network.name.clone()).into());
    }
    let key = dev::key(which).ok_or_else(|| KeyCommandError::UnknownDevKey(which.clone()))?;
    match context.wallet.keys().entry(name) {
        Ok(entry) if entry.public == *key.public() => Ok(entry),
        _ => store(context, name, &key, None),
    }
}

fn name_from(file: &Path) -> Result<Name, KeyCommandError> {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
    stem.parse().map_err(|source| KeyCommandError::FileName { file: file.to_owned(), source })
}
