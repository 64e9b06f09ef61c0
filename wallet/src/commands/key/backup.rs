//! `key backup` and `key restore`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    backup::{Archive, BackupError, Contents, MAX_BYTES},
    context::Context,
    disk,
    error::Result,
};

#[derive(Serialize)]
struct View {
    file: PathBuf,
    keys: usize,
    networks: usize,
    transfers: usize,
    /// Files that were written; of a restoration only.
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<usize>,
}

impl View {
    fn new(file: &Path, contents: Contents, written: Option<usize>) -> Self {
        let Contents { keys, networks, transfers } = contents;
        Self { file: file.to_owned(), keys, networks, transfers, written }
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { keys, networks, transfers, .. } = self;
        write!(f, "{}: keys {keys}, networks {networks}, unsettled transfers {transfers}", self.file.display())?;
        match self.written {
            Some(0) => f.write_str("; all of it was here already"),
            Some(files) => write!(f, "; wrote {files} files"),
            None => Ok(()),
        }
    }
}

/// Writes everything that the wallet cannot make again into one new encrypted file.
///
/// # Errors
/// [`BackupError`], a passphrase that cannot be had, a file that exists.
pub fn backup(context: &mut Context, file: &Path) -> Result<()> {
    // Said before a passphrase is asked for.
    if file.symlink_metadata().is_ok() {
        return Err(disk::DiskError::Exists { path: file.to_owned() }.into());
    }
    let archive = {
        let _lock = context.wallet.lock()?;
        Archive::read(&context.settings)?
    };
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        return Err(disk::DiskError::Missing { path: folder.to_owned() }.into());
    }
    let passphrase = context.backup_passphrase()?;
    let _progress = context.output.progress("encrypting the backup, and opening it again as a check");
    let sealed = archive.seal(&passphrase)?;
    disk::create_private(file, &sealed)?;
    // Not as a private file: on a stick, modes may be what they are, and it is encrypted.
    let again = disk::read_any(file, MAX_BYTES)?;
    if Archive::open(&again, &passphrase)? != archive {
        return Err(BackupError::Damaged("what was written does not read back".into()).into());
    }
    context.output.note("each key in it still has its own passphrase: keep those too, and the backup elsewhere");
    Ok(context.output.data(&View::new(file, archive.contents(), None))?)
}

/// Opens a backup; a typed passphrase may be wrong twice.
fn open(context: &mut Context, file: &Path, sealed: &[u8]) -> Result<Archive> {
    let mut attempts = context.attempts();
    loop {
        let passphrase = context.passphrase(&format!("Passphrase of {}: ", file.display()))?;
        let opened = {
            let _progress = context.output.progress("decrypting the backup");
            Archive::open(sealed, &passphrase)
        };
        attempts -= 1;
        match opened {
            Err(BackupError::WrongPassphrase) if attempts > 0 => {
                context.output.note("that passphrase does not open the backup; once more");
            }
            other => return Ok(other?),
        }
    }
}

/// Writes what is in a backup and not here; never overwrites anything.
///
/// # Errors
/// [`BackupError`], and a passphrase that cannot be had.
pub fn restore(context: &mut Context, file: &Path) -> Result<()> {
    let sealed = disk::read_any(file, MAX_BYTES)?;
    Archive::check(&sealed)?;
    let archive = open(context, file, &sealed)?;
    let (written, other_settings) = archive.restore(&context.settings)?;
    if other_settings {
        let path = context.settings.config().display();
        context.output.note(format_args!("note: {path} was left as it is; the backup has other settings"));
    }
    Ok(context.output.data(&View::new(file, archive.contents(), Some(written)))?)
}
