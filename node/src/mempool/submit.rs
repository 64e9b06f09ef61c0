//! The way of a submitted batch: cheap checks, signatures in parallel, admission, journal.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use farthing::{Address, Sender, SignedTransaction, TxId, keys::VerifyingKey};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::{
    Admitted, Rejection, Source,
    pool::{Candidate, Foreseen},
    shared::{Shared, Synced},
};

/// Transactions that are verified or wait for the journal at the same time; more submitters wait in line.
pub(super) const MAX_IN_FLIGHT: usize = 8_192;

type Verdict = Result<Admitted, Rejection>;
type Answer = oneshot::Receiver<Synced>;

/// One transaction on its way.
pub(super) struct Item {
    /// Its place in the batch.
    pub(super) at: usize,
    pub(super) id: TxId,
    pub(super) transaction: SignedTransaction,
}

/// A batch that was judged; what of it was taken is on its way to the disk.
#[derive(Debug)]
pub struct Begun {
    shared: Arc<Shared>,
    verdicts: Vec<Verdict>,
    answers: Vec<Answer>,
}

/// Whether a signature was verified in vain for this.
pub(super) fn is_in_vain(verdict: &Verdict) -> bool {
    verdict.as_ref().is_err_and(Rejection::is_senders_fault)
}

impl Begun {
    /// The verdicts, in order, once what is `Ok` is durable.
    pub async fn finish(mut self) -> Vec<Result<Admitted, Rejection>> {
        for answer in self.answers {
            self.shared.confirm(&mut self.verdicts, &answer.await);
        }
        self.verdicts
    }
}

/// Places for transactions that are verified or wait for the journal. They are as good as held once they are waited for
/// in line: whoever waits must be polled.
#[derive(Debug)]
pub struct Places(OwnedSemaphorePermit);

