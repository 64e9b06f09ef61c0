//! Public keys and signatures. Verification only: nothing here can sign \[R-KEY, R-SIG\].
//!
//! Every rule on a key's encoding is checked by comparing bytes, before any arithmetic.

use std::{fmt, sync::Arc};

use aws_lc_rs::signature::{ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256};

use crate::{Address, hash::sha256};

/// Longest SubjectPublicKeyInfo: that of a 4096-bit key.
pub const MAX_SPKI_BYTES: usize = 550;
/// Longest signature: that of a 4096-bit key.
pub const MAX_SIGNATURE_BYTES: usize = 512;
/// What follows the modulus in the DER: `INTEGER 65537`.
const EXPONENT: &[u8] = &[0x02, 0x03, 0x01, 0x00, 0x01];

/// The three sizes of modulus that exist \[R-KEY-01\].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeySize {
    /// 2048 bits; the default for new keys.
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

impl KeySize {
    /// All sizes, the smallest first.
    pub const ALL: [Self; 3] = [Self::Bits2048, Self::Bits3072, Self::Bits4096];

    /// Length of the modulus in bits.
    #[must_use]
    pub const fn bits(self) -> usize {
        match self {
            Self::Bits2048 => 2048,
            Self::Bits3072 => 3072,
            Self::Bits4096 => 4096,
        }
    }

    /// Length of modulus and signature in bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bits() / 8
    }

    /// What verifying one signature costs, in signature units.
    #[must_use]
    pub const fn signature_units(self) -> u64 {
        match self {
            Self::Bits2048 => 1,
            Self::Bits3072 => 3,
            Self::Bits4096 => 5,
        }
    }

    /// The DER of SubjectPublicKeyInfo up to the modulus (RFC 8017 A.1, RFC 5280 4.1).
    const fn spki_prefix(self) -> [u8; 33] {
        match self {
            Self::Bits2048 => der_prefix(0x01, 0x22, 0x01, 0x0f, 0x01, 0x0a, 0x01, 0x01),
            Self::Bits3072 => der_prefix(0x01, 0xa2, 0x01, 0x8f, 0x01, 0x8a, 0x01, 0x81),
            Self::Bits4096 => der_prefix(0x02, 0x22, 0x02, 0x0f, 0x02, 0x0a, 0x02, 0x01),
        }
    }

    /// Length of the whole SubjectPublicKeyInfo in bytes.
    #[must_use]
    pub const fn spki_bytes(self) -> usize {
        match self {
            Self::Bits2048 => 294,
            Self::Bits3072 => 422,
            Self::Bits4096 => 550,
        }
    }
}

/// The lengths, as two bytes each, of: the whole, the bit string, the key sequence, the modulus.
#[expect(clippy::too_many_arguments, reason = "a table, one row a key size")]
const fn der_prefix(a1: u8, a2: u8, b1: u8, b2: u8, c1: u8, c2: u8, d1: u8, d2: u8) -> [u8; 33] {
    [
        0x30, 0x82, a1, a2, // SubjectPublicKeyInfo
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00, // rsaEncryption
        0x03, 0x82, b1, b2, 0x00, // BIT STRING without unused bits
        0x30, 0x82, c1, c2, // RSAPublicKey
        0x02, 0x82, d1, d2, 0x00, // INTEGER modulus, behind a zero because its top bit is set
    ]
}

/// Why bytes are not a public key of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one of the three lengths \[R-KEY-01\].
    #[error(
        "a key of {0} bytes; expected SubjectPublicKeyInfo of an RSA key of 2048, 3072 or 4096 bits (294, 422 or 550 bytes)"
    )]
    Length(usize),
    /// Another algorithm or another way to write the same key \[R-KEY-02\].
    #[error("not the one DER encoding of an rsaEncryption key of {0} bits")]
    Encoding(usize),
    /// The modulus is shorter than its field says \[R-KEY-03\].
    #[error("the modulus has fewer than {0} bits")]
    ShortModulus(usize),
    /// An even modulus \[R-KEY-04\].
    #[error("the modulus is even")]
    EvenModulus,
    /// A public exponent other than 65537 \[R-KEY-05\].
    #[error("the public exponent is not 65537")]
    Exponent,
    /// The cryptographic library refuses it, so that no signature verifies under it \[R-SIG-03\].
    #[error("the key is not usable")]
    Unusable,
}

impl KeyError {
    /// Id of the rule in SPEC.md.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Length(_) => "R-KEY-01",
            Self::Encoding(_) => "R-KEY-02",
            Self::ShortModulus(_) => "R-KEY-03",
            Self::EvenModulus => "R-KEY-04",
            Self::Exponent => "R-KEY-05",
            Self::Unusable => "R-SIG-03",
        }
    }
}

/// An RSA public key in its one canonical encoding. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    spki: Arc<[u8]>,
    size: KeySize,
}

