//! The Farthing node: takes signed transfers, mines them, relays blocks and keeps the chain.

pub mod admin;
mod byte_cache;
pub mod chain;
pub mod config;
pub mod control;
pub mod env;
pub mod ledger;
pub mod logging;
pub mod mempool;
pub mod miner;
pub mod network_view;
pub mod node;
pub mod offline;
pub mod panel;
pub mod peers;
pub mod ready;
pub mod remote_miner;
pub mod rpc;
pub mod run;
pub mod server;
pub mod signals;
pub mod store;
pub mod tasks;

#[cfg(test)]
mod testing;
