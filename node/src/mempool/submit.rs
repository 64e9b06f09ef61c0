//! The way of a submitted batch: cheap checks, signatures in parallel, admission, journal.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError},
};

use farthing::{Address, Sender, SignedTransaction, TxId, keys::VerifyingKey};
use tokio::sync::oneshot;

use super::{
    Admitted, JournalError, Rejection, Source,
    pool::{Candidate, Foreseen},
    shared::Shared,
};

/// Transactions that are verified or wait for the journal at the same time; more submitters wait in line.
pub(super) const MAX_IN_FLIGHT: usize = 8_192;

type Verdict = Result<Admitted, Rejection>;

/// One transaction on its way.
struct Item {
    /// Its place in the batch.
    at: usize,
    id: TxId,
    transaction: SignedTransaction,
}

impl Shared {
    pub(super) async fn submit(self: &Arc<Self>, batch: Vec<SignedTransaction>, source: Source) -> Vec<Verdict> {
        let count = batch.len();
        let limited = self.budgets.lock().unwrap_or_else(PoisonError::into_inner).check(source, self.now().elapsed);
        if let Err(rejection) = limited {
            return vec![Err(rejection); count];
        }
        let permits = u32::try_from(count.min(MAX_IN_FLIGHT)).unwrap_or(u32::MAX);
        let Ok(_permits) = self.in_flight.acquire_many(permits).await else {
            return vec![Err(Rejection::Stopping); count];
        };
        let shared = Arc::clone(self);
        let (mut verdicts, synced) = self.env.compute().run(move || shared.take(batch, source)).await;
        if let Some(synced) = synced {
            let outcome = synced.await;
            self.confirm(&mut verdicts, &outcome).await;
        }
        verdicts
    }

    /// Everything up to the journal. Runs where heavy work runs.
    fn take(
        &self,
        batch: Vec<SignedTransaction>,
        source: Source,
    ) -> (Vec<Verdict>, Option<oneshot::Receiver<Result<(), JournalError>>>) {
        let mut verdicts: Vec<Option<Verdict>> = batch.iter().map(|_| None).collect();
        let mut items = self.identify(batch);
        // In order of nonces, so that a shuffled batch leaves no gaps.
        items.sort_by_key(|item| item.transaction.transaction().nonce());
        let items = self.screen(items, source, &mut verdicts);
        let (items, wasted) = self.verify(items, &mut verdicts);
        let wasted = wasted + self.refused_after_work(items, source, &mut verdicts);
        self.budgets.lock().unwrap_or_else(PoisonError::into_inner).charge(source, wasted, self.now().elapsed);
        let verdicts: Vec<Verdict> = verdicts.into_iter().map(|v| v.unwrap_or(Err(Rejection::Stopping))).collect();
        let must_wait = self.read(|pool| verdicts.iter().flatten().any(|admitted| pool.is_unsynced(&admitted.id)));
        let synced = must_wait.then(|| self.change_and_sync(|_, _| ()).1);
        (verdicts, synced)
    }

    fn identify(&self, batch: Vec<SignedTransaction>) -> Vec<Item> {
        let genesis = *self.params.genesis_id();
        let place = batch.into_iter().enumerate();
        place.map(|(at, transaction)| Item { at, id: transaction.transaction().id(&genesis), transaction }).collect()
    }

    /// Settles what needs no signature; returns the rest.
    fn screen(&self, items: Vec<Item>, source: Source, verdicts: &mut [Option<Verdict>]) -> Vec<Item> {
        let mut foreseen = Foreseen::default();
        self.change(|pool, _| {
            let check = |item: &Item| {
                let verdict = match pool.check(&item.transaction, &item.id, source, &mut foreseen) {
                    Ok(None) => return true,
                    Ok(Some(status)) => Ok(Admitted { id: item.id, status }),
                    Err(rejection) => {
                        pool.remember_rejected(item.transaction.wire_id(), &rejection);
                        Err(rejection)
                    }
                };
                verdicts[item.at] = Some(verdict);
                false
            };
            let mut check = check;
            items.into_iter().filter(|item| check(item)).collect()
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
    fn keys(&self, items: &[Item]) -> HashMap<Address, Result<VerifyingKey, Rejection>> {
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
    fn refused_after_work(&self, items: Vec<Item>, source: Source, verdicts: &mut [Option<Verdict>]) -> usize {
        self.change(|pool, now| {
            let mut refused = 0;
            for Item { at, id, transaction } in items {
                let wire_id = transaction.wire_id();
                let verdict = pool.admit(Candidate { transaction, id, received: now.wall, source }, now);
                if let Err(rejection) = &verdict {
                    pool.remember_rejected(wire_id, rejection);
                    refused += 1;
                }
                verdicts[at] = Some(verdict);
            }
            refused
        })
    }

    /// Takes back the word on what the journal could not write.
    async fn confirm(
        self: &Arc<Self>,
        verdicts: &mut [Verdict],
        outcome: &Result<Result<(), JournalError>, oneshot::error::RecvError>,
    ) {
        let failure = match outcome {
            Ok(Ok(())) => Rejection::JournalFailed("an earlier write failed".to_owned()),
            Ok(Err(error)) => Rejection::JournalFailed(error.message.clone()),
            Err(_) => Rejection::Stopping,
        };
        for verdict in verdicts {
            let Ok(admitted) = verdict else { continue };
            let id = admitted.id;
            // Gone without a reason is mined, or withdrawn because it could not be written.
            let gone = self.read(|pool| pool.is_unsynced(&id) || pool.status(&id).is_none());
            if gone {
                let shared = Arc::clone(self);
                let mined = self.env.compute().run_blocking(move || shared.ledger.is_mined(&id)).await;
                if !mined {
                    *verdict = Err(failure.clone());
                }
            }
        }
    }
}
