//! Transfers that are signed and printed, not submitted.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use farthing::{SignedTransaction, codec::Canonical as _, params::Network};

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::{Run, Wallet},
};

/// A wallet with alice's key; no node answers it.
fn alice() -> (Wallet, String) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    (wallet, address)
}

fn online() -> (Wallet, FakeNode) {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// The transfer in a printed request, which must hold nothing else.
fn transfer(run: &Run) -> SignedTransaction {
    assert_eq!(run.code, 0, "{}", run.stderr);
    let request: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(request.as_object().unwrap().len(), 1, "{request}");
    let bytes = BASE64.decode(request["transactionBytes"].as_str().unwrap()).unwrap();
    SignedTransaction::from_canonical(&bytes).unwrap()
}

const OFFLINE: [&str; 9] =
    ["send", "alice", "1.5", "--sign-only", "--yes", "--fee", "0.001", "--memo", "from the cellar"];

#[test]
fn a_signed_transfer_is_printed_and_neither_submitted_nor_kept() {
    let (wallet, node) = online();
    let run = wallet.run(&["send", "alice", "1.5", "--sign-only", "--yes"]);
    let signed = transfer(&run);
    let id = signed.transaction().id(Network::Dev.params().genesis_id()).to_string();
    assert!(run.stderr.contains(&format!("signed {id}; nothing was submitted")), "{}", run.stderr);
    assert_eq!(node.state().submissions, 0);
    assert_eq!(wallet.json(&["resubmit"])["transfers"], serde_json::json!([]));
    assert_eq!(node.state().submissions, 0);
    // The same plan gives the same bytes; what is sent instead takes the same nonce.
    assert_eq!(transfer(&wallet.run(&["send", "alice", "1.5", "--sign-only", "--yes"])), signed);
    let sent = wallet.json(&["send", "alice", "1.5", "--yes"]);
    assert_eq!((&sent["nonce"], &sent["transaction_id"]), (&0.into(), &id.into()));
}

#[test]
fn with_json_the_signed_transfer_comes_with_its_particulars() {
    let (wallet, _node) = online();
    let signed = wallet.json(&["send", "alice", "1.5", "--sign-only", "--yes", "--valid-until", "77"]);
    assert_eq!((&signed["state"], &signed["amount"], &signed["nonce"]), (&"signed".into(), &"1.5".into(), &0.into()));
    let bytes = BASE64.decode(signed["transaction_bytes"].as_str().unwrap()).unwrap();
    let transfer = SignedTransaction::from_canonical(&bytes).unwrap();
    assert_eq!(transfer.transaction().valid_until().map(farthing::Height::get), Some(77));
    assert_eq!(signed["valid_until"], 77);
    assert_eq!(signed["fee_mites"], transfer.transaction().fee().get().to_string());
}

#[test]
fn with_a_nonce_and_a_fee_no_node_is_needed() {
    let (wallet, _) = alice();
    let first = transfer(&wallet.run(&[&OFFLINE[..], &["--nonce", "0"]].concat()));
    let run = wallet.run(&[&OFFLINE[..], &["--nonce", "1"]].concat());
    let later = transfer(&run);
    assert!(!run.stderr.contains("nodes relay") && !run.stderr.contains("no node was asked"), "{}", run.stderr);
    assert_eq!(later.transaction().nonce(), 1);
    assert_eq!(later.transaction().fee().get(), 100_000);
    assert_eq!(later.transaction().memo(), b"from the cellar");
    assert_eq!(later.transaction().sender_address(), first.transaction().sender_address());
    let (first, later) = (first.to_canonical().len(), later.to_canonical().len());
    assert!(first > later + 200, "only the first transfer carries the key: {first}, {later}");
}

#[test]
fn what_no_node_can_say_is_warned_of() {
    let (wallet, _) = alice();
    wallet.ok(&["key", "import", "--dev", "bob"]);
    let run = wallet.run(&[
        "send",
        "bob",
        "1",
        "--from",
        "alice",
        "--sign-only",
        "--yes",
        "--nonce",
        "3",
        "--fee",
        "0.00000001",
    ]);
    transfer(&run);
    assert!(run.stderr.contains("nodes relay this transfer for 0.000"), "{}", run.stderr);
    assert!(
        run.stderr.contains("whether the recipient has an account; each that has none adds 0.1 far"),
        "{}",
        run.stderr
    );
    assert!(!run.stderr.contains("left "), "{}", run.stderr);
    // The bounds hold without a node too.
    let dear = ["send", "bob", "1", "--from", "alice", "--sign-only", "--yes", "--nonce", "3", "--fee", "0.2"];
    wallet.fails(&dear, 2, "FEE_TOO_HIGH");
    transfer(&wallet.run(&[&dear[..], &["--max-fee", "0.2"]].concat()));
    wallet.fails(&[&dear[..], &["--max-fee", "0.1"]].concat(), 2, "FEE_TOO_HIGH");
}

#[test]
fn a_nonce_that_an_earlier_transfer_holds_is_warned_of() {
    let (wallet, node) = online();
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "2", "--yes"], 8, "ANSWER_LOST");
    let run = wallet.run(&[&OFFLINE[..], &["--nonce", "0"]].concat());
    transfer(&run);
    assert!(run.stderr.contains("in the outbox has the nonce 0 too"), "{}", run.stderr);
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn nothing_is_signed_unconfirmed_unfunded_or_half_specified() {
    let (wallet, node) = online();
    wallet.fails(&["send", "alice", "1", "--sign-only"], 3, "CONFIRMATION_NEEDED");
    wallet.fails(&["send", "alice", "2000000", "--sign-only", "--yes"], 5, "INSUFFICIENT_FUNDS");
    for half in [
        &["--nonce", "0", "--fee", "1"][..],
        &["--sign-only", "--nonce", "0"],
        &["--sign-only", "--wait", "1"],
        &["--sign-only", "--valid-until", "0"],
        &["--valid-until", "9"],
    ] {
        let run = wallet.run(&[&["send", "alice", "1", "--yes"], half].concat());
        assert_eq!((run.code, run.stdout.as_str()), (2, ""), "{half:?}: {}", run.stderr);
    }
    assert_eq!(node.state().submissions, 0);
}
