//! `doctor` and `status`: what is said of a wallet and its node, whatever is wrong with them.

use std::{fs, os::unix::fs::PermissionsExt as _};

use serde_json::Value;

use crate::{fake_node::FakeNode, harness::Wallet};

/// Runs `doctor`: the exit code, and the verdicts of a check.
fn doctor(wallet: &Wallet, arguments: &[&str]) -> (i32, Value) {
    let run = wallet.run(&[arguments, &["doctor", "--json"]].concat());
    (run.code, serde_json::from_str(&run.stdout).unwrap())
}

fn verdicts<'a>(findings: &'a Value, check: &str) -> Vec<&'a str> {
    let checks = findings["checks"].as_array().unwrap().iter();
    checks.filter(|one| one["check"] == check).map(|one| one["verdict"].as_str().unwrap()).collect()
}

fn with_node() -> (Wallet, FakeNode) {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    (wallet.with_node(&node.url), node)
}

#[test]
fn a_healthy_wallet_passes_every_check() {
    let (wallet, node) = with_node();
    node.state().clock_is_right();
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!((code, &findings["healthy"]), (0, &true.into()), "{findings}");
    for check in ["settings", "space", "folder", "keys", "contacts", "outbox", "node", "sync", "clock"] {
        assert_eq!(verdicts(&findings, check), ["ok"], "{check}: {findings}");
    }
}

#[test]
fn what_is_wrong_here_is_told_with_what_to_do() {
    let (wallet, _node) = with_node();
    fs::set_permissions(wallet.path("wallet/dev/keys/alice.pem"), fs::Permissions::from_mode(0o644)).unwrap();
    fs::write(wallet.path("wallet/dev/contacts.toml"), "[contacts").unwrap();
    fs::set_permissions(wallet.path("wallet/dev/contacts.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let passphrase = wallet.file("passphrase", "correct horse\n");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
    let (code, findings) = doctor(&wallet, &["--passphrase-file", &passphrase]);
    assert_eq!((code, &findings["healthy"]), (1, &false.into()), "{findings}");
    for check in ["keys", "contacts", "passphrase"] {
        assert_eq!(verdicts(&findings, check), ["bad"], "{check}: {findings}");
    }
    let run = wallet.run(&["doctor"]);
    assert!(run.stdout.contains("BAD   keys") && run.stdout.contains("try: chmod 600 '"), "{}", run.stdout);
    assert!(run.stderr.contains("error[UNHEALTHY]"), "{}", run.stderr);
}

#[test]
fn settings_that_stop_other_commands_are_diagnosed() {
    let wallet = Wallet::on("");
    fs::create_dir(wallet.path("wallet")).unwrap();
    fs::write(wallet.path("wallet/config.toml"), "netwrok = \"dev\"\n").unwrap();
    fs::set_permissions(wallet.path("wallet/config.toml"), fs::Permissions::from_mode(0o666)).unwrap();
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!(code, 1);
    assert!(verdicts(&findings, "settings").iter().all(|verdict| *verdict == "bad"), "{findings}");
    assert!(findings.to_string().contains("mode 0666"), "{findings}");
}

#[test]
fn a_wallet_that_is_not_there_yet_is_only_remarked_on() {
    let wallet = Wallet::new();
    let (_, findings) = doctor(&wallet, &[]);
    assert_eq!(verdicts(&findings, "folder"), ["remark"], "{findings}");
    assert_eq!(verdicts(&findings, "node"), ["bad"], "no node listens: {findings}");
}

#[test]
fn a_node_that_is_behind_of_another_time_or_another_network_is_found_out() {
    let (wallet, node) = with_node();
    node.state().clock_is_right();
    node.state().syncing = true;
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!((code, verdicts(&findings, "sync")), (1, vec!["bad"]), "{findings}");
    node.state().syncing = false;
    node.state().clock = Some(1_000_000);
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!((code, verdicts(&findings, "clock")), (1, vec!["bad"]), "{findings}");
    let (code, findings) = doctor(&wallet, &["--network", "test"]);
    assert_eq!((code, verdicts(&findings, "node")), (1, vec!["bad"]), "{findings}");
    assert!(findings.to_string().contains("\\\"dev\\\""), "{findings}");
}

#[test]
fn a_contact_that_looks_like_another_and_an_open_transfer_are_remarked_on() {
    let (wallet, node) = with_node();
    node.state().clock_is_right();
    let bob = Wallet::new().json(&["key", "import", "--dev", "bob"])["address"].as_str().unwrap().to_owned();
    wallet.ok(&["contact", "add", "ben", &bob]);
    wallet.ok(&["contact", "add", "b-e-n", wallet.ok(&["address"]).trim(), "--yes"]);
    node.state().behaviour = crate::fake_node::Behaviour::LosesAnswers;
    wallet.fails(&["send", "ben", "1", "--yes"], 8, "ANSWER_LOST");
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!((code, verdicts(&findings, "outbox")), (0, vec!["remark"]), "{findings}");
    assert_eq!(verdicts(&findings, "contacts"), ["ok", "remark"]);
}

#[test]
fn a_node_on_which_nothing_can_be_mined_is_told_before_anybody_waits() {
    let (wallet, node) = with_node();
    node.state().clock_is_right();
    assert!(verdicts(&doctor(&wallet, &[]).1, "mining").is_empty());
    node.state().mining = false;
    let (code, findings) = doctor(&wallet, &[]);
    assert_eq!((code, verdicts(&findings, "mining")), (0, vec!["remark"]), "{findings}");
    node.state().mines = false;
    let waits = wallet.run(&["send", crate::transcripts::BOB, "1", "--yes", "--timeout", "1"]);
    assert_eq!(waits.code, 8, "{}", waits.stderr);
    assert!(waits.stderr.contains("neither mines nor has peers"), "{}", waits.stderr);
}

#[test]
fn the_status_shows_the_wallet_even_when_its_node_is_away() {
    let (wallet, node) = with_node();
    let status = wallet.json(&["status"]);
    assert_eq!((&status["wallet"]["keys"][0], &status["nodes"][0]["tip_height"]), (&"alice".into(), &1.into()));
    let away = wallet.run(&["status", "--json", "--node", "http://127.0.0.1:1"]);
    let status: Value = serde_json::from_str(&away.stdout).unwrap();
    assert_eq!((away.code, &status["wallet"]["network"]), (6, &"dev".into()), "{}", away.stderr);
    assert_eq!(status["away"][0]["code"], "NODE_UNREACHABLE");
    assert!(away.stderr.contains("NODE_UNREACHABLE"), "{}", away.stderr);
    // One node that answers is enough.
    let both = format!("http://127.0.0.1:1,{}", node.url);
    let status = wallet.json(&["status", "--node", &both]);
    assert_eq!(
        (&status["away"][0]["url"], &status["nodes"][0]["url"]),
        (&"http://127.0.0.1:1".into(), &node.url.as_str().into())
    );
}
