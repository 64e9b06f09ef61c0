//! `tx bump` and `tx cancel`: of a transfer and what replaces it one is mined, and the payment is made once or not at all.

use serde_json::Value;
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// What every test sends.
const SEND: &[&str] = &["send", "alice", "1", "--memo", "bread", "--no-wait", "--yes"];

/// A wallet with alice's key, and a node on which she holds her allocation and that mines when told.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    node.state().mines = false;
    (wallet.with_node(&node.url), node)
}

fn id(value: &Value) -> String {
    value["transaction_id"].as_str().unwrap().to_owned()
}

fn mites(value: &Value, field: &str) -> u64 {
    value[field].as_str().unwrap().parse().unwrap()
}

/// Sends, with these words more, and gives the transfer's id.
fn send(wallet: &Wallet, more: &[&str]) -> String {
    id(&wallet.json(&[SEND, more].concat()))
}

/// Every transfer in the outbox and its fate.
fn fates(wallet: &Wallet) -> Vec<(String, String)> {
    let list: Value = serde_json::from_str(&wallet.run(&["resubmit", "--json"]).stdout).unwrap();
    let one = |one: &Value| (id(one), one["fate"].as_str().unwrap().to_owned());
    list["transfers"].as_array().unwrap().iter().map(one).collect()
}

fn fate_of(wallet: &Wallet, wanted: &str) -> String {
    fates(wallet).into_iter().find(|(id, _)| id == wanted).map_or_else(|| "none".to_owned(), |(_, fate)| fate)
}

#[test]
fn a_bump_is_the_same_payment_with_a_higher_fee() {
    let (wallet, node) = alice();
    let first = wallet.json(SEND);
    let bumped = wallet.json(&["tx", "bump", &id(&first), "--no-wait", "--yes"]);
    assert_eq!((&bumped["state"], &bumped["kind"]), (&"pending".into(), &"bump".into()));
    assert_eq!((&bumped["replaces"], &bumped["nonce"]), (&first["transaction_id"], &0.into()));
    assert_eq!((&bumped["amount"], &bumped["memo"]), (&"1".into(), &"bread".into()));
    assert!(mites(&bumped, "fee_mites") > 2 * mites(&first, "fee_mites"), "{bumped}");
    assert_eq!(
        (fate_of(&wallet, &id(&first)), fate_of(&wallet, &id(&bumped))),
        ("superseded".into(), "pending".into())
    );
    let old = wallet.json(&["tx", "show", &id(&first)]);
    assert_eq!((&old["state"], &old["replaced_by"]), (&"dropped".into(), &bumped["transaction_id"]));
    node.state().mine_many(6);
    assert_eq!(wallet.json(&["tx", "show", &id(&first)])["state"], "replaced");
    assert_eq!((fate_of(&wallet, &id(&bumped)), fates(&wallet).len()), ("settled".into(), 0));
    assert_eq!(wallet.json(&["history"])["entries_total"], 1);
    assert_eq!(node.state().submissions, 2);
}

#[test]
fn a_bump_waits_and_is_shown_before_it_is_made() {
    let (wallet, node) = alice();
    let first = send(&wallet, &[]);
    let stderr = wallet.fails(&["tx", "bump", &first], 3, "CONFIRMATION_NEEDED");
    assert!(stderr.contains("is replaced by the same with a higher fee:") && stderr.contains("nonce   0"), "{stderr}");
    assert_eq!(node.state().submissions, 1);
    node.state().mines = true;
    let bumped = wallet.json(&["tx", "bump", &first, "--yes"]);
    assert_eq!((&bumped["state"], &bumped["verified"]), (&"mined".into(), &true.into()));
    // What is mined cannot be replaced, by whichever name.
    for name in [&first, &id(&bumped)] {
        for command in ["bump", "cancel"] {
            wallet.fails(&["tx", command, name, "--yes"], 7, "ALREADY_MINED");
        }
    }
}

