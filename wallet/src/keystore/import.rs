//! Reads private keys that other programs wrote: PKCS#1 (OpenSSL, Python's `rsa`) and PKCS#8, plain and
//! encrypted, and OpenSSH.
//!
//! The input is untrusted: lengths and passphrase settings are checked before work is done, and a panic in a parser
//! counts as a damaged file.

use std::panic::{AssertUnwindSafe, catch_unwind};

use farthing::PublicKey;
use pkcs8::PrivateKeyInfo;
use rsa::pkcs1;
use ssh_key::private::KeypairData;
use zeroize::Zeroizing;

use super::{
    legacy,
    pem::{self, Block, PemError},
    pkcs8::{self as sealed, UnlockError},
    public::from_ssh,
    secret::{Components, SecretKey, SecretKeyError},
};
use crate::{
    error::{Exit, Explain},
    passphrase::{Passphrase, PassphraseError},
};

/// Longest key file: a 4096-bit key takes 3.3 KB, and text may stand around it.
pub const MAX_KEY_FILE_BYTES: u64 = 64 * 1024;
/// Most rounds of bcrypt in an OpenSSH key; `ssh-keygen` defaults to 24, and 100 are often advised.
const MAX_BCRYPT_ROUNDS: u32 = 2_000;

/// Why a file is not taken as a private key.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// Not PEM.
    #[error("the file holds no key")]
    Pem(#[source] PemError),
    /// PEM, but of something else.
    #[error("the file holds {0:?}, expected a private key")]
    NotAPrivateKey(String),
    /// PEM, but no public key.
    #[error("the file holds {0:?}, expected a public key")]
    NotAPublicKey(String),
    /// More than one private key.
    #[error("the file holds {0} private keys, expected one")]
    SeveralKeys(usize),
    /// A key, but not RSA.
    #[error("the key is not an RSA key but {0}")]
    NotRsa(String),
    /// The inside is not what the label says.
    #[error("the {label:?} in the file is damaged: {reason}")]
    Damaged {
        /// Which block.
        label: String,
        /// What the parser said.
        reason: String,
    },
    /// The parser gave up in an unexpected way.
    #[error("the file could not be read as a key: the parser failed on it")]
    Parser,
    /// It does not open.
    #[error(transparent)]
    Unlock(#[from] UnlockError),
    /// It breaks the key rules.
    #[error(transparent)]
    Rules(#[from] SecretKeyError),
    /// It is encrypted and there is no passphrase.
    #[error(transparent)]
    Passphrase(#[from] PassphraseError),
}

impl Explain for ImportError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unlock(UnlockError::WrongPassphrase) => "WRONG_PASSPHRASE",
            Self::Unlock(_) => "KEY_ENCRYPTION",
            Self::Rules(error) => error.code(),
            Self::Passphrase(error) => error.code(),
            Self::NotRsa(_) => "KEY_NOT_RSA",
            _ => "KEY_UNREADABLE",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Unlock(UnlockError::WrongPassphrase) => Exit::WrongPassphrase,
            Self::Passphrase(error) => error.exit(),
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Unlock(UnlockError::WrongPassphrase) => {
                vec![
                    "the passphrase again; if it is surely right, another copy of the file: damage looks the same"
                        .into(),
                ]
            }
            Self::Unlock(UnlockError::Unsupported(_)) => {
                vec![
                    "openssl pkcs8 -topk8 -v2 aes-256-cbc -in OLD.pem -out NEW.pem, then import NEW.pem".into(),
                    "ssh-keygen -p -Z aes256-ctr -f FILE, if it is an OpenSSH key".into(),
                ]
            }
            Self::Rules(error) => error.tries(),
            Self::Passphrase(error) => error.tries(),
            Self::NotRsa(_) => vec!["farthing-wallet key new NAME, which makes an RSA key".into()],
            Self::NotAPrivateKey(label) if label.ends_with("PUBLIC KEY") => {
                vec![
                    "the file with the private key".into(),
                    "--watch-only, to watch the account without spending".into(),
                ]
            }
            Self::Pem(_) | Self::NotAPrivateKey(_) => {
                vec!["the file with the private key, in PEM (-----BEGIN ... PRIVATE KEY-----)".into()]
            }
            Self::NotAPublicKey(_) => {
                vec!["openssl pkey -in KEY.pem -pubout -out PUBLIC.pem, or the line of an OpenSSH .pub file".into()]
            }
            Self::SeveralKeys(_) => vec!["one key a file: copy the blocks apart".into()],
            Self::Damaged { .. } | Self::Parser | Self::Unlock(UnlockError::Damaged(_)) => {
                vec![
                    "another copy of the file".into(),
                    "openssl pkey -noout -in FILE, which says whether it reads it".into(),
                ]
            }
            Self::Unlock(UnlockError::TooCostly(_)) => {
                vec![
                    "openssl pkcs8 -topk8 -scrypt -in OLD.pem -out NEW.pem, then import NEW.pem".into(),
                    "ssh-keygen -p -a 100 -f FILE, if it is an OpenSSH key".into(),
                ]
            }
        }
    }
}

