//! What `send` asks, shows and refuses, and what it does when it comes again.

use serde_json::Value;
use tonic::Code;

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

fn mites(value: &Value, field: &str) -> u64 {
    value[field].as_str().unwrap().parse().unwrap()
}

/// Sends and is killed by nobody, but tells nobody either: the answer is lost.
fn interrupted(wallet: &Wallet, node: &FakeNode, words: &[&str]) {
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&[&["send"], words, &["--yes"]].concat(), 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    node.state().mine();
}

#[test]
fn a_transfer_is_waited_for_unless_told_otherwise() {
    let (wallet, node) = alice();
    let sent = wallet.json(&["send", "alice", "1", "--yes"]);
    assert_eq!((&sent["state"], &sent["verified"]), (&"mined".into(), &true.into()));
    node.state().mines = false;
    let sent = wallet.json(&["send", "alice", "1", "--no-wait", "--yes"]);
    assert_eq!((&sent["state"], &sent["verified"]), (&"pending".into(), &false.into()));
}

#[test]
fn a_payment_request_says_whom_and_how_much() {
    let (wallet, _node) = alice();
    let request = wallet.json(&["receive", "--amount", "2.5", "--label", "Rent"])["uri"].as_str().unwrap().to_owned();
    let sent = wallet.json(&["send", &request, "--yes"]);
    assert_eq!((mites(&sent, "amount_mites"), &sent["to"]), (250_000_000, &sent["from"]));
    assert_eq!(mites(&wallet.json(&["send", &request, "2.50", "--yes", "--again"]), "amount_mites"), 250_000_000);
    for other in ["3", "max"] {
        let stderr = wallet.fails(&["send", &request, other, "--yes"], 2, "BAD_AMOUNT");
        assert!(stderr.contains("asks for 2.5 far"), "{stderr}");
    }
    let open = wallet.json(&["receive"])["uri"].as_str().unwrap().to_owned();
    wallet.fails(&["send", &open, "--yes"], 2, "BAD_AMOUNT");
    wallet.ok(&["send", &open, "1", "--yes"]);
    wallet.fails(&["send", "alice", "--yes"], 2, "BAD_AMOUNT");
    wallet.fails(&["send", "farthing:nobody", "1", "--yes"], 2, "BAD_ADDRESS");
}

#[test]
fn the_speeds_have_the_nodes_prices_and_an_amount_is_taken_as_it_is() {
    let (wallet, node) = alice();
    node.state().rate = 150;
    let fee = |more: &[&str]| mites(&wallet.json(&[&["send", "alice", "1", "--yes"], more].concat()), "fee_mites");
    fee(&[]);
    let normal = fee(&[]);
    assert_eq!(normal % 150, 0);
    assert_eq!((fee(&["--fee", "slow"]), fee(&["--fee", "fast"])), (normal, 2 * normal));
    assert_eq!(fee(&["--fee", "0.002"]), 200_000);
    // Less than nodes relay is no honest price.
    node.state().rate = 1;
    assert_eq!(fee(&["--fee", "normal"]) * 3, normal * 2);
    wallet.fails(&["send", "alice", "1", "--fee", "quick", "--yes"], 2, "BAD_FEE");
}

#[test]
fn no_node_can_make_the_wallet_pay_a_silly_fee() {
    let (wallet, node) = alice();
    node.state().rate = 1_000_000;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 2, "FEE_TOO_HIGH");
    assert!(stderr.contains("the wallet's own bound: 0.05 far") && stderr.contains("try: --max-fee "), "{stderr}");
    let stderr = wallet.fails(&["send", "alice", "1", "--max-fee", "0.1", "--yes"], 2, "FEE_TOO_HIGH");
    assert!(stderr.contains("what --max-fee allows"), "{stderr}");
    wallet.fails(&["send", "alice", "1", "--fee", "5", "--yes"], 2, "FEE_TOO_HIGH");
    wallet.file("wallet/config.toml", "max_fee = \"0.0001\"\n");
    node.state().rate = 100;
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 2, "FEE_TOO_HIGH");
    assert!(stderr.contains("max_fee in config.toml"), "{stderr}");
    assert_eq!(node.state().submissions, 0);
    wallet.file("wallet/config.toml", "max_fee = \"a lot\"\n");
    wallet.fails(&["send", "alice", "1", "--yes"], 2, "BAD_SETTING");
    wallet.file("wallet/config.toml", "");
    node.state().rate = 1_000_000;
    let sent = wallet.json(&["send", "alice", "1", "--max-fee", "20", "--yes"]);
    assert!(mites(&sent, "fee_mites") > 500_000_000, "{sent}");
}

