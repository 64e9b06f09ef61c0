//! Peers and bans between the wire and the network.

use std::time::Duration;

use farthing::wire::admin as wire;

use super::{AdminError, Deps};
use crate::{
    config::HostPort,
    peers::{BanInForce, KeptPeer, PeerDetails},
};

/// So much of a wrong text is repeated in the error.
const SHOWN_CHARS: usize = 100;

pub(super) fn list(deps: &Deps) -> wire::ListPeersResponse {
    wire::ListPeersResponse {
        peers: deps.network.peer_details().into_iter().map(peer).collect(),
        kept: deps.network.kept_peers().into_iter().map(kept).collect(),
        bans: deps.network.bans_in_force().into_iter().map(ban_message).collect(),
    }
}

pub(super) fn add(deps: &Deps, request: &wire::AddPeerRequest) -> Result<wire::AddPeerResponse, AdminError> {
    let already_kept = deps.network.add_peer(host_port(&request.address)?)?;
    Ok(wire::AddPeerResponse { already_kept })
}

pub(super) async fn remove(
    deps: &Deps,
    request: &wire::RemovePeerRequest,
) -> Result<wire::RemovePeerResponse, AdminError> {
    let removed = deps.network.remove_peer(&host_port(&request.address)?).await?;
    let sessions_ended = u32::try_from(removed.sessions).unwrap_or(u32::MAX);
    Ok(wire::RemovePeerResponse { sessions_ended, was_kept: removed.was_kept })
}

pub(super) async fn ban(deps: &Deps, request: &wire::BanPeerRequest) -> Result<wire::BanPeerResponse, AdminError> {
    let length = Duration::from_secs(request.duration_seconds);
    let (ban, sessions) = deps.network.ban(&request.target, length, &request.reason).await?;
    let sessions_ended = u32::try_from(sessions).unwrap_or(u32::MAX);
    Ok(wire::BanPeerResponse { ban: Some(ban_message(ban)), sessions_ended })
}

pub(super) async fn unban(
    deps: &Deps,
    request: &wire::UnbanPeerRequest,
) -> Result<wire::UnbanPeerResponse, AdminError> {
    deps.network.unban(&request.target).await?;
    Ok(wire::UnbanPeerResponse {})
}

fn host_port(text: &str) -> Result<HostPort, AdminError> {
    text.parse().map_err(|expected| AdminError::HostPort { text: text.chars().take(SHOWN_CHARS).collect(), expected })
}

fn peer(peer: PeerDetails) -> wire::Peer {
    let direction = if peer.inbound { wire::Direction::Inbound } else { wire::Direction::Outbound };
    wire::Peer {
        address: peer.address.to_string(),
        direction: direction.into(),
        node_id_hex: peer.node_id.to_string(),
        version: peer.version,
        height: peer.height.get(),
        connected_at_ms: peer.connected_at.get(),
        last_heard_at_ms: peer.last_heard_at.get(),
        score: peer.score,
        listen_address: peer.listens_at.map_or_else(String::new, |address| address.to_string()),
        ban_target: peer.ban_target,
    }
}

fn kept(kept: KeptPeer) -> wire::KeptPeer {
    wire::KeptPeer { address: kept.target, last_error: kept.last_error.unwrap_or_default() }
}

fn ban_message(ban: BanInForce) -> wire::Ban {
    wire::Ban { target: ban.target, reason: ban.reason, until_ms: ban.until.get() }
}
