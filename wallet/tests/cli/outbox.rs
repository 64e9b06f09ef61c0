//! Transfers whose fate one node's word does not settle.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::{Value, json};
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::{Run, Wallet},
};

/// A wallet with alice's key, and a node on which she holds her allocation.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// The same with a transfer whose answer was lost.
fn with_a_lost_answer() -> (Wallet, FakeNode) {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    (wallet, node)
}

/// What `resubmit` says of the one transfer in the outbox, and its exit code.
fn fate(wallet: &Wallet) -> (i32, String, Value) {
    let Run { code, stdout, stderr } = wallet.run(&["resubmit", "--json"]);
    let list: Value = serde_json::from_str(&stdout).unwrap_or_else(|error| panic!("{error}: {stderr}"));
    let transfers = list["transfers"].as_array().unwrap();
    assert!(transfers.len() <= 1, "{list}");
    let first = transfers.first().cloned().unwrap_or_else(|| json!({"fate": "none"}));
    (code, first["fate"].as_str().unwrap().to_owned(), first)
}

fn is_fate(wallet: &Wallet, code: i32, expected: &str) -> Value {
    let (found, word, whole) = fate(wallet);
    assert_eq!((found, word.as_str()), (code, expected), "{whole}");
    whole
}

#[test]
fn a_line_that_breaks_while_a_transfer_is_handed_in_leaves_its_fate_open() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    assert!(stderr.contains("may or may not be mined"), "{stderr}");
    assert!(stderr.contains("try: farthing-wallet resubmit"), "{stderr}");
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = false;
    is_fate(&wallet, 0, "pending");
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_node_that_is_killed_during_any_call_counts_as_unreachable() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::DiesWhenAsked;
    let stderr = wallet.fails(&["balance"], 6, "NODE_UNAVAILABLE");
    assert!(stderr.contains("try: "), "{stderr}");
}

#[test]
fn a_wait_goes_on_over_a_restart_of_the_node() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let mut command = wallet.command(&["send", "alice", "1", "--wait", "1", "--yes"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("submitted ") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the wallet ended before it waited");
    }
    let died = node.next_death();
    node.state().behaviour = Behaviour::DiesWhenAsked;
    died.recv().unwrap();
    node.state().behaviour = Behaviour::Honest;
    node.state().mine();
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn what_one_node_dropped_is_kept_because_another_may_mine_it() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Drops("EVICTED");
    let stderr = wallet.fails(&["send", "alice", "1", "--wait", "1", "--yes"], 8, "DROPPED");
    assert!(stderr.contains("EVICTED; another node may still mine it"), "{stderr}");
    assert!(stderr.contains("try: farthing-wallet resubmit"), "{stderr}");
    let dropped = is_fate(&wallet, 8, "dropped");
    assert!(dropped["reason"].as_str().unwrap().contains("EVICTED"), "{dropped}");
    let text = wallet.run(&["resubmit"]);
    assert!(text.stdout.contains("EVICTED") && text.stderr.contains("error[NOT_WAITING]"), "{}", text.stdout);
    // Another node had it.
    node.state().behaviour = Behaviour::Honest;
    node.state().revive();
    node.state().mine();
    is_fate(&wallet, 0, "mined");
}

#[test]
fn the_next_transfer_takes_the_nonce_of_a_dropped_one_and_says_so() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Drops("EVICTED");
    wallet.fails(&["send", "alice", "1", "--wait", "1", "--yes"], 8, "DROPPED");
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = false;
    let run = wallet.run(&["send", "alice", "2", "--no-wait", "--yes", "--json"]);
    let sent: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(sent["nonce"], 0);
    assert!(run.stderr.contains("another one may still mine it"), "{}", run.stderr);
    assert!(run.stderr.contains("only one of the two can be mined"), "{}", run.stderr);
    assert!(run.stderr.contains("nonce   0"), "{}", run.stderr);
}

