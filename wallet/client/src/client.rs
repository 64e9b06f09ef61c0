//! The client: one or several nodes of one network, and how a call goes to them.

use std::{future::Future, sync::Arc, time::Duration};

use farthing::{
    Params,
    wire::{ChainPoint, WireError, WireFault, v1},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{Response, Status};

use crate::{
    error::Error,
    pool::{NodeSlot, Pool, Service, Wait},
    retry::{Class, RetryPolicy},
    url::NodeUrl,
    verify::VerifyError,
};

/// Largest answer: the view of a block of 16 MiB.
const MAX_ANSWER_BYTES: usize = 40 << 20;

/// Whether answers are held against their proofs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Trust {
    /// Every answer is checked as far as it can be: accounts by their proof against a header, headers for their work,
    /// blocks against their header. What is left on the node's word is said at each method.
    #[default]
    Verify,
    /// Only the form is checked, and that ids belong to what they name. For a node of one's own.
    Believe,
}

/// What a client is set up with.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) network: Arc<Params>,
    pub(crate) retry: RetryPolicy,
    pub(crate) deadline: Duration,
    pub(crate) connect_deadline: Duration,
    pub(crate) silence: Duration,
    pub(crate) trust: Trust,
    pub(crate) user_agent: String,
    pub(crate) max_answer_bytes: usize,
}

/// Sets up a [`Client`].
#[derive(Debug)]
pub struct Builder {
    settings: Settings,
    nodes: Vec<NodeUrl>,
}

impl Builder {
    /// A node to ask. The first one is preferred; the others are asked when it fails or is behind.
    #[must_use]
    pub fn node(mut self, url: NodeUrl) -> Self {
        if !self.nodes.contains(&url) {
            self.nodes.push(url);
        }
        self
    }

    /// Several nodes, in the order of preference.
    #[must_use]
    pub fn nodes(self, urls: impl IntoIterator<Item = NodeUrl>) -> Self {
        urls.into_iter().fold(self, Self::node)
    }

    /// How often a call is tried again. A stream of blocks tries for ever and takes only the pauses from here.
    #[must_use]
    pub const fn retry(mut self, policy: RetryPolicy) -> Self {
        self.settings.retry = policy;
        self
    }

    /// How long one attempt may wait for its answer; 15 s if not set. A node gives itself 10 s.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = deadline;
        self
    }

    /// How long a connection may take; 5 s if not set.
    #[must_use]
    pub const fn connect_deadline(mut self, deadline: Duration) -> Self {
        self.settings.connect_deadline = deadline;
        self
    }

    /// Whether answers are held against their proofs; they are if not set.
    #[must_use]
    pub const fn trust(mut self, trust: Trust) -> Self {
        self.settings.trust = trust;
        self
    }

    /// How long a stream of blocks may be silent before it counts as broken; 45 s if not set. A node sends a frame at
    /// least every 15 s.
    #[must_use]
    pub const fn silence(mut self, silence: Duration) -> Self {
        self.settings.silence = silence;
        self
    }

    /// What the client calls itself, such as "our-exchange/2.1".
    #[must_use]
    pub fn user_agent(mut self, name: impl Into<String>) -> Self {
        self.settings.user_agent = name.into();
        self
    }

    /// The largest answer that is taken, in bytes; 40 MiB if not set, enough for the view of a block of 16 MiB.
    #[must_use]
    pub const fn max_answer_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_answer_bytes = bytes;
        self
    }

    /// The client. Nothing is connected yet: that happens with the first call, in a Tokio runtime.
    ///
    /// # Errors
    /// [`Error::Setup`] without a node.
    pub fn build(self) -> Result<Client, Error> {
        if self.nodes.is_empty() {
            return Err(Error::Setup("no node was named".to_owned()));
        }
        let pool = Pool::new(self.nodes, &self.settings.network);
        Ok(Client { shared: Arc::new(Shared { settings: self.settings, pool }) })
    }
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) pool: Pool,
}

/// Asks nodes of one network. Cheap to clone; all clones share connections and what they know of the nodes.
#[derive(Debug, Clone)]
pub struct Client {
    pub(crate) shared: Arc<Shared>,
}

/// What a call needs of the node that it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Any node will do.
    Anyone,
    /// The answer is about the tip: a node that is far behind is passed over.
    Tip,
}

impl Client {
    /// Sets up a client for a network. A node with another genesis block is refused, by name.
    #[must_use]
    pub fn builder(network: Arc<Params>) -> Builder {
        Builder {
            settings: Settings {
                network,
                retry: RetryPolicy::default(),
                deadline: Duration::from_secs(15),
                connect_deadline: Duration::from_secs(5),
                silence: Duration::from_secs(45),
                trust: Trust::default(),
                user_agent: concat!("farthing-client/", env!("CARGO_PKG_VERSION")).to_owned(),
                max_answer_bytes: MAX_ANSWER_BYTES,
            },
            nodes: Vec::new(),
        }
    }

    /// Connects now, rather than with the first call, to a node that is found to be of the network.
    ///
    /// # Errors
    /// [`Error`], above all [`Error::Unreachable`] and [`Error::WrongNetwork`].
    pub async fn connect(&self) -> Result<(), Error> {
        self.call(Needs::Anyone, |_| async { Ok(Response::new(())) }, |(), _| Ok(())).await
    }

    /// The network.
    #[must_use]
    pub fn network(&self) -> &Params {
        &self.shared.settings.network
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.shared.pool
    }

