//! Keys: made, imported, exported, guarded.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::harness::{Wallet, fixture};

/// What it takes for a script to have a key without encryption.
const UNENCRYPTED: [&str; 6] = ["key", "export", "a", "--unencrypted", "--confirm-name", "a"];

#[test]
fn init_makes_a_wallet_with_an_encrypted_key() {
    let wallet = Wallet::on("test");
    let passphrase = wallet.file("passphrase", "correct horse\n");
    let init = wallet.json(&["init", "anna", "--passphrase-file", &passphrase]);
    assert_eq!((&init["name"], &init["encrypted"], &init["bits"]), (&"anna".into(), &true.into(), &2048.into()));
    let address = init["address"].as_str().unwrap();
    assert!(address.starts_with("tfar1"), "{address}");
    assert_eq!(wallet.ok(&["address"]).trim(), address);
    assert_eq!(wallet.json(&["key", "list"])["keys"][0]["address"], address);
    let pem = wallet.path("wallet/test/keys/anna.pem");
    assert_eq!(fs::metadata(&pem).unwrap().permissions().mode() & 0o7777, 0o600);
    assert!(fs::read_to_string(pem).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    assert!(fs::read_to_string(wallet.path("wallet/config.toml")).unwrap().contains("network = \"test\""));
    let other = wallet.run(&["init", "ben", "--passphrase-file", &passphrase]);
    for word in [
        "made      ben on the network test",
        "back up",
        "keys/ben.pem",
        "farthing-wallet doctor",
        "farthing-node --network test --mine tfar1",
    ] {
        assert!(other.stderr.contains(word), "{word}: {}", other.stderr);
    }
    let again = wallet.fails(&["init", "anna", "--passphrase-file", &passphrase], 2, "KEY_NAME_TAKEN");
    assert!(again.contains("never overwritten"), "{again}");
}

#[test]
fn an_imported_key_keeps_its_address_and_gets_a_passphrase() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let old = wallet.file("old", "correct horse\n");
    let import = |name: &str, file: &str| {
        let file = fixture(file);
        let arguments = ["key", "import", &file, "--name", name, "--passphrase-file", &passphrase];
        wallet.run(&[&arguments[..], &["--file-passphrase-file", &old, "--json"]].concat())
    };
    let first = import("a", "openssh_2048_encrypted.pem");
    assert_eq!(first.code, 0, "{}", first.stderr);
    let second = import("b", "python_2048.pem");
    assert_eq!(second.code, 0, "{}", second.stderr);
    // The same key in another form.
    let third = import("c", "pkcs1_2048.pem");
    assert_eq!(third.code, 2);
    let error: serde_json::Value = serde_json::from_str(&third.stderr).unwrap();
    assert_eq!((&error["error"]["code"], &error["schema"]), (&"KEY_TAKEN".into(), &1.into()));
    let public = wallet.ok(&["key", "export", "a", "--public"]);
    assert_eq!(public, fs::read_to_string(fixture("public_2048.pem")).unwrap());
}

#[test]
fn a_key_is_exported_encrypted_unless_plain_is_asked_for() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let file = fixture("pkcs8_2048.pem");
    wallet.ok(&["key", "import", &file, "--name", "a", "--passphrase-file", &passphrase]);
    assert!(wallet.ok(&["key", "export", "a"]).starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----"));
    let plain = wallet.run(&[&UNENCRYPTED[..], &["--passphrase-file", &passphrase]].concat());
    assert_eq!((plain.code, plain.stdout), (0, fs::read_to_string(&file).unwrap()));
    assert!(plain.stderr.contains("warning"), "{}", plain.stderr);
    let out = wallet.path("copy.pem").display().to_string();
    wallet.ok(&["key", "export", "a", "--out", &out]);
    assert_eq!(fs::metadata(&out).unwrap().permissions().mode() & 0o7777, 0o600);
    wallet.fails(&["key", "export", "a", "--out", &out], 1, "FILE_EXISTS");
}

#[test]
fn a_wrong_passphrase_has_its_own_exit_code() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let wrong = wallet.file("wrong", "battery stable\n");
    wallet.ok(&["key", "import", &fixture("pkcs8_2048.pem"), "--name", "a", "--passphrase-file", &passphrase]);
    wallet.fails(&[&UNENCRYPTED[..], &["--passphrase-file", &wrong]].concat(), 4, "WRONG_PASSPHRASE");
    let needed = wallet.fails(&UNENCRYPTED, 2, "PASSPHRASE_NEEDED");
    assert!(needed.contains("--passphrase-file"), "{needed}");
    wallet.fails(&["key", "new", "b", "--passphrase-file", &wallet.file("short", "abc\n")], 2, "PASSPHRASE_TOO_SHORT");
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let wallet = Wallet::new();
    wallet.ok(&["key", "import", "--dev", "alice"]);
    let pem = wallet.path("wallet/dev/keys/alice.pem");
    fs::set_permissions(&pem, fs::Permissions::from_mode(0o644)).unwrap();
    let stderr = wallet.fails(&["key", "list"], 1, "FILE_MODE");
    assert!(stderr.contains(&format!("try: chmod 600 '{}'", pem.display())), "{stderr}");
}

