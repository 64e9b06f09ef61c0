//! `tx show` and `tx wait`: where a transfer stands, and whether that is proven.

use std::{
    io::{BufRead as _, BufReader},
    process::Stdio,
};

use serde_json::Value;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// A wallet with alice's key, and a node on which she holds her allocation.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// Sends without waiting, and gives the transfer's id.
fn send(wallet: &Wallet, amount: &str) -> String {
    let sent = wallet.json(&["send", "alice", amount, "--memo", "bread", "--no-wait", "--yes"]);
    sent["transaction_id"].as_str().unwrap().to_owned()
}

#[test]
fn a_transfer_is_shown_with_its_terms_and_is_proven_once_it_is_mined() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let id = send(&wallet, "1");
    let waiting = wallet.json(&["tx", "show", &id]);
    assert_eq!((&waiting["state"], &waiting["verified"]), (&"pending".into(), &false.into()));
    assert_eq!((&waiting["in_outbox"], &waiting["amount"]), (&true.into(), &"1".into()));
    assert_eq!((&waiting["memo"], &waiting["nonce"]), (&"bread".into(), &0.into()));
    assert_eq!((&waiting["from_name"], &waiting["outputs"][0]["to_name"]), (&"alice".into(), &"alice".into()));
    assert!(wallet.ok(&["tx", "show", &id]).contains("pending (on the node's word)"));
    node.state().mine_many(3);
    let mined = wallet.json(&["tx", "show", &id]);
    assert_eq!((&mined["state"], &mined["verified"]), (&"mined".into(), &true.into()));
    assert_eq!((&mined["block_height"], &mined["confirmations"]), (&2.into(), &3.into()));
    // Not the one that the node names, which is another.
    let block_id = |height: u64| serde_json::Value::from(node.state().chain.header(height).id().to_string());
    assert_eq!(mined["block_id"], block_id(2));
    node.state().mines = true;
    let sent = wallet.json(&["send", "alice", "2", "--wait", "1", "--yes"]);
    assert_eq!((&sent["verified"], &sent["block_id"]), (&true.into(), &block_id(5)));
    let shown = wallet.run(&["tx", "show", &id]);
    assert!(shown.stdout.contains("mined in block 2, confirmations: 4 (verified: "), "{}", shown.stdout);
    assert!(shown.stderr.contains("verified against block 5"), "{}", shown.stderr);
}

#[test]
fn a_transfer_of_anybody_is_shown_and_waited_for() {
    let (wallet, node) = alice();
    let id = send(&wallet, "1");
    let stranger = Wallet::new().with_node(&node.url);
    for command in ["show", "wait"] {
        let seen = stranger.json(&["tx", command, &id]);
        assert_eq!((&seen["state"], &seen["verified"]), (&"mined".into(), &true.into()), "{command}");
        assert_eq!((&seen["in_outbox"], &seen["amount"]), (&false.into(), &"1".into()), "{command}");
    }
}

#[test]
fn an_id_that_nobody_knows_is_no_transfer() {
    let (wallet, _node) = alice();
    let id = "0".repeat(64);
    for command in ["show", "wait"] {
        let stderr = wallet.fails(&["tx", command, &id], 1, "UNKNOWN_TRANSFER");
        assert!(stderr.contains("try: copy the id again"), "{stderr}");
        wallet.fails_to_parse(&["tx", command, "12ab"]);
    }
    wallet.fails_to_parse(&["tx", "wait", &id, "--confirmations", "0"]);
}

#[test]
fn what_the_node_lost_is_shown_from_the_outbox() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let id = send(&wallet, "1");
    node.state().forget();
    let lost = wallet.json(&["tx", "show", &id]);
    assert_eq!((&lost["state"], &lost["amount"]), (&"unknown".into(), &"1".into()));
    assert!(wallet.ok(&["tx", "show", &id]).contains("farthing-wallet resubmit hands it in"));
}

