//! The node's figures on this machine. A program, not a timed test; run each part in release:
//!
//! ```text
//! cargo bench -p farthing-node --bench figures -- admit 20000      transfers admitted by SubmitTransactions and on streams
//! cargo bench -p farthing-node --bench figures -- connect 100      blocks of 1,000 transfers connected, bytes on disk
//! cargo bench -p farthing-node --bench figures -- checkpoint-sync 2000  a fresh node in step, both ways
//! cargo bench -p farthing-node --bench figures -- accounts 1000000 start-up and memory with so many accounts
//! cargo bench -p farthing-node --bench figures -- sync 2000 500   blocks of so many transfers from 3 peers: 1 stalls, 1 lies
//! ```
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people that measures this machine")]
#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken should end the program")]

mod ledger;
mod sync;

use std::{
    fs,
    num::NonZeroUsize,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use farthing::{
    Address, Mites, Output, Work, codec::Canonical as _, wire::v1::ledger_service_client::LedgerServiceClient,
};
use farthing_node::{
    config::{Config, SyncMode},
    env::Env,
    node::Node,
    store::checkpoint::Policy,
};

use ledger::{
    PAYERS, alice, block, fund, params, payers,
    program::{resident_mib, spawn, terminate},
    submit::{batches, streams},
    take, transfers,
};

/// Transfers in a block of the `connect` part.
const TRANSFERS_PER_BLOCK: usize = 1_000;

async fn start(dir: &Path) -> Node {
    let config = Config::on_loopback(Arc::new(params().clone()), dir.to_owned());
    Node::start(config, Env::system().unwrap()).await.unwrap()
}

async fn stop(node: Node) {
    node.tasks().stop();
    node.wait().await.unwrap();
}

async fn admit(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let mut payers = payers();
    fund(&node, &payers).await;
    println!("signing {count} transfers of {PAYERS} accounts ...");
    let signed = transfers(&mut payers, count, 0);
    let bytes: Vec<prost::bytes::Bytes> = signed.iter().map(|transfer| transfer.to_canonical().into()).collect();
    let url = format!("http://{}", node.rpc_address());
    let client = LedgerServiceClient::connect(url).await.unwrap();
    let mut parts = bytes.chunks(count.div_ceil(3));
    for batch in [100, 1_000] {
        let rate = batches(&client, parts.next().unwrap_or_default(), batch).await;
        println!("batches of {batch:4}: {rate:8.0} transfers/s admitted, verified and synced to the journal");
    }
    let rate = streams(&client, parts.next().unwrap_or_default()).await;
    println!("8 streams:       {rate:8.0} transfers/s admitted, verified and synced to the journal");
    println!("memory: {} MiB resident", resident_mib("self"));
    stop(node).await;
    println!("compare: openssl speed rsa2048 (verify/s of one core), in the same minute");
}

async fn connect(blocks: usize) {
    let (source_dir, target_dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (source, target) = (start(source_dir.path()).await, start(target_dir.path()).await);
    let mut payers = payers();
    fund(&source, &payers).await;
    let funding = source.chain().block(source.chain().view().tip.id()).await.unwrap().unwrap();
    take(&target, (*funding).clone()).await;
    let before = disk_usage(target_dir.path());
    let mut spent = Duration::ZERO;
    for n in 0..blocks {
        let next = block(&source.chain().view(), transfers(&mut payers, TRANSFERS_PER_BLOCK, 0));
        take(&source, next.clone()).await;
        let begin = Instant::now();
        take(&target, next).await;
        spent += begin.elapsed();
        if (n + 1) % 100 == 0 {
            println!(
                "{:7} transfers: {} MiB resident (two nodes)",
                (n + 1) * TRANSFERS_PER_BLOCK,
                resident_mib("self")
            );
        }
    }
    let count = (blocks * TRANSFERS_PER_BLOCK) as f64;
    let rate = blocks as f64 / spent.as_secs_f64();
    println!("{rate:.1} blocks/s of {TRANSFERS_PER_BLOCK} transfers, signatures verified, synced");
    println!("{:.0} transfers/s", rate * TRANSFERS_PER_BLOCK as f64);
    stop(source).await;
    stop(target).await;
    let (mut child, seconds) = spawn(target_dir.path());
    println!("started again: serving after {seconds:.2} s, {} MiB resident", resident_mib(&child.id().to_string()));
    terminate(&mut child);
    for (part, bytes) in disk_usage(target_dir.path()) {
        let old = before.iter().find(|(name, _)| *name == part).map_or(0, |(_, bytes)| *bytes);
        println!("{part:<12} {:6.0} bytes per transfer", bytes.saturating_sub(old) as f64 / count);
    }
}

/// Blocks of 100 transfers on one node; the time until a fresh one is in step, by executing all and from a checkpoint.
async fn checkpoint_sync(blocks: usize) {
    const DEPTH: u64 = 1_000;
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::on_loopback(Arc::new(params().clone()), dir.path().to_owned());
    config.checkpoints =
        Policy { every_blocks: DEPTH / 10, deep_blocks: DEPTH, pause: Duration::ZERO, ..Policy::default() };
    let source = Node::start(config, Env::system().unwrap()).await.unwrap();
    let mut payers = payers();
    fund(&source, &payers).await;
    for _ in 1..blocks {
        take(&source, block(&source.chain().view(), transfers(&mut payers, 100, 0))).await;
    }
    let tip = source.chain().view().tip;
    let height = tip.height();
    println!("{height} blocks of 100 transfers, {} bytes on disk", total(dir.path()));
    for (name, sync) in
        [("full", SyncMode::Full), ("checkpoint", SyncMode::Checkpoint { depth: DEPTH, minimum_work: Work::ZERO })]
    {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config::on_loopback(Arc::new(params().clone()), dir.path().to_owned());
        (config.sync, config.no_discovery) = (sync, true);
        config.connect = vec![source.p2p_address().to_string().parse().unwrap()];
        let begin = Instant::now();
        let node = Node::start(config, Env::system().unwrap()).await.unwrap();
        let mut views = node.chain().watch();
        views.wait_for(|view| view.tip.id() == tip.id()).await.unwrap();
        let seconds = begin.elapsed().as_secs_f64();
        let lowest = node.chain().lowest_body();
        println!(
            "{name:<11} in step after {seconds:6.2} s, lowest block {lowest}, {} bytes on disk",
            total(dir.path())
        );
        stop(node).await;
    }
    stop(source).await;
}

fn total(dir: &Path) -> u64 {
    disk_usage(dir).iter().map(|(_, bytes)| bytes).sum()
}

async fn accounts(count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let node = start(dir.path()).await;
    let mut alice = alice();
    let most = usize::try_from(params().max_openings).unwrap();
    let mut opened = 0_usize;
    while opened < count {
        let mut transfers = Vec::new();
        let mut here = 0;
        while here + 64 <= most && opened < count {
            let output = |n: usize| {
                let digest = farthing::hash::sha256(&[b"account", &n.to_le_bytes()]);
                Output { to: Address::from_bytes(digest), amount: Mites::new(1) }
            };
            let outputs: Vec<_> = (opened..opened + 64).map(output).collect();
            transfers.push(alice.pay(outputs, Mites::new(64 * params().opening_cost.get() + 1_000_000), Vec::new()));
            (opened, here) = (opened + 64, here + 64);
        }
        take(&node, block(&node.chain().view(), transfers)).await;
    }
    let tip = node.chain().view().tip;
    println!("{opened} accounts opened in {} blocks", tip.height());
    let begin = Instant::now();
    stop(node).await;
    println!("clean stop: {:.2} s", begin.elapsed().as_secs_f64());
    for round in ["first start", "second start"] {
        let (mut child, seconds) = spawn(dir.path());
        println!("{round}: serving after {seconds:.2} s, {} MiB resident", resident_mib(&child.id().to_string()));
        terminate(&mut child);
    }
    let empty = tempfile::tempdir().unwrap();
    let (mut child, seconds) = spawn(empty.path());
    println!("empty node: serving after {seconds:.2} s, {} MiB resident", resident_mib(&child.id().to_string()));
    terminate(&mut child);
}

/// Bytes below each entry of a data directory.
fn disk_usage(dir: &Path) -> Vec<(String, u64)> {
    fn below(path: &Path) -> u64 {
        let meta = fs::metadata(path).unwrap();
        // A running node has a socket there too.
        if !meta.is_dir() {
            return meta.len();
        }
        fs::read_dir(path).unwrap().map(|entry| below(&entry.unwrap().path())).sum()
    }
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), below(&path))).collect()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let nth = |at: usize, default: usize| {
        arguments.get(at).map_or(default, |text| text.parse::<NonZeroUsize>().expect("a number").get())
    };
    let number = |default| nth(1, default);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match arguments.first().map(String::as_str) {
        Some("admit") => runtime.block_on(admit(number(20_000))),
        Some("connect") => runtime.block_on(connect(number(100))),
        Some("checkpoint-sync") => runtime.block_on(checkpoint_sync(number(2_000))),
        Some("accounts") => runtime.block_on(accounts(number(1_000_000))),
        Some("sync") => runtime.block_on(sync::sync(nth(1, 2_000), nth(2, 500))),
        _ => println!(
            "say what to measure: admit [TRANSFERS], connect [BLOCKS], checkpoint-sync [BLOCKS], accounts [ACCOUNTS] or \
             sync [BLOCKS] [TRANSFERS]"
        ),
    }
}
