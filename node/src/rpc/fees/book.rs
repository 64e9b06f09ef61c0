//! The figures that prices are reckoned from: made at most once a second for all callers.

use std::{
    convert::Infallible,
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use farthing::{Address, BlockId, Height, wire::ChainPoint};
use futures_util::future::{FutureExt as _, Shared};
use lru::LruCache;
use tokio::sync::oneshot;

use super::estimate::percentile;
use crate::{
    chain::BlockPayments,
    mempool::{Paid, Prices, ProjectedBlock, TemplateLimits},
    miner::{self, Reward},
    rpc::{ApiError, Deps, blocks},
};

/// Blocks of the best chain that are looked back at.
pub(super) const RECENT_BLOCKS: usize = 24;
/// Blocks ahead that the pool is laid out over.
pub(super) const PROJECTED_BLOCKS: usize = 10;
/// How long a snapshot of one tip serves.
const FRESH_FOR: Duration = Duration::from_secs(1);
/// Blocks whose payments are kept: after a reorganisation the other branch's may come back.
const KEPT: NonZeroUsize = NonZeroUsize::new(4 * RECENT_BLOCKS).expect("not zero");

/// Rates at which the levels of `GetFees` begin, in mites per byte. The first holds what pays less than the second.
pub(super) const LEVELS: [u64; 20] = [
    0, 100, 110, 125, 150, 175, 200, 250, 300, 400, 500, 750, 1_000, 1_500, 2_000, 5_000, 10_000, 20_000, 50_000,
    100_000,
];

/// All that prices depend on.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) tip: ChainPoint,
    /// Least net fee per byte, in mites.
    pub(super) floor: u64,
    pub(super) capacity: Capacity,
    pub(super) prices: Prices,
    /// The tip's first.
    pub(super) recent: Vec<Arc<PaidBlock>>,
    /// When it was made, by the steady clock.
    made: Duration,
}

/// What the transfers of a block paid, in figures: reckoned once, not for every caller.
#[derive(Debug, Clone, Copy)]
pub(super) struct PaidBlock {
    pub(super) id: BlockId,
    pub(super) height: Height,
    previous: BlockId,
    /// How many.
    pub(super) transactions: usize,
    pub(super) fullness_permille: u32,
    /// Rates in mites per byte, all 0 without transfers.
    pub(super) least: u64,
    pub(super) p10: u64,
    pub(super) median: u64,
    pub(super) p90: u64,
}

impl PaidBlock {
    fn of(block: &BlockPayments, capacity: Capacity) -> Self {
        let mut rates: Vec<u64> = block.paid.iter().map(Paid::rate).collect();
        rates.sort_unstable();
        let at = |percent| percentile(&rates, percent).unwrap_or(0);
        Self {
            id: block.id,
            height: block.height,
            previous: block.previous,
            transactions: rates.len(),
            fullness_permille: capacity.fullness(&block.paid),
            least: rates.first().copied().unwrap_or(0),
            p10: at(10),
            median: at(50),
            p90: at(90),
        }
    }
}

/// What a block's transfers may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) bytes: usize,
    pub(super) signature_units: u64,
}

impl Capacity {
    /// Thousandths of bytes or of signature units that these use up, whichever is more.
    fn fullness(self, paid: &[Paid]) -> u32 {
        let bytes: usize = paid.iter().map(|paid| paid.bytes).sum();
        self.permille(bytes, paid.iter().map(|paid| paid.signature_units).sum())
    }

    pub(super) fn fullness_of(self, block: &ProjectedBlock) -> u32 {
        let units = self.signature_units.saturating_sub(block.free.signature_units);
        self.permille(self.bytes.saturating_sub(block.free.bytes), units)
    }

    fn permille(self, bytes: usize, units: u64) -> u32 {
        let share = |used: u64, of: u64| used.saturating_mul(1_000) / of.max(1);
        let most = share(bytes as u64, self.bytes as u64).max(share(units, self.signature_units));
        u32::try_from(most).unwrap_or(u32::MAX)
    }
}

/// The snapshot of the moment, and what blocks have paid.
#[derive(Debug, Clone)]
pub(in crate::rpc) struct FeeBook(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: Mutex<State>,
    /// Of the one that makes a snapshot.
    blocks: tokio::sync::Mutex<LruCache<BlockId, Arc<PaidBlock>>>,
}

#[derive(Debug, Default)]
struct State {
    latest: Option<Arc<Snapshot>>,
    /// One that is being made, for all who wait for it.
    making: Option<Making>,
}

