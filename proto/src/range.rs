//! The range over all headers of a chain: a mountain range whose nodes sum work and bracket times \[R-RNG\].
//!
//! Shape of RFC 6962; node format after ZIP-221, where a node's hash covers its children's sums, so that work
//! cannot be forged into one block. Ancestry takes O(log n).

use crate::{
    Hash, Header, TimeMs, Work,
    codec::{Canonical, DecodeError, Reader},
    hash::{sha256, tag},
    merkle::{Side, path_shape},
};

/// Size of a node's canonical bytes.
pub const RANGE_NODE_BYTES: usize = 72;

/// A node of the range: what is committed of the headers below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RangeNode {
    /// A leaf's block id, or the hash over both children.
    pub commit: Hash,
    /// Headers below.
    pub count: u64,
    /// Their work.
    pub work: Work,
    /// Time of the first.
    pub first_time: TimeMs,
    /// Time of the last.
    pub last_time: TimeMs,
}

/// Sums that no chain can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the header range's count or work overflows")]
pub struct RangeOverflow;

impl RangeNode {
    /// The leaf of a header whose bits are valid \[R-RNG-01\].
    #[must_use]
    pub fn leaf(header: &Header, work: Work) -> Self {
        Self {
            commit: Hash::from_bytes(header.id().to_bytes()),
            count: 1,
            work,
            first_time: header.time,
            last_time: header.time,
        }
    }

    /// The parent of two nodes \[R-RNG-02\].
    ///
    /// # Errors
    /// [`RangeOverflow`].
    pub fn parent(left: &Self, right: &Self) -> Result<Self, RangeOverflow> {
        let commit = sha256(&[&[tag::RANGE_NODE], &left.to_canonical(), &right.to_canonical()]);
        Ok(Self {
            commit: Hash::from_bytes(commit),
            count: left.count.checked_add(right.count).ok_or(RangeOverflow)?,
            work: left.work.checked_add(right.work).ok_or(RangeOverflow)?,
            first_time: left.first_time,
            last_time: right.last_time,
        })
    }

    /// The chain root that commits to this node as the whole range \[R-RNG-03\].
    #[must_use]
    pub fn chain_root(&self) -> Hash {
        Hash::from_bytes(sha256(&[&[tag::RANGE_ROOT], &self.to_canonical()]))
    }
}

impl Canonical for RangeNode {
    fn encode(&self, out: &mut Vec<u8>) {
        self.commit.encode(out);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.work.get().to_le_bytes());
        self.first_time.encode(out);
        self.last_time.encode(out);
    }

    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            commit: Hash::decode(reader)?,
            count: reader.u64("count")?,
            work: Work::new(reader.u128("work")?),
            first_time: TimeMs::decode(reader)?,
            last_time: TimeMs::decode(reader)?,
        })
    }
}

/// The peaks of a range: all that is needed to extend it and to know its root. At most 64 nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RangePeaks {
    peaks: Vec<RangeNode>,
}

impl RangePeaks {
    /// Peaks read back from a store, the largest first.
    ///
    /// None if their counts are not strictly falling powers of two.
    #[must_use]
    pub fn from_peaks(peaks: Vec<RangeNode>) -> Option<Self> {
        let powers = peaks.iter().all(|peak| peak.count.is_power_of_two());
        let falling = peaks.iter().zip(peaks.iter().skip(1)).all(|(left, right)| left.count > right.count);
        (powers && falling).then_some(Self { peaks })
    }

    /// The peaks, the largest first.
    #[must_use]
    pub fn peaks(&self) -> &[RangeNode] {
        &self.peaks
    }

    /// Headers in the range.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.peaks.iter().fold(0, |sum: u64, peak| sum.saturating_add(peak.count))
    }

    /// Appends a leaf. Returns the nodes that this makes, in the order of an append-only file: the leaf, then every
    /// parent that it completes.
    ///
    /// # Errors
    /// [`RangeOverflow`].
    pub fn append(&mut self, leaf: RangeNode) -> Result<Vec<RangeNode>, RangeOverflow> {
        let mut made = vec![leaf];
        let mut node = leaf;
        while let Some(left) = self.peaks.last().copied().filter(|peak| peak.count == node.count) {
            node = RangeNode::parent(&left, &node)?;
            self.peaks.pop();
            made.push(node);
        }
        self.peaks.push(node);
        Ok(made)
    }

    /// The node over the whole range; none if it is empty.
    ///
    /// # Errors
    /// [`RangeOverflow`].
    pub fn root(&self) -> Result<Option<RangeNode>, RangeOverflow> {
        let mut peaks = self.peaks.iter().rev();
        let Some(last) = peaks.next() else { return Ok(None) };
        peaks.try_fold(*last, |right, left| RangeNode::parent(left, &right)).map(Some)
    }

    /// What the next header commits to of the chain before it: zeros before genesis \[R-RNG-03\].
    ///
    /// # Errors
    /// [`RangeOverflow`].
    pub fn chain_root(&self) -> Result<Hash, RangeOverflow> {
        Ok(self.root()?.map_or(Hash::ZERO, |root| root.chain_root()))
    }
}

