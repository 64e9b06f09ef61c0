//! Contacts, names, settings, and how errors are told, all without a node.

use std::fs;

use crate::harness::Wallet;

/// An address of the development network: alice's.
fn alice(wallet: &Wallet) -> String {
    wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned()
}

#[test]
fn a_contact_is_remembered_and_forgotten() {
    let wallet = Wallet::new();
    let address = alice(&Wallet::new());
    assert_eq!(wallet.json(&["contact", "list"])["contacts"], serde_json::json!([]));
    wallet.ok(&["contact", "add", "al", &address]);
    assert_eq!(wallet.json(&["contact", "list"])["contacts"], serde_json::json!([{"name": "al", "address": address}]));
    wallet.ok(&["contact", "remove", "al"]);
    wallet.fails(&["contact", "remove", "al"], 2, "UNKNOWN_CONTACT");
}

#[test]
fn a_name_stands_for_one_address() {
    let wallet = Wallet::new();
    let address = alice(&wallet);
    let bob = wallet.json(&["key", "import", "--dev", "bob"])["address"].as_str().unwrap().to_owned();
    wallet.ok(&["contact", "add", "friend", &address]);
    wallet.fails(&["contact", "add", "friend", &bob], 2, "CONTACT_TAKEN");
    wallet.fails(&["contact", "add", "bob", &address], 2, "CONTACT_TAKEN");
}

#[test]
fn a_mistyped_address_is_never_repaired() {
    let wallet = Wallet::new();
    let mut address = alice(&wallet);
    let last = address.pop().unwrap();
    address.push(if last == 'q' { 'p' } else { 'q' });
    let stderr = wallet.fails(&["contact", "add", "x", &address], 2, "BAD_ADDRESS");
    assert!(stderr.contains("try: "), "{stderr}");
    wallet.fails(&["send", &address, "1"], 2, "BAD_ADDRESS");
}

#[test]
fn an_address_of_another_network_is_refused_by_name() {
    let address = alice(&Wallet::new());
    let stderr = Wallet::on("main").fails(&["contact", "add", "x", &address], 2, "WRONG_NETWORK");
    assert!(stderr.contains("dfar") && stderr.contains("far"), "{stderr}");
}

#[test]
fn words_that_make_no_sense_are_refused_before_a_node_is_asked() {
    let wallet = Wallet::new();
    alice(&wallet);
    wallet.fails(&["send", "nobody", "1"], 2, "UNKNOWN_CONTACT");
    wallet.fails(&["send", "alice", "1,5"], 2, "BAD_AMOUNT");
    wallet.fails(&["send", "alice", "0"], 2, "BAD_AMOUNT");
    wallet.fails(&["send", "alice", "1", "--fee", "x"], 2, "BAD_FEE");
    wallet.fails(&["send", "alice", "1", "--memo", &"x".repeat(257)], 2, "BAD_MEMO");
    wallet.fails(&["send", "alice", "1", "--from", "bob"], 2, "KEY_NOT_FOUND");
    wallet.fails(&["balance", "nobody"], 2, "UNKNOWN_CONTACT");
    Wallet::new().fails(&["balance"], 2, "NO_KEYS");
    Wallet::new().fails(&["address"], 2, "NO_KEYS");
}

#[test]
fn no_node_has_its_own_exit_code() {
    let wallet = Wallet::new();
    alice(&wallet);
    for arguments in [&["balance"][..], &["history"], &["send", "alice", "1", "--yes"], &["resubmit"]] {
        let stderr = wallet.fails(arguments, 6, "NODE_UNREACHABLE");
        assert!(stderr.contains("http://127.0.0.1:1") && stderr.contains("try: "), "{stderr}");
    }
}

#[test]
fn settings_that_cannot_be_used_are_refused() {
    let wallet = Wallet::new();
    wallet.fails(&["--network", "mian", "status"], 2, "BAD_NETWORK");
    wallet.fails(&["--node", "localhost:1", "status"], 2, "BAD_NODE_URL");
    fs::create_dir(wallet.path("wallet")).unwrap();
    fs::write(wallet.path("wallet/config.toml"), "colour = 1\n").unwrap();
    wallet.fails(&["status"], 2, "BAD_CONFIG");
}

#[test]
fn the_command_line_itself_is_checked() {
    let wallet = Wallet::new();
    assert_eq!(wallet.run(&["frobnicate"]).code, 2);
    assert_eq!(wallet.run(&["key", "new", "Bad Name"]).code, 2);
    assert_eq!(wallet.run(&["key", "new", "a", "--bits", "1024"]).code, 2);
    assert_eq!(wallet.run(&["key", "import"]).code, 2);
    assert_eq!(wallet.run(&["--help"]).code, 0);
    wallet.fails(&[], 2, "NO_COMMAND");
}

#[test]
fn networks_do_not_share_keys_or_contacts() {
    let wallet = Wallet::new();
    let address = alice(&wallet);
    wallet.ok(&["contact", "add", "al", &address]);
    for network in ["main", "test"] {
        assert_eq!(wallet.json(&["--network", network, "key", "list"])["keys"], serde_json::json!([]));
        assert_eq!(wallet.json(&["--network", network, "contact", "list"])["contacts"], serde_json::json!([]));
    }
}

#[test]
fn with_json_an_error_is_json_on_stderr() {
    let run = Wallet::new().run(&["--json", "balance"]);
    let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
    assert_eq!((run.code, run.stdout.as_str()), (2, ""));
    assert_eq!(
        (&error["schema"], &error["error"]["code"], &error["error"]["exit"]),
        (&1.into(), &"NO_KEYS".into(), &2.into())
    );
    assert!(error["error"]["try"].as_array().is_some_and(|tries| !tries.is_empty()));
}

#[test]
fn with_json_a_command_line_that_cannot_be_read_is_json_too() {
    for arguments in
        [&["key", "new", "a", "--bits", "1024"][..], &["key", "new", "Bad Name"], &["send"], &["frobnicate"]]
    {
        let run = Wallet::new().run(&[arguments, &["--json"]].concat());
        let error: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert_eq!((run.code, run.stdout.as_str()), (2, ""));
        assert_eq!((&error["schema"], &error["error"]["code"]), (&1.into(), &"USAGE".into()), "{error}");
        let tries = error["error"]["try"].as_array().unwrap();
        assert!(tries.iter().any(|hint| hint.as_str().unwrap().ends_with(" --help")), "{error}");
    }
    let help = Wallet::new().run(&["--json", "--help"]);
    assert_eq!((help.code, help.stderr.as_str()), (0, ""));
}

#[test]
fn with_json_every_line_on_stderr_is_json() {
    let wallet = Wallet::new();
    alice(&wallet);
    let run = wallet.run(&["send", "alice", "1", "--sign-only", "--nonce", "0", "--fee", "0.00000001", "--json"]);
    assert_eq!(run.code, 3, "{}", run.stderr);
    let lines: Vec<serde_json::Value> = run
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert!(lines.iter().all(|line| line["schema"] == 1), "{}", run.stderr);
    assert!(lines[0]["warning"].as_str().unwrap().contains("nodes relay"), "{}", run.stderr);
    assert!(lines.iter().any(|line| line["note"].is_string()), "{}", run.stderr);
    assert_eq!(lines.last().unwrap()["error"]["code"], "CONFIRMATION_NEEDED");
}
