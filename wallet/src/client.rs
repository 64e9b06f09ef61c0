//! Asks nodes, one call after the other. A wallet has a person in front of it: it says at once what is wrong, and tries
//! nothing again at the same node. [`farthing_client`] makes the calls and checks the answers; the work of the chain that they
//! stand on is for [`crate::light`].

mod error;
mod node;
mod place;
mod quorum;
mod remarks;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use farthing::{
    Address, BlockId, Header, Height, Params, SignedTransaction, Transaction, TransactionProof, TxId, Work,
    chain_proof::ChainProof,
    wire::{AnchoredProof, TransactionStanding, TransactionStatus, v1},
};
pub use farthing_client::printable;
use farthing_client::{
    AccountView, Client, FeeEstimates, MempoolPage, NodeInfo, Page, PageToken, Simulation, TransactionView,
};
use tokio::runtime::Runtime;

pub use self::{
    error::{NodeError, OtherNetwork},
    quorum::Answer,
    remarks::Remarks,
};
use self::{node::Node, place::Place};
use crate::{
    config::NodeUrl,
    error::{Exit, Explain as _, Result},
    light::{Light, Shows as _, Standing, cache::Cache, chain::Chain},
    verify::{Disagreement, ProvenAccount},
};

/// Connections to the nodes that were named. The one that answered last is asked first.
#[derive(Debug)]
pub struct NodeClient {
    runtime: Runtime,
    nodes: Vec<Node>,
    first: AtomicUsize,
    light: Light,
    remarks: Remarks,
    /// How many nodes must agree on an account, if several are to.
    quorum: Option<usize>,
    network: Arc<Params>,
    minimum_work: Work,
}

impl NodeClient {
    /// Connects to the first node that answers and is of this network. What is verified of its chain is kept in the cache;
    /// what is to be said of nodes that were passed over goes to the remarks.
    ///
    /// # Errors
    /// Of the last node: [`OtherNetwork`], [`NodeError::Unreachable`], [`NodeError::Local`] and others of [`NodeError`].
    pub fn connect(urls: &[NodeUrl], network: &Arc<Params>, cache: Option<Cache>, remarks: Remarks) -> Result<Self> {
        // A thread of its own answers the node's keep-alive pings while a person is thinking.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(NodeError::Local)?;
        let nodes = urls.iter().map(|url| Node::new(url, network)).collect::<Result<Vec<_>, _>>()?;
        let light = Light::new(Arc::clone(network), cache);
        let (network_of_all, minimum_work) = (Arc::clone(network), Work::ZERO);
        let client = Self {
            runtime,
            nodes,
            first: AtomicUsize::new(0),
            light,
            remarks,
            quorum: None,
            network: network_of_all,
            minimum_work,
        };
        let connect = |node: &Node| {
            let connected = client.runtime.block_on(node.client.connect());
            connected.map_err(|error| error::of_connecting(error, &node.url, network))
        };
        client.at_any(connect)?;
        Ok(client)
    }

    /// Believes no chain with less work than this.
    #[must_use]
    pub fn with_minimum_work(mut self, minimum: Work) -> Self {
        self.light = self.light.with_minimum(minimum);
        self.minimum_work = minimum;
        self
    }

    /// Believes of an account only what so many nodes agree on. URLs that lead to one place count once.
    ///
    /// # Errors
    /// [`Disagreement::TooFewNodes`].
    pub fn with_quorum(mut self, quorum: Option<usize>) -> Result<Self, Disagreement> {
        if quorum.is_some() {
            let places: Vec<Place> = self.nodes.iter().map(|node| Place::of(&node.url)).collect();
            let twin = |at: usize| (0..at).find(|earlier| places[*earlier].is_same(&places[at]));
            let twins: Vec<Option<usize>> = (0..places.len()).map(twin).collect();
            for (at, earlier) in twins.iter().enumerate().filter_map(|(at, twin)| Some((at, (*twin)?))) {
                let (one, other) = (&self.nodes[at].url, &self.nodes[earlier].url);
                self.remarks.add(format!("{one} is the same node as {other}, and counts once"));
            }
            let mut twins = twins.iter();
            self.nodes.retain(|_| twins.next().is_none_or(|twin| twin.is_none()));
            self.first.store(0, Ordering::Relaxed);
        }
        let named = self.nodes.len();
        if let Some(wanted) = quorum.filter(|wanted| *wanted > named) {
            let named = if named == 1 { "one is".to_owned() } else { format!("{named} are") };
            return Err(Disagreement::TooFewNodes { wanted, named });
        }
        self.quorum = quorum;
        Ok(self)
    }

