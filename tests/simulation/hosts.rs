//! The simulated nodes: each a whole node on its own disk, network and clock, and somebody who watches it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use farthing::{Address, BlockId, Hash, Mites, Params, Work};
use farthing_node::{
    chain::{Chain, ChainView},
    config::{Config, MiningConfig},
    env::{Env, MemDisk, SeededRandom},
    mempool::Mempool,
    miner::{Miner, Reward},
    node::Node,
    peers::Network,
    tasks::{self, Tasks},
};
use tokio::{
    sync::{Notify, mpsc},
    time::{sleep, timeout},
};

use crate::{
    env::{Machine, Machines, SimClock, SimNet, SimTime, Sockets},
    plan::{NodePlan, Plan},
    trace::Trace,
    wallet::{Ledger, short},
};

/// Where every node listens.
pub(crate) const RPC_PORT: u16 = 50_051;
pub(crate) const P2P_PORT: u16 = 50_061;
/// How often a node's peers are looked at, even if nothing seems to have changed.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// What all of a simulation share.
pub(crate) struct Hosts {
    pub(crate) seed: u64,
    pub(crate) params: Arc<Params>,
    pub(crate) time: SimTime,
    pub(crate) machines: Machines,
    pub(crate) trace: RefCell<Trace>,
    pub(crate) ledger: RefCell<Ledger>,
    nodes: Vec<Host>,
    failures: RefCell<Vec<String>>,
    /// What the ledger is at a block, as the first node found it.
    ledgers: RefCell<BTreeMap<BlockId, (Hash, Mites)>>,
    /// When a block joined the best chain of each node, the first time.
    pub(crate) arrivals: RefCell<BTreeMap<BlockId, BTreeMap<usize, Duration>>>,
}

/// One machine.
pub(crate) struct Host {
    plan: NodePlan,
    pub(crate) disk: MemDisk,
    pub(crate) clock: SimClock,
    boots: Cell<u64>,
    /// What runs on it.
    running: RefCell<Option<Handles>>,
    /// The process on it is about to die: nothing that it does counts any more.
    dying: Cell<bool>,
    dies: Notify,
    /// The drive is failing: the node may.
    drive_fails: Cell<bool>,
    /// The disk is full: the node need not start.
    pub(crate) is_full: Cell<bool>,
    /// Work of the best tip that it ever showed.
    best: Cell<Work>,
}

/// Handles of a running node.
#[derive(Clone)]
pub(crate) struct Handles {
    pub(crate) chain: Chain,
    pub(crate) mempool: Mempool,
    pub(crate) network: Network,
    pub(crate) tasks: Tasks,
    /// Asks for blocks, and a pause behind each.
    pub(crate) mine: mpsc::UnboundedSender<(usize, Duration)>,
}

impl Hosts {
    pub(crate) fn new(plan: &Plan, params: Arc<Params>, trace: Trace) -> Self {
        let time = SimTime::default();
        let host = |node: &NodePlan| Host {
            plan: node.clone(),
            disk: MemDisk::new(),
            clock: SimClock::new(time.clone(), node.skew_ms),
            boots: Cell::new(0),
            running: RefCell::default(),
            dying: Cell::new(false),
            dies: Notify::new(),
            drive_fails: Cell::new(false),
            is_full: Cell::new(false),
            best: Cell::new(Work::ZERO),
        };
        Self {
            seed: plan.seed,
            params,
            nodes: plan.nodes.iter().map(host).collect(),
            time,
            machines: Machines::default(),
            trace: RefCell::new(trace),
            ledger: RefCell::default(),
            failures: RefCell::default(),
            ledgers: RefCell::default(),
            arrivals: RefCell::default(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn host(&self, at: usize) -> &Host {
        &self.nodes[at]
    }

    /// Bytes of memory that the simulated disks take.
    pub(crate) fn bytes_of_disks(&self) -> u64 {
        self.nodes.iter().map(|host| host.disk.held()).sum()
    }

    /// Blocks on the best chains of all running nodes.
    pub(crate) fn blocks(&self) -> u64 {
        let chains = self.nodes.iter().filter_map(|host| Some(host.running.borrow().as_ref()?.chain.view()));
        chains.map(|view| view.tip.height().get()).sum()
    }

    /// The address of a node's machine: each in a network of its own, as the limits per network expect.
    #[expect(clippy::unused_self, reason = "reads as the other questions do")]
    pub(crate) fn address(&self, at: usize) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, u8::try_from(at).expect("few nodes"), 0, 1))
    }

    /// The network of a new process.
    pub(crate) fn net(&self) -> SimNet {
        SimNet { machines: self.machines.clone(), sockets: Sockets::default() }
    }

    /// What runs on a machine.
    pub(crate) fn handles(&self, at: usize) -> Option<Handles> {
        self.nodes[at].running.borrow().clone()
    }

