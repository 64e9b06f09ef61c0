//! Everything that a wallet cannot make again, in one file: a tar file inside an age file (`age-encryption.org/v1`) under
//! a passphrase, which `age -d FILE | tar x` opens without this program.
//!
//! Keys stay inside as they lie on the disk, under their own passphrases. What is read back is a stranger's until it was
//! looked at: names, kinds and lengths are checked before anything is written, and nothing is ever overwritten.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::{self, Read as _},
    path::{Component, Path, PathBuf},
};

use zeroize::Zeroizing;

use crate::{
    age::{self, AgeError},
    config::Settings,
    disk::{self, DiskError},
    error::{Exit, Explain},
    name::Name,
    passphrase::Passphrase,
};

/// The folder that everything in the archive is in.
const FOLDER: &str = "farthing-wallet";
/// The name of the settings file in it.
const CONFIG: &str = "config.toml";
/// The folder in it with the files of private networks that were added: without them, settings that name one are of no use.
const NETWORKS: &str = "networks";
/// A network's files, beside those in its folders.
const FILES: [&str; 3] = ["wallet.toml", "contacts.toml", RECIPIENTS];
/// Whom the wallet has paid before, so that lookalikes are noticed.
const RECIPIENTS: &str = "recipients";
/// log2 of scrypt's N: what the program `age` takes, 256 MiB and about a second.
const WORK_FACTOR: u8 = 18;
/// The most that a foreign file may ask for: 1 GiB.
const MAX_WORK_FACTOR: u8 = 20;
/// Longest archive.
pub const MAX_BYTES: u64 = 64 << 20;
/// Most bytes of an archive before it is encrypted, which adds a few.
const MAX_PLAIN_BYTES: u64 = MAX_BYTES - (1 << 20);
/// What tar puts around a file.
const TAR_BYTES: u64 = 1024;
/// Longest file in it.
const MAX_FILE_BYTES: u64 = 1 << 20;
/// Most files in it.
const MAX_FILES: usize = 20_000;

/// Why there is no backup, or nothing was restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Nothing that would be worth it.
    #[error("there is nothing to back up yet")]
    Empty,
    /// More than an archive takes.
    #[error(
        "the wallet has more than {MAX_FILES} files, files longer than {MAX_FILE_BYTES} bytes, or {MAX_PLAIN_BYTES} bytes \
         altogether"
    )]
    TooLarge,
    /// What stands among the keys and may be one.
    #[error("{} lies among the keys and is not named like one (NAME.pem); nothing was backed up", .0.display())]
    Strange(PathBuf),
    /// The archive could not be put together.
    #[error("cannot put the archive together")]
    Write(#[source] io::Error),
    /// Not an age file, or a damaged one.
    #[error("the file is not a backup, or it is damaged: {0}")]
    Damaged(String),
    /// It does not open.
    #[error("the passphrase does not open the backup")]
    WrongPassphrase,
    /// It would take too long to try.
    #[error("the backup's passphrase settings would cost too much: scrypt with N=2^{0}")]
    TooCostly(u8),
    /// Something in it that no wallet has.
    #[error("the backup holds {0:?}, which belongs to no wallet; nothing was restored")]
    Foreign(String),
    /// Something else is there already.
    #[error("{} files differ from those in the backup, and are never overwritten: {}", paths.len(), shown(paths))]
    Differs {
        /// What is there.
        paths: Vec<PathBuf>,
    },
    /// A file could not be read or written.
    #[error(transparent)]
    Disk(#[from] DiskError),
}

fn shown(paths: &[PathBuf]) -> String {
    let some: Vec<String> = paths.iter().take(4).map(|path| path.display().to_string()).collect();
    some.join(", ")
}

impl From<AgeError> for BackupError {
    fn from(error: AgeError) -> Self {
        match error {
            AgeError::TooCostly(required) => Self::TooCostly(required),
            AgeError::WrongPassphrase => Self::WrongPassphrase,
            AgeError::Damaged(reason) => Self::Damaged(reason.to_owned()),
        }
    }
}

impl Explain for BackupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Empty => "NO_KEYS",
            Self::TooLarge => "BACKUP_TOO_LARGE",
            Self::Strange(_) => "KEY_FILE_NAME",
            Self::Write(_) => "BACKUP_WRITE",
            Self::Damaged(_) | Self::Foreign(_) => "BACKUP_DAMAGED",
            Self::WrongPassphrase => "WRONG_PASSPHRASE",
            Self::TooCostly(_) => "BACKUP_TOO_COSTLY",
            Self::Differs { .. } => "BACKUP_DIFFERS",
            Self::Disk(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::WrongPassphrase => Exit::WrongPassphrase,
            Self::Disk(error) => error.exit(),
            Self::Empty | Self::Differs { .. } => Exit::Usage,
            _ => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Empty => {
                vec!["farthing-wallet key new NAME".into(), "--wallet-dir with the wallet that you mean".into()]
            }
            Self::TooLarge => vec!["a copy of the wallet's folder by other means".into()],
            Self::Strange(path) => {
                vec![format!("move '{}' out of the folder, and import it if it is a key", path.display())]
            }
            Self::Write(_) => vec!["again, with memory to spare".into()],
            Self::Damaged(_) | Self::Foreign(_) => vec!["another copy of the backup".into()],
            Self::WrongPassphrase => vec![
                "the backup's own passphrase, which need not be a key's".into(),
                "another copy of the backup, if it is surely right: damage looks the same".into(),
            ],
            Self::TooCostly(_) => vec!["age -d FILE | tar x, and then key import".into()],
            Self::Differs { .. } => {
                vec!["--wallet-dir NEW, which restores into a folder of its own".into(), "move those files away".into()]
            }
            Self::Disk(error) => error.tries(),
        }
    }
}

