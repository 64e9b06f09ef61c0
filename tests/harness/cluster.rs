//! Several whole nodes in this process, each with its own data directory, joined by a [`Fabric`].

use std::sync::Arc;

use farthing::{Address, BlockId, Params};
use farthing_consensus::HeaderContext;
use farthing_node::{
    chain::Chain,
    config::Config,
    env::{Clock as _, Env, SeededRandom},
    mempool::Mempool,
    node::Node,
};
use tempfile::TempDir;

use super::{api::Api, clock::SkewedClock, fabric::Fabric, ledger, link::Quality, until};

/// Nodes, numbered from 0.
pub(crate) struct Cluster {
    pub(crate) params: Arc<Params>,
    pub(crate) fabric: Fabric,
    nodes: Vec<Node>,
    clocks: Vec<SkewedClock>,
    _folders: TempDir,
}

impl Cluster {
    /// Starts nodes, each told of those before it that it can dial, and waits until these are connected.
    pub(crate) async fn start(
        params: Arc<Params>,
        count: usize,
        links: impl Fn(usize, usize) -> bool + Clone + Send + 'static,
    ) -> Self {
        let cluster = Self::over(params, count, Quality::default(), links.clone()).await;
        for at in 0..count {
            let linked = (0..count).filter(|other| *other != at && links(*other, at)).count();
            cluster.connected(at, linked).await;
        }
        cluster
    }

    /// The same over links that may be bad, and without waiting for connections.
    pub(crate) async fn over(
        params: Arc<Params>,
        count: usize,
        quality: Quality,
        links: impl Fn(usize, usize) -> bool + Clone + Send + 'static,
    ) -> Self {
        let folders = tempfile::tempdir().expect("a temporary folder");
        let fabric = Fabric::new(links.clone());
        fabric.set_all(quality);
        let mut nodes: Vec<Node> = Vec::new();
        let clocks: Vec<SkewedClock> = std::iter::repeat_with(SkewedClock::default).take(count).collect();
        for (at, clock) in clocks.iter().enumerate() {
            let folder = folders.path().join(format!("node{at}"));
            let known = (0..at).filter(|before| links(at, *before));
            let mut config = Config::on_loopback(Arc::clone(&params), folder);
            config.connect = known
                .map(|before| nodes[before].p2p_address().to_string().parse().expect("an address is host and port"))
                .collect();
            let env = Env::system().expect("threads").with_net(fabric.net_of(at));
            let env = env.with_random(SeededRandom::new(0xfa57 + at as u64)).with_clock(clock.clone());
            nodes.push(Node::start(config, env).await.unwrap_or_else(|error| panic!("node {at}: {error}")));
        }
        Self { params, fabric, nodes, clocks, _folders: folders }
    }

    pub(crate) fn node(&self, at: usize) -> &Node {
        &self.nodes[at]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn chain(&self, at: usize) -> &Chain {
        self.nodes[at].chain()
    }

    pub(crate) fn mempool(&self, at: usize) -> &Mempool {
        self.nodes[at].mempool()
    }

    pub(crate) fn tip(&self, at: usize) -> HeaderContext {
        self.chain(at).view().tip
    }

    pub(crate) async fn api(&self, at: usize) -> Api {
        Api::connect(&self.params, self.nodes[at].rpc_address()).await
    }

    /// A node's clock.
    pub(crate) fn clock(&self, at: usize) -> &SkewedClock {
        &self.clocks[at]
    }

    /// Mines what waits at a node, by the node's clock.
    pub(crate) async fn mine(&self, at: usize, to: Address) -> HeaderContext {
        ledger::mine_waiting(self.chain(at), self.mempool(at), to, self.clocks[at].now()).await
    }

    /// Waits until a node has exactly so many peers.
    pub(crate) async fn connected(&self, at: usize, peers: usize) {
        let network = self.nodes[at].network();
        until(&format!("node {at} has {peers} peers"), || match network.peers().len() {
            found if found == peers => Ok(()),
            found => Err(format!("{found}")),
        })
        .await;
    }

    /// Waits until these nodes have this tip.
    pub(crate) async fn agree_on(&self, nodes: &[usize], tip: BlockId) {
        until(&format!("nodes {nodes:?} agree on {tip}"), || {
            let tips: Vec<_> = nodes.iter().map(|at| self.tip(*at)).collect();
            if tips.iter().all(|found| found.id() == tip) {
                return Ok(());
            }
            Err(tips.iter().map(|found| format!("{} at {}; ", found.id(), found.height())).collect())
        })
        .await;
    }

    /// Waits until these nodes have one tip, whichever, with at least as much work as this one.
    pub(crate) async fn settle(&self, nodes: &[usize], least: &HeaderContext) -> HeaderContext {
        until(&format!("nodes {nodes:?} agree on a branch as good as that of {}", least.id()), || {
            let tips: Vec<_> = nodes.iter().map(|at| self.tip(*at)).collect();
            if tips.iter().all(|found| found.id() == tips[0].id() && found.total_work() >= least.total_work()) {
                return Ok(tips[0]);
            }
            Err(tips.iter().map(|found| format!("{} at {}; ", found.id(), found.height())).collect())
        })
        .await
    }

    /// Stops every node and checks that none of them had failed.
    pub(crate) async fn stop(self) {
        for node in &self.nodes {
            node.tasks().stop();
        }
        for (at, node) in self.nodes.into_iter().enumerate() {
            node.wait().await.unwrap_or_else(|error| panic!("node {at}: {error}"));
        }
    }
}
