//! `pay`: files of payments, each made once.

use std::collections::BTreeMap;

use serde_json::Value;
use tonic::Code;

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
    transcripts::BOB,
};

/// A wallet with alice's key and bob as a contact, and a node on which she holds her allocation.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    wallet.ok(&["contact", "add", "bob", BOB]);
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

/// A file of so many payments of 1, 2, 3 ... mites to bob and alice in turn.
fn payroll(wallet: &Wallet, rows: u64) -> String {
    let row = |number: u64| format!("{},0.{number:08}\n", if number.is_multiple_of(2) { "alice" } else { BOB });
    wallet.file("payroll.csv", &("recipient,amount\n".to_owned() + &(1..=rows).map(row).collect::<String>()))
}

/// How often each amount was paid, by the node's blocks.
fn paid(node: &FakeNode) -> BTreeMap<u64, usize> {
    let mut paid = BTreeMap::new();
    for amount in node.state().paid() {
        *paid.entry(amount).or_default() += 1;
    }
    paid
}

fn each_once(rows: u64) -> BTreeMap<u64, usize> {
    (1..=rows).map(|amount| (amount, 1)).collect()
}

fn states(result: &Value) -> Vec<&str> {
    result["transactions"].as_array().unwrap().iter().map(|part| part["state"].as_str().unwrap()).collect()
}

#[test]
fn a_file_is_paid_64_rows_to_a_transaction() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 130);
    let run = wallet.run(&["pay", &file, "--yes", "--json"]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(states(&result), ["mined"; 3]);
    assert_eq!((&result["rows"], &result["total_mites"]), (&130.into(), &(130 * 131 / 2).to_string().into()));
    let parts = result["transactions"].as_array().unwrap();
    let rows: Vec<usize> = parts.iter().map(|part| part["rows"].as_array().unwrap().len()).collect();
    assert_eq!(rows, [64, 64, 2]);
    assert_eq!((&parts[2]["rows"][1]["line"], &parts[2]["verified"]), (&131.into(), &true.into()));
    assert_eq!(parts[0]["nonce"], 0);
    assert_eq!(paid(&node), each_once(130));
    assert_eq!(node.state().submissions, 3);
    // Bob's account is opened in each, as the node reckons by what is mined.
    for part in ["to 130 rows in 3 transactions", "of it 0.3 far to open", "and 90 rows more", "1 account "] {
        assert!(run.stderr.contains(part), "{part}: {}", run.stderr);
    }
    assert_eq!(run.stderr.matches("total   ").count(), 1);
}

#[test]
fn nothing_is_paid_before_somebody_says_yes() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 3);
    wallet.fails(&["pay", &file, "--no-input"], 3, "CONFIRMATION_NEEDED");
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn every_bad_row_is_told_with_its_line_and_none_is_paid() {
    let (wallet, node) = alice();
    let file = wallet.file(
        "bad.csv",
        "\u{feff}Amount, Recipient ,label\n1,bob,ok\n1.123456789,bob,\n1,nobody,x\n0,bob,\n\n2,dfar1qq,\n1,5,bob,x\n1,bob,\"open\n2,bob,\n",
    );
    let stderr = wallet.fails(&["pay", &file, "--yes"], 2, "BAD_PAYROLL");
    for line in
        ["line 3: ", "line 4: ", "line 5: ", "line 7: ", "line 8: 4 fields, expected 3", "line 9: a field holds"]
    {
        assert!(stderr.contains(line), "{line}: {stderr}");
    }
    assert!(!stderr.contains("line 2: ") && stderr.contains("6 of 7 rows"), "{stderr}");
    for (text, why) in [
        ("recipient,amount,memo\nbob,1,x\n", "--memo gives"),
        ("recipient\nbob\n", "no column amount"),
        ("bob,1\n", "\"bob\" is none of"),
        ("recipient,amount,amount\nbob,1,2\n", "amount is there twice"),
        ("recipient,amount\n", "names nobody"),
        ("", "names nobody"),
        (&("recipient,amount\n".to_owned() + &"bob,1\n".repeat(4_097)), "more than 4096 rows"),
    ] {
        let file = wallet.file("bad.csv", text);
        let stderr = wallet.fails(&["pay", &file, "--yes"], 2, "BAD_PAYROLL");
        assert!(stderr.contains(why), "{why}: {stderr}");
    }
    assert_eq!(node.state().submissions, 0);
}

