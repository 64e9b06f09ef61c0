//! Receipts: made with a node, checked without one.

use std::fs;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

const CAROL: &str = "dfar1czs28xkpm7vgerh3k84qtzqyw4wwpdtxaw0h4sjyerr37agcsedq7jy2sw";

/// A wallet that has paid alice and carol, the node that mined it, and the transfer's id.
fn paid() -> (Wallet, FakeNode, String) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let path = wallet.file("transfer", &wallet.ok(&["tx", "build", "alice", "1.5", CAROL, "2", "--memo", "rent"]));
    let signed = wallet.file("signed", &wallet.ok(&["tx", "sign", &path, "--yes"]));
    let id = wallet.json(&["tx", "broadcast", &signed, "--yes"])["transaction_id"].as_str().unwrap().to_owned();
    (wallet, node, id)
}

#[test]
fn a_receipt_is_made_with_a_node_and_checked_without_one() {
    let (wallet, node, id) = paid();
    node.state().mine_many(5);
    let path = wallet.path("receipt").display().to_string();
    let made = wallet.json(&["tx", "prove", &id, "--out", &path]);
    assert_eq!((&made["verified"], &made["path"]), (&true.into(), &path.clone().into()));
    assert!(made.get("receipt").is_none());
    let stranger = Wallet::new();
    let read = stranger.json(&["tx", "verify-proof", &path]);
    assert_eq!((&read["transaction_id"], &read["network"]), (&id.into(), &"dev".into()));
    assert_eq!((&read["amount"], &read["memo"], &read["nonce"]), (&"3.5".into(), &"rent".into(), &0.into()));
    assert_eq!((&read["outputs"][1]["to"], &read["outputs"][1]["amount"]), (&CAROL.into(), &"2".into()));
    assert_eq!((&read["confirmations"], &read["error_probability"]), (&6.into(), &"0".into()));
    assert_eq!(read["tip_height"], read["block_height"].as_u64().unwrap() + 5);
    assert_eq!(read["work_since"], (2 * 6).to_string());
    assert!(read.get("from_name").is_none());
    let shown = stranger.ok(&["tx", "verify-proof", &path]);
    for expected in ["proven: this payment was mined on the network dev", "  amount   2 far\n", "not proven: "] {
        assert!(shown.contains(expected), "{expected:?} in {shown}");
    }
    // The wallet that paid has names for it; the file is the same.
    assert!(wallet.ok(&["tx", "verify-proof", &path]).contains("from       alice, dfar1"));
    assert_eq!(
        wallet.ok(&["tx", "prove", made["transaction_id"].as_str().unwrap()]),
        fs::read_to_string(&path).unwrap()
    );
    wallet.fails(&["tx", "prove", made["transaction_id"].as_str().unwrap(), "--out", &path], 1, "FILE_EXISTS");
}

#[test]
fn a_receipt_that_was_tampered_with_proves_nothing() {
    let (wallet, node, id) = paid();
    node.state().mine_many(2);
    let text = wallet.ok(&["tx", "prove", &id]);
    // Every byte is changed in the tests of the receipt itself; here, what a person sees of it.
    let middle = text.len() / 2;
    let other = if text.as_bytes()[middle] == b'A' { "B" } else { "A" };
    let changed = format!("{}{other}{}", &text[..middle], &text[middle + 1..]);
    let cut = &text[..text.len() - 1];
    for (name, text) in [("changed", changed.as_str()), ("cut", cut), ("none", "")] {
        let path = wallet.file(name, text);
        let stderr = wallet.fails(&["tx", "verify-proof", &path], 9, "BAD_RECEIPT");
        assert!(stderr.contains("it proves nothing"), "{stderr}");
    }
    let path = wallet.file("receipt", &text);
    let stderr = Wallet::on("test").fails(&["tx", "verify-proof", &path], 2, "WRONG_NETWORK");
    assert!(stderr.contains("the receipt is of dev, this wallet is on test"), "{stderr}");
    wallet.fails(&["tx", "verify-proof", "nowhere"], 1, "FILE_MISSING");
}

#[test]
fn there_is_no_receipt_for_what_is_not_mined_or_not_known() {
    let (wallet, node, _) = paid();
    node.state().mines = false;
    let id = wallet.json(&["send", "alice", "1", "--no-wait", "--yes"])["transaction_id"].as_str().unwrap().to_owned();
    wallet.fails(&["tx", "prove", &id], 8, "NOT_MINED");
    wallet.fails(&["tx", "prove", &"0".repeat(64)], 1, "UNKNOWN_TRANSFER");
    assert_eq!(wallet.run(&["tx", "prove", "abc"]).code, 2);
    Wallet::new().fails(&["tx", "prove", &id], 6, "NODE_UNREACHABLE");
}

#[test]
fn parts_for_different_tips_are_fetched_again_and_lies_are_caught() {
    let (wallet, node, id) = paid();
    node.state().mine_many(400);
    node.state().behaviour = Behaviour::MinesMeanwhile;
    wallet.fails(&["tx", "prove", &id], 1, "CHAIN_MOVES");
    for lie in [Behaviour::MovesATransfer, Behaviour::ClaimsMoreWork, Behaviour::ForgesTheProof] {
        node.state().behaviour = lie;
        let run = wallet.run(&["tx", "prove", &id]);
        assert_eq!((run.code, run.stdout.as_str()), (9, ""), "{lie:?}: {}", run.stderr);
    }
    node.state().behaviour = Behaviour::Honest;
    wallet.ok(&["tx", "prove", &id]);
}
