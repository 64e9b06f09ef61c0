//! The checkpoint that is being fetched: piece after piece, each judged as it comes.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
    sync::Arc,
    time::Duration,
};

use farthing::{
    Address, BlockId, Hash, Height, Params,
    checkpoint::{Layout, PieceRange, check_manifest, check_piece, decode_accounts, decode_coinbases},
};

use super::{Refusal, headers::Headers};
use crate::{
    chain::SessionId,
    env::Disk,
    store::{Beginning, HeaderFile, Spool, StoreError, checkpoint::Offer},
};

/// Whoever sends fewer pieces than these...
const LEAST_PIECES: u64 = 64;
/// ... in this time is slow.
const PACE_TIME: Duration = Duration::from_secs(20);
/// Least bytes of an account in a piece.
const ACCOUNT_BYTES: u64 = 92;

/// Checkpoints that are remembered for one reason, such as that they are false; the oldest is forgotten first.
const MAX_REMEMBERED: usize = 1_000;

/// What of a checkpoint is to be asked for next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// The hashes of its pieces.
    Hashes,
    /// Pieces from this one on.
    Pieces {
        /// The first.
        from: u64,
        /// How many, to the last.
        count: u64,
    },
    /// Nothing.
    Nothing,
}

/// A checkpoint on its way.
#[derive(Debug)]
pub(super) struct Download {
    pub(super) offer: Offer,
    layout: Layout,
    hashes: Vec<Hash>,
    spool: Arc<Spool>,
    /// Since when pieces are counted, and how many were here then.
    pace: (Duration, u64),
    /// The last account that is here.
    after: Option<Address>,
    /// Who gave pieces.
    givers: BTreeSet<SessionId>,
}

impl Download {
    pub(super) fn begin(
        disk: &Arc<dyn Disk>,
        directory: &Path,
        params: &Params,
        offer: Offer,
        hashes: Vec<Hash>,
        reserve_bytes: u64,
        now: Duration,
    ) -> Result<Self, Refusal> {
        let layout = Layout::new(params, offer.height, offer.accounts)?;
        check_manifest(&offer.block, &layout, &offer.digest, &hashes)?;
        // What it says of its bytes may be a lie, what it says of its accounts is held against its pieces. They stand on
        // the disk twice before the chain has begun.
        let needed = offer.accounts.saturating_mul(ACCOUNT_BYTES).saturating_mul(2);
        let free = disk.free_space(directory).map_err(StoreError::io("asking for free space", directory))?;
        let free = free.saturating_sub(reserve_bytes);
        if free < needed {
            return Err(Refusal::NoRoom(StoreError::DiskFull { path: directory.to_owned(), needed, free }));
        }
        let spool = Arc::new(Spool::create(disk, directory, reserve_bytes)?);
        tracing::info!(
            height = %offer.height, id = %offer.block, accounts = offer.accounts, bytes = offer.bytes,
            "fetching a checkpoint"
        );
        Ok(Self { offer, layout, hashes, spool, pace: (now, 0), after: None, givers: BTreeSet::new() })
    }

    pub(super) fn progress(&self) -> (u64, u64) {
        (self.spool.len(), self.layout.pieces())
    }

    pub(super) fn missing(&self) -> Missing {
        let (here, all) = self.progress();
        if here == all { Missing::Nothing } else { Missing::Pieces { from: here, count: all - here } }
    }

    /// Takes the next piece; one that came before is passed over.
    pub(super) fn take(
        &mut self,
        session: SessionId,
        index: u64,
        bytes: &[u8],
        headers: &Headers,
    ) -> Result<(), Refusal> {
        if index != self.spool.len() {
            return Err(Refusal::Outdated);
        }
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        let expected = self.hashes.get(at).ok_or(Refusal::Outdated)?;
        check_piece(index, bytes, expected)?;
        let after = match self.layout.piece(index).ok_or(Refusal::Outdated)? {
            PieceRange::Coinbases { first, count } => {
                let lowest = self.offer.height.get() - self.layout.coinbases() + 1 + first;
                let roots = (lowest..lowest + count).map(|height| headers.at(Height::new(height)));
                let roots = roots.collect::<Result<Option<Vec<_>>, _>>()?.ok_or(Refusal::Outdated)?;
                let roots: Vec<_> = roots.iter().map(|context| context.header().tx_root).collect();
                decode_coinbases(bytes, Height::new(lowest), &roots)?;
                None
            }
            PieceRange::Accounts { count, .. } => {
                let accounts = decode_accounts(bytes, count, self.after.as_ref())?;
                accounts.last().map(|last| last.address)
            }
        };
        // While the store begins with it there is nothing to be taken.
        Arc::get_mut(&mut self.spool).ok_or(Refusal::Outdated)?.push(bytes)?;
        self.after = after.or(self.after);
        self.givers.insert(session);
        Ok(())
    }

    /// Whether fewer pieces came than come from whoever is not slow. Looked at no sooner than after this time, and then
    /// counted anew.
    pub(super) fn is_slow(&mut self, now: Duration, times: u32) -> bool {
        let (since, here) = self.pace;
        let time = now.saturating_sub(since);
        if time < PACE_TIME * times {
            return false;
        }
        self.pace = (now, self.spool.len());
        (self.spool.len() - here) * PACE_TIME.as_secs() < LEAST_PIECES * time.as_secs()
    }

    pub(super) fn beginning(&self, headers: HeaderFile) -> (Beginning, Offer, Vec<SessionId>) {
        let beginning = Beginning { headers, layout: self.layout, pieces: Arc::clone(&self.spool) };
        (beginning, self.offer.clone(), self.givers.iter().copied().collect())
    }
}

/// Checkpoints that something was found out about.
#[derive(Debug, Default)]
pub(super) struct Remembered(VecDeque<(BlockId, Hash)>);

impl Remembered {
    pub(super) fn has(&self, offer: &Offer) -> bool {
        self.0.contains(&(offer.block, offer.digest))
    }

    pub(super) fn put(&mut self, offer: &Offer) {
        if self.has(offer) {
            return;
        }
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((offer.block, offer.digest));
    }
}

/// Checkpoints for which there was no room, and until when they are not tried again.
#[derive(Debug, Default)]
pub(super) struct Resting(VecDeque<(BlockId, Hash, Duration)>);

impl Resting {
    pub(super) fn has(&self, offer: &Offer, now: Duration) -> bool {
        self.0.iter().any(|(block, digest, until)| *block == offer.block && *digest == offer.digest && now < *until)
    }

    /// They come in the order in which they end.
    pub(super) fn put(&mut self, offer: &Offer, until: Duration) {
        if self.0.len() >= MAX_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back((offer.block, offer.digest, until));
    }
}