#[test]
fn a_fee_that_nodes_do_not_take_is_named_with_one_that_they_do() {
    let (wallet, node) = alice();
    let first = send(&wallet, &[]);
    let stderr = wallet.fails(&["tx", "bump", &first, "--fee", "0.0001", "--yes"], 2, "FEE_TOO_LOW");
    let (_, fee) = stderr.split_once("try: --fee ").unwrap();
    let fee = fee.split(',').next().unwrap();
    wallet.fails(&["tx", "bump", &first, "--max-fee", "0.0001", "--yes"], 2, "FEE_TOO_HIGH");
    assert_eq!(node.state().submissions, 1);
    let bumped = wallet.json(&["tx", "bump", &first, "--fee", fee, "--no-wait", "--yes"]);
    assert_eq!(bumped["fee"], fee);
    // However it is reckoned, no bump goes beyond the bounds.
    let rate = node.state().rate;
    node.state().rate = 1_000_000;
    wallet.fails(&["tx", "bump", &first, "--yes"], 2, "FEE_TOO_HIGH");
    wallet.fails(&["tx", "cancel", &first, "--yes"], 2, "FEE_TOO_HIGH");
    node.state().rate = rate;
    wallet.fails(&["tx", "bump", &first, "--fee", "1", "--yes"], 2, "FEE_TOO_HIGH");
    wallet.fails(&["tx", "bump", &first, "--fee", "1", "--max-fee", "0.99999999", "--yes"], 2, "FEE_TOO_HIGH");
    assert_eq!(node.state().submissions, 2);
    // By the name of the first one, the second one is bumped.
    let again = wallet.json(&["tx", "bump", &first, "--no-wait", "--yes"]);
    assert_eq!(again["replaces"], bumped["transaction_id"]);
    assert!(mites(&again, "fee_mites") > mites(&bumped, "fee_mites"), "{again}");
    let dear = wallet.json(&["tx", "bump", &first, "--fee", "1", "--max-fee", "1", "--no-wait", "--yes"]);
    assert_eq!(dear["fee"], "1");
}

#[test]
fn only_what_this_wallet_sent_can_be_replaced() {
    let (wallet, node) = alice();
    let first = send(&wallet, &[]);
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    for command in ["bump", "cancel"] {
        copy.fails(&["tx", command, &first, "--yes"], 2, "NOT_IN_OUTBOX");
        copy.fails(&["tx", command, &"0".repeat(64), "--yes"], 1, "UNKNOWN_TRANSFER");
        copy.fails_to_parse(&["tx", command, "12ab"]);
    }
    node.state().mine();
    let refused = copy.run(&["tx", "cancel", &first, "--yes", "--json"]);
    let error: serde_json::Value = serde_json::from_str(refused.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&error["error"]["code"], &error["error"]["transaction_id"]), (&"ALREADY_MINED".into(), &first.into()));
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_cancelled_payment_is_not_made() {
    let (wallet, node) = alice();
    let first = send(&wallet, &[]);
    let cancelled = wallet.json(&["tx", "cancel", &first, "--no-wait", "--yes"]);
    assert_eq!((&cancelled["kind"], &cancelled["amount_mites"]), (&"cancel".into(), &"1".into()));
    assert_eq!((&cancelled["nonce"], &cancelled["replaces"]), (&0.into(), &first.as_str().into()));
    // The same words again go on with the same cancellation.
    let again = wallet.json(&["tx", "cancel", &first, "--no-wait", "--yes"]);
    assert_eq!((id(&again), node.state().submissions), (id(&cancelled), 2));
    let dear = wallet.run(&["tx", "cancel", &first, "--fee", "1", "--no-wait", "--yes"]);
    let advice = format!("--fee changes nothing now; farthing-wallet tx bump {} --fee N does", id(&cancelled));
    assert!(dear.code == 0 && dear.stderr.contains(&advice) && node.state().submissions == 2, "{}", dear.stderr);
    let stderr = wallet.fails(&["tx", "bump", &first, "--yes"], 7, "CANCELLED");
    assert!(stderr.contains("try: farthing-wallet tx bump "), "{stderr}");
    // The cancellation itself can be hurried.
    let hurried = wallet.json(&["tx", "bump", &id(&cancelled), "--no-wait", "--yes"]);
    assert_eq!(hurried["kind"], "cancel");
    node.state().mine_many(6);
    assert_eq!(fate_of(&wallet, &id(&hurried)), "settled");
    let history = wallet.json(&["history"]);
    assert_eq!((&history["entries_total"], fates(&wallet).len()), (&1.into(), 0));
}

