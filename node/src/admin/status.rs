//! How the node is.

use std::process;

use farthing::{Height, wire::admin as wire};

use super::Deps;
use crate::peers::SyncState;

pub(super) fn get(deps: &Deps) -> wire::GetStatusResponse {
    let (facts, params) = (&deps.facts, deps.chain.params());
    let tip = deps.chain.view().tip;
    let pool = deps.mempool.stats();
    let peers = deps.network.peers();
    let inbound = peers.iter().filter(|peer| peer.inbound).count();
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let sync_state = match deps.network.sync_state() {
        SyncState::Synced => wire::SyncState::Synced,
        SyncState::Syncing => wire::SyncState::Syncing,
    };
    let uptime = deps.env.clock().elapsed().saturating_sub(facts.started);
    wire::GetStatusResponse {
        network: params.name.clone(),
        genesis_id_hex: params.genesis_id().to_string(),
        version: concat!("farthing-node/", env!("CARGO_PKG_VERSION")).to_owned(),
        node_id_hex: deps.network.node_id().to_string(),
        tip_height: tip.height().get(),
        tip_id_hex: tip.id().to_string(),
        tip_time_ms: tip.time().get(),
        total_work: tip.total_work().to_string(),
        best_header_height: deps.network.best_header_height().get(),
        sync_state: sync_state.into(),
        mempool_transactions: pool.executable.saturating_add(pool.queued) as u64,
        mempool_bytes: pool.bytes as u64,
        inbound_peers: count(inbound),
        outbound_peers: count(peers.len() - inbound),
        bans: count(deps.network.bans().len()),
        mining: facts.mines_for.is_some(),
        final_height: deps.chain.final_height().map(Height::get),
        data_dir: facts.data_dir.display().to_string(),
        started_at_ms: facts.started_at.get(),
        uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
        rpc_address: facts.rpc.to_string(),
        p2p_address: facts.p2p.to_string(),
        admin_socket: facts.socket.display().to_string(),
        process_id: process::id(),
        lowest_block_height: deps.chain.lowest_body().get(),
    }
}