    /// The process on a machine is killed: its connections are closed within the next step, and then it can be dropped.
    pub(crate) fn die(&self, at: usize) {
        self.nodes[at].dying.set(true);
        self.nodes[at].dies.notify_one();
        self.went_down(at);
    }

    /// Whether a node may fail because its drive does.
    pub(crate) fn set_drive_fails(&self, at: usize, fails: bool) {
        self.nodes[at].drive_fails.set(fails);
    }

    /// Forgets what ran on a machine.
    pub(crate) fn went_down(&self, at: usize) {
        self.nodes[at].running.borrow_mut().take();
        self.machines.set(self.address(at), Machine::Refuses);
    }

    pub(crate) fn note(&self, at: usize, what: fmt::Arguments<'_>) {
        if self.nodes[at].dying.get() {
            return;
        }
        self.trace.borrow_mut().note(self.time.now(), &format!("node {at}"), what);
    }

    pub(crate) fn note_world(&self, what: fmt::Arguments<'_>) {
        self.trace.borrow_mut().note(self.time.now(), "world", what);
    }

    /// A property does not hold.
    pub(crate) fn fail(&self, what: String) {
        self.note_world(format_args!("FAILED: {what}"));
        self.failures.borrow_mut().push(what);
    }

    pub(crate) fn failures(&self) -> Vec<String> {
        self.failures.borrow().clone()
    }

    fn config(&self, at: usize) -> Config {
        let plan = &self.nodes[at].plan;
        let any = |port| SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
        let mut config = Config::on_loopback(Arc::clone(&self.params), PathBuf::from("/node"));
        (config.rpc_listen, config.p2p_listen) = (any(RPC_PORT), any(P2P_PORT));
        let peer = |other: &usize| format!("{}:{P2P_PORT}", self.address(*other)).parse().expect("host and port");
        config.connect = plan.connect.iter().map(peer).collect();
        config.no_discovery = !plan.discovers;
        config.mining = plan.mines.then(|| MiningConfig {
            address: Address::from_bytes([0x80 + u8::try_from(at).expect("few nodes"); 32]),
            threads: std::num::NonZeroUsize::MIN,
            when: 0,
            max: None,
            wait: None,
        });
        config
    }

    /// The world of a node, new at each start but for the disk.
    fn env(&self, at: usize, net: SimNet) -> Env {
        let host = &self.nodes[at];
        let boot = host.boots.replace(host.boots.get() + 1);
        let random = self.seed.wrapping_mul(1_000_003).wrapping_add(at as u64 * 1_009 + boot * 7);
        Env::in_place(host.clock.clone(), SeededRandom::new(random), net, host.disk.clone())
    }

    /// A node shows a tip: the properties that hold of every tip.
    fn saw_tip(&self, at: usize, view: &ChainView) {
        let (tip, host) = (&view.tip, &self.nodes[at]);
        if host.dying.get() {
            return;
        }
        if tip.total_work() < host.best.get() {
            self.fail(format!("node {at} went back to height {} with less work than it had", tip.height()));
        }
        host.best.set(tip.total_work());
        let (root, supply) = (view.accounts.root(), view.supply);
        let mut ledgers = self.ledgers.borrow_mut();
        let first = *ledgers.entry(tip.id()).or_insert((root, supply));
        if first != (root, supply) {
            self.fail(format!("node {at} has another ledger at block {} than others", tip.id()));
        }
        let balances = view.accounts.iter().map(|(_, entry)| entry.account.balance);
        let immature = view.immature.iter().map(|coinbase| coinbase.amount);
        if Mites::checked_sum(balances.chain(immature)) != Some(supply) {
            self.fail(format!("node {at}: balances at block {} do not add up to the supply {supply}", tip.id()));
        }
    }

    /// What a node holds against its peers: nothing, for all of them are honest.
    fn saw_standing(&self, at: usize, network: &Network) {
        if self.nodes[at].dying.get() {
            return;
        }
        let (bans, scores) = (network.bans(), network.scores());
        let liars = bans.iter().filter(|(whom, ..)| is_liar(whom)).count();
        self.trace.borrow_mut().most("liars banned by a node", liars as u64);
        for (whom, _, why) in bans.into_iter().filter(|(whom, ..)| !is_liar(whom)) {
            self.fail(format!("node {at} banned the honest {whom}: {why}"));
        }
        for (whom, points) in scores.into_iter().filter(|(whom, _)| !is_liar(whom)) {
            self.fail(format!("node {at} holds {points} points against the honest {whom}"));
        }
    }
}

/// Where liars are.
const LIARS: u8 = 240;

/// The address of a liar.
pub(crate) fn liar_address(liar: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(10, LIARS + u8::try_from(liar).expect("few liars"), 0, 1))
}

fn is_liar(whom: &str) -> bool {
    whom.strip_prefix("10.").and_then(|rest| rest.split('.').next()?.parse().ok()).is_some_and(|net: u8| net >= LIARS)
}