#[test]
fn a_cancellation_does_not_pay_for_the_account_that_is_not_opened() {
    let (wallet, node) = alice();
    wallet.ok(&["key", "new", "erin", "--no-passphrase"]);
    let first = wallet.json(&["send", "erin", "1", "--from", "alice", "--no-wait", "--yes"]);
    assert!(mites(&first, "fee_mites") > 10_000_000, "{first}");
    let cancelled = wallet.json(&["tx", "cancel", &id(&first), "--no-wait", "--yes"]);
    assert!(mites(&cancelled, "fee_mites") < 200_000, "{cancelled}");
    assert_eq!(
        (fate_of(&wallet, &id(&first)), fate_of(&wallet, &id(&cancelled))),
        ("superseded".into(), "pending".into())
    );
    node.state().mine();
    assert_eq!(wallet.json(&["tx", "show", &id(&first)])["state"], "replaced");
}

/// Runs a command, does something while it waits, and gives its exit code, stdout, and what it said on stderr since.
fn while_it_waits(wallet: &Wallet, arguments: &[&str], act: impl FnOnce()) -> (Option<i32>, String, String) {
    let mut child = wallet.command(arguments);
    let mut child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut stderr = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("submitted ") {
        line.clear();
        let read = std::io::BufRead::read_line(&mut stderr, &mut line).unwrap();
        assert_ne!(read, 0, "the wallet ended before it waited");
    }
    act();
    let output = child.wait_with_output().unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut stderr, &mut rest).unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap(), rest)
}

/// A node refused the first bump and kept it, and that is what is mined.
#[test]
fn a_bump_that_was_refused_and_is_mined_all_the_same_ends_the_next_bump_well_and_a_cancellation_not() {
    for (command, code) in [("bump", 0), ("cancel", 7)] {
        let (wallet, node) = alice();
        let first = send(&wallet, &[]);
        node.state().behaviour = Behaviour::TakesAndRefuses(Code::ResourceExhausted, "MEMPOOL_FULL");
        let refused = wallet.run(&["tx", "bump", &first, "--no-wait", "--yes", "--json"]);
        let error: serde_json::Value = serde_json::from_str(refused.stderr.lines().last().unwrap()).unwrap();
        let kept = error["error"]["transaction_id"].as_str().unwrap().to_owned();
        assert_ne!(kept, first);
        node.state().behaviour = Behaviour::Honest;
        let words = ["tx", command, &first, "--fee", "0.01", "--yes"];
        let (ended, stdout, rest) = while_it_waits(&wallet, &words, || node.state().mine_the_replaced());
        assert_eq!(ended, Some(code), "{rest}");
        assert!(rest.contains("mined all the same") && rest.contains(&kept), "{rest}");
        assert_eq!(rest.contains("error[ALREADY_MINED]"), code == 7, "{rest}");
        assert_eq!(stdout.contains(&kept), code == 0);
        assert_eq!(fate_of(&wallet, &kept), "mined");
        assert_eq!(wallet.json(&["history"])["entries_total"], 1);
    }
}

