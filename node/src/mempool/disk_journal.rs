//! The journal as a file: records behind a header that names the network, each with a checksum.
//!
//! ```text
//! header: "FARJRNL1" | genesis id 32
//! record: length u32 of what follows the checksum | CRC-32C u32 of it | kind u8 | payload
//!   kind 1, added:   received u64 | canonical signed transaction
//!   kind 2, dropped: id 32 | code u8 | height u64 | id 32 of the one that replaced it, or nothing
//! ```
//! All numbers little-endian. An append is one write and one sync; whoever was acknowledged is before the end of a
//! synced write, so what is torn is behind all of them and is cut. What is cut is kept beside the journal.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use farthing::{
    BlockId, Height, SignedTransaction, TimeMs, TxId,
    codec::{Canonical as _, Reader},
};

use super::{DropReason, JournalEntry, JournalError, LoadedEntry, PoolJournal};
use crate::env::{Disk, DiskFile, disk::read_whole};

const MAGIC: &[u8; 8] = b"FARJRNL1";
const HEADER_BYTES: usize = 40;
const ADDED: u8 = 1;
const DROPPED: u8 = 2;
/// No record is longer: a transaction, its time and its kind.
const MAX_RECORD_BYTES: usize = farthing::limits::MAX_TRANSACTION_BYTES + 9;
/// A journal is rewritten long before it is this long.
const MAX_JOURNAL_BYTES: u64 = 8 << 30;

/// The journal of one data directory.
#[derive(Debug)]
pub struct DiskJournal {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    genesis: BlockId,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    file: Arc<dyn DiskFile>,
    end: u64,
    /// Set when a sync failed: nothing may be appended any more.
    broken: bool,
}

impl DiskJournal {
    /// Opens `mempool.journal` in the data directory, or makes it; a torn tail is cut.
    ///
    /// # Errors
    /// If the disk fails, or the file is another network's or none of this program's.
    pub fn open(disk: Arc<dyn Disk>, data_dir: &Path, genesis: BlockId) -> Result<Self, JournalError> {
        let path = data_dir.join("mempool.journal");
        let stray = stray_path(&path);
        if disk.exists(&stray).map_err(|error| fault("look for", &stray, &error))? {
            disk.remove(&stray).map_err(|error| fault("remove", &stray, &error))?;
        }
        if !disk.exists(&path).map_err(|error| fault("look for", &path, &error))? {
            write_new(&*disk, &stray, &genesis, &[])?;
            disk.rename(&stray, &path).map_err(|error| fault("create", &path, &error))?;
            disk.sync_dir(directory(&path)).map_err(|error| fault("sync the folder of", &path, &error))?;
        }
        let file = disk.open(&path).map_err(|error| fault("open", &path, &error))?;
        let journal = Self { disk, path, genesis, state: Mutex::new(State { file, end: 0, broken: false }) };
        journal.cut_torn_tail()?;
        Ok(journal)
    }

    fn read(&self) -> Result<Vec<u8>, JournalError> {
        let bytes = read_whole(&*self.disk, &self.path, MAX_JOURNAL_BYTES)
            .map_err(|error| fault("read", &self.path, &error))?;
        match (bytes.get(..8), bytes.get(8..HEADER_BYTES)) {
            (Some(magic), Some(genesis)) if magic == MAGIC && genesis == self.genesis.as_bytes() => Ok(bytes),
            (Some(magic), Some(_)) if magic == MAGIC => {
                Err(refuse(format!("{} belongs to another network", self.path.display())))
            }
            _ => {
                Err(refuse(format!("{} is not a mempool journal; move it away to start without", self.path.display())))
            }
        }
    }

