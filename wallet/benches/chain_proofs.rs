//! How large the proofs are that a wallet verifies, and how long that takes: of the work of chains of 10^3, 10^5 and 10^6 headers, and of
//! an account among as many.
//!
//! `cargo bench -p farthing-wallet --bench chain_proofs`
//!
//! The headers are made up: each is worked for at the development network's trivial target and commits to those before it, as R-FLY demands;
//! there are no blocks to them. The number of headers that a proof shows depends on the length of the chain, not on its target.

use std::{
    error::Error,
    hint::black_box,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use farthing::{
    Account, Address, Hash, Header, Height, Mites, Network, Params, RangeNode, RangePeaks,
    chain_proof::ChainProof,
    hash::sha256,
    header::commitment,
    wire::{AnchoredProof, v1},
};
use farthing_consensus::{AccountTree, Entry, HeaderContext};
use farthing_wallet::light::chain::Chain;
use prost::Message as _;

/// How often each thing is measured; the best counts.
const ROUNDS: usize = 9;
/// Headers that a wallet fetches one by one rather than a new proof, at most.
const STEP: usize = 500;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Headers {
    all: Vec<Header>,
    nodes: Vec<RangeNode>,
    peaks: RangePeaks,
}

impl Headers {
    fn new(params: &Params) -> Outcome<Self> {
        let mut headers = Self { all: Vec::new(), nodes: Vec::new(), peaks: RangePeaks::default() };
        headers.append(*HeaderContext::genesis(params).header())?;
        Ok(headers)
    }

    fn append(&mut self, header: Header) -> Outcome<()> {
        let work = header.bits.target()?.work().ok_or("a target without work")?;
        self.nodes.extend(self.peaks.append(RangeNode::leaf(&header, work))?);
        self.all.push(header);
        Ok(())
    }

    /// The next header; the accounts after its block have this root.
    fn next(&self, params: &Params, accounts: &Hash) -> Outcome<Header> {
        let last = self.all.last().ok_or("no header")?;
        let mut header = Header {
            previous: last.id(),
            commitment: commitment(accounts, &self.peaks.chain_root()?),
            tx_root: Hash::ZERO,
            time: last.time.saturating_add(params.target_spacing_ms),
            bits: params.genesis_bits,
            nonce: 0,
        };
        while !header.has_work() {
            header.nonce += 1;
        }
        Ok(header)
    }

    fn proof(&self, tip: Header, accounts: Hash) -> Outcome<ChainProof> {
        let at = |index: u64| usize::try_from(index).map_err(io::Error::other);
        let node = |position| Ok::<_, io::Error>(self.nodes[at(position)?]);
        let header = |height| Ok(self.all[at(height)?]);
        let count = u64::try_from(self.all.len())?;
        Ok(ChainProof::build(tip, accounts, count, node, header)?.ok_or("the nodes make no range")?)
    }
}

/// The shortest time of several.
fn best<T>(mut work: impl FnMut() -> Outcome<T>) -> Outcome<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        black_box(work()?);
        best = best.min(begin.elapsed());
    }
    Ok(best)
}

fn accounts(count: u64) -> Outcome<(AccountTree<()>, Address)> {
    let mut all: Vec<(Address, Entry<()>)> = (0..count)
        .map(|number| {
            let address = Address::from_bytes(sha256(&[&number.to_le_bytes()]));
            (address, Entry { account: Account::with_balance(Mites::new(number + 1)), meta: () })
        })
        .collect();
    let one = all[0].0;
    all.sort_by_key(|(address, _)| *address);
    Ok((AccountTree::from_sorted(all).map_err(|_| "not sorted")?, one))
}

fn measure(out: &mut impl io::Write, params: &Params, headers: &mut Headers, count: usize) -> Outcome<()> {
    while headers.all.len() < count {
        let header = headers.next(params, &Hash::ZERO)?;
        headers.append(header)?;
    }
    let (tree, address) = accounts(u64::try_from(count)?)?;
    let root = tree.root();
    let tip = headers.next(params, &root)?;
    let making = best(|| headers.proof(tip, root))?;
    let proof = headers.proof(tip, root)?;
    let bytes = v1::ChainProof::from(&proof).encode_to_vec();
    let verifying = best(|| {
        let proof = ChainProof::try_from(v1::ChainProof::decode(bytes.as_slice())?)?;
        Ok(Chain::of_proof(params, &proof)?)
    })?;
    let range = headers.peaks.root()?;
    let anchored = AnchoredProof {
        header: tip,
        height: Height::new(u64::try_from(count)?),
        chain_root: headers.peaks.chain_root()?,
        range,
        proof: tree.prove(&address),
    };
    let account_bytes = v1::AccountProof::from(&anchored).encode_to_vec();
    let account = best(|| {
        let proof = AnchoredProof::try_from(v1::AccountProof::decode(account_bytes.as_slice())?)?;
        Ok(proof.verify(&address)?)
    })?;
    writeln!(
        out,
        "| {count} | {} | {} | {} | {:.1} ms | {:.1} ms | {} | {:.0} us |",
        proof.shown.len(),
        proof.nodes.len(),
        bytes.len(),
        making.as_secs_f64() * 1e3,
        verifying.as_secs_f64() * 1e3,
        account_bytes.len(),
        account.as_secs_f64() * 1e6,
    )?;
    Ok(())
}

fn main() -> Outcome<()> {
    let params = Network::Dev.params();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| headers, accounts | shown | nodes | bytes | made in | read and verified in | account proof, bytes | verified in |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let mut headers = Headers::new(params)?;
    for count in [1_000, 100_000, 1_000_000] {
        measure(&mut out, params, &mut headers, count)?;
    }
    let (first, rest) = headers.all.split_at(STEP);
    let (last, below) = first.split_last().ok_or("no header")?;
    let mut known = Headers::new(params)?;
    for header in &below[1..] {
        known.append(*header)?;
    }
    let chain = Chain::of_proof(params, &known.proof(*last, Hash::ZERO)?)?;
    let step = best(|| {
        let mut chain = chain.clone();
        for header in &rest[..STEP] {
            chain.push(params, *header)?;
        }
        Ok(chain)
    })?;
    writeln!(out, "{STEP} headers since ({} bytes): {:.1} ms", STEP * 118, step.as_secs_f64() * 1e3)?;
    Ok(())
}