    /// Lets time pass.
    pub fn pause(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// The node that answered last.
    #[must_use]
    pub fn url(&self) -> &NodeUrl {
        &self.node(0).url
    }

    /// What the node is; its texts are fit to be shown.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn node_info(&self) -> Result<NodeInfo, NodeError> {
        self.call(async |client| client.node_info().await)
    }

    /// How a node's tip stands on its chain: the work of that, proven from the first block on.
    ///
    /// # Errors
    /// [`NodeError`] and [`crate::light::ChainError`].
    pub fn chain(&self) -> Result<Standing> {
        self.at_any(|node| self.runtime.block_on(node.chain(&self.light)))
    }

    /// An account, proven against a header on a chain of proven work, and what the node says of what waits.
    ///
    /// # Errors
    /// [`NodeError`], [`crate::verify::VerifyError`] and [`crate::light::ChainError`].
    pub fn account(&self, address: &Address) -> Result<(ProvenAccount, AccountView)> {
        let answer = self.ask_account(address)?;
        Ok((answer.proven, answer.view))
    }

    /// The same with what each figure is worth. With a quorum all nodes are asked.
    ///
    /// # Errors
    /// As [`NodeClient::account`], and [`Disagreement`].
    pub fn ask_account(&self, address: &Address) -> Result<Answer> {
        if let Some(wanted) = self.quorum {
            return self.agreed_account(address, wanted);
        }
        self.at_any(|node| {
            let (proven, view) = self.runtime.block_on(node.account(address, &self.light))?;
            self.tell(proven.standing());
            if let Some(note) = proven.standing().first_note(&self.network, self.minimum_work) {
                self.remarks.add(note);
            }
            Ok(Answer::alone(proven, view))
        })
    }

    fn tell(&self, standing: &Standing) {
        if let Some(remark) = &standing.remark {
            self.remarks.add(remark.clone());
        }
    }

