//! What a node refused: it is handed in again, kept by the node all the same, mined in the place of another one, or called off.

use serde_json::Value;
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// A refusal that comes with the transfer kept all the same.
const KEPT: Behaviour = Behaviour::TakesAndRefuses(Code::ResourceExhausted, "MEMPOOL_FULL");
/// One that is true.
const TRUE: Behaviour = Behaviour::Refuses(Code::ResourceExhausted, "MEMPOOL_FULL");

/// A wallet with alice's key, and a node on which she holds her allocation and that mines when told.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    node.state().mines = false;
    (wallet.with_node(&node.url), node)
}

/// Sends, which must go well, and gives nonce and whether it went on with an earlier command's.
fn send(wallet: &Wallet, amount: &str, more: &[&str]) -> (u64, bool) {
    let sent = wallet.json(&[&["send", "alice", amount, "--no-wait", "--yes"], more].concat());
    (sent["nonce"].as_u64().unwrap(), sent["resumed"].as_bool().unwrap())
}

/// A payment of 1 far with this id, if any, that the node refused and kept, and the same with another fee, which another node took
/// before the first one was mined.
fn refused_and_mined_beside_another(more: &[&str]) -> (Wallet, FakeNode) {
    let (wallet, node) = alice();
    node.state().behaviour = KEPT;
    wallet.fails(&[&["send", "alice", "1", "--yes"], more].concat(), 7, "REJECTED");
    let kept = std::mem::take(&mut node.state().pool);
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(send(&wallet, "1", &[&["--fee", "0.002"], more].concat()), (0, false));
    let mut state = node.state();
    state.pool = kept;
    state.mine();
    drop(state);
    (wallet, node)
}

#[test]
fn a_refusal_is_forgotten_once_the_same_transfer_was_taken() {
    let (wallet, node) = alice();
    node.state().behaviour = TRUE;
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(send(&wallet, "1", &[]), (0, false));
    node.state().mine_many(6);
    wallet.ok(&["resubmit"]);
    assert_eq!(send(&wallet, "5", &[]), (1, false));
    node.state().mine();
    // They are another payment.
    assert_eq!(send(&wallet, "1", &[]), (2, false));
    node.state().mine();
    assert_eq!(node.state().paid(), [100_000_000, 500_000_000, 100_000_000]);
}

#[test]
fn a_refused_transfer_that_is_mined_in_the_place_of_another_one_is_the_same_payment() {
    // What was told of is over: the same words are another payment.
    let (wallet, node) = refused_and_mined_beside_another(&[]);
    let fates = wallet.json(&["resubmit"]);
    let fates = fates["transfers"].as_array().unwrap().iter().map(|one| one["fate"].as_str().unwrap());
    let mut fates: Vec<&str> = fates.collect();
    fates.sort_unstable();
    assert_eq!(fates, ["mined", "superseded"]);
    assert_eq!(send(&wallet, "1", &[]), (1, false));
    // With an id it is made once.
    let (wallet, node_of_id) = refused_and_mined_beside_another(&["--id", "rent"]);
    drop(node);
    for blocks in [0, 6] {
        node_of_id.state().mine_many(blocks);
        assert_eq!(send(&wallet, "1", &["--id", "rent"]), (0, true));
    }
    assert_eq!(node_of_id.state().paid(), [100_000_000]);
}

/// The command that was refused first and then waits is told which of its transfers was mined, and pays nothing more.
#[test]
fn a_wait_that_a_refused_transfer_overtakes_does_not_pay_again() {
    let (wallet, node) = alice();
    node.state().behaviour = KEPT;
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    let kept = std::mem::take(&mut node.state().pool);
    // Its answer is lost: nobody was told.
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "1", "--fee", "0.002", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    node.state().pool = kept;
    node.state().mine();
    let dry: Value = wallet.json(&["send", "alice", "1", "--dry-run"]);
    assert_eq!(dry["state"], "would_go_on", "{dry}");
    assert_eq!(send(&wallet, "1", &[]), (0, true));
    assert_eq!(node.state().paid(), [100_000_000]);
}
