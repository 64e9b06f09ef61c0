//! A private key that satisfies the protocol's key rules, and nothing else.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use farthing::{
    PublicKey, Signature,
    keys::{KeyError, KeySize},
};
use rand_core::{CryptoRngCore, OsRng};
use rsa::{
    BigUint, Pkcs1v15Sign, RsaPrivateKey,
    pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, SecretDocument},
    traits::PublicKeyParts as _,
};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::weakness::is_roca;
use crate::error::{Exit, Explain};

/// How many first bits two primes of the same length may not share (FIPS 186-5, A.1.3).
const CLOSE_BITS: usize = 100;

/// The only public exponent.
pub(super) const EXPONENT: u32 = 65_537;

/// An RSA key of 2048, 3072 or 4096 bits with e = 65537 and two primes, which was seen to sign. Its numbers are wiped
/// when it is dropped.
pub struct SecretKey {
    key: RsaPrivateKey,
    public: PublicKey,
}

/// Why a key is not usable on any Farthing network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretKeyError {
    /// Another size.
    #[error("the key has {0} bits; Farthing takes RSA keys of 2048, 3072 or 4096 bits")]
    Size(usize),
    /// Another exponent.
    #[error("the key's public exponent is not 65537")]
    Exponent,
    /// More than two primes.
    #[error("the key has more than two primes")]
    MultiPrime,
    /// A prime so short that the key is easily factored.
    #[error("the key's shorter prime has only {bits} bits, at least {expected} are expected")]
    ShortPrime {
        /// Its length.
        bits: usize,
        /// The least length.
        expected: usize,
    },
    /// Two primes so near each other that the key is easily factored (Fermat).
    #[error("the key's primes agree in their first {0} bits and more, which makes it easy to factor")]
    ClosePrimes(usize),
    /// Made by chips that left most of each prime to be guessed.
    #[error("the key was made by a chip whose keys can be factored (ROCA, CVE-2017-15361)")]
    Roca,
    /// Its numbers do not belong together.
    #[error("the key is damaged: its numbers do not belong together")]
    Inconsistent,
    /// The protocol refuses its public half.
    #[error("the key's public half breaks a rule of the protocol")]
    Public(#[source] KeyError),
    /// The library could not sign with it.
    #[error("the key does not sign")]
    DoesNotSign,
}

impl Explain for SecretKeyError {
    fn code(&self) -> &'static str {
        "KEY_UNUSABLE"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["farthing-wallet key new NAME, which makes a key that fits".into()]
    }
}

/// The numbers of a key as they stand in a file: big-endian, leading zeros allowed.
pub(super) struct Components<'a> {
    pub(super) modulus: &'a [u8],
    pub(super) public_exponent: &'a [u8],
    pub(super) private_exponent: &'a [u8],
    pub(super) primes: [&'a [u8]; 2],
}

impl SecretKey {
    /// Makes a new key.
    ///
    /// # Errors
    /// [`SecretKeyError`] if the library makes a key that breaks the rules, which it never should.
    pub fn generate(size: KeySize, random: &mut impl CryptoRngCore) -> Result<Self, SecretKeyError> {
        let key = RsaPrivateKey::new(random, size.bits()).map_err(|_| SecretKeyError::Inconsistent)?;
        Self::from_rsa(key)
    }

    /// Builds a key from numbers that a stranger may have chosen: lengths are checked before any arithmetic, and a
    /// panic in the library counts as a damaged key.
    pub(super) fn from_components(parts: &Components<'_>) -> Result<Self, SecretKeyError> {
        let bits = bit_length(parts.modulus);
        let size = KeySize::ALL.into_iter().find(|size| size.bits() == bits).ok_or(SecretKeyError::Size(bits))?;
        if strip(parts.public_exponent) != &EXPONENT.to_be_bytes()[1..] {
            return Err(SecretKeyError::Exponent);
        }
        let [p, q] = parts.primes;
        let shorter = bit_length(p).min(bit_length(q));
        // Python's `rsa` splits 2048 bits into 1088 and 960; nobody goes much further.
        let expected = size.bits() * 3 / 8;
        if shorter < expected {
            return Err(SecretKeyError::ShortPrime { bits: shorter, expected });
        }
        if bit_length(parts.private_exponent) > bits || bit_length(p) + bit_length(q) > bits + 1 || strip(p) == strip(q)
        {
            return Err(SecretKeyError::Inconsistent);
        }
        let number = BigUint::from_bytes_be;
        let build = || {
            let key = RsaPrivateKey::from_components(
                number(parts.modulus),
                number(parts.public_exponent),
                number(parts.private_exponent),
                vec![number(p), number(q)],
            )
            .map_err(|_| SecretKeyError::Inconsistent)?;
            let (p, q) = (Zeroizing::new(number(p)), Zeroizing::new(number(q)));
            let apart = Zeroizing::new(if *p > *q { &*p - &*q } else { &*q - &*p });
            if apart.bits() + CLOSE_BITS <= size.bits() / 2 {
                return Err(SecretKeyError::ClosePrimes(CLOSE_BITS));
            }
            Self::from_rsa(key)
        };
        catch_unwind(AssertUnwindSafe(build)).unwrap_or(Err(SecretKeyError::Inconsistent))
    }

