//! The composition root: opens what the configuration names, starts every part, and drains them on a stop.

mod admin_socket;
mod error;
mod progress;
mod saved_book;
mod surroundings;

#[cfg(test)]
mod limits_page;

use std::{
    convert::Infallible,
    io::{self, IsTerminal as _},
    net::SocketAddr,
    num::NonZeroUsize,
    path::{Path, PathBuf, absolute},
    process,
    sync::Arc,
};

use farthing::{Address, Network as KnownNetwork, Params, wire::PEER_DESCRIPTORS};
use farthing_consensus::HeaderContext;
use tonic::service::Routes;
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

pub(crate) use self::admin_socket::locate;
pub use self::error::StartError;
pub(crate) use self::progress::Shown;
use self::{saved_book::SavedBook, surroundings::Surroundings};
use crate::{
    admin,
    chain::{self, Bootstrap, BootstrapOptions, Chain, ChainView},
    config::{Config, Panels, SyncMode},
    env::{DiskLock, Env, Listener, LocalSocket, disk::read_whole},
    mempool::{self, DiskJournal, Mempool, PoolJournal, PoolLimits, StartingLedger},
    miner::{self, Miner, Policy, Reward},
    panel,
    peers::{self, Network, PeersConfig, PeersDeps},
    ready::{self, Ready},
    rpc,
    server::{ServerSettings, serve},
    store::{DiskStore, IndexPlace, Recovered, Store, StoreOptions},
    tasks::{TaskFailure, Tasks},
};

/// A running node.
#[derive(Debug)]
pub struct Node {
    tasks: Tasks,
    params: Arc<Params>,
    rpc: SocketAddr,
    p2p: SocketAddr,
    admin: Option<PathBuf>,
    data_dir: PathBuf,
    env: Env,
    lock: Arc<DiskLock>,
    store: Arc<dyn Store>,
    chain: Chain,
    mempool: Mempool,
    miner: Miner,
    network: Network,
}

/// The listeners, bound before anything is opened: a busy port is told at once.
struct Listeners {
    rpc: (Box<dyn Listener>, SocketAddr),
    p2p: (Box<dyn Listener>, SocketAddr),
    admin: Option<LocalSocket>,
}

impl Node {
    /// Starts a node. When this returns it serves.
    ///
    /// # Errors
    /// See [`StartError`]; nothing keeps running then.
    pub async fn start(config: Config, env: Env) -> Result<Self, StartError> {
        let lock = Arc::new(lock(&config, &env)?);
        if let Some(path) = &config.ready_file {
            ready::clear(&**env.disk(), path).map_err(|source| StartError::ReadyFile { path: path.clone(), source })?;
        }
        let listeners = Listeners {
            rpc: bind(&env, "rpc-listen", config.rpc_listen).await?,
            p2p: bind(&env, "p2p-listen", config.p2p_listen).await?,
            admin: admin_socket::listen(&config, &env).await?,
        };
        let opened = open(&config, &env).await?;
        let tasks = Tasks::new();
        match Self::assemble(&config, env, listeners, opened, Arc::clone(&lock), &tasks).await {
            Ok(node) => Ok(node),
            Err(error) => {
                tasks.stop();
                // What stopped it is the error at hand; how the rest ended adds nothing.
                let _ = tasks.supervise().await;
                // Held until nothing of this node can write any more.
                drop(lock);
                Err(error)
            }
        }
    }

