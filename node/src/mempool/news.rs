//! What happens in the pool, in order, for those who follow it: a bounded memory of recent events with numbers.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use farthing::{BlockId, Height, TxId};

use super::{DropReason, Listed, PoolLimits, PoolStatus, Pooled};

/// Something that happened to a transaction of the pool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolEvent {
    /// The transaction.
    pub pooled: Arc<Pooled>,
    /// What happened.
    pub what: PoolNews,
}

/// What happened to a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolNews {
    /// It is here now, [`PoolStatus::Pending`] or [`PoolStatus::Queued`].
    Added(PoolStatus),
    /// It stands elsewhere now, [`PoolStatus::Pending`] or [`PoolStatus::Queued`].
    Changed(PoolStatus),
    /// It has left.
    Removed(Exit),
}

/// How a transaction left the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// A block took it.
    Mined {
        /// The block.
        block: BlockId,
        /// Its height.
        height: Height,
    },
    /// A block that the pool has not seen used its nonce: took it, or another one with its nonce. The chain knows.
    NonceTaken,
    /// It could not be written to disk, and was never acknowledged.
    NotWritten,
    /// It was dropped.
    Dropped(DropReason),
}

impl Exit {
    /// The reason to remember, if it is one.
    pub(super) const fn reason(self) -> Option<DropReason> {
        match self {
            Self::Dropped(reason) => Some(reason),
            Self::Mined { .. } | Self::NonceTaken | Self::NotWritten => None,
        }
    }
}

impl From<DropReason> for Exit {
    fn from(reason: DropReason) -> Self {
        Self::Dropped(reason)
    }
}

/// Names what happens next in the pool, and the block up to which the pool knows the chain by then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolHead {
    /// Number of the next event.
    pub next: u64,
    /// The block.
    pub tip: BlockId,
}

/// Events were forgotten that a follower has not seen: it must look at the whole pool again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the mempool no longer remembers what happened since event {from}")]
pub struct Overtaken {
    /// The first event that was asked for.
    pub from: u64,
}

/// A part of the whole pool in order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolPart {
    /// Its entries.
    pub entries: Vec<Listed>,
    /// Whether there are none behind them.
    pub is_last: bool,
}

/// Recent events.
#[derive(Debug)]
pub(super) struct News {
    events: VecDeque<PoolEvent>,
    max_events: usize,
    max_bytes: usize,
    /// Number of the first of them.
    first: u64,
    bytes: usize,
}

impl News {
    pub(super) fn new(limits: &PoolLimits) -> Self {
        let (max_events, max_bytes) = (limits.events, limits.event_bytes);
        Self { events: VecDeque::new(), max_events, max_bytes, first: 0, bytes: 0 }
    }

    /// Number of the next event.
    pub(super) fn next(&self) -> u64 {
        self.first.saturating_add(self.events.len() as u64)
    }

    /// Adds what happened at one moment: of what happened to one transaction only the outcome, as far as it stayed.
    pub(super) fn add(&mut self, events: Vec<PoolEvent>) {
        for event in of_one_moment(events) {
            self.bytes = self.bytes.saturating_add(event.pooled.transaction().size_bytes());
            self.events.push_back(event);
        }
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes = self.bytes.saturating_sub(oldest.pooled.transaction().size_bytes());
            self.first = self.first.saturating_add(1);
        }
    }

    /// At most `limit` events from this one on.
    pub(super) fn since(&self, from: u64, limit: usize) -> Result<Vec<PoolEvent>, Overtaken> {
        let skip = from.checked_sub(self.first).filter(|_| from <= self.next()).ok_or(Overtaken { from })?;
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        Ok(self.events.iter().skip(skip).take(limit).cloned().collect())
    }
}