/// The files of a backup, by their place in it.
#[derive(Default)]
pub struct Archive {
    files: BTreeMap<String, Zeroizing<Vec<u8>>>,
    /// How long they are together.
    bytes: u64,
}

/// What is in a backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Contents {
    /// Keys, those that someone else holds included.
    pub keys: usize,
    /// Networks.
    pub networks: usize,
    /// Unsettled transfers.
    pub transfers: usize,
}

impl Archive {
    /// Reads everything worth keeping of a wallet, of all its networks.
    ///
    /// # Errors
    /// [`BackupError::Empty`], [`BackupError::TooLarge`], [`BackupError::Disk`].
    pub fn read(settings: &Settings) -> Result<Self, BackupError> {
        let mut archive = Self::default();
        let root = settings.root();
        archive.add(CONFIG.to_owned(), settings.config())?;
        for file in names(&root.join(NETWORKS), is_added)? {
            archive.add(format!("{NETWORKS}/{file}"), &root.join(NETWORKS).join(&file))?;
        }
        for network in names(root, is_network)? {
            let home = root.join(&network);
            if !home.is_dir() {
                continue;
            }
            for file in FILES {
                archive.add(format!("{network}/{file}"), &home.join(file))?;
            }
            if let Some(file) = names(&home.join(KEYS), |file| !file.starts_with('.') && !is_key(file))?.first() {
                return Err(BackupError::Strange(home.join(KEYS).join(file)));
            }
            for (folder, fits) in FOLDERS {
                for file in names(&home.join(folder), fits)? {
                    archive.add(format!("{network}/{folder}/{file}"), &home.join(folder).join(&file))?;
                }
            }
        }
        if archive.contents().keys == 0 { Err(BackupError::Empty) } else { Ok(archive) }
    }

    fn add(&mut self, place: String, path: &Path) -> Result<(), BackupError> {
        match read(&place, path) {
            Err(error) if error.is_missing() => Ok(()),
            Err(DiskError::TooLong { .. }) => Err(BackupError::TooLarge),
            other => self.put(place, other?),
        }
    }

    fn put(&mut self, place: String, bytes: Zeroizing<Vec<u8>>) -> Result<(), BackupError> {
        self.bytes += bytes.len() as u64 + TAR_BYTES;
        if self.files.len() >= MAX_FILES || self.bytes > MAX_PLAIN_BYTES {
            return Err(BackupError::TooLarge);
        }
        self.files.insert(place, bytes);
        Ok(())
    }

    /// What is in it.
    #[must_use]
    pub fn contents(&self) -> Contents {
        let count = |part: &str| self.files.keys().filter(|place| place.contains(part)).count();
        let folders = self.files.keys().filter_map(|place| Some(place.split_once('/')?.0));
        let networks: BTreeSet<&str> = folders.filter(|folder| *folder != NETWORKS).collect();
        Contents { keys: count("/keys/"), networks: networks.len(), transfers: count("/outbox/") }
    }

