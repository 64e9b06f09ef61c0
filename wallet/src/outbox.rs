//! Signed transfers that were, or were about to be, handed to a node and whose fate is not known yet.
//!
//! A transfer is written here before it is submitted. When the answer is lost, the same bytes are submitted again and
//! have the same id, so that nobody pays twice.

use std::{
    fs,
    path::{Path, PathBuf},
};

use farthing::{
    BlockId, Mites, SignedTransaction, TxId,
    codec::{Canonical as _, DecodeError},
};
use serde::{Deserialize, Serialize};

use crate::{
    disk::{self, DiskError},
    error::{Exit, Explain},
};

/// Longest file: 4,096 bytes in hex and the words around them.
const MAX_FILE_BYTES: u64 = 16 * 1024;

/// Why the outbox cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Not such a file.
    #[error("{} is not a saved transfer", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: toml::de::Error,
    },
    /// The bytes are not a transfer.
    #[error("the transfer in {} is damaged", path.display())]
    Transfer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: DecodeError,
    },
    /// The bytes are another transfer than the name says.
    #[error("{} holds the transfer {found}", path.display())]
    OtherId {
        /// The file.
        path: PathBuf,
        /// What it holds.
        found: TxId,
    },
    /// A file or folder is not as it should be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for OutboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) => error.code(),
            _ => "BAD_OUTBOX",
        }
    }

    fn exit(&self) -> Exit {
        Exit::Other
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Disk(error) => error.tries(),
            Self::Syntax { path, .. } | Self::Transfer { path, .. } | Self::OtherId { path, .. } => {
                vec![format!("move '{}' away; whether it was mined shows in farthing-wallet history", path.display())]
            }
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// For people who open the file.
    transaction_id: String,
    /// Canonical signed bytes in hex.
    transaction_bytes: String,
}

/// The folder with one file a transfer.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
    genesis: BlockId,
}

impl Outbox {
    /// Names the folder and the network; nothing is read yet.
    #[must_use]
    pub const fn new(folder: PathBuf, genesis: BlockId) -> Self {
        Self { folder, genesis }
    }

    /// Writes a transfer down; a second time does nothing. Gives its id, and whether it was not there yet.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn save(&self, transfer: &SignedTransaction) -> Result<(TxId, bool), OutboxError> {
        disk::make_folder(&self.folder)?;
        let id = transfer.transaction().id(&self.genesis);
        let file = File { transaction_id: id.to_string(), transaction_bytes: hex::encode(transfer.to_canonical()) };
        let text = toml::to_string(&file).expect("two texts are always valid TOML");
        match disk::create_private(&self.path(&id), text.as_bytes()) {
            Err(error) if error.is_exists() => Ok((id, false)),
            other => Ok(other.map(|()| (id, true))?),
        }
    }

    /// Forgets a transfer whose fate is known.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn forget(&self, id: &TxId) -> Result<(), OutboxError> {
        match disk::remove(&self.path(id)) {
            Err(error) if !error.is_missing() => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// All transfers in it, the lowest nonce first.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn list(&self) -> Result<Vec<(TxId, SignedTransaction)>, OutboxError> {
        match disk::check_folder(&self.folder) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            other => other?,
        }
        let unreadable = |source| DiskError::Io { action: "list", path: self.folder.clone(), source };
        let mut transfers = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                transfers.push(self.read(&path)?);
            }
        }
        transfers.sort_by_key(|(id, transfer)| (transfer.transaction().nonce(), *id));
        Ok(transfers)
    }

    fn read(&self, path: &Path) -> Result<(TxId, SignedTransaction), OutboxError> {
        let bytes = disk::read_private(path, MAX_FILE_BYTES)?;
        let file: File =
            toml::from_slice(&bytes).map_err(|source| OutboxError::Syntax { path: path.to_owned(), source })?;
        let bytes = hex::decode(&file.transaction_bytes).unwrap_or_default();
        let transfer = SignedTransaction::from_canonical(&bytes)
            .map_err(|source| OutboxError::Transfer { path: path.to_owned(), source })?;
        let id = transfer.transaction().id(&self.genesis);
        if self.path(&id) != path {
            return Err(OutboxError::OtherId { path: path.to_owned(), found: id });
        }
        Ok((id, transfer))
    }

    fn path(&self, id: &TxId) -> PathBuf {
        self.folder.join(format!("{id}.toml"))
    }
}

/// What a transfer pays, its fee not counted.
#[must_use]
pub fn paid(transfer: &SignedTransaction) -> Mites {
    let transaction = transfer.transaction();
    transaction.total().checked_sub(transaction.fee()).expect("the total includes the fee")
}

#[cfg(test)]
mod tests {
    use farthing::{Output, Sender, Transaction, tx::TransactionFields};

    use super::*;
    use crate::keystore::{FileSigner, Signer as _, dev};

    fn transfer(amount: u64) -> SignedTransaction {
        let signer = FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap());
        let transaction = Transaction::new(TransactionFields {
            sender: Sender::Key(signer.public().clone()),
            nonce: 0,
            fee: Mites::new(70_000),
            valid_until: None,
            outputs: vec![Output { to: signer.public().address(), amount: Mites::new(amount) }],
            memo: b"hello".to_vec(),
        });
        signer.sign(transaction.unwrap(), &BlockId::ZERO).unwrap()
    }

    #[test]
    fn a_saved_transfer_comes_back_byte_for_byte_until_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        assert!(outbox.list().unwrap().is_empty());
        let (id, is_new) = outbox.save(&transfer(5)).unwrap();
        assert!(is_new);
        assert_eq!(outbox.save(&transfer(5)).unwrap(), (id, false));
        assert_eq!(outbox.list().unwrap(), [(id, transfer(5))]);
        assert_eq!(paid(&transfer(5)), Mites::new(5));
        outbox.forget(&id).unwrap();
        outbox.forget(&id).unwrap();
        assert!(outbox.list().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        let [one, two] = [1, 2].map(|amount| outbox.save(&transfer(amount)).unwrap().0);
        fs::copy(outbox.path(&one), outbox.path(&two)).unwrap();
        assert!(matches!(outbox.list(), Err(OutboxError::OtherId { found, .. }) if found == one));
        fs::write(outbox.path(&two), "nonsense").unwrap();
        assert_eq!(outbox.list().unwrap_err().code(), "BAD_OUTBOX");
    }
}
