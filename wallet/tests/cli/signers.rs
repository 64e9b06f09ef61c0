//! Keys that an ssh-agent or a token holds: the wallet asks for signatures and never sees a private key.

use std::{fs, process::Command};

use crate::{
    harness::{Run, Wallet, fixture},
    tools::{Agent, have, run, run_in, softhsm},
};

const SEND: [&str; 9] = ["send", "far", "1.5", "--sign-only", "--yes", "--fee", "0.001", "--nonce", "0"];

/// A transfer to a made-up address, signed by an account.
fn send<'a>(from: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let mut words = SEND.to_vec();
    words[1] = to;
    words.extend(["--account", from]);
    words.extend(more);
    words
}

#[test]
fn an_ssh_agent_signs_as_the_key_itself_would() {
    if !have(&["ssh-agent", "ssh-add", "openssl"]) {
        return;
    }
    let wallet = Wallet::on("main");
    let (key, message) = (wallet.file("key", &fs::read_to_string(fixture("pkcs8_2048.pem")).unwrap()), "hello\n");
    let message = wallet.file("message", message);
    let with =
        |socket: &str, words: &[&str]| Run::from(wallet.command(words).env("SSH_AUTH_SOCK", socket).output().unwrap());
    let agent = Agent::start(&wallet.path("agent"));
    let import = ["key", "import", "--name", "a", "--signer", "ssh-agent"];
    let expect = |run: Run, code: i32, name: &str| {
        assert_eq!(run.code, code, "{}", run.stderr);
        assert!(run.stderr.contains(&format!("error[{name}]")) && run.stderr.contains("try:"), "{}", run.stderr);
    };
    wallet.fails(&import, 1, "AGENT_UNREACHABLE");
    expect(with("/nowhere", &import), 1, "AGENT_UNREACHABLE");
    expect(with(&agent.socket, &import), 1, "AGENT_HAS_NOT");
    agent.add(&[&key]);
    let entry = with(&agent.socket, &import);
    assert_eq!(entry.code, 0, "{}", entry.stderr);
    assert!(entry.stdout.contains("ssh-agent"), "{}", entry.stdout);
    assert!(entry.stderr.contains("do not forward it"), "{}", entry.stderr);
    let kept = fs::read_to_string(wallet.path("wallet/main/keys/a.pem")).unwrap();
    assert!(kept.starts_with("signer: ssh-agent\n") && !kept.contains("PRIVATE"), "{kept}");

    let out = wallet.path("sig").display().to_string();
    let sign = ["message", "sign", &message, "--format", "raw", "--out", &out];
    assert_eq!(with(&agent.socket, &sign).code, 0);
    assert_eq!(fs::read(&out).unwrap(), run("openssl", &["dgst", "-sha256", "-sign", &key, &message]));

    // More than an agent takes is said before it is asked.
    let long = wallet.file("long", &"x".repeat(300_000));
    expect(with(&agent.socket, &["message", "sign", &long, "--format", "raw"]), 2, "AGENT_TOO_LONG");
    assert_eq!(with(&agent.socket, &["message", "sign", &long]).code, 0);

    // The same transfer by the same key in a file, in a wallet of its own.
    let file = Wallet::on("main");
    let passphrase = file.file("passphrase", "correct horse\n");
    file.ok(&["key", "import", &key, "--name", "a", "--passphrase-file", &passphrase]);
    let to = file.ok(&["address", "a"]);
    let by_file = file.ok(&send("a", to.trim(), &["--passphrase-file", &passphrase]));
    let by_agent = with(&agent.socket, &send("a", to.trim(), &[]));
    assert_eq!(by_agent.stdout, by_file, "{}", by_agent.stderr);

    // Several keys: one must be chosen, by its public half.
    let second = wallet.file("second", &fs::read_to_string(fixture("pkcs8_3072.pem")).unwrap());
    agent.add(&[&second]);
    let other = ["key", "import", "--name", "b", "--signer", "ssh-agent"];
    expect(with(&agent.socket, &other), 2, "WHICH_KEY");
    let public = fixture("public_3072.pem");
    let chosen = ["key", "import", &public, "--name", "b", "--signer", "ssh-agent"];
    assert_eq!(with(&agent.socket, &chosen).code, 0);
    agent.add(&["-D"]);
    expect(with(&agent.socket, &send("b", to.trim(), &[])), 1, "AGENT_HAS_NOT");
    expect(with(&agent.socket, &["key", "new", "c", "--signer", "ssh-agent"]), 2, "KEY_SIGNER");
}

