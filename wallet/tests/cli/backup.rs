//! Backups: made, opened by stock tools, restored, never over anything.

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use crate::{
    fake_node::FakeNode,
    harness::{Wallet, fixture},
    terminal::{PLAIN, code, on_a_terminal, press},
    tools::{have, run_in},
};

/// A wallet with keys on two networks and a contact, and the passphrases of keys and backup.
fn desk() -> (Wallet, String, String) {
    let wallet = Wallet::on("main");
    let (key, backup) = (wallet.file("key", "correct horse\n"), wallet.file("backup-pass", "battery staple\n"));
    wallet.ok(&["init", "first", "--passphrase-file", &key, "--quiet"]);
    wallet.ok(&["key", "import", &fixture("pkcs8_2048.pem"), "--name", "a", "--passphrase-file", &key]);
    wallet.ok(&["key", "import", &fixture("public_3072.pem"), "--name", "w", "--watch-only", "--network", "test"]);
    let address = wallet.ok(&["address", "a"]);
    wallet.ok(&["contact", "add", "anna", address.trim()]);
    (wallet, key, backup)
}

#[test]
fn what_is_backed_up_is_there_again_in_another_wallet() {
    let (wallet, key, secret) = desk();
    let file = wallet.path("wallet.age").display().to_string();
    let backup = ["key", "backup", &file, "--passphrase-file", &secret];
    let made = wallet.json(&backup);
    assert_eq!((&made["keys"], &made["networks"]), (&3.into(), &2.into()), "{made}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o7777, 0o600);
    wallet.fails(&backup, 1, "FILE_EXISTS");
    // A key that would be left out without a word.
    let strange = wallet.path("wallet/test/keys/Savings.pem");
    fs::copy(fixture("pkcs8_2048.pem"), &strange).unwrap();
    let more = wallet.path("more.age").display().to_string();
    wallet.fails(&["key", "backup", &more, "--passphrase-file", &secret], 1, "KEY_FILE_NAME");
    fs::remove_file(strange).unwrap();

    let other = Wallet::on("main");
    let restore = ["key", "restore", &file, "--passphrase-file", &secret];
    other.fails(&["key", "restore", &file, "--passphrase-file", &key], 4, "WRONG_PASSPHRASE");
    other.fails(&["key", "restore", &file], 2, "PASSPHRASE_NEEDED");
    assert_eq!(other.json(&["key", "list"])["keys"], serde_json::json!([]));
    other.ok(&restore);
    assert_eq!(other.json(&["key", "list"])["keys"], wallet.json(&["key", "list"])["keys"]);
    assert_eq!(other.json(&["key", "show", "w", "--network", "test"])["signer"], "none");
    assert_eq!(other.json(&["contact", "list"]), wallet.json(&["contact", "list"]));
    let signed = ["message", "sign", "--text", "x", "--account", "a", "--passphrase-file", &key];
    assert_eq!(other.ok(&signed), wallet.ok(&signed));
    for file in ["main/keys/a.pem", "main/contacts.toml"] {
        let mode = fs::metadata(other.path("wallet").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{file}");
    }
    // Again: nothing to do. With one file gone: only that one comes back.
    assert_eq!(other.json(&restore)["written"], 0);
    other.ok(&["key", "remove", "a", "--confirm-name", "a"]);
    assert_eq!(other.json(&restore)["written"], 1);
}

#[test]
fn what_cannot_be_is_said_before_a_passphrase_is_asked_for() {
    let (wallet, _, _) = desk();
    // Without a terminal asking is an error of its own.
    let nowhere = wallet.path("none/backup").display().to_string();
    assert!(wallet.fails(&["key", "backup", &nowhere], 1, "FILE_MISSING").contains("none does not exist"));
    let other = wallet.file("letter", "Dear Anna,\n");
    assert!(wallet.fails(&["key", "restore", &other], 1, "BACKUP_DAMAGED").contains("not a backup"));
}

#[test]
fn a_restoration_overwrites_nothing_and_does_all_or_nothing() {
    let (wallet, key, secret) = desk();
    let file = wallet.path("wallet.age").display().to_string();
    wallet.ok(&["key", "backup", &file, "--passphrase-file", &secret]);
    let other = Wallet::on("main");
    other.ok(&["key", "import", &fixture("pkcs8_3072.pem"), "--name", "a", "--passphrase-file", &key]);
    let before = other.json(&["key", "list"]);
    let said = other.fails(&["key", "restore", &file, "--passphrase-file", &secret], 2, "BACKUP_DIFFERS");
    assert!(said.contains("main/keys/a.pem") && said.contains("--wallet-dir"), "{said}");
    assert_eq!(other.json(&["key", "list"]), before);
    // Damage is noticed before anything is written.
    let mut bytes = fs::read(&file).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let damaged = other.path("damaged.age").display().to_string();
    fs::write(&damaged, &bytes).unwrap();
    other.fails(&["key", "restore", &damaged, "--passphrase-file", &secret], 1, "BACKUP_DAMAGED");
    other.fails(&["key", "restore", &fixture("pkcs8_2048.pem"), "--passphrase-file", &secret], 1, "BACKUP_DAMAGED");
    Wallet::new().fails(&["key", "backup", &damaged], 1, "FILE_EXISTS");
    Wallet::new().fails(&["key", "backup", "/nowhere/x", "--passphrase-file", &secret], 2, "NO_KEYS");
}

#[test]
fn a_private_network_and_its_settings_are_in_a_backup_however_they_are_kept() {
    let wallet = Wallet::on("");
    let (key, secret) = (wallet.file("key", "correct horse\n"), wallet.file("backup-pass", "battery staple\n"));
    let text = "name = \"ours\"\nprefix = \"our\"\ngenesis_time_ms = 1793491200000\n";
    wallet.ok(&["network", "add", &wallet.file("ours.toml", text)]);
    // Settings of one's own making, kept elsewhere and linked.
    let settings = wallet.file("settings.toml", "network = \"ours\"\n");
    fs::set_permissions(&settings, fs::Permissions::from_mode(0o644)).unwrap();
    std::os::unix::fs::symlink(&settings, wallet.path("wallet/config.toml")).unwrap();
    wallet.ok(&["key", "new", "me", "--passphrase-file", &key]);
    let file = wallet.path("wallet.age").display().to_string();
    let made = wallet.json(&["key", "backup", &file, "--passphrase-file", &secret]);
    assert_eq!((&made["keys"], &made["networks"]), (&1.into(), &1.into()), "{made}");
    let other = Wallet::on("");
    other.ok(&["key", "restore", &file, "--passphrase-file", &secret]);
    assert_eq!(other.json(&["key", "list"]), wallet.json(&["key", "list"]));
}

#[test]
fn an_id_that_was_settled_stays_taken_in_the_wallet_that_is_restored() {
    let wallet = Wallet::new();
    let address = wallet.json(&["key", "import", "--dev", "alice"])["address"].as_str().unwrap().to_owned();
    let node = FakeNode::start(&address, 0);
    let wallet = wallet.with_node(&node.url);
    let words = ["send", "alice", "1", "--id", "invoice-7", "--yes"];
    wallet.ok(&words);
    node.state().mine_many(6);
    let paid = |wallet: &Wallet| fs::read_to_string(wallet.path("wallet/dev/recipients")).unwrap();
    assert_eq!(wallet.json(&["resubmit"])["transfers"][0]["fate"], "settled");
    let (file, secret) = (wallet.path("wallet.age").display().to_string(), wallet.file("pass", "battery staple\n"));
    wallet.ok(&["key", "backup", &file, "--passphrase-file", &secret]);
    let other = Wallet::new().with_node(&node.url);
    other.ok(&["key", "restore", &file, "--passphrase-file", &secret]);
    assert_eq!(other.json(&words)["state"], "settled");
    assert_eq!(paid(&other), paid(&wallet));
    fs::write(other.path("wallet/dev/recipients"), "").unwrap();
    assert_eq!(other.json(&["key", "restore", &file, "--passphrase-file", &secret])["written"], 0);
    assert_eq!(paid(&other), "");
    other.fails(&["send", "alice", "2", "--id", "invoice-7", "--yes"], 2, "ID_REUSED");
    assert_eq!(node.state().submissions, 1);
}

#[test]
fn a_passphrase_typed_wrongly_may_be_typed_again_and_ctrl_d_gives_up() {
    let (wallet, _, secret) = desk();
    let file = wallet.path("wallet.age").display().to_string();
    wallet.ok(&["key", "backup", &file, "--passphrase-file", &secret]);
    let other = Wallet::on("main");
    let mut screen = on_a_terminal(&other, PLAIN, &["key", "restore", &file]);
    screen.exp_string("Passphrase of ").unwrap();
    screen.send_line("battery stable").unwrap();
    screen.exp_string("does not open the backup; once more").unwrap();
    screen.exp_string("Passphrase of ").unwrap();
    screen.send_line("battery staple").unwrap();
    screen.exp_string("keys 3").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&screen), 0);
    let mut screen = on_a_terminal(&other, PLAIN, &["key", "export", "a", "--format", "ssh"]);
    screen.exp_string("Passphrase for a: ").unwrap();
    press(&mut screen, "\u{4}");
    screen.exp_string("no passphrase was typed").unwrap();
    screen.exp_eof().unwrap();
    assert_eq!(code(&screen), 3);
}