    /// Encrypts it.
    ///
    /// # Errors
    /// [`BackupError::Write`].
    pub fn seal(&self, passphrase: &Passphrase) -> Result<Vec<u8>, BackupError> {
        let total: usize = self.files.values().map(|bytes| bytes.len() + 2048).sum();
        // Reserved once, so that no copy is left behind by a growing buffer.
        let mut tar = tar::Builder::new(Vec::with_capacity(total + 4096));
        for (place, bytes) in &self.files {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o600);
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, format!("{FOLDER}/{place}"), bytes.as_slice()).map_err(BackupError::Write)?;
        }
        let plain = Zeroizing::new(tar.into_inner().map_err(BackupError::Write)?);
        Ok(age::seal(&plain, passphrase, WORK_FACTOR))
    }

    /// Decrypts one, and looks at everything in it.
    ///
    /// # Errors
    /// [`BackupError`].
    pub fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Self, BackupError> {
        let plain = age::open(sealed, passphrase, MAX_WORK_FACTOR)?;
        Self::parse(&plain)
    }

    /// Whether a file may be a backup, before anybody is asked for its passphrase.
    ///
    /// # Errors
    /// [`BackupError::Damaged`].
    pub fn check(sealed: &[u8]) -> Result<(), BackupError> {
        Ok(age::check(sealed)?)
    }

    fn parse(plain: &[u8]) -> Result<Self, BackupError> {
        let damaged = |error: io::Error| BackupError::Damaged(error.to_string());
        let mut archive = Self::default();
        let mut tar = tar::Archive::new(plain);
        for entry in tar.entries().map_err(damaged)? {
            let mut entry = entry.map_err(damaged)?;
            let path = entry.path().map_err(damaged)?.into_owned();
            // What tar adds when a person packs the folder again.
            if entry.header().entry_type().is_dir() {
                continue;
            }
            let foreign = || BackupError::Foreign(path.display().to_string());
            if !entry.header().entry_type().is_file()
                || entry.size() > MAX_FILE_BYTES
                || archive.files.len() >= MAX_FILES
            {
                return Err(foreign());
            }
            let place = place(&path).ok_or_else(foreign)?;
            let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(entry.size()).unwrap_or_default()));
            entry.read_to_end(&mut bytes).map_err(damaged)?;
            if archive.files.insert(place, bytes).is_some() {
                return Err(foreign());
            }
        }
        Ok(archive)
    }

    /// Writes what is not there yet; gives how many files that were, and whether other settings than the archive's were
    /// left as they are, as another list of earlier payees is. Nothing is written if any other file is there with another
    /// content.
    ///
    /// # Errors
    /// [`BackupError::Differs`], [`BackupError::Disk`].
    pub fn restore(&self, settings: &Settings) -> Result<(usize, bool), BackupError> {
        let (mut missing, mut differing, mut kept) = (Vec::new(), Vec::new(), false);
        for (place, bytes) in &self.files {
            let path = if place == CONFIG { settings.config().to_owned() } else { settings.root().join(place) };
            match read(place, &path) {
                Err(error) if error.is_missing() => missing.push((path, bytes)),
                Err(error) => return Err(error.into()),
                Ok(found) if found == *bytes => {}
                Ok(_) if place == CONFIG => kept = true,
                Ok(_) if place.ends_with(RECIPIENTS) => {}
                Ok(_) => differing.push(path),
            }
        }
        if !differing.is_empty() {
            return Err(BackupError::Differs { paths: differing });
        }
        for (path, bytes) in &missing {
            if let Some(folder) = path.parent() {
                disk::make_folder(folder)?;
            }
            disk::create_private(path, bytes)?;
        }
        Ok((missing.len(), kept))
    }
}

/// Reads a file of a wallet.
fn read(place: &str, path: &Path) -> Result<Zeroizing<Vec<u8>>, DiskError> {
    if is_open(place) { disk::read_any(path, MAX_FILE_BYTES) } else { disk::read_private(path, MAX_FILE_BYTES) }
}

/// Settings and added networks hold no secret: they may be linked from elsewhere, and anybody's to read.
fn is_open(place: &str) -> bool {
    place == CONFIG || place.strip_prefix(NETWORKS).and_then(|rest| rest.strip_prefix('/')).is_some_and(is_added)
}

impl PartialEq for Archive {
    fn eq(&self, other: &Self) -> bool {
        self.files == other.files
    }
}

/// Whether a name belongs there.
type Fits = fn(&str) -> bool;

/// The folder of a network with its keys.
const KEYS: &str = "keys";

/// The folders of a network, and which files belong there.
const FOLDERS: [(&str, Fits); 4] =
    [(KEYS, is_key), ("outbox", is_transfer), ("sent", is_transfer), ("refused", is_transfer)];

fn is_key(file: &str) -> bool {
    file.strip_suffix(".pem").is_some_and(|name| name.parse::<Name>().is_ok())
}

