//! `key ...` and `address`.

mod backup;
mod change;
mod export;
mod import;
mod list;
mod new;

use std::{fmt, path::PathBuf};

use farthing::PublicKey;
use serde::Serialize;

pub use self::{
    backup::{backup, restore},
    change::{passwd, remove, rename},
    export::{Request, export},
    import::{Import, import, import_dev},
    list::{list, show},
    new::{create, make, new},
};
use crate::{
    context::Context,
    error::{Exit, Explain, Result},
    keystore::{self, Holder, KeyEntry, dev},
    name::{Name, NameError},
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
    #[error("{0} does not make keys for others")]
    NoMaker(Holder),
    #[error("the name of the key is not known: neither --name nor a file says it")]
    NoName,
    #[error("the name {name:?} stands for the contact {address} already")]
    ContactName { name: Name, address: String },
    #[error("the key in {} is not the one that {signer} has", file.display())]
    OtherKey { file: PathBuf, signer: Holder },
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
            Self::NoMaker(_) => "KEY_SIGNER",
            Self::ContactName { .. } => "CONTACT_TAKEN",
            Self::OtherKey { .. } => "KEY_DIFFERS",
            Self::NoName | Self::FileName { .. } => "BAD_NAME",
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
            Self::PlainElsewhere(_) => vec![
                "without --no-passphrase".into(),
                "--network dev, or farthing-wallet config set network dev, to try everything with play money".into(),
            ],
            Self::StoredPlain(name) => vec![
                format!("farthing-wallet key passwd {name}, which gives it a passphrase"),
                format!("farthing-wallet key export {name} --unencrypted"),
            ],
            Self::NoMaker(_) => {
                vec![
                    "ssh-keygen -t rsa -b 2048 -f KEYFILE and ssh-add KEYFILE, then key import --signer ssh-agent"
                        .into(),
                ]
            }
            Self::ContactName { name, .. } => {
                vec!["another name".into(), format!("farthing-wallet contact rename {name} NEW_NAME")]
            }
            Self::OtherKey { .. } => vec!["without FILE: the key is taken from the token".into()],
            Self::NoName | Self::FileName { .. } => vec!["--name NAME".into()],
            Self::Import { source, .. } => source.tries(),
        }
    }
}

/// A key as it is shown.
#[derive(Serialize)]
pub(super) struct KeyView {
    name: Name,
    address: String,
    bits: usize,
    encrypted: bool,
    signer: String,
}

impl KeyView {
    pub(super) fn new(wallet: &Wallet, entry: &KeyEntry) -> Self {
        Self {
            name: entry.name.clone(),
            address: wallet.show(&entry.public.address()),
            bits: entry.public.size().bits(),
            encrypted: entry.encrypted,
            signer: entry.holder.to_string(),
        }
    }
}

impl fmt::Display for KeyView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = match self.signer.as_str() {
            "file" if self.encrypted => String::new(),
            "file" => "  not encrypted".to_owned(),
            "none" => "  watch only".to_owned(),
            signer => format!("  {signer}"),
        };
        write!(f, "{:<12} {}  RSA-{}{guard}", self.name, self.address, self.bits)
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

/// A key must not be named like a contact, unless it is that contact's: money follows names. None is a key that is not made
/// yet, which is nobody's.
fn check_contacts(context: &Context, name: &Name, public: Option<&PublicKey>) -> Result<()> {
    match context.wallet.contacts()?.get(name) {
        Some(address) if public.is_none_or(|public| public.address() != address) => {
            Err(KeyCommandError::ContactName { name: name.clone(), address: context.wallet.show(&address) }.into())
        }
        _ => Ok(()),
    }
}

fn print(context: &mut Context, entry: &KeyEntry) -> Result<()> {
    let view = KeyView::new(&context.wallet, entry);
    Ok(context.output.data(&view)?)
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
