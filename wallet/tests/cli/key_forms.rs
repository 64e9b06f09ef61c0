//! Keys in every form, and keys that are only watched.

use std::fs;

use crate::harness::{Wallet, fixture};

#[test]
fn every_form_that_is_given_out_is_taken_back() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let secret = ["--passphrase-file", &passphrase];
    let import = |name: &str, file: &str| wallet.ok(&[&["key", "import", file, "--name", name][..], &secret].concat());
    import("a", &fixture("python_2048.pem"));
    let address = wallet.json(&["key", "show", "a"])["address"].clone();
    let copy = wallet.path("copy").display().to_string();
    for words in [
        &["--format", "pkcs8"][..],
        &["--format", "ssh"],
        &["--format", "pkcs8", "--unencrypted", "--confirm-name", "a"],
        &["--format", "pkcs1", "--unencrypted", "--confirm-name", "a"],
        &["--format", "ssh", "--unencrypted", "--confirm-name", "a"],
    ] {
        wallet.ok(&[&["key", "export", "a", "--out", &copy][..], words, &secret].concat());
        wallet.ok(&["key", "remove", "a", "--confirm-name", "a"]);
        import("a", &copy);
        assert_eq!(wallet.json(&["key", "show", "a"])["address"], address, "{words:?}");
        fs::remove_file(&copy).unwrap();
    }
    for (format, file) in
        [("pkcs1", "public_pkcs1_2048.pem"), ("spki", "public_2048.pem"), ("ssh", "public_openssh_2048.pem")]
    {
        wallet.ok(&["key", "remove", "a", "--confirm-name", "a"]);
        import("a", &fixture("pkcs8_2048.pem"));
        let text = wallet.ok(&["key", "export", "a", "--public", "--format", format]);
        let expected = fs::read_to_string(fixture(file)).unwrap();
        assert_eq!(text.trim_end().trim_end_matches(" a"), expected.trim_end(), "{format}");
    }
    let said = wallet.fails(&["key", "export", "a", "--format", "pkcs1"], 2, "EXPORT_FORMAT");
    assert!(said.contains("one round of MD5"), "{said}");
}

#[test]
fn the_old_encryption_of_openssl_is_opened_and_not_kept() {
    let wallet = Wallet::on("main");
    let (old, new) = (wallet.file("old", "correct horse\n"), wallet.file("new", "battery staple\n"));
    let words = ["key", "import", &fixture("pkcs1_2048_legacy.pem"), "--name", "a", "--passphrase-file", &new];
    wallet.fails(&[&words[..], &["--file-passphrase-file", &new]].concat(), 4, "WRONG_PASSPHRASE");
    wallet.ok(&[&words[..], &["--file-passphrase-file", &old]].concat());
    let kept = fs::read_to_string(wallet.path("wallet/main/keys/a.pem")).unwrap();
    assert!(kept.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"), "{kept}");
}

#[test]
fn a_key_that_is_only_watched_shows_its_address_and_signs_nothing() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    for (name, file) in [
        ("a", "public_2048.pem"),
        ("b", "public_openssh_2048.pem"),
        ("c", "public_pkcs1_2048.pem"),
        ("d", "pkcs1_2048.pem"),
    ] {
        let entry = wallet.json(&["key", "import", &fixture(file), "--name", name, "--watch-only"]);
        assert_eq!((&entry["signer"], &entry["encrypted"]), (&"none".into(), &false.into()), "{file}");
        let kept = fs::read_to_string(wallet.path(&format!("wallet/main/keys/{name}.pem"))).unwrap();
        assert!(!kept.contains("PRIVATE"), "{kept}");
        assert_eq!(
            wallet.ok(&["key", "export", name, "--public"]),
            fs::read_to_string(fixture("public_2048.pem")).unwrap()
        );
        wallet.fails(&["key", "export", name], 2, "KEY_NOT_HERE");
        wallet.fails(&["key", "passwd", name, "--passphrase-file", &passphrase], 2, "KEY_NOT_HERE");
        let send = ["send", name, "1", "--sign-only", "--yes", "--fee", "0.001", "--nonce", "0"];
        let said = wallet.fails(&send, 2, "KEY_NOT_HERE");
        assert!(said.contains("--name"), "{said}");
        wallet.fails(&["key", "remove", name], 3, "CONFIRMATION_NEEDED");
        wallet.ok(&["key", "remove", name, "--yes"]);
    }
    let said = wallet.fails(&["key", "import", &fixture("public_2048.pem")], 2, "KEY_UNREADABLE");
    assert!(said.contains("--watch-only"), "{said}");
    // The private half of it, under another name or its own.
    let import = |file: &str, name: &str| {
        ["key", "import", file, "--name", name, "--passphrase-file", &passphrase].map(str::to_owned)
    };
    wallet.ok(&["key", "import", &fixture("public_2048.pem"), "--name", "w", "--watch-only"]);
    let words = import(&fixture("pkcs1_2048.pem"), "x");
    let said = wallet.fails(&words.each_ref().map(String::as_str), 2, "KEY_TAKEN");
    assert!(said.contains("key remove w, which is watched only"), "{said}");
    wallet.ok(&["key", "remove", "w", "--yes"]);
    // A list with one is still a list, and a file that says nonsense is named.
    wallet.ok(&["key", "import", &fixture("public_2048.pem"), "--name", "a", "--watch-only"]);
    assert!(wallet.ok(&["key", "list"]).contains("watch only"));
    let path = wallet.path("wallet/main/keys/a.pem");
    let text = fs::read_to_string(&path).unwrap().replace("signer: none", "signer: a friend");
    fs::write(&path, text).unwrap();
    let said = wallet.fails(&["key", "list"], 1, "KEY_SIGNER");
    assert!(said.contains("a friend"), "{said}");
}

#[test]
fn a_key_may_come_from_stdin() {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "battery staple\n");
    let mut command = wallet.command(&["key", "import", "-", "--name", "a", "--passphrase-file", &passphrase]);
    let output = command.stdin(fs::File::open(fixture("pkcs1_2048.pem")).unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