#[test]
fn a_transfer_that_a_node_does_not_take_again_is_kept() {
    let (wallet, node) = with_a_lost_answer();
    node.state().forget();
    for reason in ["POOL_FULL", "OVERLOADED", "SOURCE_LIMITED"] {
        node.state().behaviour = Behaviour::Refuses(Code::ResourceExhausted, reason);
        let refused = is_fate(&wallet, 8, "refused");
        assert!(refused["reason"].as_str().unwrap().contains(reason), "{refused}");
    }
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, "KEY_UNKNOWN");
    is_fate(&wallet, 8, "refused");
    node.state().behaviour = Behaviour::Honest;
    is_fate(&wallet, 0, "resubmitted");
}

#[test]
fn the_same_transfer_refused_later_is_still_open() {
    let (wallet, node) = with_a_lost_answer();
    node.state().forget();
    node.state().behaviour = Behaviour::Refuses(Code::ResourceExhausted, "POOL_FULL");
    // The same words give the same nonce, the same bytes and the same id.
    wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    is_fate(&wallet, 8, "refused");
}

#[test]
fn a_transfer_is_settled_once_it_is_deep_in_the_proven_history() {
    let (wallet, node) = with_a_lost_answer();
    node.state().mine();
    let mined = is_fate(&wallet, 0, "mined");
    assert_eq!(mined["confirmations"], 1);
    for _ in 0..5 {
        node.state().mine();
    }
    is_fate(&wallet, 0, "settled");
    is_fate(&wallet, 0, "none");
}

#[test]
fn a_node_that_claims_a_transfer_to_be_mined_does_not_settle_it() {
    let (wallet, node) = with_a_lost_answer();
    node.state().behaviour = Behaviour::PretendsToMine;
    wallet.fails(&["resubmit"], 9, "VERIFICATION_FAILED");
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = false;
    is_fate(&wallet, 0, "pending");
}

#[test]
fn a_transfer_whose_nonce_another_one_took_was_not_paid() {
    let (wallet, node) = with_a_lost_answer();
    node.state().forget();
    // A second copy of the wallet.
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    let other = copy.json(&["send", "alice", "2", "--yes"]);
    assert_eq!(other["nonce"], 0);
    let replaced = is_fate(&wallet, 7, "replaced");
    let reason = replaced["reason"].as_str().unwrap();
    assert!(reason.contains(other["transaction_id"].as_str().unwrap()), "{reason}");
    let run = wallet.run(&["send", "alice", "3", "--yes"]);
    assert!(run.stderr.contains("warning: an earlier transfer of 1 far"), "{}", run.stderr);
    assert!(run.stderr.contains("was not paid: another transfer"), "{}", run.stderr);
}

#[test]
fn a_syncing_node_took_nothing_and_nothing_is_kept() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Refuses(Code::Unavailable, "SYNCING");
    node.state().syncing = true;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 6, "NODE_SYNCING");
    assert!(stderr.contains("took nothing") && stderr.contains("try: again in a while"), "{stderr}");
    is_fate(&wallet, 0, "none");
}

#[test]
fn what_a_syncing_node_tells_comes_with_a_warning() {
    let (wallet, node) = alice();
    node.state().syncing = true;
    let run = wallet.run(&["balance"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let expected = "warning: the node is still fetching blocks: what follows is as of block 1 of 900 or more";
    assert!(run.stderr.contains(expected), "{}", run.stderr);
}

#[test]
fn a_second_send_says_that_it_waits_for_the_first() {
    let (wallet, node) = alice();
    wallet.ok(&["send", "alice", "1", "--yes"]);
    let lock = std::fs::File::options().write(true).open(wallet.path("wallet/dev/sending.lock")).unwrap();
    lock.lock().unwrap();
    let mut command = wallet.command(&["send", "alice", "2", "--yes"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with("another farthing-wallet is sending"), "{line}");
    assert_eq!(node.state().submissions, 1);
    lock.unlock().unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(node.state().submissions, 2);
}