impl PublicKey {
    /// Reads SubjectPublicKeyInfo in DER, byte by byte.
    ///
    /// # Errors
    /// The first rule broken; see [`KeyError`].
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let size = KeySize::ALL
            .into_iter()
            .find(|size| size.spki_bytes() == spki.len())
            .ok_or(KeyError::Length(spki.len()))?;
        let rest = spki.strip_prefix(size.spki_prefix().as_slice()).ok_or(KeyError::Encoding(size.bits()))?;
        let (modulus, exponent) = rest.split_at_checked(size.bytes()).ok_or(KeyError::Encoding(size.bits()))?;
        if exponent != EXPONENT {
            return Err(KeyError::Exponent);
        }
        if modulus.first().is_none_or(|byte| byte & 0x80 == 0) {
            return Err(KeyError::ShortModulus(size.bits()));
        }
        if modulus.last().is_none_or(|byte| byte & 1 == 0) {
            return Err(KeyError::EvenModulus);
        }
        Ok(Self { spki: spki.into(), size })
    }

    /// SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn as_spki(&self) -> &[u8] {
        &self.spki
    }

    /// Size of the modulus.
    #[must_use]
    pub const fn size(&self) -> KeySize {
        self.size
    }

    /// The account that this key spends from: SHA-256 of the DER \[R-ADR-05\].
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_bytes(sha256(&[&self.spki]))
    }

    /// The modulus, big-endian.
    fn modulus(&self) -> &[u8] {
        let from = self.size.spki_prefix().len();
        self.spki.get(from..from.saturating_add(self.size.bytes())).unwrap_or_default()
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} bits, {})", self.size.bits(), self.address())
    }
}

/// Why bytes are not a signature, or not this sender's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// A length that no key has, or not this key's \[R-SIG-01\].
    #[error("a signature of {found} bytes, expected {expected}")]
    Length {
        /// Bytes found.
        found: usize,
        /// What was expected.
        expected: &'static str,
    },
    /// A number that is not below the modulus \[R-SIG-02\].
    #[error("the signature is not below the key's modulus")]
    OutOfRange,
    /// Not made by this key over this message \[R-SIG-03\].
    #[error("the signature does not match the transaction and its sender's key on this network")]
    Mismatch,
}

impl SignatureError {
    /// Id of the rule in SPEC.md, for a signature held against a key.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::Length { .. } => "R-SIG-01",
            Self::OutOfRange => "R-SIG-02",
            Self::Mismatch => "R-SIG-03",
        }
    }
}

/// A signature of one of the three lengths.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Signature {
    bytes: Arc<[u8]>,
    size: KeySize,
}

impl Signature {
    /// Takes bytes of a possible length.
    ///
    /// # Errors
    /// [`SignatureError::Length`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SignatureError> {
        let size = KeySize::ALL
            .into_iter()
            .find(|size| size.bytes() == bytes.len())
            .ok_or(SignatureError::Length { found: bytes.len(), expected: "256, 384 or 512" })?;
        Ok(Self { bytes: bytes.into(), size })
    }

    /// The signature as it is sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Size of the key that can have made it.
    #[must_use]
    pub const fn size(&self) -> KeySize {
        self.size
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} bytes)", self.bytes.len())
    }
}

/// A public key parsed for use: costs a few microseconds and some kilobytes, so it is worth keeping.
#[derive(Debug, Clone)]
pub struct VerifyingKey {
    key: PublicKey,
    parsed: Arc<ParsedPublicKey>,
}

impl VerifyingKey {
    /// Prepares a key.
    ///
    /// # Errors
    /// [`KeyError::Unusable`] if the library refuses what the rules allow.
    pub fn new(key: &PublicKey) -> Result<Self, KeyError> {
        let parsed =
            ParsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.as_spki()).map_err(|_| KeyError::Unusable)?;
        Ok(Self { key: key.clone(), parsed: Arc::new(parsed) })
    }

    /// The key.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Checks RSASSA-PKCS1-v1_5 with SHA-256 (RFC 8017 8.2.2): the only place where a signature is verified.
    ///
    /// # Errors
    /// The first rule broken; see [`SignatureError`].
    pub fn verify(&self, message: &[u8], signature: &Signature) -> Result<(), SignatureError> {
        if signature.size != self.key.size {
            let expected = match self.key.size {
                KeySize::Bits2048 => "256",
                KeySize::Bits3072 => "384",
                KeySize::Bits4096 => "512",
            };
            return Err(SignatureError::Length { found: signature.bytes.len(), expected });
        }
        if signature.as_bytes() >= self.key.modulus() {
            return Err(SignatureError::OutOfRange);
        }
        self.parsed.verify_sig(message, signature.as_bytes()).map_err(|_| SignatureError::Mismatch)
    }
}