#[test]
fn development_keys_are_for_the_development_network_only() {
    let dev = Wallet::new();
    dev.ok(&["key", "import", "--dev", "alice"]);
    dev.ok(&["key", "import", "--dev", "alice"]);
    assert_eq!(dev.json(&["key", "list"])["keys"][0]["encrypted"], false);
    dev.fails(&["key", "import", "--dev", "erin"], 2, "UNKNOWN_DEV_KEY");
    dev.fails(&["key", "export", "alice"], 2, "KEY_UNENCRYPTED");
    let main = Wallet::on("main");
    let stderr = main.fails(&["key", "import", "--dev", "alice"], 2, "DEV_KEY_ELSEWHERE");
    assert!(stderr.contains("--network dev"), "{stderr}");
    main.fails(&["key", "new", "a", "--no-passphrase"], 2, "KEY_UNENCRYPTED");
}

#[test]
fn a_development_key_is_refused_elsewhere_as_a_file_too() {
    for network in ["main", "test"] {
        let wallet = Wallet::on(network);
        let passphrase = wallet.file("passphrase", "battery staple\n");
        let file = format!("{}/dev-keys/alice.pem", env!("CARGO_MANIFEST_DIR"));
        let arguments = ["key", "import", &file, "--name", "mine", "--passphrase-file", &passphrase];
        let stderr = wallet.fails(&arguments, 2, "DEV_KEY_ELSEWHERE");
        assert!(stderr.contains("everyone has them") && stderr.contains("try: "), "{stderr}");
        assert_eq!(wallet.json(&["key", "list"])["keys"], serde_json::json!([]));
    }
}

#[test]
fn a_folder_and_a_file_may_be_named_relative_to_where_one_stands() {
    let wallet = Wallet::new();
    let here = |arguments: &[&str]| {
        let output = wallet.command(arguments).current_dir(wallet.path("")).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    fs::create_dir(wallet.path("backup")).unwrap();
    here(&["--wallet-dir", "a/w", "init", "me", "--no-passphrase"]);
    here(&[
        "--wallet-dir",
        "./a/w",
        "key",
        "export",
        "me",
        "--plain",
        "--confirm-name",
        "me",
        "--out",
        "backup/me.pem",
    ]);
    here(&["--wallet-dir", "a/../a/w", "key", "list"]);
    assert_eq!(fs::metadata(wallet.path("backup/me.pem")).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(wallet.path("a/w/dev/keys")).unwrap().count(), 1);
}

#[test]
fn a_passphrase_file_that_others_can_read_is_remarked_on_once() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let import = |name: &str, file: &str| {
        let file = fixture(file);
        wallet.run(&["key", "import", &file, "--name", name, "--passphrase-file", &passphrase])
    };
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o644)).unwrap();
    let loose = import("a", "pkcs8_2048.pem");
    assert_eq!((loose.code, loose.stderr.matches("warning").count()), (0, 1), "{}", loose.stderr);
    assert!(
        loose
            .stderr
            .contains(&format!("mode 0644: other users can read the passphrase; try: chmod 600 '{passphrase}'"))
    );
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).unwrap();
    assert!(!import("b", "pkcs8_3072.pem").stderr.contains("warning"));
}

#[test]
fn init_says_when_the_settings_that_are_there_choose_another_network() {
    let wallet = Wallet::on("");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    wallet.ok(&["init", "a", "--passphrase-file", &passphrase]);
    let other = wallet.run(&["init", "--network", "dev", "b", "--no-passphrase"]);
    assert_eq!(other.code, 0, "{}", other.stderr);
    assert!(other.stderr.contains("config.toml was left as it is: it chooses the network main"), "{}", other.stderr);
    assert!(other.stderr.contains("needs --network dev"), "{}", other.stderr);
    let same = wallet.run(&["init", "--network", "main", "c", "--passphrase-file", &passphrase]);
    assert!(same.stderr.contains("was left as it is") && !same.stderr.contains("needs --network"), "{}", same.stderr);
}

#[test]
fn a_file_that_is_no_fitting_key_is_refused_with_the_reason() {
    let wallet = Wallet::new();
    for (file, name) in [
        ("refused_1024.pem", "KEY_UNUSABLE"),
        ("refused_e3.pem", "KEY_UNUSABLE"),
        ("refused_ed25519.pem", "KEY_NOT_RSA"),
        ("refused_close_primes.pem", "KEY_UNUSABLE"),
        ("public_2048.pem", "KEY_UNREADABLE"),
        ("make.sh", "KEY_UNREADABLE"),
    ] {
        wallet.fails(&["key", "import", &fixture(file), "--name", "a", "--no-passphrase"], 2, name);
    }
    wallet.fails(&["key", "import", "/nowhere/a.pem"], 1, "FILE_MISSING");
}

#[test]
fn the_process_leaves_no_core_dump() {
    let wallet = Wallet::new();
    let pipe = wallet.path("passphrase");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let pipe = pipe.display().to_string();
    // It waits for a passphrase from the pipe; meanwhile the system says what it would do with its memory.
    let mut child = wallet.command(&["key", "new", "a", "--passphrase-file", &pipe]).spawn().unwrap();
    let writer = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.id()));
    drop(writer);
    assert_eq!(child.wait().unwrap().code(), Some(2));
    if let Ok(limits) = limits {
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
    }
}