    fn cut_torn_tail(&self) -> Result<(), JournalError> {
        let bytes = self.read()?;
        let (_, good) = parse(&bytes);
        let mut state = self.lock();
        state.end = u64::try_from(good).unwrap_or(u64::MAX);
        let Some(torn) = bytes.get(good..).filter(|torn| !torn.is_empty()) else { return Ok(()) };
        let aside = self.path.with_extension("journal.cut");
        tracing::warn!(bytes = torn.len(), kept = %aside.display(), "cut the torn end of the mempool journal");
        // Only for whoever wants to look; nothing acknowledged is in it, so a failure here changes nothing.
        let _ = self.disk.remove(&aside);
        let _ = self.disk.create(&aside).and_then(|file| file.write_all_at(0, torn));
        state.file.set_len(state.end).map_err(|error| fault("cut", &self.path, &error))?;
        state.file.sync_data().map_err(|error| fault("sync", &self.path, &error))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolJournal for DiskJournal {
    fn append(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut bytes = Vec::new();
        entries.iter().for_each(|entry| put_record(entry, &mut bytes));
        let mut state = self.lock();
        if state.broken {
            return Err(refuse(format!("{} failed to sync before; restart the node to check it", self.path.display())));
        }
        if let Err(error) = state.file.write_all_at(state.end, &bytes) {
            // Whatever part was written is behind the end; if it cannot be cut now, the next start cuts it.
            let _ = state.file.set_len(state.end);
            let full = error.kind() == io::ErrorKind::StorageFull;
            return Err(JournalError { is_fatal: !full, ..fault("write", &self.path, &error) });
        }
        if let Err(error) = state.file.sync_data() {
            state.broken = true;
            return Err(fault("sync", &self.path, &error));
        }
        state.end = state.end.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn load(&self) -> Result<Vec<LoadedEntry>, JournalError> {
        Ok(parse(&self.read()?).0)
    }

    fn rewrite(&self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        let mut state = self.lock();
        let stray = stray_path(&self.path);
        if let Err(error) = write_new(&*self.disk, &stray, &self.genesis, entries) {
            let _ = self.disk.remove(&stray);
            return Err(error);
        }
        let failed = |what| move |error: io::Error| fault(what, &self.path, &error);
        self.disk.rename(&stray, &self.path).map_err(failed("replace"))?;
        // From here on the old file has no name: a failure leaves nothing to append to.
        state.broken = true;
        self.disk.sync_dir(directory(&self.path)).map_err(failed("sync the folder of"))?;
        let file = self.disk.open(&self.path).map_err(failed("open"))?;
        let end = file.len().map_err(failed("measure"))?;
        *state = State { file, end, broken: false };
        Ok(())
    }
}

fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

fn stray_path(path: &Path) -> PathBuf {
    path.with_extension("journal.generating")
}

fn fault(what: &str, path: &Path, error: &io::Error) -> JournalError {
    JournalError { message: format!("cannot {what} {}: {error}", path.display()), is_fatal: true }
}

fn refuse(message: String) -> JournalError {
    JournalError { message, is_fatal: true }
}

fn write_new(disk: &dyn Disk, path: &Path, genesis: &BlockId, entries: &[JournalEntry]) -> Result<(), JournalError> {
    let mut bytes = MAGIC.to_vec();
    genesis.encode(&mut bytes);
    entries.iter().for_each(|entry| put_record(entry, &mut bytes));
    let failed = |what| {
        move |error: io::Error| JournalError {
            is_fatal: error.kind() != io::ErrorKind::StorageFull,
            ..fault(what, path, &error)
        }
    };
    let file = disk.create(path).map_err(failed("create"))?;
    file.write_all_at(0, &bytes).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))?;
    disk.sync_dir(directory(path)).map_err(failed("sync the folder of"))
}

fn put_record(entry: &JournalEntry, out: &mut Vec<u8>) {
    let mut record = Vec::with_capacity(512);
    match entry {
        JournalEntry::Added(pooled) => {
            record.push(ADDED);
            pooled.received().encode(&mut record);
            pooled.transaction().encode(&mut record);
        }
        JournalEntry::Dropped { id, reason, height } => {
            let (code, by) = reason.to_code();
            record.push(DROPPED);
            id.encode(&mut record);
            record.push(code);
            height.encode(&mut record);
            if let Some(by) = by {
                by.encode(&mut record);
            }
        }
    }
    let length = u32::try_from(record.len()).expect("a record is a few kilobytes");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&crc32c::crc32c(&record).to_le_bytes());
    out.extend_from_slice(&record);
}

/// All whole records from the front, and where the first one that is not whole begins.
fn parse(bytes: &[u8]) -> (Vec<LoadedEntry>, usize) {
    let mut entries = Vec::new();
    let mut good = HEADER_BYTES;
    while let Some(rest) = bytes.get(good..).filter(|rest| !rest.is_empty()) {
        let mut reader = Reader::new(rest);
        let Some(entry) = record(&mut reader) else { break };
        entries.push(entry);
        good += rest.len() - reader.remaining();
    }
    (entries, good)
}

/// One whole record; none if it is cut off or damaged, which ends the journal.
fn record(reader: &mut Reader<'_>) -> Option<LoadedEntry> {
    let length = reader.u32("length").ok()?;
    let length = usize::try_from(length).ok().filter(|length| (1..=MAX_RECORD_BYTES).contains(length))?;
    let checksum = reader.u32("checksum").ok()?;
    let record = reader.take("record", length).ok()?;
    if crc32c::crc32c(record) != checksum {
        return None;
    }
    let mut reader = Reader::new(record);
    let entry = match reader.u8("kind").ok()? {
        ADDED => LoadedEntry::Added {
            received: TimeMs::decode(&mut reader).ok()?,
            transaction: SignedTransaction::decode(&mut reader).ok()?,
        },
        DROPPED => {
            let id = TxId::decode(&mut reader).ok()?;
            let code = reader.u8("reason").ok()?;
            let height = Height::decode(&mut reader).ok()?;
            let by = if reader.remaining() > 0 { Some(TxId::decode(&mut reader).ok()?) } else { None };
            LoadedEntry::Dropped { id, reason: DropReason::from_code(code, by)?, height }
        }
        _ => return None,
    };
    reader.finish().ok()?;
    Some(entry)
}

#[cfg(test)]
mod tests {
    use farthing::Network;

    use super::*;
    use crate::{
        env::{
            MemDisk,
            disk::{Fault, FaultError, FaultOp, Survivors},
        },
        mempool::{Pooled, Source},
        testing::{ALICE, BOB, dev},
    };

