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
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 8, "NOT_TAKEN");
    let refused = is_fate(&wallet, 8, "refused");
    let id = refused["transaction_id"].as_str().unwrap();
    assert!(stderr.contains("POOL_FULL") && stderr.contains(&format!("try: farthing-wallet tx bump {id}")), "{stderr}");
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = false;
    wallet.ok(&["tx", "bump", id, "--no-wait", "--yes"]);
    node.state().mine();
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
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

/// What `resubmit` says of each transfer in the outbox, by its amount, and its exit code.
fn fates(wallet: &Wallet) -> (i32, Vec<(String, String)>) {
    let run = wallet.run(&["resubmit", "--json"]);
    let list: Value = serde_json::from_str(&run.stdout).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut fates: Vec<_> =
        list["transfers"].as_array().unwrap().iter().map(|one| (text(&one["amount"]), text(&one["fate"]))).collect();
    fates.sort();
    (run.code, fates)
}

/// An interrupted payment of 1 far that the node dropped, with these words more, and one of 2 far that has its nonce.
fn displaced(more: &[&str], mines: bool) -> (Wallet, FakeNode) {
    let (wallet, node) = alice();
    node.state().behaviour = Behaviour::Drops("EVICTED");
    wallet.fails(&[&["send", "alice", "1", "--fee", "0.01", "--yes"], more].concat(), 8, "DROPPED");
    node.state().behaviour = Behaviour::Honest;
    node.state().mines = mines;
    assert_eq!(wallet.json(&["send", "alice", "2", "--no-wait", "--yes"])["nonce"], 0);
    (wallet, node)
}

#[test]
fn a_payment_whose_nonce_another_one_of_this_wallet_took_is_not_paid_and_is_paid_once_that_is_deep() {
    for more in [&[][..], &["--id", "rent"]] {
        let (wallet, node) = displaced(more, true);
        let again = [&["send", "alice", "1", "--yes"], more].concat();
        assert_eq!(fates(&wallet), (7, vec![("1".into(), "displaced".into()), ("2".into(), "mined".into())]));
        let stderr = wallet.fails(&again, 8, "NONCE_TAKEN");
        assert!(stderr.contains("took its nonce a moment ago") && stderr.contains("--confirmations 6"), "{stderr}");
        assert!(stderr.contains("was not paid: another payment of this wallet"), "{stderr}");
        assert_eq!(stderr.contains("try: --again"), more.is_empty(), "{stderr}");
        node.state().mine_many(5);
        let paid = wallet.json(&again);
        assert_eq!((&paid["nonce"], &paid["resumed"], &paid["state"]), (&1.into(), &false.into(), &"mined".into()));
        assert_eq!(node.state().paid(), [200_000_000, 100_000_000]);
    }
}

#[test]
fn what_waits_is_never_pushed_out_by_another_payment_of_the_same_nonce() {
    let (wallet, node) = displaced(&[], false);
    assert_eq!(node.state().submissions, 2);
    // Its fee would do for that.
    assert_eq!(fates(&wallet), (8, vec![("1".into(), "displaced".into()), ("2".into(), "pending".into())]));
    let stderr = wallet.fails(&["send", "alice", "1", "--yes"], 8, "NONCE_TAKEN");
    assert!(stderr.contains("waits with its nonce: of the two one can be mined"), "{stderr}");
    assert_eq!(node.state().submissions, 2);
    let both = wallet.json(&["send", "alice", "1", "--again", "--no-wait", "--yes"]);
    assert_eq!((&both["nonce"], &both["resumed"]), (&1.into(), &false.into()));
}

#[test]
fn a_transfer_whose_last_block_has_passed_was_not_paid() {
    let (wallet, node) = alice();
    let path = wallet.path("transfer").display().to_string();
    let signed = wallet.path("signed").display().to_string();
    wallet.ok(&["tx", "build", "alice", "1", "--valid-until", "3", "--out", &path]);
    wallet.ok(&["tx", "sign", &path, "--out", &signed, "--yes"]);
    node.state().behaviour = Behaviour::Drops("EXPIRED");
    wallet.run(&["tx", "broadcast", &signed, "--yes"]);
    let id = is_fate(&wallet, 8, "dropped")["transaction_id"].as_str().unwrap().to_owned();
    node.state().mine_many(2);
    let expired = is_fate(&wallet, 7, "expired");
    assert!(expired["reason"].as_str().unwrap().contains("block 3"), "{expired}");
    wallet.fails(&["tx", "bump", &id, "--yes"], 7, "EXPIRED");
    node.state().mine_many(6);
    is_fate(&wallet, 7, "expired");
    is_fate(&wallet, 0, "none");
}

/// Runs the wallet where nothing can be written to a disk: every file may have 0 bytes, and no signal says so.
fn without_space(wallet: &Wallet, arguments: &[&str]) -> Run {
    let inner = wallet.command(arguments);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\" \"$@\""]).arg(inner.get_program());
    command.args(inner.get_args()).stdin(Stdio::null());
    command.env_clear().envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Run::from(command.env("PATH", std::env::var_os("PATH").unwrap()).output().unwrap())
}

