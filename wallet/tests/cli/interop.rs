//! Keys, addresses and signatures exchanged with openssl, OpenSSH and Python's `rsa`, both ways.

use std::{fs, path::PathBuf};

use crate::{
    harness::{Wallet, fixture},
    tools::{have, pipe, run},
};

const MESSAGE: &str = "I owe you 12 far.\n";
const KEYS: [&str; 4] = ["pkcs8_2048.pem", "pkcs8_3072.pem", "pkcs8_4096.pem", "python_2048.pem"];

/// A wallet with a passphrase file and a message file beside it.
struct Desk {
    wallet: Wallet,
    passphrase: String,
    message: String,
}

impl Desk {
    fn new() -> Self {
        let wallet = Wallet::on("main");
        let passphrase = wallet.file("passphrase", "correct horse\n");
        let message = wallet.file("message", MESSAGE);
        Self { wallet, passphrase, message }
    }

    fn import(&self, file: &str, name: &str) {
        self.wallet.ok(&["key", "import", file, "--name", name, "--passphrase-file", &self.passphrase]);
    }

    /// A path beside the wallet.
    fn path(&self, name: &str) -> String {
        self.wallet.path(name).display().to_string()
    }

    fn export(&self, name: &str, words: &[&str], out: &str) -> String {
        let out = self.path(out);
        let words =
            [&["key", "export", name, "--out", &out, "--passphrase-file", &self.passphrase][..], words].concat();
        self.wallet.ok(&words);
        out
    }

    fn sign(&self, name: &str, format: &str, out: &str) -> String {
        let out = self.path(out);
        let words = ["message", "sign", &self.message, "--account", name, "--format", format, "--out", &out];
        self.wallet.ok(&[&words[..], &["--passphrase-file", &self.passphrase]].concat());
        out
    }

    fn verify(&self, signature: &str, words: &[&str]) -> String {
        self.wallet.ok(&[&["message", "verify", &self.message, "--signature", signature][..], words].concat())
    }
}

fn bytes(path: &str) -> Vec<u8> {
    fs::read(path).unwrap()
}

#[test]
fn an_address_is_what_openssl_and_sha256sum_say() {
    if !have(&["openssl", "sha256sum"]) {
        return;
    }
    let desk = Desk::new();
    for file in KEYS {
        let (file, name) = (fixture(file), file.trim_end_matches(".pem"));
        desk.import(&file, name);
        let der = run("openssl", &["pkey", "-in", &file, "-pubout", "-outform", "DER"]);
        let sum = String::from_utf8(pipe("sha256sum", &[], &der)).unwrap();
        let shown = desk.wallet.json(&["key", "show", name]);
        assert_eq!(Some(shown["sha256"].as_str().unwrap()), sum.split_whitespace().next(), "{name}");
        assert_eq!(desk.wallet.ok(&["address", name]).trim(), shown["address"].as_str().unwrap());
    }
}

#[test]
fn openssl_and_the_wallet_make_the_same_signatures_and_check_each_others() {
    if !have(&["openssl"]) {
        return;
    }
    let desk = Desk::new();
    for file in KEYS {
        let (file, name) = (fixture(file), file.trim_end_matches(".pem"));
        desk.import(&file, name);
        let ours = desk.sign(name, "raw", &format!("{name}.sig"));
        let theirs = run("openssl", &["dgst", "-sha256", "-sign", &file, &desk.message]);
        assert_eq!(bytes(&ours), theirs, "{name}");
        let public = desk.export(name, &["--public"], &format!("{name}.pub"));
        run("openssl", &["dgst", "-sha256", "-verify", &public, "-signature", &ours, &desk.message]);
        assert!(desk.verify(&ours, &["--by", name]).contains(&format!("good signature by {name} ")));
        desk.verify(&ours, &["--public-key", &public]);
        // The form farthing is a signature of a prefix and a hash, which openssl checks as well.
        let armoured = desk.wallet.json(&[
            "message",
            "sign",
            &desk.message,
            "--account",
            name,
            "--passphrase-file",
            &desk.passphrase,
        ]);
        let lines: Vec<&str> = armoured["signature"].as_str().unwrap().lines().collect();
        let base64 = lines[1..lines.len() - 1].join("\n") + "\n";
        let inner = pipe("openssl", &["base64", "-d"], base64.as_bytes());
        let signature = desk.path("inner.sig");
        fs::write(&signature, &inner[inner.len() - theirs.len()..]).unwrap();
        let hash = run("openssl", &["dgst", "-sha256", "-binary", &desk.message]);
        let signed = [&b"farthing message\0"[..], &hash].concat();
        pipe("openssl", &["dgst", "-sha256", "-verify", &public, "-signature", &signature], &signed);
    }
}

