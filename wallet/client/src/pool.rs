//! The nodes that a client may ask: which one next, which ones are left alone for a while, and how far each has come.

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use farthing::{
    Height, Params, Work,
    wire::{
        ChainPoint,
        v1::{self, ledger_service_client::LedgerServiceClient},
    },
};
use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::{
    client::Settings,
    error::Error,
    retry::{Class, jitter},
    text::{MAX_TEXT, printable},
    url::NodeUrl,
};

/// The first rest of a node that failed; each further one is twice as long.
const FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);
/// The rest of a node that can be of no use until somebody changes it.
const REST_OF_THE_USELESS: Duration = Duration::from_secs(60);
/// For how long what a node said of its tip counts when it is compared with others.
const TIP_AGE: Duration = Duration::from_secs(30);
/// How long a node may take to say how far it is, when only that is asked.
const SURVEY_DEADLINE: Duration = Duration::from_secs(3);
/// How many blocks a node may be behind another and still be asked what only the tip tells.
pub(crate) const MAX_LAG_BLOCKS: u64 = 2;

/// Refusals that say nothing about the node: it is not left alone for them.
const ABOUT_THE_REQUEST: [&str; 5] =
    ["ACCOUNT_FULL", "BLOCK_PRUNED", "POOL_FULL", "TOO_MANY_QUEUED", "TRANSACTION_INDEX_OFF"];

/// The gRPC client of one node.
pub(crate) type Service = LedgerServiceClient<Channel>;

#[derive(Debug, Default)]
struct State {
    /// A connection to a node that was found to be of the right network.
    service: Option<Service>,
    failures: u32,
    rests_until: Option<Instant>,
    /// Until when the node itself asked to be left alone.
    asked_until: Option<Instant>,
    tip: Option<(Height, Work, Instant)>,
}

/// One node.
#[derive(Debug)]
pub(crate) struct NodeSlot {
    pub(crate) url: NodeUrl,
    state: Mutex<State>,
}

impl NodeSlot {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How long it is still to be left alone because it said so itself.
    pub(crate) fn asked_for(&self) -> Duration {
        self.state().asked_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn rests_for(&self, now: Instant) -> Duration {
        self.state().rests_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    /// Whether it does not rest and said long ago how far it is.
    fn is_stale(&self, now: Instant) -> bool {
        let fresh = self.state().tip.is_some_and(|(_, _, seen)| now.saturating_duration_since(seen) < TIP_AGE);
        !fresh && self.rests_for(now).is_zero()
    }

    /// Notes where the node's tip is.
    pub(crate) fn saw_tip(&self, tip: &ChainPoint) {
        self.state().tip = Some((tip.height, tip.total_work, Instant::now()));
    }

    /// Notes that the node did what was asked.
    pub(crate) fn did_well(&self) {
        let mut state = self.state();
        (state.failures, state.rests_until, state.asked_until) = (0, None, None);
    }

    /// Forgets the connection, so that the next call makes a new one.
    pub(crate) fn disconnect(&self) {
        self.state().service = None;
    }

    /// Notes that the node lacks blocks that it will get.
    pub(crate) fn lags(&self) {
        self.state().rests_until = Some(Instant::now() + jitter(4 * FIRST_REST));
    }

    /// Notes what went wrong: whether the node is left alone for a while, and whether its connection is still one.
    pub(crate) fn failed(&self, error: &Error) {
        let class = error.class();
        let asked = match class {
            // The node is well; what was asked was wrong, or it lacks something that others have.
            Class::Final => return,
            _ if error.refusal().is_some_and(|refusal| ABOUT_THE_REQUEST.contains(&refusal.reason.as_str())) => return,
            Class::Elsewhere => None,
            Class::Again(asked) => asked,
        };
        let mut state = self.state();
        // Whoever answers there next may be another node.
        if !matches!(error, Error::Refused(_)) {
            state.service = None;
        }
        state.failures = state.failures.saturating_add(1);
        let step = match class {
            Class::Elsewhere => REST_OF_THE_USELESS,
            _ => FIRST_REST.saturating_mul(1 << (state.failures - 1).min(16)).min(LONGEST_REST),
        };
        let now = Instant::now();
        state.rests_until = Some(now + asked.unwrap_or_else(|| jitter(step)));
        state.asked_until = asked.map(|asked| now + asked);
        drop(state);
        tracing::debug!(node = %self.url, %error, "the node is left alone for a while");
    }

    /// The node's client, after making sure that it is of the network.
    pub(crate) async fn service(&self, settings: &Settings) -> Result<Service, Error> {
        if let Some(service) = self.state().service.clone() {
            return Ok(service);
        }
        let unreachable =
            |source: Box<dyn std::error::Error + Send + Sync>| Error::Unreachable { node: self.url.clone(), source };
        let endpoint = Endpoint::from(self.url.uri().clone())
            .connect_timeout(settings.connect_deadline)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20))
            .user_agent(settings.user_agent.clone())
            .map_err(|error| Error::Setup(error.to_string()))?;
        let channel = timeout(settings.connect_deadline, endpoint.connect())
            .await
            .map_err(|elapsed| unreachable(elapsed.into()))?
            .map_err(|error| unreachable(error.into()))?;
        let mut service = LedgerServiceClient::new(channel).max_decoding_message_size(settings.max_answer_bytes);
        let tip = self.identify(&mut service, settings).await?;
        let mut state = self.state();
        state.service = Some(service.clone());
        state.tip = tip.map(|tip| (tip.height, tip.total_work, Instant::now()));
        Ok(service)
    }

