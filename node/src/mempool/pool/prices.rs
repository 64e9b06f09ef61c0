//! What a place in a block costs, as the pool stands: the blocks that it would fill, and how much waits at which rate.

use farthing::{Mites, limits::MAX_TRANSACTION_BYTES};

use super::{super::TemplateLimits, Pool, queue::Entry};

/// Most signature units of one transaction.
const MAX_UNITS: u64 = 5;
/// Most accounts that one transaction opens.
const MAX_OPENINGS: u32 = 64;

/// What the pool says about prices.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prices {
    /// The blocks that it would fill, the next one first; none behind the first that would be empty.
    pub blocks: Vec<ProjectedBlock>,
    /// What waits, as many as were asked for, in their order.
    pub levels: Vec<Level>,
}

/// A block that the pool would fill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectedBlock {
    /// How many transactions it takes.
    pub transactions: usize,
    /// What is left of a block.
    pub free: TemplateLimits,
    /// The cheapest of its transactions, the cheapest first: as many as any one transaction could have to outbid.
    pub cheapest: Vec<Paid>,
}

/// What a transaction takes of a block, and leaves for the miner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paid {
    /// Fee less what is burned.
    pub net: Mites,
    /// Canonical bytes.
    pub bytes: usize,
    /// Of its signature.
    pub signature_units: u64,
    /// Accounts that it opens.
    pub openings: u32,
}

impl Paid {
    /// Mites per byte, rounded down.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.net.get() / (self.bytes as u64).max(1)
    }

    fn of(entry: &Entry) -> Self {
        Self {
            net: entry.net(),
            bytes: entry.bytes(),
            signature_units: entry.pooled.transaction.signature().size().signature_units(),
            openings: entry.cost.openings,
        }
    }
}

/// Executable transactions of about the same rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Level {
    /// How many.
    pub transactions: usize,
    /// Their canonical bytes.
    pub bytes: usize,
}

impl ProjectedBlock {
    fn new(mut taken: Vec<Paid>, free: TemplateLimits) -> Self {
        let transactions = taken.len();
        // Exactly, as the order of templates is: net / bytes by cross products.
        taken.sort_unstable_by(|one, other| {
            let left = u128::from(one.net.get()) * other.bytes as u128;
            left.cmp(&(u128::from(other.net.get()) * one.bytes as u128))
        });
        let (mut bytes, mut units, mut openings) = (0, 0, 0);
        let enough = taken.iter().position(|paid| {
            bytes += paid.bytes;
            units += paid.signature_units;
            openings += paid.openings;
            bytes >= MAX_TRANSACTION_BYTES && units >= MAX_UNITS && openings >= MAX_OPENINGS
        });
        taken.truncate(enough.map_or(transactions, |last| last + 1));
        taken.shrink_to_fit();
        Self { transactions, free, cheapest: taken }
    }
}

impl Pool {
    /// See [`Prices`]. `levels` are the rates at which they begin, rising; what pays less than the first is in the first.
    pub(in crate::mempool) fn prices(&self, limits: &TemplateLimits, blocks: usize, levels: &[u64]) -> Prices {
        Prices { blocks: self.project(limits, blocks), levels: self.levels(levels) }
    }

    fn project(&self, limits: &TemplateLimits, blocks: usize) -> Vec<ProjectedBlock> {
        let (mut heads, mut limits) = (self.heads(), *limits);
        let mut projected = Vec::new();
        while projected.len() < blocks {
            let mut taken = Vec::new();
            let (free, left) = self.fill(heads, &limits, |entry| taken.push(Paid::of(entry)));
            if taken.is_empty() {
                break;
            }
            projected.push(ProjectedBlock::new(taken, free));
            heads = left;
            limits.height = limits.height.next();
        }
        projected
    }

    fn levels(&self, begin: &[u64]) -> Vec<Level> {
        let mut levels = vec![Level::default(); begin.len()];
        for entry in self.queues.values().flat_map(super::queue::Queue::executables) {
            let paid = Paid::of(entry);
            let at = begin.partition_point(|least| *least <= paid.rate()).saturating_sub(1);
            if let Some(level) = levels.get_mut(at) {
                level.transactions += 1;
                level.bytes += paid.bytes;
            }
        }
        levels
    }
}