#[test]
fn max_leaves_exactly_nothing() {
    let (wallet, _node) = alice();
    wallet.ok(&["key", "new", "erin", "--no-passphrase"]);
    let sent = wallet.json(&["send", "erin", "max", "--from", "alice", "--yes"]);
    assert_eq!(mites(&sent, "amount_mites") + mites(&sent, "fee_mites"), 100_000_000_000_000);
    assert_eq!(wallet.json(&["balance", "alice"])["accounts"][0]["balance"], "0");
    wallet.fails(&["send", "erin", "max", "--from", "alice", "--yes"], 5, "INSUFFICIENT_FUNDS");
}

#[test]
fn a_dry_run_asks_the_node_and_signs_nothing() {
    let (wallet, node) = alice();
    let dry = wallet.json(&["send", "alice", "1", "--dry-run"]);
    assert_eq!((&dry["state"], &dry["nonce"]), (&"would_be_taken".into(), &0.into()));
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW");
    let run = wallet.run(&["send", "alice", "1", "--dry-run"]);
    assert_eq!(run.code, 7, "{}", run.stderr);
    assert!(run.stdout.contains("would refuse it") && run.stderr.contains("error[REJECTED]"), "{}", run.stderr);
    assert_eq!(node.state().submissions, 0);
    // The id is that of the transfer that is sent then.
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&["send", "alice", "1", "--yes"])["transaction_id"], dry["transaction_id"]);
}

#[test]
fn a_dry_run_says_that_the_command_would_go_on_refuse_or_pay() {
    let (wallet, node) = alice();
    interrupted(&wallet, &node, &["alice", "1"]);
    let submissions = node.state().submissions;
    for _ in 0..2 {
        let run = wallet.run(&["send", "alice", "1", "--dry-run", "--json"]);
        let dry: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&dry["state"], &dry["nonce"], &dry["resumed"]), (&"would_go_on".into(), &0.into(), &true.into()));
        assert!(run.stderr.contains("it is mined, and this one would only say so"), "{}", run.stderr);
    }
    assert_eq!(wallet.json(&["send", "alice", "1", "--dry-run", "--again"])["state"], "would_be_taken");
    assert_eq!(wallet.json(&["send", "alice", "2", "--dry-run"])["nonce"], 1);
    assert_eq!(wallet.json(&["send", "alice", "1", "--yes"])["resumed"], true);
    let words = ["send", "alice", "3", "--id", "rent"];
    assert_eq!(wallet.json(&[&words[..], &["--dry-run"]].concat())["state"], "would_be_taken");
    wallet.ok(&[&words[..], &["--yes"]].concat());
    assert_eq!(wallet.json(&[&words[..], &["--dry-run"]].concat())["id"], "rent");
    wallet.fails(&["send", "alice", "4", "--id", "rent", "--dry-run"], 2, "ID_REUSED");
    // What it finds lost it hands in no more than anything else.
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "5", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    node.state().forget();
    let run = wallet.run(&["send", "alice", "5", "--dry-run"]);
    assert!(run.stderr.contains("this one would hand it in again"), "{}", run.stderr);
    assert_eq!(node.state().submissions, submissions + 2);
}

#[test]
fn the_screen_says_who_is_paid_for_the_first_time() {
    let (wallet, _node) = alice();
    let erin = wallet.json(&["key", "new", "erin", "--no-passphrase"])["address"].as_str().unwrap().to_owned();
    let run = wallet.run(&["send", &erin, "1", "--from", "alice", "--yes"]);
    for part in ["network dev", "from    alice, dfar1", "a key of this wallet", "to open the recipient's new account"] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert!(run.stderr.contains("expected within 3 blocks, about 6s"), "{}", run.stderr);
    // The same payment from a wallet that knows alice only.
    let (other, _node) = alice();
    let first = other.run(&["send", &erin, "1", "--yes"]).stderr;
    assert!(first.contains("first payment of this wallet to this address"), "{first}");
    let second = other.run(&["send", &erin, "1", "--yes"]).stderr;
    assert!(second.contains("paid before by this wallet"), "{second}");
    let own = other.run(&["send", "alice", "1", "--yes"]).stderr;
    assert!(own.contains("warning: the recipient is the paying account itself"), "{own}");
}

