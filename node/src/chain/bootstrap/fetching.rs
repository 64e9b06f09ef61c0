//! The checkpoint itself: which one, what of it is missing, and what peers sent of it.

use std::{collections::BTreeSet, time::Duration};

use farthing::{BlockId, Hash, checkpoint::CheckpointFault};

use super::{
    super::SessionId, Begun, Bootstrap, Choice, MOST_DOUBLINGS, Missing, PATIENCE, Phase, REST, Refusal, State,
    download::Download,
};
use crate::store::{BeginError, StoreError, checkpoint::Offer};

/// What sessions offer.
#[derive(Debug, Default)]
pub struct Offers {
    /// The session that is asked.
    pub own: Vec<Offer>,
    /// Whether this node chose that one.
    pub is_chosen: bool,
    /// The others of this node's choice that are there.
    pub chosen: Vec<Offer>,
    /// All others that are there.
    pub strangers: Vec<Offer>,
}

impl Offers {
    /// What may be asked of others in the place of this session: strangers are not, where it is of this node's choice.
    #[must_use]
    pub fn rivals(&self) -> BTreeSet<(BlockId, Hash)> {
        let strangers = self.strangers.iter().filter(|_| !self.is_chosen);
        self.chosen.iter().chain(strangers).map(|offer| (offer.block, offer.digest)).collect()
    }
}

/// Whether a checkpoint is among those that are offered, whatever is said of its bytes: its digest does not cover that.
fn has(offers: &[Offer], wanted: &Offer) -> bool {
    offers.iter().any(|offer| offer.block == wanted.block && offer.digest == wanted.digest)
}

impl State {
    /// The highest that will do, one that was slow or did not fit only if there is no other; and whether there is one for
    /// which there was no room just now.
    fn best_of(&self, offers: &[Offer], depth: u64, now: Duration) -> Result<(Option<Offer>, bool), StoreError> {
        let highest = self.headers.best().height().get().saturating_sub(depth);
        let (mut best, mut in_need, mut rests): (Option<&Offer>, Option<&Offer>, bool) = (None, None, false);
        for offer in offers {
            let is_fit =
                (1..=highest).contains(&offer.height.get()) && !self.refuted.has(offer) && self.headers.holds(offer)?;
            if is_fit && self.resting.has(offer, now) {
                rests = true;
            } else if is_fit {
                let of_its_kind = if self.avoided.has(offer) { &mut in_need } else { &mut best };
                if of_its_kind.is_none_or(|best| best.height < offer.height) {
                    *of_its_kind = Some(offer);
                }
            }
        }
        Ok((best.or(in_need).cloned(), rests))
    }
}

impl Bootstrap {
    /// Chooses what to fetch of what a session offers: the highest that will do, but one that was slow or did not fit only if
    /// there is no other. What is being fetched goes on while somebody has it. Two things end that: it comes slowly, and this
    /// session has another; or only strangers have it, and this node chose this one. While a peer of its choice has one that
    /// will do no stranger is asked.
    ///
    /// # Errors
    /// When headers cannot be read.
    pub async fn choose(&self, offers: Offers) -> Result<Choice, StoreError> {
        self.run(move |inner| {
            let (mut state, now) = (inner.lock(), inner.elapsed());
            let (best, rests) = state.best_of(&offers.own, inner.options.depth, now)?;
            let yields = !offers.is_chosen && state.best_of(&offers.chosen, inner.options.depth, now)?.0.is_some();
            let State { download, avoided, dropped, waits, .. } = &mut *state;
            if let Some(current) = download {
                waits.checkpoint = None;
                let offer = current.offer.clone();
                let (own, chosen) = (has(&offers.own, &offer), has(&offers.chosen, &offer));
                if current.missing() == Missing::Nothing || (own && !yields) {
                    return Ok(Choice::Fetch(offer));
                }
                if chosen || own || has(&offers.strangers, &offer) {
                    let Some(best) = best.filter(|_| !yields) else { return Ok(Choice::WithOthers) };
                    if offers.is_chosen && !chosen {
                        tracing::info!(height = %offer.height, "only strangers have the checkpoint; fetching one of a peer that was dialled");
                    } else if current.is_slow(now, 1 << (*dropped).min(MOST_DOUBLINGS)) {
                        tracing::info!(height = %offer.height, "a checkpoint comes slowly; fetching another");
                        avoided.put(&offer);
                        *dropped = dropped.saturating_add(1);
                    } else {
                        return Ok(Choice::WithOthers);
                    }
                    *download = None;
                    return Ok(Choice::Fetch(best));
                }
                tracing::info!(height = %offer.height, "nobody has the checkpoint any more; looking for another");
                *download = None;
            }
            Ok(match best {
                _ if yields => Choice::WithOthers,
                Some(best) => {
                    waits.checkpoint = None;
                    Choice::Fetch(best)
                }
                // There will be room for it, or there will not: not that nobody has one.
                None if rests => Choice::WithOthers,
                None => Choice::Nothing,
            })
        })
        .await
    }

    /// Whether one of these will do.
    ///
    /// # Errors
    /// When headers cannot be read.
    pub async fn will_do(&self, offers: Vec<Offer>) -> Result<bool, StoreError> {
        self.run(move |inner| {
            let best = inner.lock().best_of(&offers, inner.options.depth, inner.elapsed())?;
            Ok(best.0.is_some())
        })
        .await
    }

