//! Checks a sampled proof of a chain's work \[R-FLY\]: how much was done below a header that a stranger shows.
//!
//! What a chain with too little work cannot do is in `SPEC.md`, section 8: a branch of which at most half was worked for
//! passes with a probability of at most 4^-25.

use std::collections::BTreeMap;

use farthing::{
    Header, Height, Params, RangeNode, TimeMs, Work,
    chain_proof::{
        ChainProof, Part, SAMPLES_PER_HALVING, SubsetError, fold_subset, needed_heights, sampled_places, tail_start,
    },
    header::commitment,
};

use crate::{
    difficulty::work_bounds,
    headers::{HeaderContext, check_header, check_header_alone},
};

mod error;
#[cfg(test)]
mod tests;

pub use error::ChainProofError;

/// What a proof shows of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProvenChain {
    /// The tip with its height and the work of all headers up to it.
    pub tip: HeaderContext,
    /// The node over all headers before it; none before genesis.
    pub range: Option<RangeNode>,
    /// Headers that were looked at, the tip's not counted.
    pub headers_checked: usize,
}

/// Checks a proof of the chain below its tip.
///
/// Of several chains the one with most work is the network's; whether the tip's time is ahead of the clock \[R-TIM-02\] is
/// the caller's to check.
///
/// # Errors
/// The first rule broken; see [`ChainProofError`].
pub fn verify_chain_proof(params: &Params, proof: &ChainProof) -> Result<ProvenChain, ChainProofError> {
    verify_with(params, proof, SAMPLES_PER_HALVING)
}

pub(crate) fn verify_with(
    params: &Params,
    proof: &ChainProof,
    samples_per_halving: u32,
) -> Result<ProvenChain, ChainProofError> {
    if proof.count == 0 {
        return at_genesis(params, proof);
    }
    let leaves = check_alone(params, proof)?;
    let (root, parts) = fold_subset(proof.count, &leaves, &proof.nodes)?;
    check_commitment(proof, Some(&root))?;
    check_parts(params, &parts)?;
    let before = work_before(&parts);
    check_shown(proof, &root, &before, samples_per_halving)?;
    let shown: BTreeMap<u64, &Header> = proof.shown.iter().map(|(height, header)| (*height, header)).collect();
    let context = |height: u64, work: Work| {
        let header = shown.get(&height)?;
        Some(HeaderContext::from_stored(**header, Height::new(height), work))
    };
    for (height, header) in &proof.shown {
        let parent = height.checked_sub(1).and_then(|below| context(below, *before.get(height)?));
        if let Some(parent) = parent {
            check_child(params, &parent, header)?;
        }
    }
    let parent = proof.count.checked_sub(1).and_then(|last| context(last, root.work));
    let parent = parent.ok_or(ChainProofError::NotShown { height: proof.count.saturating_sub(1) })?;
    let tip = check_child(params, &parent, &proof.tip)?;
    Ok(ProvenChain { tip, range: Some(root), headers_checked: proof.shown.len() })
}

/// A chain of genesis alone.
fn at_genesis(params: &Params, proof: &ChainProof) -> Result<ProvenChain, ChainProofError> {
    let tip = HeaderContext::genesis(params);
    if proof.tip != *tip.header() {
        return Err(ChainProofError::OtherGenesis { found: proof.tip.id() });
    }
    if !proof.shown.is_empty() || !proof.nodes.is_empty() {
        return Err(SubsetError::Nodes { found: proof.nodes.len(), count: 0 }.into());
    }
    check_commitment(proof, None)?;
    Ok(ProvenChain { tip, range: None, headers_checked: 0 })
}

/// R-FLY-03, and of R-FLY-05 what a header shows without its parent. Returns the leaves.
fn check_alone(params: &Params, proof: &ChainProof) -> Result<Vec<(u64, RangeNode)>, ChainProofError> {
    // First of all, so that samples cannot be chosen for nothing.
    check_header_alone(params, &proof.tip).map_err(|error| ChainProofError::header(proof.count, error))?;
    let mut leaves = Vec::with_capacity(proof.shown.len());
    for (height, header) in &proof.shown {
        if *height == 0 {
            if header.id() != *params.genesis_id() {
                return Err(ChainProofError::OtherGenesis { found: header.id() });
            }
        } else {
            check_header_alone(params, header).map_err(|error| ChainProofError::header(*height, error))?;
        }
        // Targets are at least 2^160 by now, so there is always a number for their work.
        let work = header.bits.target().ok().and_then(|target| target.work()).unwrap_or(Work::ZERO);
        leaves.push((*height, RangeNode::leaf(header, work)));
    }
    Ok(leaves)
}

