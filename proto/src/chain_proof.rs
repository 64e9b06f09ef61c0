//! A sampled proof of the work below a header \[R-FLY\], after FlyClient (Bünz, Kiffer, Luu, Zamani: "FlyClient:
//! Super-Light Clients for Cryptocurrencies", IEEE S&P 2020). Its form, how it is made, and which headers it must show;
//! `farthing-consensus` checks it, as that takes the rules of difficulty.
//!
//! The samples are drawn by the work before the tip: as many from its first half as from the half of what is left, and so
//! on, down to the last headers, which are all shown. The tip's id chooses them, and the tip commits to the range.

use std::collections::{BTreeMap, BTreeSet};

use ruint::aliases::U256;

use crate::{
    BlockId, Hash, Header, RangeNode, Work,
    hash::sha256,
    merkle::split,
    range::{AncestryError, join, subtree},
};

/// The last headers before the tip, all of which are shown.
pub const TAIL_HEADERS: u64 = 64;
/// Samples from each halving of the work that is left.
pub const SAMPLES_PER_HALVING: u32 = 25;
/// What every draw of a sample begins with.
const SAMPLE_DOMAIN: &[u8] = b"farthing chain proof\0";

/// Headers of a chain, and the nodes that lead from them to what the tip commits to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainProof {
    /// The last header of the chain.
    pub tip: Header,
    /// Root over the accounts after its block: the half of its commitment that is not the chain.
    pub accounts_root: Hash,
    /// Headers before it, and so its height.
    pub count: u64,
    /// Headers by height, rising: genesis, those sampled, the last ones, and the parent of each.
    pub shown: Vec<(u64, Header)>,
    /// Nodes over all that is not shown, from left to right.
    pub nodes: Vec<RangeNode>,
}

/// Why shown headers and nodes are not a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SubsetError {
    /// Heights that do not rise, or stand beyond the range \[R-FLY-01\].
    #[error("header {height} of {count} stands out of order")]
    Heights {
        /// The height.
        height: u64,
        /// Headers in the range.
        count: u64,
    },
    /// Fewer or more nodes than the heights demand \[R-FLY-01\].
    #[error("{found} nodes beside the headers shown, which is not the shape of {count} headers")]
    Nodes {
        /// Nodes that were given.
        found: usize,
        /// Headers in the range.
        count: u64,
    },
    /// A node that cannot stand where it does.
    #[error(transparent)]
    Node(#[from] AncestryError),
}

impl SubsetError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Heights { .. } | Self::Nodes { .. } => "R-FLY-01",
            Self::Node(error) => error.rule(),
        }
    }
}

/// A part of a range that stands by itself in a proof: a header that is shown, or a node over some that are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// Height of its first header.
    pub first: u64,
    /// The node.
    pub node: RangeNode,
    /// Whether it is the leaf of a header that is shown.
    pub shown: bool,
}

/// Puts leaves by height and the nodes between them together. Returns the node over the whole range and its parts from left
/// to right.
///
/// # Errors
/// [`SubsetError`].
pub fn fold_subset(
    count: u64,
    leaves: &[(u64, RangeNode)],
    nodes: &[RangeNode],
) -> Result<(RangeNode, Vec<Part>), SubsetError> {
    let rising = leaves.iter().zip(leaves.iter().skip(1)).find(|((left, _), (right, _))| left >= right);
    let beyond = leaves.last().filter(|(height, _)| *height >= count);
    if let Some(&(height, _)) = rising.map(|(_, right)| right).or(beyond) {
        return Err(SubsetError::Heights { height, count });
    }
    let wrong = SubsetError::Nodes { found: nodes.len(), count };
    let mut folding = Folding { nodes: nodes.iter(), parts: Vec::new(), wrong };
    if count == 0 {
        return Err(wrong);
    }
    let root = folding.fold(0, count, leaves)?;
    if folding.nodes.next().is_some() {
        return Err(wrong);
    }
    Ok((root, folding.parts))
}

struct Folding<'a> {
    nodes: std::slice::Iter<'a, RangeNode>,
    parts: Vec<Part>,
    wrong: SubsetError,
}

impl Folding<'_> {
    /// At most 64 deep: each level halves the range.
    fn fold(&mut self, first: u64, end: u64, leaves: &[(u64, RangeNode)]) -> Result<RangeNode, SubsetError> {
        let count = end.saturating_sub(first);
        let (node, shown) = match leaves {
            [] => (*self.nodes.next().ok_or(self.wrong)?, false),
            [(_, leaf)] if count == 1 => (*leaf, true),
            _ => {
                let middle = first.saturating_add(split(count));
                let (left, right) = leaves.split_at(leaves.partition_point(|(height, _)| *height < middle));
                let left = self.fold(first, middle, left)?;
                let right = self.fold(middle, end, right)?;
                return Ok(join(&left, &right)?);
            }
        };
        if node.count != count {
            return Err(AncestryError::RangeCount { found: node.count, expected: count }.into());
        }
        self.parts.push(Part { first, node, shown });
        Ok(node)
    }
}

/// Height of the first of the last headers, all of which are shown.
#[must_use]
pub const fn tail_start(count: u64) -> u64 {
    count.saturating_sub(TAIL_HEADERS)
}

