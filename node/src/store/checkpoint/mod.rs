//! Checkpoints: all accounts at one block in a file, so that a restart executes only the blocks behind it.
//!
//! ```text
//! checkpoints/<height, ten digits>-<first 8 bytes of the tip's id in hex>.ckpt
//!
//! preamble: "FARCKPT\n" | version u16 | genesis id 32
//! chunk:    kind u8 | length u32 of the payload | CRC-32C u32 | payload
//!   kind 1, head, the first: tip's header 118 | height u64 | total work u128 | supply u64 | accounts u64
//!             | place behind the last synced record of the log 8
//!             | count u32, peaks of the header range *before* the tip, 72 each
//!             | count u32, coinbases not yet credited
//!   kind 2, accounts: per account address 32 | account 56 | place of its key 8 | last touch u64
//!             | length u16 and SubjectPublicKeyInfo of its key, which every account that has sent has; else 0
//!   kind 3, end, the last: accounts u64 | bytes of the file before this chunk u64
//! ```
//! All numbers little-endian; no account crosses a chunk. A chunk's CRC goes on from that of the chunk before it (the
//! first from the preamble), over kind, length and payload: a chunk of another checkpoint, or in another place, does
//! not fit, and the last CRC is one over the whole file.
//!
//! A file certifies itself: the accounts' root and the header range before the tip give the commitment in the tip's
//! header, the range gives height and total work, each key hashes to its address, balances and coinbases sum up to
//! the supply. Coinbases, last touches and places of keys rest on the CRC alone, as no header commits to them: enough
//! against a disk, not against a stranger. Whether the tip is on the best chain is the caller's question.

use std::{collections::VecDeque, io, path::Path, sync::Arc};

use farthing::{
    Address, Coinbase, Mites, PublicKey, RangePeaks, Work,
    codec::{Canonical, DecodeError, Reader, put_count},
    range::RANGE_NODE_BYTES,
};
use farthing_consensus::HeaderContext;

use super::{LogPlace, StoreError};
use crate::ledger::{ChainView, range_leaf};

mod background;
mod error;
mod frame;
mod name;
mod pieces;
mod policy;
mod read;
mod write;

#[cfg(test)]
mod tests;

pub use background::{Checkpointer, Setup};
pub use error::{CheckpointError, Defect};
pub use name::{CheckpointName, clear_strays, list};
pub use pieces::Offer;
pub(in crate::store) use pieces::Pieces;
pub use policy::Policy;
pub use read::{Loaded, Search, load, newest_good};
pub use write::{Limits, Written, write};

const MAGIC: &[u8; 8] = b"FARCKPT\n";
const VERSION: u16 = 1;
/// Most coinbases that can wait: the longest `reward_delay` that parameters may have.
const MAX_IMMATURE: usize = 10_000;

/// Where a checkpoint gets the keys that it carries: the block log.
pub type KeyOf<'a> = dyn Fn(LogPlace, &Address) -> Result<PublicKey, StoreError> + 'a;

/// What a checkpoint is made of.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The ledger at a tip. The places of all keys are set.
    pub view: Arc<ChainView>,
    /// The header range without the tip, which the tip's header commits to.
    pub before: RangePeaks,
    /// The place behind the last record of the log that was synced when the snapshot was taken.
    pub synced_to: Option<LogPlace>,
}

/// What stands before the accounts.
#[derive(Debug, Clone)]
struct Head {
    tip: HeaderContext,
    supply: Mites,
    accounts: u64,
    synced_to: Option<LogPlace>,
    before: RangePeaks,
    immature: VecDeque<Arc<Coinbase>>,
}

impl Head {
    fn of(snapshot: &Snapshot) -> Self {
        let Snapshot { view, before, synced_to } = snapshot;
        Self {
            tip: view.tip,
            supply: view.supply,
            accounts: view.accounts.len() as u64,
            synced_to: *synced_to,
            before: before.clone(),
            immature: view.immature.clone(),
        }
    }