/// Position of leaf `index` in the append-only file of all nodes.
#[must_use]
pub const fn leaf_position(index: u64) -> u64 {
    // Before leaf n stand n leaves and one parent for each pair completed: n - popcount(n).
    index.saturating_mul(2).saturating_sub(index.count_ones() as u64)
}

/// Nodes that a range of `count` headers has in the append-only file.
#[must_use]
pub const fn node_count(count: u64) -> u64 {
    leaf_position(count)
}

/// Position of the perfect subtree that begins at leaf `first` and has `leaves` (a power of two) leaves.
#[must_use]
pub const fn subtree_position(first: u64, leaves: u64) -> u64 {
    // A subtree's root is written directly behind its last leaf and the smaller parents on that leaf's right edge.
    leaf_position(first.saturating_add(leaves).saturating_sub(1)).saturating_add(leaves.trailing_zeros() as u64)
}

/// Positions of the peaks of a range of `count` headers, the largest first.
#[must_use]
pub fn peak_positions(count: u64) -> Vec<u64> {
    let mut first = 0_u64;
    let bits = (0..64_u32).rev().filter(|bit| count >> bit & 1 == 1);
    bits.map(|bit| {
        let position = subtree_position(first, 1 << bit);
        first = first.saturating_add(1 << bit);
        position
    })
    .collect()
}

/// Proof that a header stands at one height of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AncestryProof {
    /// Height of the header.
    pub index: u64,
    /// Headers in the range.
    pub count: u64,
    /// Nodes beside the path, the leaf's sibling first.
    pub siblings: Vec<RangeNode>,
}

/// Why a proof does not show that a header stands at a height of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AncestryError {
    /// No such height, or another number of siblings than height and count demand \[R-RNG-04\].
    #[error("the path has {siblings} nodes, which is not the shape of header {index} of {count}")]
    PathShape {
        /// Height of the header.
        index: u64,
        /// Headers in the range.
        count: u64,
        /// Nodes of the path.
        siblings: usize,
    },
    /// A subtree that claims another count than its place has \[R-RNG-05\].
    #[error("a node over {expected} headers claims {found}")]
    RangeCount {
        /// What it claims.
        found: u64,
        /// What its place has.
        expected: u64,
    },
    /// Times that do not grow from left to right \[R-RNG-06\].
    #[error("headers from time {first} follow others up to time {last}")]
    RangeOrder {
        /// Where the right part begins.
        first: TimeMs,
        /// Where the left part ends.
        last: TimeMs,
    },
    /// Sums that no chain can reach \[R-RNG-06\].
    #[error(transparent)]
    RangeOverflow(#[from] RangeOverflow),
    /// The proof leads to another chain root \[R-RNG-07\].
    #[error("the path leads to chain root {found}, expected {expected}")]
    WrongChainRoot {
        /// Where it leads.
        found: Hash,
        /// Where it should lead.
        expected: Hash,
    },
}

impl AncestryError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::PathShape { .. } => "R-RNG-04",
            Self::RangeCount { .. } => "R-RNG-05",
            Self::RangeOrder { .. } | Self::RangeOverflow(_) => "R-RNG-06",
            Self::WrongChainRoot { .. } => "R-RNG-07",
        }
    }
}

/// Joins two nodes that a prover sent, and so may have made up.
pub(crate) fn join(left: &RangeNode, right: &RangeNode) -> Result<RangeNode, AncestryError> {
    for node in [left, right] {
        if node.first_time > node.last_time {
            return Err(AncestryError::RangeOrder { first: node.last_time, last: node.first_time });
        }
    }
    if left.last_time >= right.first_time {
        return Err(AncestryError::RangeOrder { first: right.first_time, last: left.last_time });
    }
    Ok(RangeNode::parent(left, right)?)
}

impl AncestryProof {
    /// Checks that the header of `leaf` stands at this proof's height in the chain that `chain_root` commits to.
    ///
    /// # Errors
    /// The first rule broken; see [`AncestryError`].
    pub fn verify(&self, leaf: &RangeNode, chain_root: &Hash) -> Result<(), AncestryError> {
        let found = self.root(leaf)?.chain_root();
        if found == *chain_root { Ok(()) } else { Err(AncestryError::WrongChainRoot { found, expected: *chain_root }) }
    }

    /// The chain root that this proof leads to from `leaf`; none if it breaks a rule on the way.
    #[must_use]
    pub fn chain_root(&self, leaf: &RangeNode) -> Option<Hash> {
        self.root(leaf).ok().map(|root| root.chain_root())
    }

