//! The handle that everybody holds.

use std::sync::{Arc, PoisonError};

use farthing::{Address, BlockId, SignedTransaction, TxId, WireId, keys::KeySize, tx::TransactionError, wire::Draft};
use tokio::sync::{broadcast, watch};

use super::{
    AccountPending, Admitted, Announcement, Arrival, Begun, Confirmed, Overtaken, Page, PageCursor, Places, PoolEvent,
    PoolHead, PoolLimits, PoolPart, PoolStats, PoolStatus, Pooled, Prices, Rejection, Simulation, Source,
    TemplateLimits, listing::Order, pool::BlockBody, shared::Shared, submit::is_in_vain,
};

/// Access to the mempool. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Mempool {
    pub(super) shared: Arc<Shared>,
}

impl Mempool {
    /// Takes transactions: cheap checks, signatures in parallel, admission, journal. One verdict each, in order;
    /// what is `Ok` is durable. A transaction that is here already gets its present status. One that is on the chain
    /// is `NONCE_TOO_LOW`: ask the chain for its id.
    pub async fn submit(
        &self,
        transactions: Vec<SignedTransaction>,
        source: Source,
    ) -> Vec<Result<Admitted, Rejection>> {
        self.submit_charging(transactions, source, |_| {}).await
    }

    /// The same, and says to `charge` how many signatures were verified in vain: when they have been, although whoever
    /// submitted them may be gone by then and this may never return.
    pub async fn submit_charging(
        &self,
        transactions: Vec<SignedTransaction>,
        source: Source,
        charge: impl FnOnce(usize) + Send + 'static,
    ) -> Vec<Result<Admitted, Rejection>> {
        let begun = match self.places(transactions.len(), source).await {
            Ok(places) => self.begin(transactions, source, places, charge).await,
            Err(rejection) => return vec![Err(rejection); transactions.len()],
        };
        begun.finish().await
    }

    /// Waits until a batch of so many may be submitted. Places that are assigned are kept from everybody else, so whoever
    /// waits here must be polled, as a task or a call is and the body of an answer is not.
    ///
    /// # Errors
    /// `Stopping`, or `SourceLimited` at once.
    pub async fn places(&self, count: usize, source: Source) -> Result<Places, Rejection> {
        self.shared.places(count, source).await
    }

    /// [`Mempool::submit_charging`] once there are places for all, without the wait for the disk, which [`Begun::finish`] is. What
    /// is begun before another batch stands before it, so that whoever begins one after the other leaves no gaps, and need
    /// not wait for the disk in between.
    pub async fn begin(
        &self,
        transactions: Vec<SignedTransaction>,
        source: Source,
        places: Places,
        charge: impl FnOnce(usize) + Send + 'static,
    ) -> Begun {
        self.shared.begin(transactions, source, places, charge).await
    }

    /// What would happen to a transaction now. Changes nothing. Verifies a signature and may read the disk. Says to `charge`
    /// how many signatures were verified in vain, as [`Mempool::submit_charging`] does.
    ///
    /// # Errors
    /// If it would be too large with a signature.
    pub async fn simulate(
        &self,
        draft: Draft,
        charge: impl FnOnce(usize) + Send + 'static,
    ) -> Result<Simulation, TransactionError> {
        let shared = Arc::clone(&self.shared);
        let work = move || {
            let simulated = shared.simulate(draft);
            let refused = simulated.as_ref().is_ok_and(|simulation| is_in_vain(&simulation.verdict));
            charge(usize::from(refused));
            simulated
        };
        self.shared.env.compute().run(work).await
    }

    /// Size of the key of an account, if it is known here. May read the disk.
    pub async fn key_size(&self, address: Address) -> Option<KeySize> {
        let shared = Arc::clone(&self.shared);
        self.shared.env.compute().run_blocking(move || shared.key_size(&address)).await
    }

    /// What the pool says about the price of a place in a block: the blocks that it would fill, at most `blocks` of
    /// these limits, and what executable transactions offer, by levels that begin at these rates in mites per byte. Copies
    /// a few figures of each out of the pool and reckons with those, so that the pool is free meanwhile.
    #[must_use]
    pub fn prices(&self, limits: &TemplateLimits, blocks: usize, levels: &[u64]) -> Prices {
        self.shared.read(super::pool::Pool::offers).prices(limits, blocks, levels)
    }

    /// Where a transaction stands; none if it never was here, was mined, or left too long ago.
    #[must_use]
    pub fn status(&self, id: &TxId) -> Option<PoolStatus> {
        self.shared.read(|pool| pool.status(id))
    }

    /// A transaction by its id.
    #[must_use]
    pub fn get(&self, id: &TxId) -> Option<Arc<Pooled>> {
        self.shared.read(|pool| pool.get(id))
    }

    /// A transaction by its wire id.
    #[must_use]
    pub fn get_by_wire(&self, id: &WireId) -> Option<Arc<Pooled>> {
        self.shared.read(|pool| pool.get_by_wire(id))
    }

    /// Those of these transactions that are here, in the given order.
    #[must_use]
    pub fn get_all_by_wire(&self, ids: &[WireId]) -> Vec<Arc<Pooled>> {
        self.shared.read(|pool| ids.iter().filter_map(|id| pool.get_by_wire(id)).collect())
    }

