//! What a place in a block costs, as the pool stands: the blocks that it would fill, and how much waits at which rate.

use farthing::{Mites, limits::MAX_TRANSACTION_BYTES};

use super::{
    super::TemplateLimits,
    Pool,
    rate::Rate,
    select::{Head, Needs, fill},
};

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
        // What is free need not be outbid.
        let (mut bytes, mut units, mut openings) = (free.bytes, free.signature_units, free.openings);
        let enough = taken.iter().position(|paid| {
            bytes = bytes.saturating_add(paid.bytes);
            units = units.saturating_add(paid.signature_units);
            openings = openings.saturating_add(paid.openings);
            bytes >= MAX_TRANSACTION_BYTES && units >= MAX_UNITS && openings >= MAX_OPENINGS
        });
        taken.truncate(enough.map_or(transactions, |last| last + 1));
        taken.shrink_to_fit();
        Self { transactions, free, cheapest: taken }
    }
}

/// What executable transactions offer, those of an account together and in order: all that prices are reckoned from, so that
/// the pool is free meanwhile.
#[derive(Debug)]
pub(in crate::mempool) struct Offers(Vec<Offer>);

/// What one transaction offers.
#[derive(Debug)]
struct Offer {
    net: Mites,
    needs: Needs,
    arrival: u64,
    /// Whether it is its account's first.
    is_first: bool,
}

impl Offer {
    fn paid(&self) -> Paid {
        let Needs { bytes, signature_units, openings, .. } = self.needs;
        Paid { net: self.net, bytes, signature_units, openings }
    }
}

impl Pool {
    /// What the executable transactions offer.
    pub(in crate::mempool) fn offers(&self) -> Offers {
        let mut offers = Vec::with_capacity(self.stats.executable);
        for queue in self.queues.values() {
            offers.extend(queue.executables().enumerate().map(|(at, entry)| Offer {
                net: entry.net(),
                needs: Needs::of(entry),
                arrival: entry.pooled.arrival,
                is_first: at == 0,
            }));
        }
        Offers(offers)
    }
}

impl Offers {
    /// See [`Prices`]. `levels` are the rates at which they begin, rising; what pays less than the first is in the first.
    pub(in crate::mempool) fn prices(&self, limits: &TemplateLimits, blocks: usize, levels: &[u64]) -> Prices {
        Prices { blocks: self.project(limits, blocks), levels: self.levels(levels) }
    }

    fn head(&self, at: usize) -> Option<Head<usize>> {
        self.0.get(at).map(|offer| Head::new(Rate::new(offer.net, offer.needs.bytes), offer.arrival, at))
    }

    fn project(&self, limits: &TemplateLimits, blocks: usize) -> Vec<ProjectedBlock> {
        let firsts = self.0.iter().enumerate().filter(|(_, offer)| offer.is_first);
        let mut heads: Vec<_> = firsts.filter_map(|(at, _)| self.head(at)).collect();
        let (mut limits, mut projected) = (*limits, Vec::new());
        while projected.len() < blocks {
            let mut taken = Vec::new();
            let (free, left) = fill(heads, &limits, |at, rest| {
                let offer = self.0.get(*at)?;
                let less = offer.needs.taken_from(rest)?;
                taken.push(offer.paid());
                let behind = at.saturating_add(1);
                let goes_on = self.0.get(behind).is_some_and(|offer| !offer.is_first);
                Some((less, self.head(behind).filter(|_| goes_on)))
            });
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
        for paid in self.0.iter().map(Offer::paid) {
            let at = begin.partition_point(|least| *least <= paid.rate()).saturating_sub(1);
            if let Some(level) = levels.get_mut(at) {
                level.transactions += 1;
                level.bytes += paid.bytes;
            }
        }
        levels
    }
}