#[test]
fn the_same_payments_are_made_again_only_on_request() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 66);
    wallet.fails(&["pay", &file, "--resume", "--yes"], 2, "NOTHING_TO_RESUME");
    let first = wallet.json(&["pay", &file, "--yes"]);
    // Labels and layout are no part of it.
    let text = std::fs::read_to_string(&file).unwrap().replace("recipient,amount", "Recipient, Amount");
    let other = wallet.file("other.csv", &(text.replace(BOB, "bob").replace('\n', "\r\n")));
    for file in [&file, &other] {
        wallet.fails(&["pay", file, "--yes"], 2, "ALREADY_PAID");
    }
    let told = wallet.json(&["pay", &other, "--resume", "--no-wait"]);
    assert_eq!(told["transactions"][1]["rows"][1]["line"], 67);
    assert_eq!((&told["resumed"], &told["payroll"]), (&true.into(), &first["payroll"]));
    let ids = |result: &Value| -> Vec<Value> {
        result["transactions"].as_array().unwrap().iter().map(|part| part["transaction_id"].clone()).collect()
    };
    assert_eq!(ids(&told), ids(&first));
    node.state().mine_many(6);
    assert_eq!(states(&wallet.json(&["pay", &file, "--resume"])), ["settled"; 2]);
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    assert_eq!(paid(&node), each_once(66));
    let again = wallet.json(&["pay", &file, "--again", "--yes"]);
    assert_eq!((&again["round"], &again["resumed"]), (&2.into(), &false.into()));
    assert!(paid(&node).values().all(|times| *times == 2));
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
}

#[test]
fn an_interrupted_payroll_is_gone_on_with() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 130);
    node.state().behaviour = Behaviour::LosesAnswers;
    let run = wallet.run(&["pay", &file, "--yes", "--json"]);
    assert_eq!(run.code, 8, "{}", run.stderr);
    assert_eq!(states(&serde_json::from_str(&run.stdout).unwrap()), ["submitted", "not_made", "not_made"]);
    node.state().behaviour = Behaviour::Honest;
    // Somebody mends the file: rows that were paid would be paid twice.
    let mended = wallet.file("mended.csv", "recipient,amount\nbob,0.00000001\nbob,5\n");
    wallet.fails(&["pay", &mended, "--yes"], 2, "OTHER_PAYROLL_OPEN");
    let dry = wallet.json(&["pay", &file, "--dry-run"]);
    assert_eq!(states(&dry), ["made_earlier", "would_be_made", "would_be_made"]);
    // Whether asked for or not, and with --again too, as nobody was told yet that it was paid.
    let run = wallet.run(&["pay", &file, "--again", "--yes", "--json"]);
    let result: Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!((states(&result), &result["resumed"]), (vec!["mined"; 3], &true.into()));
    assert!(run.stderr.contains("nothing is paid a second time"), "{}", run.stderr);
    assert_eq!(paid(&node), each_once(130));
}

#[test]
fn what_nobody_was_told_is_told_by_the_next_command_even_when_it_is_settled() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 3);
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.run(&["pay", &file, "--yes"]);
    node.state().behaviour = Behaviour::Honest;
    node.state().mine_many(7);
    wallet.ok(&["resubmit"]);
    let result = wallet.json(&["pay", &file, "--yes"]);
    assert_eq!((states(&result), &result["resumed"]), (vec!["mined"], &true.into()));
    wallet.fails(&["pay", &file, "--yes"], 2, "ALREADY_PAID");
    assert_eq!(paid(&node), each_once(3));
}

#[test]
fn a_mended_file_is_held_up_however_deep_the_interrupted_one_lies() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 130);
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.run(&["pay", &file, "--yes"]);
    node.state().behaviour = Behaviour::Honest;
    node.state().mine_many(8);
    // Whatever command comes along settles what it can.
    wallet.ok(&["send", "alice", "5", "--yes"]);
    let kept = wallet.json(&["resubmit"]);
    assert!(kept["transfers"][0]["reason"].as_str().unwrap().contains("a part of a payroll"), "{kept}");
    let mended = wallet.file("mended.csv", "recipient,amount\nbob,0.00000001\nbob,5\n");
    for more in [&["--yes"][..], &["--dry-run"]] {
        wallet.fails(&[&["pay", &mended], more].concat(), 2, "OTHER_PAYROLL_OPEN");
    }
    wallet.fails(&["pay", &mended, "--again"], 3, "CONFIRMATION_NEEDED");
    wallet.fails(&["pay", &mended, "--yes"], 2, "OTHER_PAYROLL_OPEN");
    // Paid beside it, it holds up nothing any more, and is gone on with by its own file only.
    wallet.ok(&["pay", &mended, "--again", "--yes"]);
    let third = wallet.file("third.csv", "recipient,amount\nbob,7\n");
    wallet.ok(&["pay", &third, "--yes"]);
    let result = wallet.json(&["pay", &file, "--yes"]);
    assert_eq!(result["resumed"], true);
    let paid = paid(&node);
    assert!((2..=130).all(|amount| paid[&amount] == 1) && paid[&1] == 2, "{paid:?}");
}

