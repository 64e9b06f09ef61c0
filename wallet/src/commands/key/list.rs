//! `key list` and `key show`.

use std::{fmt, path::PathBuf};

use serde::Serialize;

use super::KeyView;
use crate::{context::Context, error::Result, keystore, name::Name};

#[derive(Serialize)]
struct KeyList {
    network: String,
    keys: Vec<KeyView>,
}

impl fmt::Display for KeyList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.keys.iter().try_for_each(|key| writeln!(f, "{key}"))
    }
}

#[derive(Serialize)]
struct Details {
    #[serde(flatten)]
    key: KeyView,
    network: String,
    /// SHA-256 of the public key's DER, which the address is another writing of.
    sha256: String,
    fingerprint: String,
    public_key: String,
    file: PathBuf,
}

impl fmt::Display for Details {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let holder = match self.key.signer.as_str() {
            "file" if self.key.encrypted => "this wallet, under its passphrase",
            "file" => "this wallet, NOT encrypted",
            "none" => "not in this wallet: the key is watched only",
            signer => signer,
        };
        writeln!(f, "name         {}", self.key.name)?;
        writeln!(f, "network      {}", self.network)?;
        writeln!(f, "address      {}", self.key.address)?;
        writeln!(f, "sha256       {}", self.sha256)?;
        writeln!(f, "size         RSA-{}", self.key.bits)?;
        writeln!(f, "held by      {holder}")?;
        writeln!(f, "fingerprint  {}", self.fingerprint)?;
        writeln!(f, "file         {}", self.file.display())
    }
}

/// Lists the keys.
///
/// # Errors
/// Those of the keystore.
pub fn list(context: &mut Context) -> Result<()> {
    let entries = context.wallet.keys().list()?;
    if entries.is_empty() {
        context.output.note("no keys yet; make one with: farthing-wallet key new NAME");
    }
    let list = KeyList {
        network: context.wallet.network().name.clone(),
        keys: entries.iter().map(|entry| KeyView::new(&context.wallet, entry)).collect(),
    };
    Ok(context.output.data(&list)?)
}

/// Shows what is known of one key without its passphrase.
///
/// # Errors
/// No such key, or several and no choice.
pub fn show(context: &mut Context, name: Option<&Name>) -> Result<()> {
    let keys = context.wallet.keys();
    let entry = match name {
        Some(name) => keys.entry(name)?,
        None => context.own_key()?,
    };
    let details = Details {
        key: KeyView::new(&context.wallet, &entry),
        network: context.wallet.network().name.clone(),
        sha256: hex::encode(entry.public.address().as_bytes()),
        fingerprint: keystore::fingerprint(&entry.public),
        public_key: keystore::public_pem(&entry.public),
        file: keys.path(&entry.name),
    };
    Ok(context.output.data(&details)?)
}