    /// Starts the parts, each on the handles of those below it.
    async fn assemble(
        config: &Config,
        env: Env,
        listeners: Listeners,
        opened: Opened,
        lock: Arc<DiskLock>,
        tasks: &Tasks,
    ) -> Result<Self, StartError> {
        let Listeners { rpc: (rpc_listener, rpc), p2p: (p2p_listener, p2p), admin: admin_socket } = listeners;
        let Opened { store, view, candidates, journal } = opened;
        start_store_threads(&env, &store, tasks)?;
        let store: Arc<dyn Store> = store;
        let params = Arc::clone(&config.params);
        let recovered = Arc::new(view.clone());
        let chain = chain::start(
            Arc::clone(&params),
            env.clone(),
            Arc::clone(&store),
            view,
            candidates,
            chain_settings(config),
            tasks,
        );
        let mempool = start_mempool(config, &env, &chain, recovered, journal, tasks).await?;
        let peers = PeersDeps {
            env: env.clone(),
            chain: chain.clone(),
            mempool: mempool.clone(),
            tasks: tasks.clone(),
            store: Arc::new(saved_book(config, &env, &store).await),
            bootstrap: bootstrap(config, &chain).await?,
        };
        let miner = start_miner(config, &env, &chain, &mempool, tasks)?;
        if shows_panels(config.panels) {
            tasks.spawn("panels", panel::print(Arc::clone(&params), chain.subscribe(), tasks.token().clone()));
        }
        let network = Network::start(peers, peers_config(config, p2p)).await;
        let surroundings = Surroundings::new(network.clone(), config.mining.is_some());
        let limits = listener_limits(config, &params, &network);
        let deps = rpc::Deps {
            chain: chain.clone(),
            mempool: mempool.clone(),
            env: env.clone(),
            network: Arc::new(surroundings),
            shown_blocks: Arc::default(),
            listeners: limits.clone(),
            tasks: tasks.clone(),
        };
        let token = tasks.token().clone();
        let routes = rpc::routes(&deps).await.map_err(StartError::Reflection)?;
        tasks.spawn("rpc", serve(rpc_listener, routes, limits.public, token.clone()));
        let routes = peer_routes(&network)?;
        tasks.spawn("p2p", serve(p2p_listener, routes, limits.peers, token));
        let admin = admin_socket.as_ref().map(|socket| socket.path.clone());
        let data_dir = config.data_dir.clone();
        let node = Self {
            tasks: tasks.clone(),
            params,
            rpc,
            p2p,
            admin,
            data_dir,
            env,
            lock,
            store,
            chain,
            mempool,
            miner,
            network,
        };
        if let Some(socket) = admin_socket {
            node.serve_admin(socket, config.mining.as_ref().map(|mining| mining.address))?;
        }
        if let Some(path) = &config.ready_file {
            let written = node.ready().write(&**node.env.disk(), path);
            written.map_err(|source| StartError::ReadyFile { path: path.clone(), source })?;
        }
        let data_dir = config.data_dir.display();
        tracing::info!(network = %node.params.name, %rpc, %p2p, %data_dir, "serving");
        Ok(node)
    }

    /// Lets the operator look after the node.
    fn serve_admin(&self, socket: LocalSocket, mines_for: Option<Address>) -> Result<(), StartError> {
        let data_dir =
            absolute(&self.data_dir).map_err(|source| StartError::DataDir { path: self.data_dir.clone(), source })?;
        let facts = admin::Facts {
            data_dir,
            rpc: self.rpc,
            p2p: self.p2p,
            socket: socket.path,
            mines_for,
            started_at: self.env.clock().now(),
            started: self.env.clock().elapsed(),
        };
        let routes = admin::routes(admin::Deps {
            env: self.env.clone(),
            chain: self.chain.clone(),
            mempool: self.mempool.clone(),
            network: self.network.clone(),
            miner: self.miner.clone(),
            tasks: self.tasks.clone(),
            facts,
        });
        let routes = routes.map_err(StartError::Reflection)?;
        let settings = ServerSettings::admin(admin::methods());
        self.tasks.spawn("admin", serve(socket.listener, routes, settings, self.tasks.token().clone()));
        Ok(())
    }

    /// Where the public API listens.
    pub fn rpc_address(&self) -> SocketAddr {
        self.rpc
    }

    /// Where nodes are taken.
    pub fn p2p_address(&self) -> SocketAddr {
        self.p2p
    }

    /// Where the admin socket is, if the environment has such sockets.
    pub fn admin_socket(&self) -> Option<&Path> {
        self.admin.as_deref()
    }

