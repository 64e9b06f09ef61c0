//! How long the wallet's most common commands take against a node, from the start of the process to its end: `balance` when the wallet
//! has verified nothing of the chain yet and when it has, and `send --no-wait` with a key that no passphrase protects.
//!
//! `cargo bench -p farthing-wallet --bench latency -- [URL]`, with a node of the development network there that mines, so that its mempool
//! does not fill with alice's transfers (http://127.0.0.1:50051 if left out).

use std::{
    error::Error,
    fs,
    io::{self, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// How often each is measured.
const RUNS: usize = 51;
const DEFAULT_NODE: &str = "http://127.0.0.1:50051";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Runs the wallet; the time that it took.
fn run(folder: &Path, node: &str, arguments: &[&str]) -> Outcome<Duration> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_farthing-wallet"));
    command.env_clear().env("HOME", folder).args(["--network", "dev", "--node", node, "--wallet-dir"]).arg(folder);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let begin = Instant::now();
    let output = command.output()?;
    let took = begin.elapsed();
    if output.status.success() { Ok(took) } else { Err(String::from_utf8_lossy(&output.stderr).into()) }
}

/// The middle one and the one that nine of ten do not exceed, in milliseconds.
fn middle(mut times: Vec<Duration>) -> (f64, f64) {
    times.sort();
    let at = |index: usize| times[index].as_secs_f64() * 1e3;
    (at(times.len() / 2), at(times.len() * 9 / 10))
}

fn main() -> Outcome<()> {
    let node = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let node = node.as_deref().unwrap_or(DEFAULT_NODE);
    let folder = tempfile::tempdir()?;
    run(folder.path(), node, &["key", "import", "--dev", "alice"])?;
    let mut out = io::stdout().lock();
    let cache = folder.path().join("dev/chain.verified");
    for (what, is_cold) in [("cold", true), ("with what was verified before", false)] {
        let mut times = Vec::with_capacity(RUNS);
        for _ in 0..RUNS {
            if is_cold && cache.exists() {
                fs::remove_file(&cache)?;
            }
            times.push(run(folder.path(), node, &["balance"])?);
        }
        let (median, most) = middle(times);
        writeln!(out, "balance, {what}: median {median:.1} ms, p90 {most:.1} ms")?;
    }
    run(folder.path(), node, &["key", "import", "--dev", "bob"])?;
    let send = ["send", "bob", "0.01", "--account", "alice", "--yes", "--no-wait"];
    let times = (0..RUNS).map(|_| run(folder.path(), node, &send)).collect::<Outcome<Vec<_>>>()?;
    let (median, most) = middle(times);
    writeln!(out, "send --no-wait, no passphrase: median {median:.1} ms, p90 {most:.1} ms")?;
    Ok(())
}
