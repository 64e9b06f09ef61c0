//! The four well-known keys that the development network funds. Everyone has them: they are refused elsewhere.

use farthing::PublicKey;

use crate::name::Name;

use super::{import, secret::SecretKey};

const KEYS: [(&str, &str); 4] = [
    ("alice", include_str!("../../dev-keys/alice.pem")),
    ("bob", include_str!("../../dev-keys/bob.pem")),
    ("carol", include_str!("../../dev-keys/carol.pem")),
    ("dave", include_str!("../../dev-keys/dave.pem")),
];

/// The names of the well-known keys.
pub fn names() -> impl Iterator<Item = &'static str> {
    KEYS.into_iter().map(|(name, _)| name)
}

/// The well-known key of that name.
#[must_use]
pub fn key(name: &Name) -> Option<SecretKey> {
    let (_, pem) = KEYS.into_iter().find(|(known, _)| *known == name.as_str())?;
    let never = &mut || unreachable!("the development keys are not encrypted");
    Some(import::read_key(pem.as_bytes(), never).expect("the development keys are valid"))
}

/// Whether a key is one of the well-known ones.
#[must_use]
pub fn is_well_known(public: &PublicKey) -> bool {
    let key = |name: &str| key(&name.parse().expect("the well-known names are valid"));
    names().filter_map(key).any(|known| known.public() == public)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_well_known_keys_are_the_ones_that_genesis_funds() {
        let addresses: Vec<String> = names()
            .map(|name| hex::encode(key(&name.parse().unwrap()).unwrap().public().address().as_bytes()))
            .collect();
        assert_eq!(
            addresses,
            [
                "6567b63f71ac0add9e50b98c785c6cbecd96c4b1320494b8ed323ef4b1a1f5b2",
                "0e8fdb9f827ffb04ac49f1006e3b373e6c673f592a589ee438b871cd4a2fa741",
                "c0a0a39ac1df988c8ef1b1ea058804755ce0b566eb9f7ac244c8c71f7518865a",
                "106168f1ae386655797a256c53c7d5d710d4ea507083b7cc89618e1a061597e2",
            ]
        );
        assert!(key(&"erin".parse().unwrap()).is_none());
    }
}
