//! Trees in the shape of RFC 6962 and the root over a block's transactions \[R-MRK\].
//!
//! The left subtree holds the largest power of two of leaves that is smaller than all; so index and count alone
//! fix the shape of a path, and a verifier never takes the prover's word for it.

use crate::{
    Hash,
    hash::{sha256, tag},
};

/// On which side of a path its sibling stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The sibling is the left child.
    Left,
    /// The sibling is the right child.
    Right,
}

/// One level of a path: where the sibling stands and how many leaves are below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Where the sibling stands.
    pub side: Side,
    /// Leaves below the sibling.
    pub leaves: u64,
}

/// The shape of the path from leaf `index` of `count` up to the root, the leaf's own level first.
///
/// None if there is no such leaf. At most 64 steps.
#[must_use]
pub fn path_shape(index: u64, count: u64) -> Option<Vec<Step>> {
    if index >= count {
        return None;
    }
    let (mut index, mut count) = (index, count);
    let mut steps = Vec::new();
    while count > 1 {
        let left = split(count);
        if index < left {
            steps.push(Step { side: Side::Right, leaves: count.checked_sub(left)? });
            count = left;
        } else {
            steps.push(Step { side: Side::Left, leaves: left });
            index = index.checked_sub(left)?;
            count = count.checked_sub(left)?;
        }
    }
    steps.reverse();
    Some(steps)
}

/// The largest power of two smaller than `count`, for counts of two and more.
#[must_use]
pub const fn split(count: u64) -> u64 {
    match count.saturating_sub(1).checked_ilog2() {
        Some(bit) => 1 << bit,
        None => 0,
    }
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Hash::from_bytes(sha256(&[&[tag::TX_NODE], left.as_bytes(), right.as_bytes()]))
}

fn with_count(count: usize, root: &Hash) -> Hash {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    Hash::from_bytes(sha256(&[&[tag::TX_ROOT], &count.to_le_bytes(), root.as_bytes()]))
}

/// Root over leaves: `SHA-256(0x12 ‖ count ‖ tree root)` \[R-MRK-02\]. There is always a coinbase, so never none.
#[must_use]
pub fn tx_root(leaves: &[Hash]) -> Hash {
    with_count(leaves.len(), &levels(leaves).pop().and_then(|top| top.first().copied()).unwrap_or_default())
}

/// All levels of the tree, leaves first. Pairing neighbours and carrying an odd last node up gives RFC 6962's shape.
fn levels(leaves: &[Hash]) -> Vec<Vec<Hash>> {
    let mut levels = vec![leaves.to_vec()];
    while let Some(level) = levels.last().filter(|level| level.len() > 1) {
        let next = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => node(left, right),
                [single] => *single,
                _ => Hash::ZERO,
            })
            .collect();
        levels.push(next);
    }
    levels
}

/// Proof that a leaf stands at one place of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxPath {
    /// Which leaf; 0 is the coinbase.
    pub index: u32,
    /// Leaves in the block, the coinbase included.
    pub count: u32,
    /// Hashes beside the path, the leaf's sibling first.
    pub siblings: Vec<Hash>,
}

/// Why a path does not show that a leaf stands in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TxPathError {
    /// No such leaf, or another number of siblings than index and count demand \[R-MRK-03\].
    #[error("the path has {siblings} hashes, which is not the shape of leaf {index} of {count}")]
    PathShape {
        /// Which leaf.
        index: u32,
        /// Leaves in the block.
        count: u32,
        /// Hashes of the path.
        siblings: usize,
    },
    /// The path leads to another root \[R-MRK-04\].
    #[error("the path leads to tx_root {found}, expected {expected}")]
    WrongTxRoot {
        /// Where it leads.
        found: Hash,
        /// Where it should lead.
        expected: Hash,
    },
}

impl TxPathError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::PathShape { .. } => "R-MRK-03",
            Self::WrongTxRoot { .. } => "R-MRK-04",
        }
    }
}

