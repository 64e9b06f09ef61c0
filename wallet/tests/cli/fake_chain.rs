//! A chain of headers that were worked for, each of which commits to those before it, and the proofs of it that a node serves.

use std::sync::Arc;

use farthing::{
    Hash, Header, Height, Params, RangeNode, RangePeaks, TimeMs, Work,
    chain_proof::ChainProof,
    hash::sha256,
    header::commitment,
    range::{AncestryProof, node_count, peak_positions},
    transaction_proof::Anchor,
};
use farthing_consensus::{HeaderContext, required_bits};

/// Headers from genesis on.
#[derive(Clone)]
pub(crate) struct FakeChain {
    params: Arc<Params>,
    headers: Vec<Header>,
    /// Root over the accounts after each block.
    accounts: Vec<Hash>,
    /// Nodes of the range over all headers, as in a node's file.
    nodes: Vec<RangeNode>,
}

impl FakeChain {
    /// Genesis alone, on a network whose work is trivial.
    pub(crate) fn new(params: Arc<Params>) -> Self {
        let genesis = *HeaderContext::genesis(&params).header();
        Self::from(params, genesis)
    }

    /// Any first header alone.
    pub(crate) fn from(params: Arc<Params>, genesis: Header) -> Self {
        let mut chain = Self { params, headers: Vec::new(), accounts: Vec::new(), nodes: Vec::new() };
        chain.append(genesis, Hash::ZERO);
        chain
    }

    /// The tip's height.
    pub(crate) fn height(&self) -> u64 {
        self.headers.len() as u64 - 1
    }

    /// A header.
    pub(crate) fn header(&self, height: u64) -> &Header {
        &self.headers[usize::try_from(height).unwrap()]
    }

    /// Work from genesis up to a header.
    pub(crate) fn work(&self, height: u64) -> Work {
        let own = self.header(height).bits.target().unwrap().work().unwrap();
        Work::new(self.range(height).map_or(0, |range| range.work.get()) + own.get())
    }

    /// The node over the headers before a height.
    pub(crate) fn range(&self, height: u64) -> Option<RangeNode> {
        self.peaks(height).root().unwrap()
    }

    fn peaks(&self, count: u64) -> RangePeaks {
        let node = |position: u64| self.nodes[usize::try_from(position).unwrap()];
        RangePeaks::from_peaks(peak_positions(count).into_iter().map(node).collect()).unwrap()
    }

    fn append(&mut self, header: Header, accounts: Hash) {
        let work = header.bits.target().unwrap().work().unwrap();
        let mut peaks = self.peaks(self.headers.len() as u64);
        self.nodes.extend(peaks.append(RangeNode::leaf(&header, work)).unwrap());
        self.headers.push(header);
        self.accounts.push(accounts);
    }

    /// A block after which the accounts have this root. `mark` makes branches differ.
    pub(crate) fn grow(&mut self, accounts: Hash, mark: u64) {
        self.grow_over(accounts, Hash::from_bytes(sha256(&[&mark.to_le_bytes()])));
    }

    /// A block with this root over its transactions.
    pub(crate) fn grow_over(&mut self, accounts: Hash, tx_root: Hash) {
        let last = self.header(self.height());
        let chain_root = self.range(self.height() + 1).unwrap().chain_root();
        let mut header = Header {
            previous: last.id(),
            commitment: commitment(&accounts, &chain_root),
            tx_root,
            time: TimeMs::new(last.time.get() + self.params.target_spacing_ms),
            bits: required_bits(
                &self.params,
                &HeaderContext::from_stored(*last, Height::new(self.height()), Work::ZERO),
            ),
            nonce: 0,
        };
        while !header.has_work() {
            header.nonce += 1;
        }
        self.append(header, accounts);
    }

    /// Commits from now on to another header at a height than the one that the blocks above were built on: one with this root over
    /// its transactions.
    #[allow(dead_code, reason = "the tests of the light client, which use this file too, prove no transfers")]
    pub(crate) fn slip_in(&mut self, height: u64, tx_root: Hash) -> Header {
        let mut slipped = Header { tx_root, ..*self.header(height) };
        while !slipped.has_work() {
            slipped.nonce += 1;
        }
        let mut peaks = RangePeaks::default();
        self.nodes.clear();
        for (at, genuine) in (0..).zip(&self.headers) {
            let header = if at == height { &slipped } else { genuine };
            let work = header.bits.target().unwrap().work().unwrap();
            self.nodes.extend(peaks.append(RangeNode::leaf(header, work)).unwrap());
        }
        slipped
    }

    /// Puts a header that was never worked for in the place of one, and so of those above it; a few are built on it.
    pub(crate) fn forge(&mut self, height: u64) {
        let accounts = self.accounts[usize::try_from(height).unwrap()];
        let blocks = self.height() - height;
        self.truncate(height - 1);
        self.grow(accounts, 0);
        let mut forged = *self.header(height);
        while forged.has_work() {
            forged.nonce += 1;
        }
        self.truncate(height - 1);
        self.append(forged, accounts);
        (0..blocks).for_each(|_| self.grow(accounts, 0));
    }

    /// Gives up the blocks above a height.
    pub(crate) fn truncate(&mut self, height: u64) {
        let kept = usize::try_from(height + 1).unwrap();
        self.headers.truncate(kept);
        self.accounts.truncate(kept);
        self.nodes.truncate(usize::try_from(node_count(height + 1)).unwrap());
    }

    /// How the header at a height stands below the one at another: from the one to the other.
    #[allow(dead_code, reason = "the tests of the light client, which use this file too, prove no transfers")]
    pub(crate) fn anchor(&self, height: u64, tip: u64) -> Anchor {
        let accounts_root = self.accounts[usize::try_from(tip).unwrap()];
        if height == tip {
            return Anchor::Tip { accounts_root, range: self.range(tip).unwrap() };
        }
        let node = |at: u64| Ok::<_, ()>(self.nodes[usize::try_from(at).unwrap()]);
        let ancestry = AncestryProof::build(height, tip, node).unwrap().unwrap();
        Anchor::Ancestor { tip: *self.header(tip), accounts_root, ancestry }
    }

    /// The sampled proof of the work below a header.
    pub(crate) fn proof(&self, height: u64, samples_per_halving: u32) -> ChainProof {
        let node = |at: u64| Ok::<_, ()>(self.nodes[usize::try_from(at).unwrap()]);
        let header = |height: u64| Ok(*self.header(height));
        let accounts = self.accounts[usize::try_from(height).unwrap()];
        let tip = *self.header(height);
        ChainProof::build_with(samples_per_halving, tip, accounts, height, node, header).unwrap().unwrap()
    }
}