    /// Which of these announced transactions are worth asking for: not here, and not refused lately.
    #[must_use]
    pub fn wanted(&self, ids: &[WireId]) -> Vec<WireId> {
        self.shared.read(|pool| ids.iter().filter(|id| pool.is_wanted(id)).copied().collect())
    }

    /// Wire ids of executable transactions in order of arrival, at most `limit`, and where to go on: for a peer that
    /// connects, or after announcements were missed. Begin with [`Arrival::FIRST`]. What becomes executable after the
    /// first part was read is announced ([`Mempool::subscribe`]), so that the two together miss nothing.
    #[must_use]
    pub fn arrived(&self, from: Arrival, limit: usize) -> (Vec<WireId>, Option<Arrival>) {
        let (ids, rest) = self.shared.read(|pool| pool.arrived(from.0, limit));
        (ids, rest.map(Arrival))
    }

    /// What the pool would do to an account.
    #[must_use]
    pub fn account_pending(&self, address: &Address) -> AccountPending {
        self.shared.read(|pool| pool.account_pending(address))
    }

    /// A part of the pool, at most `limit` entries, in the order in which blocks would take it. The order of a
    /// large pool may be a second old. Takes long now and then, when that is made: not for async threads.
    #[must_use]
    pub fn page(&self, from: Option<PageCursor>, limit: usize) -> Page {
        let order = self.order();
        let start = from.map_or(0, |cursor| order.behind(&cursor));
        self.shared.read(|pool| order.page(start, limit, pool))
    }

    /// Numbers of the pool.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        self.shared.read(super::pool::Pool::stats)
    }

    /// What the pool holds at most, and what it asks for.
    #[must_use]
    pub fn limits(&self) -> PoolLimits {
        self.shared.read(super::pool::Pool::limits)
    }

    /// The same as [`Self::stats`], as a value that can be waited on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<PoolStats> {
        self.shared.stats.subscribe()
    }

    /// Where a transaction stands, as [`Self::status`], and the block up to which the pool knows the chain.
    #[must_use]
    pub fn status_and_tip(&self, id: &TxId) -> (Option<PoolStatus>, BlockId) {
        self.shared.read(|pool| (pool.status(id), pool.tip()))
    }

    /// Number of the next event and the pool's tip, as a value that can be waited on.
    #[must_use]
    pub fn head(&self) -> watch::Receiver<PoolHead> {
        self.shared.head.subscribe()
    }

    /// How many wait on the head.
    #[cfg(test)]
    pub(crate) fn followers(&self) -> usize {
        self.shared.head.receiver_count()
    }

    /// Names this run of the pool: the numbers of its events mean nothing to another one.
    #[must_use]
    pub fn run(&self) -> [u8; 16] {
        *self.shared.run.get_or_init(|| self.shared.env.random().array())
    }

    /// At most `limit` events from the one with this number on, in order.
    ///
    /// # Errors
    /// [`Overtaken`] if the first of them was forgotten, or never was.
    pub fn events_since(&self, from: u64, limit: usize) -> Result<Vec<PoolEvent>, Overtaken> {
        self.shared.news.lock().unwrap_or_else(PoisonError::into_inner).since(from, limit)
    }

    /// At most `limit` of the transactions that arrived at this place or behind it, in order of arrival, as they stand
    /// before the event with the number `next`; none if that has happened already.
    #[must_use]
    pub fn part_before(&self, next: u64, from: Arrival, limit: usize) -> Option<PoolPart> {
        // Events are numbered under the pool's lock.
        self.shared.read(|pool| {
            let known = self.shared.news.lock().unwrap_or_else(PoisonError::into_inner).next();
            (known == next).then(|| pool.part(from.0, limit))
        })
    }

    /// Transactions that became executable, from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Announcement>> {
        self.shared.announcements.subscribe()
    }

    /// What a block should take: by fee rate, nonces in order.
    #[must_use]
    pub fn select(&self, limits: &TemplateLimits) -> Vec<Arc<Pooled>> {
        self.shared.read(|pool| pool.select(limits))
    }

    /// The tip has changed: the blocks lead from the old one to that of `confirmed`, each list the lowest first.
    pub(super) fn advance(&self, confirmed: Arc<dyn Confirmed>, undone: &[BlockBody<'_>], applied: &[BlockBody<'_>]) {
        self.shared.change(|pool, now| pool.advance(confirmed, undone, applied, now));
    }

    /// The tip has changed, and only the blocks that left the chain are known, the lowest first. Reads the disk.
    pub(super) fn resynchronise(&self, confirmed: Arc<dyn Confirmed>, undone: &[BlockBody<'_>]) {
        let used = self.shared.change(|pool, now| pool.resynchronise(confirmed, undone, now));
        self.shared.settle_used(&used);
    }

    /// The block up to which the pool knows the chain.
    pub(super) fn tip(&self) -> BlockId {
        self.shared.read(super::pool::Pool::tip)
    }

    fn order(&self) -> Arc<Order> {
        let now = self.shared.now().elapsed;
        let mut listing = self.shared.listing.lock().unwrap_or_else(PoisonError::into_inner);
        listing.order(now, || Order::of(self.shared.read(super::pool::Pool::unsorted)))
    }
}
