//! When to mine: always, or once enough transfers wait; and how long to hesitate where work is trivial.

use std::{num::NonZeroU32, time::Duration};

use farthing::{Params, TimeMs, params::Retarget};

use super::Reward;
use crate::{env::Random, mempool::PoolStats};

/// Longest hesitation, in mean ones: one in 22,000 is longer and cut.
const LONGEST: f64 = 10.0;

/// When this node mines by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Who is paid.
    pub reward: Reward,
    /// Mine only once so many transfers wait; 0: always.
    pub when: u32,
    /// Take at most so many transfers into a block.
    pub max: Option<NonZeroU32>,
    /// Mine fewer than `when` once a transfer has waited so long.
    pub wait: Option<Duration>,
}

/// Whether to mine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ready {
    /// Now.
    Now,
    /// Once the pool has changed.
    OnChange,
    /// After this time, or once the pool has changed.
    After(Duration),
}

impl Policy {
    /// Whether to mine with the pool as it is.
    pub(super) fn ready(&self, stats: &PoolStats, now: TimeMs) -> Ready {
        if stats.executable >= usize::try_from(self.when).unwrap_or(usize::MAX) {
            return Ready::Now;
        }
        let (Some(wait), Some(oldest)) = (self.wait, stats.oldest) else { return Ready::OnChange };
        let left = wait.saturating_sub(Duration::from_millis(now.since(oldest)));
        if left.is_zero() { Ready::Now } else { Ready::After(left) }
    }

    /// Most transfers of a block.
    pub(super) fn count(&self) -> usize {
        self.max.map_or(usize::MAX, |max| usize::try_from(max.get()).unwrap_or(usize::MAX))
    }
}

/// How long to wait before a block is made where finding it takes no time: exponentially distributed, so that nodes
/// which begin together seldom end together \[P-08\]. None where finding it is work enough.
pub(crate) fn hesitation(params: &Params, random: &(dyn Random + 'static)) -> Option<Duration> {
    if params.retarget != Retarget::None {
        return None;
    }
    let factor = -(1.0 - random.fraction()).ln();
    Some(Duration::from_millis(params.target_spacing_ms).mul_f64(factor.clamp(0.0, LONGEST)))
}

#[cfg(test)]
mod tests {
    use farthing::{Address, Network};

    use super::*;
    use crate::env::SeededRandom;

    fn policy(when: u32, wait: Option<u64>) -> Policy {
        let reward = Reward { to: Address::ZERO, tag: Vec::new() };
        Policy { reward, when, max: None, wait: wait.map(Duration::from_secs) }
    }

    fn waiting(executable: usize, since: u64) -> PoolStats {
        PoolStats { executable, oldest: (executable > 0).then(|| TimeMs::new(since)), ..PoolStats::default() }
    }

    #[test]
    fn mining_begins_at_the_number_asked_for_or_when_one_has_waited_long_enough() {
        let now = TimeMs::new(10_000);
        assert_eq!(policy(0, None).ready(&waiting(0, 0), now), Ready::Now);
        assert_eq!(policy(4, None).ready(&waiting(3, 0), now), Ready::OnChange);
        assert_eq!(policy(4, None).ready(&waiting(4, 0), now), Ready::Now);
        assert_eq!(policy(4, Some(5)).ready(&waiting(0, 0), now), Ready::OnChange);
        assert_eq!(policy(4, Some(5)).ready(&waiting(1, 8_000), now), Ready::After(Duration::from_secs(3)));
        assert_eq!(policy(4, Some(5)).ready(&waiting(1, 5_000), now), Ready::Now);
    }

    #[test]
    fn hesitations_have_the_networks_spacing_as_their_mean_and_are_spread() {
        let random = SeededRandom::new(3);
        let params = Network::Dev.params();
        let waits: Vec<f64> = (0..4_000).map(|_| hesitation(params, &random).unwrap().as_secs_f64()).collect();
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let mean = waits.iter().sum::<f64>() / waits.len() as f64;
        assert!((1.9..2.1).contains(&mean), "mean {mean} s");
        // Of an exponential distribution 63 % are below the mean.
        let below = waits.iter().filter(|wait| **wait < 2.0).count();
        assert!((2_400..2_650).contains(&below), "{below} of 4000 below the mean");
        assert_eq!(hesitation(Network::Main.params(), &random), None);
    }
}
