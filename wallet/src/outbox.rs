//! Signed transfers that were, or were about to be, handed to a node and whose fate is not known yet.
//!
//! A transfer is written here before it is submitted. When the answer is lost, the same bytes are submitted again and
//! have the same id, so that nobody pays twice. One that a person gave an id (`--id`) moves to the folder `sent` once its
//! fate is known and stays there for ever, so that the id never pays again.

mod anew;
mod marks;
mod refused;
mod sent;

use std::{
    fs::{self, File as OpenFile},
    path::{Path, PathBuf},
};

pub use self::marks::{Key, KeyError, Kind, Marks, Outcome, content};
use farthing::{
    Address, BlockId, Mites, SignedTransaction, TxId,
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
    /// A command would make a transfer again that has another id.
    #[error("this command comes to the transfer {id}, which an earlier command made as {key}; nothing was sent")]
    Named {
        /// The transfer.
        id: TxId,
        /// Its id, or the part of a payroll that it is.
        key: Key,
    },
    /// A file or folder is not as it should be.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

impl Explain for OutboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::Disk(error) => error.code(),
            Self::Named { .. } => "ID_REUSED",
            _ => "BAD_OUTBOX",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Named { .. } => Exit::Usage,
            _ => Exit::Other,
        }
    }

    fn transaction(&self) -> Option<TxId> {
        match self {
            Self::Named { id, .. } => Some(*id),
            _ => None,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Disk(error) => error.tries(),
            Self::Named { id, .. } => vec![
                format!("farthing-wallet resubmit, and this command again once {id} is mined"),
                "another --fee, which makes it another transfer; of the two one can be mined".into(),
                format!("farthing-wallet tx show {id}"),
            ],
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
    /// The id that a person gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<Key>,
    /// Digest of what was wished for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    content: Option<String>,
    #[serde(default)]
    kind: Kind,
    /// Seconds since 1970.
    #[serde(default)]
    made: u64,
    /// Whether a command has told somebody how it ended.
    #[serde(default)]
    told: bool,
    /// How it ended, once that is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    outcome: Option<Outcome>,
}

/// A transfer with what the wallet noted about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: TxId,
    /// The signed bytes.
    pub transfer: SignedTransaction,
    /// What was noted.
    pub marks: Marks,
    /// How it ended, once that is settled.
    pub outcome: Option<Outcome>,
}

impl Entry {
    /// Account and nonce: of all entries that share them, one can be mined.
    #[must_use]
    pub const fn place(&self) -> (Address, u64) {
        let transaction = self.transfer.transaction();
        (transaction.sender_address(), transaction.nonce())
    }

    /// Whether two with the same account and nonce are for the same payment: they pay the same, or one cancels the other.
    #[must_use]
    pub fn is_kin(&self, other: &Self) -> bool {
        let (a, b) = (self.transfer.transaction(), other.transfer.transaction());
        let pays_the_same = a.outputs() == b.outputs() && a.memo() == b.memo();
        let cancels = self.marks.kind == Kind::Cancel || other.marks.kind == Kind::Cancel;
        let is_same_wish = self.marks.key == other.marks.key && self.marks.content == other.marks.content;
        self.place() == other.place() && is_same_wish && (pays_the_same || cancels)
    }
}

/// Of the entries with this account and nonce, the one that nodes keep: a cancellation, which is made last and burns nothing
/// for new accounts, or else the one that pays most.
#[must_use]
pub fn current(entries: &[Entry], place: (Address, u64)) -> Option<&Entry> {
    let rank = |entry: &&Entry| (entry.marks.kind == Kind::Cancel, entry.transfer.transaction().fee());
    entries.iter().filter(|entry| entry.place() == place).max_by_key(rank)
}

/// The folder with one file a transfer.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
    /// What was settled under an id, beside it.
    sent: PathBuf,
    /// What a node refused, beside it.
    refused: PathBuf,
    genesis: BlockId,
}

impl Outbox {
    /// Names the folder and the network; nothing is read yet.
    #[must_use]
    pub fn new(folder: PathBuf, genesis: BlockId) -> Self {
        Self { sent: folder.with_file_name("sent"), refused: folder.with_file_name("refused"), folder, genesis }
    }