impl Shared {
    /// Waits for as many places as a batch of so many takes.
    pub(super) async fn places(&self, count: usize, source: Source) -> Result<Places, Rejection> {
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).check(source, self.now().elapsed)?;
        let permits = u32::try_from(count.min(MAX_IN_FLIGHT)).unwrap_or(u32::MAX);
        let places = Arc::clone(&self.in_flight).acquire_many_owned(permits).await;
        places.map(Places).map_err(|_| Rejection::Stopping)
    }

    /// Everything but the waits for places and for the disk.
    pub(super) async fn begin(
        self: &Arc<Self>,
        batch: Vec<SignedTransaction>,
        source: Source,
        Places(places): Places,
        charge: impl FnOnce(usize) + Send + 'static,
    ) -> Begun {
        let shared = Arc::clone(self);
        // The work goes on to its end although the submitter may stop waiting, so the places go with it, and so does the
        // bill: a call that is given up as soon as it is sent would cost nothing otherwise.
        let work = move || {
            let (verdicts, answers) = shared.take(batch, source, &Arc::new(places));
            charge(verdicts.iter().filter(|verdict| is_in_vain(verdict)).count());
            (verdicts, answers)
        };
        let (verdicts, answers) = self.env.compute().run(work).await;
        Begun { shared: Arc::clone(self), verdicts, answers }
    }

    /// Everything up to the journal, and whose answers the verdicts wait for. Runs where heavy work runs.
    fn take(
        &self,
        batch: Vec<SignedTransaction>,
        source: Source,
        places: &Arc<OwnedSemaphorePermit>,
    ) -> (Vec<Verdict>, Vec<Answer>) {
        let mut verdicts: Vec<Option<Verdict>> = batch.iter().map(|_| None).collect();
        let mut items = self.identify(batch);
        // In order of nonces, so that a shuffled batch leaves no gaps.
        items.sort_by_key(|item| item.transaction.transaction().nonce());
        let (items, screened) = self.screen(items, source, &mut verdicts, places);
        let (items, wasted) = self.verify(items, &mut verdicts);
        let (refused, admitted) = self.admit(items, source, &mut verdicts, places);
        let wasted = wasted + refused;
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).charge(source, wasted, self.now().elapsed);
        let verdicts = verdicts.into_iter().map(|verdict| verdict.unwrap_or(Err(Rejection::Stopping))).collect();
        (verdicts, screened.into_iter().chain(admitted).collect())
    }

    fn identify(&self, batch: Vec<SignedTransaction>) -> Vec<Item> {
        let genesis = *self.params.genesis_id();
        let place = batch.into_iter().enumerate();
        place.map(|(at, transaction)| Item { at, id: transaction.transaction().id(&genesis), transaction }).collect()
    }

    /// Settles what needs no signature; returns the rest.
    fn screen(
        &self,
        items: Vec<Item>,
        source: Source,
        verdicts: &mut [Option<Verdict>],
        places: &Arc<OwnedSemaphorePermit>,
    ) -> (Vec<Item>, Option<Answer>) {
        let mut foreseen = Foreseen::default();
        self.change_and_wait(places, |pool, _| {
            let mut must_wait = false;
            let mut check = |item: &Item| {
                let verdict = match pool.check(&item.transaction, &item.id, source, &mut foreseen) {
                    Ok(None) => return true,
                    Ok(Some(status)) => {
                        must_wait |= pool.is_unsynced(&item.id);
                        Ok(Admitted { id: item.id, status })
                    }
                    Err(rejection) => {
                        pool.remember_rejected(item.transaction.wire_id(), &rejection);
                        Err(rejection)
                    }
                };
                verdicts[item.at] = Some(verdict);
                false
            };
            let rest = items.into_iter().filter(|item| check(item)).collect();
            (rest, must_wait)
        })
    }

    /// Verifies signatures in parallel; returns what holds, and how many do not.
    fn verify(&self, items: Vec<Item>, verdicts: &mut [Option<Verdict>]) -> (Vec<Item>, usize) {
        let keys = self.keys(&items);
        let genesis = self.params.genesis_id();
        let outcomes = self.env.compute().map(&items, |item| {
            if self.ledger.is_verified(&item.transaction.wire_id()) {
                return Ok(());
            }
            let address = item.transaction.transaction().sender_address();
            let key = keys.get(&address).cloned().unwrap_or(Err(Rejection::KeyUnknown { address }))?;
            item.transaction.verify(genesis, &key).map_err(Rejection::BadSignature)
        });
        let mut good = Vec::with_capacity(items.len());
        let mut wasted = 0;
        for (item, outcome) in items.into_iter().zip(outcomes) {
            match outcome {
                Ok(()) => good.push(item),
                Err(rejection) => {
                    wasted += usize::from(rejection.is_senders_fault());
                    self.change(|pool, _| pool.remember_rejected(item.transaction.wire_id(), &rejection));
                    verdicts[item.at] = Some(Err(rejection));
                }
            }
        }
        let verified: Vec<_> = good.iter().map(|item| item.transaction.wire_id()).collect();
        self.ledger.remember_verified(&verified);
        (good, wasted)
    }

    /// The senders' keys: from a first transaction in the batch or in the pool, or from the chain.
    pub(super) fn keys(&self, items: &[Item]) -> HashMap<Address, Result<VerifyingKey, Rejection>> {
        let mut keys = HashMap::new();
        for item in items {
            if let Sender::Key(key) = item.transaction.transaction().sender() {
                let parse = || VerifyingKey::new(key).map_err(|_| Rejection::UnusableKey);
                keys.entry(item.transaction.transaction().sender_address()).or_insert_with(parse);
            }
        }
        for item in items {
            let address = item.transaction.transaction().sender_address();
            let find = || {
                let waiting =
                    || self.read(|pool| pool.first_key(&address)).and_then(|key| VerifyingKey::new(&key).ok());
                self.ledger.verifying_key(&address).or_else(waiting).ok_or(Rejection::KeyUnknown { address })
            };
            keys.entry(address).or_insert_with(find);
        }
        keys
    }

    /// Admits what was verified; returns how many are refused after all.
    fn admit(
        &self,
        items: Vec<Item>,
        source: Source,
        verdicts: &mut [Option<Verdict>],
        places: &Arc<OwnedSemaphorePermit>,
    ) -> (usize, Option<Answer>) {
        self.change_and_wait(places, |pool, now| {
            let (mut refused, mut must_wait) = (0, false);
            for Item { at, id, transaction } in items {
                let wire_id = transaction.wire_id();
                let verdict = pool.admit(Candidate { transaction, id, received: now.wall, source }, now);
                match &verdict {
                    Ok(_) => must_wait |= pool.is_unsynced(&id),
                    Err(rejection) => {
                        pool.remember_rejected(wire_id, rejection);
                        refused += 1;
                    }
                }
                verdicts[at] = Some(verdict);
            }
            (refused, must_wait)
        })
    }

    /// Takes back the word on what the journal could not write.
    fn confirm(&self, verdicts: &mut [Verdict], outcome: &Result<Synced, oneshot::error::RecvError>) {
        for verdict in verdicts {
            let Ok(Admitted { id, .. }) = verdict else { continue };
            match outcome {
                Ok(Ok(())) => {}
                Ok(Err(failure)) if failure.lost.contains(id) || self.read(|pool| pool.is_unsynced(id)) => {
                    *verdict = Err(Rejection::JournalFailed(failure.error.to_string()));
                }
                Ok(Err(_)) => {}
                // The writer has gone; what it had not written is not certain.
                Err(_) if !self.read(|pool| pool.is_durable(id)) => *verdict = Err(Rejection::Stopping),
                Err(_) => {}
            }
        }
    }
}