/// Runs `age`, which asks for passphrases on a terminal only, on one that this makes for it.
fn age(words: &str, answers: &str) {
    run_in(Command::new("script").args(["-qec", words, "/dev/null"]), answers.as_bytes());
}

#[test]
fn age_and_tar_open_a_backup_and_make_one() {
    if !have(&["age", "script", "tar"]) {
        return;
    }
    let (wallet, _, secret) = desk();
    let path = |name: &str| wallet.path(name).display().to_string();
    let (sealed, plain, folder) = (path("wallet.age"), path("wallet.tar"), path("out"));
    wallet.ok(&["key", "backup", &sealed, "--passphrase-file", &secret]);
    age(&format!("age -d -o '{plain}' '{sealed}'"), "battery staple\n");
    fs::create_dir(&folder).unwrap();
    run_in(Command::new("tar").args(["-xf", &plain, "-C", &folder]), b"");
    for file in ["main/keys/a.pem", "main/contacts.toml", "test/keys/w.pem"] {
        let ours = fs::read(wallet.path("wallet").join(file)).unwrap();
        assert_eq!(fs::read(wallet.path("out/farthing-wallet").join(file)).unwrap(), ours, "{file}");
    }
    // The other way: packed and encrypted by hand.
    let (packed, by_hand) = (path("by_hand.tar"), path("by_hand.age"));
    run_in(Command::new("tar").args(["-cf", &packed, "-C", &folder, "farthing-wallet"]), b"");
    age(&format!("age -p -o '{by_hand}' '{packed}'"), "battery staple\nbattery staple\n");
    let other = Wallet::on("main");
    other.ok(&["key", "restore", &by_hand, "--passphrase-file", &secret]);
    assert_eq!(other.json(&["key", "list"])["keys"], wallet.json(&["key", "list"])["keys"]);
}
