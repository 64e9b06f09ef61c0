//! Starting: what the journal holds is pending again, mined, or dropped for a recorded reason.

use std::{collections::HashMap, convert::Infallible, sync::Arc, time::Duration};

use farthing::{Params, SignedTransaction, TimeMs, TxId};
use tokio_util::sync::CancellationToken;

use super::{
    DropReason, JournalError, Ledger, LoadedEntry, Mempool, PoolJournal, PoolLimits, Rejection, Source,
    pool::{Candidate, Now, Pool},
    shared::Shared,
    submit::MAX_IN_FLIGHT,
    writer::{Writer, rewritten},
};
use crate::{env::Env, tasks::Tasks};

/// Announcements kept for a slow follower; it then starts again from the whole pool.
const ANNOUNCEMENTS: usize = 1_024;
/// How often transactions with a gap before them are looked through.
const TICK: Duration = Duration::from_secs(1);

/// Reads the journal, writes it anew with what is still needed, and starts the mempool's tasks. What was read may be in
/// the system's cache alone, if a sync failed before; what is written anew is on the disk.
///
/// # Errors
/// If the journal cannot be read, or its disk fails.
pub async fn start(
    tasks: &Tasks,
    env: Env,
    params: Arc<Params>,
    limits: PoolLimits,
    ledger: Arc<dyn Ledger>,
    journal: Arc<dyn PoolJournal>,
) -> Result<Mempool, JournalError> {
    let mut pool = Pool::new(Arc::clone(&params), limits, ledger.confirmed());
    let now = Now { wall: env.clock().now(), elapsed: env.clock().elapsed() };
    let (reader, chain, network) = (Arc::clone(&journal), Arc::clone(&ledger), Arc::clone(&params));
    let (pool, is_rewritten) = env
        .compute()
        .run_blocking(move || {
            restore(&mut pool, reader.load()?, &network, &*chain, now);
            let is_rewritten = rewritten(reader.rewrite(&pool.journal_image()))?;
            if is_rewritten {
                pool.forget_changes();
            }
            pool.forget_news();
            Ok((pool, is_rewritten))
        })
        .await?;
    let (shared, tickets) = Shared::new(params, env, ledger, pool, (MAX_IN_FLIGHT, ANNOUNCEMENTS));
    let shared = Arc::new(shared);
    // What was recorded while starting.
    shared.change(|_, _| ());
    let writer = Writer { shared: Arc::clone(&shared), journal, tickets, rewrite_due: !is_rewritten };
    tasks.spawn("mempool journal", writer.run(tasks.token().clone()));
    tasks.spawn("mempool clock", tick(Arc::clone(&shared), tasks.token().clone()));
    Ok(Mempool { shared })
}

/// Takes back what an earlier run held. Its signatures were verified before they were written, and every record
/// carries a checksum.
fn restore(pool: &mut Pool, entries: Vec<LoadedEntry>, params: &Params, ledger: &dyn Ledger, now: Now) {
    let mut live: HashMap<TxId, (usize, SignedTransaction, TimeMs)> = HashMap::new();
    for (at, entry) in entries.into_iter().enumerate() {
        match entry {
            LoadedEntry::Added { transaction, received } => {
                live.insert(transaction.transaction().id(params.genesis_id()), (at, transaction, received));
            }
            LoadedEntry::Dropped { id, reason, height } => {
                live.remove(&id);
                pool.restore_drop(id, reason, height);
            }
        }
    }
    let mut live: Vec<_> = live.into_iter().collect();
    live.sort_unstable_by_key(|(_, (at, transaction, _))| (transaction.transaction().nonce(), *at));
    for (id, (_, transaction, received)) in live {
        let wire_id = transaction.wire_id();
        let candidate = Candidate { transaction, id, received, source: Source::Journal };
        match pool.admit(candidate, now) {
            Ok(_) => ledger.remember_verified(&[wire_id]),
            Err(Rejection::NonceTooLow { .. }) if ledger.may_be_mined(&id) => {}
            Err(rejection) => pool.record_drop(id, reason_of(&rejection)),
        }
    }
    pool.prune_reasons();
}

/// What a refusal at start means for a transaction that had been taken.
fn reason_of(rejection: &Rejection) -> DropReason {
    match rejection {
        Rejection::NonceTooLow { .. } => DropReason::NonceUsed,
        Rejection::ExpiresTooSoon { .. } => DropReason::Expired,
        Rejection::InsufficientBalance { .. } => DropReason::InsufficientBalance,
        Rejection::FeeTooLow { .. } => DropReason::FeeTooLow,
        Rejection::KeyUnknown { .. } => DropReason::KeyUnknown,
        Rejection::ReplacementUnderpaid { waiting, .. } => DropReason::Replaced { by: *waiting },
        Rejection::TooManyQueued { .. } => DropReason::GapTooLarge,
        Rejection::AccountFull { .. } | Rejection::PoolFull { .. } => DropReason::Evicted,
        Rejection::TooManyOpenings { .. }
        | Rejection::BadSignature(_)
        | Rejection::UnusableKey
        | Rejection::SourceLimited { .. }
        | Rejection::JournalFailed(_)
        | Rejection::Stopping => DropReason::NotExecutable,
    }
}

async fn tick(shared: Arc<Shared>, token: CancellationToken) -> Result<(), Infallible> {
    let mut interval = tokio::time::interval(TICK);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            biased;
            () = token.cancelled() => return Ok(()),
            _ = interval.tick() => shared.change(super::pool::Pool::tick),
        }
    }
}