    fn from_rsa(key: RsaPrivateKey) -> Result<Self, SecretKeyError> {
        if *key.e() != BigUint::from(EXPONENT) {
            return Err(SecretKeyError::Exponent);
        }
        if is_roca(&key.n().to_bytes_be()) {
            return Err(SecretKeyError::Roca);
        }
        let spki = key.to_public_key().to_public_key_der().map_err(|_| SecretKeyError::Inconsistent)?;
        let public = PublicKey::from_spki(spki.as_bytes()).map_err(SecretKeyError::Public)?;
        let secret = Self { key, public };
        // The library does not test its primes; a trial signature, which it checks itself, stands in for that.
        secret.sign(b"farthing key check", &mut OsRng)?;
        Ok(secret)
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Signs with RSASSA-PKCS1-v1_5 and SHA-256, blinded against timing, and checked before it is given away, so that
    /// a fault in the arithmetic cannot betray the key.
    ///
    /// # Errors
    /// [`SecretKeyError::DoesNotSign`].
    pub fn sign(&self, message: &[u8], random: &mut impl CryptoRngCore) -> Result<Signature, SecretKeyError> {
        let digest = Sha256::digest(message);
        let bytes = self
            .key
            .sign_with_rng(random, Pkcs1v15Sign::new::<Sha256>(), &digest)
            .map_err(|_| SecretKeyError::DoesNotSign)?;
        let public = self.key.to_public_key();
        public.verify(Pkcs1v15Sign::new::<Sha256>(), &digest, &bytes).map_err(|_| SecretKeyError::DoesNotSign)?;
        Signature::from_bytes(&bytes).map_err(|_| SecretKeyError::DoesNotSign)
    }

    /// The library's key, for other encodings.
    pub(super) const fn rsa(&self) -> &RsaPrivateKey {
        &self.key
    }

    /// PKCS#8 in DER, not encrypted; wiped when dropped.
    pub(super) fn to_pkcs8(&self) -> Result<SecretDocument, SecretKeyError> {
        self.key.to_pkcs8_der().map_err(|_| SecretKeyError::Inconsistent)
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKey({:?})", self.public)
    }
}

pub(super) fn strip(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

pub(super) fn bit_length(number: &[u8]) -> usize {
    let number = strip(number);
    number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize)
}

#[cfg(test)]
mod tests {
    use farthing::keys::VerifyingKey;
    use rsa::traits::PrivateKeyParts as _;

    use super::*;
    use crate::keystore::dev;

    #[test]
    fn a_new_key_signs_what_the_protocol_verifies() {
        let key = SecretKey::generate(KeySize::Bits2048, &mut OsRng).unwrap();
        let signature = key.sign(b"message", &mut OsRng).unwrap();
        let verifier = VerifyingKey::new(key.public()).unwrap();
        verifier.verify(b"message", &signature).unwrap();
        verifier.verify(b"massage", &signature).unwrap_err();
    }

    #[test]
    fn signatures_are_deterministic_although_blinded() {
        let key = dev::key(&"alice".parse().unwrap()).unwrap();
        assert_eq!(key.sign(b"m", &mut OsRng).unwrap(), key.sign(b"m", &mut OsRng).unwrap());
    }

    #[test]
    fn numbers_that_do_not_belong_together_are_refused() {
        let key = dev::key(&"alice".parse().unwrap()).unwrap().key.clone();
        let other = dev::key(&"bob".parse().unwrap()).unwrap().key.clone();
        let bytes = |number: &BigUint| number.to_bytes_be();
        let (n, e, d) = (bytes(key.n()), bytes(key.e()), bytes(key.d()));
        let (p, q, foreign) = (bytes(&key.primes()[0]), bytes(&key.primes()[1]), bytes(&other.primes()[0]));
        let build = |n: &[u8], e: &[u8], d: &[u8], p: &[u8], q: &[u8]| {
            let parts = Components { modulus: n, public_exponent: e, private_exponent: d, primes: [p, q] };
            SecretKey::from_components(&parts).map(|key| key.public().clone())
        };
        assert!(build(&n, &e, &d, &p, &q).is_ok());
        assert!(build(&n, &[&[0, 0][..], &e].concat(), &d, &q, &p).is_ok());
        assert_eq!(build(&n, &[3], &d, &p, &q), Err(SecretKeyError::Exponent));
        assert_eq!(build(&n, &[], &d, &p, &q), Err(SecretKeyError::Exponent));
        assert_eq!(build(&n, &e, &d, &p, &p), Err(SecretKeyError::Inconsistent));
        assert_eq!(build(&n, &e, &d, &p, &foreign), Err(SecretKeyError::Inconsistent));
        assert_eq!(build(&n, &e, &foreign, &p, &q), Err(SecretKeyError::Inconsistent));
        assert_eq!(build(&n[1..], &e, &d, &p, &q), Err(SecretKeyError::Size(bit_length(&n[1..]))));
        assert_eq!(build(&[], &e, &d, &p, &q), Err(SecretKeyError::Size(0)));
        let short = Err(SecretKeyError::ShortPrime { bits: 2, expected: 768 });
        assert_eq!(build(&n, &e, &d, &[3], &n), short);
    }

    #[test]
    fn a_key_does_not_show_its_secret() {
        let key = dev::key(&"alice".parse().unwrap()).unwrap();
        let shown = format!("{key:?}");
        assert!(shown.len() < 130, "{shown}");
    }
}
