//! The network as the rest of the node sees it, and what all sessions share.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::Duration,
};

use farthing::{Height, Params, TimeMs};
use tokio::sync::{Notify, watch};

use super::{
    NodeId,
    anchors::Anchors,
    blame::Misdeed,
    bodies::{self, Bodies},
    book::{Book, BookStore, NetGroup, Salt, SeenAddress},
    catching_up::{CatchingUp, Look, SYNCING_FROM},
    checkpoint::Beginning,
    claims::Claims,
    clock_doubts::ClockDoubts,
    compact::{Relay, RelayCounts},
    config::PeersConfig,
    convert::Tip,
    exchange::Told,
    feelers,
    handshake::{Hello, Refusal, own_hello},
    hub,
    keep::{self, KeptPeers},
    laggards,
    limits::{ANSWER_DEADLINE, CLAIM_DEADLINE},
    outbound,
    own::OwnAddresses,
    patience::Patience,
    progress, repair,
    room::Room,
    saved, seeds,
    service::PeerServer,
    session::{Direction, Session, lock},
    sessions::Sessions,
    standing::{Culprit, Standing, Verdict},
};
use crate::{
    chain::{Bootstrap, Chain, SessionId},
    config::HostPort,
    env::Env,
    mempool::Mempool,
    network_view::SyncProgress,
    server::HostFilter,
    tasks::Tasks,
};

/// What the network is built on.
#[derive(Debug, Clone)]
pub struct PeersDeps {
    /// The outside world.
    pub env: Env,
    /// The chain.
    pub chain: Chain,
    /// The mempool.
    pub mempool: Mempool,
    /// Where tasks are started.
    pub tasks: Tasks,
    /// Where the address book is kept.
    pub store: Arc<dyn BookStore>,
    /// What is under way if the chain is to begin with a peer's checkpoint.
    pub bootstrap: Option<Bootstrap>,
}

/// A peer with an established session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerSummary {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Where it takes peers, if it does.
    pub listens_at: Option<SocketAddr>,
    /// True if it dialled this node.
    pub inbound: bool,
    /// Height of its tip as last announced.
    pub height: Height,
    /// Program and version that it names.
    pub version: String,
    /// The running node.
    pub node_id: NodeId,
}

/// Whether this node is at the tip as far as it knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyncState {
    /// It is.
    Synced,
    /// It fetches blocks that peers have.
    Syncing,
}

/// A tip that is older than so many targets may not be the newest.
const RECENT_TARGETS: u64 = 24;
/// How far from the tip's time the clock is believed when it comes to dropping what is old.
const MAX_EXPIRY_AHEAD_MS: u64 = 24 * 60 * 60 * 1_000;

/// Access to the network. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Network {
    inner: Arc<Inner>,
}

/// What all sessions share.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) env: Env,
    pub(super) chain: Chain,
    pub(super) mempool: Mempool,
    pub(super) tasks: Tasks,
    pub(super) config: PeersConfig,
    pub(super) node_id: NodeId,
    pub(super) store: Arc<dyn BookStore>,
    pub(super) state: Mutex<State>,
    /// The tip that is announced to everybody.
    pub(super) tips: watch::Sender<Arc<Tip>>,
    /// The newest branch of equal work beside it, which is announced too.
    pub(super) ties: watch::Sender<Option<Arc<Tip>>>,
    pub(super) catching_up: CatchingUp,
    /// How far fetching has come, while it goes on.
    pub(super) progress: watch::Sender<Option<SyncProgress>>,
    pub(super) blocks: Mutex<Claims<farthing::BlockId, SessionId>>,
    pub(super) transactions: Mutex<Claims<farthing::WireId, SessionId>>,
    pub(super) relay: Relay,
    pub(super) clock_doubts: ClockDoubts,
    /// How long headers and bodies are waited for.
    pub(super) patience: Patience,
    /// Room for announced transactions that wait to be looked at.
    pub(super) waiting: Room,
    /// Bodies that came before their turn.
    pub(super) bodies: Bodies,
    /// A claim was given up.
    pub(super) released: Notify,
    /// Long lists of headers are fetched from one peer at a time, as long as that one answers soon.
    pub(super) headers_turn: tokio::sync::Mutex<()>,
    /// A session began or ended, or an address was learnt.
    pub(super) changed: Notify,
    /// The book and the bans are written by one at a time, or older ones could end up in the place of newer ones.
    pub(super) saving: tokio::sync::Mutex<()>,
    /// Nodes that the operator named.
    pub(super) kept: Mutex<KeptPeers>,
    /// What is under way if the chain begins with a peer's checkpoint.
    pub(super) begin: Option<Beginning>,
    /// Checkpoints for others are being looked for.
    pub(super) preparing: AtomicBool,
}