    /// The node over the whole range that this proof leads to from `leaf`.
    ///
    /// # Errors
    /// R-RNG-04 to R-RNG-06; see [`AncestryError`].
    pub fn root(&self, leaf: &RangeNode) -> Result<RangeNode, AncestryError> {
        let Self { index, count, siblings } = self;
        let wrong_shape = AncestryError::PathShape { index: *index, count: *count, siblings: siblings.len() };
        let shape = path_shape(*index, *count).filter(|shape| shape.len() == siblings.len()).ok_or(wrong_shape)?;
        if leaf.count != 1 {
            return Err(AncestryError::RangeCount { found: leaf.count, expected: 1 });
        }
        shape.iter().zip(siblings).try_fold(*leaf, |node, (step, sibling)| {
            if sibling.count != step.leaves {
                return Err(AncestryError::RangeCount { found: sibling.count, expected: step.leaves });
            }
            match step.side {
                Side::Left => join(sibling, &node),
                Side::Right => join(&node, sibling),
            }
        })
    }

    /// Builds the proof for leaf `index` of `count` from nodes by their position in the append-only file.
    ///
    /// # Errors
    /// Whatever `node` fails with; `Ok(None)` if there is no such leaf or sums overflow.
    pub fn build<E>(
        index: u64,
        count: u64,
        mut node: impl FnMut(u64) -> Result<RangeNode, E>,
    ) -> Result<Option<Self>, E> {
        let Some(shape) = path_shape(index, count) else { return Ok(None) };
        let mut siblings = Vec::with_capacity(shape.len());
        // Bounds of the subtree that the path has reached so far.
        let (mut first, mut end) = (index, index.saturating_add(1));
        for step in shape {
            let (sibling_first, sibling_end) = match step.side {
                Side::Left => (first.saturating_sub(step.leaves), first),
                Side::Right => (end, end.saturating_add(step.leaves)),
            };
            match subtree(sibling_first, sibling_end, &mut node)? {
                Some(sibling) => siblings.push(sibling),
                None => return Ok(None),
            }
            (first, end) = (first.min(sibling_first), end.max(sibling_end));
        }
        Ok(Some(Self { index, count, siblings }))
    }
}

/// The node over leaves `first..end`, a perfect subtree or the ragged right edge of the range.
pub(crate) fn subtree<E>(
    first: u64,
    end: u64,
    node: &mut impl FnMut(u64) -> Result<RangeNode, E>,
) -> Result<Option<RangeNode>, E> {
    let count = end.saturating_sub(first);
    let mut from = first;
    let mut peaks = Vec::new();
    for bit in (0..64_u32).rev().filter(|bit| count >> bit & 1 == 1) {
        peaks.push(node(subtree_position(from, 1 << bit))?);
        from = from.saturating_add(1 << bit);
    }
    Ok(RangePeaks { peaks }.root().ok().flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf(n: u64) -> RangeNode {
        let commit = Hash::from_bytes(sha256(&[&n.to_le_bytes()]));
        RangeNode {
            commit,
            count: 1,
            work: Work::new(u128::from(n) + 5),
            first_time: TimeMs::new(n * 10),
            last_time: TimeMs::new(n * 10),
        }
    }

    fn naive(first: u64, end: u64) -> RangeNode {
        if end - first == 1 {
            return leaf(first);
        }
        let middle = first + crate::merkle::split(end - first);
        RangeNode::parent(&naive(first, middle), &naive(middle, end)).unwrap()
    }

    #[test]
    fn roots_positions_and_proofs_agree_with_the_recursive_definition() {
        let mut peaks = RangePeaks::default();
        let mut file = Vec::new();
        assert_eq!(peaks.chain_root(), Ok(Hash::ZERO));
        for n in 0..70 {
            assert_eq!(leaf_position(n), file.len() as u64);
            file.extend(peaks.append(leaf(n)).unwrap());
            let count = n + 1;
            let root = naive(0, count);
            assert_eq!(peaks.root(), Ok(Some(root)));
            assert_eq!(node_count(count), file.len() as u64);
            let read: Vec<_> = peak_positions(count).into_iter().map(|at| file[at as usize]).collect();
            assert_eq!(RangePeaks::from_peaks(read), Some(peaks.clone()));
            for index in 0..count {
                let proof = AncestryProof::build(index, count, |at| Ok::<_, ()>(file[at as usize])).unwrap().unwrap();
                assert_eq!(proof.chain_root(&leaf(index)), Some(root.chain_root()), "{index} of {count}");
                assert_ne!(proof.chain_root(&leaf(index + 1)), Some(root.chain_root()));
            }
        }
    }

    #[test]
    fn a_subtree_that_claims_another_count_proves_nothing() {
        let mut peaks = RangePeaks::default();
        let file: Vec<_> = (0..9).flat_map(|n| peaks.append(leaf(n)).unwrap()).collect();
        let mut proof = AncestryProof::build(3, 9, |at| Ok::<_, ()>(file[at as usize])).unwrap().unwrap();
        proof.siblings[1].count += 1;
        assert_eq!(proof.chain_root(&leaf(3)), None);
    }
}
