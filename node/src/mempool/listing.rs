//! Pages of the pool, cut from an order that is made anew for each while the pool is small, and else once a second.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use farthing::TxId;

use super::{
    Listed, Page, PageCursor, PoolStatus, Pooled,
    pool::{Pool, Unsorted},
};

/// How long an order of many is used although the pool has changed.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Fewer than this are put in order for every page.
const MANY: usize = 2_000;

/// The order last made.
#[derive(Debug, Default)]
pub(super) struct Listing {
    made: Option<(Duration, Arc<Order>)>,
}

/// The pool in the order of templates, then what is queued.
#[derive(Debug)]
pub(super) struct Order {
    executable: usize,
    all: Vec<Arc<Pooled>>,
    /// Where each is: once somebody asks for what is behind one that has moved.
    places: OnceLock<HashMap<TxId, usize>>,
}

impl Listing {
    /// The order as it is now, or was a moment ago.
    pub(super) fn order(&mut self, now: Duration, make: impl FnOnce() -> Order) -> Arc<Order> {
        if let Some((at, order)) = &self.made
            && order.all.len() >= MANY
            && now.saturating_sub(*at) < FRESH_FOR
        {
            return Arc::clone(order);
        }
        let order = Arc::new(make());
        self.made = Some((now, Arc::clone(&order)));
        order
    }
}

impl Order {
    /// The order of what waits, which was copied out of the pool before.
    pub(super) fn of(unsorted: Unsorted) -> Self {
        let (mut all, queued) = unsorted.sorted();
        let executable = all.len();
        all.extend(queued);
        Self { executable, all, places: OnceLock::new() }
    }

    /// The entries from this place on that are still here. For moments only: the pool is locked.
    pub(super) fn page(&self, start: usize, limit: usize, pool: &Pool) -> Page {
        let rest = self.all.iter().enumerate().skip(start);
        let present = rest.filter(|(_, pooled)| pool.get(&pooled.id).is_some());
        let mut chosen: Vec<(usize, &Arc<Pooled>)> = present.take(limit.saturating_add(1)).collect();
        let more = chosen.len() > limit;
        chosen.truncate(limit);
        let last = chosen.last().map(|(index, pooled)| PageCursor { after: pooled.id, index: *index as u64 });
        let listed = chosen.into_iter().map(|(index, pooled)| Listed {
            pooled: Arc::clone(pooled),
            status: if index < self.executable { PoolStatus::Pending } else { PoolStatus::Queued },
        });
        Page { entries: listed.collect(), next: last.filter(|_| more), stats: pool.stats() }
    }

    /// Where the entries behind a cursor begin: behind its transaction, or, if that has left, at its place.
    pub(super) fn behind(&self, cursor: &PageCursor) -> usize {
        let index = usize::try_from(cursor.index).unwrap_or(usize::MAX);
        if self.all.get(index).is_some_and(|pooled| pooled.id == cursor.after) {
            return index.saturating_add(1);
        }
        let places = || self.all.iter().enumerate().map(|(at, pooled)| (pooled.id, at)).collect();
        self.places.get_or_init(places).get(&cursor.after).map_or(index, |at| at.saturating_add(1))
    }
}
