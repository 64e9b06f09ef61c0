//! Signatures of messages that are no transfers, in three forms.
//!
//! `farthing`: of `"farthing message\0"` and the SHA-256 of the message. A transaction's signed message begins otherwise,
//! so that such a signature can never move money. `raw`: of the bytes as they are, as `openssl dgst -sha256 -sign` makes
//! it. `sshsig`: OpenSSH's (PROTOCOL.sshsig), which `ssh-keygen -Y` makes and checks.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use farthing::{
    PublicKey, Signature,
    keys::{KeySize, SignatureError, VerifyingKey},
};
use rsa::{Pkcs1v15Sign, RsaPublicKey, pkcs8::DecodePublicKey as _};
use sha2::{Digest as _, Sha256, Sha512};
use ssh_key::{Algorithm, HashAlg, LineEnding, SshSig};

use crate::{
    armor,
    error::{Exit, Explain},
    keystore::{self, Signer},
};

/// What stands before the message's hash in the form `farthing`.
pub const DOMAIN: &[u8] = b"farthing message\0";
/// What a signed transaction begins with, on every network.
const TRANSACTION: &[u8] = b"farthing transaction\0";
/// How everything begins that the protocol gives a meaning to.
const PROTOCOL: &[u8] = b"farthing ";
/// How everything begins that OpenSSH signs for files.
const SSHSIG: &[u8] = b"SSHSIG";
const SSH_USERAUTH_REQUEST: u8 = 50;
/// Longest message, which is held in memory.
pub const MAX_MESSAGE_BYTES: u64 = 16 << 20;
/// Longest signature file.
pub const MAX_SIGNATURE_BYTES: u64 = 64 * 1024;
const BEGIN: &str = "-----BEGIN FARTHING SIGNATURE-----";
const END: &str = "-----END FARTHING SIGNATURE-----";
const BEGIN_SSH: &str = "-----BEGIN SSH SIGNATURE-----";
/// First byte of the form `farthing`.
const VERSION: u8 = 1;

/// A form of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Farthing's own, which can never be taken for a transfer.
    Farthing,
    /// Of the bytes as they are: what openssl and Python's `rsa` make and check.
    Raw,
    /// OpenSSH's: what ssh-keygen -Y makes and checks.
    Sshsig,
}

impl Format {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Farthing => "farthing",
            Self::Raw => "raw",
            Self::Sshsig => "sshsig",
        }
    }
}