#[test]
fn on_a_full_disk_nothing_is_handed_in_and_what_was_handed_in_is_told() {
    let (wallet, node) = alice();
    let run = without_space(&wallet, &["send", "alice", "1", "--yes"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""), "{}", run.stderr);
    assert!(run.stderr.contains("cannot write"), "{}", run.stderr);
    is_fate(&wallet, 0, "none");
    assert_eq!(node.state().submissions, 0);
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.fails(&["send", "alice", "1", "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Honest;
    node.state().mine();
    for _ in 0..2 {
        let run = without_space(&wallet, &["send", "alice", "1", "--yes"]);
        assert_eq!(run.code, 0, "{}", run.stderr);
        assert!(
            run.stdout.contains("mined in block 2") && run.stdout.contains("of an earlier command"),
            "{}",
            run.stdout
        );
        assert!(run.stderr.contains("it could not be noted that you were told of this"), "{}", run.stderr);
    }
    assert_eq!(wallet.json(&["send", "alice", "1", "--yes"])["resumed"], true);
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
}

#[test]
fn two_that_send_at_once_pay_once_each() {
    let (wallet, node) = alice();
    let send = |amount: &str| {
        let mut command = wallet.command(&["send", "alice", amount, "--yes", "--json"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = ["1", "2", "3", "2"].map(send);
    let mut nonces = Vec::new();
    for child in children {
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let sent: Value = serde_json::from_str(&run.stdout).unwrap();
        assert_eq!((&sent["state"], &sent["resumed"]), (&"mined".into(), &false.into()), "{sent}");
        nonces.push(sent["nonce"].as_u64().unwrap());
    }
    nonces.sort_unstable();
    assert_eq!(nonces, [0, 1, 2, 3]);
    let mut paid = node.state().paid();
    paid.sort_unstable();
    assert_eq!(paid, [100_000_000, 200_000_000, 200_000_000, 300_000_000]);
}

/// The node has it all the same, and its word is what made the wallet forget it.
#[test]
fn a_node_that_refuses_a_transfer_and_keeps_it_does_not_get_another_one_on_top() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::TakesAndRefuses(Code::ResourceExhausted, "MEMPOOL_FULL");
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    let words = ["send", "alice", "1", "--yes", "--no-wait"];
    let error = |code: &str| {
        let Run { code: exit, stderr, .. } = wallet.run(&[&words[..], &["--json"]].concat());
        let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
        assert_eq!((exit, &error["error"]["code"]), (7, &code.into()), "{stderr}");
        error["error"].clone()
    };
    let in_doubt = error("REFUSAL_IN_DOUBT");
    assert!(in_doubt["what"].as_str().unwrap().contains("nothing was sent"), "{in_doubt}");
    assert_eq!(node.state().submissions, 1);
    // Mined: that is told, and from then on the same words mean it.
    node.state().mine();
    let mined = error("MINED_AFTER_ALL");
    let tries = [
        format!("farthing-wallet tx show {}", in_doubt["transaction_id"].as_str().unwrap()),
        "the same command again, which pays unless this is the payment that it meant".into(),
        "--again, or another --id, if the same words mean another payment".into(),
    ];
    assert_eq!((&mined["transaction_id"], &mined["try"]), (&in_doubt["transaction_id"], &json!(tries)));
    let again = wallet.json(&words);
    assert_eq!((&again["transaction_id"], &again["resumed"]), (&mined["transaction_id"], &true.into()));
    assert_eq!(node.state().submissions, 1);
}

/// As the advice says: what the same words mean then, and how they mean another payment.
#[test]
fn after_a_refused_transfer_that_was_mined_the_same_words_pay_anew_with_again() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::TakesAndRefuses(Code::ResourceExhausted, "MEMPOOL_FULL");
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    node.state().mine();
    wallet.fails(&["send", "alice", "1", "--yes", "--no-wait"], 7, "MINED_AFTER_ALL");
    let second = wallet.json(&["send", "alice", "1", "--yes", "--no-wait", "--again"]);
    assert_eq!((&second["nonce"], &second["resumed"]), (&1.into(), &false.into()));
}

/// A refusal that was true holds nothing up: the next payment takes the nonce.
#[test]
fn after_a_refusal_the_next_payments_go_their_way() {
    let (wallet, node) = alice();
    node.state().mines = false;
    node.state().behaviour = Behaviour::Refuses(Code::ResourceExhausted, "MEMPOOL_FULL");
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    wallet.fails(&["send", "alice", "1", "--yes"], 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    let nonce = |amount| wallet.json(&["send", "alice", amount, "--yes", "--no-wait"])["nonce"].as_u64();
    assert_eq!([nonce("1"), nonce("2"), nonce("3")], [Some(0), Some(1), Some(2)]);
}

/// What a script goes on with: the id is a field, not only a word in a sentence.
#[test]
fn an_error_about_a_transfer_names_it_in_json() {
    let (wallet, _node) = with_a_lost_answer();
    let Run { code, stdout, stderr } = wallet.run(&["tx", "wait", &"ab".repeat(32), "--json", "--timeout", "1s"]);
    assert_eq!((code, stdout.as_str()), (1, ""), "{stderr}");
    let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!(error["error"]["transaction_id"], "ab".repeat(32), "{error}");
    let Run { code, stderr, .. } = wallet.run(&["send", "bob", "1", "--json", "--yes"]);
    assert_eq!(code, 2, "{stderr}");
    let error: Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert!(error["error"].get("transaction_id").is_none(), "{error}");
}
