//! How many transfers with valid signatures are taken, and how long one takes.

use std::{
    process::{Child, Command},
    time::{Duration, Instant},
};

use farthing::codec::Canonical as _;
use prost::bytes::Bytes;
use tempfile::TempDir;
use tokio::time::interval;

use super::{percentile, start, stop};
use crate::ledger::{
    PAYERS, Payer, fund, payers,
    program::{resident_mib, rpc_of, spawn, terminate},
    submit::{Client, batches, one_by_one, streams, submit},
    transfers,
};

/// A moderate pace: a call every 10 ms.
const PACE: Duration = Duration::from_millis(10);
/// How many calls are timed at that pace.
const PACED: usize = 2_000;

/// The real program with the payers' accounts funded and nothing waiting.
struct Fresh {
    dir: TempDir,
    child: Child,
}

impl Fresh {
    async fn start(payers: &[Payer]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let node = start(dir.path()).await;
        fund(&node, payers).await;
        stop(node).await;
        let (child, _) = spawn(dir.path());
        Self { dir, child }
    }

    async fn client(&self) -> Client {
        Client::connect(format!("http://{}", rpc_of(self.dir.path()))).await.unwrap()
    }

    fn stop(mut self) -> u64 {
        let resident = resident_mib(&self.child.id().to_string());
        terminate(&mut self.child);
        resident
    }
}

/// The same transfers, in each way that there is, to a fresh node each.
pub(crate) async fn figures(count: usize) {
    let mut payers = payers();
    println!("signing {count} transfers of {PAYERS} accounts ...");
    let signed = transfers(&mut payers, count, 0);
    let signed: Vec<Bytes> = signed.iter().map(|transfer| transfer.to_canonical().into()).collect();
    let of_openssl = openssl();
    let tell = |way: &str, rate: f64, resident: u64| {
        let per_core = of_openssl.map_or(String::new(), |verified| format!(", {:.2} of it", rate / verified));
        println!(
            "{way:<16} {rate:7.0} transfers/s taken, verified and synced to the journal{per_core}; {resident} MiB"
        );
    };
    if let Some(verified) = of_openssl {
        println!("openssl speed rsa2048: {verified:.0} verifications/s of one core");
    }
    let node = Fresh::start(&payers).await;
    let rate = one_by_one(&node.client().await, &signed).await;
    tell("one by one", rate, node.stop());
    for batch in [100, 1_000] {
        let node = Fresh::start(&payers).await;
        let rate = batches(&node.client().await, &signed, batch).await;
        tell(&format!("batches of {batch}"), rate, node.stop());
    }
    let node = Fresh::start(&payers).await;
    let rate = streams(&node.client().await, &signed).await;
    tell("8 streams", rate, node.stop());
    latency(&payers, &signed).await;
}

/// One call after the other at a moderate pace.
async fn latency(payers: &[Payer], signed: &[Bytes]) {
    let node = Fresh::start(payers).await;
    let mut client = node.client().await;
    let mut took = Vec::new();
    let mut pace = interval(PACE);
    for bytes in signed.iter().take(PACED) {
        pace.tick().await;
        let begin = Instant::now();
        submit(&mut client, bytes.clone()).await;
        took.push(begin.elapsed());
    }
    node.stop();
    took.sort();
    let [half, most] = [50, 99].map(|percent| percentile(&took, percent));
    println!("one every {PACE:?}: p50 {half:.2} ms, p99 {most:.2} ms ({} calls)", took.len());
}

/// Verifications a second of one core, measured by openssl now; none where that is not installed.
fn openssl() -> Option<f64> {
    let output = Command::new("openssl").args(["speed", "-mr", "-seconds", "3", "rsa2048"]).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    // +F2:index:bits:signing:verifying, in operations a second, or in seconds for one before OpenSSL 3.
    let line = text.lines().find(|line| line.starts_with("+F2:"))?;
    let verifying: f64 = line.split(':').nth(4)?.parse().ok()?;
    Some(if verifying < 1.0 { 1.0 / verifying } else { verifying })
}
