//! End-to-end tests, in one binary: the vectors and the specification held against the code, and real nodes.
#![allow(clippy::print_stderr, reason = "tests say which seed they ran with and show the logs of what failed")]

mod admin;
mod byzantine;
mod checkpoint;
mod client;
mod followers;
mod harness;
mod kills;
mod links;
mod partition;
mod processes;
mod relay;
mod reorganisations;
mod restarts;
mod spec_rules;
mod streams;
mod topologies;
mod torture;
mod transfers;
mod vectors_check;
mod wallet;
