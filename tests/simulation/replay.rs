//! Runs simulations of whole nodes by seed: one with all that happens, a range of them, or a long one. See
//! docs/simulation.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the terminal")]

#[cfg(not(tokio_unstable))]
compile_error!(
    "the simulation needs `--cfg tokio_unstable`, which .cargo/config.toml gives unless RUSTFLAGS is set: add it there"
);

mod check;
mod env;
mod hosts;
#[allow(dead_code, reason = "other tests need more of it")]
#[path = "../harness/keys.rs"]
mod keys;
mod liar;
mod many;
mod memory;
mod plan;
mod run;
mod shapes;
mod trace;
mod wallet;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;

use many::{report, run_seed, run_seeds, soak};
use run::Outcome;
use shapes::{Shape, carry};

/// Runs simulations of whole nodes by seed.
#[derive(Parser)]
struct Arguments {
    /// The seed, or the first of many
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show all that happens
    #[arg(long)]
    trace: bool,
    /// Show the nodes' logs too, such as `info` or `farthing_node::peers=debug`
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How many seeds to run, one after the other
    #[arg(long, value_name = "NUMBER")]
    seeds: Option<u64>,
    /// Threads for many seeds
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Carry bursts of blocks over sixteen nodes in several shapes, and tell how long a hop takes
    #[arg(long)]
    shapes: bool,
    /// One long run: so many simulated minutes of trouble
    #[arg(long, value_name = "MINUTES")]
    soak: Option<u64>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(filter) = &arguments.log {
        tracing_subscriber::fmt().with_env_filter(filter).without_time().with_ansi(false).init();
    }
    if arguments.shapes {
        return all_shapes(arguments.trace);
    }
    if let Some(seeds) = arguments.seeds {
        return many_seeds(&arguments, seeds);
    }
    let began = Instant::now();
    let outcome = match arguments.soak {
        Some(minutes) => soak(arguments.seed, Duration::from_secs(60 * minutes), arguments.trace),
        None => run_seed(arguments.seed, arguments.trace),
    };
    print!("{}", outcome.counts);
    println!("{:?} simulated in {:?}; trace {}", outcome.simulated, began.elapsed(), outcome.digest);
    verdict(std::slice::from_ref(&outcome))
}

fn all_shapes(print: bool) -> ExitCode {
    let mut code = ExitCode::SUCCESS;
    for shape in [Shape::Line, Shape::Ring, Shape::Star, Shape::Random] {
        for (how, pause) in [("a second apart", Duration::from_secs(1)), ("at once", Duration::ZERO)] {
            match carry(shape, pause, print) {
                Ok(hops) => println!("{shape:?}, blocks {how}: {hops}"),
                Err(why) => {
                    eprintln!("{shape:?}, blocks {how}: {why}");
                    code = ExitCode::FAILURE;
                }
            }
        }
    }
    code
}

fn many_seeds(arguments: &Arguments, seeds: u64) -> ExitCode {
    let summary = run_seeds(arguments.seed..arguments.seed + seeds, arguments.threads, |outcome| {
        if arguments.trace || !outcome.failures.is_empty() {
            println!("seed {}: {} {}", outcome.seed, outcome.digest, outcome.failures.join("; "));
        }
    });
    print!("{}", summary.counts);
    println!("{} runs, {:?} of simulated time in {:?}", summary.runs, summary.simulated, summary.took);
    if !summary.scarce().is_empty() {
        println!("there were hardly any {}", summary.scarce().join(", "));
    }
    verdict(&summary.failed)
}

fn verdict(outcomes: &[Outcome]) -> ExitCode {
    let failed: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.failures.is_empty()).collect();
    for outcome in &failed {
        eprintln!("\n{}", report(outcome));
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
