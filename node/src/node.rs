//! The composition root: opens what the configuration names, starts every part, and drains them on a stop.

use std::{io, net::SocketAddr, path::PathBuf, process, sync::Arc};

use farthing::{
    Params,
    wire::{PEER_DESCRIPTORS, PUBLIC_DESCRIPTORS},
};
use tonic::service::Routes;
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

use crate::{
    config::Config,
    env::{DiskLock, Env, Listener, disk::read_whole},
    ready::{self, Ready},
    server::{MethodTable, ServerSettings, serve},
    tasks::{TaskFailure, Tasks},
};

/// Why a node does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be made.
    #[error("cannot create the data directory {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Another process uses the data directory.
    #[error("the data directory {} is in use by another farthing-node{}", path.display(), holder(*.pid))]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The other process, if it could be told.
        pid: Option<u32>,
    },
    /// The lock cannot be taken for another reason.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// The lock file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A listener cannot be bound.
    #[error("{option} = {address} cannot be bound")]
    Bind {
        /// The option that names it.
        option: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: io::Error,
    },
    /// The ready file cannot be written.
    #[error("cannot write the ready file {}", path.display())]
    ReadyFile {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    tasks: Tasks,
    params: Arc<Params>,
    rpc: SocketAddr,
    p2p: SocketAddr,
    lock: DiskLock,
}

impl Node {
    /// Starts a node. When this returns it serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(config: Config, env: Env) -> Result<Self, StartError> {
        let lock = lock(&config, &env)?;
        if let Some(path) = &config.ready_file {
            ready::clear(&**env.disk(), path).map_err(|source| StartError::ReadyFile { path: path.clone(), source })?;
        }
        let (rpc_listener, rpc) = bind(&env, "rpc-listen", config.rpc_listen).await?;
        let (p2p_listener, p2p) = bind(&env, "p2p-listen", config.p2p_listen).await?;
        let tasks = Tasks::new();
        let token = tasks.token().clone();
        let public = ServerSettings::public(MethodTable::new());
        tasks.spawn("rpc", serve(rpc_listener, base_routes(PUBLIC_DESCRIPTORS), public, token.clone()));
        let peers = ServerSettings::peers(MethodTable::new());
        tasks.spawn("p2p", serve(p2p_listener, base_routes(PEER_DESCRIPTORS), peers, token));
        let node = Self { tasks, params: Arc::clone(&config.params), rpc, p2p, lock };
        if let Some(path) = config.ready_file {
            let written = node.ready().write(&**env.disk(), &path);
            if let Err(source) = written {
                node.tasks.stop();
                return Err(StartError::ReadyFile { path, source });
            }
        }
        tracing::info!(network = %node.params.name, %rpc, %p2p, data_dir = %config.data_dir.display(), "serving");
        Ok(node)
    }

    /// Where the public API listens.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc
    }

    /// Where nodes are taken.
    pub fn p2p_address(&self) -> SocketAddr {
        self.p2p
    }

    /// The tasks, with which the node can be asked to stop.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// Waits until the node has stopped, by request or by a failure.
    ///
    /// # Errors
    /// The first failure.
    pub async fn wait(self) -> Result<(), TaskFailure> {
        let Self { tasks, lock, .. } = self;
        let outcome = tasks.supervise().await;
        // Held until nothing of this node can write any more.
        drop(lock);
        outcome
    }

    fn ready(&self) -> Ready {
        Ready {
            schema: 1,
            network: self.params.name.clone(),
            genesis_id: self.params.genesis_id().to_string(),
            pid: process::id(),
            version: env!("CARGO_PKG_VERSION"),
            rpc: self.rpc,
            p2p: self.p2p,
        }
    }
}

/// Makes the data directory and takes its lock; the lock file names the process for whoever comes second.
fn lock(config: &Config, env: &Env) -> Result<DiskLock, StartError> {
    let (disk, directory) = (&**env.disk(), &config.data_dir);
    disk.create_dir_all(directory).map_err(|source| StartError::DataDir { path: directory.clone(), source })?;
    let path = directory.join("lock");
    let failed = |source| StartError::Lock { path: path.clone(), source };
    let lock = match disk.try_lock(&path) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            let text = read_whole(disk, &path, 64).unwrap_or_default();
            let pid = String::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
            return Err(StartError::InUse { path: directory.clone(), pid });
        }
        Err(error) => return Err(failed(error)),
    };
    let file = disk.open(&path).map_err(failed)?;
    file.set_len(0).map_err(failed)?;
    file.write_all_at(0, format!("{}\n", process::id()).as_bytes()).map_err(failed)?;
    Ok(lock)
}

async fn bind(
    env: &Env,
    option: &'static str,
    address: SocketAddr,
) -> Result<(Box<dyn Listener>, SocketAddr), StartError> {
    let failed = |source| StartError::Bind { option, address, source };
    let listener = env.net().listen(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

/// Health, and reflection of the listener's own services, in both versions that clients use.
fn base_routes(descriptors: &'static [u8]) -> Routes {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(descriptors)
    };
    let (reporter, _) = tonic_health::server::health_reporter();
    Routes::new(HealthServer::new(HealthService::from_health_reporter(reporter)))
        .add_service(reflection().build_v1().expect("the build script wrote the descriptors"))
        .add_service(reflection().build_v1alpha().expect("the build script wrote the descriptors"))
}