#[test]
fn a_development_key_in_an_agent_is_refused_elsewhere() {
    if !have(&["ssh-agent", "ssh-add"]) {
        return;
    }
    let wallet = Wallet::on("main");
    let dev = fs::read_to_string(format!("{}/dev-keys/alice.pem", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let agent = Agent::start(&wallet.path("agent"));
    agent.add(&[&wallet.file("key", &dev)]);
    let import = ["key", "import", "--name", "a", "--signer", "ssh-agent"];
    let run = Run::from(wallet.command(&import).env("SSH_AUTH_SOCK", &agent.socket).output().unwrap());
    assert_eq!(run.code, 2, "{}", run.stderr);
    assert!(run.stderr.contains("error[DEV_KEY_ELSEWHERE]"), "{}", run.stderr);
}

/// A SoftHSM of one's own, with one token.
struct Hsm {
    wallet: Wallet,
    module: &'static str,
    settings: String,
    pin: String,
}

impl Hsm {
    fn new(module: &'static str) -> Self {
        let wallet = Wallet::on("main");
        fs::create_dir(wallet.path("tokens")).unwrap();
        let text = format!("directories.tokendir = {}\nlog.level = ERROR\n", wallet.path("tokens").display());
        let settings = wallet.file("softhsm2.conf", &text);
        let pin = wallet.file("pin", "123456\n");
        let hsm = Self { wallet, module, settings, pin };
        hsm.util(&["--init-token", "--free", "--label", "my token", "--so-pin", "87654321", "--pin", "123456"]);
        hsm
    }

    fn util(&self, words: &[&str]) {
        run_in(Command::new("softhsm2-util").args(words).env("SOFTHSM2_CONF", &self.settings), b"");
    }

    fn run(&self, words: &[&str]) -> Run {
        let mut command = self.wallet.command(words);
        command.env("SOFTHSM2_CONF", &self.settings).env("FARTHING_PKCS11_MODULE", self.module);
        Run::from(command.output().unwrap())
    }

    fn ok(&self, words: &[&str]) -> String {
        let run = self.run(&[words, &["--passphrase-file", &self.pin]].concat());
        assert_eq!(run.code, 0, "{words:?}: {}", run.stderr);
        run.stdout
    }

    fn fails(&self, words: &[&str], code: i32, name: &str) {
        let run = self.run(words);
        assert_eq!(run.code, code, "{words:?}: {}", run.stderr);
        assert!(run.stderr.contains(&format!("error[{name}]")) && run.stderr.contains("try:"), "{}", run.stderr);
    }
}

#[test]
fn a_token_signs_as_the_key_itself_would() {
    let Some(module) = softhsm().filter(|_| have(&["openssl"])) else { return };
    let hsm = Hsm::new(module);
    let key = fixture("pkcs8_2048.pem");
    let words = ["--token", "my token", "--label", "spend", "--id", "01ab", "--pin", "123456"];
    hsm.util(&[&["--import", &key][..], &words].concat());
    let uri = "pkcs11:token=my%20token;object=spend;id=%01%ab";
    hsm.ok(&["key", "import", "--name", "a", "--signer", uri]);
    let kept = fs::read_to_string(hsm.wallet.path("wallet/main/keys/a.pem")).unwrap();
    assert!(kept.starts_with(&format!("signer: {uri}\n")) && !kept.contains("PRIVATE"), "{kept}");

    let message = hsm.wallet.file("message", "hello\n");
    let out = hsm.wallet.path("sig").display().to_string();
    hsm.ok(&["message", "sign", &message, "--format", "raw", "--out", &out]);
    assert_eq!(fs::read(&out).unwrap(), run("openssl", &["dgst", "-sha256", "-sign", &key, &message]));

    let file = Wallet::on("main");
    let passphrase = file.file("passphrase", "correct horse\n");
    file.ok(&["key", "import", &key, "--name", "a", "--passphrase-file", &passphrase]);
    let to = file.ok(&["address", "a"]);
    let by_file = file.ok(&send("a", to.trim(), &["--passphrase-file", &passphrase]));
    assert_eq!(hsm.ok(&send("a", to.trim(), &[])), by_file);

    let wrong = hsm.wallet.file("wrong", "654321\n");
    hsm.fails(&send("a", to.trim(), &["--passphrase-file", &wrong]), 4, "WRONG_PIN");
    hsm.fails(&send("a", to.trim(), &[]), 2, "PASSPHRASE_NEEDED");
    // From now on until the right one comes.
    let again = send("a", to.trim(), &["--passphrase-file", &hsm.pin]);
    assert!(hsm.run(&again).stderr.contains("was given a wrong PIN"), "the token's warning is passed on");
    assert!(!hsm.run(&again).stderr.contains("was given a wrong PIN"));
}

#[test]
fn a_token_makes_a_key_that_never_leaves_it() {
    let Some(module) = softhsm() else { return };
    let hsm = Hsm::new(module);
    let uri = "pkcs11:token=my%20token;object=fresh";
    hsm.ok(&["key", "new", "a", "--signer", uri]);
    let text = hsm.ok(&["message", "sign", "--text", "hello"]);
    let signature = hsm.wallet.file("sig", &text);
    hsm.ok(&["message", "verify", "--text", "hello", "--signature", &signature, "--by", "a"]);
    hsm.fails(&["key", "export", "a"], 2, "KEY_NOT_HERE");
    let pin = ["--passphrase-file", &hsm.pin];
    hsm.fails(&[&["key", "new", "b", "--signer", uri][..], &pin].concat(), 2, "TOKEN_KEY_TAKEN");
    let absent = "pkcs11:token=my%20token;object=absent";
    hsm.fails(&[&["key", "import", "--name", "b", "--signer", absent][..], &pin].concat(), 2, "TOKEN_KEY_NOT_FOUND");
    hsm.fails(&["key", "import", "--name", "b", "--signer", "pkcs11:token=other;object=x"], 2, "TOKEN_NOT_FOUND");
    let broken = "pkcs11:object=x?module-path=/nowhere/at/all.so";
    hsm.fails(&["key", "import", "--name", "b", "--signer", broken], 1, "TOKEN_MODULE");
    // The same name for another key: noticed before anything is signed.
    let public = fixture("public_2048.pem");
    hsm.fails(&[&["key", "import", &public, "--name", "b", "--signer", uri][..], &pin].concat(), 2, "KEY_DIFFERS");
}

#[test]
fn without_a_module_or_with_a_pin_in_it_a_uri_is_refused() {
    let wallet = Wallet::on("main");
    let import = |uri: &str| ["key", "import", "--name", "b", "--signer", uri].map(str::to_owned);
    let words = import("pkcs11:object=x");
    wallet.fails(&words.each_ref().map(String::as_str), 2, "TOKEN_MODULE");
    for uri in ["pkcs11:object=x?pin-value=1234", "pkcs11:token=x", "yubikey"] {
        let words = import(uri);
        let run = wallet.run(&words.each_ref().map(String::as_str));
        assert_eq!(run.code, 2, "{}", run.stderr);
    }
}
