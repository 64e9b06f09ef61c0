//! What an operator decides about peers.

use std::time::Duration;

use super::limits::FEELER_INTERVAL;
use crate::config::{HostPort, PortRange};

/// Outbound sessions that a node wants.
pub const OUTBOUND_TARGET: usize = 8;

/// Settings of the network.
#[derive(Debug, Clone)]
pub struct PeersConfig {
    /// Nodes to keep a session with.
    pub connect: Vec<HostPort>,
    /// Nodes to dial once at the start, and to keep in the address book.
    pub add: Vec<HostPort>,
    /// Whether this node looks for others by itself. If not, it dials only those of `connect`.
    pub discovery: bool,
    /// Where to search for nodes.
    pub discover: Vec<PortRange>,
    /// Names to ask for addresses of nodes when the address book is nearly empty.
    pub seeds: Vec<HostPort>,
    /// Mean time between probes of addresses that were never reached.
    pub feeler_interval: Duration,
    /// Sessions to begin with nodes of the address book; 0 leaves it to `connect` and `discover`.
    pub outbound_target: usize,
    /// Port on which this node takes peers, as others reach it.
    pub listen_port: Option<u16>,
    /// Whether private and loopback addresses are learnt and passed on. For networks that do not span the Internet.
    pub private_addresses: bool,
    /// Whether blocks near the tip travel compactly.
    pub compact_relay: bool,
    /// Program and version, such as "farthing-node/0.1.0".
    pub version: String,
}

impl Default for PeersConfig {
    fn default() -> Self {
        Self {
            connect: Vec::new(),
            add: Vec::new(),
            discovery: true,
            discover: Vec::new(),
            seeds: Vec::new(),
            feeler_interval: FEELER_INTERVAL,
            outbound_target: OUTBOUND_TARGET,
            listen_port: None,
            private_addresses: false,
            compact_relay: true,
            version: concat!("farthing-node/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}
