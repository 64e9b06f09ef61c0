//! `key rename`, `key passwd` and `key remove`.

use std::{fmt, path::Path};

use serde::Serialize;

use super::{KeyCommandError, check_contacts, print};
use crate::{
    context::Context,
    error::Result,
    keystore::{Holder, Seal},
    name::Name,
};

#[derive(Serialize)]
struct Removed {
    removed: Name,
    address: String,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "removed {}, {}", self.removed, self.address)
    }
}

/// Gives a key another name.
///
/// # Errors
/// Those of the keystore.
pub fn rename(context: &mut Context, old: &Name, new: &Name) -> Result<()> {
    let entry = {
        let _lock = context.wallet.lock()?;
        let keys = context.wallet.keys();
        check_contacts(context, new, Some(&keys.entry(old)?.public))?;
        keys.rename(old, new)?
    };
    if context.settings.account() == Some(old) {
        context.output.warn(format_args!(
            "the settings choose the account {old}, which no key has now; try: farthing-wallet config set account {new}"
        ));
    }
    print(context, &entry)
}

/// Gives a key another passphrase, or on a development network none.
///
/// # Errors
/// A wrong passphrase, a new one that cannot be had, and those of the keystore.
pub fn passwd(context: &mut Context, name: &Name, new_file: Option<&Path>, plain: bool) -> Result<()> {
    let network = context.wallet.network();
    let is_dev = network.is_dev();
    if plain && !is_dev {
        return Err(KeyCommandError::PlainElsewhere(network.name.clone()).into());
    }
    let (key, _) = context.open_key(name)?;
    let passphrase = match new_file {
        _ if plain => None,
        Some(file) => Some(context.passphrase_in(file)?.fit_for_a_new_key()?),
        None => context.typed_twice(name.as_str(), is_dev)?,
    };
    let entry = {
        let _lock = context.wallet.lock()?;
        context.wallet.keys().reseal(name, &key, passphrase.as_ref().map_or(Seal::Plain, Seal::Passphrase))?
    };
    context.output.note("copies of the key that you made before open with the passphrase that they were made with");
    print(context, &entry)
}

/// Removes a key for good, having said what that means.
///
/// # Errors
/// A name that is not confirmed, and those of the keystore.
pub fn remove(context: &mut Context, name: &Name, confirm_name: Option<&str>) -> Result<()> {
    let entry = context.wallet.keys().entry(name)?;
    let address = context.wallet.show(&entry.public.address());
    if entry.holder == Holder::File {
        context.output.warn(format_args!(
            "without the key {name}, nobody can ever spend what {address} holds or will be sent; only a copy of the key and \
             the copy's passphrase could bring it back"
        ));
        context.confirm_name("removing a key", name, confirm_name)?;
    } else {
        context.output.note(format_args!("only the entry {name} goes; the private key was never in this wallet"));
        if confirm_name.is_none() {
            context.confirm("removing a key", &format!("Remove {name} ({address})?"))?;
        } else {
            context.confirm_name("removing a key", name, confirm_name)?;
        }
    }
    {
        let _lock = context.wallet.lock()?;
        context.wallet.keys().remove(&entry)?;
    }
    if context.settings.account() == Some(name) {
        context.output.warn(format_args!(
            "the settings choose the account {name}, which no key has now; try: farthing-wallet config unset account"
        ));
    }
    Ok(context.output.data(&Removed { removed: name.clone(), address })?)
}