#[test]
fn openssl_opens_what_is_exported_and_its_keys_are_taken() {
    if !have(&["openssl"]) {
        return;
    }
    let desk = Desk::new();
    let made = desk.path("made.pem");
    run("openssl", &["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", &made]);
    let public = run("openssl", &["pkey", "-in", &made, "-pubout"]);
    let secret = format!("file:{}", desk.passphrase);
    for (name, words) in [
        ("plain", &["pkey", "-in", &made][..]),
        ("pkcs1", &["pkey", "-in", &made, "-traditional"]),
        ("legacy", &["pkey", "-in", &made, "-traditional", "-aes128", "-passout", &secret]),
        ("pbkdf2", &["pkcs8", "-topk8", "-in", &made, "-v2", "aes-256-cbc", "-passout", &secret]),
        ("scrypt", &["pkcs8", "-topk8", "-in", &made, "-scrypt", "-passout", &secret]),
    ] {
        let file = desk.wallet.file(name, &String::from_utf8(run("openssl", words)).unwrap());
        desk.import(&file, "a");
        assert_eq!(desk.wallet.ok(&["key", "export", "a", "--public"]).into_bytes(), public, "{name}");
        for (form, words) in [
            ("sealed", &["--format", "pkcs8"][..]),
            ("pkcs8", &["--format", "pkcs8", "--unencrypted", "--confirm-name", "a"]),
            ("pkcs1", &["--format", "pkcs1", "--unencrypted", "--confirm-name", "a"]),
        ] {
            let out = desk.export("a", words, &format!("{name}.{form}"));
            let read = run("openssl", &["pkey", "-in", &out, "-passin", &secret, "-pubout"]);
            assert_eq!(read, public, "{name} {form}");
        }
        desk.wallet.ok(&["key", "remove", "a", "--confirm-name", "a"]);
    }
    // What the old encryption takes in, OpenSSL's own public forms too.
    let der = run("openssl", &["rsa", "-in", &made, "-RSAPublicKey_out"]);
    let file = desk.wallet.file("public", &String::from_utf8(der).unwrap());
    desk.wallet.ok(&["key", "import", &file, "--name", "w", "--watch-only"]);
    assert_eq!(desk.wallet.ok(&["key", "export", "w", "--public"]).into_bytes(), public);
}

#[test]
fn ssh_keygen_opens_what_is_exported_and_its_keys_are_taken() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let desk = Desk::new();
    for (name, secret) in [("plain", ""), ("sealed", "correct horse")] {
        let file = desk.path(name);
        run("ssh-keygen", &["-q", "-t", "rsa", "-b", "3072", "-N", secret, "-C", "me", "-f", &file]);
        desk.import(&file, name);
        let ours = desk.wallet.ok(&["key", "export", name, "--public", "--format", "ssh"]);
        let theirs = fs::read_to_string(format!("{file}.pub")).unwrap();
        let key = |line: &str| line.split_whitespace().take(2).collect::<Vec<_>>().join(" ");
        assert_eq!(key(&ours), key(&theirs));
        let listed = String::from_utf8(run("ssh-keygen", &["-l", "-f", &format!("{file}.pub")])).unwrap();
        let shown = desk.wallet.json(&["key", "show", name]);
        assert_eq!(listed.split_whitespace().nth(1), shown["fingerprint"].as_str());
        for (form, secret, words) in [
            ("sealed", "correct horse", &["--format", "ssh"][..]),
            ("plain", "", &["--format", "ssh", "--unencrypted", "--confirm-name", name]),
        ] {
            let out = desk.export(name, words, &format!("{name}.{form}"));
            let read = String::from_utf8(run("ssh-keygen", &["-y", "-P", secret, "-f", &out])).unwrap();
            assert_eq!(key(&read), key(&theirs), "{name} {form}");
        }
        desk.wallet.ok(&["key", "remove", name, "--confirm-name", name]);
        desk.wallet.ok(&["key", "import", &format!("{file}.pub"), "--name", name, "--watch-only"]);
        assert_eq!(desk.wallet.json(&["key", "show", name])["sha256"], shown["sha256"]);
    }
}

#[test]
fn every_cipher_of_ssh_keygen_is_opened_or_named() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let desk = Desk::new();
    for cipher in ["aes128-cbc", "aes192-ctr", "aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "3des-cbc"] {
        let file = desk.path(cipher);
        let words = ["-q", "-t", "rsa", "-b", "2048", "-Z", cipher, "-N", "correct horse", "-f", &file];
        run("ssh-keygen", &words);
        if cipher == "3des-cbc" {
            let import = ["key", "import", &file, "--name", "x", "--passphrase-file", &desk.passphrase];
            let said = desk.wallet.fails(&import, 2, "KEY_ENCRYPTION");
            assert!(said.contains(cipher) && said.contains("ssh-keygen -p -Z"), "{said}");
        } else {
            desk.import(&file, "a");
            desk.wallet.ok(&["key", "remove", "a", "--confirm-name", "a"]);
        }
    }
}

