//! `init`, `key ...` and `address`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use farthing::keys::KeySize;
use rand_core::OsRng;
use serde::Serialize;

use crate::{
    cli::{Global, NewKey},
    context::Context,
    disk,
    error::{Error, Exit, Explain, Result},
    keystore::{self, KeyEntry, KeystoreError, MAX_KEY_FILE_BYTES, Seal, SecretKey, dev},
    name::{Name, NameError},
    passphrase::Passphrase,
    wallet::Wallet,
};

/// What goes wrong with keys beside the keystore's own errors.
#[derive(Debug, thiserror::Error)]
enum KeyCommandError {
    #[error("the well-known development keys are for the network dev, this is {0}: everyone has them")]
    DevKeyElsewhere(String),
    #[error("there is no well-known development key named {0:?}")]
    UnknownDevKey(Name),
    #[error("keys lie unencrypted on the network dev only, this is {0}")]
    PlainElsewhere(String),
    #[error("the key {0:?} has no passphrase, so there is no encrypted form of it")]
    StoredPlain(Name),
    #[error("cannot make a name for the key from the file's name {}", file.display())]
    FileName {
        file: PathBuf,
        #[source]
        source: NameError,
    },
    #[error("cannot import {}: {source}", file.display())]
    Import { file: PathBuf, source: keystore::ImportError },
}

impl Explain for KeyCommandError {
    fn code(&self) -> &'static str {
        match self {
            Self::DevKeyElsewhere(_) => "DEV_KEY_ELSEWHERE",
            Self::UnknownDevKey(_) => "UNKNOWN_DEV_KEY",
            Self::PlainElsewhere(_) | Self::StoredPlain(_) => "KEY_UNENCRYPTED",
            Self::FileName { .. } => "BAD_NAME",
            Self::Import { source, .. } => source.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Import { source, .. } => source.exit(),
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::DevKeyElsewhere(_) => {
                vec!["--network dev".into(), "farthing-wallet key new NAME, which makes a key of your own".into()]
            }
            Self::UnknownDevKey(_) => vec![format!("one of: {}", dev::names().collect::<Vec<_>>().join(", "))],
            Self::PlainElsewhere(_) => vec!["without --no-passphrase".into()],
            Self::StoredPlain(name) => vec![format!("farthing-wallet key export {name} --plain")],
            Self::FileName { .. } => vec!["--name NAME".into()],
            Self::Import { source, .. } => source.tries(),
        }
    }
}

/// A key as it is shown.
#[derive(Serialize)]
struct KeyView {
    name: Name,
    address: String,
    bits: usize,
    encrypted: bool,
}

impl KeyView {
    fn new(wallet: &Wallet, entry: &KeyEntry) -> Self {
        Self {
            name: entry.name.clone(),
            address: wallet.show(&entry.public.address()),
            bits: entry.public.size().bits(),
            encrypted: entry.encrypted,
        }
    }
}

impl fmt::Display for KeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = if self.encrypted { "" } else { "  not encrypted" };
        write!(f, "{:<12} {}  RSA-{}{guard}", self.name, self.address, self.bits)
    }
}

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
struct AddressView {
    name: Name,
    address: String,
}

impl fmt::Display for AddressView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address)
    }
}

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

/// Sets up a wallet: the folder, `config.toml` when there is none, and a first key.
///
/// # Errors
/// Those of [`new`].
pub fn init(context: &mut Context, global: &Global, request: &NewKey) -> Result<()> {
    context.wallet.prepare()?;
    let path = context.settings.config().to_owned();
    if context.remember_choices(global)? {
        context.output.note(format_args!("wrote {}", path.display()));
    } else {
        let (kept, network) = (context.settings.remembered_network()?, &context.wallet.network().name);
        let text = format!("{} was left as it is: it chooses the network {kept}", path.display());
        if kept == *network {
            context.output.note(text);
        } else {
            context.output.warn(format_args!("{text}; every later command needs --network {network} too"));
        }
    }
    new(context, request)?;
    let network = context.wallet.network().name.clone();
    let keys = context.wallet.home().join("keys");
    context.output.note(format_args!("this wallet is for the network {network}; its keys are in {}", keys.display()));
    context.output.note("copy that folder to a safe place: whoever loses a key or its passphrase loses the money");
    Ok(())
}

/// Makes a key.
///
/// # Errors
/// A taken name, a passphrase that cannot be had, or a folder that cannot be written.
pub fn new(context: &mut Context, request: &NewKey) -> Result<()> {
    // Before a passphrase is asked for and a key searched.
    if context.wallet.keys().contains(&request.name) {
        return Err(KeystoreError::NameTaken { name: request.name.clone() }.into());
    }
    let size = match request.bits.as_str() {
        "4096" => KeySize::Bits4096,
        "3072" => KeySize::Bits3072,
        _ => KeySize::Bits2048,
    };
    let passphrase = choose_passphrase(context, &request.name, request.no_passphrase)?;
    let entry = create(context, &request.name, size, passphrase.as_ref())?;
    show(context, &entry)
}

