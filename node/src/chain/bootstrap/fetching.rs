//! The checkpoint itself: which one, what of it is missing, and what peers sent of it.

use farthing::{Hash, checkpoint::CheckpointFault};

use super::{
    super::SessionId, Begun, Bootstrap, Choice, MOST_DOUBLINGS, Missing, PATIENCE, Phase, Refusal, State,
    download::Download,
};
use crate::store::{BeginError, StoreError, checkpoint::Offer};

impl Bootstrap {
    /// Chooses what to fetch of what a session offers. `others` is what the other sessions that are there offer.
    ///
    /// # Errors
    /// When headers cannot be read.
    pub async fn choose(&self, offered: Vec<Offer>, others: Vec<Offer>) -> Result<Choice, StoreError> {
        self.run(move |inner| {
            let mut state = inner.lock();
            let State { headers, download, refuted, avoided, dropped, waits, .. } = &mut *state;
            let highest = headers.best().height().get().saturating_sub(inner.options.depth);
            // The highest, but one that was slow or did not fit only if there is no other.
            let (mut best, mut in_need): (Option<&Offer>, Option<&Offer>) = (None, None);
            for offer in &offered {
                let of_its_kind = if avoided.has(offer) { &mut in_need } else { &mut best };
                let suits = (1..=highest).contains(&offer.height.get())
                    && !refuted.has(offer)
                    && headers.holds(offer)?
                    && of_its_kind.is_none_or(|best| best.height < offer.height);
                if suits {
                    *of_its_kind = Some(offer);
                }
            }
            if let Some(current) = download {
                waits.checkpoint = None;
                let offer = current.offer.clone();
                if offered.contains(&offer) || current.missing() == Missing::Nothing {
                    return Ok(Choice::Fetch(offer));
                }
                if others.contains(&offer) {
                    let times = 1 << (*dropped).min(MOST_DOUBLINGS);
                    let Some(best) = best.filter(|_| current.is_slow(inner.elapsed(), times)) else {
                        return Ok(Choice::WithOthers);
                    };
                    tracing::info!(height = %offer.height, "a checkpoint comes slowly; fetching another");
                    avoided.put(&offer);
                    *dropped = dropped.saturating_add(1);
                    *download = None;
                    return Ok(Choice::Fetch(best.clone()));
                }
                tracing::info!(height = %offer.height, "nobody has the checkpoint any more; looking for another");
                *download = None;
            }
            Ok(best.or(in_need).map_or(Choice::Nothing, |best| {
                waits.checkpoint = None;
                Choice::Fetch(best.clone())
            }))
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
            if let Err(Refusal::Store(error)) = &begun {
                state.avoided.put(&offer);
                state.note(error, now);
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
