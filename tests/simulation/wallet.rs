//! Whoever pays: submits transfers over the public API of some node, and holds the nodes to what they acknowledged.

use std::{cell::RefCell, rc::Rc, time::Duration};

use farthing::{
    Address, TxId,
    codec::Canonical as _,
    wire::v1::{self, ledger_service_client::LedgerServiceClient},
};
use farthing_node::env::Net as _;
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use crate::{
    hosts::{Hosts, RPC_PORT},
    keys,
    plan::{Dice, Order},
};

/// How long a node may take to answer before another is asked.
const PATIENCE: Duration = Duration::from_secs(4);
/// Pause before a transfer is submitted again.
const PAUSE: Duration = Duration::from_millis(700);

/// What the nodes owe.
#[derive(Default)]
pub(crate) struct Ledger {
    /// Transfers that a node took, and which node.
    pub(crate) acknowledged: Vec<(TxId, usize)>,
    /// Transfers still to be submitted.
    pub(crate) open: usize,
}

/// Submits all orders, those of each key one after the other.
pub(crate) async fn run(hosts: Rc<Hosts>, orders: Vec<Order>) -> turmoil::Result {
    hosts.ledger.borrow_mut().open = orders.len();
    let payers = (0..4).map(|payer| {
        let own: Vec<Order> = orders.iter().filter(|order| order.from == payer).cloned().collect();
        pay(Rc::clone(&hosts), payer, own)
    });
    futures_util::future::join_all(payers).await;
    // A client that ends would end the simulation.
    std::future::pending().await
}

async fn pay(hosts: Rc<Hosts>, payer: usize, orders: Vec<Order>) {
    let dice = RefCell::new(Dice::new(hosts.seed ^ (0xca11 + payer as u64)));
    let key = keys::all().nth(payer).expect("one of four");
    for (nonce, order) in orders.into_iter().enumerate() {
        sleep(order.at.saturating_sub(hosts.time.now())).await;
        let to = keys::all().nth(order.to).map_or(Address::from_bytes([order.to as u8; 32]), |key| key.address());
        let signed = key.pay(&hosts.params, nonce as u64, to, 1);
        let id = signed.transaction().id(hosts.params.genesis_id());
        let mut node = order.node;
        while let Err(refusal) = submit(&hosts, node, signed.to_canonical()).await {
            hosts.note_world(format_args!("payer {payer}: node {node} does not take transfer {nonce}: {refusal}"));
            hosts.trace.borrow_mut().count("submissions refused or unanswered");
            sleep(PAUSE).await;
            node = dice.borrow_mut().below(hosts.len());
        }
        hosts.note_world(format_args!("payer {payer}: node {node} took transfer {nonce}, {}", short(&id)));
        hosts.trace.borrow_mut().count("transfers acknowledged");
        let mut ledger = hosts.ledger.borrow_mut();
        ledger.acknowledged.push((id, node));
        ledger.open -= 1;
    }
}

/// The first digits of an id.
pub(crate) fn short(id: &impl ToString) -> String {
    id.to_string().chars().take(8).collect()
}

async fn submit(hosts: &Hosts, node: usize, transaction: Vec<u8>) -> Result<(), String> {
    let asked = async {
        let channel = connect(hosts, node).await?;
        let form = v1::submit_transaction_request::Form::TransactionBytes(transaction.into());
        let request = v1::SubmitTransactionRequest { form: Some(form) };
        let answer = LedgerServiceClient::new(channel).submit_transaction(request).await;
        answer.map(|_| ()).map_err(|status| format!("{}: {}", status.code(), status.message()))
    };
    timeout(PATIENCE, asked).await.unwrap_or_else(|_| Err("no answer".to_owned()))
}

async fn connect(hosts: &Hosts, node: usize) -> Result<Channel, String> {
    let dialled = hosts.net().dial(&hosts.address(node).to_string(), RPC_PORT).await;
    let mut only = Some(TokioIo::new(dialled.map_err(|error| error.to_string())?.into_io()));
    let connector = tower::service_fn(move |_: http::Uri| {
        std::future::ready(only.take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)))
    });
    let endpoint = Endpoint::from_static("http://node.simulation");
    endpoint.connect_with_connector(connector).await.map_err(|error| error.to_string())
}