    /// A page of an account's history, newest first.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn account_entries(
        &self,
        address: &Address,
        page_size: u32,
        page: Option<&PageToken>,
    ) -> Result<Page<v1::AccountEntry>, NodeError> {
        self.call(async |client| client.account_entries_to_prove(address, page_size, page).await)
    }

    /// What waits in a node's mempool, page by page, in the order in which a block would take it; on the node's word.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn mempool(&self, page_size: u32, page: Option<&PageToken>) -> Result<MempoolPage, NodeError> {
        self.call(async |client| client.mempool(page_size, page).await)
    }

    /// Hands in a transfer at every node. It counts as taken if one took it, and as refused if all did.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn submit(&self, transfer: &SignedTransaction) -> Result<TransactionStatus, NodeError> {
        let submissions = (0..self.nodes.len()).map(|at| async move {
            let node = self.node(at);
            node.client.submit(transfer).await.map_err(|error| NodeError::read(error, &node.url))
        });
        let answers = self.runtime.block_on(futures_util::future::join_all(submissions));
        answers.into_iter().reduce(better).unwrap_or_else(|| Err(NodeError::Local(std::io::ErrorKind::NotFound.into())))
    }

    /// What a transfer of so many bytes, signed with a key of so many bits, should pay that pays these recipients.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn estimate_fee(&self, size: usize, key_bits: usize, to: &[Address]) -> Result<FeeEstimates, NodeError> {
        let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        let shape = v1::TransactionShape {
            size_bytes: number(size),
            key_bits: number(key_bits),
            recipients: to.iter().map(|address| address.to_bytes().to_vec().into()).collect(),
            ..v1::TransactionShape::default()
        };
        self.call(async |client| client.estimate_fee_of(shape.clone()).await)
    }

    /// What the node would do with a transfer that is not signed yet.
    ///
    /// # Errors
    /// [`NodeError`]; that it would be refused is no error.
    pub fn simulate(&self, draft: &Transaction) -> Result<Simulation, NodeError> {
        self.call(async |client| client.simulate_draft(draft).await)
    }

    /// A transaction and where it stands.
    ///
    /// # Errors
    /// [`NodeError`]; see [`NodeError::is_not_found`].
    pub fn transaction(&self, id: &TxId) -> Result<TransactionView, NodeError> {
        self.call(async |client| client.transaction(id).await)
    }

    /// Where a transaction stands.
    ///
    /// # Errors
    /// [`NodeError`]; see [`NodeError::is_not_found`].
    pub fn transaction_status(&self, id: &TxId) -> Result<TransactionStatus, NodeError> {
        Ok(self.call(async |client| client.transaction(id).await)?.status)
    }

    /// The proof that a transfer was mined, checked, but for the work behind it.
    ///
    /// # Errors
    /// [`NodeError`]; `TRANSACTION_NOT_MINED` while there is nothing to prove.
    pub fn transaction_proof(&self, id: &TxId) -> Result<TransactionProof, NodeError> {
        Ok(self.call(async |client| client.transaction_proof(id).await)?.proof)
    }

    /// The sampled proof of the work below the node's tip, checked.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn chain_proof(&self) -> Result<ChainProof, NodeError> {
        Ok(self.call(async |client| client.chain_proof(farthing_consensus::verify_chain_proof).await)?.proof)
    }

    /// The proof of an account at the node's tip, checked, but for the work behind it.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn account_proof(&self, address: &Address) -> Result<AnchoredProof, NodeError> {
        self.call(async |client| client.account_proof(address).await)
    }

    /// Whether the header at a height leads to the first one that is kept of a chain, through all headers between them.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn leads(&self, height: Height, id: BlockId, chain: &Chain) -> Result<bool, NodeError> {
        let node = self.node(0);
        self.runtime.block_on(node.leads(height, id, chain)).map_err(|error| NodeError::read(error, &node.url))
    }

    /// The headers behind one up to a height; none if that one is not on the node's best chain.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn headers_between(&self, after: Height, id: BlockId, last: Height) -> Result<Option<Vec<Header>>, NodeError> {
        let node = self.node(0);
        self.runtime.block_on(node.headers_after(after, id, last)).map_err(|error| NodeError::read(error, &node.url))
    }

    /// The node that comes so many places after the first one.
    fn node(&self, after: usize) -> &Node {
        &self.nodes[(self.first.load(Ordering::Relaxed) + after) % self.nodes.len()]
    }

    fn call<T>(&self, call: impl AsyncFn(&Client) -> Result<T, farthing_client::Error>) -> Result<T, NodeError> {
        self.at_any(|node| self.runtime.block_on(call(&node.client)).map_err(|error| NodeError::read(error, &node.url)))
    }

    /// Asks the first node, and the next one when one fails or is not believed. If all do, the error is the first one that
    /// says that a node is not to be believed, or else the last one.
    fn at_any<T, E: Fails>(&self, ask: impl Fn(&Node) -> Result<T, E>) -> Result<T, E> {
        let mut lie = None;
        for after in 0..self.nodes.len() {
            let node = self.node(after);
            let error = match ask(node) {
                Ok(found) => {
                    self.first.fetch_add(after, Ordering::Relaxed);
                    return Ok(found);
                }
                Err(error) => error,
            };
            let is_last = after + 1 == self.nodes.len();
            if !error.is_the_nodes() || (is_last && lie.is_none()) {
                return Err(error);
            }
            if self.nodes.len() > 1 {
                self.remarks.add(format!("{} was passed over: {}", node.url, error.text()));
            }
            if error.is_a_lie() {
                lie.get_or_insert(error);
            }
        }
        // Not reached without: the last node's error is returned then.
        lie.map_or_else(|| ask(self.node(0)), Err)
    }
}

/// Whether another node may do better.
trait Fails {
    fn is_the_nodes(&self) -> bool;
    fn is_a_lie(&self) -> bool;
    fn text(&self) -> String;
}

impl Fails for NodeError {
    fn is_the_nodes(&self) -> bool {
        matches!(self.exit(), Exit::Unreachable | Exit::Verification) || self.code() == "WRONG_NETWORK"
    }

    fn is_a_lie(&self) -> bool {
        self.exit() == Exit::Verification
    }

    fn text(&self) -> String {
        self.to_string()
    }
}

impl Fails for crate::error::Error {
    fn is_the_nodes(&self) -> bool {
        matches!(self.exit(), Exit::Unreachable | Exit::Verification) || self.code() == "WRONG_NETWORK"
    }

    fn is_a_lie(&self) -> bool {
        self.exit() == Exit::Verification
    }

    fn text(&self) -> String {
        let report = self.report();
        report.why.map_or_else(|| report.what.clone(), |why| format!("{} ({why})", report.what))
    }
}

/// Of two nodes' answers to one transfer the one that counts: that it was taken, else that nobody knows, else the refusal.
fn better(
    one: Result<TransactionStatus, NodeError>,
    other: Result<TransactionStatus, NodeError>,
) -> Result<TransactionStatus, NodeError> {
    let rank = |answer: &Result<TransactionStatus, NodeError>| match answer {
        Ok(status) if !matches!(status.standing, TransactionStanding::Dropped { .. }) => 3,
        Ok(_) => 2,
        Err(error) if !error.is_definite() => 1,
        Err(_) => 0,
    };
    if rank(&other) > rank(&one) { other } else { one }
}
