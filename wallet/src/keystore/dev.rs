//! The four well-known keys that the development network funds. Everyone has them: they are refused elsewhere.

use farthing::PublicKey;

use crate::name::Name;

use super::{import, secret::SecretKey};

/// Name, key, and the address of the key in hex.
const KEYS: [(&str, &str, &str); 4] = [
    (
        "alice",
        include_str!("../../dev-keys/alice.pem"),
        "6567b63f71ac0add9e50b98c785c6cbecd96c4b1320494b8ed323ef4b1a1f5b2",
    ),
    ("bob", include_str!("../../dev-keys/bob.pem"), "0e8fdb9f827ffb04ac49f1006e3b373e6c673f592a589ee438b871cd4a2fa741"),
    (
        "carol",
        include_str!("../../dev-keys/carol.pem"),
        "c0a0a39ac1df988c8ef1b1ea058804755ce0b566eb9f7ac244c8c71f7518865a",
    ),
    (
        "dave",
        include_str!("../../dev-keys/dave.pem"),
        "106168f1ae386655797a256c53c7d5d710d4ea507083b7cc89618e1a061597e2",
    ),
];

/// The names of the well-known keys.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().map(|(name, _, _)| name)
}

/// The well-known key of that name.
#[must_use]
pub fn key(name: &Name) -> Option<SecretKey> {
    let (_, pem, _) = KEYS.into_iter().find(|(known, _, _)| *known == name.as_str())?;
    let never = &mut || unreachable!("the development keys are not encrypted");
    Some(import::read_key(pem.as_bytes(), never).expect("the development keys are valid"))
}

/// Whether a key is one of the well-known ones.
#[must_use]
pub fn is_well_known(public: &PublicKey) -> bool {
    let address = hex::encode(public.address().as_bytes());
    KEYS.into_iter().any(|(_, _, known)| known == address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_keys_are_the_ones_that_genesis_funds() {
        for (name, _, address) in KEYS {
            let key = key(&name.parse().unwrap()).unwrap();
            assert_eq!(hex::encode(key.public().address().as_bytes()), address, "{name}");
            assert!(is_well_known(key.public()), "{name}");
        }
        assert!(key(&"erin".parse().unwrap()).is_none());
    }
}
