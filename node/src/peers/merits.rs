//! What speaks for a session when others want its place: what it lately brought, and how soon it answers.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

const NEVER: u64 = u64::MAX;

/// Times by the steady clock, in ms.
#[derive(Debug)]
pub(super) struct Merits {
    block_at: AtomicU64,
    transactions_at: AtomicU64,
    quickest: AtomicU64,
}

impl Default for Merits {
    fn default() -> Self {
        let never = || AtomicU64::new(NEVER);
        Self { block_at: never(), transactions_at: never(), quickest: never() }
    }
}

fn ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER)
}

fn read(value: &AtomicU64) -> Option<Duration> {
    Some(value.load(Ordering::Relaxed)).filter(|ms| *ms != NEVER).map(Duration::from_millis)
}

impl Merits {
    /// It brought a block that is on the best chain now.
    pub(super) fn gave_block(&self, now: Duration) {
        self.block_at.store(ms(now), Ordering::Relaxed);
    }

    /// It brought transactions that the mempool took.
    pub(super) fn gave_transactions(&self, now: Duration) {
        self.transactions_at.store(ms(now), Ordering::Relaxed);
    }

    /// It answered after so long.
    pub(super) fn answered(&self, after: Duration) {
        self.quickest.fetch_min(ms(after), Ordering::Relaxed);
    }

    /// When it last brought such a block.
    pub(super) fn block_at(&self) -> Option<Duration> {
        read(&self.block_at)
    }

    /// When it last brought such transactions.
    pub(super) fn transactions_at(&self) -> Option<Duration> {
        read(&self.transactions_at)
    }

    /// How long its quickest answer took.
    pub(super) fn quickest(&self) -> Option<Duration> {
        read(&self.quickest)
    }
}
