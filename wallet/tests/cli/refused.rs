//! What a node refused: it is handed in again, kept by the node all the same, mined in the place of another one, or called off.

use std::time::{Duration, Instant};

use serde_json::Value;
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
    terminal::{PLAIN, code, on_a_terminal},
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

/// The error of a command that must fail.
fn error(wallet: &Wallet, arguments: &[&str]) -> Value {
    let run = wallet.run(&[arguments, &["--json"]].concat());
    assert_eq!(run.code, 7, "{arguments:?}: {}", run.stderr);
    let line: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    line["error"].clone()
}

#[test]
fn what_a_node_refused_and_kept_can_be_called_off_or_paid_for() {
    for command in ["cancel", "bump"] {
        let (wallet, node) = alice();
        node.state().behaviour = KEPT;
        let refused = error(&wallet, &["send", "alice", "1", "--yes"]);
        let id = refused["transaction_id"].as_str().unwrap().to_owned();
        node.state().behaviour = Behaviour::Honest;
        // Before anybody is asked, and without anything that could be handed in.
        let file = wallet.file("payroll.csv", "recipient,amount\nalice,3\n");
        for words in [
            &["send", "alice", "2", "--no-input"][..],
            &["send", "alice", "2", "--dry-run"],
            &["pay", &file, "--no-input"],
            &["pay", &file, "--dry-run"],
        ] {
            let doubt = error(&wallet, words);
            assert_eq!((&doubt["code"], &doubt["transaction_id"]), (&"REFUSAL_IN_DOUBT".into(), &id.as_str().into()));
            assert!(doubt["try"][0].as_str().unwrap().contains(&format!("tx cancel {id}")), "{doubt}");
        }
        wallet.fails(&["tx", command, &id, "--no-input"], 3, "CONFIRMATION_NEEDED");
        assert_eq!(wallet.json(&["resubmit"])["transfers"], serde_json::json!([]), "nobody agreed");
        let new = wallet.json(&["tx", command, &id, "--no-wait", "--yes"]);
        assert_eq!((&new["replaces"], &new["nonce"], &new["kind"]), (&id.into(), &0.into(), &command.into()));
        assert_eq!(send(&wallet, "2", &[]), (1, false));
        node.state().mine();
        let first = if command == "cancel" { 1 } else { 100_000_000 };
        assert_eq!(node.state().paid(), [first, 200_000_000]);
    }
}

#[test]
fn a_cancellation_of_what_was_refused_that_comes_too_late_says_so() {
    let (wallet, node) = alice();
    node.state().behaviour = KEPT;
    let id = error(&wallet, &["send", "alice", "1", "--yes"])["transaction_id"].as_str().unwrap().to_owned();
    node.state().behaviour = Behaviour::Honest;
    wallet.ok(&["tx", "cancel", &id, "--no-wait", "--yes"]);
    node.state().mine_the_replaced();
    assert_eq!(error(&wallet, &["tx", "cancel", &id, "--yes"])["code"], "ALREADY_MINED");
    // The cancellation was told of as such, so the payment counts as told too: the same words are another one.
    assert_eq!(send(&wallet, "1", &[]), (1, false));
}

#[test]
fn a_refusal_that_cannot_be_noted_is_told_with_the_transfer_that_stays() {
    let (wallet, node) = alice();
    let mut screen = on_a_terminal(&wallet, PLAIN, &["send", "alice", "1"]);
    screen.exp_string("Send it? [y/N] ").unwrap();
    // The node is held up while the wallet hands it in.
    let mut state = node.state();
    state.behaviour = TRUE;
    screen.send_line("y").unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let is_there = |mut files: std::fs::ReadDir| {
        files.any(|file| file.unwrap().path().extension().is_some_and(|end| end == "toml"))
    };
    while !std::fs::read_dir(wallet.path("wallet/dev/outbox")).is_ok_and(is_there) {
        assert!(Instant::now() < deadline, "nothing was written down");
        std::thread::yield_now();
    }
    // Leads nowhere.
    let in_the_way = wallet.path("wallet/dev/refused");
    std::os::unix::fs::symlink("nowhere", &in_the_way).unwrap();
    drop(state);
    let said = screen.exp_eof().unwrap();
    assert_eq!(code(&screen), 8, "{said}");
    for part in
        ["error[NOT_TAKEN]", "[MEMPOOL_FULL]", "is still in the outbox", "dev/refused", "try: farthing-wallet resubmit"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    std::fs::remove_file(in_the_way).unwrap();
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(send(&wallet, "1", &[]), (0, true));
}

#[test]
fn a_refusal_is_remembered_until_what_used_its_nonce_lies_deep() {
    let (wallet, node) = alice();
    node.state().behaviour = KEPT;
    let id = error(&wallet, &["send", "alice", "1", "--yes"])["transaction_id"].clone();
    let kept = std::mem::take(&mut node.state().pool);
    node.state().behaviour = Behaviour::Honest;
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    assert_eq!(send(&copy, "2", &[]), (0, false));
    node.state().mine();
    assert_eq!(send(&wallet, "3", &[]), (1, false));
    node.state().mine();
    // Another chain, on which nothing was paid, and a node that still has what was refused.
    let mut state = node.state();
    state.go_back_to(1);
    state.mark = 7;
    state.mine_many(5);
    state.pool = kept;
    drop(state);
    let doubt = error(&wallet, &["send", "alice", "4", "--no-wait", "--yes"]);
    assert_eq!((&doubt["code"], &doubt["transaction_id"]), (&"REFUSAL_IN_DOUBT".into(), &id));
}
