//! Seeds: names that the operator gave, each of which stands for addresses of nodes. Asked only while the address book is
//! nearly empty, so that whoever answers for the names knows as little as can be and decides as little as can be.

use std::{sync::Arc, time::Duration};

use farthing::TimeMs;
use tokio::time::{sleep, timeout};

use super::{
    backoff::Backoff,
    book::{Learned, SeenAddress, Source},
    limits::{MAX_SEED_ADDRESSES, NEARLY_EMPTY_BOOK, SEED_DEADLINE},
    network::Inner,
    outbound,
    session::lock,
};
use crate::config::HostPort;

/// How long the few addresses of a book are tried before seeds are asked.
const GRACE: Duration = Duration::from_secs(10);
/// The first and the longest pause between two rounds.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// What a seed tells was seen alive by nobody that this node knows: it is passed on as that old.
const AGE_MS: u64 = 3 * 24 * 60 * 60 * 1_000;

/// Starts to ask seeds, if there are any.
pub(super) fn start(inner: &Arc<Inner>) {
    if inner.config.seeds.is_empty() {
        return;
    }
    let asker = Arc::clone(inner);
    inner.spawn("peers: seeds", async move {
        let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        if lock(&asker.state).book.len() > 0 {
            sleep(GRACE).await;
        }
        loop {
            for seed in &asker.config.seeds {
                if are_needed(&asker) {
                    ask(&asker, seed).await;
                }
            }
            sleep(pauses.next(asker.env.random().fraction())).await;
        }
    });
}

/// Whether this node knows too few others to go without.
pub(super) fn are_needed(inner: &Inner) -> bool {
    let state = lock(&inner.state);
    state.book.len() < NEARLY_EMPTY_BOOK && state.sessions.outbound() < outbound::wanted(inner)
}

async fn ask(inner: &Inner, seed: &HostPort) {
    let addresses = match timeout(SEED_DEADLINE, inner.env.net().resolve(seed.host(), seed.port())).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(error)) => {
            tracing::warn!(%seed, %error, "a seed cannot be resolved");
            return;
        }
        Err(_) => {
            tracing::warn!(%seed, "a seed did not answer within {} s", SEED_DEADLINE.as_secs());
            return;
        }
    };
    let now = inner.env.clock().now();
    let last_seen = TimeMs::new(now.get().saturating_sub(AGE_MS));
    let mut learned = 0;
    {
        let mut state = lock(&inner.state);
        for address in addresses.into_iter().take(MAX_SEED_ADDRESSES) {
            let is_own = state.own.has(address, inner.elapsed());
            if !is_own && state.book.learn(SeenAddress { address, last_seen }, Source::Seed, now) == Learned::New {
                learned += 1;
            }
        }
    }
    tracing::info!(%seed, learned, "asked a seed for addresses of nodes");
    inner.changed.notify_waiters();
}
