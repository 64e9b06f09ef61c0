//! Messages: signed, and checked by whoever gets them.

use crate::harness::{Wallet, fixture};

/// A wallet with the keys `a` and, watched only, `b`.
fn desk() -> (Wallet, String) {
    let wallet = Wallet::on("main");
    let passphrase = wallet.file("passphrase", "correct horse\n");
    wallet.ok(&["key", "import", &fixture("pkcs8_2048.pem"), "--name", "a", "--passphrase-file", &passphrase]);
    wallet.ok(&["key", "import", &fixture("public_3072.pem"), "--name", "b", "--watch-only"]);
    (wallet, passphrase)
}

fn sign(wallet: &Wallet, passphrase: &str, format: &str) -> String {
    let words = ["message", "sign", "--text", "hello", "--account", "a", "--format", format];
    let text = wallet.ok(&[&words[..], &["--passphrase-file", passphrase]].concat());
    wallet.file(&format!("{format}.sig"), &text)
}

#[test]
fn a_signature_says_whose_it_is() {
    let (wallet, passphrase) = desk();
    let address = wallet.ok(&["address", "a"]).trim().to_owned();
    for format in ["farthing", "raw", "sshsig"] {
        let signature = sign(&wallet, &passphrase, format);
        let verify = ["message", "verify", "--text", "hello", "--signature", &signature, "--by", "a"];
        let found = wallet.json(&verify);
        assert_eq!((&found["valid"], &found["name"], &found["format"]), (&true.into(), &"a".into(), &format.into()));
        assert_eq!(found["address"], address);
        assert!(wallet.ok(&verify).starts_with("good signature by a (far1"));
        let changed = ["message", "verify", "--text", "hallo", "--signature", &signature, "--by", "a"];
        let said = wallet.fails(&changed, 9, "SIGNATURE_BAD");
        assert!(said.contains("BAD signature"), "{said}");
        let other = ["message", "verify", "--text", "hello", "--signature", &signature, "--by", "b"];
        let expected = if format == "raw" { "SIGNATURE_BAD" } else { "SIGNER_DIFFERS" };
        wallet.fails(&other, 9, expected);
    }
    // On a machine that knows neither key nor contact.
    let stranger = Wallet::on("main");
    let signature = wallet.path("farthing.sig").display().to_string();
    let verify = ["message", "verify", "--text", "hello", "--signature", &signature];
    assert!(stranger.ok(&verify).contains(&format!("good signature by {address}, which is neither")));
    stranger.ok(&["contact", "add", "anna", &address]);
    assert!(stranger.ok(&verify).contains("good signature by anna"));
    let raw = wallet.path("raw.sig").display().to_string();
    stranger.fails(&["message", "verify", "--text", "hello", "--signature", &raw, "--by", "anna"], 2, "SIGNER_NEEDED");
    let public = fixture("public_2048.pem");
    let with_key = ["message", "verify", "--text", "hello", "--signature", &raw, "--public-key", &public];
    assert!(stranger.ok(&with_key).contains("good signature by anna"));
    let junk = wallet.file("junk", "junk\n");
    stranger.fails(
        &["message", "verify", "--text", "x", "--signature", &junk, "--public-key", &public],
        2,
        "SIGNATURE_UNREADABLE",
    );
}

#[test]
fn a_bare_signature_that_could_move_money_is_refused() {
    let (wallet, passphrase) = desk();
    let secret = ["--passphrase-file", &passphrase];
    let transfer = wallet.file("transfer", "farthing transaction\0and so on");
    let words = ["message", "sign", &transfer, "--account", "a", "--format", "raw", "--force"];
    let said = wallet.fails(&[&words[..], &secret].concat(), 2, "MESSAGE_HAS_MEANING");
    assert!(said.contains("moves money") && said.contains("tx sign"), "{said}");
    wallet.ok(&[&["message", "sign", &transfer, "--account", "a"][..], &secret].concat());
    for text in ["farthing message\0x", "farthing checkpoint\0x", "SSHSIG\0x"] {
        let file = wallet.file("bytes", text);
        let words = ["message", "sign", &file, "--account", "a", "--format", "raw"];
        let said = wallet.fails(&[&words[..], &secret].concat(), 2, "MESSAGE_HAS_MEANING");
        assert!(said.contains("could be used as one") && said.contains("--force"), "{said}");
        let forced = wallet.run(&[&words[..], &secret, &["--force"]].concat());
        assert_eq!(forced.code, 0, "{}", forced.stderr);
        assert!(forced.stderr.contains("warning"), "{}", forced.stderr);
        // In the other forms the same bytes mean nothing.
        wallet.ok(&[&["message", "sign", &file, "--account", "a"][..], &secret].concat());
    }
    wallet.fails(&["message", "sign", "--text", "x", "--account", "b"], 2, "KEY_NOT_HERE");
    let empty = ["message", "sign", "--text", "x", "--account", "a", "--format", "sshsig", "--namespace", ""];
    wallet.fails(&[&empty[..], &secret].concat(), 2, "USAGE");
}
