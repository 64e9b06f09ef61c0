//! `status`.

use std::fmt;

use serde::Serialize;

use crate::{context::Context, error::Result};

#[derive(Serialize)]
struct PeerView {
    address: String,
    inbound: bool,
    height: u64,
    version: String,
}

#[derive(Serialize)]
struct StatusView {
    node: String,
    network: String,
    genesis_id: String,
    version: String,
    tip_height: u64,
    tip_id: String,
    tip_time_ms: u64,
    sync: &'static str,
    mining: bool,
    peers: Vec<PeerView>,
    mempool_transactions: u64,
    accounts: u64,
    supply: String,
    supply_mites: String,
}

impl fmt::Display for StatusView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mining = if self.mining { ", mining" } else { "" };
        writeln!(f, "node      {} ({}{mining})", self.node, self.version)?;
        writeln!(f, "network   {} (genesis {})", self.network, self.genesis_id)?;
        writeln!(f, "tip       {} {} ({})", self.tip_height, self.tip_id, self.sync)?;
        writeln!(f, "peers     {}", self.peers.len())?;
        for peer in &self.peers {
            let way = if peer.inbound { "from" } else { "to" };
            writeln!(f, "          {way} {} at height {} ({})", peer.address, peer.height, peer.version)?;
        }
        writeln!(f, "mempool   {} transactions", self.mempool_transactions)?;
        writeln!(f, "accounts  {}, {} far in existence", self.accounts, self.supply)
    }
}

/// Shows what the node says of itself; nothing of it is verified but the network.
///
/// # Errors
/// An unreachable node, or one of another network.
pub fn run(context: &mut Context) -> Result<()> {
    let client = context.connect()?;
    let info = client.node_info()?;
    let sync = match info.is_synced {
        Some(true) => "synced",
        Some(false) => "syncing",
        None => "unknown",
    };
    let view = StatusView {
        node: context.settings.node().to_string(),
        network: info.network,
        genesis_id: context.wallet.network().genesis_id().to_string(),
        version: info.version,
        tip_height: info.tip.height.get(),
        tip_id: info.tip.block_id.to_string(),
        tip_time_ms: info.tip.time.get(),
        sync,
        mining: info.is_mining,
        peers: info
            .peers
            .into_iter()
            .map(|peer| PeerView {
                address: peer.address,
                inbound: peer.is_inbound,
                height: peer.height.get(),
                version: peer.version,
            })
            .collect(),
        mempool_transactions: info.mempool_transactions,
        accounts: info.accounts,
        supply: info.supply.to_string(),
        supply_mites: info.supply.get().to_string(),
    };
    Ok(context.output.data(&view)?)
}
