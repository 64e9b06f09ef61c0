//! Encrypted PKCS#8 as `openssl` and `ssh-keygen` open it: PBES2, AES-256-CBC, scrypt N=16384 r=8 p=5.

use pkcs8::{
    EncryptedPrivateKeyInfo, PrivateKeyInfo, SecretDocument,
    pkcs5::{
        EncryptionScheme,
        pbes2::{Kdf, Parameters},
        scrypt,
    },
};
use rand_core::CryptoRngCore;

use super::secret::{SecretKey, SecretKeyError};
use crate::passphrase::Passphrase;

/// log2 of scrypt's N; with r = 8 it needs 16 MiB. OpenSSL refuses more than 32 MiB.
const SCRYPT_LOG_N: u8 = 14;
const SCRYPT_R: u32 = 8;
const SCRYPT_P: u32 = 5;

/// What a foreign file may make us spend: 512 MiB, or a hundred times the usual number of rounds.
const MAX_SCRYPT_BYTES: u64 = 512 << 20;
const MAX_SCRYPT_BESIDE: u64 = 64 << 20;
const MAX_SCRYPT_WORK: u64 = 4 << 30;
const MAX_PBKDF2_ROUNDS: u32 = 20_000_000;

/// Why an encrypted key does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnlockError {
    /// The passphrase is wrong (or the data damaged, which looks the same).
    #[error("the passphrase does not open the key")]
    WrongPassphrase,
    /// Not the structure that it should be.
    #[error("the encrypted key is damaged: {0}")]
    Damaged(String),
    /// Another cipher or key derivation.
    #[error("the key is encrypted in a way that is not supported: {0}")]
    Unsupported(String),
    /// Key derivation that would take unreasonably long or much memory.
    #[error("the key's passphrase settings would cost too much: {0}")]
    TooCostly(String),
}

/// Encrypts a key under a passphrase.
pub(super) fn encrypt(
    key: &SecretKey,
    passphrase: &Passphrase,
    random: &mut impl CryptoRngCore,
) -> Result<SecretDocument, SecretKeyError> {
    let mut salt = [0_u8; 16];
    let mut iv = [0_u8; 16];
    random.fill_bytes(&mut salt);
    random.fill_bytes(&mut iv);
    let cost = scrypt::Params::new(SCRYPT_LOG_N, SCRYPT_R, SCRYPT_P, 32).expect("constants within scrypt's ranges");
    let parameters = Parameters::scrypt_aes256cbc(cost, &salt, &iv).expect("constants within scrypt's ranges");
    let plain = key.to_pkcs8()?;
    let info = PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| SecretKeyError::Inconsistent)?;
    info.encrypt_with_params(parameters, passphrase.as_bytes()).map_err(|_| SecretKeyError::Inconsistent)
}

/// Decrypts to PKCS#8 in DER.
pub(super) fn decrypt(der: &[u8], passphrase: &Passphrase) -> Result<SecretDocument, UnlockError> {
    let info = parse(der)?;
    let plain = info.decrypt(passphrase.as_bytes()).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(pkcs8::pkcs5::Error::UnsupportedAlgorithm { oid }) => {
            UnlockError::Unsupported(oid.to_string())
        }
        pkcs8::Error::EncryptedPrivateKey(error @ pkcs8::pkcs5::Error::AlgorithmParametersInvalid { .. }) => {
            UnlockError::Damaged(error.to_string())
        }
        _ => UnlockError::WrongPassphrase,
    })?;
    // One wrong passphrase in 256 passes the padding; what comes out then is not a key.
    PrivateKeyInfo::try_from(plain.as_bytes()).map_err(|_| UnlockError::WrongPassphrase)?;
    Ok(plain)
}

/// Checks the outside of an encrypted key, without a passphrase.
pub(super) fn parse(der: &[u8]) -> Result<EncryptedPrivateKeyInfo<'_>, UnlockError> {
    let info = EncryptedPrivateKeyInfo::try_from(der).map_err(|error| match error {
        pkcs8::Error::EncryptedPrivateKey(error) => UnlockError::Unsupported(error.to_string()),
        other => UnlockError::Damaged(other.to_string()),
    })?;
    let EncryptionScheme::Pbes2(parameters) = &info.encryption_algorithm else {
        return Err(UnlockError::Unsupported("PBES1".into()));
    };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > MAX_PBKDF2_ROUNDS => {
            Err(UnlockError::TooCostly(format!("{} rounds of PBKDF2", kdf.iteration_count)))
        }
        Kdf::Scrypt(kdf) => {
            let (n, r, p) = (kdf.cost_parameter, u64::from(kdf.block_size), u64::from(kdf.parallelization));
            let memory = n.saturating_mul(r).saturating_mul(128);
            // The library panics on N = 0.
            if n < 2 || !n.is_power_of_two() || r == 0 || p == 0 {
                return Err(UnlockError::Damaged(format!("scrypt with N={n} r={r} p={p}")));
            }
            // Beside the table of N blocks there is one of p.
            let beside = p.saturating_mul(r).saturating_mul(128);
            let work = memory.saturating_mul(p);
            if memory > MAX_SCRYPT_BYTES || beside > MAX_SCRYPT_BESIDE || work > MAX_SCRYPT_WORK {
                return Err(UnlockError::TooCostly(format!("scrypt with N={n} r={r} p={p}")));
            }
            Ok(info)
        }
        _ => Ok(info),
    }
}

#[cfg(test)]
mod tests {
    use pkcs8::der::Encode as _;
    use rand_core::OsRng;
    use zeroize::Zeroizing;

    use super::*;
    use crate::keystore::dev;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn a_key_opens_with_its_passphrase_only() {
        let key = dev::key(&"alice".parse().unwrap()).unwrap();
        let sealed = encrypt(&key, &passphrase("correct horse"), &mut OsRng).unwrap();
        let opened = decrypt(sealed.as_bytes(), &passphrase("correct horse")).unwrap();
        assert_eq!(opened.as_bytes(), key.to_pkcs8().unwrap().as_bytes());
        let error = decrypt(sealed.as_bytes(), &passphrase("correct house")).err();
        assert_eq!(error, Some(UnlockError::WrongPassphrase));
    }

    #[test]
    fn the_same_key_is_never_encrypted_the_same_way_twice() {
        let key = dev::key(&"alice".parse().unwrap()).unwrap();
        let seal = || encrypt(&key, &passphrase("correct horse"), &mut OsRng).unwrap();
        assert_ne!(seal().as_bytes(), seal().as_bytes());
    }

    #[test]
    fn settings_that_would_exhaust_the_machine_are_refused_before_they_run() {
        for (n, r, p) in
            [(0, 8, 1), (3, 8, 1), (1 << 40, 8, 1), (1 << 14, 60_000, 1), (1 << 14, 8, 60_000), (2, 60_000, 200)]
        {
            let kdf = Kdf::Scrypt(pkcs8::pkcs5::pbes2::ScryptParams {
                salt: &[1; 16],
                cost_parameter: n,
                block_size: r,
                parallelization: p,
                key_length: None,
            });
            let encryption = pkcs8::pkcs5::pbes2::EncryptionScheme::Aes256Cbc { iv: &[2; 16] };
            let info = EncryptedPrivateKeyInfo {
                encryption_algorithm: Parameters { kdf, encryption }.into(),
                encrypted_data: &[0; 32],
            };
            let der = info.to_der().unwrap();
            let error = parse(&der).err().unwrap();
            assert!(matches!(error, UnlockError::TooCostly(_) | UnlockError::Damaged(_)), "{n} {r} {p}: {error}");
        }
    }
}
