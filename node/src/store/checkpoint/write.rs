//! Writing a checkpoint: account by account from a snapshot, under another name until it is whole and synced.

use std::path::{Path, PathBuf};

use farthing::{Address, BlockId, Params, codec::Canonical as _};
use farthing_consensus::Entry;

use super::{
    CheckpointError, CheckpointName, Head, KeyOf, MAGIC, Snapshot, VERSION,
    frame::{ChunkWriter, Kind},
};
use crate::{
    env::{Disk, DiskFile},
    store::{AccountMeta, error::is_no_space},
};

/// Bytes of a full chunk of accounts.
const CHUNK_BYTES: usize = 256 << 10;

/// What a writer keeps to.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes that stay free on the disk: a checkpoint is worth less than the next block.
    pub reserve_bytes: u64,
    pub(super) chunk_bytes: usize,
}

impl Limits {
    /// Leaves so many bytes of the disk free.
    #[must_use]
    pub const fn leaving(reserve_bytes: u64) -> Self {
        Self { reserve_bytes, chunk_bytes: CHUNK_BYTES }
    }
}

/// A checkpoint that is whole and durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: CheckpointName,
    /// Its size.
    pub bytes: u64,
    /// Its accounts.
    pub accounts: u64,
}

/// Writes a checkpoint; it is durable on return. `abandon` is asked now and then and ends the work when it says so.
/// Whatever fails, no half of it is left under its final name, and what was begun is removed.
///
/// # Errors
/// See [`CheckpointError`].
pub fn write(
    disk: &dyn Disk,
    directory: &Path,
    params: &Params,
    snapshot: &Snapshot,
    key_of: &KeyOf<'_>,
    limits: Limits,
    abandon: &dyn Fn() -> bool,
) -> Result<Written, CheckpointError> {
    let tip = &snapshot.view.tip;
    snapshot
        .view
        .certify(&snapshot.before)
        .map_err(|_| CheckpointError::NotCertified { block: tip.id(), height: tip.height() })?;
    let name = CheckpointName::of(tip);
    let job = Job { disk, generating: directory.join(name.generating()), key_of, limits, abandon };
    let written = job.fill(params.genesis_id(), snapshot).and_then(|bytes| {
        let path = directory.join(name.to_string());
        disk.rename(&job.generating, &path).map_err(CheckpointError::io("naming a checkpoint", &path))?;
        Ok(bytes)
    });
    match written {
        Ok(bytes) => {
            // Should this fail the file may be gone after a power cut, or be there: whole in either case.
            disk.sync_dir(directory).map_err(CheckpointError::io("syncing the checkpoints' directory", directory))?;
            Ok(Written { name, bytes, accounts: snapshot.view.accounts.len() as u64 })
        }
        Err(error) => {
            // If this fails too, the next start removes it.
            let _ = disk.remove(&job.generating);
            Err(job.explain(error))
        }
    }
}

pub(super) fn preamble(genesis: &BlockId) -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), genesis.as_bytes()].concat()
}

struct Job<'a> {
    disk: &'a dyn Disk,
    generating: PathBuf,
    key_of: &'a KeyOf<'a>,
    limits: Limits,
    abandon: &'a dyn Fn() -> bool,
}

impl Job<'_> {
    /// Writes and syncs the whole file. Returns its size.
    fn fill(&self, genesis: &BlockId, snapshot: &Snapshot) -> Result<u64, CheckpointError> {
        let io = || CheckpointError::io("writing a checkpoint", &self.generating);
        self.check_room()?;
        let file = self.create().map_err(CheckpointError::io("making a checkpoint", &self.generating))?;
        let mut chunks = ChunkWriter::begin(file, &preamble(genesis)).map_err(io())?;
        Head::of(snapshot).encode(chunks.payload());
        chunks.flush(Kind::Head).map_err(io())?;
        let mut accounts = 0_u64;
        for (address, entry) in &snapshot.view.accounts {
            self.put_account(chunks.payload(), address, entry)?;
            accounts += 1;
            if chunks.gathered() >= self.limits.chunk_bytes {
                if (self.abandon)() {
                    return Err(CheckpointError::Abandoned(accounts));
                }
                self.check_room()?;
                chunks.flush(Kind::Accounts).map_err(io())?;
            }
        }
        if chunks.gathered() > 0 {
            chunks.flush(Kind::Accounts).map_err(io())?;
        }
        let end = [accounts.to_le_bytes(), chunks.written().to_le_bytes()].concat();
        chunks.payload().extend_from_slice(&end);
        chunks.flush(Kind::End).map_err(io())?;
        chunks.sync().map_err(CheckpointError::io("syncing a checkpoint", &self.generating))?;
        Ok(chunks.written())
    }

    fn create(&self) -> std::io::Result<std::sync::Arc<dyn DiskFile>> {
        if self.disk.exists(&self.generating)? {
            self.disk.remove(&self.generating)?;
        }
        self.disk.create(&self.generating)
    }

    fn put_account(
        &self,
        out: &mut Vec<u8>,
        address: &Address,
        entry: &Entry<AccountMeta>,
    ) -> Result<(), CheckpointError> {
        address.encode(out);
        entry.account.encode(out);
        entry.meta.encode(out);
        if entry.account.next_nonce == 0 {
            out.extend_from_slice(&0_u16.to_le_bytes());
            return Ok(());
        }
        let place = entry.meta.key.ok_or(CheckpointError::NoKeyPlace(*address))?;
        let key = (self.key_of)(place, address).map_err(|source| CheckpointError::Key { address: *address, source })?;
        if key.address() != *address {
            return Err(CheckpointError::OtherKey { address: *address, found: key.address() });
        }
        let spki = key.as_spki();
        out.extend_from_slice(&u16::try_from(spki.len()).expect("a key has at most 550 bytes").to_le_bytes());
        out.extend_from_slice(spki);
        Ok(())
    }

    fn check_room(&self) -> Result<(), CheckpointError> {
        let directory = self.generating.parent().unwrap_or(Path::new("."));
        let free = self.disk.free_space(directory).map_err(CheckpointError::io("asking for free space", directory))?;
        // The chunk about to be written, and the end.
        let needed = self.limits.reserve_bytes.saturating_add(2 * self.limits.chunk_bytes as u64);
        if free < needed { Err(self.full(free)) } else { Ok(()) }
    }

    fn full(&self, free: u64) -> CheckpointError {
        CheckpointError::DiskFull { path: self.generating.clone(), free, reserve: self.limits.reserve_bytes }
    }

    /// Tells a full disk from other failures, by the system's answer.
    fn explain(&self, error: CheckpointError) -> CheckpointError {
        match error {
            CheckpointError::Io { source, .. } if is_no_space(&source) => {
                let directory = self.generating.parent().unwrap_or(Path::new("."));
                self.full(self.disk.free_space(directory).unwrap_or(0))
            }
            error => error,
        }
    }
}