    pub(crate) fn verifies(&self) -> bool {
        self.shared.settings.trust == Trust::Verify
    }

    /// Learns how far the nodes are, if there are several: the first time before anything else, later beside it, so that
    /// a node that hangs holds nobody up.
    pub(crate) async fn look_around(&self) {
        match self.pool().must_survey() {
            None => {}
            Some(Wait::Yes) => self.pool().survey(self.settings()).await,
            Some(Wait::No) => {
                let shared = Arc::clone(&self.shared);
                tokio::spawn(async move { shared.pool.survey(&shared.settings).await });
            }
        }
    }

    /// One call, tried at one node after the other as [`RetryPolicy`] says. `read` turns the answer into what is
    /// returned; what it refuses counts as a failure of the node.
    pub(crate) async fn call<A, T, F>(
        &self,
        needs: Needs,
        ask: impl Fn(Service) -> F,
        read: impl Fn(A, &NodeSlot) -> Result<T, Error>,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        self.call_for(Duration::ZERO, needs, ask, read).await
    }

    /// The same of a call for which nodes take their time: so much is added to the deadline of an attempt, and to the time
    /// for all of them.
    pub(crate) async fn call_for<A, T, F>(
        &self,
        time: Duration,
        needs: Needs,
        ask: impl Fn(Service) -> F,
        read: impl Fn(A, &NodeSlot) -> Result<T, Error>,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let (mut policy, pool) = (self.settings().retry, self.pool());
        policy.total = policy.total.saturating_add(time);
        let deadline = self.settings().deadline.saturating_add(time);
        let begin = Instant::now();
        // Nodes that will not do better, and those that failed in this round.
        let (mut useless, mut round) = (Vec::new(), Vec::new());
        let mut attempts = 0;
        if needs == Needs::Tip {
            self.look_around().await;
        }
        let mut next = pool.choose(&[], needs == Needs::Tip);
        loop {
            let choice = next.ok_or_else(|| Error::Setup("no node was named".to_owned()))?;
            let node = pool.node(choice.at);
            attempts += 1;
            let error = match self.attempt(node, deadline, &ask, &read).await {
                Ok(found) => return Ok(found),
                Err(error) => error,
            };
            let class = error.class();
            let give_up = |error: Error| {
                if attempts == 1 {
                    return error;
                }
                Error::Exhausted { attempts, elapsed: begin.elapsed(), last: Box::new(error) }
            };
            match class {
                Class::Final => return Err(give_up(error)),
                Class::Elsewhere => useless.push(choice.at),
                Class::Again(_) => round.push(choice.at),
            }
            if attempts >= policy.attempts || begin.elapsed() >= policy.total {
                return Err(give_up(error));
            }
            let passed = [useless.as_slice(), &round].concat();
            next = pool.choose(&passed, needs == Needs::Tip).filter(|choice| choice.rests_for.is_zero());
            if next.is_some() {
                continue;
            }
            // Every node had its turn, or rests: begin another round after a pause.
            next = pool.choose(&useless, needs == Needs::Tip);
            let Some(choice) = next else { return Err(give_up(error)) };
            let asked = match class {
                Class::Again(Some(asked)) if std::ptr::eq(pool.node(choice.at), node) => asked,
                _ => pool.node(choice.at).asked_for(),
            };
            let pause = policy.pause(attempts).max(asked);
            if begin.elapsed() + pause > policy.total {
                return Err(give_up(error));
            }
            sleep(pause).await;
            round.clear();
        }
    }

    async fn attempt<A, T, F>(
        &self,
        node: &NodeSlot,
        deadline: Duration,
        ask: impl Fn(Service) -> F,
        read: impl Fn(A, &NodeSlot) -> Result<T, Error>,
    ) -> Result<T, Error>
    where
        F: Future<Output = Result<Response<A>, Status>>,
    {
        let settings = self.settings();
        let outcome = async {
            let service = node.service(settings).await?;
            match timeout(deadline, ask(service)).await {
                Ok(Ok(answer)) => read(answer.into_inner(), node),
                Ok(Err(status)) => Err(Error::from_status(&status, &node.url)),
                Err(_) => Err(Error::Deadline { node: node.url.clone(), after: deadline }),
            }
        }
        .await;
        match &outcome {
            Ok(_) => node.did_well(),
            Err(error) => node.failed(error),
        }
        outcome
    }
}

impl NodeSlot {
    /// A field that cannot be read, or one that contradicts another.
    pub(crate) fn malformed(&self, source: WireError) -> Error {
        if matches!(source.fault(), WireFault::Mismatch { .. }) {
            return self.unproven(VerifyError::Inconsistent(source));
        }
        Error::Malformed { node: self.url.clone(), source }
    }

    pub(crate) fn unproven(&self, source: VerifyError) -> Error {
        Error::Unproven { node: self.url.clone(), source }
    }

    /// Reads a tip that an answer must have.
    pub(crate) fn read_tip(&self, tip: Option<v1::ChainPoint>) -> Result<ChainPoint, Error> {
        let tip = tip.ok_or_else(|| WireError::missing("tip"));
        let tip = tip.and_then(|tip| ChainPoint::try_from(tip).map_err(|error| error.within("tip")));
        let tip = tip.map_err(|error| self.malformed(error))?;
        self.saw_tip(&tip);
        Ok(tip)
    }
}
