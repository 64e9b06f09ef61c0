//! The interactive session and the questions that other commands ask, with a person whose answers are known.

use std::{
    collections::VecDeque,
    io::{self, Write},
    path::PathBuf,
    sync::{Arc, Mutex},
};

use clap::Parser as _;
use farthing_wallet::{cli::Cli, commands, context::Context, error::Result, output::Output, terminal::Terminal};
use tonic::Code;
use zeroize::Zeroizing;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Someone who types these lines and then Ctrl-D.
struct Person {
    lines: VecDeque<String>,
    secrets: VecDeque<String>,
}

impl Terminal for Person {
    fn is_interactive(&self) -> bool {
        true
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        Ok(self.lines.pop_front())
    }

    fn secret(&mut self, _prompt: &str) -> io::Result<Zeroizing<String>> {
        match self.secrets.pop_front() {
            // As a terminal tells it whose echo is off.
            Some(key) if key == CTRL_C => Err(io::ErrorKind::Interrupted.into()),
            Some(secret) => Ok(Zeroizing::new(secret)),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// What a person presses instead of typing a secret.
const CTRL_C: &str = "\u{3}";

/// Runs a command line in this process with such a person; gives the outcome and all that was printed.
fn with_person(
    wallet: &Wallet,
    node: &str,
    arguments: &[&str],
    lines: &[&str],
    secrets: &[&str],
) -> (Result<()>, String) {
    let folder = wallet.path("wallet").display().to_string();
    let global = ["farthing-wallet", "--network", wallet.network(), "--node", node, "--wallet-dir", &folder];
    let cli = Cli::try_parse_from(global.iter().chain(arguments)).unwrap();
    let printed = Printed::default();
    let output = Output::to(false, Box::new(printed.clone()), Box::new(printed.clone()));
    let parting = output.parting();
    let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    let person = Person { lines: owned(lines), secrets: owned(secrets) };
    let nothing = |_: &str| None::<PathBuf>;
    let mut context =
        Context::open(&cli.global, output, Box::new(person), nothing).map_err(|(_, error)| error).unwrap();
    let outcome = commands::run(&mut context, &cli);
    let mut text = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    if let Some(parting) = parting.text() {
        text.push_str(&format!("<an interruption would say: {parting}>"));
    }
    (outcome, text)
}

fn alice_address() -> String {
    Wallet::new().json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned()
}

#[test]
fn the_flow_of_name_recipient_and_amount_ends_with_a_mined_transfer() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let lines = ["alice", "bob", "12.5", "y", "quit"];
    let (outcome, text) = with_person(&wallet, &node.url, &[], &lines, &[]);
    outcome.unwrap();
    assert!(text.contains("Hello alice. Your address is dfar1"), "{text}");
    assert!(text.contains("amount  12.5 far"), "{text}");
    assert!(text.contains("Mined in block 2 (verified"), "{text}");
    assert!(text.contains("not verified: that no other chain has more work"), "{text}");
    assert!(text.ends_with("bye\n"), "{text}");
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_new_name_gets_a_key_and_money_from_a_development_account() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let lines = ["erin", "y", "y"];
    let (outcome, text) = with_person(&wallet, &node.url, &[], &lines, &["", ""]);
    outcome.unwrap();
    assert!(text.contains("1000 far have arrived"), "{text}");
    assert!(text.contains("Hello erin."), "{text}");
    assert_eq!(wallet.json(&["key", "list"])["keys"][0]["name"], "erin");
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn bad_input_is_explained_and_asked_again() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let lines = [
        "A!",
        "help",
        "alice",
        "dfar1nonsense",
        "frank",
        "",
        "bob",
        "many",
        "bob",
        "balance",
        "2000000",
        "bob",
        "1",
        "maybe",
        "n",
        "history",
        "contacts",
        "status",
    ];
    let (outcome, text) = with_person(&wallet, &node.url, &[], &lines, &[]);
    outcome.unwrap();
    for expected in [
        "error[BAD_NAME]",
        "Answer the questions",
        "error[BAD_ADDRESS]",
        "There is no contact named frank",
        "error[BAD_AMOUNT]",
        "alice        1000000 far",
        "error[INSUFFICIENT_FUNDS]",
        "please answer yes or no",
        "Nothing was sent.",
        "no contacts yet",
        "fake-node/1",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn a_new_contact_is_remembered() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let address = farthing::params::Network::Dev.params().prefix.format(&farthing::Address::from_bytes([8; 32]));
    let (outcome, text) = with_person(&wallet, &node.url, &[], &["alice", "frank", &address, "1", "y"], &[]);
    outcome.unwrap();
    assert!(text.contains("Remembered frank.") && text.contains("Mined in block"), "{text}");
    assert_eq!(wallet.json(&["contact", "list"])["contacts"][0]["address"], address);
}

#[test]
fn a_lie_during_the_session_is_reported_and_the_session_goes_on() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    node.state().behaviour = Behaviour::Boasts;
    let (outcome, text) = with_person(&wallet, &node.url, &[], &["alice", "bob", "1", "quit"], &[]);
    outcome.unwrap();
    // At the greeting already, and again when it matters.
    let (greeting, rest) = text.split_once("Recipient's").unwrap();
    assert!(greeting.contains("error[VERIFICATION_FAILED]") && !greeting.contains("You have"), "{text}");
    assert!(rest.contains("error[VERIFICATION_FAILED]") && text.ends_with("bye\n"), "{text}");
}

#[test]
fn max_is_all_that_can_be_spent() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let (outcome, text) = with_person(&wallet, &node.url, &[], &["alice", "bob", "max", "y", "quit"], &[]);
    outcome.unwrap();
    assert!(text.contains("left    0 far") && text.contains("Mined in block 2"), "{text}");
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_no_sends_nothing_and_has_its_own_exit_code() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    wallet.ok(&["key", "import", "--dev", "alice"]);
    let (outcome, _) = with_person(&wallet, &node.url, &["send", "alice", "1"], &["n"], &[]);
    let error = outcome.unwrap_err();
    assert_eq!((error.code(), error.exit().code()), ("DECLINED", 3));
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn a_new_passphrase_is_typed_twice_and_a_known_one_may_be_mistyped() {
    let wallet = Wallet::on("test");
    let node = "http://127.0.0.1:1";
    let secrets = ["short", "correct horse", "correct house", "correct horse", "correct horse"];
    let (outcome, text) = with_person(&wallet, node, &["key", "new", "a"], &[], &secrets);
    outcome.unwrap();
    assert!(text.contains("needs at least 8") && text.contains("the two passphrases differ"), "{text}");
    let (outcome, _) = with_person(&wallet, node, &["key", "export", "a", "--unencrypted"], &["a"], &["correct horse"]);
    outcome.unwrap();
    let wrong = ["wrong horse"; 3];
    let (outcome, _) = with_person(&wallet, node, &["key", "export", "a", "--unencrypted"], &["a"], &wrong);
    assert_eq!(outcome.unwrap_err().exit().code(), 4);
}

#[test]
fn the_session_has_the_fee_bounds_of_send() {
    let pay = ["alice", "bob", "1", "y", "quit"];
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    let (outcome, text) = with_person(&wallet, &node.url, &["shell", "--max-fee", "0.0001"], &pay, &[]);
    outcome.unwrap();
    assert!(text.contains("error[FEE_TOO_HIGH]") && text.contains("--max-fee"), "{text}");
    wallet.ok(&["config", "set", "max_fee", "0.0001"]);
    let (outcome, text) = with_person(&wallet, &node.url, &["shell"], &pay, &[]);
    outcome.unwrap();
    assert!(text.contains("error[FEE_TOO_HIGH]") && text.contains("max_fee in config.toml"), "{text}");
    let (outcome, _) = with_person(&wallet, &node.url, &["shell", "--max-fee", "much"], &pay, &[]);
    assert_eq!(outcome.unwrap_err().code(), "BAD_AMOUNT");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn a_mere_enter_sends_nothing() {
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    // As a pasted block with an empty line behind the amount.
    let (outcome, text) = with_person(&wallet, &node.url, &[], &["alice", "bob", "1", "", "quit"], &[]);
    outcome.unwrap();
    assert!(text.contains("Send it? [y/N]") && text.contains("Nothing was sent."), "{text}");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn after_a_refusal_an_interruption_does_not_claim_that_something_was_sent() {
    for (behaviour, code) in [
        (Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW"), "REJECTED"),
        (Behaviour::Refuses(Code::FailedPrecondition, "INSUFFICIENT_BALANCE"), "INSUFFICIENT_FUNDS"),
        (Behaviour::Drops("EVICTED"), "DROPPED"),
    ] {
        let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
        node.state().behaviour = behaviour;
        let (outcome, text) = with_person(&wallet, &node.url, &[], &["alice", "bob", "1", "y"], &[]);
        outcome.unwrap();
        assert!(text.contains(&format!("error[{code}]")) && !text.contains("an interruption would say"), "{text}");
    }
    let (wallet, node) = (Wallet::new(), FakeNode::start(&alice_address(), 0));
    node.state().behaviour = Behaviour::LosesAnswers;
    let (_, text) = with_person(&wallet, &node.url, &[], &["alice", "bob", "1", "y"], &[]);
    assert!(text.contains("an interruption would say: the transfer"), "{text}");
}

#[test]
fn ctrl_c_instead_of_a_passphrase_is_an_interruption() {
    let wallet = Wallet::on("test");
    let run =
        |arguments: &[&str], secrets: &[&str]| with_person(&wallet, "http://127.0.0.1:1", arguments, &[], secrets);
    run(&["key", "new", "a"], &["correct horse", "correct horse"]).0.unwrap();
    let spend = ["send", "a", "1", "--sign-only", "--nonce", "0", "--fee", "0.02", "--yes"];
    for (arguments, secrets) in [
        (&["key", "new", "b"][..], &[CTRL_C][..]),
        (&["key", "new", "b"], &["correct horse", CTRL_C]),
        (&["key", "passwd", "a"], &[CTRL_C]),
        (&spend, &["correct house", CTRL_C]),
    ] {
        let (outcome, _) = run(arguments, secrets);
        assert_eq!(outcome.unwrap_err().exit().code(), 130, "{arguments:?}");
    }
    // It leaves the session at once.
    let (outcome, text) = with_person(&wallet, "http://127.0.0.1:1", &[], &["zoe", "y", "quit"], &[CTRL_C]);
    assert_eq!(outcome.unwrap_err().exit().code(), 130, "{text}");
}

#[test]
fn an_empty_passphrase_counts_as_one_try() {
    let wallet = Wallet::on("test");
    let node = "http://127.0.0.1:1";
    with_person(&wallet, node, &["key", "new", "a"], &[], &["correct horse", "correct horse"]).0.unwrap();
    let send = ["send", "a", "1", "--sign-only", "--nonce", "0", "--fee", "0.02", "--yes"];
    let (outcome, text) = with_person(&wallet, node, &send, &[], &["", "correct house", "correct horse"]);
    outcome.unwrap();
    assert_eq!(text.matches("once more").count(), 2, "{text}");
    let (outcome, _) = with_person(&wallet, node, &send, &[], &["", "", "", "correct horse"]);
    assert_eq!(outcome.unwrap_err().code(), "PASSPHRASE_EMPTY");
}