/// Makes and stores a key; the caller has settled the passphrase.
///
/// # Errors
/// Those of the keystore.
pub fn create(context: &Context, name: &Name, size: KeySize, passphrase: Option<&Passphrase>) -> Result<KeyEntry> {
    let key = SecretKey::generate(size, &mut OsRng)?;
    store(context, name, &key, passphrase)
}

fn store(context: &Context, name: &Name, key: &SecretKey, passphrase: Option<&Passphrase>) -> Result<KeyEntry> {
    let network = context.wallet.network();
    // However the key came here: what everybody can sign with guards no money but the development network's.
    if !network.is_dev() && dev::is_well_known(key.public()) {
        return Err(KeyCommandError::DevKeyElsewhere(network.name.clone()).into());
    }
    let _lock = context.wallet.lock()?;
    let seal = passphrase.map_or(Seal::Plain, Seal::Passphrase);
    Ok(context.wallet.keys().create(name, key, seal)?)
}

fn choose_passphrase(context: &mut Context, name: &Name, plain: bool) -> Result<Option<Passphrase>> {
    let network = context.wallet.network();
    if plain && !network.is_dev() {
        return Err(KeyCommandError::PlainElsewhere(network.name.clone()).into());
    }
    if plain { Ok(None) } else { Ok(context.new_passphrase(name)?) }
}

fn show(context: &mut Context, entry: &KeyEntry) -> Result<()> {
    let view = KeyView::new(&context.wallet, entry);
    Ok(context.output.data(&view)?)
}

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
}

/// Takes over a key.
///
/// # Errors
/// A file that is not a fitting key, a wrong passphrase, or those of [`new`].
pub fn import(context: &mut Context, request: &Import<'_>) -> Result<()> {
    if let Some(name) = request.dev {
        let entry = import_dev(context, name, request.name.unwrap_or(name))?;
        return show(context, &entry);
    }
    let file = request.file.unwrap_or(Path::new(""));
    let name = match request.name {
        Some(name) => name.clone(),
        None => name_from(file)?,
    };
    if context.wallet.keys().contains(&name) {
        return Err(KeystoreError::NameTaken { name }.into());
    }
    let bytes = disk::read_any(file, MAX_KEY_FILE_BYTES)?;
    let mut ask = || match request.file_passphrase {
        Some(path) => context.passphrase_in(path),
        None => context.passphrase(&format!("Passphrase of {}: ", file.display())),
    };
    let key = keystore::read_key(&bytes, &mut ask)
        .map_err(|source| KeyCommandError::Import { file: file.to_owned(), source })?;
    let passphrase = choose_passphrase(context, &name, request.plain)?;
    let entry = store(context, &name, &key, passphrase.as_ref())?;
    show(context, &entry)
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

/// How a key is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Encrypted, as it is stored.
    Sealed,
    /// Without encryption.
    Plain,
    /// The public half.
    Public,
}

/// Prints a key, or writes it to a new private file.
///
/// # Errors
/// Those of the keystore; a file that exists.
pub fn export(context: &mut Context, name: &Name, form: Form, out: Option<&Path>) -> Result<()> {
    let keys = context.wallet.keys();
    let pem = match form {
        Form::Public => keystore::public_pem(&keys.entry(name)?.public).into(),
        Form::Sealed => keys.export_sealed(name).map_err(|error| match error {
            KeystoreError::Unencrypted { name, .. } => Error::from(KeyCommandError::StoredPlain(name)),
            other => other.into(),
        })?,
        Form::Plain => {
            context.output.warn("the exported key is not encrypted: whoever reads it owns the money");
            let key = keys.unlock(name, &mut || context.passphrase(&format!("Passphrase for {name}: ")))?;
            keystore::plain_pem(&key)?
        }
    };
    let mut exported = Exported { name: name.clone(), pem: None, file: None };
    match out {
        Some(path) => {
            disk::create_private(path, pem.as_bytes())?;
            context.output.note(format_args!("wrote {}", path.display()));
            exported.file = Some(path.to_owned());
        }
        None => exported.pem = Some(pem.to_string()),
    }
    Ok(context.output.data(&exported)?)
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

/// Shows a key's address.
///
/// # Errors
/// No such key, or several and no choice.
pub fn address(context: &mut Context, name: Option<&Name>) -> Result<()> {
    let entry = match name {
        Some(name) => context.wallet.keys().entry(name)?,
        None => context.own_key()?,
    };
    let view = AddressView { address: context.wallet.show(&entry.public.address()), name: entry.name };
    Ok(context.output.data(&view)?)
}
