//! Public keys as other programs write them: SubjectPublicKeyInfo (openssl), PKCS#1 (Python's `rsa`), `ssh-rsa` lines.

use farthing::{PublicKey, keys::KeySize};
use rsa::{
    BigUint, RsaPublicKey, pkcs1,
    pkcs8::{DecodePublicKey as _, EncodePublicKey as _, spki::SubjectPublicKeyInfoRef},
    traits::PublicKeyParts as _,
};
use ssh_key::public::KeyData;
use zeroize::Zeroizing;

use super::{
    import::{ImportError, guarded, other_algorithm},
    pem,
    secret::{EXPONENT, SecretKeyError, bit_length, strip},
    weakness::is_roca,
};

/// Reads the one public key in a file: PEM or a line of OpenSSH.
///
/// # Errors
/// [`ImportError`].
pub fn read_public(bytes: &[u8]) -> Result<PublicKey, ImportError> {
    guarded(|| read(bytes)).unwrap_or(Err(ImportError::Parser))
}

fn read(bytes: &[u8]) -> Result<PublicKey, ImportError> {
    if let Some(line) = openssh_line(bytes) {
        let key = ssh_key::PublicKey::from_openssh(line).map_err(|error| damaged("ssh public key", &error))?;
        return from_ssh(key.key_data());
    }
    let blocks = pem::blocks(bytes).map_err(ImportError::Pem)?;
    let block = blocks.iter().find(|block| matches!(block.label.as_str(), pem::PUBLIC | pem::PKCS1_PUBLIC));
    match block {
        Some(block) if block.label == pem::PUBLIC => from_spki(&block.der),
        Some(block) => from_pkcs1(&block.der),
        None => Err(ImportError::NotAPublicKey(blocks.first().map_or_else(String::new, |block| block.label.clone()))),
    }
}

/// The SubjectPublicKeyInfo of a file that holds nothing else.
pub(super) fn only(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut blocks = pem::blocks(bytes).ok()?;
    let block = blocks.pop()?;
    (blocks.is_empty() && block.label == pem::PUBLIC).then_some(block.der)
}

fn openssh_line(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let line = lines.next()?;
    let known = ["ssh-", "ecdsa-", "sk-"].iter().any(|start| line.starts_with(start));
    (known && lines.next().is_none()).then_some(line)
}

fn from_spki(der: &[u8]) -> Result<PublicKey, ImportError> {
    let info = SubjectPublicKeyInfoRef::try_from(der).map_err(|error| damaged(pem::PUBLIC, &error))?;
    if info.algorithm.oid != pkcs1::ALGORITHM_OID {
        return Err(ImportError::NotRsa(other_algorithm(&info.algorithm.oid.to_string())));
    }
    from_pkcs1(info.subject_public_key.raw_bytes())
}

fn from_pkcs1(der: &[u8]) -> Result<PublicKey, ImportError> {
    let key = pkcs1::RsaPublicKey::try_from(der).map_err(|error| damaged(pem::PKCS1_PUBLIC, &error))?;
    Ok(from_numbers(key.modulus.as_bytes(), key.public_exponent.as_bytes())?)
}

/// The key inside an OpenSSH public key.
pub(crate) fn from_ssh(key: &KeyData) -> Result<PublicKey, ImportError> {
    let KeyData::Rsa(key) = key else {
        return Err(ImportError::NotRsa(format!("one of algorithm {:?}", key.algorithm().as_str())));
    };
    let number = |mpint: &ssh_key::Mpint| mpint.as_positive_bytes().map(<[u8]>::to_vec);
    let (n, e) = (number(&key.n).unwrap_or_default(), number(&key.e).unwrap_or_default());
    Ok(from_numbers(&n, &e)?)
}

/// A key of these numbers, big-endian; the rules on size and exponent come before any arithmetic.
pub(super) fn from_numbers(modulus: &[u8], exponent: &[u8]) -> Result<PublicKey, SecretKeyError> {
    let bits = bit_length(modulus);
    if KeySize::ALL.into_iter().all(|size| size.bits() != bits) {
        return Err(SecretKeyError::Size(bits));
    }
    if strip(exponent) != &EXPONENT.to_be_bytes()[1..] {
        return Err(SecretKeyError::Exponent);
    }
    if is_roca(modulus) {
        return Err(SecretKeyError::Roca);
    }
    // What the library would check, the protocol's rules check below, and say which of them is broken.
    let key = RsaPublicKey::new_unchecked(BigUint::from_bytes_be(modulus), EXPONENT.into());
    let spki = key.to_public_key_der().map_err(|_| SecretKeyError::Inconsistent)?;
    PublicKey::from_spki(spki.as_bytes()).map_err(SecretKeyError::Public)
}

/// The key as OpenSSH knows it.
pub(crate) fn to_ssh(public: &PublicKey) -> KeyData {
    let key = RsaPublicKey::from_public_key_der(public.as_spki()).expect("a key that satisfies the key rules");
    let number = |number: &BigUint| {
        ssh_key::Mpint::from_positive_bytes(&number.to_bytes_be()).expect("a number of at most 4096 bits")
    };
    KeyData::Rsa(ssh_key::public::RsaPublicKey { e: number(key.e()), n: number(key.n()) })
}

/// The fingerprint that `ssh-keygen -l` and `ssh-add -l` show.
#[must_use]
pub fn fingerprint(public: &PublicKey) -> String {
    to_ssh(public).fingerprint(ssh_key::HashAlg::Sha256).to_string()
}

fn damaged(label: &str, reason: &dyn ToString) -> ImportError {
    ImportError::Damaged { label: label.to_owned(), reason: reason.to_string() }
}
