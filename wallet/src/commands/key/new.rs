//! `key new`.

use farthing::keys::KeySize;
use rand_core::OsRng;

use super::{KeyCommandError, check_contacts, import::store_public, print};
use crate::{
    cli::NewKey,
    context::Context,
    error::Result,
    keystore::{Holder, KeyEntry, KeystoreError, Seal, SecretKey, TokenUri, dev},
    name::Name,
    passphrase::Passphrase,
};

/// Makes a key.
///
/// # Errors
/// A taken name, a passphrase that cannot be had, or a folder that cannot be written.
pub fn new(context: &mut Context, request: &NewKey) -> Result<()> {
    let entry = make(context, request)?;
    print(context, &entry)
}

/// Makes a key and shows nothing.
///
/// # Errors
/// Those of [`new`].
pub fn make(context: &mut Context, request: &NewKey) -> Result<KeyEntry> {
    // Before a passphrase is asked for and a key searched.
    if context.wallet.keys().contains(&request.name) {
        return Err(KeystoreError::NameTaken { name: request.name.clone() }.into());
    }
    check_contacts(context, &request.name, None)?;
    let size = match request.bits.as_str() {
        "4096" => KeySize::Bits4096,
        "3072" => KeySize::Bits3072,
        _ => KeySize::Bits2048,
    };
    match &request.signer {
        Holder::File => {}
        Holder::Token(uri) => return create_in_token(context, &request.name, size, uri),
        other => return Err(KeyCommandError::NoMaker(other.clone()).into()),
    }
    let passphrase = choose_passphrase(context, &request.name, request.no_passphrase)?;
    create(context, &request.name, size, passphrase.as_ref())
}

fn create_in_token(context: &mut Context, name: &Name, size: KeySize, uri: &TokenUri) -> Result<KeyEntry> {
    let mut token = context.token(uri, true)?;
    let public = {
        let _progress = context.output.progress(format_args!("the token makes a key of {} bits", size.bits()));
        token.generate(size, &mut || context.pin(uri))?
    };
    store_public(context, name, &public, Holder::Token(uri.clone()))
}

/// Makes and stores a key; the caller has settled the passphrase.
///
/// # Errors
/// Those of the keystore.
pub fn create(context: &Context, name: &Name, size: KeySize, passphrase: Option<&Passphrase>) -> Result<KeyEntry> {
    let key = {
        let _progress = context.output.progress(format_args!("searching two primes for RSA-{}", size.bits()));
        SecretKey::generate(size, &mut OsRng)?
    };
    store(context, name, &key, passphrase)
}

pub(super) fn store(
    context: &Context,
    name: &Name,
    key: &SecretKey,
    passphrase: Option<&Passphrase>,
) -> Result<KeyEntry> {
    let network = context.wallet.network();
    // However the key came here: what everybody can sign with guards no money but the development network's.
    if !network.is_dev() && dev::is_well_known(key.public()) {
        return Err(KeyCommandError::DevKeyElsewhere(network.name.clone()).into());
    }
    let _lock = context.wallet.lock()?;
    check_contacts(context, name, Some(key.public()))?;
    let seal = passphrase.map_or(Seal::Plain, Seal::Passphrase);
    Ok(context.wallet.keys().create(name, key, seal)?)
}

pub(super) fn choose_passphrase(context: &mut Context, name: &Name, plain: bool) -> Result<Option<Passphrase>> {
    let network = context.wallet.network();
    if plain && !network.is_dev() {
        return Err(KeyCommandError::PlainElsewhere(network.name.clone()).into());
    }
    if plain { Ok(None) } else { Ok(context.new_passphrase(name)?) }
}
