//! `key import`.

use std::path::Path;

use farthing::PublicKey;
use zeroize::Zeroizing;

use super::{
    KeyCommandError, check_contacts,
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
    /// Who has the private key, if not the file.
    pub signer: Option<&'a Holder>,
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
    let name = match (request.name, request.file) {
        (Some(name), _) => name.clone(),
        (None, Some(file)) => name_from(file)?,
        (None, None) => return Err(KeyCommandError::NoName.into()),
    };
    if context.wallet.keys().contains(&name) {
        return Err(KeystoreError::NameTaken { name }.into());
    }
    if let Some(holder) = request.signer.filter(|holder| **holder != Holder::File) {
        let public = held_elsewhere(context, holder, request.file)?;
        let entry = store_public(context, &name, &public, holder.clone())?;
        return print(context, &entry);
    }
    let file = request.file.ok_or(KeyCommandError::NoName)?;
    let bytes = read(file)?;
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

fn read(file: &Path) -> Result<Zeroizing<Vec<u8>>> {
    let file = if file == Path::new("-") { Path::new("/dev/stdin") } else { file };
    Ok(disk::read_any(file, MAX_KEY_FILE_BYTES)?)
}

/// The public half of a key that an agent or a token has, made sure that it does.
fn held_elsewhere(context: &mut Context, holder: &Holder, file: Option<&Path>) -> Result<PublicKey> {
    let wanted = match file {
        Some(file) => Some((file, watched(context, file, &read(file)?, None)?)),
        None => None,
    };
    match holder {
        Holder::Agent => {
            let agent = context.agent()?;
            let public = match wanted {
                Some((_, public)) => agent.check(&public).map(|()| public)?,
                None => agent.only_key()?,
            };
            context.output.note(
                "note: whoever reaches that agent can pay with the key: do not forward it (ssh -A); ssh-add -c makes it ask",
            );
            Ok(public)
        }
        Holder::Token(uri) => {
            let mut token = context.token(uri, false)?;
            let public = token.public(&mut || context.pin(uri))?;
            match wanted {
                Some((file, wanted)) if wanted != public => {
                    Err(KeyCommandError::OtherKey { file: file.to_owned(), signer: holder.clone() }.into())
                }
                _ => Ok(public),
            }
        }
        Holder::File | Holder::Nobody => Err(KeyCommandError::NoMaker(holder.clone()).into()),
    }
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

pub(super) fn store_public(context: &Context, name: &Name, public: &PublicKey, holder: Holder) -> Result<KeyEntry> {
    let network = context.wallet.network();
    // To watch one is no danger; to be paid to it is.
    if holder != Holder::Nobody && !network.is_dev() && dev::is_well_known(public) {
        return Err(KeyCommandError::DevKeyElsewhere(network.name.clone()).into());
    }
    let _lock = context.wallet.lock()?;
    check_contacts(context, name, Some(public))?;
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
