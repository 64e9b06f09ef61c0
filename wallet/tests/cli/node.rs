//! What the wallet does with a node's answers, honest and otherwise.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    process::Stdio,
};

use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode, PAINT},
    harness::Wallet,
};

/// A wallet with alice's key, and a node on which she holds her allocation.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// Someone without an account.
const ERIN: &str = "erin";

fn with_erin() -> (Wallet, FakeNode) {
    let (wallet, node) = alice();
    wallet.ok(&["key", "new", ERIN, "--no-passphrase"]);
    (wallet, node)
}

#[test]
fn a_balance_is_shown_with_what_was_verified() {
    let (wallet, _node) = alice();
    let run = wallet.run(&["balance"]);
    assert_eq!((run.code, run.stdout.as_str()), (0, "alice        1000000 far (verified)\n"), "{}", run.stderr);
    assert!(run.stderr.contains("verified against block 1"), "{}", run.stderr);
    assert!(run.stderr.contains("not verified: "), "{}", run.stderr);
    let json = wallet.json(&["balance", "alice"]);
    assert_eq!(json["accounts"][0]["balance"], "1000000");
    assert_eq!(json["accounts"][0]["balance_mites"], "100000000000000");
    assert_eq!(json["accounts"][0]["proof"]["verified"][0], "account proof");
}

#[test]
fn a_balance_that_is_not_proven_is_not_shown() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Boasts;
    wallet.fails(&["balance"], 9, "VERIFICATION_FAILED");
    wallet.fails(&["send", "alice", "1", "--yes"], 9, "VERIFICATION_FAILED");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn a_transfer_is_sent_mined_and_proven() {
    let (wallet, _node) = with_erin();
    let sent = wallet.json(&["send", ERIN, "12.5", "--from", "alice", "--memo", "hello", "--wait", "1", "--yes"]);
    assert_eq!((&sent["state"], &sent["verified"]), (&"mined".into(), &true.into()));
    assert_eq!((&sent["amount"], &sent["nonce"], &sent["confirmations"]), (&"12.5".into(), &0.into(), &1.into()));
    // Opening erin's account costs 0.1 far, and each byte 100 mites.
    let fee: u64 = sent["fee_mites"].as_str().unwrap().parse().unwrap();
    assert!((10_060_000..10_070_000).contains(&fee), "{fee}");
    let again = wallet.json(&["send", "alice", "1", "--from", "alice", "--yes"]);
    let fee: u64 = again["fee_mites"].as_str().unwrap().parse().unwrap();
    assert!((36_000..40_000).contains(&fee), "a later transfer is short and opens nothing: {fee}");
    wallet.ok(&["send", "alice", "2", "--from", "alice", "--yes"]);
    let history = wallet.json(&["history", "alice"]);
    assert_eq!((&history["complete"], &history["entries_total"]), (&true.into(), &3.into()));
    assert_eq!(history["entries"][2]["memo"], "hello");
    assert_eq!(history["entries"][2]["with"][0], ERIN);
    assert_eq!(history["entries"][2]["id"], sent["transaction_id"]);
    let newest = wallet.json(&["history", "alice", "--limit", "2"]);
    assert_eq!((&newest["complete"], newest["entries"].as_array().unwrap().len()), (&false.into(), 2));
}

#[test]
fn without_a_terminal_nothing_is_sent_unconfirmed() {
    let (wallet, node) = alice();
    let stderr = wallet.fails(&["send", "alice", "1"], 3, "CONFIRMATION_NEEDED");
    assert!(stderr.contains("--yes") && stderr.contains("amount  1 far"), "{stderr}");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn too_little_money_has_its_own_exit_code() {
    let (wallet, node) = alice();
    let stderr = wallet.fails(&["send", "alice", "1000000", "--yes"], 5, "INSUFFICIENT_FUNDS");
    assert!(stderr.contains("1000000 far can be spent"), "{stderr}");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn a_fee_that_does_not_open_the_account_is_refused_here() {
    let (wallet, _node) = with_erin();
    wallet.fails(&["send", ERIN, "1", "--from", "alice", "--fee", "0.05", "--yes"], 2, "FEE_TOO_LOW");
}

#[test]
fn a_rejected_transfer_is_told_with_the_nodes_reason_and_not_kept() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW");
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    assert!(stderr.contains("FEE_TOO_LOW"), "{stderr}");
    assert!(stderr.contains("try: the same command again, later"), "{stderr}");
    assert_eq!(wallet.json(&["resubmit"])["transfers"], serde_json::json!([]));
}

#[test]
fn a_lost_answer_never_leads_to_a_second_payment() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    assert!(stderr.contains("farthing-wallet resubmit"), "{stderr}");
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "pending");
    node.state().mine();
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "mined");
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
}