fn is_added(file: &str) -> bool {
    file.strip_suffix(".toml").is_some_and(is_network)
}

fn is_transfer(file: &str) -> bool {
    file.strip_suffix(".toml").is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

fn is_network(folder: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !folder.is_empty() && folder.len() <= 64 && !folder.starts_with('.') && folder.bytes().all(fits)
}

/// The place of a file in an archive, if it is one that a wallet has.
fn place(path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .components()
        .filter(|part| *part != Component::CurDir)
        .map(|part| match part {
            Component::Normal(part) => part.to_str(),
            _ => None,
        })
        .collect();
    let fits = match parts?.as_slice() {
        [FOLDER, CONFIG] => return Some(CONFIG.to_owned()),
        [FOLDER, NETWORKS, file] if is_added(file) => true,
        [FOLDER, network, file] => is_network(network) && FILES.contains(file),
        [FOLDER, network, folder, file] => {
            is_network(network) && FOLDERS.iter().any(|(known, fits)| known == folder && fits(file))
        }
        _ => false,
    };
    let inner = path.components().filter(|part| *part != Component::CurDir).skip(1).collect::<PathBuf>();
    if fits { inner.to_str().map(str::to_owned) } else { None }
}

/// The names in a folder that fit, sorted; none if it is not there.
fn names(folder: &Path, fits: Fits) -> Result<Vec<String>, DiskError> {
    let failed = |source| DiskError::Io { action: "list", path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        names.extend(Some(name.as_ref()).filter(|name| fits(name)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tar_of(entries: &[(&str, tar::EntryType)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, kind) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_size(0);
            // Past the library's own check, as an attacker would.
            header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        }
        tar.into_inner().unwrap()
    }

    #[test]
    fn only_what_a_wallet_has_is_taken_from_an_archive() {
        let file = tar::EntryType::Regular;
        for good in [
            "config.toml",
            "networks/ours.toml",
            "main/wallet.toml",
            "dev/contacts.toml",
            "main/recipients",
            "main/keys/a.pem",
            "main/outbox/0af.toml",
            "main/sent/0af.toml",
        ] {
            assert!(Archive::parse(&tar_of(&[(&format!("{FOLDER}/{good}"), file)])).is_ok(), "{good}");
            assert!(Archive::parse(&tar_of(&[(&format!("./{FOLDER}/{good}"), file)])).is_ok(), "{good}");
        }
        for bad in [
            "farthing-wallet/main/keys/../../../evil.pem",
            "/farthing-wallet/main/keys/a.pem",
            "../farthing-wallet/main/keys/a.pem",
            "farthing-wallet/../keys/a.pem",
            "farthing-wallet/.ssh/keys/a.pem",
            "farthing-wallet/main/keys/.a.pem",
            "farthing-wallet/main/keys/a.sh",
            "farthing-wallet/main/lock",
            "farthing-wallet/networks/.toml",
            "farthing-wallet/networks/ours.sh",
            "farthing-wallet/main/keys/recipients",
            "farthing-wallet/main",
            "other/config.toml",
        ] {
            let error = Archive::parse(&tar_of(&[(bad, file)])).err().unwrap();
            assert!(matches!(error, BackupError::Foreign(_)), "{bad}: {error}");
        }
        for (place, open) in [
            ("config.toml", true),
            ("networks/ours.toml", true),
            ("networks/keys/a.pem", false),
            ("networks-2/contacts.toml", false),
            ("main/keys/a.pem", false),
        ] {
            assert_eq!(is_open(place), open, "{place}");
        }
        let place = format!("{FOLDER}/main/keys/a.pem");
        assert_eq!(Archive::parse(&tar_of(&[(&place, file)])).unwrap().contents().networks, 1);
        for kind in [tar::EntryType::Symlink, tar::EntryType::Link, tar::EntryType::Fifo] {
            assert!(Archive::parse(&tar_of(&[(&place, kind)])).is_err(), "{kind:?}");
        }
        assert!(Archive::parse(&tar_of(&[(&place, file), (&place, file)])).is_err());
    }

    #[test]
    fn what_could_not_be_restored_is_not_written() {
        let mut archive = Archive::default();
        let file = || Zeroizing::new(vec![0; MAX_FILE_BYTES as usize]);
        let mut put = |number: u32| archive.put(format!("main/sent/{number}.toml"), file());
        let taken = (0..64).take_while(|number| put(*number).is_ok()).count();
        assert_eq!(taken, 62);
    }
}
