//! Files of `age` under a passphrase (<https://age-encryption.org/v1>): scrypt, ChaCha20-Poly1305 in chunks. Of that
//! format this is all that backups need; tests exchange files with the program `age`.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD as BASE64};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit as _, Nonce, aead::Aead as _};
use hkdf::Hkdf;
use hmac::{Hmac, Mac as _};
use pkcs8::pkcs5::scrypt;
use rand_core::{OsRng, RngCore as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::passphrase::Passphrase;

const VERSION: &str = "age-encryption.org/v1\n";
const STANZA: &str = "-> scrypt ";
const END: &str = "---";
/// What stands before the salt of scrypt.
const LABEL: &[u8] = b"age-encryption.org/v1/scrypt";
const SALT_BYTES: usize = 16;
const FILE_KEY_BYTES: usize = 16;
const NONCE_BYTES: usize = 16;
/// Plain bytes of a chunk; the last one may be shorter.
const CHUNK_BYTES: usize = 64 * 1024;
const TAG_BYTES: usize = 16;
/// The header of a passphrase file is much shorter.
const MAX_HEADER_BYTES: usize = 512;

/// Why a file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AgeError {
    /// Not such a file, or no longer as it was written.
    Damaged(&'static str),
    /// Another passphrase.
    WrongPassphrase,
    /// scrypt with more than the most that is allowed.
    TooCostly(u8),
}

/// Whether a file is one of age's, before anybody is asked for its passphrase.
///
/// # Errors
/// [`AgeError::Damaged`].
pub(crate) fn check(sealed: &[u8]) -> Result<(), AgeError> {
    Header::read(sealed).map(|_| ())
}

/// Encrypts; `work` is log2 of scrypt's N.
pub(crate) fn seal(plain: &[u8], passphrase: &Passphrase, work: u8) -> Vec<u8> {
    let mut random = Zeroizing::new([0; SALT_BYTES + FILE_KEY_BYTES + NONCE_BYTES]);
    OsRng.fill_bytes(random.as_mut_slice());
    let (salt, rest) = random.split_at(SALT_BYTES);
    let (file_key, nonce) = rest.split_at(FILE_KEY_BYTES);
    let wrapped = wrapping(passphrase, salt, work)
        .encrypt(&Nonce::default(), file_key)
        .expect("sixteen bytes are not too long to encrypt");
    let (salt, wrapped) = (BASE64.encode(salt), BASE64.encode(wrapped));
    let header = format!("{VERSION}{STANZA}{salt} {work}\n{wrapped}\n{END}");
    let mut sealed = Vec::with_capacity(MAX_HEADER_BYTES + plain.len() + (plain.len() / CHUNK_BYTES + 1) * TAG_BYTES);
    sealed.extend_from_slice(header.as_bytes());
    let mac = mac(file_key, header.as_bytes()).finalize().into_bytes();
    sealed.extend_from_slice(format!(" {}\n", BASE64.encode(mac)).as_bytes());
    sealed.extend_from_slice(nonce);
    let cipher = payload(file_key, nonce);
    let mut chunks = plain.chunks(CHUNK_BYTES).peekable();
    let mut count = 0;
    loop {
        let chunk = chunks.next().unwrap_or_default();
        let is_last = chunks.peek().is_none();
        let chunk = cipher.encrypt(&chunk_nonce(count, is_last), chunk).expect("a chunk is not too long to encrypt");
        sealed.extend_from_slice(&chunk);
        count += 1;
        if is_last {
            return sealed;
        }
    }
}

/// Decrypts; refuses a file that asks for more work than log2 of N = `max_work`.
pub(crate) fn open(sealed: &[u8], passphrase: &Passphrase, max_work: u8) -> Result<Zeroizing<Vec<u8>>, AgeError> {
    let header = Header::read(sealed)?;
    if header.work > max_work {
        return Err(AgeError::TooCostly(header.work));
    }
    let file_key = wrapping(passphrase, &header.salt, header.work)
        .decrypt(&Nonce::default(), header.wrapped.as_slice())
        .map_err(|_| AgeError::WrongPassphrase)?;
    let file_key = Zeroizing::new(file_key);
    mac(&file_key, header.signed).verify_slice(&header.mac).map_err(|_| AgeError::Damaged("its header was changed"))?;
    let (nonce, mut rest) =
        header.payload.split_at_checked(NONCE_BYTES).ok_or(AgeError::Damaged("it ends too early"))?;
    let cipher = payload(&file_key, nonce);
    let mut plain = Zeroizing::new(Vec::with_capacity(rest.len()));
    let mut count = 0;
    loop {
        let (chunk, next) = rest.split_at(rest.len().min(CHUNK_BYTES + TAG_BYTES));
        let is_last = next.is_empty();
        let chunk = cipher.decrypt(&chunk_nonce(count, is_last), chunk);
        let chunk = Zeroizing::new(chunk.map_err(|_| AgeError::Damaged("it was changed or cut off"))?);
        // Only a file of nothing may end with an empty chunk.
        if chunk.is_empty() && count > 0 {
            return Err(AgeError::Damaged("it ends with an empty chunk"));
        }
        plain.extend_from_slice(&chunk);
        (rest, count) = (next, count + 1);
        if is_last {
            return Ok(plain);
        }
    }
}

/// The parts of a file, before any passphrase is known.
struct Header<'a> {
    salt: Vec<u8>,
    work: u8,
    wrapped: Vec<u8>,
    mac: Vec<u8>,
    /// What the MAC is of.
    signed: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Header<'a> {
    fn read(sealed: &'a [u8]) -> Result<Self, AgeError> {
        let damaged = || AgeError::Damaged("it is not an age file under a passphrase");
        let mut rest = sealed;
        let mut line = || -> Option<&'a str> {
            let end = rest.iter().take(MAX_HEADER_BYTES).position(|byte| *byte == b'\n')?;
            let (line, next) = rest.split_at(end + 1);
            rest = next;
            std::str::from_utf8(line).ok()
        };
        let version = line().ok_or_else(damaged)?;
        let stanza = line().and_then(|line| line.strip_prefix(STANZA)).ok_or_else(damaged)?;
        let wrapped = line().ok_or_else(damaged)?;
        let last = line().and_then(|line| line.strip_prefix(END)).ok_or_else(damaged)?;
        if version != VERSION {
            return Err(damaged());
        }
        let (salt, work) = stanza.trim_end_matches('\n').split_once(' ').ok_or_else(damaged)?;
        let bytes = |text: &str, length: usize| {
            let bytes = BASE64.decode(text.trim_end_matches('\n')).ok();
            bytes.filter(|bytes| bytes.len() == length).ok_or_else(damaged)
        };
        let is_number = !work.starts_with('0') && work.bytes().all(|byte| byte.is_ascii_digit());
        let signed = sealed.len() - rest.len() - last.len();
        Ok(Self {
            salt: bytes(salt, SALT_BYTES)?,
            work: work.parse().ok().filter(|work| is_number && *work < 64).ok_or_else(damaged)?,
            wrapped: bytes(wrapped, FILE_KEY_BYTES + TAG_BYTES)?,
            mac: bytes(last.strip_prefix(' ').ok_or_else(damaged)?, 32)?,
            signed: sealed.get(..signed).ok_or_else(damaged)?,
            payload: rest,
        })
    }
}