#[test]
fn ssh_keygen_and_the_wallet_check_each_others_signatures() {
    if !have(&["ssh-keygen"]) {
        return;
    }
    let desk = Desk::new();
    desk.import(&fixture("pkcs8_2048.pem"), "a");
    let line = desk.wallet.ok(&["key", "export", "a", "--public", "--format", "ssh"]);
    let allowed = desk.wallet.file("allowed", &format!("anna@example.org {line}"));
    let ours = desk.sign("a", "sshsig", "ours.sig");
    let verify = ["-Y", "verify", "-f", &allowed, "-I", "anna@example.org", "-n", "file", "-s", &ours];
    pipe("ssh-keygen", &verify, MESSAGE.as_bytes());
    let key = desk.export("a", &["--format", "ssh", "--unencrypted", "--confirm-name", "a"], "id");
    run("ssh-keygen", &["-q", "-Y", "sign", "-f", &key, "-n", "file", &desk.message]);
    let theirs = format!("{}.sig", desk.message);
    assert!(desk.verify(&theirs, &["--by", "a"]).contains("good signature by a "));
    let run = ["message", "verify", &desk.message, "--signature", &theirs, "--namespace", "git"];
    desk.wallet.fails(&run, 9, "SIGNATURE_NAMESPACE");
    let other = desk.wallet.file("other", "I owe you 13 far.\n");
    desk.wallet.fails(&["message", "verify", &other, "--signature", &theirs], 9, "SIGNATURE_BAD");
}

#[test]
fn pythons_rsa_and_the_wallet_exchange_keys_and_signatures() {
    if !have(&["pyrsa-keygen", "pyrsa-sign", "pyrsa-verify", "pyrsa-priv2pub", "python3"]) {
        return;
    }
    let desk = Desk::new();
    let (private, public) = (desk.path("private.pem"), desk.path("public.pem"));
    run("pyrsa-keygen", &["--out", &private, "--pubout", &public, "2048"]);
    desk.import(&private, "a");
    // Public keys: theirs is taken, ours is what they make.
    desk.wallet.ok(&["key", "import", &public, "--name", "w", "--watch-only", "--network", "test"]);
    let shown = |words: &[&str]| desk.wallet.json(words)["sha256"].clone();
    assert_eq!(shown(&["key", "show", "a"]), shown(&["key", "show", "w", "--network", "test"]));
    let ours = desk.export("a", &["--public", "--format", "pkcs1"], "ours.pub");
    assert_eq!(bytes(&ours).trim_ascii(), bytes(&public).trim_ascii());
    // Private keys: they read what we give out.
    let given = desk.export("a", &["--format", "pkcs1", "--unencrypted", "--confirm-name", "a"], "given.pem");
    let theirs = desk.path("theirs.pub");
    run("pyrsa-priv2pub", &["-i", &given, "-o", &theirs]);
    assert_eq!(bytes(&theirs), bytes(&public));
    // Signatures: the same bytes, by the programs and by the library, and each checks the other's.
    let ours = desk.sign("a", "raw", "ours.sig");
    let signed = desk.path("theirs.sig");
    run("pyrsa-sign", &["-i", &desk.message, "-o", &signed, &given, "SHA-256"]);
    assert_eq!(bytes(&ours), bytes(&signed));
    run("pyrsa-verify", &["-i", &desk.message, &public, &ours]);
    assert!(desk.verify(&signed, &["--public-key", &public]).contains("good signature by a "));
    let script = "import rsa, sys
key = rsa.PrivateKey.load_pkcs1(open(sys.argv[1], 'rb').read())
message = open(sys.argv[2], 'rb').read()
assert rsa.verify(message, open(sys.argv[3], 'rb').read(), rsa.PublicKey(key.n, key.e)) == 'SHA-256'
sys.stdout.buffer.write(rsa.sign(message, key, 'SHA-256'))";
    let python = beside("pyrsa-keygen", "python3");
    assert_eq!(run(&python, &["-c", script, &given, &desk.message, &ours]), bytes(&ours));
}

/// The program in the folder of another one, as a virtual environment has them.
fn beside(other: &str, program: &str) -> String {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let folder = folders.iter().find(|folder| folder.join(other).is_file()).unwrap();
    let there = folder.join(program);
    if there.is_file() { there.display().to_string() } else { program.to_owned() }
}