/// What changes while the network runs.
#[derive(Debug)]
pub(super) struct State {
    pub(super) sessions: Sessions,
    pub(super) book: Book,
    pub(super) standing: Standing,
    /// Addresses that are being dialled.
    pub(super) dialling: BTreeSet<SocketAddr>,
    /// The address that is being probed.
    pub(super) probing: Option<SocketAddr>,
    /// Whom this node returns to first after a restart.
    pub(super) anchors: Anchors,
    /// Whether this node wants a session more than usual.
    pub(super) one_more: bool,
    /// Addresses that turned out to be this node's own.
    pub(super) own: OwnAddresses,
    /// What other nodes are told of the book.
    pub(super) told: Told,
    /// Addresses that are not to be dialled before a time, by the steady clock.
    pub(super) resting: BTreeMap<SocketAddr, Duration>,
}

impl State {
    /// Whether a ban is in force against this node.
    pub(super) fn check_ban(&self, culprit: Culprit, wall: TimeMs) -> Result<(), Refusal> {
        self.standing.ban(&culprit, wall).map_or(Ok(()), |ban| Err(Refusal::Banned(ban.reason.clone())))
    }

    /// Leaves a banned node nothing to come back by; returns how many sessions that ended.
    pub(super) fn shut_out(&mut self, culprit: Culprit) -> usize {
        self.anchors.refuse(|address| Culprit::at(address) == culprit);
        self.sessions.shut_out(culprit)
    }
}

impl Network {
    /// Starts the network. Peers are taken once [`Network::service`] is served.
    pub async fn start(deps: PeersDeps, config: PeersConfig) -> Self {
        let PeersDeps { env, chain, mempool, tasks, store, bootstrap } = deps;
        let node_id = NodeId::from_bytes(env.random().array());
        let (tips, _) = watch::channel(Arc::new(hub::tip_of(&chain.view())));
        let state = State {
            sessions: Sessions::new(Salt::from_bytes(env.random().array())),
            book: Book::new(config.private_addresses, Salt::from_bytes(env.random().array())),
            standing: Standing::default(),
            dialling: BTreeSet::new(),
            probing: None,
            anchors: Anchors::default(),
            one_more: false,
            own: OwnAddresses::default(),
            told: Told::default(),
            resting: BTreeMap::new(),
        };
        let relay = Relay::new(config.compact_relay);
        let max_block_bytes = usize::try_from(chain.params().max_block_bytes).unwrap_or(usize::MAX);
        let inner = Arc::new(Inner {
            env,
            chain,
            mempool,
            tasks,
            config,
            node_id,
            store,
            state: Mutex::new(state),
            tips,
            ties: watch::Sender::new(None),
            catching_up: CatchingUp::new(),
            progress: watch::Sender::new(None),
            blocks: Mutex::new(Claims::new(ANSWER_DEADLINE)),
            transactions: Mutex::new(Claims::new(CLAIM_DEADLINE)),
            relay,
            clock_doubts: ClockDoubts::default(),
            patience: Patience::default(),
            waiting: Room::default(),
            bodies: Bodies::new(max_block_bytes),
            released: Notify::new(),
            headers_turn: tokio::sync::Mutex::new(()),
            changed: Notify::new(),
            saving: tokio::sync::Mutex::new(()),
            kept: Mutex::default(),
            begin: bootstrap.map(Beginning::new),
            preparing: AtomicBool::new(false),
        });
        inner.note_progress();
        saved::load(&inner).await;
        saved::start(&inner);
        hub::start(&inner);
        repair::start(&inner);
        bodies::start(&inner);
        progress::start(&inner);
        if inner.config.discovery {
            outbound::start(&inner);
            if inner.config.outbound_target > 0 {
                laggards::start(&inner);
            }
            feelers::start(&inner);
            seeds::start(&inner);
        }
        for target in inner.config.connect.clone() {
            keep::start(&inner, target);
        }
        Self { inner }
    }

