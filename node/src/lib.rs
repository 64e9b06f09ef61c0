//! The Farthing node: takes signed transfers, mines them, relays blocks and keeps the chain.

pub mod config;
pub mod env;
pub mod server;
pub mod tasks;