    /// Asks how far the node is.
    pub(crate) async fn ask_for_tip(&self, settings: &Settings) -> Result<ChainPoint, Error> {
        let mut service = self.service(settings).await?;
        match timeout(settings.deadline, service.get_node_info(v1::GetNodeInfoRequest {})).await {
            Ok(Ok(info)) => self.read_tip(info.into_inner().tip),
            Ok(Err(status)) => Err(Error::from_status(&status, &self.url)),
            Err(_) => Err(Error::Deadline { node: self.url.clone(), after: settings.deadline }),
        }
    }

    /// Refuses a node of another network, by name.
    async fn identify(&self, service: &mut Service, settings: &Settings) -> Result<Option<ChainPoint>, Error> {
        let asked = timeout(settings.deadline, service.get_node_info(v1::GetNodeInfoRequest {})).await;
        let info = match asked {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => return Err(Error::from_status(&status, &self.url)),
            Err(_) => return Err(Error::Deadline { node: self.url.clone(), after: settings.deadline }),
        };
        check_network(&info, &settings.network, &self.url)?;
        Ok(info.tip.and_then(|tip| ChainPoint::try_from(tip).ok()))
    }
}

/// Refuses a node of another network, by name.
pub(crate) fn check_network(info: &v1::GetNodeInfoResponse, network: &Params, node: &NodeUrl) -> Result<(), Error> {
    if info.genesis_id.as_ref() == network.genesis_id().as_bytes() {
        return Ok(());
    }
    Err(Error::WrongNetwork {
        node: node.clone(),
        found: printable(&info.network, MAX_TEXT),
        expected: network.name.clone(),
    })
}

/// Whether a survey is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Nothing is known of any node.
    Yes,
    /// What is known will do until the answers are here.
    No,
}

/// Says that nobody asks any more, also when the asking is given up.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// All nodes of a client, in the order of preference.
#[derive(Debug)]
pub(crate) struct Pool {
    nodes: Vec<NodeSlot>,
    /// Mean time between blocks.
    spacing: Duration,
    /// Whether somebody asks the nodes how far they are.
    asking: AtomicBool,
}

/// Which node is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its number.
    pub(crate) at: usize,
    /// How long it still rests.
    pub(crate) rests_for: Duration,
}

impl Pool {
    pub(crate) fn new(urls: Vec<NodeUrl>, network: &Params) -> Self {
        let nodes = urls.into_iter().map(|url| NodeSlot { url, state: Mutex::default() }).collect();
        Self { nodes, spacing: Duration::from_millis(network.target_spacing_ms), asking: AtomicBool::new(false) }
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, at: usize) -> &NodeSlot {
        &self.nodes[at]
    }

    /// The number of the node at this address.
    pub(crate) fn node_at(&self, url: &NodeUrl) -> Option<usize> {
        self.nodes.iter().position(|node| node.url == *url)
    }

    /// The first node of the list that does not rest, was not `passed` over and, if `at_tip`, is not far behind; if
    /// every one rests, the one that rests the shortest. None if all were passed over.
    pub(crate) fn choose(&self, passed: &[usize], at_tip: bool) -> Option<Choice> {
        let now = Instant::now();
        let left = || (0..self.nodes.len()).filter(|at| !passed.contains(at));
        left()
            .find(|at| self.nodes[*at].rests_for(now).is_zero() && !(at_tip && self.is_behind(*at)))
            .or_else(|| left().min_by_key(|at| self.nodes[*at].rests_for(now)))
            .map(|at| Choice { at, rests_for: self.nodes[at].rests_for(now) })
    }

    /// Whether another node, one that does not rest, has shown more work in at least three blocks more. What it showed
    /// later counts for less: this one has grown meanwhile too. Nodes can lie about their work, and then the liar is
    /// merely preferred, not believed.
    pub(crate) fn is_behind(&self, at: usize) -> bool {
        let now = Instant::now();
        let Some((height, work, seen)) = self.nodes[at].state().tip else { return false };
        let others =
            self.nodes.iter().enumerate().filter(|(other, node)| *other != at && node.rests_for(now).is_zero());
        others.filter_map(|(_, other)| other.state().tip).any(|(best, most, later)| {
            let grown = 4 * later.saturating_duration_since(seen).as_millis() / self.spacing.as_millis().max(1);
            most > work && u128::from(best.get().saturating_sub(height.get())) > u128::from(MAX_LAG_BLOCKS) + grown
        })
    }

    /// Whether it is time to ask how far the nodes are, and whether that must be waited for because nothing is known.
    pub(crate) fn must_survey(&self) -> Option<Wait> {
        let now = Instant::now();
        if self.nodes.len() < 2 || self.nodes.iter().all(|node| !node.is_stale(now)) {
            return None;
        }
        let nothing = self.nodes.iter().all(|node| node.state().tip.is_none());
        Some(if nothing { Wait::Yes } else { Wait::No })
    }

    /// Asks every node that does not rest how far it is, unless it said so lately, or somebody else asks just now.
    pub(crate) async fn survey(&self, settings: &Settings) {
        if self.asking.swap(true, Ordering::AcqRel) {
            return;
        }
        let _done = Done(&self.asking);
        let now = Instant::now();
        let stale = self.nodes.iter().filter(|node| node.is_stale(now));
        futures_util::future::join_all(stale.map(|node| Self::look_at(node, settings))).await;
    }

    async fn look_at(node: &NodeSlot, settings: &Settings) {
        match timeout(SURVEY_DEADLINE, node.ask_for_tip(settings)).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => node.failed(&error),
            Err(_) => node.failed(&Error::Deadline { node: node.url.clone(), after: SURVEY_DEADLINE }),
        }
    }
}