    /// The service to serve on the listener for peers, with the limits of [`super::methods`].
    #[must_use]
    pub fn service(&self) -> farthing::wire::peer::peer_service_server::PeerServiceServer<PeerServer> {
        PeerServer::service(Arc::clone(&self.inner))
    }

    /// Keeps a session with this node from now on.
    pub fn connect(&self, target: HostPort) {
        keep::start(&self.inner, target);
    }

    /// Peers with an established session.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerSummary> {
        let state = lock(&self.inner.state);
        let summary = |session: &Arc<Session>| PeerSummary {
            address: session.who.address,
            listens_at: session.who.listens_at,
            inbound: session.who.direction == Direction::Inbound,
            height: session.tip().height,
            version: session.who.version.clone(),
            node_id: session.who.node_id,
        };
        state.sessions.all().map(summary).collect()
    }

    /// Whether this node is at the tip as far as it knows. What peers merely claim does not count.
    #[must_use]
    pub fn sync_state(&self) -> SyncState {
        if self.inner.catching_up.is_so() { SyncState::Syncing } else { SyncState::Synced }
    }

    /// The same as a value that can be waited on: true while this node is fetching.
    #[must_use]
    pub fn watch_syncing(&self) -> watch::Receiver<bool> {
        self.inner.catching_up.watch()
    }

    /// How far fetching has come; none while this node does not fetch.
    #[must_use]
    pub fn sync_progress(&self) -> Option<SyncProgress> {
        *self.inner.progress.borrow()
    }

    /// Height of the best header that this node has checked.
    #[must_use]
    pub fn best_header_height(&self) -> Height {
        let fetched = self.inner.begin.as_ref().filter(|begin| begin.goes_on());
        let fetched = fetched.map(|begin| begin.bootstrap.best_header().height());
        fetched.unwrap_or_else(|| self.inner.chain.best_header().height())
    }

    /// How blocks were relayed since the start.
    #[must_use]
    pub fn relay_counts(&self) -> RelayCounts {
        self.inner.relay.counts()
    }

    /// Names this run of the node.
    #[must_use]
    pub fn node_id(&self) -> NodeId {
        self.inner.node_id
    }

    /// Bans in force: whom, until when, why.
    #[must_use]
    pub fn bans(&self) -> Vec<(String, TimeMs, String)> {
        let now = self.inner.env.clock().now();
        let state = lock(&self.inner.state);
        let bans = state.standing.bans(now);
        bans.map(|(culprit, ban)| (culprit.to_string(), ban.until, ban.reason.clone())).collect()
    }

    /// Nodes that misbehaved and are not banned: whom, and how many points count against it now; 100 are
    /// a ban.
    #[must_use]
    pub fn scores(&self) -> Vec<(String, u32)> {
        let elapsed = self.inner.elapsed();
        let state = lock(&self.inner.state);
        state.standing.scores(elapsed).map(|(culprit, points)| (culprit.to_string(), points)).collect()
    }

    /// Hosts that get no connection while they are banned. On loopback a ban names one node, so all are met there.
    #[must_use]
    pub fn banned_hosts(&self) -> HostFilter {
        let inner = Arc::clone(&self.inner);
        HostFilter::new(move |host| !host.is_loopback() && inner.ban_of(Culprit::new(host, 0)).is_some())
    }

    pub(super) const fn inner(&self) -> &Arc<Inner> {
        &self.inner
    }

    /// Resolves when a session may have begun or ended.
    pub async fn changed(&self) {
        self.inner.changed.notified().await;
    }
}

impl Inner {
    /// Starts a task that ends when the node stops.
    pub(super) fn spawn(&self, name: impl Into<Cow<'static, str>>, task: impl Future<Output = ()> + Send + 'static) {
        let stop = self.tasks.token().clone();
        self.tasks.spawn(name, async move {
            stop.run_until_cancelled(task).await;
            Ok::<_, Infallible>(())
        });
    }

    pub(super) fn params(&self) -> &Params {
        self.chain.params()
    }

    pub(super) fn max_block_bytes(&self) -> usize {
        usize::try_from(self.params().max_block_bytes).unwrap_or(usize::MAX)
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.env.clock().elapsed()
    }