#[test]
fn a_wait_that_is_too_short_says_that_the_transfer_is_submitted() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let stderr = wallet.fails(&["send", "alice", "1", "--wait", "1", "--timeout", "1", "--yes"], 8, "UNCONFIRMED");
    assert!(stderr.contains("is submitted"), "{stderr}");
    assert!(stderr.contains("try: farthing-wallet tx wait "), "{stderr}");
}

#[test]
fn a_node_that_only_says_mined_is_not_believed() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::PretendsToMine;
    wallet.fails(&["send", "alice", "1", "--wait", "1", "--yes"], 9, "VERIFICATION_FAILED");
}

#[test]
fn a_node_of_another_network_is_refused_by_name() {
    let (wallet, node) = alice();
    let other = Wallet::on("main").with_node(&node.url);
    let status = other.run(&["status"]);
    let stderr = status.stderr;
    assert_eq!(status.code, 2, "{stderr}");
    assert!(stderr.contains("error[WRONG_NETWORK]"), "{stderr}");
    assert!(stderr.contains("\"dev\"") && stderr.contains("\"main\""), "{stderr}");
    assert_eq!(wallet.json(&["status"])["nodes"][0]["tip_height"], 1);
}

#[test]
fn an_interruption_says_what_was_sent_and_has_its_own_exit_code() {
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
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.contains("is submitted and may be mined"), "{rest}");
}

#[test]
fn an_earlier_transfer_that_the_node_forgot_is_submitted_again_before_a_new_one() {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    node.state().forget();
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = false;
    let run = wallet.run(&["send", "alice", "2", "--no-wait", "--yes", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    assert!(run.stderr.contains("unknown to the node and is submitted again"), "{}", run.stderr);
    let sent: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&sent["nonce"], &sent["state"]), (&1.into(), &"pending".into()));
    assert_eq!(node.state().submissions, 3);
}

#[test]
fn a_mined_transfer_comes_with_what_was_verified_and_what_not() {
    let (wallet, _node) = alice();
    let sent = wallet.json(&["send", "alice", "1", "--wait", "1", "--yes"]);
    let list = |name: &str| sent["proof"][name].as_array().unwrap().iter().map(ToString::to_string).collect::<String>();
    assert!(list("verified").contains("history contains the transfer"), "{sent}");
    assert!(list("verified").contains("how many blocks stand above"), "{sent}");
    assert!(list("verified").contains("the work of its whole chain"), "{sent}");
    assert!(list("not_verified").contains("that no other chain has more work"), "{sent}");
    let run = wallet.run(&["send", "alice", "1", "--wait", "1", "--yes"]);
    assert!(run.stdout.contains("verified: in the sender's proven history"), "{}", run.stdout);
    assert!(run.stderr.contains("not verified: that no other chain has more work"), "{}", run.stderr);
    assert!(wallet.json(&["send", "alice", "1", "--no-wait", "--yes"]).get("proof").is_none());
}

#[test]
fn the_evidence_of_several_accounts_is_told_once_a_header() {
    let (wallet, _node) = with_erin();
    let stderr = wallet.run(&["balance"]).stderr;
    assert_eq!(stderr.matches("verified against block 1").count(), 1, "{stderr}");
}

#[test]
fn no_text_of_a_node_commands_the_terminal() {
    let (wallet, node) = alice();
    node.state().version = PAINT;
    let status = wallet.run(&["status"]);
    assert!(status.stdout.contains("\\u{1b}[2J"), "{}", status.stdout);
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, PAINT);
    let refused = wallet.run(&["send", "alice", "1", "--yes"]);
    node.state().behaviour = Behaviour::Refuses(Code::Internal, PAINT);
    let failed = wallet.run(&["send", "alice", "1", "--yes"]);
    node.state().behaviour = Behaviour::Drops(PAINT);
    let dropped = wallet.run(&["send", "alice", "1", "--wait", "1", "--yes"]);
    let told = wallet.run(&["resubmit"]);
    for run in [status, refused, failed, dropped, told] {
        assert!(!run.stdout.contains('\u{1b}') && !run.stderr.contains('\u{1b}'), "{:?}{:?}", run.stdout, run.stderr);
    }
}

#[test]
fn a_reorganisation_between_two_pages_begins_the_history_anew() {
    let (wallet, node) = alice();
    for _ in 0..3 {
        wallet.ok(&["send", "alice", "1", "--yes"]);
    }
    node.state().behaviour = Behaviour::LosesPages;
    assert_eq!(wallet.json(&["history"])["complete"], true);
    assert!(node.state().behaviour == Behaviour::Honest);
}
