//! `network find`.

use std::fmt;

use farthing::Params;
use serde::Serialize;

use super::scan::{Found, Place, ScanError, scan};
use crate::{error::Result, output::Output};

/// Most ports without a node that people are told of.
const MAX_SHOWN: usize = 20;

#[derive(Serialize)]
struct NodeView {
    url: String,
    network: String,
    genesis_id: String,
    /// Whether it is of the wallet's network.
    same_genesis: bool,
    version: String,
    height: u64,
    best_header_height: u64,
    /// Whether it has all blocks that it knows of, if it says so.
    synced: Option<bool>,
    peers: usize,
}

impl fmt::Display for NodeView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.synced {
            Some(true) => "synced".to_owned(),
            Some(false) => format!("fetching blocks up to {}", self.best_header_height),
            None => "does not say whether it is synced".to_owned(),
        };
        let whose = if self.same_genesis { "same genesis" } else { "ANOTHER genesis" };
        let (url, network, height, version) = (&self.url, &self.network, self.height, &self.version);
        write!(f, "{url:<28} {network:<8} {whose:<16} block {height:<8} {state}, {} peers, {version}", self.peers)
    }
}

#[derive(Serialize)]
struct FoundList {
    nodes: Vec<NodeView>,
    /// Ports that are open, but serve no public API.
    other_ports: Vec<u16>,
    ports_scanned: usize,
}

impl fmt::Display for FoundList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.nodes.iter().try_for_each(|node| writeln!(f, "{node}"))
    }
}

/// Scans, and lists the nodes; their words about themselves are believed, as nothing hangs on them.
pub(super) fn run(output: &mut Output, network: &Params, place: &str) -> Result<()> {
    let place: Place = place.parse()?;
    let Found { nodes, others } = scan(&place)?;
    if !others.is_empty() {
        let ports: Vec<String> = others.iter().take(MAX_SHOWN).map(u16::to_string).collect();
        let more =
            if others.len() > MAX_SHOWN { format!(" and {} more", others.len() - MAX_SHOWN) } else { String::new() };
        output.note(format_args!("open, but not the public API of a node: {}{more}", ports.join(", ")));
    }
    if nodes.is_empty() {
        return Err(ScanError::Nobody(place.to_string()).into());
    }
    let nodes = nodes.into_iter().map(|node| NodeView {
        same_genesis: node.info.genesis_id.as_ref() == network.genesis_id().as_bytes(),
        url: node.url,
        network: node.network,
        genesis_id: hex::encode(&node.info.genesis_id),
        version: node.version,
        height: node.info.tip.as_ref().map_or(0, |tip| tip.height),
        best_header_height: node.info.best_header_height,
        synced: node.synced,
        peers: node.info.peers.len(),
    });
    let list = FoundList { nodes: nodes.collect(), other_ports: others, ports_scanned: place.ports() };
    Ok(output.data(&list)?)
}
