//! Keys: made, imported, exported, guarded.

use std::{fs, os::unix::fs::PermissionsExt as _};

use crate::harness::{Wallet, fixture};

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
    let plain = wallet.run(&["key", "export", "a", "--plain", "--passphrase-file", &passphrase]);
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
    wallet.fails(&["key", "export", "a", "--plain", "--passphrase-file", &wrong], 4, "WRONG_PASSPHRASE");
    let needed = wallet.fails(&["key", "export", "a", "--plain"], 2, "PASSPHRASE_NEEDED");
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
fn a_file_that_is_no_fitting_key_is_refused_with_the_reason() {
    let wallet = Wallet::new();
    for (file, name) in [
        ("refused_1024.pem", "KEY_UNUSABLE"),
        ("refused_e3.pem", "KEY_UNUSABLE"),
        ("refused_ed25519.pem", "KEY_NOT_RSA"),
        ("refused_legacy_encrypted.pem", "KEY_ENCRYPTION"),
        ("public_2048.pem", "KEY_UNREADABLE"),
        ("make.sh", "KEY_UNREADABLE"),
    ] {
        wallet.fails(&["key", "import", &fixture(file), "--name", "a", "--no-passphrase"], 2, name);
    }
    wallet.fails(&["key", "import", "/nowhere/a.pem"], 1, "FILE_MISSING");
}

#[test]
fn the_process_leaves_no_core_dump_and_cannot_be_traced() {
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