/// Why a message was not signed, or a signature does not hold.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// The bytes are what a transfer signs.
    #[error("these bytes are those of a transfer: a raw signature of them moves money, and is never made here")]
    Transfer,
    /// The bytes mean something to someone.
    #[error("these bytes are {0}; a raw signature of them could be used as one")]
    MeansSomething(&'static str),
    /// Not a signature in any form.
    #[error("the signature cannot be read: {0}")]
    Unreadable(&'static str),
    /// A raw signature says nothing about its key.
    #[error("a raw signature does not say whose it is")]
    KeyNeeded,
    /// For another purpose.
    #[error("the signature is for the purpose {found:?}, expected {expected:?}")]
    Namespace {
        /// What it says.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// The namespace cannot be one.
    #[error("{0:?} is no namespace of SSH signatures")]
    BadNamespace(String),
    /// It is not this key's signature of this message.
    #[error("BAD signature: it is not this key's, or the message was changed")]
    Bad,
    /// By someone else.
    #[error("the signature is good, but by {found}, not by {expected}")]
    OtherSigner {
        /// Who signed.
        found: String,
        /// Who was expected.
        expected: String,
    },
    /// The key is none that Farthing takes.
    #[error("the signature's key cannot be used")]
    Key(#[source] keystore::ImportError),
}

impl Explain for MessageError {
    fn code(&self) -> &'static str {
        match self {
            Self::Transfer | Self::MeansSomething(_) => "MESSAGE_HAS_MEANING",
            Self::Unreadable(_) | Self::Key(_) => "SIGNATURE_UNREADABLE",
            Self::KeyNeeded => "SIGNER_NEEDED",
            Self::Namespace { .. } => "SIGNATURE_NAMESPACE",
            Self::BadNamespace(_) => "USAGE",
            Self::Bad => "SIGNATURE_BAD",
            Self::OtherSigner { .. } => "SIGNER_DIFFERS",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Bad | Self::OtherSigner { .. } | Self::Namespace { .. } => Exit::Verification,
            _ => Exit::Usage,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::Transfer => vec![
                "farthing-wallet tx sign, which shows what the transfer does before it signs".into(),
                "--format farthing, whose signatures can never move money".into(),
            ],
            Self::MeansSomething(_) => vec![
                "--format farthing, whose signatures can never move money".into(),
                "--force, if you made these bytes yourself and know what they do".into(),
            ],
            Self::Unreadable(_) => vec!["the signature file as it was made, and --format if it is a raw one".into()],
            Self::KeyNeeded => vec!["--public-key FILE".into(), "--by NAME, a key of this wallet".into()],
            // A stranger's word, which may hold what moves the cursor.
            Self::Namespace { found, .. } => vec![format!("--namespace {found:?}, if that is what you mean")],
            Self::BadNamespace(_) => vec!["--namespace file, which is what most people use".into()],
            Self::Bad => {
                vec!["the message and the signature again, as they were sent; believe neither until then".into()]
            }
            Self::OtherSigner { .. } => vec!["ask the signer for the address over another channel".into()],
            Self::Key(error) => error.tries(),
        }
    }
}

/// What the form `farthing` signs.
#[must_use]
pub fn farthing_bytes(message: &[u8]) -> Vec<u8> {
    [DOMAIN, Sha256::digest(message).as_slice()].concat()
}

/// Refuses bytes whose bare signature would mean something to someone.
///
/// # Errors
/// [`MessageError::Transfer`] and [`MessageError::MeansSomething`].
pub fn check_harmless(message: &[u8]) -> Result<(), MessageError> {
    if message.starts_with(TRANSACTION) {
        return Err(MessageError::Transfer);
    }
    let meaning = if message.starts_with(DOMAIN) {
        "a message in the form farthing"
    } else if message.starts_with(PROTOCOL) {
        "a message of the Farthing protocol"
    } else if message.starts_with(SSHSIG) {
        "a message in the form sshsig"
    } else if is_ssh_login(message) {
        "a login by SSH with the same key"
    } else {
        return Ok(());
    };
    Err(MessageError::MeansSomething(meaning))
}

/// Whether it is what a client of SSH signs to log in (RFC 4252, section 7): the session's id, a hash, and the number of a
/// request. The key may open other doors than the wallet's.
fn is_ssh_login(message: &[u8]) -> bool {
    let Some((length, rest)) = message.split_first_chunk() else { return false };
    let length = u32::from_be_bytes(*length);
    (20..=64).contains(&length) && rest.get(length as usize) == Some(&SSH_USERAUTH_REQUEST)
}

/// A signature in the form `farthing`: text that carries the key.
#[must_use]
pub fn write_farthing(public: &PublicKey, signature: &Signature) -> String {
    let bytes = [&[VERSION][..], public.as_spki(), signature.as_bytes()].concat();
    let mut text = format!("{BEGIN}\n");
    armor::push_lines(&mut text, &BASE64.encode(bytes));
    text.push_str(END);
    text.push('\n');
    text
}

/// What OpenSSH signs for a message.
///
/// # Errors
/// [`MessageError::BadNamespace`].
pub fn ssh_bytes(message: &[u8], namespace: &str) -> Result<Vec<u8>, MessageError> {
    SshSig::signed_data(namespace, HashAlg::Sha512, message)
        .map_err(|_| MessageError::BadNamespace(namespace.to_owned()))
}

/// A signature in the form `sshsig`: text that carries the key.
///
/// # Errors
/// [`MessageError::BadNamespace`].
pub fn write_ssh(public: &PublicKey, signature: &Signature, namespace: &str) -> Result<String, MessageError> {
    let algorithm = Algorithm::Rsa { hash: Some(HashAlg::Sha256) };
    let text = ssh_key::Signature::new(algorithm, signature.as_bytes())
        .and_then(|signature| SshSig::new(keystore::to_ssh(public), namespace, HashAlg::Sha512, signature))
        .and_then(|signature| signature.to_pem(LineEnding::LF));
    let mut text = text.map_err(|_| MessageError::BadNamespace(namespace.to_owned()))?;
    text.push('\n');
    Ok(text)
}

/// Signs a message in one of the forms; gives the bare signature and the text that carries it. No form gives a signature
/// that a transfer could carry.
///
/// # Errors
/// [`MessageError`], and [`keystore::SignError`].
pub fn sign(
    signer: &dyn Signer,
    message: &[u8],
    format: Format,
    namespace: &str,
) -> crate::error::Result<(Signature, String)> {
    let public = signer.public();
    match format {
        Format::Farthing => {
            let signature = signer.sign_bytes(&farthing_bytes(message))?;
            let text = write_farthing(public, &signature);
            Ok((signature, text))
        }
        Format::Raw if message.starts_with(TRANSACTION) => Err(MessageError::Transfer.into()),
        Format::Raw => {
            let signature = signer.sign_bytes(message)?;
            let text = BASE64.encode(signature.as_bytes());
            Ok((signature, text))
        }
        Format::Sshsig => {
            let signature = signer.sign_bytes(&ssh_bytes(message, namespace)?)?;
            let text = write_ssh(public, &signature, namespace)?;
            Ok((signature, text))
        }
    }
}

/// Which form a signature file has, by its first words.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Format {
    match std::str::from_utf8(bytes).map(str::trim_start) {
        Ok(text) if text.starts_with(BEGIN) => Format::Farthing,
        Ok(text) if text.starts_with(BEGIN_SSH) => Format::Sshsig,
        _ => Format::Raw,
    }
}

/// Checks a signature; gives the key that made it. `public` is needed for raw ones, and must be the key of the others.
///
/// # Errors
/// [`MessageError`].
pub fn verify(
    message: &[u8],
    signature: &[u8],
    format: Format,
    public: Option<&PublicKey>,
    namespace: &str,
) -> Result<PublicKey, MessageError> {
    let found = match format {
        Format::Farthing => {
            let (key, signature) = read_farthing(signature)?;
            check(&key, &farthing_bytes(message), &signature)?;
            key
        }
        Format::Raw => {
            let key = public.ok_or(MessageError::KeyNeeded)?;
            check(key, message, &read_raw(signature)?)?;
            key.clone()
        }
        Format::Sshsig => keystore::guarded(|| verify_ssh(message, signature, namespace))
            .unwrap_or(Err(MessageError::Unreadable("the parser failed on it")))?,
    };
    match public {
        Some(public) if *public != found => Err(MessageError::OtherSigner {
            found: keystore::fingerprint(&found),
            expected: keystore::fingerprint(public),
        }),
        _ => Ok(found),
    }
}

fn read_farthing(text: &[u8]) -> Result<(PublicKey, Signature), MessageError> {
    let text = std::str::from_utf8(text).map_err(|_| MessageError::Unreadable("it is not text"))?.trim();
    let inner = text.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(END));
    let inner = inner.ok_or(MessageError::Unreadable("its first or last line is missing"))?;
    let base64: String = inner.split_ascii_whitespace().collect();
    let bytes = BASE64.decode(base64).map_err(|_| MessageError::Unreadable("it is not base64"))?;
    let (version, rest) = bytes.split_first().ok_or(MessageError::Unreadable("it is empty"))?;
    if *version != VERSION {
        return Err(MessageError::Unreadable("it has a version that this wallet does not know"));
    }
    let size = KeySize::ALL.into_iter().find(|size| size.spki_bytes() + size.bytes() == rest.len());
    let size = size.ok_or(MessageError::Unreadable("it has a length that none has"))?;
    let (spki, signature) = rest.split_at(size.spki_bytes());
    let key = PublicKey::from_spki(spki).map_err(|_| MessageError::Unreadable("its key breaks the key rules"))?;
    let signature = Signature::from_bytes(signature).map_err(|_| MessageError::Bad)?;
    Ok((key, signature))
}

