//! Attempts a second of the miner's loop beside hashing the whole header anew, on one thread.
//!
//! `cargo bench -p farthing-node --bench hash_rate`

use std::{
    hint::black_box,
    io::{self, Write as _},
    time::Duration,
};

use farthing::{Header, Network, Target};
use farthing_node::{
    env::{Clock as _, SystemClock},
    miner::Search,
};
use sha2::{Digest as _, Sha256};

/// How long each way is measured, three times; the best counts.
const MEASURED: Duration = Duration::from_secs(1);
const BATCH: u64 = 10_000;

fn main() -> io::Result<()> {
    let header = Network::Main.params().genesis().header;
    let mut search = Search::new(&header, Target::HARDEST);
    let midstate = rate(|nonce| search.attempt(nonce));

    let bytes = header.to_bytes();
    let prefix = Sha256::new_with_prefix(&bytes[..110]);
    let cloned = rate(|nonce| {
        let inner = prefix.clone().chain_update(nonce.to_le_bytes()).finalize();
        Sha256::digest(inner)[0] == 0
    });

    let naive = rate(|nonce| Header { nonce, ..header }.has_work());

    let mut out = io::stdout().lock();
    writeln!(out, "midstate, compress256 (the miner): {:.2} million attempts/s", midstate / 1e6)?;
    writeln!(out, "midstate, cloned Sha256:           {:.2} million attempts/s", cloned / 1e6)?;
    writeln!(out, "whole header, Header::has_work:    {:.2} million attempts/s", naive / 1e6)?;
    writeln!(out, "ratio miner : cloned = {:.2}, miner : whole header = {:.2}", midstate / cloned, midstate / naive)
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(mut attempt: impl FnMut(u64) -> bool) -> f64 {
    let clock = SystemClock::new();
    let mut best: f64 = 0.0;
    for _ in 0..3 {
        let (start, mut nonce) = (clock.elapsed(), 0);
        while clock.elapsed() - start < MEASURED {
            for _ in 0..BATCH {
                black_box(attempt(black_box(nonce)));
                nonce += 1;
            }
        }
        best = best.max(nonce as f64 / (clock.elapsed() - start).as_secs_f64());
    }
    best
}
