//! Nodes together: sessions with other nodes, over which blocks and transactions spread.
//!
//! Whoever dials does the work both ways. Everything a peer sends is bounded before it is read ([`limits`]), blamed
//! on nobody but its sender ([`blame`]), and judged by the chain and the mempool alone.

mod anchors;
mod backoff;
mod blame;
mod bodies;
mod book;
mod catching_up;
mod checkpoint;
mod claims;
mod client;
mod clock_doubts;
mod compact;
mod config;
mod convert;
pub mod eclipse;
mod eviction;
mod exchange;
mod feelers;
mod fetch;
mod follow;
mod handshake;
mod hearing;
mod hub;
mod keep;
mod known;
mod laggards;
mod limits;
mod merits;
mod methods;
mod network;
mod operator;
mod outbound;
mod own;
mod patience;
mod progress;
mod remote;
mod repair;
mod room;
mod run;
mod saved;
mod seeds;
mod sender;
mod serve;
mod service;
mod session;
mod sessions;
mod standing;
mod sync;
mod transactions;
mod wants;

#[cfg(test)]
mod tests;

pub use book::{BookStore, BookStoreError, Change, MemoryBookStore, Record, Shelf};
pub use compact::RelayCounts;
pub use config::{OUTBOUND_TARGET, PeersConfig};
pub use handshake::NodeId;
pub use methods::methods;
pub use network::{Network, PeerSummary, PeersDeps, SyncState};
pub use operator::{BanInForce, KeptPeer, OperatorError, PeerDetails, Removed};
pub use service::PeerServer;
