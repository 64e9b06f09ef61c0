//! Fetching transactions that a peer announced: each from one peer at a time, from another one if that is mute.

use std::{collections::VecDeque, time::Duration};

use farthing::{SignedTransaction, WireId};
use tokio::time::{Instant, sleep_until};

use super::{
    backoff,
    blame::Misdeed,
    limits::{CLAIM_DEADLINE, MAX_PARKED, MAX_STALLS, MAX_WAITING_WIRE_IDS, MAX_WIRE_IDS, TRANSACTIONS_PER_REQUEST},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::mempool::{Rejection, Source};

/// A transaction whose predecessor is on its way is tried again after these times, so many times.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
const RETRIES: u32 = 6;

/// What waits for a later time.
#[derive(Debug, Default)]
struct Waiting {
    /// Asked of another session.
    elsewhere: VecDeque<(Instant, WireId)>,
    /// Here, but what they build on is not.
    parked: VecDeque<Parked>,
}

#[derive(Debug)]
struct Parked {
    at: Instant,
    tries: u32,
    transaction: SignedTransaction,
}

/// Fetches announced transactions for as long as the session lasts.
pub(super) async fn run(inner: &Inner, session: &Session) {
    let mut waiting = Waiting::default();
    let mut stalls = 0;
    loop {
        let fetched = match next(session, &mut waiting).await {
            Work::Announced(ids) => fetch(inner, session, ids, &mut waiting).await,
            Work::Again(transactions) => submit(inner, session, transactions, &mut waiting).await.map_err(Into::into),
        };
        match fetched {
            Ok(()) => stalls = 0,
            Err(PullError::Stalled) => {
                stalls += 1;
                if stalls >= MAX_STALLS {
                    tracing::info!(peer = %session.who.address, "peer let go: it announces transfers that it does not send");
                    return;
                }
            }
            Err(PullError::Misdeed(misdeed)) => {
                inner.blame(session, &misdeed);
                return;
            }
            Err(PullError::Ended(_)) => return,
        }
    }
}

enum Work {
    Announced(Vec<WireId>),
    Again(Vec<(u32, SignedTransaction)>),
}

async fn next(session: &Session, waiting: &mut Waiting) -> Work {
    let parked_at = waiting.parked.iter().map(|parked| parked.at).min();
    let elsewhere_at = waiting.elsewhere.front().map(|(at, _)| *at);
    let wake = [parked_at, elsewhere_at].into_iter().flatten().min();
    let timer = async {
        match wake {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = timer => waiting.due(Instant::now()),
        ids = session.next_announced(MAX_WIRE_IDS) => Work::Announced(ids),
    }
}

impl Waiting {
    fn due(&mut self, now: Instant) -> Work {
        let (due, later): (VecDeque<_>, VecDeque<_>) = self.parked.drain(..).partition(|parked| parked.at <= now);
        self.parked = later;
        if !due.is_empty() {
            return Work::Again(due.into_iter().map(|parked| (parked.tries, parked.transaction)).collect());
        }
        let count = self.elsewhere.iter().take(MAX_WIRE_IDS).take_while(|(at, _)| *at <= now).count();
        Work::Announced(self.elsewhere.drain(..count).map(|(_, id)| id).collect())
    }

    fn await_elsewhere(&mut self, id: WireId) {
        if self.elsewhere.len() < MAX_WAITING_WIRE_IDS {
            self.elsewhere.push_back((Instant::now() + CLAIM_DEADLINE, id));
        }
    }

    fn park(&mut self, tries: u32, transaction: SignedTransaction) {
        if tries < RETRIES && self.parked.len() < MAX_PARKED {
            let at = Instant::now() + backoff::delay(FIRST_RETRY, LONGEST_RETRY, tries, 1.0);
            self.parked.push_back(Parked { at, tries: tries + 1, transaction });
        }
    }
}

/// Fetches those that are worth it and that nobody else is fetching; the next ones while the last are looked at.
async fn fetch(inner: &Inner, session: &Session, ids: Vec<WireId>, waiting: &mut Waiting) -> Result<(), PullError> {
    let mut claimed = Vec::new();
    {
        let wanted = inner.mempool.wanted(&ids);
        let now = inner.elapsed();
        let mut claims = lock(&inner.transactions);
        for id in wanted {
            if claims.take(id, session.id, now) {
                claimed.push(id);
            } else {
                waiting.await_elsewhere(id);
            }
        }
    }
    let mut fetched: Vec<SignedTransaction> = Vec::new();
    let mut outcome = Ok(());
    for batch in claimed.chunks(TRANSACTIONS_PER_REQUEST) {
        let before = std::mem::take(&mut fetched).into_iter().map(|transaction| (0, transaction)).collect();
        let (submitted, pulled) =
            tokio::join!(submit(inner, session, before, waiting), session.remote.transactions(batch));
        match (submitted, pulled) {
            (Ok(()), Ok(transactions)) => fetched = transactions,
            (Err(misdeed), _) => outcome = Err(misdeed.into()),
            (Ok(()), Err(error)) => outcome = Err(error),
        }
        if outcome.is_err() {
            break;
        }
    }
    if outcome.is_ok() {
        let last = fetched.into_iter().map(|transaction| (0, transaction)).collect();
        outcome = submit(inner, session, last, waiting).await.map_err(Into::into);
    }
    let mut claims = lock(&inner.transactions);
    for id in &claimed {
        claims.release(id, session.id);
    }
    outcome
}

/// Gives transactions to the mempool. Only what can never be valid is held against the peer.
async fn submit(
    inner: &Inner,
    session: &Session,
    transactions: Vec<(u32, SignedTransaction)>,
    waiting: &mut Waiting,
) -> Result<(), Misdeed> {
    if transactions.is_empty() {
        return Ok(());
    }
    let copies = transactions.iter().map(|(_, transaction)| transaction.clone()).collect();
    let verdicts = inner.mempool.submit(copies, Source::Peer(session.id)).await;
    for ((tries, transaction), verdict) in transactions.into_iter().zip(verdicts) {
        match verdict {
            Err(rejection) if rejection.is_senders_fault() => {
                return Err(Misdeed::InvalidTransaction(rejection.to_string()));
            }
            Err(Rejection::KeyUnknown { .. } | Rejection::TooManyQueued { .. }) => waiting.park(tries, transaction),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}
