//! The wallet's program on real nodes, as one pays with it: nodes mine when told, calls are held at a gate, the wallet and
//! nodes are killed. What was paid is what the receiving accounts hold, proven.

mod kills;
mod payroll;
mod reorganised;
mod replaced;
mod waits;

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::{Child, ChildStderr},
    sync::Arc,
};

use farthing::{Address, Network, Params};
use serde_json::Value;

use crate::harness::{
    api::{Api, Standing},
    eventually,
    keys::DAVE,
    process::{Options, Place, Running},
    wallet::{Run, Wallet},
};

/// What the four keys begin with on dev, in mites.
const ALLOCATION: u64 = 100_000_000_000_000;
const MITES_PER_FAR: u64 = 100_000_000;

fn dev() -> Arc<Params> {
    Arc::new(Network::Dev.params().clone())
}

/// An account that nobody has opened and nobody can spend from.
fn payee(number: u8) -> String {
    Network::Dev.params().prefix.format(&Address::from_bytes([number; 32]))
}

/// Mines so many blocks for somebody who has nothing to do with payments.
fn mine(place: &Place, blocks: u64) {
    let to = Network::Dev.params().prefix.format(&DAVE.address());
    let (code, _, err) = place.ask(&["mine", &blocks.to_string(), "--to", &to]);
    assert_eq!(code, 0, "{err}");
}

/// A wallet with alice's key that asks this node.
fn alice(node: &Running<'_>) -> Wallet {
    let wallet = Wallet::of(node);
    wallet.json(&["key", "import", "--dev", "alice", "--no-passphrase"]);
    wallet
}

/// What an account holds in mites, proven.
fn holds(wallet: &Wallet, who: &str) -> u64 {
    let balance = wallet.json(&["balance", who]);
    let account = &balance["accounts"][0];
    assert_eq!((&account["address"], &account["labels"]["balance"]), (&who.into(), &"verified".into()), "{balance}");
    mites(account, "balance_mites")
}

fn mites(value: &Value, field: &str) -> u64 {
    value[field].as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn id(value: &Value) -> String {
    value["transaction_id"].as_str().unwrap_or_else(|| panic!("no id in {value}")).to_owned()
}

/// An amount in far as one types it.
fn far(mites: u64) -> String {
    format!("{}.{:08}", mites / MITES_PER_FAR, mites % MITES_PER_FAR)
}

fn show(wallet: &Wallet, id: &str) -> Value {
    wallet.json(&["tx", "show", id])
}

/// The state of a transfer, and whether that is proven.
fn state(wallet: &Wallet, id: &str) -> (String, bool) {
    let shown = show(wallet, id);
    (shown["state"].as_str().expect("a state").to_owned(), shown["verified"] == true)
}

fn proven(state: &str) -> (String, bool) {
    (state.to_owned(), true)
}

fn said(state: &str) -> (String, bool) {
    (state.to_owned(), false)
}

/// Every transfer of the outbox and what became of it.
fn fates(wallet: &Wallet) -> Vec<(String, String)> {
    let Run { stdout, .. } = wallet.run(&["--json", "resubmit"], "");
    let list: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stdout}"));
    let one = |one: &Value| (id(one), one["fate"].as_str().expect("a fate").to_owned());
    list["transfers"].as_array().expect("a list").iter().map(one).collect()
}

fn fate_of(wallet: &Wallet, id: &str) -> Option<String> {
    fates(wallet).into_iter().find_map(|(found, fate)| (found == id).then_some(fate))
}

/// How many transfers an account has paid, by the node.
async fn paid_by_alice(api: &mut Api) -> u64 {
    api.account(&crate::harness::keys::ALICE.address()).await.expect("genesis funds alice").next_nonce
}

async fn waiting(api: &mut Api) -> u64 {
    api.info().await.expect("the node answers").mempool_transactions
}

/// Reads what a running wallet says until a line that begins so.
fn read_until(child: &mut Child, begins: &str) -> BufReader<ChildStderr> {
    let mut stderr = BufReader::new(child.stderr.take().expect("piped"));
    let mut line = String::new();
    while !line.starts_with(begins) {
        line.clear();
        let read = stderr.read_line(&mut line).expect("the wallet prints UTF-8");
        assert_ne!(read, 0, "the wallet ended before it said {begins:?}");
    }
    stderr
}

/// Waits for the end of such a wallet.
fn rest(child: Child, mut stderr: BufReader<ChildStderr>) -> Run {
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("the wallet prints UTF-8");
    let run = Run::from(child.wait_with_output().expect("the wallet ends"));
    Run { stderr: rest, ..run }
}

/// Joins two nodes, and waits until the first one stands where the second one does.
async fn join(place: &Place, node: &Running<'_>, other: &Running<'_>) {
    let (code, _, err) = place.ask(&["peers", "add", &other.p2p.to_string()]);
    assert_eq!(code, 0, "{err}");
    let (mut here, mut there) = (node.api().await, other.api().await);
    eventually("the node is on the other's chain", async || {
        match (Standing::of(&mut here).await, Standing::of(&mut there).await) {
            (here, there) if here == there => Ok(()),
            (here, there) => Err(format!("{} at {}, {} at {}", here.tip, here.height, there.tip, there.height)),
        }
    })
    .await;
}

/// A node that mines when told.
async fn start(place: &Place) -> Running<'_> {
    place.start(&Options::default()).await
}