/// Begins a wait, and gives it once it says this.
fn waiting(wallet: &Wallet, words: &[&str], until: &str) -> std::process::Child {
    let mut command = wallet.command(words);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(until) {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the wallet ended before it said {until}");
    }
    // The pipe stays open, so that nothing that is said later ends it.
    std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
    child
}

#[test]
fn what_no_node_knows_is_waited_for_until_it_appears() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let id = send(&wallet, "1");
    node.state().forget();
    let stderr = wallet.fails(&["tx", "wait", &id, "--timeout", "1s"], 8, "NOT_SEEN");
    assert!(
        stderr.contains("it is in this wallet's outbox") && stderr.contains("try: farthing-wallet resubmit"),
        "{stderr}"
    );
    let child = waiting(&wallet, &["tx", "wait", &id, "--json"], "waiting for 1 confirmation");
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "resubmitted");
    node.state().mine();
    let mined: Value = serde_json::from_slice(&child.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!((&mined["state"], &mined["verified"]), (&"mined".into(), &true.into()));
}

#[test]
fn a_wait_for_what_was_bumped_goes_on_with_the_bump() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let first = send(&wallet, "1");
    let early = waiting(&wallet, &["tx", "wait", &first, "--json"], "waiting for 1 confirmation");
    let bump = wallet.json(&["tx", "bump", &first, "--no-wait", "--yes"])["transaction_id"].clone();
    let late = waiting(&wallet, &["tx", "wait", &first, "--json"], "which pays the same");
    node.state().mine();
    for child in [early, late] {
        let output = child.wait_with_output().unwrap();
        let mined: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&mined["state"], &mined["transaction_id"]), (&"mined".into(), &bump));
    }
    assert_eq!(wallet.json(&["tx", "wait", &first])["transaction_id"], bump);
    // A cancellation pays nobody: it is not what was waited for.
    let second = send(&wallet, "2");
    wallet.ok(&["tx", "cancel", &second, "--no-wait", "--yes"]);
    wallet.fails(&["tx", "wait", &second], 8, "DROPPED");
    node.state().mine();
    wallet.fails(&["tx", "wait", &second], 7, "REPLACED");
}

#[test]
fn a_wait_ends_when_another_transfer_took_the_nonce() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let child = waiting(&wallet, &["send", "alice", "1", "--yes"], "waiting for 1 confirmation");
    node.state().forget();
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    send(&copy, "2");
    node.state().mine();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(7));
}

#[test]
fn what_the_node_dropped_is_said_with_its_reason() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Drops("EVICTED");
    let id = send(&wallet, "1");
    let dropped = wallet.json(&["tx", "show", &id]);
    assert_eq!((&dropped["state"], &dropped["reason"]), (&"dropped".into(), &"EVICTED".into()));
    let stderr = wallet.fails(&["tx", "wait", &id], 8, "DROPPED");
    assert!(stderr.contains("another node may still mine it"), "{stderr}");
}

#[test]
fn a_node_that_pretends_to_mine_is_not_believed() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let id = send(&wallet, "1");
    node.state().behaviour = Behaviour::PretendsToMine;
    wallet.fails(&["tx", "show", &id], 9, "VERIFICATION_FAILED");
    wallet.fails(&["tx", "wait", &id], 9, "VERIFICATION_FAILED");
}

#[test]
fn a_transfer_whose_nonce_another_one_took_is_said_to_be_replaced() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let id = send(&wallet, "1");
    node.state().forget();
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    let other = send(&copy, "2");
    node.state().mine();
    let replaced = wallet.json(&["tx", "show", &id]);
    assert_eq!((&replaced["state"], &replaced["replaced_by"]), (&"replaced".into(), &other.as_str().into()));
    assert_eq!(replaced["verified"], true);
    let stderr = wallet.fails(&["tx", "wait", &id], 7, "REPLACED");
    assert!(stderr.contains(&other), "{stderr}");
}

