//! Which checkpoints a node has for others, and their pieces.

use std::{
    collections::BTreeSet,
    sync::{Arc, MutexGuard, PoisonError},
};

use farthing::{BlockId, Hash, Height, checkpoint::ProvenCoinbase, merkle::tx_path};

use super::{
    DiskStore, Store as _, StoreError,
    checkpoint::{self, CheckpointName, Defect, Offer, Pieces},
};

/// Checkpoints that peers can have, and those that they cannot.
#[derive(Debug, Default)]
pub(super) struct Offers {
    good: Vec<Arc<Pieces>>,
    /// Damaged ones: not read again at every stranger's request, but only once their file was another meanwhile.
    bad: BTreeSet<CheckpointName>,
    /// Those that the disk did not give: read again once there are others than were listed then.
    unread: BTreeSet<CheckpointName>,
    listed: BTreeSet<CheckpointName>,
}

impl DiskStore {
    /// Looks for checkpoints on the best chain, reads those that are new, and forgets those that are gone. One that cannot be
    /// given, for it is damaged or begins this chain, is left out.
    pub(super) fn prepare(&self) -> Result<(), StoreError> {
        let directory = self.data_dir.join("checkpoints");
        let listed = checkpoint::list(&*self.disk, &directory);
        let mut listed = listed.map_err(StoreError::io("listing checkpoints", &directory))?;
        listed.retain(|name| self.is_on_best_chain(*name));
        // Those that other nodes have too, if one of them is deep.
        if let (Some(checkpoints), Some((_, tip))) = (self.checkpoints.get(), self.lock_state().tip) {
            let (policy, tip) = (checkpoints.policy(), tip.get());
            let common = |name: &CheckpointName| policy.is_common(name.height().get());
            if listed.iter().any(|name| common(name) && name.height().get() + policy.deep_blocks <= tip) {
                listed.retain(common);
            }
        }
        let known: BTreeSet<_> = {
            let mut offers = self.lock_offers();
            offers.good.retain(|pieces| listed.contains(&pieces.name()));
            offers.bad.retain(|name| listed.contains(name));
            let listed = listed.iter().copied().collect();
            if offers.listed != listed {
                offers.listed = listed;
                offers.unread.clear();
            }
            let bad = offers.bad.iter().chain(&offers.unread).copied();
            offers.good.iter().map(|pieces| pieces.name()).chain(bad).collect()
        };
        for name in listed.into_iter().filter(|name| !known.contains(name)) {
            let prove = |height| self.prove_coinbase(height).ok().flatten();
            match Pieces::of(&*self.disk, &directory, name, &self.params, &prove) {
                Ok(Some(pieces)) => self.lock_offers().good.push(pieces.into()),
                Ok(None) => tracing::debug!(checkpoint = %name, "not given to peers: its blocks are not here"),
                Err(defect) => {
                    tracing::warn!(checkpoint = %name, %defect, "not given to peers");
                    self.lock_offers().note(name, &defect);
                }
            }
        }
        Ok(())
    }

    fn is_on_best_chain(&self, name: CheckpointName) -> bool {
        let context = self.best_at(name.height()).ok().flatten().and_then(|id| self.header(&id).ok().flatten());
        context.is_some_and(|context| CheckpointName::of(&context) == name)
    }

    /// The coinbase of the best chain's block at a height, with its path; none if the block is not here.
    fn prove_coinbase(&self, height: Height) -> Result<Option<ProvenCoinbase>, StoreError> {
        let Some(id) = self.best_at(height)? else { return Ok(None) };
        let Some(block) = self.block(&id)? else { return Ok(None) };
        Ok(tx_path(&block.leaves(), 0).map(|path| ProvenCoinbase { coinbase: block.coinbase.clone(), path }))
    }

    pub(super) fn offered(&self) -> Vec<Offer> {
        self.lock_offers().good.iter().map(|pieces| pieces.offer().clone()).collect()
    }

    pub(super) fn pieces_of(&self, block: &BlockId, digest: &Hash) -> Option<Arc<Pieces>> {
        let offers = self.lock_offers();
        offers.good.iter().find(|pieces| pieces.offer().block == *block && pieces.offer().digest == *digest).cloned()
    }

    /// A piece that peers were offered; none if it is no longer here. What was damaged since is not offered again.
    pub(super) fn piece_of(&self, block: &BlockId, digest: &Hash, index: u64) -> Option<Vec<u8>> {
        let pieces = self.pieces_of(block, digest)?;
        pieces.piece(index).unwrap_or_else(|defect| {
            tracing::warn!(checkpoint = %pieces.name(), %defect, "no longer given to peers");
            let mut offers = self.lock_offers();
            offers.good.retain(|other| other.name() != pieces.name());
            offers.note(pieces.name(), &defect);
            None
        })
    }

    fn lock_offers(&self) -> MutexGuard<'_, Offers> {
        self.offers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Offers {
    /// A disk that does not answer may do so later, but a stranger's question is no reason to look; what it answered is
    /// read once.
    fn note(&mut self, name: CheckpointName, defect: &Defect) {
        let of_its_kind = if matches!(defect, Defect::Io(_)) { &mut self.unread } else { &mut self.bad };
        of_its_kind.insert(name);
    }
}