    /// The time by which what is old is dropped for good: the wall clock's, but no more than a day beyond the tip's. A
    /// clock that is once far ahead then costs no addresses and no bans.
    pub(super) fn expiry_time(&self) -> TimeMs {
        let tip = self.chain.view().tip.header().time;
        self.env.clock().now().min(tip.saturating_add(MAX_EXPIRY_AHEAD_MS))
    }

    /// Who this node is and where it stands now.
    pub(super) fn hello(&self) -> Hello {
        let tip = self.chain.view().tip;
        Hello {
            listen_port: self.config.listen_port,
            height: tip.height(),
            tip: tip.id(),
            work: tip.total_work(),
            compact_relay: self.relay.is_on(),
            lowest_body: self.chain.lowest_body(),
            ..own_hello(self.params(), self.node_id, self.config.version.clone())
        }
    }

    /// Looks whether this node is fetching: after new headers and after new blocks.
    pub(super) fn note_progress(&self) {
        // Not by heights: those of a branch that is to take the place of this one may be the same.
        let behind = self.chain.missing_up_to(SYNCING_FROM);
        let begins = self.begin.as_ref().is_some_and(Beginning::goes_on);
        let recent = RECENT_TARGETS.saturating_mul(self.params().target_spacing_ms);
        let tip_is_recent = self.chain.view().tip.header().time.saturating_add(recent) >= self.env.clock().now();
        self.catching_up.look(Look { now: self.elapsed(), behind, tip_is_recent, begins });
    }

    /// A body came of so many that were missing.
    pub(super) fn note_body(&self, missing: usize) {
        if missing >= SYNCING_FROM {
            self.catching_up.body_came(self.elapsed());
            self.note_progress();
        }
    }

    /// Whether this node is fetching, as a value that can be waited on.
    pub(super) fn watch_syncing(&self) -> watch::Receiver<bool> {
        self.catching_up.watch()
    }

    /// The ban in force against this node, as a reason.
    pub(super) fn ban_of(&self, culprit: Culprit) -> Option<String> {
        let now = self.env.clock().now();
        lock(&self.state).standing.ban(&culprit, now).map(|ban| ban.reason.clone())
    }

    /// Counts a misdeed against the peer that committed it, and nobody else. Ends its sessions if it is banned.
    pub(super) fn blame(&self, session: &Session, misdeed: &Misdeed) {
        self.blame_culprit(session.who.culprit(), misdeed);
        // It may be a session that just left the table.
        session.end.cancel();
    }

    /// The same where the session may be over.
    pub(super) fn blame_culprit(&self, culprit: Culprit, misdeed: &Misdeed) {
        let (now, elapsed) = (self.env.clock().now(), self.elapsed());
        let mut state = lock(&self.state);
        let state = &mut *state;
        match state.standing.blame(culprit, misdeed, now, elapsed) {
            Verdict::Scored(points) => {
                tracing::debug!(peer = %culprit, points, %misdeed, "a peer misbehaved");
            }
            Verdict::Banned(ban) => {
                tracing::warn!(peer = %culprit, reason = %ban.reason, until_ms = ban.until.get(), "peer banned");
                state.shut_out(culprit);
            }
        }
    }

    /// Puts an address that somebody told of into the book.
    pub(super) fn learn(&self, seen: SeenAddress, source: NetGroup) {
        let (now, elapsed) = (self.env.clock().now(), self.elapsed());
        let mut state = lock(&self.state);
        if !state.own.has(seen.address, elapsed) && state.book.learn(seen, source, now) == super::book::Learned::New {
            drop(state);
            self.changed.notify_waiters();
        }
    }

    /// A session is over: it leaves the table.
    pub(super) fn leave(&self, session: &Session) {
        session.end.cancel();
        {
            let mut state = lock(&self.state);
            state.sessions.remove(session.id);
            // What ends because the node stops is what it wants to return to.
            if !self.tasks.token().is_cancelled() {
                state.anchors.end(session.id);
            }
        }
        lock(&self.blocks).release_all(session.id);
        lock(&self.transactions).release_all(session.id);
        self.relay.forget(session.id);
        self.released.notify_waiters();
        self.changed.notify_waiters();
    }

    /// It has left, and nothing of it stays with the chain.
    pub(super) async fn forget(&self, session: SessionId) {
        self.chain.forget_headers_of(session).await;
        self.note_progress();
    }
}