#[test]
fn a_wait_ends_with_the_block_and_a_short_one_says_what_to_do() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes", "--timeout", "1s"], 8, "UNCONFIRMED");
    let (_, rest) = stderr.split_once("try: farthing-wallet tx wait ").unwrap_or_else(|| panic!("{stderr}"));
    let id = rest.split(',').next().unwrap();
    let stderr = wallet.fails(&["tx", "wait", id, "--confirmations", "3", "--timeout", "1s"], 8, "UNCONFIRMED");
    assert!(stderr.contains(&format!("try: farthing-wallet tx wait {id} --confirmations 3")), "{stderr}");
    let mut command = wallet.command(&["tx", "wait", id, "--confirmations", "2", "--json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("waiting for 2 confirmations") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the wallet ended before it waited");
    }
    node.state().mine_many(2);
    let output = child.wait_with_output().unwrap();
    let mined: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&mined["confirmations"], &mined["verified"]), (&2.into(), &true.into()));
    // Told: the same words are another payment from now on.
    assert_eq!(wallet.json(&["send", "alice", "1", "--no-wait", "--yes"])["resumed"], false);
}

/// A node without an index of transactions knows only what waits; the account's history says what was mined.
#[test]
fn what_is_mined_ends_a_wait_at_a_node_that_keeps_no_index() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::KeepsNoIndex;
    let sent = wallet.json(&["send", "alice", "1", "--yes", "--timeout", "5s"]);
    assert_eq!((&sent["state"], &sent["block_height"]), (&"mined".into(), &2.into()));
    assert_eq!((&sent["confirmations"], &sent["verified"]), (&1.into(), &true.into()));
    assert_eq!(sent["block_id"], Value::from(node.state().chain.header(2).id().to_string()));
    let file = wallet.file("may.csv", "recipient,amount\nalice,2\n");
    let paid = wallet.json(&["pay", &file, "--yes", "--timeout", "5s"]);
    assert_eq!(
        (&paid["transactions"][0]["state"], &paid["transactions"][0]["block_height"]),
        (&"mined".into(), &3.into())
    );
    // Told: it holds up no other one.
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    // What was interrupted is found, however deep it is.
    node.state().mines = false;
    wallet.fails(&["send", "alice", "3", "--yes", "--timeout", "1s"], 8, "UNCONFIRMED");
    node.state().mine_many(70);
    let found = wallet.json(&["send", "alice", "3", "--yes", "--timeout", "5s"]);
    assert_eq!((&found["resumed"], &found["verified"]), (&true.into(), &true.into()));
    assert_eq!((&found["block_height"], found.get("block_id")), (&4.into(), None));
}

#[test]
fn a_node_that_keeps_no_index_says_who_took_the_nonce_and_that_more_than_one_confirmation_cannot_be_counted() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::KeepsNoIndex;
    let id = send(&wallet, "1");
    node.state().mine_many(3);
    let interrupted = wallet.fails(&["tx", "wait", &id, "--confirmations", "2", "--timeout", "1s"], 8, "UNCONFIRMED");
    wallet.fails(&["send", "alice", "2", "--yes", "--timeout", "1s"], 8, "UNCONFIRMED");
    node.state().mine_many(3);
    let resumed = wallet.fails(&["send", "alice", "2", "--yes", "--wait", "2", "--timeout", "1s"], 8, "UNCONFIRMED");
    for stderr in [interrupted, resumed] {
        assert!(stderr.contains("has 1 of 2 confirmations"), "{stderr}");
        assert_eq!(stderr.matches("more are counted with --node URL and another node").count(), 1, "{stderr}");
    }
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&["tx", "wait", &id, "--confirmations", "2"])["confirmations"], 6);
    node.state().behaviour = Behaviour::KeepsNoIndex;
    let child = waiting(&wallet, &["send", "alice", "3", "--yes", "--timeout", "20s"], "waiting for 1 confirmation");
    node.state().forget();
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    send(&copy, "4");
    node.state().mine();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(7));
}