    /// Writes a transfer down; a second time does nothing. Gives its id, and whether it was not there yet.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn save(&self, transfer: &SignedTransaction) -> Result<(TxId, bool), OutboxError> {
        self.write(transfer, Marks { told: true, ..Marks::default() })
    }

    /// The same with what is noted about it; what is there already keeps its marks. It counts as refused no longer.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn write(&self, transfer: &SignedTransaction, marks: Marks) -> Result<(TxId, bool), OutboxError> {
        let id = transfer.transaction().id(&self.genesis);
        let path = self.path(&id);
        // What is there needs no room on the disk.
        if path.symlink_metadata().is_ok() {
            self.forget_refused(&id)?;
            return Ok((id, false));
        }
        disk::make_folder(&self.folder)?;
        let made = disk::create_private(&path, text(&id, transfer, marks, None).as_bytes());
        match made.map_err(OutboxError::from).and_then(|()| self.forget_refused(&id)) {
            Err(OutboxError::Disk(error)) if error.is_exists() => Ok((id, false)),
            Err(error) => {
                // In place but perhaps not on the disk: whoever is told that nothing was sent must not find it sent later.
                let _ = disk::remove(&path);
                Err(error)
            }
            Ok(()) => Ok((id, true)),
        }
    }

    /// Whether somebody was told how a transfer ended, as the disk has it now. What is not there any more was told.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn is_told(&self, id: &TxId) -> Result<bool, OutboxError> {
        match self.read(&self.path(id)) {
            Err(OutboxError::Disk(error)) if error.is_missing() => Ok(true),
            other => Ok(other?.marks.told),
        }
    }

    /// Marks a transfer as one whose end somebody was told, so that the same words mean another payment from now on. One
    /// that is not there any more needs no mark.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn mark_told(&self, id: &TxId) -> Result<(), OutboxError> {
        let path = self.path(id);
        let entry = match self.read(&path) {
            Err(OutboxError::Disk(error)) if error.is_missing() => return Ok(()),
            other => other?,
        };
        if entry.marks.told {
            return Ok(());
        }
        let marks = Marks { told: true, ..entry.marks };
        Ok(disk::replace_private(&path, text(id, &entry.transfer, marks, None).as_bytes())?)
    }

    /// The same for a transfer, what replaces it and what it replaces: somebody was told what became of the payment. What has
    /// an id is known by that, and a part of a payroll is not the whole of it.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn mark_payment_told(&self, id: &TxId) -> Result<(), OutboxError> {
        let entries = self.entries()?;
        let Some(one) = entries.iter().find(|entry| entry.id == *id) else {
            return Ok(());
        };
        let is_same = |other: &&Entry| {
            other.place() == one.place() && other.marks.content == one.marks.content && other.marks.key.is_none()
        };
        entries.iter().filter(is_same).try_for_each(|other| self.mark_told(&other.id))
    }

    /// The same for all that has this id of a person's or is this part of a payroll, whether settled or not.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn mark_key_told(&self, key: &Key) -> Result<(), OutboxError> {
        let entries = self.entries()?;
        let has_it = |entry: &&Entry| entry.marks.key.as_ref() == Some(key);
        entries.iter().filter(has_it).try_for_each(|entry| self.mark_told(&entry.id))?;
        self.mark_sent_told(key)
    }

    /// Says that this process looks after a transfer until the file is dropped; none if another one does.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn hold(&self, id: &TxId) -> Result<Option<OpenFile>, OutboxError> {
        Ok(disk::try_lock(&self.path(id))?)
    }

    /// Whether another process looks after a transfer. One that is not there any more needs nobody.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn is_held(&self, id: &TxId) -> Result<bool, OutboxError> {
        match disk::is_locked(&self.path(id)) {
            Err(error) if error.is_missing() => Ok(false),
            other => Ok(other?),
        }
    }

    /// Forgets a transfer whose fate is known.
    ///
    /// # Errors
    /// [`OutboxError::Disk`].
    pub fn forget(&self, id: &TxId) -> Result<(), OutboxError> {
        self.forget_refused(id)?;
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
        Ok(self.entries()?.into_iter().map(|entry| (entry.id, entry.transfer)).collect())
    }

    /// The same with what was noted.
    ///
    /// # Errors
    /// [`OutboxError`].
    pub fn entries(&self) -> Result<Vec<Entry>, OutboxError> {
        self.entries_in(&self.folder)
    }

    fn entries_in(&self, folder: &Path) -> Result<Vec<Entry>, OutboxError> {
        match disk::check_folder(folder) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            other => other?,
        }
        let unreadable = |source| DiskError::Io { action: "list", path: folder.to_owned(), source };
        let mut entries = Vec::new();
        for entry in fs::read_dir(folder).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                let entry = match self.read(&path) {
                    // Another command took it out meanwhile.
                    Err(OutboxError::Disk(error)) if error.is_missing() => continue,
                    other => other?,
                };
                if path != folder.join(Self::file_name(&entry.id)) {
                    return Err(OutboxError::OtherId { path, found: entry.id });
                }
                entries.push(entry);
            }
        }
        entries.sort_by_key(|entry| (entry.transfer.transaction().nonce(), entry.id));
        Ok(entries)
    }

    fn read(&self, path: &Path) -> Result<Entry, OutboxError> {
        let bytes = disk::read_private(path, MAX_FILE_BYTES)?;
        let file: File =
            toml::from_slice(&bytes).map_err(|source| OutboxError::Syntax { path: path.to_owned(), source })?;
        let bytes = hex::decode(&file.transaction_bytes).unwrap_or_default();
        let transfer = SignedTransaction::from_canonical(&bytes)
            .map_err(|source| OutboxError::Transfer { path: path.to_owned(), source })?;
        let id = transfer.transaction().id(&self.genesis);
        // What an earlier version wrote says nothing of its command; nobody is to be surprised by it.
        let told = file.told || file.content.is_none();
        let marks = Marks { key: file.key, content: file.content, kind: file.kind, made: file.made, told };
        Ok(Entry { id, transfer, marks, outcome: file.outcome })
    }

    fn path(&self, id: &TxId) -> PathBuf {
        self.folder.join(Self::file_name(id))
    }

    fn file_name(id: &TxId) -> String {
        format!("{id}.toml")
    }
}

