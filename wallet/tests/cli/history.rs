//! Parts of a history, and totals.

use crate::{
    fake_node::{Behaviour, FakeNode},
    harness::Wallet,
};

/// Alice, after three payments to herself in blocks 2, 3 and 4; a block each 2 s from 2026-11-01 on.
fn alice() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    for (far, memo) in [("1", "rent, \"May\""), ("2", "=2+2"), ("3", "")] {
        let memo: &[&str] = if memo.is_empty() { &[] } else { &["--memo", memo] };
        wallet.ok(&[&["send", "alice", far, "--yes"], memo].concat());
    }
    (wallet, node)
}

fn heights(wallet: &Wallet, flags: &[&str]) -> Vec<u64> {
    let json = wallet.json(&[&["history"], flags].concat());
    json["entries"].as_array().unwrap().iter().map(|entry| entry["height"].as_u64().unwrap()).collect()
}

#[test]
fn a_part_of_a_history_is_named_by_heights_or_dates() {
    let (wallet, _node) = alice();
    assert_eq!(heights(&wallet, &[]), [4, 3, 2]);
    assert_eq!(heights(&wallet, &["--since", "3"]), [4, 3]);
    assert_eq!(heights(&wallet, &["--until", "3"]), [3, 2]);
    assert_eq!(heights(&wallet, &["--since", "3", "--until", "3"]), [3]);
    assert_eq!(heights(&wallet, &["--limit", "1", "--until", "3"]), [3]);
    assert_eq!(
        heights(&wallet, &["--since", "2026-11-01"]).len() + heights(&wallet, &["--since", "2099-01-01"]).len(),
        3
    );
    let time = wallet.json(&["history"])["entries"][1]["time_ms"].as_u64().unwrap();
    let made = std::time::UNIX_EPOCH + std::time::Duration::from_millis(time);
    let made = humantime::format_rfc3339_millis(made).to_string();
    assert_eq!(heights(&wallet, &["--since", &made]), [4, 3]);
    assert_eq!(heights(&wallet, &["--until", &made]), [3, 2]);
    assert_eq!(heights(&wallet, &["--until", &made[..10]]), [4, 3, 2]);
    let json = wallet.json(&["history", "--since", "3"]);
    assert_eq!((&json["complete"], &json["labels"]["entries"]), (&false.into(), &"verified".into()));
    wallet.fails_to_parse(&["history", "--since", "yesterday"]);
}

#[test]
fn a_history_is_a_table_that_spreadsheets_read_and_do_not_run() {
    let (wallet, _node) = alice();
    let text = wallet.ok(&["history", "--csv"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "entry,height,time,kind,received_far,spent_far,fee_far,with,memo,id,label");
    assert_eq!(lines.len(), 4);
    assert!(lines[1].starts_with("3,4,2026-11-01T"), "{}", lines[1]);
    assert!(lines[1].ends_with(",verified") && lines[2].contains(",alice,'=2+2,"), "{text}");
    assert!(lines[3].contains(",\"rent, \\\"\"May\\\"\"\","), "{text}");
    wallet.fails_to_parse(&["history", "--csv", "--json"]);
}

#[test]
fn what_waits_is_shown_first_and_as_unverified() {
    let (wallet, node) = alice();
    node.state().mines = false;
    wallet.ok(&["send", "alice", "4", "--no-wait", "--yes"]);
    let text = wallet.ok(&["history", "--pending"]);
    let first = text.lines().next().unwrap();
    assert!(first.contains("pending") && first.ends_with("(unverified)"), "{text}");
    let json = wallet.json(&["history", "--pending", "--limit", "1"]);
    assert_eq!((&json["labels"]["pending"], &json["labels"]["balance"]), (&"unverified".into(), &"verified".into()));
    assert_eq!((json["pending"].as_array().unwrap().len(), json["entries"].as_array().unwrap().len()), (1, 1));
    assert!(wallet.json(&["history"]).get("pending").is_none());
    let run = wallet.run(&["balance"]);
    assert!(run.stdout.contains("leaving (unverified)"), "{}", run.stdout);
}

#[test]
fn all_accounts_have_a_total() {
    let (wallet, node) = alice();
    wallet.ok(&["key", "new", "spare", "--no-passphrase"]);
    let text = wallet.ok(&["balance", "--all", "--account", "spare"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    let held = lines[0].strip_prefix("alice").unwrap().trim();
    assert_eq!(lines[2].strip_prefix("total").unwrap().trim(), held);
    assert!(lines[1].contains("0 far (verified)  this account does not exist yet"), "{text}");
    let json = wallet.json(&["balance", "--all"]);
    assert_eq!(json["total_mites"], json["accounts"][0]["balance_mites"]);
    assert_eq!(wallet.json(&["balance", "--account", "spare"])["accounts"].as_array().unwrap().len(), 1);
    assert_eq!(json["total_label"], "verified");
    wallet.fails_to_parse(&["balance", "alice", "--all"]);
    // Balances of different moments may count twice what one account paid to the other.
    node.state().behaviour = Behaviour::MinesBetween;
    let run = wallet.run(&["balance", "--all"]);
    assert!(run.stdout.lines().last().unwrap().ends_with("far (unverified)"), "{}", run.stdout);
    assert!(run.stderr.contains("warning: blocks came between the answers"), "{}", run.stderr);
}

#[test]
fn dates_are_said_to_choose_by_the_nodes_word() {
    let (wallet, _node) = alice();
    let open = |arguments: &[&str]| wallet.json(arguments)["proof"]["not_verified"].to_string();
    let words = "times, and so which entries the dates leave out";
    assert!(open(&["history", "--since", "2026-11-02"]).contains(words));
    assert!(open(&["history", "--until", "2026-11-02T10:00:00Z"]).contains(words));
    assert!(!open(&["history", "--since", "1"]).contains(words) && !open(&["history"]).contains(words));
}
