//! The folder's promises, and that other programs open what it writes.

use std::{
    fs::Permissions,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
};

use super::*;
use crate::error::{Exit, Explain as _};

struct Fixture {
    folder: tempfile::TempDir,
    store: Keystore,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn fixture(plain_allowed: bool) -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = Keystore::new(folder.path().join("keys"), plain_allowed);
    Fixture { folder, store }
}

fn alice() -> SecretKey {
    dev::key(&name("alice")).unwrap()
}

/// A store with alice's key under the passphrase "correct horse".
fn sealed() -> Fixture {
    let fixture = fixture(false);
    fixture.store.create(&name("alice"), &alice(), Seal::Passphrase(&passphrase("correct horse"))).unwrap();
    fixture
}

fn path(fixture: &Fixture) -> PathBuf {
    fixture.folder.path().join("keys/alice.pem")
}

#[test]
fn a_key_is_kept_private_and_opens_with_its_passphrase() {
    let fixture = sealed();
    assert_eq!(fs::metadata(path(&fixture)).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::metadata(fixture.folder.path().join("keys")).unwrap().permissions().mode() & 0o7777, 0o700);
    let key = fixture.store.unlock(&name("alice"), &mut || Ok(passphrase("correct horse"))).unwrap();
    assert_eq!(key.public(), alice().public());
    let error = fixture.store.unlock(&name("alice"), &mut || Ok(passphrase("wrong horse"))).unwrap_err();
    assert_eq!((error.code(), error.exit()), ("WRONG_PASSPHRASE", Exit::WrongPassphrase));
}

#[test]
fn addresses_are_known_without_a_passphrase() {
    let entries = sealed().store.list().unwrap();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].name.as_str(), entries[0].encrypted), ("alice", true));
    assert_eq!(entries[0].public, *alice().public());
}

#[test]
fn a_key_is_never_overwritten() {
    let fixture = sealed();
    let before = fs::read(path(&fixture)).unwrap();
    let other = dev::key(&name("bob")).unwrap();
    let again = fixture.store.create(&name("alice"), &other, Seal::Passphrase(&passphrase("correct horse")));
    assert_eq!(again.unwrap_err().code(), "KEY_NAME_TAKEN");
    let twice = fixture.store.create(&name("ann"), &alice(), Seal::Passphrase(&passphrase("correct horse")));
    assert_eq!(twice.unwrap_err().code(), "KEY_TAKEN");
    assert_eq!(fs::read(path(&fixture)).unwrap(), before);
}

/// What another command may do while this one waits for an answer: `alice` is another key, or none, by then.
#[test]
fn a_key_that_took_the_name_meanwhile_is_neither_replaced_nor_removed() {
    let fixture = sealed();
    let secret = passphrase("correct horse");
    let looked_at = fixture.store.entry(&name("alice")).unwrap();
    fixture.store.rename(&name("alice"), &name("old")).unwrap();
    let gone = fixture.store.reseal(&name("alice"), &alice(), Seal::Passphrase(&secret)).unwrap_err();
    assert_eq!(gone.code(), "KEY_NOT_FOUND");
    let bob = dev::key(&name("bob")).unwrap();
    fixture.store.create(&name("alice"), &bob, Seal::Passphrase(&secret)).unwrap();
    let before = fs::read(path(&fixture)).unwrap();
    let replaced = fixture.store.reseal(&name("alice"), &alice(), Seal::Passphrase(&secret)).unwrap_err();
    assert_eq!(replaced.code(), "KEY_CHANGED");
    assert_eq!(fixture.store.remove(&looked_at).unwrap_err().code(), "KEY_CHANGED");
    assert_eq!(fs::read(path(&fixture)).unwrap(), before);
    fixture.store.remove(&fixture.store.entry(&name("alice")).unwrap()).unwrap();
    assert!(!path(&fixture).exists());
}

