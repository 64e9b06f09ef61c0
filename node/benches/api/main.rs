//! Figures of the public API on this machine. A program, not a timed test; run each part in release:
//!
//! ```text
//! cargo build --release -p farthing-node
//! cargo bench -p farthing-node --bench api -- submit 20000       transfers a second, one by one and in batches; latency
//! cargo bench -p farthing-node --bench api -- fan-out 1000 200   blocks to so many subscribers, so many blocks
//! cargo bench -p farthing-node --bench api -- never-read 500 200 what subscribers that never read cost
//! ```
//!
//! Subscribers are a process of their own (`nice -n 19` where they are a burden and not what is measured), which shares
//! the machine's processors with the node.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people that measures this machine")]
#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken should end the program")]

mod fan_out;
#[path = "../ledger/mod.rs"]
#[allow(dead_code, reason = "other figures need the rest")]
mod ledger;
mod never_read;
#[path = "../attacks/raw.rs"]
#[allow(dead_code, reason = "only what a call needs")]
mod raw;
mod submit;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use farthing_node::{config::Config, env::Env, node::Node};

use ledger::{Payer, block, params, take, transfers};

/// A node in this process, so that blocks can be given to it.
async fn start(dir: &Path) -> Node {
    let config = Config::on_loopback(Arc::new(params().clone()), dir.to_owned());
    Node::start(config, Env::system().unwrap()).await.unwrap()
}

async fn stop(node: Node) {
    node.tasks().stop();
    node.wait().await.unwrap();
}

/// Makes and connects blocks of so many transfers, and gives the time that the node took for each.
async fn grow(node: &Node, payers: &mut [Payer], blocks: usize, of: usize) -> Vec<Duration> {
    let mut took = Vec::with_capacity(blocks);
    for _ in 0..blocks {
        let next = block(&node.chain().view(), transfers(payers, of, 0));
        let begin = Instant::now();
        take(node, next).await;
        took.push(begin.elapsed());
    }
    took
}

/// Of sorted times, in milliseconds.
fn percentile(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100].as_secs_f64() * 1_000.0
}

/// Subscribers in a process of their own. It says a line when it is ready, and ends when its stdin does.
struct Crowd {
    child: Child,
    _stdin: ChildStdin,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    fn start(part: &str, nice: &str, node: SocketAddr, count: usize, more: usize) -> Self {
        let mut command = Command::new("nice");
        command.args(["-n", nice]).arg(std::env::current_exe().unwrap()).arg(part).arg(node.to_string());
        command.args([count.to_string(), more.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut crowd = Self { child, _stdin: stdin, lines: BufReader::new(stdout).lines() };
        crowd.line();
        crowd
    }

    /// The next line that it says.
    fn line(&mut self) -> String {
        self.lines.next().expect("the subscribers have not ended").unwrap()
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let nth =
        |at: usize, default: usize| arguments.get(at).map_or(default, |text| text.parse().expect("a number above 0"));
    let address = || arguments[1].parse::<SocketAddr>().expect("HOST:PORT");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match arguments.first().map(String::as_str) {
        Some("submit") => runtime.block_on(submit::figures(nth(1, 20_000))),
        Some("fan-out") => runtime.block_on(fan_out::figures(nth(1, 1_000), nth(2, 200))),
        Some("never-read") => runtime.block_on(never_read::figures(nth(1, 500), nth(2, 200))),
        // The processes that the two above start.
        Some("readers") => runtime.block_on(fan_out::read(address(), nth(2, 1), nth(3, 1))),
        Some("holders") => runtime.block_on(never_read::hold(address(), nth(2, 1))),
        _ => println!(
            "say what to measure: submit [TRANSFERS], fan-out [SUBSCRIBERS] [BLOCKS] or never-read [SUBSCRIBERS] [BLOCKS]"
        ),
    }
}
