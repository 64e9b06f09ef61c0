//! When a checkpoint is due, and which ones stay. Pure.

use std::{collections::BTreeSet, time::Duration};

use super::CheckpointName;

/// How often checkpoints are made and how many are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// One is due after so many blocks, and at each height that so many blocks divide: nodes then have the same ones,
    /// so that whoever fetches one can go on with another node.
    pub every_blocks: u64,
    /// One is due after so much time, if there is a new block.
    pub every: Duration,
    /// But never sooner than this after the last attempt, so that a node that catches up, or one with a failing disk,
    /// does other things too.
    pub pause: Duration,
    /// One at least so deep is kept, for when a long branch is left.
    pub deep_blocks: u64,
    /// Bytes of the disk that a checkpoint leaves free.
    pub reserve_bytes: u64,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            every_blocks: 1_000,
            every: Duration::from_secs(30 * 60),
            pause: Duration::from_secs(60),
            deep_blocks: 1_000,
            reserve_bytes: 256 << 20,
        }
    }
}

/// What happened since the last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Since {
    /// Blocks between it and the tip; of another branch of the same height, 1.
    pub(super) blocks: u64,
    /// Time since it was made, or since the start.
    pub(super) made: Duration,
    /// Time since the last attempt, if there was one since the start.
    pub(super) tried: Option<Duration>,
}

impl Policy {
    /// Whether a checkpoint is due.
    pub(super) fn is_due(&self, since: Since) -> bool {
        let rested = since.tried.is_none_or(|tried| tried >= self.pause);
        let enough = since.blocks >= self.every_blocks || (since.blocks > 0 && since.made >= self.every);
        rested && enough
    }

    /// Whether other nodes make one at this height too.
    pub(in crate::store) fn is_common(&self, height: u64) -> bool {
        height > 0 && height.is_multiple_of(self.every_blocks.max(1))
    }

    /// Which checkpoints stay once `written` is durable: it and the one before it, the newest that is deep, and the
    /// oldest of those between, which will be the deep one; and the same two of those that other nodes have too. What stands above `written` is of a branch that was left.
    pub(super) fn keep(&self, there: &[CheckpointName], written: CheckpointName) -> BTreeSet<CheckpointName> {
        let height = |name: &CheckpointName| name.height().get();
        let mut below: Vec<_> = there.iter().copied().filter(|name| height(name) < height(&written)).collect();
        below.sort_unstable();
        let (deep, shallow): (Vec<_>, Vec<_>) =
            below.iter().copied().partition(|name| height(name).saturating_add(self.deep_blocks) <= height(&written));
        let common = |name: &&CheckpointName| self.is_common(height(name));
        let (common_deep, common_shallow) = (deep.iter().rfind(common), shallow.iter().find(common));
        let kept = [
            Some(written),
            below.last().copied(),
            deep.last().copied(),
            shallow.first().copied(),
            common_deep.copied(),
            common_shallow.copied(),
        ];
        kept.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use farthing::{BlockId, Height};

    use super::*;

    fn name(height: u64, branch: u8) -> CheckpointName {
        CheckpointName::new(Height::new(height), &BlockId::from_bytes([branch; 32]))
    }

    fn since(blocks: u64, made: u64, tried: Option<u64>) -> Since {
        Since { blocks, made: Duration::from_secs(made), tried: tried.map(Duration::from_secs) }
    }

    #[test]
    fn one_is_due_after_enough_blocks_or_enough_time_but_not_without_a_block_nor_without_rest() {
        let policy = Policy::default();
        for (state, due) in [
            (since(999, 60, None), false),
            (since(1_000, 0, None), true),
            (since(1_000, 10, Some(10)), false),
            (since(1_000, 60, Some(60)), true),
            (since(0, 1_000_000, Some(1_000_000)), false),
            (since(1, 1_799, Some(1_799)), false),
            (since(1, 1_800, Some(1_800)), true),
            // After a failure the next attempt waits for the pause, not for the next thousand.
            (since(1_001, 5_000, Some(59)), false),
            (since(1_001, 5_000, Some(61)), true),
        ] {
            assert_eq!(policy.is_due(state), due, "{state:?}");
        }
    }

    /// However the distances fall, a deep one comes to be and stays, at most twice as deep as it needs to be and a step
    /// more, and there are never more than six.
    #[test]
    fn a_deep_one_ripens_whatever_the_distance_between_checkpoints() {
        let policy = Policy::default();
        for step in [1, 7, 10, 333, 999, 1_000, 1_001, 5_000] {
            let mut there: Vec<CheckpointName> = Vec::new();
            for height in (step..50_000).step_by(step as usize) {
                let written = name(height, 1);
                there.push(written);
                there = policy.keep(&there, written).into_iter().collect();
                assert!(there.len() <= 6, "{there:?}");
                let common = there.iter().filter(|kept| policy.is_common(kept.height().get()));
                let deep = common.map(|kept| height - kept.height().get()).filter(|deep| *deep >= 1_000).min();
                // Every height that divides is written when each one is.
                assert!(step != 1 || deep.is_some() == (height >= 2_000), "{there:?}");
                assert_eq!(there.last(), Some(&written));
                assert_eq!(there.iter().any(|kept| kept.height().get() == height - step), height > step);
                let deepest = there.iter().map(|kept| height - kept.height().get()).filter(|deep| *deep >= 1_000).min();
                assert_eq!(deepest.is_some(), height >= step + 1_000, "height {height} step {step}: {there:?}");
                assert!(deepest.is_none_or(|deep| deep < 2_000 + 2 * step), "height {height} step {step}: {there:?}");
            }
        }
    }

    #[test]
    fn those_of_a_branch_that_was_left_go_and_the_one_just_written_never_does() {
        let policy = Policy::default();
        let written = name(5_000, 2);
        let there = [name(3_000, 1), name(4_500, 1), name(5_000, 1), written, name(6_000, 1)];
        let kept = policy.keep(&there, written);
        assert_eq!(kept, BTreeSet::from([name(3_000, 1), name(4_500, 1), written]));
    }

    #[test]
    fn the_only_one_stays() {
        assert_eq!(Policy::default().keep(&[], name(0, 1)), BTreeSet::from([name(0, 1)]));
    }
}
