//! The full torture of `SubscribeBlocks`: see tests/torture/mod.rs.
//!
//! ```text
//! cargo run --release --example torture -- --subscribers 1000 --kills 20 --seed 1
//! ```
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../harness/mod.rs"]
mod harness;
#[path = "mod.rs"]
mod torture;

use std::{process::ExitCode, time::Duration};

use clap::Parser;

use torture::{Settings, run};

/// Reads blocks with many subscribers while nodes are killed and the chain reorganises.
#[derive(Parser)]
struct Arguments {
    /// What happens, and what the readers do; the moments are the machine's
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many readers; more than 1,900 need more connections than a node takes
    #[arg(long, default_value_t = 1_000)]
    subscribers: u64,
    /// How often a node is killed and started again
    #[arg(long, default_value_t = 20)]
    kills: u64,
    /// Blocks that are there before the readers are
    #[arg(long, default_value_t = 2_000)]
    blocks: u64,
    /// Blocks that come at once, in the midst
    #[arg(long, default_value_t = 1_000)]
    burst: u64,
    /// The deepest reorganisation
    #[arg(long, default_value_t = 50)]
    depth: u64,
    /// Seconds that the readers may take to the end once nothing happens any more
    #[arg(long, default_value_t = 600)]
    patience: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let settings = Settings {
        seed: arguments.seed,
        subscribers: arguments.subscribers,
        kills: arguments.kills,
        blocks: arguments.blocks,
        burst: arguments.burst,
        depth: arguments.depth,
        long_pauses: true,
        patience: Duration::from_secs(arguments.patience),
        verbose: true,
    };
    let figures = run(&settings).await;
    print!("{figures}");
    let good = figures.wrong.is_empty() && figures.equal == settings.subscribers && figures.kills == settings.kills;
    println!("seed {}: {}", settings.seed, if good { "no gap, no repeat, all equal" } else { "FAILED" });
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
