//! `key export`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;
use zeroize::Zeroizing;

use super::KeyCommandError;
use crate::{
    context::Context,
    disk,
    error::Result,
    keystore::{self, ExportError, Format, Holder, KeystoreError, Seal},
    name::Name,
};

#[derive(Serialize)]
struct Exported {
    name: Name,
    #[serde(skip_serializing_if = "Option::is_none")]
    pem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl fmt::Display for Exported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.pem.as_deref().unwrap_or_default())
    }
}

/// How a key is given out.
#[derive(Debug)]
pub struct Request<'a> {
    /// Which key.
    pub name: &'a Name,
    /// In which form.
    pub format: Format,
    /// The public half only.
    pub public: bool,
    /// Without encryption.
    pub unencrypted: bool,
    /// The key's name once more.
    pub confirm_name: Option<&'a str>,
    /// To this new file instead of stdout.
    pub out: Option<&'a Path>,
}

/// Prints a key, or writes it to a new private file.
///
/// # Errors
/// Those of the keystore; a form without encryption; a name that is not confirmed; a file that exists.
pub fn export(context: &mut Context, request: &Request<'_>) -> Result<()> {
    let name = request.name;
    let pem = if request.public || request.format == Format::Spki {
        let entry = context.wallet.keys().entry(name)?;
        keystore::public_text(&entry.public, request.format, name.as_str())?.into()
    } else if request.unencrypted {
        plain(context, request)?
    } else {
        sealed(context, name, request.format)?
    };
    let mut exported = Exported { name: name.clone(), pem: None, file: None };
    match request.out {
        Some(path) => {
            disk::create_private(path, pem.as_bytes())?;
            context.output.note(format_args!("wrote {}", path.display()));
            exported.file = Some(path.to_owned());
        }
        None => exported.pem = Some(pem.to_string()),
    }
    Ok(context.output.data(&exported)?)
}

fn plain(context: &mut Context, request: &Request<'_>) -> Result<Zeroizing<String>> {
    let name = request.name;
    // Said before anything is asked: whether there is such a key, and where it is.
    let entry = context.wallet.keys().entry(name)?;
    if entry.holder == Holder::File {
        context.output.warn("the exported key is not encrypted: whoever reads it owns the money");
        context.confirm_name("exporting a key without encryption", name, request.confirm_name)?;
    }
    let (key, _) = context.open_key(name)?;
    Ok(keystore::private_text(&key, request.format, Seal::Plain, name.as_str())?)
}

fn sealed(context: &mut Context, name: &Name, format: Format) -> Result<Zeroizing<String>> {
    if format == Format::Pkcs1 {
        return Err(ExportError::WeakEncryption.into());
    }
    if format == Format::Pkcs8 {
        match context.wallet.keys().export_sealed(name) {
            // As it is stored: no passphrase is needed.
            Ok(Some(text)) => return Ok(text),
            Ok(None) => {}
            Err(KeystoreError::Unencrypted { name, .. }) => return Err(KeyCommandError::StoredPlain(name).into()),
            Err(other) => return Err(other.into()),
        }
    }
    let (key, passphrase) = context.open_key(name)?;
    let passphrase = passphrase.ok_or_else(|| KeyCommandError::StoredPlain(name.clone()))?;
    Ok(keystore::private_text(&key, format, Seal::Passphrase(&passphrase), name.as_str())?)
}