    /// A peer that was asked has no checkpoint that will do. Once nobody has had one for a while, all blocks are executed
    /// instead.
    pub fn none_will_do(&self) {
        let now = self.0.elapsed();
        let since = *self.0.lock().waits.checkpoint.get_or_insert(now);
        if now.saturating_sub(since) >= PATIENCE {
            let depth = self.0.options.depth;
            tracing::warn!(depth, "no peer has a checkpoint that is deep enough; executing all blocks instead");
            self.finish();
        }
    }

    /// What of a checkpoint is missing: its hashes, some pieces, or nothing.
    #[must_use]
    pub fn missing(&self, offer: &Offer) -> Missing {
        match self.0.lock().download.as_ref().filter(|download| download.offer == *offer) {
            Some(download) => download.missing(),
            None => Missing::Hashes,
        }
    }

    /// Takes the hashes of a checkpoint's pieces, and is ready for these.
    ///
    /// # Errors
    /// [`Refusal::Fault`] if they are not those that the digest covers.
    pub async fn take_hashes(&self, offer: Offer, hashes: Vec<Hash>) -> Result<(), Refusal> {
        self.run(move |inner| {
            let directory = inner.data_dir.join("checkpoints");
            let params = inner.chain.params();
            let mut state = inner.lock();
            // The branch that holds it may have been left meanwhile.
            if !state.headers.holds(&offer)? {
                return Err(Refusal::Outdated);
            }
            // The one before has to go first: its file would have the same name.
            state.download = None;
            let (disk, reserve, now) = (&inner.disk, inner.options.reserve_bytes, inner.elapsed());
            let begun = Download::begin(disk, &directory, params, offer.clone(), hashes, reserve, now);
            match &begun {
                // How large it is was only said: that puts this one aside, and keeps no other from being fetched.
                Err(Refusal::NoRoom(error)) => {
                    tracing::warn!(%error, rest_s = REST.as_secs(), "no room for a checkpoint; trying it again later");
                    state.avoided.put(&offer);
                    state.resting.put(&offer, now + REST);
                }
                Err(Refusal::Store(error)) => {
                    state.avoided.put(&offer);
                    state.note(error, now);
                }
                _ => {}
            }
            state.download = Some(begun?);
            Ok(())
        })
        .await
    }

    /// Takes a piece that a session sent.
    ///
    /// # Errors
    /// [`Refusal::Fault`] if it is not what it should be.
    pub async fn take_piece(
        &self,
        session: SessionId,
        offer: Offer,
        index: u64,
        bytes: Vec<u8>,
    ) -> Result<(), Refusal> {
        self.run(move |inner| {
            let mut state = inner.lock();
            let State { headers, download, refuted, avoided, .. } = &mut *state;
            let current = download.as_mut().filter(|download| download.offer == offer).ok_or(Refusal::Outdated)?;
            let taken = current.take(session, index, &bytes, headers);
            if let Err(Refusal::Fault(fault)) = &taken
                && !matches!(fault, CheckpointFault::WrongPiece { .. })
            {
                // The digest covers it: no other piece can ever make it good.
                refuted.put(&offer);
                *download = None;
            }
            if let Err(Refusal::Store(error)) = &taken {
                // It gives its room back, and one that may be smaller is tried before it.
                *download = None;
                avoided.put(&offer);
                state.note(error, inner.elapsed());
            }
            taken
        })
        .await
    }

    /// Begins with the checkpoint, all of whose pieces are here. Not to be given up half-way: what comes after the store
    /// has answered would not be done.
    ///
    /// # Errors
    /// When the headers cannot be read, or the node has to stop.
    pub async fn begin(&self) -> Result<Begun, StoreError> {
        let (beginning, offer, givers) = match self.run(|inner| inner.take_beginning()).await {
            Ok(Some(taken)) => taken,
            Ok(None) => return Ok(Begun::Outdated),
            Err(error) if error.is_fatal() => return Err(error),
            Err(error) => {
                self.0.lock().note(&error, self.0.elapsed());
                return Ok(Begun::Failed(error));
            }
        };
        let outcome = match self.0.chain.begin_at(beginning).await {
            Ok(()) => {
                self.finish();
                return Ok(Begun::Yes);
            }
            Err(BeginError::Fault(fault)) => {
                let mut state = self.0.lock();
                state.refuted.put(&offer);
                state.download = None;
                Begun::Refuted(fault, givers)
            }
            // Nobody knows what is on the disk: the record that makes it the chain's beginning may be, and it needs the
            // headers where they are now. The next start looks.
            Err(BeginError::Store(error)) if error.is_fatal() => return Err(error),
            Err(error) if self.0.chain.shared.store.poisoned().is_some() => {
                return Err(StoreError::Poisoned(error.to_string()));
            }
            // The pieces stay for the next try.
            Err(BeginError::Store(error)) => {
                self.0.lock().note(&error, self.0.elapsed());
                Begun::Failed(error)
            }
            Err(error @ BeginError::NotEmpty(_)) => {
                tracing::warn!(%error, "going on with blocks");
                self.0.lock().headers.give_back();
                self.finish();
                return Ok(Begun::Yes);
            }
        };
        // Where the store touched nothing they are as they were; else they are read again, with what is left of them.
        let is_refuted = matches!(outcome, Begun::Refuted(..));
        let resumed = self.run(move |inner| {
            let mut state = inner.lock();
            if is_refuted {
                state.headers.give_back();
                return Ok(());
            }
            state.headers.let_go();
            inner.resume_headers(&mut state)
        });
        let resumed = resumed.await;
        self.0.phase.send_replace(Phase::Headers);
        match resumed {
            Err(error) if error.is_fatal() => Err(error),
            // Tried again when a session is asked for them.
            _ => Ok(outcome),
        }
    }
}