#[test]
fn loose_modes_are_refused_with_the_command_that_mends_them() {
    let fixture = sealed();
    fs::set_permissions(path(&fixture), Permissions::from_mode(0o644)).unwrap();
    let error = fixture.store.unlock(&name("alice"), &mut || unreachable!()).unwrap_err();
    assert_eq!((error.code(), error.tries()), ("FILE_MODE", vec![format!("chmod 600 '{}'", path(&fixture).display())]));
    fs::set_permissions(path(&fixture), Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(fixture.folder.path().join("keys"), Permissions::from_mode(0o750)).unwrap();
    assert_eq!(fixture.store.list().unwrap_err().code(), "FILE_MODE");
}

#[test]
fn an_unencrypted_key_is_refused_outside_development() {
    let strict = fixture(false);
    assert_eq!(strict.store.create(&name("alice"), &alice(), Seal::Plain).unwrap_err().code(), "KEY_UNENCRYPTED");
    let loose = fixture(true);
    loose.store.create(&name("alice"), &alice(), Seal::Plain).unwrap();
    loose.store.unlock(&name("alice"), &mut || unreachable!()).unwrap();
    let same_folder = Keystore::new(loose.folder.path().join("keys"), false);
    assert_eq!(same_folder.unlock(&name("alice"), &mut || unreachable!()).unwrap_err().code(), "KEY_UNENCRYPTED");
}

#[test]
fn a_swapped_public_half_is_noticed() {
    let fixture = sealed();
    let text = fs::read_to_string(path(&fixture)).unwrap();
    let cut = text.find("-----BEGIN PUBLIC KEY").unwrap();
    let bob = public_pem(dev::key(&name("bob")).unwrap().public());
    fs::write(path(&fixture), format!("{}{bob}", &text[..cut])).unwrap();
    let error = fixture.store.unlock(&name("alice"), &mut || Ok(passphrase("correct horse"))).unwrap_err();
    assert_eq!(error.code(), "KEY_TAMPERED");
}

#[test]
fn a_key_without_its_public_half_is_to_be_imported() {
    let fixture = sealed();
    let text = fixture.store.export_sealed(&name("alice")).unwrap().unwrap();
    fs::write(path(&fixture), text.as_bytes()).unwrap();
    let error = fixture.store.list().unwrap_err();
    assert_eq!(error.code(), "KEY_UNREADABLE");
    assert!(
        error.tries()[0].ends_with("then: farthing-wallet key import alice.pem --name alice"),
        "{:?}",
        error.tries()
    );
}

#[test]
fn an_unknown_name_lists_the_known_ones() {
    let error = sealed().store.entry(&name("alcie")).unwrap_err();
    assert_eq!(error.code(), "KEY_NOT_FOUND");
    assert_eq!(error.tries()[0], "one of: alice");
    assert_eq!(fixture(false).store.entry(&name("x")).unwrap_err().tries(), ["farthing-wallet key new x"]);
}

#[test]
fn a_strange_file_in_the_folder_is_named_and_a_draft_is_passed_over() {
    let fixture = sealed();
    fs::write(fixture.folder.path().join("keys/.alice.pem.0123.draft"), "").unwrap();
    assert_eq!(fixture.store.list().unwrap().len(), 1);
    fs::write(fixture.folder.path().join("keys/notes.txt"), "").unwrap();
    assert_eq!(fixture.store.list().unwrap_err().code(), "KEY_FILE_NAME");
}

/// Whether the program is there; without it the test has nothing to compare with, which only a machine for checks may
/// not pass over.
fn has(program: &str, argument: &str) -> bool {
    let found = Command::new(program).arg(argument).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} is not installed");
    if !found {
        let text = format!("SKIPPED: {program} is not installed, so there is nothing to compare with\n");
        std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
    }
    found
}

#[test]
fn openssl_opens_the_key_and_finds_the_same_public_half() {
    if !has("openssl", "version") {
        return;
    }
    let fixture = sealed();
    let secret = fixture.folder.path().join("passphrase");
    fs::write(&secret, "correct horse\n").unwrap();
    let output = Command::new("openssl")
        .args(["pkey", "-pubout", "-passin", &format!("file:{}", secret.display()), "-in"])
        .arg(path(&fixture))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), public_pem(alice().public()), "{output:?}");
    let inside = Command::new("openssl").args(["asn1parse", "-in"]).arg(path(&fixture)).output().unwrap();
    let inside = String::from_utf8_lossy(&inside.stdout).into_owned();
    for expected in ["PBES2", "scrypt", ":4000\n", ":08\n", ":05\n", "aes-256-cbc"] {
        assert!(inside.contains(expected), "{expected}: {inside}");
    }
}

#[test]
fn ssh_keygen_opens_the_key_and_what_it_rewrites_is_still_a_key() {
    if !has("ssh-keygen", "-?") {
        return;
    }
    let fixture = sealed();
    let open =
        Command::new("ssh-keygen").args(["-y", "-P", "correct horse", "-f"]).arg(path(&fixture)).output().unwrap();
    assert!(open.status.success() && open.stdout.starts_with(b"ssh-rsa "), "{open:?}");
    let change = Command::new("ssh-keygen")
        .args(["-q", "-p", "-P", "correct horse", "-N", "battery staple", "-f"])
        .arg(path(&fixture))
        .output()
        .unwrap();
    assert!(change.status.success(), "{change:?}");
    let key = read_key(&fs::read(path(&fixture)).unwrap(), &mut || Ok(passphrase("battery staple"))).unwrap();
    assert_eq!(key.public(), alice().public());
    // And it may stay where it is.
    let entry = fixture.store.list().unwrap().remove(0);
    assert_eq!((&entry.public, entry.encrypted), (alice().public(), true));
    let key = fixture.store.unlock(&name("alice"), &mut || Ok(passphrase("battery staple"))).unwrap();
    assert!(fixture.store.export_sealed(&name("alice")).unwrap().is_none());
    fixture.store.reseal(&name("alice"), &key, Seal::Passphrase(&passphrase("correct horse"))).unwrap();
    assert!(fixture.store.export_sealed(&name("alice")).unwrap().is_some());
    assert!(fs::read_to_string(path(&fixture)).unwrap().starts_with("-----BEGIN ENCRYPTED PRIVATE KEY"));
}