/// What the file's key is encrypted with.
fn wrapping(passphrase: &Passphrase, salt: &[u8], work: u8) -> ChaCha20Poly1305 {
    let mut key = Zeroizing::new([0; 32]);
    let cost = scrypt::Params::new(work, 8, 1, 32).expect("a work factor below 64 is within scrypt's ranges");
    scrypt::scrypt(passphrase.as_bytes(), &[LABEL, salt].concat(), &cost, key.as_mut_slice())
        .expect("32 bytes are a length that scrypt gives");
    ChaCha20Poly1305::new(key.as_slice().into())
}

fn derive(file_key: &[u8], salt: Option<&[u8]>, purpose: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    Hkdf::<Sha256>::new(salt, file_key)
        .expand(purpose, key.as_mut_slice())
        .expect("32 bytes are a length that HKDF gives");
    key
}

fn mac(file_key: &[u8], header: &[u8]) -> Hmac<Sha256> {
    let key = derive(file_key, None, b"header");
    <Hmac<Sha256> as hmac::Mac>::new_from_slice(key.as_slice())
        .expect("any length is a key of HMAC")
        .chain_update(header)
}

fn payload(file_key: &[u8], nonce: &[u8]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(derive(file_key, Some(nonce), b"payload").as_slice().into())
}

