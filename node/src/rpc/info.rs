//! What this node is.

use farthing::{Height, wire::v1};

use super::{Deps, blocks};
use crate::network_view::{PeerSummary, SyncPhase};

/// Program and version, as peers and clients see it.
pub(super) const VERSION: &str = concat!("farthing-node/", env!("CARGO_PKG_VERSION"));

pub(super) fn get(deps: &Deps) -> v1::GetNodeInfoResponse {
    let params = deps.chain.params();
    let view = deps.chain.view();
    let pool = deps.mempool.stats();
    let syncing = *deps.network.syncing().borrow();
    let sync_state = if syncing { v1::SyncState::Syncing } else { v1::SyncState::Synced };
    v1::GetNodeInfoResponse {
        network: params.name.clone(),
        genesis_id: params.genesis_id().to_bytes().to_vec().into(),
        genesis_id_hex: params.genesis_id().to_string(),
        address_prefix: params.prefix.to_string(),
        version: VERSION.to_owned(),
        protocol_version: 1,
        tip: Some((&blocks::tip(&view)).into()),
        best_header_height: deps.chain.best_header().height().max(deps.network.best_header_height()).get(),
        sync_state: sync_state.into(),
        peers: deps.network.peers().into_iter().map(peer).collect(),
        mempool_transactions: pool.executable.saturating_add(pool.queued) as u64,
        mempool_bytes: pool.bytes as u64,
        accounts: view.accounts.len() as u64,
        accounts_root: view.accounts.root().to_bytes().to_vec().into(),
        mining: deps.network.is_mining(),
        supply_mites: view.supply.get(),
        final_height: deps.chain.final_height().map(Height::get),
        time_ms: deps.env.clock().now().get(),
        sync_progress: deps.network.sync_progress().map(|progress| v1::SyncProgress {
            target_height: progress.target.get(),
            blocks_per_second: progress.blocks_per_second.unwrap_or_default(),
            remaining_ms: progress.remaining_ms().unwrap_or_default(),
            phase: phase(progress.phase).into(),
            checkpoint_pieces: progress.pieces.map_or(0, |(here, _)| here),
            checkpoint_pieces_total: progress.pieces.map_or(0, |(_, all)| all),
        }),
        lowest_block_height: deps.chain.lowest_body().get(),
    }
}

const fn phase(phase: SyncPhase) -> v1::SyncPhase {
    match phase {
        SyncPhase::Headers => v1::SyncPhase::Headers,
        SyncPhase::Checkpoint => v1::SyncPhase::Checkpoint,
        SyncPhase::Blocks => v1::SyncPhase::Blocks,
    }
}

fn peer(peer: PeerSummary) -> v1::PeerInfo {
    let PeerSummary { address, inbound, height, version } = peer;
    v1::PeerInfo { address, inbound, height: height.get(), version }
}