/// The samples: places in the work before the tip, which a header covers whose predecessors have at most so much work
/// and which with its own has more \[R-FLY-04\].
///
/// `total` is the work before the tip, `tail` that of the last headers, which need no samples.
#[must_use]
pub fn sampled_places(tip: &BlockId, total: Work, tail: Work, samples_per_halving: u32) -> BTreeSet<u128> {
    let mut places = BTreeSet::new();
    for halving in 0..128_u32 {
        let left = total.get().checked_shr(halving).unwrap_or(0);
        let length = left.saturating_sub(left >> 1);
        if left <= tail.get() || length == 0 {
            break;
        }
        let start = total.get().saturating_sub(left);
        for sample in 0..samples_per_halving {
            let draw = sha256(&[SAMPLE_DOMAIN, tip.as_bytes(), &halving.to_le_bytes(), &sample.to_le_bytes()]);
            // Even to one part in 2^128.
            let place = U256::from_be_bytes(draw).checked_rem(U256::from(length)).unwrap_or(U256::ZERO);
            places.insert(start.saturating_add(place.saturating_to()));
        }
    }
    places
}

/// Heights that a proof must show, and no others \[R-FLY-04\]: genesis, the last headers and the one before them, what
/// covers a sample, and its parent.
pub fn needed_heights(count: u64, sampled: impl IntoIterator<Item = u64>) -> BTreeSet<u64> {
    let mut needed: BTreeSet<u64> = (tail_start(count).saturating_sub(1)..count).collect();
    if count > 0 {
        needed.insert(0);
    }
    for height in sampled {
        needed.extend([height.saturating_sub(1), height]);
    }
    needed
}

/// Nodes of a range by their position in the append-only file, each asked for once.
struct Nodes<F> {
    read: F,
    known: BTreeMap<u64, RangeNode>,
}

impl<E, F: FnMut(u64) -> Result<RangeNode, E>> Nodes<F> {
    /// The node over `first..end`, which must be a part of the range's shape or begin with genesis.
    fn over(&mut self, first: u64, end: u64) -> Result<Option<RangeNode>, E> {
        let Self { read, known } = self;
        subtree(first, end, &mut |position| match known.get(&position) {
            Some(node) => Ok(*node),
            None => {
                let node = read(position)?;
                known.insert(position, node);
                Ok(node)
            }
        })
    }

    /// Height of the header that covers a place in the work of `first..end`.
    fn covering(&mut self, mut first: u64, mut end: u64, mut place: u128) -> Result<Option<u64>, E> {
        while end.saturating_sub(first) > 1 {
            let middle = first.saturating_add(split(end.saturating_sub(first)));
            let Some(left) = self.over(first, middle)? else { return Ok(None) };
            match place.checked_sub(left.work.get()) {
                Some(rest) => (first, place) = (middle, rest),
                None => end = middle,
            }
        }
        Ok(Some(first))
    }

    /// The nodes over all of `first..end` but the heights `shown`, from left to right.
    fn beside(&mut self, first: u64, end: u64, shown: &[u64], out: &mut Vec<RangeNode>) -> Result<Option<()>, E> {
        if shown.is_empty() {
            let node = self.over(first, end)?;
            return Ok(node.map(|node| out.push(node)));
        }
        let count = end.saturating_sub(first);
        if count <= 1 {
            return Ok(Some(()));
        }
        let middle = first.saturating_add(split(count));
        let (left, right) = shown.split_at(shown.partition_point(|height| *height < middle));
        if self.beside(first, middle, left, out)?.is_none() {
            return Ok(None);
        }
        self.beside(middle, end, right, out)
    }
}

impl ChainProof {
    /// Makes the proof of a chain from its tip, nodes by their position in the append-only file, and headers by height.
    ///
    /// # Errors
    /// Whatever `node` and `header` fail with; `Ok(None)` if the nodes do not make a range.
    pub fn build<E>(
        tip: Header,
        accounts_root: Hash,
        count: u64,
        node: impl FnMut(u64) -> Result<RangeNode, E>,
        header: impl FnMut(u64) -> Result<Header, E>,
    ) -> Result<Option<Self>, E> {
        Self::build_with(SAMPLES_PER_HALVING, tip, accounts_root, count, node, header)
    }

    /// As [`ChainProof::build`] with another number of samples. Only for measuring: no reader takes such a proof.
    ///
    /// # Errors
    /// As [`ChainProof::build`].
    pub fn build_with<E>(
        samples_per_halving: u32,
        tip: Header,
        accounts_root: Hash,
        count: u64,
        node: impl FnMut(u64) -> Result<RangeNode, E>,
        mut header: impl FnMut(u64) -> Result<Header, E>,
    ) -> Result<Option<Self>, E> {
        let mut nodes = Nodes { read: node, known: BTreeMap::new() };
        let mut sampled = BTreeSet::new();
        if count > 0 {
            let Some(root) = nodes.over(0, count)? else { return Ok(None) };
            let before_tail = match tail_start(count) {
                0 => Some(Work::ZERO),
                start => nodes.over(0, start)?.map(|node| node.work),
            };
            let tail = before_tail.and_then(|before| root.work.get().checked_sub(before.get()));
            let Some(tail) = tail.map(Work::new) else { return Ok(None) };
            for place in sampled_places(&tip.id(), root.work, tail, samples_per_halving) {
                match nodes.covering(0, count, place)? {
                    Some(height) => sampled.insert(height),
                    None => return Ok(None),
                };
            }
        }
        let heights: Vec<u64> = needed_heights(count, sampled).into_iter().collect();
        let mut beside = Vec::new();
        if count > 0 && nodes.beside(0, count, &heights, &mut beside)?.is_none() {
            return Ok(None);
        }
        let shown = heights.into_iter().map(|height| Ok((height, header(height)?))).collect::<Result<_, E>>()?;
        Ok(Some(Self { tip, accounts_root, count, shown, nodes: beside }))
    }
}
