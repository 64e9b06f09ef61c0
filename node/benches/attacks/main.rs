//! What a node's honest callers feel while it is attacked, and what it costs in memory. A program, not a timed test:
//!
//! ```text
//! cargo build --release -p farthing-node
//! cargo bench -p farthing-node --bench attacks -- [headers|adverts|silent|resets|paced_resets|churn|churn_networks ...]
//! ```
//!
//! For each attack a fresh node, the real program, is started. An honest client of the public API and an honest peer each
//! call it at a steady pace: before the attack, during it, and after it. The attacker is a process of its own,
//! `nice -n 19`, for on a network it would not take the victim's processors; what it managed is told, so that nobody mistakes an
//! attack that did not come about for one that was withstood. Quiet is before and after taken together.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program for people that measures this machine")]
#![allow(clippy::unwrap_used, reason = "a figure that cannot be taken should end the program")]

mod attacker;
mod honest;
#[path = "../ledger/mod.rs"]
#[allow(dead_code, reason = "other figures need the rest")]
mod ledger;
mod raw;
mod victim;

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use honest::{Honest, KINDS, Samples};
use victim::Victim;

const ATTACKS: [&str; 7] = ["headers", "adverts", "silent", "resets", "paced_resets", "churn", "churn_networks"];
/// Before the attack, and again after it.
const QUIET: Duration = Duration::from_secs(10);
/// An attack that is over sooner is not measured.
const SHORTEST: Duration = Duration::from_secs(5);

/// What the attacker says: a line when it is ready, and one at the end. It ends by itself.
fn spawn_attacker(name: &str, victim: &Victim) -> mpsc::Receiver<String> {
    let mut attacker = Command::new("nice")
        .args(["-n", "19"])
        .arg(std::env::current_exe().unwrap())
        .args(["attack", name, &victim.rpc.to_string(), &victim.p2p.to_string()])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (said, lines) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(attacker.stdout.take().unwrap()).lines() {
            said.send(line.unwrap()).unwrap();
        }
        assert!(attacker.wait().unwrap().success(), "the attacker failed");
    });
    lines
}

async fn measure(name: &str) {
    let victim = Victim::start();
    let mut honest = Honest::meet(&victim).await;
    honest.call_for(Duration::from_secs(2)).await;
    let resident_before = victim.resident_mib();
    let mut quiet = honest.call_for(QUIET).await;

    let said = spawn_attacker(name, &victim);
    said.recv().expect("the attacker begins");
    let (begin, cpu) = (Instant::now(), victim.cpu());
    let mut newcomers = (0, 0);
    let mut resident = resident_before;
    let mut attacked = Samples::default();
    let done = loop {
        attacked.extend(honest.call_for(Duration::from_millis(500)).await);
        resident = resident.max(victim.resident_mib());
        newcomers.1 += 1;
        newcomers.0 += u32::from(honest::newcomer(victim.rpc).await);
        match said.try_recv() {
            Ok(line) => break line,
            Err(mpsc::TryRecvError::Empty) => {}
            Err(mpsc::TryRecvError::Disconnected) => panic!("the attacker failed"),
        }
    };
    let took = begin.elapsed();
    let used = (victim.cpu() - cpu).as_secs_f64() / took.as_secs_f64() * 100.0;
    assert!(took >= SHORTEST, "{name} was over after {took:?}, too soon to be measured");
    quiet.extend(honest.call_for(QUIET).await);

    println!("\n{name}: {done}, in {:.1} s", took.as_secs_f64());
    println!(
        "  resident {resident_before} MiB before, at most {resident} MiB during, {} MiB after; {used:.0} % of a processor",
        victim.resident_mib()
    );
    println!("  newcomers served: {} of {}; load of the machine {}", newcomers.0, newcomers.1, load());
    println!("  {:<18} {:>21}   {:>21}   p99 ratio   calls, failed", "", "quiet p50 / p99 ms", "attacked p50 / p99 ms");
    for kind in KINDS {
        let (quiet, attacked) = (quiet.of(kind), attacked.of(kind));
        println!(
            "  {kind:<18} {:>10.2} {:>10.2}   {:>10.2} {:>10.2}   {:>9.2}   {} {}",
            quiet.percentile(50),
            quiet.percentile(99),
            attacked.percentile(50),
            attacked.percentile(99),
            attacked.percentile(99) / quiet.percentile(99),
            attacked.count(),
            attacked.failed()
        );
    }
    victim.stop();
}

/// Others may be at work on the machine: the mean number of waiting processes in the last minute (proc(5)).
fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap();
    text.split(' ').next().unwrap().to_owned()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    if let [role, name, rpc, p2p] = arguments.as_slice()
        && role == "attack"
    {
        let (rpc, p2p): (SocketAddr, SocketAddr) = (rpc.parse().unwrap(), p2p.parse().unwrap());
        runtime.block_on(attacker::run(name, rpc, p2p));
        return;
    }
    let chosen: Vec<&str> = arguments.iter().map(String::as_str).collect();
    assert!(chosen.iter().all(|name| ATTACKS.contains(name)), "say which: {ATTACKS:?}");
    for name in ATTACKS.iter().filter(|name| chosen.is_empty() || chosen.contains(name)) {
        runtime.block_on(measure(name));
    }
}
