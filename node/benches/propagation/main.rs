//! How fast blocks travel over a line of nodes, and what that costs on each hop. A program, not a timed test:
//!
//! ```text
//! cargo bench -p farthing-node --bench propagation -- [empty|full] [BLOCKS] [MBIT/S] [DELAY MS]
//! ```
//!
//! `full` blocks have 10,000 transfers, 4 MiB in all, that every node has in its pool. Each block is sent with and
//! without compact relay. Without a speed the links are the machine's loopback. All nodes share this machine, so what
//! they compute side by side is slower than on machines of their own.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people that measures this machine")]
#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken should end the program")]

#[path = "../ledger/mod.rs"]
mod ledger;
#[path = "../../../tests/harness/link.rs"]
#[expect(dead_code, reason = "shared with the end-to-end tests, whose links also change, hold and count")]
mod link;
mod net;

use std::{
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
};

use farthing::{Height, SignedTransaction};
use farthing_node::{config::Config, env::Env, mempool::Source, node::Node};

use ledger::{Payer, block, fund, params, payers, take, transfers};
use net::{Hop, OnlyTo};

/// Hops of the line.
const HOPS: usize = 3;
/// Transfers of a full block, as many as there are signature units, and their memos: 4 MiB in all.
const FULL: usize = 10_000;
const MEMO_BYTES: usize = 50;

struct Line {
    nodes: Vec<Node>,
    _directories: Vec<tempfile::TempDir>,
}

impl Line {
    /// Nodes that each dial the next one and nobody else.
    async fn start(compact_relay: bool, hop: Hop) -> Self {
        let (mut nodes, mut directories) = (Vec::<Node>::new(), Vec::new());
        for _ in 0..=HOPS {
            let directory = tempfile::tempdir().unwrap();
            let mut config = Config::on_loopback(Arc::new(params().clone()), directory.path().to_owned());
            config.compact_relay = compact_relay;
            let next = nodes.last().map(Node::p2p_address);
            config.connect.extend(next.map(|address| address.to_string().parse().unwrap()));
            let env = Env::system().unwrap().with_net(OnlyTo::new(next, hop));
            nodes.push(Node::start(config, env).await.unwrap());
            directories.push(directory);
        }
        let line = Self { nodes, _directories: directories };
        line.eventually(|line| {
            line.nodes
                .iter()
                .map(|node| node.network().peers().len())
                .eq((0..=HOPS).map(|at| if at % HOPS == 0 { 1 } else { 2 }))
        })
        .await;
        line
    }

    async fn eventually(&self, condition: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !condition(self) {
            assert!(Instant::now() < deadline, "the nodes do not come so far");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn bytes_sent(&self) -> u64 {
        self.nodes.iter().map(|node| node.network().relay_counts().bytes_sent).sum()
    }

    /// Gives these to every node's pool.
    async fn pool(&self, transfers: Vec<SignedTransaction>) {
        let count = transfers.len();
        for chunk in transfers.chunks(1_000) {
            for verdict in self.nodes[0].mempool().submit(chunk.to_vec(), Source::Rpc).await {
                verdict.unwrap();
            }
        }
        self.eventually(|line| line.nodes.iter().all(|node| node.mempool().stats().executable == count)).await;
    }

    /// Sends a block along the line: the time of each hop.
    async fn send(&self, transfers: Vec<SignedTransaction>) -> Vec<Duration> {
        let next = block(&self.nodes[0].chain().view(), transfers);
        let height = self.nodes[0].chain().view().tip.height().next();
        let arrival = |node: &Node| {
            let mut views = node.chain().watch();
            tokio::spawn(async move {
                views.wait_for(|view| view.tip.height() >= height).await.unwrap();
                Instant::now()
            })
        };
        let arrivals: Vec<_> = self.nodes.iter().map(arrival).collect();
        take(&self.nodes[0], next).await;
        let mut times = Vec::new();
        for arrival in arrivals {
            times.push(arrival.await.unwrap());
        }
        times.windows(2).map(|pair| pair[1].saturating_duration_since(pair[0])).collect()
    }

    async fn stop(self) {
        for node in self.nodes {
            node.tasks().stop();
            node.wait().await.unwrap();
        }
    }
}

async fn measure(compact_relay: bool, full: bool, blocks: usize, hop: Hop) {
    let line = Line::start(compact_relay, hop).await;
    let mut payers: Vec<Payer> = payers();
    fund(&line.nodes[0], &payers).await;
    line.eventually(|line| line.nodes.iter().all(|node| node.chain().view().tip.height() == Height::new(1))).await;
    let before = line.bytes_sent();
    let (mut hops, mut block_bytes) = (Vec::new(), 0);
    for _ in 0..blocks {
        let transfers = if full { transfers(&mut payers, FULL, MEMO_BYTES) } else { Vec::new() };
        block_bytes = transfers.iter().map(SignedTransaction::size_bytes).sum();
        line.pool(transfers.clone()).await;
        hops.extend(line.send(transfers).await);
        line.eventually(|line| line.nodes.iter().all(|node| node.mempool().stats().executable == 0)).await;
    }
    let bytes = (line.bytes_sent() - before) / (blocks * HOPS) as u64;
    hops.sort_unstable();
    let (median, worst) = (hops[hops.len() / 2], hops[hops.len() - 1]);
    println!(
        "compact relay {:3}: {bytes:8} bytes a hop (transfers of {block_bytes} bytes), {:7.1} ms a hop in the median, {:7.1} ms at worst of {}",
        if compact_relay { "on" } else { "off" },
        median.as_secs_f64() * 1e3,
        worst.as_secs_f64() * 1e3,
        hops.len(),
    );
    line.stop().await;
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number =
        |at: usize, default| arguments.get(at).map_or(default, |text: &String| text.parse().expect("a number"));
    let full = match arguments.first().map(String::as_str) {
        Some("full") => true,
        None | Some("empty") => false,
        Some(other) => panic!("{other} is neither empty nor full"),
    };
    let blocks = usize::try_from(number(1, if full { 5 } else { 50 })).unwrap().max(1);
    let hop = Hop { megabits_per_second: NonZeroU64::new(number(2, 0)), delay: Duration::from_millis(number(3, 0)) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("{} blocks over {HOPS} hops, links: {hop}", blocks);
    for compact_relay in [true, false] {
        runtime.block_on(measure(compact_relay, full, blocks, hop));
    }
}