/// A cancellation that a node refused and kept is no payment, whatever waits as it is mined; and it can be gone on with.
#[test]
fn a_refused_cancellation_that_is_mined_all_the_same_is_never_told_as_a_payment() {
    for (command, code) in [("cancel", 0), ("bump", 7), ("again", 0)] {
        let (wallet, node) = alice();
        let first = send(&wallet, &[]);
        node.state().behaviour = Behaviour::TakesAndRefuses(Code::ResourceExhausted, "MEMPOOL_FULL");
        let refused = wallet.run(&["tx", "cancel", &first, "--no-wait", "--yes", "--json"]);
        let error: serde_json::Value = serde_json::from_str(refused.stderr.lines().last().unwrap()).unwrap();
        let kept = error["error"]["transaction_id"].as_str().unwrap().to_owned();
        node.state().behaviour = Behaviour::Honest;
        if command == "again" {
            let gone_on = wallet.json(&["tx", "cancel", &kept, "--no-wait", "--yes"]);
            assert_eq!(id(&gone_on), kept);
            node.state().mine();
        } else {
            let words = ["tx", command, &first, "--fee", "0.01", "--yes"];
            let (ended, stdout, rest) = while_it_waits(&wallet, &words, || node.state().mine_the_replaced());
            assert_eq!(ended, Some(code), "{rest}");
            assert!(!rest.contains("is paid, once") && !rest.contains("ALREADY_MINED"), "{rest}");
            assert_eq!((stdout.contains(&kept), rest.contains("error[REPLACED]")), (code == 0, code == 7), "{rest}");
        }
        assert_eq!(node.state().paid(), [1]);
    }
}

#[test]
fn a_payment_that_is_mined_all_the_same_ends_a_bump_well_and_a_cancellation_not() {
    for (command, code) in [("bump", 0), ("cancel", 7)] {
        let (wallet, node) = alice();
        let first = send(&wallet, &[]);
        let (ended, stdout, rest) =
            while_it_waits(&wallet, &["tx", command, &first, "--yes"], || node.state().mine_the_replaced());
        assert_eq!(ended, Some(code), "{rest}");
        assert!(rest.contains("mined all the same") && rest.contains(&first), "{rest}");
        assert_eq!(rest.contains("error[ALREADY_MINED]"), code == 7, "{rest}");
        assert_eq!(stdout.contains(&first), code == 0);
        assert_eq!(fate_of(&wallet, &first), "mined");
        assert_eq!(wallet.json(&["history"])["entries_total"], 1);
    }
}

#[test]
fn an_id_names_the_payment_through_a_bump_and_says_that_it_was_cancelled() {
    let (wallet, node) = alice();
    let first = send(&wallet, &["--id", "rent"]);
    let bumped = wallet.json(&["tx", "bump", &first, "--no-wait", "--yes"]);
    assert_eq!(send(&wallet, &["--id", "rent"]), id(&bumped));
    node.state().mine_many(6);
    assert_eq!(send(&wallet, &["--id", "rent"]), id(&bumped));
    assert_eq!(send(&wallet, &["--id", "rent"]), id(&bumped), "settled");
    assert_eq!(node.state().submissions, 2);
    let second = send(&wallet, &["--id", "gas"]);
    let cancelled = wallet.json(&["tx", "cancel", &second, "--no-wait", "--yes"]);
    for blocks in [0, 1, 6, 1] {
        node.state().mine_many(blocks);
        let stderr = wallet.fails(&[SEND, &["--id", "gas"]].concat(), 7, "CANCELLED");
        assert!(stderr.contains(&id(&cancelled)), "{stderr}");
    }
    assert!(fates(&wallet).is_empty());
    assert_eq!(node.state().submissions, 4);
}

#[test]
fn a_bump_or_cancellation_whose_answer_is_lost_is_on_record() {
    for command in ["bump", "cancel"] {
        let (wallet, node) = alice();
        let first = send(&wallet, &["--id", "rent"]);
        node.state().behaviour = Behaviour::LosesAnswers;
        wallet.fails(&["tx", command, &first, "--yes"], 8, "ANSWER_LOST");
        node.state().behaviour = Behaviour::Honest;
        let found = fates(&wallet);
        assert_eq!(found.iter().filter(|(_, fate)| fate == "superseded").count(), 1, "{found:?}");
        assert_eq!(fate_of(&wallet, &first), "superseded");
        node.state().mine();
        assert_eq!(wallet.json(&["history"])["entries_total"], 1);
        if command == "bump" {
            assert_eq!(wallet.json(&[SEND, &["--id", "rent"]].concat())["resumed"], true);
        } else {
            wallet.fails(&[SEND, &["--id", "rent"]].concat(), 7, "CANCELLED");
        }
    }
}

