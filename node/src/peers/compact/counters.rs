//! How blocks were relayed, in numbers.

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
};

/// How blocks were relayed since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RelayCounts {
    /// Compact blocks that came.
    pub compact_received: u64,
    /// Of these, pushed by the peer with its announcement.
    pub pushed_received: u64,
    /// Of these, put together from what was here, without asking for more.
    pub without_asking: u64,
    /// Of these, put together after one more round trip.
    pub one_round_trip: u64,
    /// Blocks that were asked for compactly and then fetched whole.
    pub fell_back: u64,
    /// Transactions that were asked for by their places.
    pub transactions_asked: u64,
    /// Compact blocks sent.
    pub compact_sent: u64,
    /// Of these, pushed with an announcement.
    pub pushed_sent: u64,
    /// Answers sent with transactions of a block.
    pub block_transactions_sent: u64,
    /// Whole blocks sent.
    pub full_sent: u64,
    /// Bytes sent of blocks in any of these forms, without the frames around them.
    pub bytes_sent: u64,
}

impl fmt::Display for RelayCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} compact blocks, {} of them pushed, {} without asking, {} with one round trip, {} fetched whole after all",
            self.compact_received, self.pushed_received, self.without_asking, self.one_round_trip, self.fell_back
        )
    }
}

/// The form in which something of a block was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::peers) enum Sent {
    /// The whole block.
    Full,
    /// A compact block that was asked for.
    Compact,
    /// A compact block with an announcement.
    Pushed,
    /// Transactions of a block.
    Transactions,
}

/// Counts that sessions add to side by side. Each is exact; together they may be a moment apart.
#[derive(Debug, Default)]
pub(super) struct Counters {
    compact_received: AtomicU64,
    pushed_received: AtomicU64,
    without_asking: AtomicU64,
    one_round_trip: AtomicU64,
    fell_back: AtomicU64,
    transactions_asked: AtomicU64,
    compact_sent: AtomicU64,
    pushed_sent: AtomicU64,
    block_transactions_sent: AtomicU64,
    full_sent: AtomicU64,
    bytes_sent: AtomicU64,
}

impl Counters {
    pub(super) fn received(&self, pushed: bool) {
        add(&self.compact_received, 1);
        if pushed {
            add(&self.pushed_received, 1);
        }
    }

    pub(super) fn put_together(&self, asked: usize) {
        add(if asked == 0 { &self.without_asking } else { &self.one_round_trip }, 1);
        add(&self.transactions_asked, asked);
    }

    pub(super) fn fell_back(&self) {
        add(&self.fell_back, 1);
    }

    pub(super) fn sent(&self, what: Sent, bytes: usize) {
        let counter = match what {
            Sent::Full => &self.full_sent,
            Sent::Compact | Sent::Pushed => &self.compact_sent,
            Sent::Transactions => &self.block_transactions_sent,
        };
        add(counter, 1);
        if what == Sent::Pushed {
            add(&self.pushed_sent, 1);
        }
        add(&self.bytes_sent, bytes);
    }

    pub(super) fn read(&self) -> RelayCounts {
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        RelayCounts {
            compact_received: value(&self.compact_received),
            pushed_received: value(&self.pushed_received),
            without_asking: value(&self.without_asking),
            one_round_trip: value(&self.one_round_trip),
            fell_back: value(&self.fell_back),
            transactions_asked: value(&self.transactions_asked),
            compact_sent: value(&self.compact_sent),
            pushed_sent: value(&self.pushed_sent),
            block_transactions_sent: value(&self.block_transactions_sent),
            full_sent: value(&self.full_sent),
            bytes_sent: value(&self.bytes_sent),
        }
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed);
}
