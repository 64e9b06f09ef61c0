//! Why the keystore did not do it.

use std::path::PathBuf;

use farthing::keys::KeyError;

use super::{agent::AgentError, holder::Holder, import::ImportError, secret::SecretKeyError, token::TokenError};
use crate::{
    disk::DiskError,
    error::{Exit, Explain},
    name::Name,
};

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
        /// Who has its private half.
        holder: Holder,
    },
    /// Another command changed it.
    #[error("the key {name:?} became another one while this command waited for an answer; nothing was changed")]
    Changed {
        /// The name.
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
    /// An encrypted private key alone, whose address nobody can know.
    #[error("the public half of the key {name:?} is missing in {}; another program wrote the file", path.display())]
    NoPublic {
        /// The name.
        name: Name,
        /// The file.
        path: PathBuf,
    },
    /// The private half is not here.
    #[error("the private half of the key {name:?} is not in this wallet: it is {holder}")]
    NotHere {
        /// The name.
        name: Name,
        /// Where it is.
        holder: Holder,
    },
    /// A file that names no known holder of its private half.
    #[error("{} names an unknown signer: {found:?}", path.display())]
    Holder {
        /// The file.
        path: PathBuf,
        /// What it names.
        found: String,
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
    /// The agent that has the key did not help.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The token that has the key did not help.
    #[error(transparent)]
    Token(#[from] TokenError),
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
            Self::Changed { .. } => "KEY_CHANGED",
            Self::Unencrypted { .. } => "KEY_UNENCRYPTED",
            Self::Tampered { .. } => "KEY_TAMPERED",
            Self::Public { .. } => "KEY_UNUSABLE",
            Self::NoPublic { .. } => "KEY_UNREADABLE",
            Self::NotHere { .. } => "KEY_NOT_HERE",
            Self::Holder { .. } => "KEY_SIGNER",
            Self::StrangeFile { .. } => "KEY_FILE_NAME",
            Self::Open { source, .. } => source.code(),
            Self::Agent(error) => error.code(),
            Self::Token(error) => error.code(),
            Self::Secret(error) => error.code(),
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NotFound { .. } | Self::NameTaken { .. } | Self::KeyTaken { .. } | Self::NotHere { .. } => {
                Exit::Usage
            }
            Self::Open { source, .. } => source.exit(),
            Self::Agent(error) => error.exit(),
            Self::Token(error) => error.exit(),
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
            Self::Unencrypted { name, path } | Self::NoPublic { name, path } => {
                vec![format!(
                    "move '{0}' away, then: farthing-wallet key import {name}.pem --name {name}",
                    path.display()
                )]
            }
            Self::Open { source, .. } => source.tries(),
            Self::KeyTaken { name, holder: Holder::Nobody } => {
                vec![format!("farthing-wallet key remove {name}, which is watched only, and then the import again")]
            }
            Self::KeyTaken { name, .. } => {
                vec![format!("use it as it is: --account {name}"), "farthing-wallet key list".into()]
            }
            Self::Changed { name } => vec![format!("farthing-wallet key show {name}, and then the command again")],
            Self::Tampered { path } | Self::Public { path, .. } => {
                vec![format!(
                    "put your copy of '{0}' back; do not pay to the address that it shows now",
                    path.display()
                )]
            }
            Self::NotHere { name, holder: Holder::Nobody } => {
                vec![format!(
                    "farthing-wallet key remove {name}, then farthing-wallet key import FILE --name {name} with the private key"
                )]
            }
            Self::NotHere { name, .. } => vec![format!("farthing-wallet key export {name} --public")],
            Self::Holder { path, .. } => {
                vec![format!(
                    "a line 'signer: none', 'signer: ssh-agent' or 'signer: pkcs11:...' in '{}'",
                    path.display()
                )]
            }
            Self::StrangeFile { path } => {
                vec![format!("move '{}' out of the folder; only key files belong there", path.display())]
            }
            Self::Agent(error) => error.tries(),
            Self::Token(error) => error.tries(),
            Self::Secret(error) => error.tries(),
            Self::Disk(error) => error.tries(),
        }
    }
}
