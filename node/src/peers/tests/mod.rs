//! Real nodes without a disk: chain, mempool and network of each in this process, over loopback.

mod checkpoint;
mod compact;
mod download;
mod finality;
mod finding;
mod hostile;
mod limits;
mod meeting;
mod mute;
mod operator;
mod spreading;
mod switch;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use farthing::{Height, Network as Known, Params, SignedTransaction};
use tokio::time::{Instant, sleep, timeout};

use self::switch::Switch;
use super::{BookStore, MemoryBookStore, Network, PeersConfig, PeersDeps, methods};
use crate::{
    chain::{self, Accepted, Bootstrap, BootstrapOptions, Chain, ChainView, Origin},
    config::HostPort,
    env::Env,
    mempool::{self, MemoryJournal, Mempool, PoolLimits, Source},
    server::{MethodTable, ServerSettings, serve},
    store::MemoryStore,
    tasks::Tasks,
    testing::{TestCheckpoint, dev, mine},
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A node.
struct Node {
    chain: Chain,
    mempool: Mempool,
    network: Network,
    tasks: Tasks,
    address: SocketAddr,
    switch: Switch,
}

/// What a node is made of.
struct Parts {
    network: Known,
    config: PeersConfig,
    book: Arc<dyn BookStore>,
    settings: chain::Settings,
    table: MethodTable,
    env: Env,
    /// How its chain begins with a checkpoint, if it is to.
    begin: Option<BootstrapOptions>,
    /// A checkpoint that it offers.
    gives: Option<TestCheckpoint>,
}

impl Default for Parts {
    fn default() -> Self {
        Self {
            network: Known::Dev,
            config: alone(),
            book: Arc::new(MemoryBookStore::default()),
            settings: chain::Settings::default(),
            table: methods(&dev()),
            env: Env::system().unwrap(),
            begin: None,
            gives: None,
        }
    }
}

/// Only sessions that the test asks for.
fn alone() -> PeersConfig {
    PeersConfig { outbound_target: 0, private_addresses: true, ..PeersConfig::default() }
}

/// Looks for peers by itself.
fn seeking() -> PeersConfig {
    PeersConfig { private_addresses: true, ..PeersConfig::default() }
}

impl Node {
    async fn start(config: PeersConfig) -> Self {
        Self::of(Known::Dev, config, Arc::default()).await
    }

    async fn of(network: Known, config: PeersConfig, store: Arc<MemoryBookStore>) -> Self {
        Self::with(network, config, store, chain::Settings::default()).await
    }

    /// A node that holds its peers to these limits.
    async fn limited_by(config: PeersConfig, table: MethodTable) -> Self {
        let settings = chain::Settings::default();
        Self::with_all(Known::Dev, config, Arc::new(MemoryBookStore::default()), settings, table).await
    }

    async fn with(network: Known, config: PeersConfig, store: Arc<dyn BookStore>, settings: chain::Settings) -> Self {
        Self::with_all(network, config, store, settings, methods(network.params())).await
    }

    async fn with_all(
        network: Known,
        config: PeersConfig,
        store: Arc<dyn BookStore>,
        settings: chain::Settings,
        table: MethodTable,
    ) -> Self {
        Self::build(Parts { network, config, book: store, settings, table, ..Parts::default() }).await
    }

    /// A node whose chain is to begin with a checkpoint.
    async fn to_begin(config: PeersConfig, env: Env, options: BootstrapOptions) -> Self {
        Self::build(Parts { config, env, begin: Some(options), ..Parts::default() }).await
    }

    async fn build(parts: Parts) -> Self {
        let Parts { network, config, book: store, settings, table, env, begin, gives } = parts;
        let params: Arc<Params> = Arc::new(network.params().clone());
        let switch = Switch::default();
        let env = env.with_net(switch.clone());
        let tasks = Tasks::new();
        let (blocks, _) = MemoryStore::new(&params);
        if let Some(TestCheckpoint { offer, hashes, pieces }) = gives {
            blocks.give(offer, hashes, pieces);
        }
        let view = ChainView::genesis(&params);
        let chain =
            chain::start(Arc::clone(&params), env.clone(), Arc::new(blocks), view, Vec::new(), settings, &tasks);
        let changes = chain.subscribe();
        let ledger = Arc::new(chain.clone());
        let journal = Arc::new(MemoryJournal::new());
        let pool = mempool::start(&tasks, env.clone(), Arc::clone(&params), PoolLimits::default(), ledger, journal);
        let mempool = pool.await.unwrap();
        let followed = mempool::follow(mempool.clone(), chain.clone(), changes, env.clone(), tasks.token().clone());
        tasks.spawn("mempool", followed);
        let listener = env.net().listen(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = PeersConfig { listen_port: Some(address.port()), ..config };
        let bootstrap = match begin {
            Some(options) => Bootstrap::start(&chain, "/data".into(), options).await.unwrap(),
            None => None,
        };
        let (chain_of, mempool_of, tasks_of) = (chain.clone(), mempool.clone(), tasks.clone());
        let deps = PeersDeps { env, chain: chain_of, mempool: mempool_of, tasks: tasks_of, store, bootstrap };
        let network = Network::start(deps, config).await;
        let routes = tonic::service::Routes::new(network.service());
        tasks.spawn("p2p", serve(listener, routes, ServerSettings::peers(table), tasks.token().clone()));
        Self { chain, mempool, network, tasks, address, switch }
    }

    fn target(&self) -> HostPort {
        self.address.to_string().parse().unwrap()
    }

    /// Keeps a session with another node, and waits for it.
    async fn connect(&self, other: &Self) {
        self.network.connect(other.target());
        self.meets(other).await;
    }

    async fn meets(&self, other: &Self) {
        let has = |one: &Self, two: &Self| one.network.peers().iter().any(|peer| peer.node_id == two.network.node_id());
        eventually("the nodes have a session", || has(self, other) && has(other, self)).await;
    }

    /// Mines blocks on the tip. `mark` makes branches differ.
    async fn mine(&self, blocks: u64, mark: u8) {
        for _ in 0..blocks {
            let block = mine(self.chain.params(), &self.chain.view(), Vec::new(), mark);
            assert_eq!(self.chain.submit_block(block, Origin::Mined).await.unwrap(), Accepted::Connected);
        }
    }

    fn height(&self) -> u64 {
        self.chain.view().tip.height().get()
    }

    async fn reaches(&self, height: u64) {
        let mut views = self.chain.watch();
        let reached = views.wait_for(|view| view.tip.height() >= Height::new(height));
        let reached = timeout(PATIENCE, reached).await.map(|view| view.is_ok());
        assert_eq!(reached, Ok(true), "height {} instead of {height}", self.height());
    }

    async fn agrees_with(&self, other: &Self) {
        eventually("the nodes agree on a tip", || self.chain.view().tip.id() == other.chain.view().tip.id()).await;
        assert_eq!(self.chain.view().accounts.root(), other.chain.view().accounts.root());
    }

    async fn submit(&self, transactions: Vec<SignedTransaction>) {
        for verdict in self.mempool.submit(transactions, Source::Rpc).await {
            verdict.unwrap();
        }
    }

    async fn pools(&self, transactions: usize) {
        let mut stats = self.mempool.watch();
        let reached = stats.wait_for(|stats| stats.executable >= transactions);
        let reached = timeout(PATIENCE, reached).await.map(|stats| stats.is_ok());
        assert_eq!(reached, Ok(true), "{} transactions instead of {transactions}", self.mempool.stats().executable);
    }

    async fn stop(self) {
        self.tasks.stop();
        self.tasks.supervise().await.unwrap();
    }
}

/// Nodes A-B-C-..., each dialled by the one before it.
async fn line(count: usize) -> Vec<Node> {
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let node = Node::start(alone()).await;
        if let Some(last) = nodes.last() {
            last.connect(&node).await;
        }
        nodes.push(node);
    }
    nodes
}

/// Waits for a condition, with a deadline.
async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {} s: {what}", PATIENCE.as_secs());
        sleep(Duration::from_millis(5)).await;
    }
}
