//! Every form that people have their keys in, every kind that must be refused, and damaged files.

use farthing::PublicKey;
use pkcs8::der::Encode as _;
use rand_core::{OsRng, RngCore as _};

use super::*;
use crate::keystore::{ExportError, Format, Seal, private_text, public, public_text, read_public};

fn fixture(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/fixtures/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn public(name: &str) -> PublicKey {
    PublicKey::from_spki(&pem::blocks(&fixture(name)).unwrap()[0].der).unwrap()
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
}

fn import(name: &str) -> Result<SecretKey, ImportError> {
    read_key(&fixture(name), &mut || Ok(passphrase("correct horse")))
}

#[test]
fn every_usual_form_gives_the_same_key() {
    let expected = public("public_2048");
    for name in [
        "pkcs1_2048",
        "pkcs1_2048_legacy",
        "pkcs1_2048_legacy_des3",
        "pkcs8_2048",
        "pkcs8_2048_pbkdf2",
        "pkcs8_2048_scrypt",
        "openssh_2048",
        "openssh_2048_encrypted",
    ] {
        assert_eq!(import(name).unwrap().public(), &expected, "{name}");
    }
}

#[test]
fn a_python_key_with_primes_of_unequal_length_is_read() {
    assert_eq!(import("python_2048").unwrap().public(), &public("public_python_2048"));
}

#[test]
fn larger_sizes_are_read() {
    assert_eq!(import("pkcs8_3072").unwrap().public(), &public("public_3072"));
    assert_eq!(import("pkcs8_4096").unwrap().public(), &public("public_4096"));
}

#[test]
fn a_passphrase_is_asked_for_only_when_needed() {
    let mut never = || panic!("asked for a passphrase");
    read_key(&fixture("pkcs1_2048"), &mut never).unwrap();
    read_key(&fixture("openssh_2048"), &mut never).unwrap();
}

#[test]
fn a_wrong_passphrase_is_told_from_a_damaged_file() {
    for name in [
        "pkcs1_2048_legacy",
        "pkcs1_2048_legacy_des3",
        "pkcs8_2048_pbkdf2",
        "pkcs8_2048_scrypt",
        "openssh_2048_encrypted",
    ] {
        let error = read_key(&fixture(name), &mut || Ok(passphrase("incorrect horse"))).unwrap_err();
        assert_eq!((error.code(), error.exit()), ("WRONG_PASSPHRASE", Exit::WrongPassphrase), "{name}");
    }
}

#[test]
fn keys_that_break_the_rules_are_refused_with_the_reason() {
    for (name, code, words) in [
        ("refused_1024", "KEY_UNUSABLE", "1024 bits"),
        ("refused_2056", "KEY_UNUSABLE", "2056 bits"),
        ("refused_e3", "KEY_UNUSABLE", "exponent is not 65537"),
        ("refused_three_primes", "KEY_UNUSABLE", "more than two primes"),
        ("refused_ed25519", "KEY_NOT_RSA", "Ed25519"),
        ("refused_openssh_ed25519", "KEY_NOT_RSA", "ssh-ed25519"),
        ("refused_ec", "KEY_NOT_RSA", "EC PRIVATE KEY"),
        ("refused_close_primes", "KEY_UNUSABLE", "easy to factor"),
        ("public_2048", "KEY_UNREADABLE", "PUBLIC KEY"),
    ] {
        let error = import(name).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
    }
}

#[test]
fn every_usual_form_of_a_public_key_is_read() {
    let expected = public("public_2048");
    for name in ["public_2048", "public_pkcs1_2048", "public_openssh_2048"] {
        assert_eq!(read_public(&fixture(name)).unwrap(), expected, "{name}");
    }
}

#[test]
fn public_keys_that_break_the_rules_are_refused_with_the_reason() {
    let ed25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIDbN5VYOGZ8MhSs0dTLmyrKXwvhRcKMgdjS1uMY9AzF me\n";
    for (bytes, code, words) in [
        (ed25519.as_bytes().to_vec(), "KEY_NOT_RSA", "ssh-ed25519"),
        (b"ssh-rsa AAAA me".to_vec(), "KEY_UNREADABLE", "damaged"),
        (b"ssh-rsa ? me".to_vec(), "KEY_UNREADABLE", "damaged"),
        (fixture("pkcs8_2048"), "KEY_UNREADABLE", "expected a public key"),
        (b"hello".to_vec(), "KEY_UNREADABLE", "holds no key"),
    ] {
        let error = read_public(&bytes).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
    let with = |modulus: &[u8], exponent: &[u8]| public::from_numbers(modulus, exponent).unwrap_err().to_string();
    assert!(with(&[0xff; 128], &[1, 0, 1]).contains("1024 bits"));
    assert!(with(&[0xff; 256], &[3]).contains("exponent"));
    assert!(with(&[0xfe; 256], &[1, 0, 1]).contains("rule of the protocol"));
}

#[test]
fn what_the_old_encryption_needs_is_checked_before_it_is_used() {
    let block = |headers: &str| {
        let text = format!("-----BEGIN RSA PRIVATE KEY-----\n{headers}\n\nAAAA\n-----END RSA PRIVATE KEY-----\n");
        read_key(text.as_bytes(), &mut || Ok(passphrase("correct horse"))).unwrap_err()
    };
    for (headers, code) in [
        ("Proc-Type: 4,ENCRYPTED", "KEY_ENCRYPTION"),
        ("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC", "KEY_ENCRYPTION"),
        ("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0011223344556677", "KEY_ENCRYPTION"),
        ("Proc-Type: 4,ENCRYPTED\nDEK-Info: RC2-CBC,0011223344556677", "KEY_ENCRYPTION"),
        ("Proc-Type: 4,ENCRYPTED\nDEK-Info: DES-EDE3-CBC,0011223344556677", "WRONG_PASSPHRASE"),
    ] {
        assert_eq!(block(headers).code(), code, "{headers}");
    }
}

#[test]
fn what_is_exported_is_read_again_in_every_form() {
    let key = import("pkcs8_2048").unwrap();
    let secret = passphrase("correct horse");
    for (format, seal, start) in [
        (Format::Pkcs8, Seal::Plain, "-----BEGIN PRIVATE"),
        (Format::Pkcs8, Seal::Passphrase(&secret), "-----BEGIN ENCRYPTED"),
        (Format::Pkcs1, Seal::Plain, "-----BEGIN RSA PRIVATE"),
        (Format::Ssh, Seal::Plain, "-----BEGIN OPENSSH"),
        (Format::Ssh, Seal::Passphrase(&secret), "-----BEGIN OPENSSH"),
    ] {
        let text = private_text(&key, format, seal, "me").unwrap();
        assert!(text.starts_with(start), "{text:?}");
        let is_plain = matches!(seal, Seal::Plain);
        let mut ask = || if is_plain { panic!("asked") } else { Ok(passphrase("correct horse")) };
        assert_eq!(read_key(text.as_bytes(), &mut ask).unwrap().public(), key.public(), "{format:?}");
    }
    for (format, file) in [
        (Format::Pkcs8, "public_2048"),
        (Format::Spki, "public_2048"),
        (Format::Pkcs1, "public_pkcs1_2048"),
        (Format::Ssh, "public_openssh_2048"),
    ] {
        let expected = String::from_utf8(fixture(file)).unwrap();
        let text = public_text(key.public(), format, "").unwrap();
        assert_eq!(text.trim_end(), expected.trim_end(), "{format:?}");
    }
    let refused = |format, seal| private_text(&key, format, seal, "").unwrap_err();
    assert_eq!(refused(Format::Pkcs1, Seal::Passphrase(&secret)), ExportError::WeakEncryption);
    assert_eq!(refused(Format::Spki, Seal::Plain), ExportError::PublicOnly);
}

#[test]
fn what_a_key_has_beside_its_primes_is_worked_out_anew() {
    let original = pem::blocks(&fixture("pkcs1_2048")).unwrap().remove(0);
    let whole = pkcs1::RsaPrivateKey::try_from(original.der.as_slice()).unwrap();
    let seven = pkcs1::UintRef::new(&[7]).unwrap();
    for changed in [
        pkcs1::RsaPrivateKey { exponent1: seven, ..whole.clone() },
        pkcs1::RsaPrivateKey { exponent2: seven, ..whole.clone() },
        pkcs1::RsaPrivateKey { coefficient: seven, ..whole.clone() },
    ] {
        let text = pem::write(pem::PKCS1, &changed.to_der().unwrap());
        let key = read_key(text.as_bytes(), &mut || unreachable!()).unwrap();
        let again = private_text(&key, Format::Pkcs1, Seal::Plain, "").unwrap();
        assert_eq!(pem::blocks(again.as_bytes()).unwrap()[0].der, original.der);
    }
    for exponent in [&[1][..], &[2], &[3], &[1, 0, 0], &[1, 0, 3], &[1, 0, 1, 0, 1]] {
        let public_exponent = pkcs1::UintRef::new(exponent).unwrap();
        let text = pem::write(pem::PKCS1, &pkcs1::RsaPrivateKey { public_exponent, ..whole.clone() }.to_der().unwrap());
        let error = read_key(text.as_bytes(), &mut || unreachable!()).unwrap_err();
        assert!(matches!(error, ImportError::Rules(SecretKeyError::Exponent)), "{exponent:?}: {error}");
    }
}

#[test]
fn a_file_with_two_private_keys_is_ambiguous() {
    let both = [fixture("pkcs1_2048"), fixture("pkcs8_3072")].concat();
    let error = read_key(&both, &mut || unreachable!()).unwrap_err();
    assert!(matches!(error, ImportError::SeveralKeys(2)), "{error}");
}

/// SplitMix64: enough to scatter damage, and the same after the same seed.
struct SmallRandom(u64);

impl SmallRandom {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 32) as u32
    }
}