/// R-FLY-02.
fn check_commitment(proof: &ChainProof, root: Option<&RangeNode>) -> Result<(), ChainProofError> {
    let chain_root = root.map_or(farthing::Hash::ZERO, RangeNode::chain_root);
    let (found, expected) = (commitment(&proof.accounts_root, &chain_root), proof.tip.commitment);
    if found == expected { Ok(()) } else { Err(ChainProofError::WrongCommitment { found, expected }) }
}

/// R-FLY-06: no part claims more or less work than its heights and times allow. Of a single header, shown or not, the
/// work is exactly known, as the part before it says when its parent was made.
fn check_parts(params: &Params, parts: &[Part]) -> Result<(), ChainProofError> {
    let mut parent_time: Option<TimeMs> = None;
    for Part { first, node, .. } in parts {
        if let Some(parent_time) = parent_time {
            let bounds = work_bounds(params, Height::new(*first), parent_time, node);
            if !bounds.contains(&node.work.get()) {
                return Err(ChainProofError::ImpossibleWork { height: *first, count: node.count, work: node.work });
            }
        }
        parent_time = Some(node.last_time);
    }
    Ok(())
}

/// Work before each shown header, and behind the last of all parts.
fn work_before(parts: &[Part]) -> BTreeMap<u64, Work> {
    let mut sum = Work::ZERO;
    let mut before = BTreeMap::new();
    for part in parts {
        if part.shown {
            before.insert(part.first, sum);
        }
        // The root was folded from these without overflow.
        sum = sum.checked_add(part.node.work).unwrap_or(sum);
    }
    before
}

/// R-FLY-04: what is shown is what the tip's id asks for, and nothing else.
fn check_shown(
    proof: &ChainProof,
    root: &RangeNode,
    before: &BTreeMap<u64, Work>,
    samples_per_halving: u32,
) -> Result<(), ChainProofError> {
    let start = tail_start(proof.count);
    let before_tail = before.get(&start).ok_or(ChainProofError::NotShown { height: start })?;
    let tail = Work::new(root.work.get().saturating_sub(before_tail.get()));
    let shown: BTreeMap<u64, &Header> = proof.shown.iter().map(|(height, header)| (*height, header)).collect();
    let mut by_work: Vec<(u128, u64, u128)> = Vec::with_capacity(shown.len());
    for (height, before) in before {
        let work = shown.get(height).and_then(|header| header.bits.target().ok()?.work()).unwrap_or(Work::ZERO);
        by_work.push((before.get(), *height, before.get().saturating_add(work.get())));
    }
    let mut sampled = Vec::new();
    for place in sampled_places(&proof.tip.id(), root.work, tail, samples_per_halving) {
        // The last one that begins at or below the place.
        let at = by_work.partition_point(|(from, _, _)| *from <= place).checked_sub(1);
        let covering = at.and_then(|at| by_work.get(at)).filter(|(_, _, to)| place < *to);
        let (_, height, _) = covering.ok_or(ChainProofError::SampleMissing { place })?;
        sampled.push(*height);
    }
    let needed = needed_heights(proof.count, sampled);
    if let Some(height) = needed.iter().find(|height| !shown.contains_key(height)) {
        return Err(ChainProofError::NotShown { height: *height });
    }
    match shown.keys().find(|height| !needed.contains(height)) {
        Some(height) => Err(ChainProofError::NotAsked { height: *height }),
        None => Ok(()),
    }
}

/// The rest of R-FLY-05: what a parent demands. The clock is the caller's to look at.
fn check_child(params: &Params, parent: &HeaderContext, header: &Header) -> Result<HeaderContext, ChainProofError> {
    let height = parent.height().next().get();
    check_header(params, parent, header, header.time).map_err(|error| ChainProofError::header(height, error))
}