fn text(id: &TxId, transfer: &SignedTransaction, marks: Marks, outcome: Option<Outcome>) -> String {
    let Marks { key, content, kind, made, told } = marks;
    let file = File {
        transaction_id: id.to_string(),
        transaction_bytes: hex::encode(transfer.to_canonical()),
        key,
        content,
        kind,
        made,
        told,
        outcome,
    };
    toml::to_string(&file).expect("texts, a number and a truth value are always valid TOML")
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

    pub(super) fn transfer(amount: u64) -> SignedTransaction {
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
    fn an_id_outlives_its_transfer_with_what_became_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        let key: Key = "invoice-7".parse().unwrap();
        let marks = Marks { key: Some(key.clone()), content: Some("c".into()), ..Marks::now(Kind::Payment) };
        let (id, _) = outbox.write(&transfer(5), marks.clone()).unwrap();
        let entry = outbox.entries().unwrap().remove(0);
        assert_eq!((entry.id, &entry.marks), (id, &marks));
        assert_eq!(outbox.sent(&key).unwrap(), None);
        outbox.settle(&entry, Outcome::Paid).unwrap();
        // A crash in between would settle it again; the first word stands.
        outbox.settle(&entry, Outcome::NotPaid).unwrap();
        assert!(outbox.entries().unwrap().is_empty());
        let sent = outbox.sent(&key).unwrap().unwrap();
        assert_eq!((sent.id, sent.outcome, sent.marks), (id, Some(Outcome::Paid), marks));
    }

    #[test]
    fn what_somebody_was_told_stays_told() {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::new(folder.path().join("outbox"), BlockId::ZERO);
        let marks = Marks { content: Some("c".into()), ..Marks::now(Kind::Payment) };
        let (id, _) = outbox.write(&transfer(5), marks).unwrap();
        assert!(!outbox.entries().unwrap()[0].marks.told);
        let held = outbox.hold(&id).unwrap().unwrap();
        assert!(outbox.hold(&id).unwrap().is_none() && outbox.is_held(&id).unwrap());
        outbox.mark_told(&id).unwrap();
        assert!(outbox.entries().unwrap()[0].marks.told);
        drop(held);
        assert!(!outbox.is_held(&id).unwrap() && !outbox.is_held(&TxId::from_bytes([9; 32])).unwrap());
        outbox.mark_told(&TxId::from_bytes([9; 32])).unwrap();
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