    const DIR: &str = "/data";

    fn disk() -> MemDisk {
        let disk = MemDisk::new();
        disk.create_dir_all(Path::new(DIR)).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        disk
    }

    fn open(disk: &MemDisk) -> Result<DiskJournal, JournalError> {
        DiskJournal::open(Arc::new(disk.clone()), Path::new(DIR), *dev().genesis_id())
    }

    fn added(nonce: u64) -> JournalEntry {
        let transaction = ALICE.pay(nonce, BOB.address(), 1);
        let id = transaction.transaction().id(dev().genesis_id());
        let received = TimeMs::new(1_000 + nonce);
        JournalEntry::Added(Arc::new(Pooled { transaction, id, received, source: Source::Rpc, arrival: nonce }))
    }

    fn dropped(nonce: u64) -> JournalEntry {
        let JournalEntry::Added(pooled) = added(nonce) else { unreachable!() };
        let reason = DropReason::Replaced { by: TxId::from_bytes([7; 32]) };
        JournalEntry::Dropped { id: pooled.id(), reason, height: Height::new(9) }
    }

    fn nonces(journal: &DiskJournal) -> Vec<u64> {
        let entries = journal.load().unwrap();
        let nonce = |entry: &LoadedEntry| match entry {
            LoadedEntry::Added { transaction, received } => {
                assert_eq!(received.get(), 1_000 + transaction.transaction().nonce());
                transaction.transaction().nonce()
            }
            LoadedEntry::Dropped { reason, height, .. } => {
                assert_eq!((reason.reason(), height.get()), ("REPLACED", 9));
                u64::MAX
            }
        };
        entries.iter().map(nonce).collect()
    }

    #[test]
    fn entries_read_back_in_order_after_a_restart() {
        let disk = disk();
        open(&disk).unwrap().append(&[added(0), added(1), dropped(0)]).unwrap();
        open(&disk).unwrap().append(&[added(2)]).unwrap();
        assert_eq!(nonces(&open(&disk).unwrap()), [0, 1, u64::MAX, 2]);
    }

    #[test]
    fn a_power_cut_keeps_every_acknowledged_entry_and_cuts_what_is_torn() {
        for survivors in [Survivors::OnlySynced, Survivors::Prefix, Survivors::AnySectors] {
            for seed in 0..40 {
                let disk = disk();
                let journal = open(&disk).unwrap();
                journal.append(&[added(0), added(1)]).unwrap();
                disk.inject(Fault { op: FaultOp::Sync, nth: 1, error: FaultError::Io, lasting: true });
                let error = journal.append(&[added(2), added(3)]).unwrap_err();
                assert!(error.is_fatal);
                assert!(journal.append(&[added(4)]).unwrap_err().is_fatal, "no write after a failed sync");
                disk.crash(survivors, seed);
                let journal = open(&disk).unwrap();
                let found = nonces(&journal);
                assert!([&[0, 1][..], &[0, 1, 2], &[0, 1, 2, 3]].contains(&&found[..]), "{seed}: {found:?}");
                journal.append(&[added(9)]).unwrap();
                assert_eq!(nonces(&open(&disk).unwrap()).last(), Some(&9));
            }
        }
    }

    #[test]
    fn a_full_disk_refuses_and_the_journal_goes_on_when_there_is_room() {
        let disk = disk();
        let journal = open(&disk).unwrap();
        journal.append(&[added(0)]).unwrap();
        disk.inject(Fault { op: FaultOp::Write, nth: 1, error: FaultError::NoSpace, lasting: false });
        assert!(!journal.append(&[added(1)]).unwrap_err().is_fatal);
        journal.append(&[added(2)]).unwrap();
        assert_eq!(nonces(&open(&disk).unwrap()), [0, 2]);
    }

    #[test]
    fn a_rewrite_is_whole_or_not_at_all_whatever_fails() {
        for op in [FaultOp::Create, FaultOp::Write, FaultOp::Sync, FaultOp::SyncDir, FaultOp::Rename] {
            for nth in 1..=2 {
                for error in [FaultError::Io, FaultError::NoSpace] {
                    let disk = disk();
                    let journal = open(&disk).unwrap();
                    journal.append(&[added(0), dropped(0), added(1)]).unwrap();
                    disk.inject(Fault { op, nth, error, lasting: false });
                    let outcome = journal.rewrite(&[added(1)]);
                    disk.crash(Survivors::OnlySynced, 1);
                    let found = nonces(&open(&disk).unwrap());
                    let (old, new) = (vec![0, u64::MAX, 1], vec![1]);
                    assert!(found == new || (outcome.is_err() && found == old), "{op:?} {nth}: {found:?}");
                }
            }
        }
    }

    #[test]
    fn another_networks_journal_is_refused() {
        let disk = disk();
        open(&disk).unwrap();
        let main = *Network::Main.params().genesis_id();
        let error = DiskJournal::open(Arc::new(disk), Path::new(DIR), main).unwrap_err();
        assert!(error.message.contains("another network"), "{error}");
    }
}