type Made = Result<Arc<Snapshot>, ApiError>;
type Making = Shared<oneshot::Receiver<Made>>;

impl FeeBook {
    pub(in crate::rpc) fn new() -> Self {
        Self(Arc::new(Inner { state: Mutex::default(), blocks: tokio::sync::Mutex::new(LruCache::new(KEPT)) }))
    }

    /// The figures of this tip, a second old at most. Whoever comes while they are made waits for them.
    pub(super) async fn snapshot(&self, deps: &Deps) -> Made {
        let tip = deps.chain.view().tip.id();
        let made = self.made(deps).await?;
        // It was begun for an earlier tip.
        if made.tip.block_id == tip { Ok(made) } else { self.made(deps).await }
    }

    async fn made(&self, deps: &Deps) -> Made {
        let making = match self.0.latest_or_making(deps) {
            Ok(latest) => return Ok(latest),
            Err(making) => making,
        };
        making.await.unwrap_or_else(|_| Err(ApiError::stopping()))
    }

    /// Whether there is a snapshot.
    #[cfg(test)]
    pub(in crate::rpc) fn is_made(&self) -> bool {
        self.0.lock().latest.is_some()
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The latest snapshot if it is fresh, else the one that is being made. It is made in a task of its own and kept by
    /// that: a caller that gives up leaves no walk behind that the next one begins anew.
    fn latest_or_making(self: &Arc<Self>, deps: &Deps) -> Result<Arc<Snapshot>, Making> {
        let (tip, now) = (deps.chain.view().tip.id(), deps.env.clock().elapsed());
        let mut state = self.lock();
        let fresh = |made: &&Arc<Snapshot>| made.tip.block_id == tip && now.saturating_sub(made.made) < FRESH_FOR;
        if let Some(latest) = state.latest.as_ref().filter(fresh) {
            return Ok(Arc::clone(latest));
        }
        // One whose task was ended has answered that without a snapshot.
        if let Some(making) = state.making.as_ref().filter(|making| making.peek().is_none()) {
            return Err(making.clone());
        }
        let (answer, answered) = oneshot::channel();
        let making = answered.shared();
        state.making = Some(making.clone());
        drop(state);
        let (inner, own) = (Arc::clone(self), deps.clone());
        deps.tasks.spawn("fees", async move {
            let made = inner.make(&own).await;
            let mut state = inner.lock();
            if let Ok(made) = &made {
                state.latest = Some(Arc::clone(made));
            }
            state.making = None;
            drop(state);
            // All who waited may have gone.
            let _ = answer.send(made);
            Ok::<_, Infallible>(())
        });
        Err(making)
    }

    async fn make(&self, deps: &Deps) -> Made {
        // The pool's answer is to be that for this tip.
        crate::rpc::transactions::follow_the_tip(deps).await;
        let (view, made) = (deps.chain.view(), deps.env.clock().elapsed());
        let nobody = Reward { to: Address::ZERO, tag: Vec::new() };
        let limits: TemplateLimits = miner::limits(deps.chain.params(), &view, &nobody, usize::MAX);
        let capacity = Capacity { bytes: limits.bytes, signature_units: limits.signature_units };
        let mempool = deps.mempool.clone();
        let prices = deps.env.compute().run(move || mempool.prices(&limits, PROJECTED_BLOCKS, &LEVELS)).await;
        let recent = self.recent(deps, view.tip.id(), capacity).await?;
        let (tip, floor) = (blocks::tip(&view), deps.mempool.limits().floor_mites_per_byte);
        Ok(Arc::new(Snapshot { tip, floor, capacity, prices, recent, made }))
    }

    /// What the newest blocks paid, from the tip down by parents, as far as they are here.
    async fn recent(&self, deps: &Deps, tip: BlockId, capacity: Capacity) -> Result<Vec<Arc<PaidBlock>>, ApiError> {
        let mut blocks = self.blocks.lock().await;
        let (mut recent, mut next) = (Vec::with_capacity(RECENT_BLOCKS), tip);
        while recent.len() < RECENT_BLOCKS {
            let known = blocks.get(&next).cloned();
            let paid = match known {
                Some(known) => known,
                None => {
                    let Some(read) = deps.chain.block_payments(next).await? else { break };
                    let paid = deps.env.compute().run(move || PaidBlock::of(&read, capacity)).await;
                    let paid = Arc::new(paid);
                    blocks.put(next, Arc::clone(&paid));
                    paid
                }
            };
            next = paid.previous;
            recent.push(paid);
        }
        Ok(recent)
    }
}
