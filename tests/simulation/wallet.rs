//! Whoever pays: submits transfers over the public API of some node, and holds the nodes to what they acknowledged.

use std::{cell::RefCell, fmt, rc::Rc, time::Duration};

use farthing::{
    Address, SignedTransaction, TxId,
    codec::Canonical as _,
    wire::v1::{self, ledger_service_client::LedgerServiceClient},
};
use farthing_node::{
    env::Net as _,
    mempool::{DropReason, PoolStatus},
};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_types::StatusExt as _;

use crate::{
    hosts::{Hosts, RPC_PORT},
    keys,
    plan::{Dice, Order},
};

/// How long a node may take to answer before another is asked.
const PATIENCE: Duration = Duration::from_secs(4);
/// Pause before a transfer is submitted again.
const PAUSE: Duration = Duration::from_millis(700);

/// How often it is asked what became of the transfers that nodes took.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the nodes owe.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Transfers that a node took.
    pub(crate) acknowledged: Vec<Acknowledged>,
    /// Transfers still to be submitted.
    pub(crate) open: usize,
}

/// A transfer that a node took.
#[derive(Clone)]
pub(crate) struct Acknowledged {
    pub(crate) id: TxId,
    /// The node that took it, last.
    pub(crate) by: usize,
    /// It has a rival of the same nonce: only the node that took it need know what became of it.
    pub(crate) is_contested: bool,
    /// It was heard that it lost. A node need not remember that for more than so many blocks.
    pub(crate) has_lost: bool,
    payer: usize,
    nonce: u64,
    /// Its canonical bytes.
    bytes: Vec<u8>,
}

impl fmt::Display for Acknowledged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, by, payer, nonce, .. } = self;
        write!(f, "transfer {id}, number {nonce} of payer {payer}, taken by node {by}")
    }
}

/// Submits all orders, those of each key one after the other.
pub(crate) async fn run(hosts: Rc<Hosts>, orders: Vec<Order>) -> turmoil::Result {
    hosts.ledger.borrow_mut().open = orders.len();
    let payers = (0..4).map(|payer| {
        let own: Vec<Order> = orders.iter().filter(|order| order.from == payer).cloned().collect();
        pay(Rc::clone(&hosts), payer, own)
    });
    // A client that ends would end the simulation.
    futures_util::join!(futures_util::future::join_all(payers), submit_again(&hosts));
    Ok(())
}

/// Asks what became of what was taken, and submits what was given up to some node, until the end. A node that hears of no blocks, for its clock is
/// hours slow, gives up a transfer that waits for an earlier one which it has not heard of; it says so to whoever asks.
async fn submit_again(hosts: &Hosts) {
    let mut dice = Dice::new(hosts.seed ^ 0xa6a1);
    loop {
        sleep(LOOK_EVERY).await;
        for at in 0.. {
            let Some(taken) = hosts.ledger.borrow().acknowledged.get(at).cloned() else { break };
            let status = hosts.handles(taken.by).and_then(|node| node.mempool.status(&taken.id));
            match status {
                Some(PoolStatus::Dropped { reason: DropReason::GapTimeout, .. }) => {}
                Some(PoolStatus::Dropped { .. }) if taken.is_contested => {
                    hosts.ledger.borrow_mut().acknowledged[at].has_lost = true;
                    continue;
                }
                _ => continue,
            }
            let node = dice.below(hosts.len());
            if submit(hosts, node, taken.bytes).await.is_ok() {
                let id = short(&taken.id);
                hosts.note_world(format_args!("node {node} took {id} again, which node {} gave up", taken.by));
                hosts.trace.borrow_mut().count("transfers submitted again");
                hosts.ledger.borrow_mut().acknowledged[at].by = node;
            }
        }
    }
}

async fn pay(hosts: Rc<Hosts>, payer: usize, orders: Vec<Order>) {
    let dice = RefCell::new(Dice::new(hosts.seed ^ (0xca11 + payer as u64)));
    let key = keys::all().nth(payer).expect("one of four");
    for (nonce, order) in (0_u64..).zip(orders) {
        sleep(order.at.saturating_sub(hosts.time.now())).await;
        let to = keys::all().nth(order.to).map_or(Address::from_bytes([order.to as u8; 32]), |key| key.address());
        let (signed, rival) = (key.pay(&hosts.params, nonce, to, 1), key.pay(&hosts.params, nonce, to, 2));
        let is_contested = order.rival.is_some();
        let took = |signed: &SignedTransaction, by| {
            let id = signed.transaction().id(hosts.params.genesis_id());
            hosts.note_world(format_args!("payer {payer}: node {by} took transfer {nonce}, {}", short(&id)));
            hosts.trace.borrow_mut().count("transfers acknowledged");
            let taken =
                Acknowledged { id, by, is_contested, has_lost: false, payer, nonce, bytes: signed.to_canonical() };
            hosts.ledger.borrow_mut().acknowledged.push(taken);
        };
        if let Some(node) = order.rival
            && submit(&hosts, node, rival.to_canonical()).await.is_ok()
        {
            took(&rival, node);
        }
        let mut node = order.node;
        let taken = loop {
            match submit(&hosts, node, signed.to_canonical()).await {
                Ok(()) => break true,
                // Its rival was mined before.
                Err(Refused { nonce_is_used: true, .. }) if is_contested => break false,
                Err(Refused { why, .. }) => {
                    hosts.note_world(format_args!("payer {payer}: node {node} does not take transfer {nonce}: {why}"));
                    hosts.trace.borrow_mut().count("submissions refused or unanswered");
                }
            }
            sleep(PAUSE).await;
            node = dice.borrow_mut().below(hosts.len());
        };
        if taken {
            took(&signed, node);
        }
        hosts.ledger.borrow_mut().open -= 1;
    }
}

/// Why a node does not take a transfer.
struct Refused {
    why: String,
    /// Another transfer of this nonce was mined.
    nonce_is_used: bool,
}

impl Refused {
    fn unheard(why: impl ToString) -> Self {
        Self { why: why.to_string(), nonce_is_used: false }
    }
}

/// The first digits of an id.
pub(crate) fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(8).collect()
}

async fn submit(hosts: &Hosts, node: usize, transaction: Vec<u8>) -> Result<(), Refused> {
    let asked = async {
        let channel = connect(hosts, node, RPC_PORT).await.map_err(Refused::unheard)?;
        let form = v1::submit_transaction_request::Form::TransactionBytes(transaction.into());
        let request = v1::SubmitTransactionRequest { form: Some(form) };
        let answer = LedgerServiceClient::new(channel).submit_transaction(request).await;
        answer.map(|_| ()).map_err(|status| Refused {
            why: format!("{:?}: {}", status.code(), status.message()),
            nonce_is_used: status.get_error_details().error_info().is_some_and(|info| info.reason == "NONCE_TOO_LOW"),
        })
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err(Refused::unheard("no answer")))
}

/// A connection to a port of a node.
pub(crate) async fn connect(hosts: &Hosts, node: usize, port: u16) -> Result<Channel, String> {
    let dialled = hosts.net().dial(&hosts.address(node).to_string(), port).await;
    let mut only = Some(TokioIo::new(dialled.map_err(|error| error.to_string())?.into_io()));
    let connector = tower::service_fn(move |_: http::Uri| {
        std::future::ready(only.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    let endpoint = Endpoint::from_static("http://node.simulation");
    endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
}