/// Eleven bytes of counter and one that marks the last chunk.
fn chunk_nonce(count: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; 12];
    nonce[3..11].copy_from_slice(&count.to_be_bytes());
    nonce[11] = u8::from(is_last);
    nonce.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORK: u8 = 4;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(Zeroizing::new(text.to_owned())).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_passphrase_only() {
        for length in [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES] {
            let plain: Vec<u8> = (0..length).map(|at| at as u8).collect();
            let sealed = seal(&plain, &passphrase("correct horse"), WORK);
            assert_eq!(*open(&sealed, &passphrase("correct horse"), WORK).unwrap(), plain, "{length}");
            assert_eq!(open(&sealed, &passphrase("wrong horse"), WORK), Err(AgeError::WrongPassphrase));
            assert_eq!(open(&sealed, &passphrase("correct horse"), WORK - 1), Err(AgeError::TooCostly(WORK)));
        }
    }

    #[test]
    fn whatever_is_changed_or_cut_off_is_noticed() {
        let plain = vec![7; CHUNK_BYTES + 10];
        let sealed = seal(&plain, &passphrase("correct horse"), WORK);
        let header = sealed.len() - plain.len() - 2 * TAG_BYTES;
        for at in (0..header).chain([header, header + CHUNK_BYTES, sealed.len() - 1]) {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            // The work factor is guarded too, but trying a large one would take its time.
            assert!(open(&changed, &passphrase("correct horse"), WORK + 1).is_err(), "{at}");
        }
        for length in (0..header).chain([header + CHUNK_BYTES + TAG_BYTES, sealed.len() - 1]) {
            assert!(open(&sealed[..length], &passphrase("correct horse"), WORK).is_err(), "{length}");
        }
        let longer = [&sealed[..], &[0]].concat();
        assert!(open(&longer, &passphrase("correct horse"), WORK).is_err());
    }

    #[test]
    fn headers_that_the_format_does_not_know_are_refused_before_any_work() {
        let sealed = seal(b"hello", &passphrase("correct horse"), WORK);
        let end = sealed.windows(4).position(|bytes| bytes == b"\n---").unwrap() + 1;
        let header = std::str::from_utf8(&sealed[..end]).unwrap();
        let open =
            |header: &str| open(&[header.as_bytes(), &sealed[end..]].concat(), &passphrase("correct horse"), WORK);
        assert_eq!(*open(header).unwrap(), b"hello");
        let stanza = header.strip_prefix(VERSION).unwrap();
        let (first, body) = stanza.split_once('\n').unwrap();
        let words: Vec<&str> = first.split(' ').collect();
        let [_, _, salt, work] = words[..] else { panic!("{first}") };
        for work in ["", "0", "04", "+4", "-4", "0x4", "4 ", "4 4", "4a", "64", "400"] {
            let changed = header.replace(&format!("{salt} 4\n"), &format!("{salt} {work}\n"));
            assert!(matches!(open(&changed), Err(AgeError::Damaged(_))), "{work:?}");
        }
        assert_eq!(work, "4");
        for changed in [
            header.replace("scrypt", "SCRYPT"),
            header.replace(salt, &salt[1..]),
            header.replace(salt, &format!("{salt}AA")),
            // Bits behind the last byte, which mean nothing.
            header.replace(salt, &format!("{}/", &salt[..salt.len() - 1])),
            header.replace(body, &format!("AAAA{body}")),
            format!("{header}{stanza}"),
            format!("{header}-> X25519 AAAA\nAAAA\n"),
            header.replace("v1", "v2"),
        ] {
            assert!(
                matches!(open(&changed), Err(AgeError::Damaged(reason)) if reason.contains("not an age file")),
                "{changed}"
            );
        }
    }
}