#[test]
fn the_same_id_never_pays_twice() {
    let (wallet, node) = alice();
    let words = ["send", "alice", "1", "--id", "invoice-7", "--yes"];
    let first = wallet.json(&words);
    assert_eq!((&first["id"], &first["resumed"]), (&"invoice-7".into(), &false.into()));
    let again = wallet.json(&words);
    assert_eq!((&again["transaction_id"], &again["resumed"]), (&first["transaction_id"], &true.into()));
    let stderr = wallet.fails(&["send", "alice", "2", "--id", "invoice-7", "--yes"], 2, "ID_REUSED");
    assert!(stderr.contains(first["transaction_id"].as_str().unwrap()), "{stderr}");
    for _ in 0..6 {
        node.state().mine();
    }
    // Settled by whatever command comes along, and kept for ever.
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "settled");
    let settled = wallet.json(&words);
    assert_eq!((&settled["transaction_id"], &settled["state"]), (&first["transaction_id"], &"settled".into()));
    wallet.fails(&["send", "alice", "2", "--id", "invoice-7", "--yes"], 2, "ID_REUSED");
    assert_eq!(node.state().submissions, 1);
    wallet.fails(&["send", "alice", "2", "--id", "no spaces", "--yes"], 2, "BAD_ID");
    assert_ne!(wallet.json(&["send", "alice", "1", "--id", "invoice-8", "--yes"])["resumed"], true);
}

#[test]
fn an_id_whose_transfer_was_certainly_refused_is_free_again() {
    let (wallet, node) = alice();
    let words = ["send", "alice", "1", "--id", "a", "--yes"];
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW");
    wallet.fails(&words, 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&words)["resumed"], false);
}

#[test]
fn the_same_words_go_on_with_an_interrupted_command_and_pay_anew_after_one_that_ended() {
    let (wallet, node) = alice();
    interrupted(&wallet, &node, &["alice", "1"]);
    let run = wallet.run(&["send", "alice", "1", "--yes", "--json"]);
    let resumed: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((&resumed["nonce"], &resumed["resumed"]), (&0.into(), &true.into()));
    assert!(run.stderr.contains("was interrupted; going on with it"), "{}", run.stderr);
    let next = wallet.json(&["send", "alice", "1", "--yes"]);
    assert_eq!((&next["nonce"], &next["resumed"]), (&1.into(), &false.into()));
    interrupted(&wallet, &node, &["alice", "1"]);
    let other = wallet.json(&["send", "alice", "2", "--yes"]);
    assert_eq!((&other["nonce"], &other["resumed"]), (&3.into(), &false.into()));
    let once_more = wallet.json(&["send", "alice", "1", "--again", "--yes"]);
    assert_eq!((&once_more["nonce"], &once_more["resumed"]), (&4.into(), &false.into()));
    assert_eq!(wallet.json(&["history"])["entries_total"], 5);
}

#[test]
fn an_interrupted_payment_is_not_forgotten_before_somebody_was_told() {
    let (wallet, node) = alice();
    interrupted(&wallet, &node, &["alice", "1"]);
    for _ in 0..8 {
        node.state().mine();
    }
    wallet.ok(&["send", "alice", "2", "--yes"]);
    let resumed = wallet.json(&["send", "alice", "1", "--yes"]);
    assert_eq!((&resumed["nonce"], &resumed["resumed"]), (&0.into(), &true.into()));
    assert_eq!(wallet.json(&["history"])["entries_total"], 2);
}

#[test]
fn while_a_command_waits_the_same_words_elsewhere_are_another_payment() {
    use std::io::{BufRead as _, BufReader};
    let (wallet, node) = alice();
    node.state().mines = false;
    let mut command = wallet.command(&["send", "alice", "1", "--yes"]);
    let mut child = command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("submitted ") {
        line.clear();
        assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "the wallet ended before it waited");
    }
    let other = wallet.json(&["send", "alice", "1", "--no-wait", "--yes"]);
    assert_eq!((&other["nonce"], &other["resumed"]), (&1.into(), &false.into()));
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = wallet.json(&["send", "alice", "1", "--no-wait", "--yes"]);
    assert_eq!((&resumed["nonce"], &resumed["resumed"]), (&0.into(), &true.into()));
}

