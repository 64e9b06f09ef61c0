//! Keys: shown, renamed, given another passphrase, removed; and the doors for passphrases.

use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    harness::{Run, Wallet, fixture},
    kills::run_or_kill,
};

/// Moments of a command at which it is killed.
const KILLS: u32 = 8;

/// A wallet with the key `a` under the passphrase in the file whose path comes with it.
fn with_key(network: &'static str) -> (Wallet, String) {
    let wallet = Wallet::on(network);
    let passphrase = wallet.file("passphrase", "battery staple\n");
    wallet.ok(&["key", "import", &fixture("pkcs8_2048.pem"), "--name", "a", "--passphrase-file", &passphrase]);
    (wallet, passphrase)
}

/// What shows that a passphrase opens the key.
fn opens(wallet: &Wallet, name: &str, passphrase: &str) -> Run {
    let words = ["key", "export", name, "--format", "ssh", "--passphrase-file", passphrase];
    wallet.run(&words)
}

#[test]
fn a_key_is_shown_without_its_passphrase() {
    let (wallet, _) = with_key("main");
    let shown = wallet.json(&["key", "show"]);
    assert_eq!(shown["public_key"], fs::read_to_string(fixture("public_2048.pem")).unwrap());
    assert_eq!(
        (&shown["signer"], &shown["encrypted"], &shown["network"]),
        (&"file".into(), &true.into(), &"main".into())
    );
    assert_eq!(shown["file"], wallet.path("wallet/main/keys/a.pem").display().to_string());
    let text = wallet.ok(&["key", "show", "a"]);
    assert!(text.contains(shown["fingerprint"].as_str().unwrap()), "{text}");
    wallet.fails(&["key", "show", "b"], 2, "KEY_NOT_FOUND");
}

#[test]
fn a_key_gets_another_name_but_never_one_that_is_taken() {
    let (wallet, passphrase) = with_key("main");
    let address = wallet.json(&["key", "show", "a"])["address"].clone();
    wallet.ok(&["key", "rename", "a", "b"]);
    assert_eq!(wallet.json(&["key", "show", "b"])["address"], address);
    assert_eq!(opens(&wallet, "b", &passphrase).code, 0);
    wallet.ok(&["key", "import", &fixture("pkcs8_3072.pem"), "--name", "c", "--passphrase-file", &passphrase]);
    wallet.fails(&["key", "rename", "b", "c"], 2, "KEY_NAME_TAKEN");
    wallet.fails(&["key", "rename", "a", "d"], 2, "KEY_NOT_FOUND");
    assert_eq!(wallet.json(&["key", "list"])["keys"].as_array().unwrap().len(), 2);
}

#[test]
fn a_key_is_never_named_like_somebody_else() {
    let (wallet, passphrase) = with_key("main");
    let own = wallet.ok(&["address", "a"]).trim().to_owned();
    wallet.ok(&["key", "import", &fixture("public_3072.pem"), "--name", "w", "--watch-only"]);
    let other = wallet.ok(&["address", "w"]).trim().to_owned();
    wallet.ok(&["contact", "add", "anna", &other]);
    wallet.ok(&["contact", "add", "me", &own]);
    let secret = ["--passphrase-file", &passphrase];
    let said = wallet.fails(&[&["key", "new", "anna"][..], &secret].concat(), 2, "CONTACT_TAKEN");
    assert!(said.contains(&other) && said.contains("contact rename anna"), "{said}");
    let import = ["key", "import", &fixture("pkcs8_4096.pem"), "--name", "anna"];
    wallet.fails(&[&import[..], &secret].concat(), 2, "CONTACT_TAKEN");
    wallet.fails(&[&import[..], &["--watch-only"]].concat(), 2, "CONTACT_TAKEN");
    wallet.fails(&["key", "rename", "a", "anna"], 2, "CONTACT_TAKEN");
    // One's own.
    wallet.ok(&["key", "rename", "a", "me"]);
    wallet.ok(&["key", "rename", "w", "anna"]);
}

#[test]
fn settings_that_choose_a_key_that_goes_are_remarked_on() {
    let (wallet, _) = with_key("main");
    assert!(!wallet.run(&["key", "rename", "a", "b"]).stderr.contains("warning"));
    wallet.ok(&["config", "set", "account", "b"]);
    let renamed = wallet.run(&["key", "rename", "b", "c"]);
    assert!(renamed.stderr.contains("try: farthing-wallet config set account c"), "{}", renamed.stderr);
    wallet.ok(&["config", "set", "account", "c"]);
    let removed = wallet.run(&["key", "remove", "c", "--confirm-name", "c"]);
    assert!(removed.stderr.contains("try: farthing-wallet config unset account"), "{}", removed.stderr);
}

