//! The old encryption inside PEM files (RFC 1423 as OpenSSL does it): `Proc-Type: 4,ENCRYPTED` and `DEK-Info`. Its key
//! comes from one round of MD5, so that it guards badly: such keys are taken over, and never written.

use cbc::cipher::{BlockDecryptMut, KeyIvInit, block_padding::Pkcs7};
use md5::{Digest as _, Md5};
use zeroize::Zeroizing;

use super::pkcs8::UnlockError;
use crate::passphrase::Passphrase;

/// Bytes of the initialisation vector that salt the key derivation.
const SALT_BYTES: usize = 8;
/// Longest key of the ciphers below.
const MAX_KEY_BYTES: usize = 32;

/// Whether the headers say that the data is encrypted.
pub(super) fn is_encrypted(headers: &[String]) -> bool {
    header(headers, "DEK-Info").is_some()
        || header(headers, "Proc-Type").is_some_and(|value| value.contains("ENCRYPTED"))
}

/// Decrypts the data behind these headers; what comes out may be nonsense, if the passphrase is wrong.
pub(super) fn decrypt(
    headers: &[String],
    data: &[u8],
    passphrase: &Passphrase,
) -> Result<Zeroizing<Vec<u8>>, UnlockError> {
    let info = header(headers, "DEK-Info").ok_or_else(|| UnlockError::Damaged("DEK-Info is missing".into()))?;
    let (cipher, iv) = info.split_once(',').unwrap_or((info, ""));
    let iv = hex::decode(iv.trim()).map_err(|error| UnlockError::Damaged(format!("DEK-Info: {error}")))?;
    let salt = iv.get(..SALT_BYTES).ok_or_else(|| UnlockError::Damaged("DEK-Info: a short vector".into()))?;
    let key = derive(passphrase, salt);
    match cipher.trim().to_ascii_uppercase().as_str() {
        "AES-256-CBC" => run::<cbc::Decryptor<aes::Aes256>>(&key[..32], &iv, data),
        "AES-192-CBC" => run::<cbc::Decryptor<aes::Aes192>>(&key[..24], &iv, data),
        "AES-128-CBC" => run::<cbc::Decryptor<aes::Aes128>>(&key[..16], &iv, data),
        "DES-EDE3-CBC" => run::<cbc::Decryptor<des::TdesEde3>>(&key[..24], &iv, data),
        other => Err(UnlockError::Unsupported(other.chars().filter(char::is_ascii_graphic).take(40).collect())),
    }
}

fn header<'a>(headers: &'a [String], name: &str) -> Option<&'a str> {
    headers.iter().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(passphrase: &Passphrase, salt: &[u8]) -> Zeroizing<[u8; MAX_KEY_BYTES]> {
    let mut key = Zeroizing::new([0; MAX_KEY_BYTES]);
    let mut before: &[u8] = &[];
    let mut rest = key.as_mut_slice();
    while !rest.is_empty() {
        let digest = Md5::new().chain_update(before).chain_update(passphrase.as_bytes()).chain_update(salt).finalize();
        let (here, next) = rest.split_at_mut(digest.len());
        here.copy_from_slice(&digest);
        (before, rest) = (here, next);
    }
    key
}

fn run<C: BlockDecryptMut + KeyIvInit>(key: &[u8], iv: &[u8], data: &[u8]) -> Result<Zeroizing<Vec<u8>>, UnlockError> {
    let cipher = C::new_from_slices(key, iv)
        .map_err(|_| UnlockError::Damaged("DEK-Info: a vector of the wrong length".into()))?;
    let mut plain = Zeroizing::new(data.to_vec());
    let length = cipher.decrypt_padded_mut::<Pkcs7>(&mut plain).map_err(|_| UnlockError::WrongPassphrase)?.len();
    plain.truncate(length);
    Ok(plain)
}