fn read_raw(bytes: &[u8]) -> Result<Signature, MessageError> {
    if let Ok(signature) = Signature::from_bytes(bytes) {
        return Ok(signature);
    }
    let base64: String = std::str::from_utf8(bytes).unwrap_or_default().split_ascii_whitespace().collect();
    let bytes = BASE64.decode(base64).unwrap_or_default();
    let unreadable = |_: SignatureError| {
        MessageError::Unreadable("neither bytes nor base64 of an RSA signature of a length that exists")
    };
    Signature::from_bytes(&bytes).map_err(unreadable)
}

fn check(key: &PublicKey, message: &[u8], signature: &Signature) -> Result<(), MessageError> {
    let verifier = VerifyingKey::new(key).map_err(|_| MessageError::Unreadable("its key is not usable"))?;
    verifier.verify(message, signature).map_err(|_| MessageError::Bad)
}

fn verify_ssh(message: &[u8], text: &[u8], namespace: &str) -> Result<PublicKey, MessageError> {
    // The library wants no blank line behind the last one.
    let unreadable = MessageError::Unreadable("it is not an SSH signature");
    let Ok(signature) = SshSig::from_pem(text.trim_ascii()) else { return Err(unreadable) };
    if signature.namespace() != namespace {
        let (found, expected) = (signature.namespace().to_owned(), namespace.to_owned());
        return Err(MessageError::Namespace { found, expected });
    }
    let key = keystore::from_ssh(signature.public_key()).map_err(MessageError::Key)?;
    let Ok(signed) = SshSig::signed_data(namespace, signature.hash_alg(), message) else { return Err(unreadable) };
    let rsa = RsaPublicKey::from_public_key_der(key.as_spki()).map_err(|_| MessageError::Bad)?;
    let bytes = signature.signature_bytes();
    // OpenSSH takes either for a file; SHA-1 neither there nor here.
    let verified = match signature.signature().algorithm() {
        Algorithm::Rsa { hash: Some(HashAlg::Sha256) } => {
            rsa.verify(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(&signed), bytes)
        }
        Algorithm::Rsa { hash: Some(HashAlg::Sha512) } => {
            rsa.verify(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(&signed), bytes)
        }
        _ => return Err(MessageError::Unreadable("it uses SHA-1 or another key's algorithm")),
    };
    verified.map(|()| key).map_err(|_| MessageError::Bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keystore::{FileSigner, dev};

    fn alice() -> FileSigner {
        FileSigner::new(dev::key(&"alice".parse().unwrap()).unwrap())
    }

    #[test]
    fn what_is_signed_verifies_and_nothing_else_does() {
        let bob = dev::key(&"bob".parse().unwrap()).unwrap();
        for format in [Format::Farthing, Format::Raw, Format::Sshsig] {
            let signer = alice();
            let (_, text) = sign(&signer, b"hello", format, "file").unwrap();
            let check = |message: &[u8], public, namespace| {
                verify(message, text.as_bytes(), format, Some(public), namespace).map_err(|error| error.exit())
            };
            assert_eq!(check(b"hello", signer.public(), "file").as_ref(), Ok(signer.public()), "{format:?}");
            assert_eq!(check(b"hallo", signer.public(), "file"), Err(Exit::Verification), "{format:?}");
            assert_eq!(check(b"hello", bob.public(), "file"), Err(Exit::Verification), "{format:?}");
            let namespace = check(b"hello", signer.public(), "git");
            assert_eq!(namespace.is_err(), format == Format::Sshsig, "{format:?}");
            if format != Format::Raw {
                assert_eq!(recognise(text.as_bytes()), format);
            }
        }
    }

    #[test]
    fn a_message_is_never_a_transaction() {
        let transfer = [TRANSACTION, b"and more"].concat();
        assert!(matches!(check_harmless(&transfer), Err(MessageError::Transfer)));
        let signed = sign(&alice(), &transfer, Format::Raw, "file");
        assert_eq!(signed.unwrap_err().code(), "MESSAGE_HAS_MEANING");
        assert!(!farthing_bytes(b"x").starts_with(TRANSACTION));
        assert!(!ssh_bytes(&transfer, "farthing transaction").unwrap().starts_with(PROTOCOL));
        assert_eq!(farthing_bytes(b"x").len(), DOMAIN.len() + 32);
        for bytes in [DOMAIN, b"farthing checkpoint\0", SSHSIG] {
            assert_eq!(check_harmless(&[bytes, b"and more"].concat()).unwrap_err().code(), "MESSAGE_HAS_MEANING");
        }
        let login = [&[0, 0, 0, 32][..], &[7; 32], &[50], b"\0\0\0\x04anna"].concat();
        assert_eq!(check_harmless(&login).unwrap_err().code(), "MESSAGE_HAS_MEANING");
        check_harmless(&login[..36]).unwrap();
        check_harmless(b"farthings are small coins").unwrap();
        check_harmless(b"").unwrap();
    }

    #[test]
    fn damaged_signatures_are_refused_without_a_panic() {
        let signer = alice();
        for format in [Format::Farthing, Format::Raw, Format::Sshsig] {
            let (_, text) = sign(&signer, b"hello", format, "file").unwrap();
            for at in (0..text.len()).step_by(7) {
                let mut bytes = text.clone().into_bytes();
                bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
                let damaged = verify(b"hello", &bytes, format, Some(signer.public()), "file");
                // The last character before the padding may have bits that mean nothing.
                assert!(damaged.is_err() || bytes.get(at + 1) == Some(&b'='), "{format:?} {at}");
                let cut = verify(b"hello", &text.as_bytes()[..at], format, Some(signer.public()), "file");
                assert!(cut.is_err(), "{format:?} {at}");
            }
        }
    }
}
