//! How large the proofs are that a wallet verifies, and how long that takes: of the work of chains of 10^3, 10^5 and 10^6 headers, of
//! an account among as many, and receipts of payments so many blocks deep in them.
//!
//! `cargo bench -p farthing-wallet --bench chain_proofs`
//!
//! The headers are made up: each is worked for at the development network's trivial target and commits to those before it, as R-FLY demands;
//! there are no blocks to them. The number of headers that a proof shows depends on the length of the chain, not on its target.

use std::{
    error::Error,
    hint::black_box,
    io::{self, Write as _},
    time::{Duration, Instant, SystemTime},
};

use farthing::{
    Account, Address, Hash, Header, Height, Mites, Network, Output, Params, RangeNode, RangePeaks, Sender,
    SignedTransaction, Transaction, TransactionProof,
    chain_proof::ChainProof,
    hash::sha256,
    header::commitment,
    merkle::{tx_path, tx_root},
    range::AncestryProof,
    transaction_proof::Anchor,
    tx::TransactionFields,
    wire::{AnchoredProof, v1},
};
use farthing_consensus::{AccountTree, Entry, HeaderContext};
use farthing_wallet::{
    keystore::{FileSigner, Signer as _, dev},
    light::chain::Chain,
    receipt::{Receipt, gapless_from, recipients},
};
use prost::Message as _;

/// How often each thing is measured; the best counts.
const ROUNDS: usize = 9;
/// Headers that a wallet fetches one by one rather than a new proof, at most.
const STEP: usize = 500;
/// Blocks above the payments of which receipts are made.
const DEPTHS: [usize; 3] = [6, 1_000, 100_000];
/// Transactions in each block, the coinbase not counted: what a path leads through.
const TRANSACTIONS: usize = 1_000;

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Headers {
    all: Vec<Header>,
    nodes: Vec<RangeNode>,
    peaks: RangePeaks,
    /// Root over the transactions of every block but genesis.
    tx_root: Hash,
}

impl Headers {
    fn new(params: &Params, tx_root: Hash) -> Outcome<Self> {
        let mut headers = Self { all: Vec::new(), nodes: Vec::new(), peaks: RangePeaks::default(), tx_root };
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
            tx_root: self.tx_root,
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

/// A transfer, and the leaves of a block that has it.
fn payment(params: &Params) -> Outcome<(SignedTransaction, Vec<Hash>)> {
    let alice = FileSigner::new(dev::key(&"alice".parse()?).ok_or("no such key")?);
    let transaction = Transaction::new(TransactionFields {
        sender: Sender::Key(alice.public().clone()),
        nonce: 0,
        fee: Mites::new(70_000),
        valid_until: None,
        outputs: vec![Output { to: Address::from_bytes([5; 32]), amount: Mites::new(5) }],
        memo: b"rent".to_vec(),
    })?;
    let signed = alice.sign(transaction, params.genesis_id())?;
    let mut leaves: Vec<Hash> =
        (0..=TRANSACTIONS).map(|number| Hash::from_bytes(sha256(&[&number.to_le_bytes()]))).collect();
    leaves[TRANSACTIONS / 2] = Hash::from_bytes(signed.wire_id().to_bytes());
    Ok((signed, leaves))
}

/// The receipt of a payment with so many blocks above it.
fn receipt(
    params: &Params,
    headers: &Headers,
    (signed, leaves): &(SignedTransaction, Vec<Hash>),
    account: &AnchoredProof,
    (tip, accounts_root): (Header, Hash),
    depth: usize,
) -> Outcome<Receipt> {
    let (count, height) = (u64::try_from(headers.all.len())?, headers.all.len() - depth);
    let node = |position| Ok::<_, io::Error>(headers.nodes[usize::try_from(position).map_err(io::Error::other)?]);
    let ancestry = AncestryProof::build(u64::try_from(height)?, count, node)?.ok_or("no way up")?;
    let transfer = TransactionProof {
        signed: signed.clone(),
        header: headers.all[height],
        path: tx_path(leaves, TRANSACTIONS / 2).ok_or("no such leaf")?,
        anchor: Anchor::Ancestor { tip, accounts_root, ancestry },
    };
    let shown_from = usize::try_from(gapless_from(count))?;
    let links = headers.all.get(height + 1..shown_from).unwrap_or_default().to_vec();
    let accounts = recipients(signed).iter().map(|_| account.clone()).collect();
    Ok(Receipt::new(*params.genesis_id(), transfer, headers.proof(tip, accounts_root)?, links, accounts))
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

fn measure(
    out: &mut impl io::Write,
    params: &Params,
    headers: &mut Headers,
    paid: &(SignedTransaction, Vec<Hash>),
    count: usize,
) -> Outcome<String> {
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
    let payee = AnchoredProof { proof: tree.prove(&recipients(&paid.0)[0]), ..anchored };
    let file = tempfile::NamedTempFile::new()?;
    let mut lines = String::new();
    for depth in DEPTHS.into_iter().filter(|depth| *depth < count) {
        let text = receipt(params, headers, paid, &payee, (tip, root), depth)?.to_text();
        std::fs::write(file.path(), &text)?;
        let proven = best(|| Ok(Receipt::read(file.path())?.verify(params, SystemTime::now())?))?;
        lines += &format!("| {count} | {depth} | {} | {:.1} ms |\n", text.len(), proven.as_secs_f64() * 1e3);
    }
    Ok(lines)
}

fn main() -> Outcome<()> {
    let params = Network::Dev.params();
    let mut out = io::stdout().lock();
    writeln!(
        out,
        "| headers, accounts | shown | nodes | bytes | made in | read and verified in | account proof, bytes | verified in |"
    )?;
    writeln!(out, "|---|---|---|---|---|---|---|---|")?;
    let paid = payment(params)?;
    let mut headers = Headers::new(params, tx_root(&paid.1))?;
    let mut receipts = String::new();
    for count in [1_000, 100_000, 1_000_000] {
        receipts += &measure(&mut out, params, &mut headers, &paid, count)?;
    }
    writeln!(
        out,
        "\n| headers | blocks above the payment | receipt, bytes | read and verified in |\n|---|---|---|---|\n{receipts}"
    )?;
    let (first, rest) = headers.all.split_at(STEP);
    let (last, below) = first.split_last().ok_or("no header")?;
    let mut known = Headers::new(params, headers.tx_root)?;
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
