//! Fetching transactions that a peer announced: each from one peer at a time, from another one if that is mute.

use std::{collections::VecDeque, time::Duration};

use farthing::{SignedTransaction, WireId};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{
    backoff,
    blame::Misdeed,
    limits::{
        CLAIM_DEADLINE, MAX_PARKED, MAX_PARKED_BYTES, MAX_STALLS, MAX_WIRE_IDS, POOL_QUERY_INTERVAL,
        TRANSACTIONS_PER_REQUEST,
    },
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::mempool::{PoolStats, Rejection, Source};

/// A transaction that may be right a little later, when what it builds on has come, is tried again after these times, so
/// many times, and whenever the pool has followed the chain to another tip.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(2);
const RETRIES: u32 = 6;

/// What waits for a later time.
#[derive(Debug, Default)]
struct Waiting {
    /// Asked of another session.
    elsewhere: VecDeque<(Instant, WireId)>,
    /// Here, but what they build on may not be.
    parked: VecDeque<Parked>,
    parked_bytes: usize,
    /// When the peer was last asked for its whole pool.
    asked_at: Option<Instant>,
}

#[derive(Debug)]
struct Parked {
    at: Instant,
    tries: u32,
    bytes: usize,
    transaction: SignedTransaction,
}

/// Fetches announced transactions for as long as the session lasts.
pub(super) async fn run(inner: &Inner, session: &Session) {
    let mut waiting = Waiting::default();
    let mut syncing = inner.watch_syncing();
    let mut pool = inner.mempool.watch();
    let mut stalls = 0;
    loop {
        // What peers hold is mostly refused on an old chain, and would not be offered again.
        if syncing.wait_for(|syncing| !*syncing).await.is_err() {
            return;
        }
        let fetched = match next(session, &mut waiting, &mut pool).await {
            Work::Announced(ids) => fetch(inner, session, ids, &mut waiting).await,
            Work::Again(transactions) => submit(inner, session, transactions, &mut waiting).await.map_err(Into::into),
            Work::AskForPool => {
                waiting.asked_at = Some(Instant::now());
                session.asks_for_pool();
                session.remote.ask_for_pool().await
            }
            Work::Nothing => continue,
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
    AskForPool,
    Nothing,
}

async fn next(session: &Session, waiting: &mut Waiting, pool: &mut watch::Receiver<PoolStats>) -> Work {
    let parked_at = waiting.parked.iter().map(|parked| parked.at).min();
    let elsewhere_at = waiting.elsewhere.front().map(|(at, _)| *at);
    let ask_at =
        session.wants_pool_again().then(|| waiting.asked_at.map_or_else(Instant::now, |at| at + POOL_QUERY_INTERVAL));
    let wake = [parked_at, elsewhere_at, ask_at].into_iter().flatten().min();
    let timer = async {
        match wake {
            Some(at) => sleep_until(at).await,
            None => std::future::pending().await,
        }
    };
    let height = pool.borrow_and_update().height;
    let follows = async {
        if waiting.parked.is_empty() {
            std::future::pending().await
        } else {
            pool.wait_for(|stats| stats.height != height).await.is_ok()
        }
    };
    let now = tokio::select! {
        biased;
        () = timer => Instant::now(),
        ids = session.next_announced(MAX_WIRE_IDS) => return Work::Announced(ids),
        _ = follows => {
            waiting.all_due();
            Instant::now()
        }
    };
    if ask_at.is_some_and(|at| at <= now) { Work::AskForPool } else { waiting.due(now, session) }
}

impl Waiting {
    fn due(&mut self, now: Instant, session: &Session) -> Work {
        let (due, later): (VecDeque<_>, VecDeque<_>) = self.parked.drain(..).partition(|parked| parked.at <= now);
        self.parked = later;
        self.parked_bytes = self.parked.iter().map(|parked| parked.bytes).sum();
        if !due.is_empty() {
            return Work::Again(due.into_iter().map(|parked| (parked.tries, parked.transaction)).collect());
        }
        let count = self.elsewhere.iter().take(MAX_WIRE_IDS).take_while(|(at, _)| *at <= now).count();
        if count == 0 {
            return Work::Nothing;
        }
        session.waited(count);
        Work::Announced(self.elsewhere.drain(..count).map(|(_, id)| id).collect())
    }

    /// The pool knows another tip: what is parked is tried again now.
    fn all_due(&mut self) {
        let now = Instant::now();
        for parked in &mut self.parked {
            parked.at = now;
        }
    }

    fn await_elsewhere(&mut self, id: WireId, session: &Session) {
        if session.may_wait() {
            self.elsewhere.push_back((Instant::now() + CLAIM_DEADLINE, id));
        }
    }

    fn park(&mut self, tries: u32, transaction: SignedTransaction) {
        let bytes = transaction.size_bytes();
        let has_room = self.parked.len() < MAX_PARKED && self.parked_bytes.saturating_add(bytes) <= MAX_PARKED_BYTES;
        if tries < RETRIES && has_room {
            let at = Instant::now() + backoff::delay(FIRST_RETRY, LONGEST_RETRY, tries, 1.0);
            self.parked_bytes += bytes;
            self.parked.push_back(Parked { at, tries: tries + 1, bytes, transaction });
        }
    }
}

/// Fetches those that are worth it and that nobody else is fetching; the next ones while the last are looked at.
async fn fetch(inner: &Inner, session: &Session, ids: Vec<WireId>, waiting: &mut Waiting) -> Result<(), PullError> {
    let claimed = claim(inner, session, &ids, waiting);
    let mut fetched: Vec<SignedTransaction> = Vec::new();
    let mut outcome = Ok(());
    for batch in claimed.chunks(TRANSACTIONS_PER_REQUEST) {
        let before = std::mem::take(&mut fetched).into_iter().map(|transaction| (0, transaction)).collect();
        let (submitted, pulled) =
            tokio::join!(submit(inner, session, before, waiting), session.remote.transactions(batch));
        match (submitted, pulled) {
            (Ok(()), Ok(transactions)) => {
                fetched = transactions;
                let mut claims = lock(&inner.transactions);
                for transaction in &fetched {
                    claims.settle(&transaction.wire_id());
                }
            }
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
    {
        let (mut claims, now) = (lock(&inner.transactions), inner.elapsed());
        for id in &claimed {
            claims.release(id, session.id, now);
        }
    }
    if matches!(outcome, Err(PullError::Stalled)) {
        // They are announced once: what was not fetched is asked for again, here or by whoever is next.
        for id in inner.mempool.wanted(&claimed) {
            waiting.await_elsewhere(id, session);
        }
    }
    outcome
}

/// Takes those that are wanted and that no other session is fetching; the others are looked at again later.
fn claim(inner: &Inner, session: &Session, ids: &[WireId], waiting: &mut Waiting) -> Vec<WireId> {
    let wanted = inner.mempool.wanted(ids);
    let now = inner.elapsed();
    let mut claims = lock(&inner.transactions);
    let mut claimed = Vec::new();
    for id in wanted {
        if claims.take(id, session.id, now) {
            claimed.push(id);
        } else {
            waiting.await_elsewhere(id, session);
        }
    }
    claimed
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
    if verdicts.iter().any(Result::is_ok) {
        session.merits.gave_transactions(inner.elapsed());
    }
    for ((tries, transaction), verdict) in transactions.into_iter().zip(verdicts) {
        match verdict {
            Err(rejection) if rejection.is_senders_fault() => {
                return Err(Misdeed::InvalidTransaction(rejection.to_string()));
            }
            // What it builds on, another transfer or a block, may be on its way here, or this node be short of room.
            Err(
                Rejection::KeyUnknown { .. }
                | Rejection::TooManyQueued { .. }
                | Rejection::InsufficientBalance { .. }
                | Rejection::FeeTooLow { .. }
                | Rejection::SourceLimited { .. }
                | Rejection::JournalFailed(_),
            ) => waiting.park(tries, transaction),
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ALICE, BOB};

    #[test]
    fn transactions_that_wait_for_what_they_build_on_are_bounded_by_their_bytes_too() {
        let mut waiting = Waiting::default();
        let transaction = ALICE.pay(0, BOB.address(), 1);
        let size = transaction.size_bytes();
        assert!(size * MAX_PARKED > MAX_PARKED_BYTES, "{size}");
        for _ in 0..MAX_PARKED {
            waiting.park(0, transaction.clone());
        }
        assert_eq!(waiting.parked_bytes, waiting.parked.len() * size);
        assert!(waiting.parked_bytes <= MAX_PARKED_BYTES && waiting.parked_bytes + size > MAX_PARKED_BYTES);
    }
}