/// The path of leaf `index`; none if there is no such leaf.
#[must_use]
pub fn tx_path(leaves: &[Hash], index: usize) -> Option<TxPath> {
    if index >= leaves.len() {
        return None;
    }
    let mut at = index;
    let mut siblings = Vec::new();
    for level in levels(leaves) {
        siblings.extend(level.get(at ^ 1).filter(|_| level.len() > 1));
        at >>= 1;
    }
    Some(TxPath { index: u32::try_from(index).ok()?, count: u32::try_from(leaves.len()).ok()?, siblings })
}

impl TxPath {
    /// Checks that `leaf` stands at this place of the block whose header has `tx_root`.
    ///
    /// # Errors
    /// If the path has another shape or leads to another root.
    pub fn verify(&self, leaf: &Hash, tx_root: &Hash) -> Result<(), TxPathError> {
        let Self { index, count, siblings } = self;
        let shape = TxPathError::PathShape { index: *index, count: *count, siblings: siblings.len() };
        let found = self.root(leaf).ok_or(shape)?;
        if found == *tx_root { Ok(()) } else { Err(TxPathError::WrongTxRoot { found, expected: *tx_root }) }
    }

    /// The root that this path leads to from `leaf` \[R-MRK-03\]; none if the path has not the shape that index and
    /// count demand.
    #[must_use]
    pub fn root(&self, leaf: &Hash) -> Option<Hash> {
        let shape = path_shape(self.index.into(), self.count.into())?;
        if shape.len() != self.siblings.len() {
            return None;
        }
        let top = shape.iter().zip(&self.siblings).fold(*leaf, |hash, (step, sibling)| match step.side {
            Side::Left => node(sibling, &hash),
            Side::Right => node(&hash, sibling),
        });
        Some(with_count(usize::try_from(self.count).ok()?, &top))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn leaves(count: u8) -> Vec<Hash> {
        (0..count).map(|n| Hash::from_bytes([n; 32])).collect()
    }

    /// RFC 6962 section 2.1, word for word.
    fn naive(leaves: &[Hash]) -> Hash {
        if let [leaf] = leaves {
            return *leaf;
        }
        let (left, right) = leaves.split_at(usize::try_from(split(leaves.len() as u64)).unwrap());
        node(&naive(left), &naive(right))
    }

    #[test]
    fn every_path_of_every_small_tree_leads_to_the_naive_root() {
        for count in 1..=40 {
            let leaves = leaves(count);
            let root = with_count(leaves.len(), &naive(&leaves));
            assert_eq!(tx_root(&leaves), root);
            for (index, leaf) in leaves.iter().enumerate() {
                assert_eq!(tx_path(&leaves, index).unwrap().root(leaf), Some(root), "{index} of {count}");
            }
        }
    }

    proptest! {
        /// Merkle duplication (CVE-2012-2459).
        #[test]
        fn no_change_of_the_leaves_keeps_the_root(count in 1_u8..40, at: prop::sample::Index, kind in 0..4) {
            let before = leaves(count);
            let at = at.index(before.len());
            let mut after = before.clone();
            match kind {
                0 => after.insert(at, before[at]),
                1 => { after.extend_from_within(at..); }
                2 => { after.remove(at); }
                _ => after[at] = Hash::from_bytes([0xee; 32]),
            }
            prop_assert_ne!(tx_root(&before), tx_root(&after));
        }

        #[test]
        fn a_changed_path_leads_elsewhere(count in 2_u8..40, at: prop::sample::Index, which: prop::sample::Index) {
            let leaves = leaves(count);
            let at = at.index(leaves.len());
            let good = tx_path(&leaves, at).unwrap();
            let mut path = good.clone();
            let which = which.index(path.siblings.len());
            path.siblings[which] = Hash::from_bytes([0xee; 32]);
            prop_assert_ne!(path.root(&leaves[at]), Some(tx_root(&leaves)));
            let mut moved = good;
            moved.index = (moved.index + 1) % u32::from(count);
            prop_assert_ne!(moved.root(&leaves[at]), Some(tx_root(&leaves)));
        }
    }
}
