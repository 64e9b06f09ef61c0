//! Keys in the forms that other programs read.

use farthing::PublicKey;
use rand_core::OsRng;
use rsa::{
    BigUint, RsaPublicKey,
    pkcs1::{EncodeRsaPrivateKey as _, EncodeRsaPublicKey as _},
    pkcs8::DecodePublicKey as _,
    traits::PrivateKeyParts as _,
};
use ssh_key::{
    LineEnding, Mpint,
    private::{KeypairData, RsaKeypair, RsaPrivateKey},
};
use zeroize::Zeroizing;

use super::{
    Seal, pem, pkcs8, public,
    secret::{SecretKey, SecretKeyError},
};
use crate::error::{Exit, Explain};

/// A form that other programs read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// PKCS#8 (openssl, most programs); the public half as SubjectPublicKeyInfo.
    Pkcs8,
    /// PKCS#1 (Python's `rsa`, older programs).
    Pkcs1,
    /// SubjectPublicKeyInfo: the public half only.
    Spki,
    /// OpenSSH.
    Ssh,
}

/// Why a key cannot be given out in that form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExportError {
    /// Nothing that would guard the key.
    #[error("PKCS#1 has no encryption that guards a key: what OpenSSL does there is one round of MD5")]
    WeakEncryption,
    /// Only the public half has that form.
    #[error("SubjectPublicKeyInfo holds the public half only")]
    PublicOnly,
    /// It cannot be encoded.
    #[error(transparent)]
    Key(#[from] SecretKeyError),
}

impl Explain for ExportError {
    fn code(&self) -> &'static str {
        match self {
            Self::WeakEncryption | Self::PublicOnly => "EXPORT_FORMAT",
            Self::Key(error) => error.code(),
        }
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::WeakEncryption => {
                vec!["--format pkcs8 or --format ssh, which are encrypted well".into(), "--unencrypted".into()]
            }
            Self::PublicOnly => vec!["--format spki --public".into(), "--format pkcs8".into()],
            Self::Key(error) => error.tries(),
        }
    }
}

/// A private key as text.
///
/// # Errors
/// [`ExportError`].
pub fn private_text(
    key: &SecretKey,
    format: Format,
    seal: Seal<'_>,
    comment: &str,
) -> Result<Zeroizing<String>, ExportError> {
    match (format, seal) {
        (Format::Pkcs8, Seal::Plain) => Ok(pem::write(pem::PRIVATE, key.to_pkcs8()?.as_bytes())),
        (Format::Pkcs8, Seal::Passphrase(passphrase)) => {
            Ok(pem::write(pem::ENCRYPTED, pkcs8::encrypt(key, passphrase, &mut OsRng)?.as_bytes()))
        }
        (Format::Pkcs1, Seal::Plain) => {
            let der = key.rsa().to_pkcs1_der().map_err(|_| SecretKeyError::Inconsistent)?;
            Ok(pem::write(pem::PKCS1, der.as_bytes()))
        }
        (Format::Pkcs1, Seal::Passphrase(_)) => Err(ExportError::WeakEncryption),
        (Format::Spki, _) => Err(ExportError::PublicOnly),
        (Format::Ssh, seal) => Ok(openssh(key, seal, comment).ok_or(SecretKeyError::Inconsistent)?),
    }
}

fn openssh(key: &SecretKey, seal: Seal<'_>, comment: &str) -> Option<Zeroizing<String>> {
    let number = |number: &BigUint| Mpint::from_positive_bytes(&Zeroizing::new(number.to_bytes_be())).ok();
    let rsa = key.rsa();
    let [p, q] = rsa.primes() else { return None };
    let ssh_key::public::KeyData::Rsa(public) = public::to_ssh(key.public()) else { return None };
    let private =
        RsaPrivateKey { d: number(rsa.d())?, iqmp: number(&rsa.crt_coefficient()?)?, p: number(p)?, q: number(q)? };
    let pair = KeypairData::Rsa(RsaKeypair { public, private });
    let mut key = ssh_key::PrivateKey::new(pair, comment).ok()?;
    if let Seal::Passphrase(passphrase) = seal {
        key = key.encrypt(&mut OsRng, passphrase.as_bytes()).ok()?;
    }
    key.to_openssh(LineEnding::LF).ok()
}

/// A public key as text.
///
/// # Errors
/// [`ExportError::Key`].
pub fn public_text(key: &PublicKey, format: Format, comment: &str) -> Result<String, ExportError> {
    let inconsistent = |_| SecretKeyError::Inconsistent;
    match format {
        Format::Pkcs8 | Format::Spki => Ok(super::public_pem(key)),
        Format::Pkcs1 => {
            let rsa = RsaPublicKey::from_public_key_der(key.as_spki()).map_err(|_| SecretKeyError::Inconsistent)?;
            let der = rsa.to_pkcs1_der().map_err(|_| SecretKeyError::Inconsistent)?;
            Ok(pem::write(pem::PKCS1_PUBLIC, der.as_bytes()).to_string())
        }
        Format::Ssh => {
            let mut text = ssh_key::PublicKey::new(public::to_ssh(key), comment).to_openssh().map_err(inconsistent)?;
            text.push('\n');
            Ok(text)
        }
    }
}
