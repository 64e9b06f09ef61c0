//! Every form that people have their keys in, every kind that must be refused, and damaged files.

use farthing::PublicKey;
use rand_core::{OsRng, RngCore as _};

use super::*;

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
    for name in
        ["pkcs1_2048", "pkcs8_2048", "pkcs8_2048_pbkdf2", "pkcs8_2048_scrypt", "openssh_2048", "openssh_2048_encrypted"]
    {
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
    for name in ["pkcs8_2048_pbkdf2", "pkcs8_2048_scrypt", "openssh_2048_encrypted"] {
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
        ("refused_legacy_encrypted", "KEY_ENCRYPTION", "Proc-Type"),
        ("public_2048", "KEY_UNREADABLE", "PUBLIC KEY"),
    ] {
        let error = import(name).unwrap_err();
        assert_eq!(error.code(), code, "{name}: {error}");
        assert!(error.to_string().contains(words), "{name}: {error}");
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