    /// The tasks, with which the node can be asked to stop.
    pub fn tasks(&self) -> &Tasks {
        &self.tasks
    }

    /// The chain.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }

    /// The mempool.
    pub fn mempool(&self) -> &Mempool {
        &self.mempool
    }

    /// The miner, also when this node does not mine by itself.
    pub fn miner(&self) -> &Miner {
        &self.miner
    }

    /// Sessions with other nodes.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// Waits until the node has stopped, by request or by a failure.
    ///
    /// # Errors
    /// The first failure.
    pub async fn wait(self) -> Result<(), TaskFailure> {
        let Self { tasks, lock, store, env, data_dir, .. } = self;
        let outcome = tasks.supervise().await;
        // Everything acknowledged is on disk already; a clean end only makes the next start quicker.
        if let Err(error) = store.close() {
            tracing::warn!(%error, "the store did not close cleanly; the next start will check it");
        }
        admin_socket::forget(&**env.disk(), &data_dir);
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
            admin: self.admin.clone(),
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

/// What is found in the data directory.
struct Opened {
    store: Arc<DiskStore>,
    view: ChainView,
    candidates: Vec<HeaderContext>,
    journal: Arc<dyn PoolJournal>,
}

/// Opens the chain, off the async threads: after a crash it may take a while.
async fn open(config: &Config, env: &Env) -> Result<Opened, StartError> {
    let (params, dir, inner) = (Arc::clone(&config.params), config.data_dir.clone(), env.clone());
    let options = StoreOptions {
        transaction_index: config.transaction_index,
        index_cache_bytes: config.index_cache_bytes,
        // sled opens its files by itself, past the environment.
        index: if env.disk().is_the_machines() { IndexPlace::Sled } else { IndexPlace::Memory },
        checkpoints: config.checkpoints,
        ..StoreOptions::default()
    };
    env.compute()
        .run_blocking(move || {
            let shown = Shown::new(&inner);
            let opened = DiskStore::open(Arc::clone(&params), &inner, &dir, options, &|progress| shown.log(progress));
            let (store, recovered) = opened.map_err(|source| StartError::Store { path: dir.clone(), source })?;
            // Half of what the log keeps free: the index, whose failure stops the node, can still be written when
            // neither blocks nor transfers are taken any more.
            let journal =
                DiskJournal::open(Arc::clone(inner.disk()), &dir, *params.genesis_id(), options.reserve_bytes / 2);
            let journal = journal.map_err(StartError::Journal)?;
            let Recovered { view, candidates } = recovered;
            Ok(Opened { store, view, candidates, journal: Arc::new(journal) })
        })
        .await
}

/// Reads the address book and the bans, off the async threads.
async fn saved_book(config: &Config, env: &Env, index: &Arc<dyn Store>) -> SavedBook {
    let (disk, dir, index) = (Arc::clone(env.disk()), config.data_dir.clone(), Arc::clone(index));
    env.compute().run_blocking(move || SavedBook::open(disk, &dir, &*index)).await
}

fn chain_settings(config: &Config) -> chain::Settings {
    chain::Settings { keys: config.key_cache, finality_depth: config.finality_depth, ..chain::Settings::default() }
}

/// What the store does behind its callers. Where there are no threads, they do it themselves.
fn start_store_threads(env: &Env, store: &Arc<DiskStore>, tasks: &Tasks) -> Result<(), StartError> {
    if !env.compute().has_threads() {
        return Ok(());
    }
    let behind = Arc::clone(store);
    tasks.spawn_thread("index writer", move |token| behind.write_behind(&token)).map_err(StartError::Threads)?;
    let checkpoints = Arc::clone(store);
    let write_checkpoints = move |_| {
        checkpoints.write_checkpoints();
        Ok::<_, Infallible>(())
    };
    tasks.spawn_thread("checkpoints", write_checkpoints).map_err(StartError::Threads)
}

/// What a node with an empty data directory does first if it is to begin with a checkpoint.
async fn bootstrap(config: &Config, chain: &Chain) -> Result<Option<Bootstrap>, StartError> {
    let failed = |source| StartError::Store { path: config.data_dir.clone(), source };
    let SyncMode::Checkpoint { depth, minimum_work } = config.sync else {
        return chain::forget_headers(chain, &config.data_dir).map(|()| None).map_err(failed);
    };
    let reserve_bytes = StoreOptions::default().reserve_bytes;
    let options = BootstrapOptions { depth, minimum_work, reserve_bytes };
    let started = Bootstrap::start(chain, config.data_dir.clone(), options).await;
    started.map_err(failed)
}

async fn start_mempool(
    config: &Config,
    env: &Env,
    chain: &Chain,
    recovered: Arc<ChainView>,
    journal: Arc<dyn PoolJournal>,
    tasks: &Tasks,
) -> Result<Mempool, StartError> {
    let changes = chain.subscribe();
    let limits = PoolLimits::of_bytes(usize::try_from(config.mempool_bytes).unwrap_or(usize::MAX));
    let params = Arc::clone(&config.params);
    let ledger = Arc::new(StartingLedger::new(chain.clone(), recovered, config.transaction_index));
    let mempool = mempool::start(tasks, env.clone(), params, limits, ledger, journal).await;
    let mempool = mempool.map_err(StartError::Journal)?;
    let token = tasks.token().clone();
    tasks.spawn("mempool chain", mempool::follow(mempool.clone(), chain.clone(), changes, env.clone(), token));
    Ok(mempool)
}

fn start_miner(
    config: &Config,
    env: &Env,
    chain: &Chain,
    mempool: &Mempool,
    tasks: &Tasks,
) -> Result<Miner, StartError> {
    let policy = config.mining.as_ref().map(|mining| Policy {
        reward: Reward { to: mining.address, tag: concat!("farthing ", env!("CARGO_PKG_VERSION")).into() },
        when: mining.when,
        max: mining.max,
        wait: mining.wait,
    });
    let threads = config.mining.as_ref().map_or(NonZeroUsize::MIN, |mining| mining.threads);
    miner::start(tasks, env.clone(), chain.clone(), mempool.clone(), policy, threads).map_err(StartError::Threads)
}

fn shows_panels(panels: Panels) -> bool {
    match panels {
        Panels::On => true,
        Panels::Off => false,
        Panels::Auto => io::stdout().is_terminal(),
    }
}

fn peers_config(config: &Config, p2p: SocketAddr) -> PeersConfig {
    PeersConfig {
        connect: config.connect.clone(),
        add: config.add_peer.clone(),
        discovery: !config.no_discovery,
        discover: config.discover.clone(),
        seeds: config.seed_dns.iter().map(|seed| seed.target().clone()).collect(),
        listen_port: Some(p2p.port()),
        compact_relay: config.compact_relay,
        // Only the two public networks span the Internet; dev and private ones live on private addresses.
        private_addresses: ![KnownNetwork::Main, KnownNetwork::Test].iter().any(|n| n.params() == &*config.params),
        ..PeersConfig::default()
    }
}

/// What the two listeners that strangers reach enforce, and tell of.
fn listener_limits(config: &Config, params: &Params, network: &Network) -> rpc::Listeners {
    let peers = ServerSettings { unwanted: network.banned_hosts(), ..ServerSettings::peers(peers::methods(params)) };
    let public = ServerSettings { web: config.web.clone(), ..ServerSettings::public(rpc::methods(params)) };
    rpc::Listeners { public, peers }
}

/// The peer service with health, and reflection of its own services, in both versions that clients use.
fn peer_routes(network: &Network) -> Result<Routes, StartError> {
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(PEER_DESCRIPTORS)
    };
    let (reporter, _) = tonic_health::server::health_reporter();
    Ok(Routes::new(network.service())
        .add_service(HealthServer::new(HealthService::from_health_reporter(reporter)))
        .add_service(reflection().build_v1().map_err(StartError::Reflection)?)
        .add_service(reflection().build_v1alpha().map_err(StartError::Reflection)?))
}