/// What is left of the events of one moment: nobody could see what was between.
fn of_one_moment(events: Vec<PoolEvent>) -> impl Iterator<Item = PoolEvent> {
    let mut kept: Vec<Option<(PoolEvent, Option<PoolStatus>)>> = Vec::with_capacity(events.len());
    let mut last: HashMap<TxId, usize> = HashMap::new();
    for PoolEvent { pooled, what } in events {
        let id = pooled.id();
        let PoolNews::Changed(status) = what else {
            last.insert(id, kept.len());
            kept.push(Some((PoolEvent { pooled, what }, None)));
            continue;
        };
        match last.get(&id).and_then(|at| kept.get_mut(*at)) {
            Some(Some((PoolEvent { what: PoolNews::Added(is) | PoolNews::Changed(is), .. }, was))) => {
                *is = status;
                if *was == Some(status) {
                    // Back where it was.
                    if let Some(at) = last.remove(&id) {
                        kept[at] = None;
                    }
                }
            }
            _ => {
                // There are two ways to stand in the pool.
                let was = match status {
                    PoolStatus::Pending => PoolStatus::Queued,
                    PoolStatus::Queued | PoolStatus::Dropped { .. } => PoolStatus::Pending,
                };
                last.insert(id, kept.len());
                kept.push(Some((PoolEvent { pooled, what: PoolNews::Changed(status) }, Some(was))));
            }
        }
    }
    kept.into_iter().flatten().map(|(event, _)| event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        mempool::Source,
        testing::{ALICE, BOB, dev},
    };

    fn pooled(nonce: u64) -> Arc<Pooled> {
        let transaction = ALICE.pay(nonce, BOB.address(), 1);
        let id = transaction.transaction().id(dev().genesis_id());
        Arc::new(Pooled { transaction, id, received: farthing::TimeMs::new(1), source: Source::Rpc, arrival: nonce })
    }

    fn event(pooled: &Arc<Pooled>, what: PoolNews) -> PoolEvent {
        PoolEvent { pooled: Arc::clone(pooled), what }
    }

    #[test]
    fn of_one_moment_only_what_lasted_is_told() {
        use PoolNews::{Added, Changed, Removed};
        use PoolStatus::{Pending, Queued};
        let (a, b, c) = (pooled(0), pooled(1), pooled(2));
        let gone = Removed(Exit::NotWritten);
        let mut news = News::new(&PoolLimits::default());
        news.add(vec![
            event(&a, Added(Queued)),
            event(&b, Changed(Queued)),
            event(&c, gone),
            event(&a, Changed(Pending)),
            event(&b, Changed(Pending)),
            event(&c, Added(Queued)),
        ]);
        let told = news.since(0, 10).unwrap();
        assert_eq!(told, [event(&a, Added(Pending)), event(&c, gone), event(&c, Added(Queued))]);
        news.add(vec![event(&a, Changed(Queued))]);
        assert_eq!(news.since(3, 10).unwrap(), [event(&a, Changed(Queued))]);
    }

    #[test]
    fn who_asks_for_what_was_forgotten_or_never_was_is_told_so() {
        let one = pooled(0);
        let size = one.transaction().size_bytes();
        let (by_count, by_bytes) = ((10, usize::MAX), (usize::MAX, 10 * size));
        for (events, event_bytes) in [by_count, by_bytes] {
            let mut news = News::new(&PoolLimits { events, event_bytes, ..PoolLimits::default() });
            forgets_all_but_ten(&mut news, &one);
        }
    }

    fn forgets_all_but_ten(news: &mut News, one: &Arc<Pooled>) {
        let total = 25;
        for _ in 0..total {
            news.add(vec![event(one, PoolNews::Added(PoolStatus::Pending))]);
        }
        assert_eq!(news.next(), total);
        assert_eq!(news.since(14, 1), Err(Overtaken { from: 14 }));
        assert_eq!((news.since(15, 2).unwrap().len(), news.since(15, 99).unwrap().len()), (2, 10));
        assert_eq!(news.since(total, 2), Ok(Vec::new()));
        assert_eq!(news.since(total + 1, 2), Err(Overtaken { from: total + 1 }));
    }
}
