//! The figures that prices are reckoned from: made at most once a second for all callers.

use std::{num::NonZeroUsize, sync::Arc, time::Duration};

use farthing::{Address, BlockId, wire::ChainPoint};
use lru::LruCache;
use tokio::sync::Mutex;

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
    pub(super) recent: Vec<Arc<BlockPayments>>,
    /// When it was made, by the steady clock.
    made: Duration,
}

/// What a block's transfers may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Capacity {
    pub(super) bytes: usize,
    pub(super) signature_units: u64,
}

impl Capacity {
    /// Thousandths of bytes or of signature units that these use up, whichever is more.
    pub(super) fn fullness(self, paid: &[Paid]) -> u32 {
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
#[derive(Debug)]
pub(in crate::rpc) struct FeeBook(Mutex<State>);

#[derive(Debug)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    blocks: LruCache<BlockId, Arc<BlockPayments>>,
}

impl FeeBook {
    pub(in crate::rpc) fn new() -> Self {
        Self(Mutex::new(State { snapshot: None, blocks: LruCache::new(KEPT) }))
    }

    /// The figures of this tip, a second old at most. Whoever comes while they are made waits for them.
    pub(super) async fn snapshot(&self, deps: &Deps) -> Result<Arc<Snapshot>, ApiError> {
        let mut state = self.0.lock().await;
        let (view, now) = (deps.chain.view(), deps.env.clock().elapsed());
        let fresh =
            |made: &&Arc<Snapshot>| made.tip.block_id == view.tip.id() && now.saturating_sub(made.made) < FRESH_FOR;
        if let Some(made) = state.snapshot.as_ref().filter(fresh) {
            return Ok(Arc::clone(made));
        }
        // The pool's answer is to be that for this tip.
        crate::rpc::transactions::follow_the_tip(deps).await;
        let nobody = Reward { to: Address::ZERO, tag: Vec::new() };
        let limits: TemplateLimits = miner::limits(deps.chain.params(), &view, &nobody, usize::MAX);
        let mempool = deps.mempool.clone();
        let prices = deps.env.compute().run(move || mempool.prices(&limits, PROJECTED_BLOCKS, &LEVELS)).await;
        let recent = state.recent(deps, view.tip.id()).await?;
        let snapshot = Arc::new(Snapshot {
            tip: blocks::tip(&view),
            floor: deps.mempool.limits().floor_mites_per_byte,
            capacity: Capacity { bytes: limits.bytes, signature_units: limits.signature_units },
            prices,
            recent,
            made: now,
        });
        state.snapshot = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

impl State {
    /// What the newest blocks paid, from the tip down by parents, as far as they are here.
    async fn recent(&mut self, deps: &Deps, tip: BlockId) -> Result<Vec<Arc<BlockPayments>>, ApiError> {
        let (mut recent, mut next) = (Vec::with_capacity(RECENT_BLOCKS), tip);
        while recent.len() < RECENT_BLOCKS {
            let known = self.blocks.get(&next).cloned();
            let payments = match known {
                Some(known) => known,
                None => {
                    let Some(read) = deps.chain.block_payments(next).await? else { break };
                    let read = Arc::new(read);
                    self.blocks.put(next, Arc::clone(&read));
                    read
                }
            };
            next = payments.previous;
            recent.push(payments);
        }
        Ok(recent)
    }
}
