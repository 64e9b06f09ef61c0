//! Whole nodes in a simulated world: the same seed, the same run. See docs/simulation.md.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say which seed failed and how to see it again")]

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
mod seeds;
mod shapes;
mod topologies;
mod trace;
mod wallet;
