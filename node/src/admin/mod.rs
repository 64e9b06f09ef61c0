//! Looking after a running node: `farthing.admin.v1`, on a Unix socket that only the node's own user can open.
//!
//! It stands above peers, miner, chain and mempool, and gets their handles from the composition root. [`routes`] and
//! [`methods`] are what a listener needs to serve it.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use farthing::{
    Address, TimeMs,
    wire::{ADMIN_DESCRIPTORS, admin::admin_service_server::AdminServiceServer},
};
use tonic::service::Routes;

use crate::{
    chain::Chain,
    env::Env,
    mempool::Mempool,
    miner::Miner,
    peers::Network,
    server::{MethodPolicy, MethodTable, calls},
    tasks::Tasks,
};

mod error;
mod mining;
mod peers;
mod service;
mod status;

#[cfg(test)]
mod tests;

pub use error::{AdminError, AdminReason};
pub use mining::MAX_BLOCKS;

/// Name of the socket in the data directory.
pub const SOCKET_FILE: &str = "admin.sock";
/// Name of the file in the data directory that says where the socket is, when its own path does not fit a socket.
pub const SOCKET_PATH_FILE: &str = "admin.path";

/// Largest request.
const REQUEST: usize = 4 * 1024;
/// Largest answer: as many bans as there may be, each with the longest reason, have 3.6 MiB.
const ANSWER: usize = 8 * 1024 * 1024;
/// How long mining on request may take before the caller has to ask again.
const MINING_DEADLINE: Duration = Duration::from_secs(3_600);

/// What the service is made of.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The outside world.
    pub env: Env,
    /// The chain.
    pub chain: Chain,
    /// The mempool.
    pub mempool: Mempool,
    /// Sessions with other nodes.
    pub network: Network,
    /// The miner.
    pub miner: Miner,
    /// The group that a stop ends.
    pub tasks: Tasks,
    /// What does not change while the node runs.
    pub facts: Facts,
}

/// What does not change while a node runs.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Where its data is, as an absolute path.
    pub data_dir: PathBuf,
    /// Where the public API listens.
    pub rpc: SocketAddr,
    /// Where nodes are taken.
    pub p2p: SocketAddr,
    /// Where this service listens.
    pub socket: PathBuf,
    /// Whom it mines for by itself, if it does.
    pub mines_for: Option<Address>,
    /// When it began to serve, by the wall clock.
    pub started_at: TimeMs,
    /// The same by the steady clock.
    pub started: Duration,
}

/// The services of the admin listener, with reflection of its own.
///
/// # Errors
/// If the descriptors that this program was built with cannot be read.
pub fn routes(deps: Deps) -> Result<Routes, tonic_reflection::server::Error> {
    let reflect =
        || tonic_reflection::server::Builder::configure().register_encoded_file_descriptor_set(ADMIN_DESCRIPTORS);
    let service = AdminServiceServer::new(service::AdminApi::new(deps))
        .max_decoding_message_size(REQUEST)
        .max_encoding_message_size(ANSWER);
    Ok(Routes::new(service).add_service(reflect().build_v1()?).add_service(reflect().build_v1alpha()?))
}

/// What each method of the admin listener may cost.
#[must_use]
pub fn methods() -> MethodTable {
    // Bounded against mistakes, as the connections are: only the node's own user can call these.
    let many = calls(16, 1_000, 10_000);
    MethodTable::new()
        .with("/farthing.admin.v1.AdminService/ListPeers", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/AddPeer", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/RemovePeer", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/BanPeer", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/UnbanPeer", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/GetStatus", MethodPolicy::unary(REQUEST, many))
        .with("/farthing.admin.v1.AdminService/MineBlocks", MethodPolicy::wait(REQUEST, many, MINING_DEADLINE))
        .with("/farthing.admin.v1.AdminService/StopNode", MethodPolicy::unary(REQUEST, many))
}