fn passwd<'a>(old: &'a str, words: &[&'a str]) -> Vec<&'a str> {
    [&["key", "passwd", "a", "--passphrase-file", old], words].concat()
}

#[test]
fn a_key_gets_another_passphrase() {
    let (wallet, old) = with_key("main");
    let new = wallet.file("new", "correct horse\n");
    let short = wallet.file("short", "abc\n");
    wallet.fails(&passwd(&old, &["--new-passphrase-file", &short]), 2, "PASSPHRASE_TOO_SHORT");
    wallet.fails(&passwd(&old, &[]), 2, "PASSPHRASE_NEEDED");
    wallet.fails(&passwd(&old, &["--no-passphrase"]), 2, "KEY_UNENCRYPTED");
    assert_eq!(opens(&wallet, "a", &old).code, 0);
    wallet.ok(&passwd(&old, &["--new-passphrase-file", &new]));
    assert_eq!((opens(&wallet, "a", &new).code, opens(&wallet, "a", &old).code), (0, 4));
    wallet.fails(&passwd(&old, &["--new-passphrase-file", &new]), 4, "WRONG_PASSPHRASE");
    let mode = fs::metadata(wallet.path("wallet/main/keys/a.pem")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
}

#[test]
fn a_key_outlives_every_kill_of_passwd() {
    let (wallet, one) = with_key("main");
    let two = wallet.file("two", "correct horse\n");
    let words = ["key", "passwd", "a", "--passphrase-file", &one, "--new-passphrase-file", &two];
    let started = Instant::now();
    wallet.ok(&words);
    let whole = started.elapsed();
    let (mut now, mut next, mut kills) = (&two, &one, 0);
    for part in 1..=KILLS {
        let words = ["key", "passwd", "a", "--passphrase-file", now, "--new-passphrase-file", next];
        kills += u32::from(run_or_kill(wallet.command(&words), Some(whole * part / KILLS)).is_err());
        if opens(&wallet, "a", now).code != 0 {
            (now, next) = (next, now);
            assert_eq!(opens(&wallet, "a", now).code, 0, "neither passphrase opens the key after kill {part}");
        }
    }
    assert!(kills > 0);
    assert_eq!(wallet.json(&["key", "list"])["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_key_is_removed_only_by_whoever_names_it() {
    let (wallet, _) = with_key("main");
    let said = wallet.fails(&["key", "remove", "a", "--yes"], 3, "CONFIRMATION_NEEDED");
    assert!(said.contains("nobody can ever spend what far1") && said.contains("--confirm-name a"), "{said}");
    wallet.fails(&["key", "remove", "a", "--confirm-name", "b"], 3, "NAME_DIFFERS");
    wallet.fails(&["key", "remove", "b", "--confirm-name", "b"], 2, "KEY_NOT_FOUND");
    assert!(wallet.path("wallet/main/keys/a.pem").exists());
    wallet.ok(&["key", "remove", "a", "--confirm-name", "a"]);
    assert!(!wallet.path("wallet/main/keys/a.pem").exists());
}

#[test]
fn a_key_leaves_the_wallet_unencrypted_only_for_whoever_names_it() {
    let (wallet, passphrase) = with_key("main");
    let export = ["key", "export", "a", "--unencrypted", "--passphrase-file", &passphrase];
    let said = wallet.fails(&[&export[..], &["--yes"]].concat(), 3, "CONFIRMATION_NEEDED");
    assert!(said.contains("--confirm-name a") && said.contains("whoever reads it owns the money"), "{said}");
    wallet.fails(&[&export[..], &["--confirm-name", "A"]].concat(), 3, "NAME_DIFFERS");
    assert!(wallet.ok(&[&export[..], &["--confirm-name", "a"]].concat()).starts_with("-----BEGIN PRIVATE KEY"));
}

#[test]
fn a_passphrase_may_come_from_a_descriptor() {
    let (wallet, passphrase) = with_key("main");
    let run = |number: &str| {
        let mut shell = Command::new("sh");
        let words = "exec \"$0\" key export a --format ssh --passphrase-fd \"$1\" 7< \"$2\"";
        let program = wallet.command(&[]).get_program().to_owned();
        shell.args(["-c", words]).arg(program).args([number, &passphrase]).stdin(Stdio::null());
        shell.env_clear().env("FARTHING_WALLET_DIR", wallet.path("wallet")).env("FARTHING_NETWORK", "main");
        Run::from(shell.output().unwrap())
    };
    let opened = run("7");
    assert!(opened.stdout.starts_with("-----BEGIN OPENSSH PRIVATE KEY"), "{}", opened.stderr);
    let closed = run("8");
    assert_eq!(closed.code, 2);
    assert!(closed.stderr.contains("error[PASSPHRASE_FD]"), "{}", closed.stderr);
}

#[test]
fn a_passphrase_may_come_from_a_program_that_asks() {
    let (wallet, _) = with_key("main");
    let program = |name: &str, text: &str| {
        let path = wallet.file(name, text);
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        path
    };
    let run = |askpass: &str, words: &[&str]| {
        let words = [&["key", "export", "a", "--format", "ssh"][..], words].concat();
        Run::from(wallet.command(&words).env("FARTHING_ASKPASS", askpass).output().unwrap())
    };
    let asked = wallet.path("asked").display().to_string();
    let good = program("good", &format!("#!/bin/sh\necho \"$1\" > '{asked}'\necho battery staple\n"));
    let opened = run(&good, &[]);
    assert!(opened.stdout.starts_with("-----BEGIN OPENSSH PRIVATE KEY"), "{}", opened.stderr);
    assert!(fs::read_to_string(&asked).unwrap().contains("Passphrase for a"));
    for (program, words, code, name) in [
        (program("wrong", "#!/bin/sh\necho battery stable\n"), &[][..], 4, "WRONG_PASSPHRASE"),
        (program("empty", "#!/bin/sh\necho\n"), &[], 2, "PASSPHRASE_EMPTY"),
        (program("cancelled", "#!/bin/sh\necho battery staple\nexit 1\n"), &[], 2, "ASKPASS"),
        (wallet.path("absent").display().to_string(), &[], 2, "ASKPASS"),
        (good, &["--no-input"], 2, "PASSPHRASE_NEEDED"),
    ] {
        let run = run(&program, words);
        assert_eq!(run.code, code, "{program}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("error[{name}]")), "{program}: {}", run.stderr);
    }
}