#[test]
fn rows_whose_nonce_was_taken_elsewhere_are_named_and_not_paid_again() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 66);
    node.state().behaviour = Behaviour::LosesAnswers;
    wallet.run(&["pay", &file, "--yes"]);
    node.state().behaviour = Behaviour::Honest;
    node.state().forget();
    let copy = Wallet::new().with_node(&node.url);
    copy.ok(&["key", "import", "--dev", "alice"]);
    copy.ok(&["send", "alice", "9", "--yes"]);
    node.state().mine_many(6);
    let run = wallet.run(&["pay", &file, "--yes", "--json"]);
    assert_eq!(run.code, 7, "{}", run.stderr);
    assert!(run.stderr.contains("NOT_PAID") && run.stderr.contains("64 rows"), "{}", run.stderr);
    assert_eq!(states(&serde_json::from_str(&run.stdout).unwrap()), ["not_paid", "mined"]);
    // It stays so, before and after it is settled: nobody is told that these rows were paid.
    for _ in 0..2 {
        let run = wallet.run(&["pay", &file, "--yes", "--json"]);
        assert!(run.code == 7 && run.stderr.contains("NOT_PAID"), "{}", run.stderr);
        node.state().mine_many(6);
        wallet.run(&["resubmit"]);
    }
    assert_eq!(states(&wallet.json(&["pay", &file, "--dry-run"])), ["not_paid", "made_earlier"]);
    assert_eq!(paid(&node), BTreeMap::from([(65, 1), (66, 1), (900_000_000, 1)]));
}

#[test]
fn what_a_payroll_may_cost_is_bounded() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 66);
    let stderr = wallet.fails(&["pay", &file, "--max-total", "0.2", "--yes"], 2, "TOTAL_TOO_HIGH");
    assert!(stderr.contains("try: --max-total 0.2"), "{stderr}");
    // Two openings and two fees for the miner; one of them alone would pass.
    wallet.fails(&["pay", &file, "--max-fee", "0.15", "--yes"], 2, "FEE_TOO_HIGH");
    node.state().rate = 1_000_000;
    wallet.fails(&["pay", &file, "--yes"], 2, "FEE_TOO_HIGH");
    node.state().rate = 100;
    let rich = wallet.file("rich.csv", "recipient,amount\nbob,900000\nbob,900000\n");
    wallet.fails(&["pay", &rich, "--yes"], 5, "INSUFFICIENT_FUNDS");
    assert_eq!(node.state().submissions, 0);
    wallet.ok(&["pay", &file, "--max-fee", "0.21", "--max-total", "0.21", "--yes"]);
}

#[test]
fn a_dry_run_of_a_payroll_signs_nothing_and_what_is_refused_is_not_made() {
    let (wallet, node) = alice();
    let file = payroll(&wallet, 66);
    let dry = wallet.json(&["pay", &file, "--dry-run", "--fee", "0.15"]);
    assert_eq!(states(&dry), ["would_be_made"; 2]);
    node.state().behaviour = Behaviour::Refuses(Code::FailedPrecondition, "FEE_TOO_LOW");
    assert_eq!(wallet.run(&["pay", &file, "--dry-run"]).code, 7);
    assert_eq!(node.state().submissions, 0);
    wallet.fails(&["pay", &file, "--yes"], 7, "REJECTED");
    node.state().behaviour = Behaviour::Honest;
    let made = wallet.json(&["pay", &file, "--fee", "0.15", "--no-wait", "--memo", "May", "--yes"]);
    assert_eq!(made["resumed"], false);
    assert_eq!(states(&made), ["mined"; 2]);
    assert_eq!(paid(&node), each_once(66));
}