#[test]
fn transfers_that_this_wallet_did_not_send_are_told_before_one_that_waits_for_them() {
    let (wallet, node) = alice();
    node.state().mines = false;
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    copy.ok(&["send", "alice", "1", "--no-wait", "--yes"]);
    let run = wallet.run(&["send", "alice", "2", "--no-wait", "--yes"]);
    assert!(run.stderr.contains("1 transfers of this account wait that this wallet did not send"), "{}", run.stderr);
}

/// The same nonce, fee and words make the same transfer: two commands, one payment.
#[test]
fn the_same_words_after_a_dropped_payment_say_that_they_are_that_payment() {
    for more in [&[][..], &["--id", "rent"]] {
        let (wallet, node) = alice();
        node.state().mines = false;
        node.state().behaviour = Behaviour::Drops("EVICTED");
        let words = ["send", "alice", "1", "--no-wait", "--yes"];
        let first = wallet.json(&words);
        node.state().behaviour = Behaviour::Honest;
        let warning =
            format!("this is the transfer {} of an earlier command again", first["transaction_id"].as_str().unwrap());
        let again = [&words[..], more].concat();
        let asked = wallet.fails(&[&again[..4], &again[5..]].concat(), 3, "CONFIRMATION_NEEDED");
        assert!(asked.contains(&warning) && asked.contains("not a second payment"), "{asked}");
        // Interrupted, it is gone on with by its own words or id.
        node.state().behaviour = Behaviour::LosesAnswers;
        wallet.fails(&again, 8, "ANSWER_LOST");
        node.state().behaviour = Behaviour::Honest;
        let second = wallet.json(&again);
        assert_eq!((&second["transaction_id"], &second["resumed"]), (&first["transaction_id"], &true.into()));
        node.state().mine_many(6);
        if more.is_empty() {
            // Told: another payment from now on, and no word of the old one.
            let run = wallet.run(&again);
            assert!(run.code == 0 && !run.stderr.contains("not a second payment"), "{}", run.stderr);
        } else {
            assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "settled");
            assert_eq!(wallet.json(&again)["state"], "settled");
        }
        assert_eq!(node.state().paid(), [100_000_000]);
    }
}

/// Whether anybody was told of its end or not.
#[test]
fn an_id_that_comes_to_a_dropped_payment_names_it_and_no_second_id_does() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::Drops("EVICTED");
    wallet.fails(&["send", "alice", "1", "--yes"], 8, "DROPPED");
    node.state().behaviour = Behaviour::Honest;
    let named = ["send", "alice", "1", "--id", "rent", "--no-wait", "--yes"];
    assert_eq!(wallet.json(&named)["resumed"], true);
    node.state().pool.clear();
    node.state().behaviour = Behaviour::Drops("EVICTED");
    // Before anybody is asked.
    for more in ["--no-input", "--dry-run"] {
        wallet.fails(&["send", "alice", "1", "--id", "gas", more], 2, "ID_REUSED");
    }
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&named)["resumed"], true);
    node.state().mine_many(6);
    assert_eq!(wallet.json(&named)["state"], "settled");
    assert_eq!(node.state().paid(), [100_000_000]);
    assert_eq!(wallet.json(&["send", "alice", "1", "--id", "gas", "--no-wait", "--yes"])["resumed"], false);
}

/// A script sees it too.
#[test]
fn a_dropped_payment_that_is_made_again_is_not_said_to_be_new() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::Drops("EVICTED");
    let words = ["send", "alice", "1", "--no-wait", "--yes"];
    assert_eq!(wallet.json(&words)["resumed"], false);
    node.state().behaviour = Behaviour::Honest;
    assert_eq!(wallet.json(&words)["resumed"], true);
    // While it waits, the same words are a second payment.
    let second = wallet.json(&words);
    assert_eq!((&second["nonce"], &second["resumed"]), (&1.into(), &false.into()));
}