/// As after a kill between the note in the outbox and the node: the first one waits there, the second is known here only.
#[test]
fn what_a_killed_command_wrote_down_is_handed_in_by_the_next() {
    for (command, expected) in [("bump", 0), ("cancel", 7)] {
        let (wallet, node) = alice();
        // An interrupted payment without an id.
        node.state().behaviour = Behaviour::LosesAnswers;
        wallet.fails(SEND, 8, "ANSWER_LOST");
        node.state().behaviour = Behaviour::Honest;
        let first = fates(&wallet)[0].0.clone();
        node.state().behaviour = Behaviour::Refuses(Code::Unavailable, "DRAINING");
        wallet.fails(&["tx", command, &first, "--yes"], 8, "ANSWER_LOST");
        node.state().behaviour = Behaviour::Honest;
        assert_eq!(wallet.json(&["tx", "show", &first])["state"], "pending");
        // The same words do not pay once more: they go on, or say that it was cancelled.
        let run = wallet.run(SEND);
        assert_eq!(run.code, expected, "{}", run.stderr);
        assert_eq!(run.stderr.contains("error[CANCELLED]"), expected == 7, "{}", run.stderr);
        assert_eq!(fate_of(&wallet, &first), "superseded", "{command}");
        node.state().mine();
        assert_eq!(wallet.json(&["history"])["entries_total"], 1);
        if command == "cancel" {
            assert_eq!(wallet.json(&[SEND, &["--again"]].concat())["resumed"], false);
        } else {
            // The end was told: they are another payment now.
            assert_eq!(wallet.json(SEND)["resumed"], false);
        }
    }
}

/// What is advised must not pay twice, nor pay what was to be called off.
#[test]
fn after_a_refused_replacement_nobody_is_told_to_send_again() {
    for command in ["bump", "cancel"] {
        let (wallet, node) = alice();
        let first = send(&wallet, &[]);
        node.state().behaviour = Behaviour::Refuses(Code::ResourceExhausted, "POOL_FULL");
        let words = ["tx", command, &first, "--no-wait", "--yes"];
        let stderr = wallet.fails(&words, 7, "REJECTED");
        assert!(stderr.contains("try: the same command again") && !stderr.contains("send again"), "{stderr}");
        node.state().behaviour = Behaviour::Honest;
        assert_eq!(wallet.json(&words)["replaces"], first.as_str());
    }
}

#[test]
fn a_cancellation_that_is_not_taken_can_be_hurried_and_is_not_said_to_be_cancelled() {
    let (wallet, node) = alice();
    let first = send(&wallet, &[]);
    node.state().behaviour = Behaviour::Refuses(Code::Unavailable, "DRAINING");
    wallet.fails(&["tx", "cancel", &first, "--yes"], 8, "ANSWER_LOST");
    node.state().behaviour = Behaviour::Refuses(Code::ResourceExhausted, "POOL_FULL");
    let stderr = wallet.fails(&["tx", "cancel", &first, "--yes"], 8, "NOT_TAKEN");
    let (_, cancellation) = stderr.split_once("was cancelled before, by ").unwrap();
    let cancellation = cancellation.split(';').next().unwrap();
    assert!(stderr.contains(&format!("try: farthing-wallet tx bump {cancellation}, which cancels")), "{stderr}");
    assert!(!stderr.contains("pays the same") && !stderr.contains("try: farthing-wallet tx cancel"), "{stderr}");
    let by_its_own_name = ["tx", "cancel", cancellation, "--no-wait", "--yes"];
    let stderr = wallet.fails(&by_its_own_name, 8, "NOT_TAKEN");
    assert!(stderr.contains(&format!("{cancellation} is a cancellation itself")), "{stderr}");
    node.state().behaviour = Behaviour::Honest;
    let taken = wallet.json(&by_its_own_name);
    assert_eq!((id(&taken).as_str(), &taken["kind"], taken.get("replaces")), (cancellation, &"cancel".into(), None));
    let hurried = wallet.json(&["tx", "bump", cancellation, "--no-wait", "--yes"]);
    let stderr = wallet.run(&by_its_own_name).stderr;
    assert!(
        stderr.contains(&format!("{cancellation} is a cancellation, which {} has replaced", id(&hurried))),
        "{stderr}"
    );
}