/// A small fuzz run with every test; whatever comes out, it must be an answer and not a panic, and a key only if its
/// public half is the original one.
#[test]
fn damaged_files_are_refused_without_a_panic() {
    let expected = public("public_2048");
    // Another damage in every run; FARTHING_SEED repeats one.
    let given = std::env::var("FARTHING_SEED").ok().map(|text| text.parse().expect("FARTHING_SEED is a number"));
    let seed = given.unwrap_or_else(|| OsRng.next_u64());
    let again = format!("FARTHING_SEED={seed} repeats this");
    let mut random = SmallRandom(seed);
    for name in ["pkcs1_2048", "pkcs8_2048", "openssh_2048"] {
        let original = pem::blocks(&fixture(name)).unwrap().remove(0);
        for _ in 0..300 {
            let mut der = original.der.to_vec();
            let at = random.next() as usize % der.len();
            match random.next() % 3 {
                0 => der[at] ^= 1 << (random.next() % 8),
                1 => der.truncate(at),
                _ => der[at] = random.next() as u8,
            }
            let text = pem::write(&original.label, &der);
            let file = KeyFile::parse(text.as_bytes()).expect(&again);
            match file.open_with(None) {
                Ok(key) => assert_eq!(key.public(), &expected, "{again}"),
                Err(ImportError::Parser) => panic!("a parser panicked on {name}; {again}"),
                Err(_) => {}
            }
        }
    }
}
