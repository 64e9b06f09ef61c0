//! Measures what the store's index costs as the chain grows: resident memory, bytes on disk per transfer, speed.
//!
//! `cargo run --release -p farthing-node --example index_growth -- [transfers]`, a million unless said otherwise.
//! Blocks of 1,000 transfers with made-up signatures are committed as the chain commits them, effects included; nothing
//! is verified or executed, so that only log and index are measured.

use std::{error::Error, io::Write as _, path::Path, sync::Arc};

use farthing::{
    Account, Address, Block, BlockId, Coinbase, Hash, Header, Height, Mites, Output, Sender, Signature,
    SignedTransaction, Transaction, Work, hash::sha256, params::Network, tx::TransactionFields,
};
use farthing_node::{
    env::{Disk, Env, RealDisk},
    store::{AccountEffect, AccountMeta, BestChange, Commit, DiskStore, Effects, NewBlock, Store as _, StoreOptions},
};
use tokio_util::sync::CancellationToken;

const PER_BLOCK: u64 = 1_000;
/// Blocks between two lines.
const REPORT: u64 = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let transfers: u64 = std::env::args().nth(1).map_or(Ok(1_000_000), |text| text.parse())?;
    let directory = tempfile::tempdir()?;
    let params = Arc::new(Network::Dev.params().clone());
    let env = Env::system()?;
    let options = StoreOptions::default();
    let (store, recovered) = DiskStore::open(Arc::clone(&params), &env, directory.path(), options, &|_| {})?;
    say("transfers   seconds  RSS MiB  log B/transfer  index B/transfer")?;
    let stop = CancellationToken::new();
    std::thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let writer = scope.spawn(|| store.write_behind(&stop));
        let (mut previous, mut work) = (recovered.view.tip.id(), recovered.view.tip.total_work().get());
        let begun = env.clock().elapsed();
        for height in 1..=transfers.div_ceil(PER_BLOCK) {
            let commit = commit(previous, height, &mut work)?;
            previous = commit.blocks[0].id;
            store.commit(commit)?;
            if height % REPORT == 0 {
                let done = height * PER_BLOCK;
                let seconds = (env.clock().elapsed() - begun).as_secs_f64();
                report(directory.path(), done, seconds)?;
            }
        }
        stop.cancel();
        writer.join().map_err(|_| "the writer panicked")??;
        store.close()?;
        report(directory.path(), transfers, (env.clock().elapsed() - begun).as_secs_f64())
    })
}

fn commit(previous: BlockId, height: u64, work: &mut u128) -> Result<Commit, Box<dyn Error>> {
    let transactions = (0..PER_BLOCK).map(|n| transfer(height, n)).collect::<Result<Vec<_>, _>>()?;
    let height = Height::new(height);
    let header = Header {
        previous,
        commitment: Hash::ZERO,
        tx_root: Hash::ZERO,
        time: Network::Dev.params().genesis_time.saturating_add(height.get()),
        bits: Network::Dev.params().genesis_bits,
        nonce: 0,
    };
    let coinbase = Coinbase { height, to: Address::ZERO, amount: Mites::ZERO, tag: Vec::new() };
    let mut accounts: Vec<AccountEffect> = transactions.iter().zip(1..).flat_map(|(tx, at)| touched(tx, at)).collect();
    accounts.sort_by_key(|effect| effect.address);
    let block = Arc::new(Block { header, coinbase, transactions });
    let id = header.id();
    *work += 2;
    Ok(Commit {
        blocks: vec![NewBlock { block, id, height, total_work: Work::new(*work) }],
        effects: vec![(id, Effects { accounts })],
        best: Some(BestChange { undone: Vec::new(), applied: vec![id] }),
    })
}

fn transfer(height: u64, n: u64) -> Result<SignedTransaction, Box<dyn Error>> {
    let seed = [height.to_le_bytes(), n.to_le_bytes()].concat();
    let to = Address::from_bytes(sha256(&[b"to", &seed]));
    let transaction = Transaction::new(TransactionFields {
        sender: Sender::Address(Address::from_bytes(sha256(&[b"from", &seed]))),
        nonce: height,
        fee: Mites::new(50_000),
        valid_until: None,
        outputs: vec![Output { to, amount: Mites::new(1) }],
        memo: Vec::new(),
    })?;
    // As incompressible as a real one.
    let signature: Vec<u8> = (0..8_u8).flat_map(|part| sha256(&[&[part], &seed])).collect();
    Ok(SignedTransaction::new(transaction, Signature::from_bytes(&signature)?)?)
}

/// Sender and receiver, both known before.
fn touched(transaction: &SignedTransaction, position: u32) -> [AccountEffect; 2] {
    let before = Some((Account::with_balance(Mites::new(1)), AccountMeta::default()));
    let effect = |address| AccountEffect { address, before, positions: vec![position] };
    let transaction = transaction.transaction();
    [effect(transaction.sender_address()), effect(transaction.outputs()[0].to)]
}

fn report(directory: &Path, transfers: u64, seconds: f64) -> Result<(), Box<dyn Error>> {
    let per = |name| size(&directory.join(name)).map(|bytes| bytes / transfers.max(1));
    let (log, index, rss) = (per("blocks")?, per("index")?, resident_mib()?);
    say(&format!("{transfers:>9} {seconds:>9.1} {rss:>8} {log:>15} {index:>17}"))
}

fn say(line: &str) -> Result<(), Box<dyn Error>> {
    Ok(writeln!(std::io::stdout(), "{line}")?)
}

fn size(path: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in RealDisk.list(path)? {
        bytes += if entry.is_dir() { size(&path.join(entry.name()))? } else { entry.file_len() };
    }
    Ok(bytes)
}

#[expect(clippy::disallowed_methods, reason = "a file of the kernel, not of a disk")]
fn resident_mib() -> Result<u64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse::<u64>()? / 1024)
}