/// What a key file holds, before any passphrase is known.
pub(super) struct KeyFile {
    /// The private key's block.
    pub(super) private: Block,
    /// SubjectPublicKeyInfo, when the file carries it beside the private key.
    pub(super) public: Option<Vec<u8>>,
}

impl KeyFile {
    /// Finds the private key in a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ImportError> {
        let (mut private, others): (Vec<_>, Vec<_>) = pem::blocks(bytes)
            .map_err(ImportError::Pem)?
            .into_iter()
            .partition(|block| block.label.ends_with("PRIVATE KEY"));
        let public = others.iter().find(|block| block.label == pem::PUBLIC).map(|block| block.der.to_vec());
        match (private.pop(), private.len()) {
            (Some(block), 0) => Ok(Self { private: block, public }),
            (None, _) => Err(ImportError::NotAPrivateKey(others.first().map_or_else(String::new, |b| b.label.clone()))),
            (Some(_), others) => Err(ImportError::SeveralKeys(others + 1)),
        }
    }

    /// The public half inside the private key, where OpenSSH has it for all to read.
    pub(super) fn public_inside(&self) -> Option<PublicKey> {
        if self.private.label != pem::OPENSSH {
            return None;
        }
        let read = || from_ssh(ssh_key::PrivateKey::from_bytes(&self.private.der).ok()?.public_key().key_data()).ok();
        guarded(read).flatten()
    }

    /// Whether opening it takes a passphrase.
    pub(super) fn is_encrypted(&self) -> bool {
        match self.private.label.as_str() {
            pem::ENCRYPTED => true,
            pem::PKCS1 => legacy::is_encrypted(&self.private.headers),
            pem::OPENSSH => guarded(|| ssh_key::PrivateKey::from_bytes(&self.private.der).ok())
                .flatten()
                .is_some_and(|key| key.is_encrypted()),
            _ => false,
        }
    }

    /// Opens it; asks for a passphrase only if one is needed.
    pub(super) fn open(
        &self,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<SecretKey, ImportError> {
        let passphrase = if self.is_encrypted() { Some(ask()?) } else { None };
        guarded(|| self.open_with(passphrase.as_ref())).unwrap_or(Err(ImportError::Parser))
    }

    fn open_with(&self, passphrase: Option<&Passphrase>) -> Result<SecretKey, ImportError> {
        let der = &self.private.der;
        match (self.private.label.as_str(), passphrase) {
            (pem::PRIVATE, _) => self.read_pkcs8(der),
            (pem::ENCRYPTED, Some(passphrase)) => {
                let plain = sealed::decrypt(der, passphrase)?;
                self.read_pkcs8(plain.as_bytes())
            }
            (pem::PKCS1, Some(passphrase)) => {
                let plain = legacy::decrypt(&self.private.headers, der, passphrase)?;
                // A wrong passphrase may pass the padding; what comes out then is not a key.
                pkcs1::RsaPrivateKey::try_from(plain.as_slice()).map_err(|_| UnlockError::WrongPassphrase)?;
                self.read_pkcs1(&plain)
            }
            (pem::PKCS1, None) => self.read_pkcs1(der),
            (pem::OPENSSH, _) => self.read_openssh(passphrase),
            (label, _) => Err(ImportError::NotRsa(label.to_owned())),
        }
    }

    fn read_pkcs8(&self, der: &[u8]) -> Result<SecretKey, ImportError> {
        let info = PrivateKeyInfo::try_from(der).map_err(|error| self.damaged(&error))?;
        if info.algorithm.oid != pkcs1::ALGORITHM_OID {
            let name = other_algorithm(&info.algorithm.oid.to_string());
            return Err(ImportError::NotRsa(name));
        }
        self.read_pkcs1(info.private_key)
    }

    fn read_pkcs1(&self, der: &[u8]) -> Result<SecretKey, ImportError> {
        // The version tells a key of several primes, which the parser refuses without saying why.
        if der.get(..7).is_some_and(|start| start[0] == 0x30 && start[1] == 0x82 && start[4..] == [0x02, 0x01, 0x01]) {
            return Err(SecretKeyError::MultiPrime.into());
        }
        let key = pkcs1::RsaPrivateKey::try_from(der).map_err(|error| self.damaged(&error))?;
        Ok(SecretKey::from_components(&Components {
            modulus: key.modulus.as_bytes(),
            public_exponent: key.public_exponent.as_bytes(),
            private_exponent: key.private_exponent.as_bytes(),
            primes: [key.prime1.as_bytes(), key.prime2.as_bytes()],
        })?)
    }

    fn read_openssh(&self, passphrase: Option<&Passphrase>) -> Result<SecretKey, ImportError> {
        let mut key = ssh_key::PrivateKey::from_bytes(&self.private.der).map_err(|error| self.damaged(&error))?;
        if let (Some(passphrase), true) = (passphrase, key.is_encrypted()) {
            if let ssh_key::Kdf::Bcrypt { rounds, .. } = key.kdf()
                && *rounds > MAX_BCRYPT_ROUNDS
            {
                return Err(UnlockError::TooCostly(format!("{rounds} rounds of bcrypt")).into());
            }
            if key.cipher() == ssh_key::Cipher::TDesCbc {
                return Err(UnlockError::Unsupported(key.cipher().to_string()).into());
            }
            key = key.decrypt(passphrase.as_bytes()).map_err(|_| UnlockError::WrongPassphrase)?;
        }
        let KeypairData::Rsa(pair) = key.key_data() else {
            return Err(ImportError::NotRsa(format!("one of algorithm {:?}", key.algorithm().as_str())));
        };
        let number = |mpint: &ssh_key::Mpint| {
            let bytes = mpint.as_positive_bytes().map(|bytes| Zeroizing::new(bytes.to_vec()));
            bytes.ok_or_else(|| self.damaged(&"a negative number"))
        };
        // Not through the library's own conversion, which (in 0.6.7) takes the first prime twice.
        let (n, e) = (number(&pair.public.n)?, number(&pair.public.e)?);
        let (d, p, q) = (number(&pair.private.d)?, number(&pair.private.p)?, number(&pair.private.q)?);
        Ok(SecretKey::from_components(&Components {
            modulus: &n,
            public_exponent: &e,
            private_exponent: &d,
            primes: [&p, &q],
        })?)
    }

    fn damaged(&self, reason: &dyn ToString) -> ImportError {
        ImportError::Damaged { label: self.private.label.clone(), reason: reason.to_string() }
    }
}

/// What a key of another algorithm is, by the algorithm's object identifier.
pub(super) fn other_algorithm(oid: &str) -> String {
    match oid {
        "1.3.101.112" => "an Ed25519 key".to_owned(),
        "1.2.840.10045.2.1" => "an elliptic-curve key".to_owned(),
        "1.2.840.113549.1.1.10" => "a key for RSA-PSS only".to_owned(),
        oid => format!("one of algorithm {oid}"),
    }
}

pub(crate) fn guarded<T>(parse: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(parse)).ok()
}

/// Reads the one private key in a file; asks for a passphrase only if one is needed.
///
/// # Errors
/// [`ImportError`].
pub fn read_key(
    bytes: &[u8],
    ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
) -> Result<SecretKey, ImportError> {
    KeyFile::parse(bytes)?.open(ask)
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