/// What a machine runs, from a start of the node to its end.
pub(crate) async fn software(hosts: Rc<Hosts>, at: usize) -> turmoil::Result {
    let (host, net) = (&hosts.nodes[at], hosts.net());
    let sockets = net.sockets.clone();
    host.dying.set(false);
    tokio::select! {
        biased;
        () = host.dies.notified() => {}
        () = run_node(&hosts, at, net) => {}
    }
    sockets.close();
    // Software that ends could not be crashed or started again.
    std::future::pending().await
}

/// Runs a node until it is stopped.
async fn run_node(hosts: &Rc<Hosts>, at: usize, net: SimNet) {
    match Node::start(hosts.config(at), hosts.env(at, net)).await {
        Err(error) if hosts.nodes[at].is_full.get() => {
            hosts.note(at, format_args!("does not start: {}", tasks::Chain(&error)));
        }
        Err(error) => hosts.fail(format!("node {at} does not start: {}", tasks::Chain(&error))),
        Ok(node) => {
            let (mine, requests) = mpsc::unbounded_channel();
            tokio::task::spawn_local(mine_on_request(node.miner().clone(), requests));
            let handles = Handles {
                chain: node.chain().clone(),
                mempool: node.mempool().clone(),
                network: node.network().clone(),
                tasks: node.tasks().clone(),
                mine,
            };
            hosts.machines.set(hosts.address(at), Machine::Listens);
            tokio::task::spawn_local(watch_chain(Rc::clone(hosts), at, handles.chain.clone()));
            tokio::task::spawn_local(watch_peers(Rc::clone(hosts), at, handles.network.clone()));
            *hosts.nodes[at].running.borrow_mut() = Some(handles);
            let outcome = node.wait().await;
            if hosts.nodes[at].dying.get() {
                return;
            }
            hosts.went_down(at);
            match outcome {
                Ok(()) => hosts.note(at, format_args!("stopped")),
                Err(failure) if hosts.nodes[at].drive_fails.get() => {
                    hosts.note(at, format_args!("gives up: {}", tasks::Chain(&failure)));
                }
                Err(failure) => hosts.fail(format!("node {at} failed: {}", tasks::Chain(&failure))),
            }
        }
    }
}

async fn watch_chain(hosts: Rc<Hosts>, at: usize, chain: Chain) {
    let mut changes = chain.subscribe();
    let view = chain.view();
    hosts.note(at, format_args!("starts at {} {}", view.tip.height(), short(&view.tip.id())));
    hosts.saw_tip(at, &view);
    loop {
        match changes.next().await {
            Ok(None) => return,
            Err(lagged) => hosts.fail(format!("node {at}: nobody could follow its chain: {lagged}")),
            Ok(Some(change)) => {
                let (tip, depth) = (&change.view.tip, change.depth());
                let transfers: usize = change.applied.iter().map(|block| block.tx_ids.len()).sum();
                let id = short(&tip.id());
                hosts.note(at, format_args!("tip {} {id}, {depth} undone, {transfers} transfers", tip.height()));
                hosts.saw_tip(at, &change.view);
                for block in &change.applied {
                    hosts
                        .arrivals
                        .borrow_mut()
                        .entry(block.id)
                        .or_default()
                        .entry(at)
                        .or_insert_with(|| hosts.time.now());
                }
                let mut trace = hosts.trace.borrow_mut();
                trace.add("transfers mined, over all nodes", transfers as u64);
                trace.count("changes of a tip");
                trace.most("height", tip.height().get());
                if depth > 0 {
                    trace.count("reorganisations");
                    trace.most("depth of a reorganisation", depth);
                }
            }
        }
    }
}

async fn mine_on_request(miner: Miner, mut requests: mpsc::UnboundedReceiver<(usize, Duration)>) {
    let reward = Reward { to: Address::from_bytes([0xaa; 32]), tag: Vec::new() };
    while let Some((blocks, pause)) = requests.recv().await {
        for _ in 0..blocks {
            // A node that stops mines no more.
            if miner.mine_blocks(1, reward.clone()).await.is_err() {
                return;
            }
            sleep(pause).await;
        }
    }
}

async fn watch_peers(hosts: Rc<Hosts>, at: usize, network: Network) {
    let mut known = BTreeMap::new();
    loop {
        let now: BTreeMap<SocketAddr, bool> =
            network.peers().into_iter().map(|peer| (peer.address, peer.inbound)).collect();
        for (peer, inbound) in &now {
            if !known.contains_key(peer) {
                let way = if *inbound { "from" } else { "with" };
                hosts.note(at, format_args!("a session {way} {peer}"));
                hosts.trace.borrow_mut().count("sessions begun, each side");
            }
        }
        for peer in known.keys().filter(|peer| !now.contains_key(*peer)) {
            hosts.note(at, format_args!("no session with {peer} any more"));
        }
        known = now;
        hosts.trace.borrow_mut().most("peers of a node", known.len() as u64);
        hosts.saw_standing(at, &network);
        let _ = timeout(LOOK_EVERY, network.changed()).await;
    }
}
