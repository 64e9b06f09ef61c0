//! `receive`: the request, its QR code, and the wait for the payment.

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Stdio},
};

use farthing::{
    Mites, Output, PublicKey, Sender, SignedTransaction, Transaction, params::Network, tx::TransactionFields,
};
use farthing_wallet::keystore::{FileSigner, Signer as _, dev};
use serde_json::Value;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// A transfer from bob to alice, as the network would bring it.
pub(crate) fn bob_pays_alice(far: u64, nonce: u64) -> SignedTransaction {
    let (bob, alice) = (dev::key(&"bob".parse().unwrap()).unwrap(), dev::key(&"alice".parse().unwrap()).unwrap());
    let payer: PublicKey = bob.public().clone();
    let transaction = Transaction::new(TransactionFields {
        sender: if nonce == 0 { Sender::Key(payer) } else { Sender::Address(payer.address()) },
        nonce,
        fee: Mites::new(100_000),
        valid_until: None,
        outputs: vec![Output { to: alice.public().address(), amount: Mites::from_far(far).unwrap() }],
        memo: b"the \x1b[2Jrent".to_vec(),
    });
    FileSigner::new(bob).sign(transaction.unwrap(), Network::Dev.params().genesis_id()).unwrap()
}

pub(crate) fn alice() -> (Wallet, String) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    (wallet, address)
}

/// The next line of a running wallet, as JSON.
pub(crate) fn next(lines: &mut impl Iterator<Item = std::io::Result<String>>) -> Value {
    serde_json::from_str(&lines.next().expect("it ended too early").unwrap()).unwrap()
}

/// Starts `receive alice --watch` with these arguments, and waits until it watches.
pub(crate) fn watching(wallet: &Wallet, arguments: &[&str]) -> (Child, impl Iterator<Item = std::io::Result<String>>) {
    // If something does not come, it ends by itself.
    let arguments = [&["receive", "alice", "--watch", "--json", "--timeout", "60s"], arguments].concat();
    let mut command = wallet.command(&arguments);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut remarks = BufReader::new(child.stderr.take().unwrap()).lines();
    while !remarks.next().expect("it ended too early").unwrap().contains("waiting for payments") {}
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

#[test]
fn the_address_alone_and_a_request_with_its_particulars() {
    let (wallet, address) = alice();
    assert_eq!(wallet.ok(&["receive"]), format!("{address}\n"));
    let uri = format!("farthing:{address}?amount=2.5&label=Kaffee%20%26%20Kuchen");
    let arguments = ["receive", "--amount", "2.50", "--label", "Kaffee & Kuchen"];
    assert_eq!(wallet.ok(&arguments), format!("{address}\n{uri}\n"));
    let view = wallet.json(&arguments);
    assert_eq!((&view["uri"], &view["amount_mites"]), (&uri.into(), &"250000000".into()));
    assert_eq!((&view["account"], &view["label"]), (&"alice".into(), &"Kaffee & Kuchen".into()));
}

#[test]
fn a_code_is_drawn_without_colours_into_a_file_and_for_either_ground() {
    let (wallet, _) = alice();
    let dark = wallet.ok(&["receive", "--qr"]);
    let light = wallet.ok(&["receive", "--qr=light"]);
    assert!(!dark.contains('\u{1b}') && dark != light, "{dark}{light}");
    assert_eq!(dark, wallet.ok(&["receive", "--qr=dark"]));
    // A margin of two lines, full of light or empty of it.
    let margin = |text: &str| text.lines().nth(1).unwrap().to_owned();
    assert!(margin(&dark).chars().all(|one| one == '█') && margin(&light).chars().all(|one| one == ' '));
}

#[test]
fn what_cannot_be_asked_for_is_refused() {
    let (wallet, _) = alice();
    wallet.fails(&["receive", "--amount", "0"], 2, "BAD_AMOUNT");
    wallet.fails(&["receive", "--amount", "many"], 2, "BAD_AMOUNT");
    wallet.fails(&["receive", "--label", "a\u{1b}[2J"], 2, "BAD_PAYMENT_URI");
    wallet.fails(&["receive", "bob"], 2, "KEY_NOT_FOUND");
    // The address is no node's affair.
    let run = wallet.run(&["receive", "--watch"]);
    assert!(run.code == 6 && run.stderr.contains("error[NODE_UNREACHABLE]"), "{}", run.stderr);
    assert!(run.stdout.starts_with("dfar1"), "{}", run.stdout);
}

#[test]
fn a_payment_is_shown_as_it_arrives_and_as_it_is_mined_until_the_amount_is_there() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let (mut child, mut lines) = watching(&wallet, &["--amount", "3"]);
    assert_eq!(next(&mut lines)["amount"], "3");
    node.state().arrives(bob_pays_alice(1, 0));
    let pending = next(&mut lines);
    assert_eq!((&pending["event"], &pending["amount"]), (&"pending".into(), &"1".into()));
    assert_eq!((&pending["verified"], &pending["memo"]), (&false.into(), &"the \\u{1b}[2Jrent".into()));
    node.state().mine();
    let mined = next(&mut lines);
    assert_eq!(
        (&mined["event"], &mined["verified"], &mined["block_height"]),
        (&"mined".into(), &true.into(), &2.into())
    );
    assert_eq!((&mined["id"], &mined["balance"]), (&pending["id"], &"1000001".into()));
    // A block that brings nothing says nothing; one that brings the rest ends it.
    node.state().mine();
    node.state().arrives(bob_pays_alice(2, 1));
    node.state().mine();
    let last = next(&mut lines);
    let last = if last["event"] == "pending" { next(&mut lines) } else { last };
    assert_eq!((&last["event"], &last["amount"]), (&"mined".into(), &"2".into()));
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_payment_whose_block_leaves_the_chain_no_longer_counts() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let (mut child, mut lines) = watching(&wallet, &["--amount", "3"]);
    next(&mut lines);
    node.state().arrives(bob_pays_alice(2, 0));
    node.state().mine();
    while next(&mut lines)["event"] != "mined" {}
    {
        let mut state = node.state();
        state.go_back_to(1);
        state.mark = 1;
        state.mine_many(3);
    }
    let undone = next(&mut lines);
    assert_eq!((&undone["event"], &undone["amount"]), (&"undone".into(), &"2".into()));
    node.state().arrives(bob_pays_alice(3, 0));
    node.state().mine();
    while next(&mut lines)["event"] != "mined" {}
    assert!(lines.next().is_none());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn without_the_money_the_end_of_the_wait_has_its_own_exit_code() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let watch = ["receive", "--watch", "--timeout", "1s"];
    let run = wallet.run(&[&watch[..], &["--amount", "1"]].concat());
    assert_eq!((run.code, run.stderr.contains("error[NOT_PAID]: 0 of 1 far had arrived")), (8, true), "{}", run.stderr);
    // Nothing was expected, so nothing is missing.
    assert_eq!(wallet.run(&watch).code, 0);
}

#[test]
fn a_lost_node_does_not_end_the_wait() {
    let (wallet, address) = alice();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let (mut child, mut lines) = watching(&wallet, &["--amount", "1"]);
    next(&mut lines);
    let death = node.next_death();
    node.state().behaviour = Behaviour::DiesWhenAsked;
    death.recv().unwrap();
    node.state().behaviour = Behaviour::Honest;
    node.state().arrives(bob_pays_alice(1, 0));
    node.state().mine();
    while next(&mut lines)["event"] != "mined" {}
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