    /// The header range with the tip; checks that height and total work are those of the range.
    fn range(&self) -> Result<RangePeaks, Defect> {
        let height = self.tip.height().get();
        if self.before.count() != height {
            let found = self.before.count();
            return Err(Defect::Disagrees { what: "headers before the tip", found, expected: height });
        }
        if self.tip.work().is_none() {
            return Err(Defect::NoWork(self.tip.id()));
        }
        let mut range = self.before.clone();
        range.append(range_leaf(&self.tip)).map_err(|_| Defect::Overflow)?;
        let work = range.peaks().iter().try_fold(Work::ZERO, |sum, peak| sum.checked_add(peak.work));
        if work != Some(self.tip.total_work()) {
            return Err(Defect::TotalWork { found: self.tip.total_work(), expected: work });
        }
        Ok(range)
    }

    /// Checks that exactly the coinbases of the last `delay` blocks wait.
    fn check_immature(&self, delay: u64) -> Result<(), Defect> {
        let height = self.tip.height().get();
        let (found, expected) = (self.immature.len() as u64, height.min(delay));
        if found != expected {
            return Err(Defect::Disagrees { what: "coinbases not yet credited", found, expected });
        }
        let heights = height.saturating_sub(expected).saturating_add(1)..;
        for (coinbase, expected) in self.immature.iter().zip(heights) {
            if coinbase.height.get() != expected {
                let found = coinbase.height.get();
                return Err(Defect::Disagrees { what: "height of a coinbase", found, expected });
            }
        }
        Ok(())
    }
}

impl Head {
    fn encode(&self, out: &mut Vec<u8>) {
        self.tip.header().encode(out);
        self.tip.height().encode(out);
        out.extend_from_slice(&self.tip.total_work().get().to_le_bytes());
        self.supply.encode(out);
        out.extend_from_slice(&self.accounts.to_le_bytes());
        LogPlace::encode_optional(self.synced_to, out);
        put_count(out, self.before.peaks().len());
        self.before.peaks().iter().for_each(|peak| peak.encode(out));
        put_count(out, self.immature.len());
        self.immature.iter().for_each(|coinbase| coinbase.encode(out));
    }

    fn read(payload: &[u8]) -> Result<Self, Defect> {
        let read = || -> Result<_, DecodeError> {
            let mut reader = Reader::new(payload);
            let header = Canonical::decode(&mut reader)?;
            let height = Canonical::decode(&mut reader)?;
            let work = Work::new(reader.u128("total work")?);
            let supply = Mites::decode(&mut reader)?;
            let accounts = reader.u64("accounts")?;
            let synced_to = LogPlace::decode_optional(&mut reader)?;
            let peaks = reader.count("peaks", 64, RANGE_NODE_BYTES)?;
            let peaks = (0..peaks).map(|_| Canonical::decode(&mut reader)).collect::<Result<_, _>>()?;
            let immature = reader.count("coinbases", MAX_IMMATURE, 8 + 32 + 8 + 4)?;
            let immature =
                (0..immature).map(|_| Coinbase::decode(&mut reader).map(Arc::new)).collect::<Result<_, _>>()?;
            reader.finish()?;
            let tip = HeaderContext::from_stored(header, height, work);
            Ok((Self { tip, supply, accounts, synced_to, before: RangePeaks::default(), immature }, peaks))
        };
        let (head, peaks) = read().map_err(|source| Defect::Decode { what: "a checkpoint's head", source })?;
        Ok(Self { before: RangePeaks::from_peaks(peaks).ok_or(Defect::Peaks)?, ..head })
    }
}

/// The directory of a data directory's checkpoints, made durable if it is new.
///
/// # Errors
/// The cause, as the system gives it.
pub fn create_directory(disk: &dyn crate::env::Disk, directory: &Path) -> io::Result<()> {
    if disk.exists(directory)? {
        return Ok(());
    }
    disk.create_dir_all(directory)?;
    directory.parent().map_or(Ok(()), |parent| disk.sync_dir(parent))
}
