//! `message sign` and `message verify`.

use std::{
    fmt,
    path::{Path, PathBuf},
};

use farthing::{Address, PublicKey};
use serde::Serialize;
use zeroize::Zeroizing;

use crate::{
    context::Context,
    disk,
    error::Result,
    keystore::{self, MAX_KEY_FILE_BYTES},
    message::{self, Format, MAX_MESSAGE_BYTES, MAX_SIGNATURE_BYTES, MessageError},
    name::Name,
};

#[derive(Serialize)]
struct Signed {
    format: &'static str,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<PathBuf>,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.signature.as_deref().unwrap_or_default())
    }
}

#[derive(Serialize)]
struct Verified {
    valid: bool,
    format: &'static str,
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<Name>,
    fingerprint: String,
}

impl fmt::Display for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "good signature by {name} ({})", self.address),
            None => {
                write!(f, "good signature by {}, which is neither a contact nor a key of this wallet", self.address)
            }
        }
    }
}

/// What to sign, and how.
#[derive(Debug)]
pub struct Sign<'a> {
    /// The file with the message.
    pub file: Option<&'a Path>,
    /// Or the message.
    pub text: Option<&'a str>,
    /// The form.
    pub format: Format,
    /// What for, in the form sshsig.
    pub namespace: &'a str,
    /// To this new file instead of stdout.
    pub out: Option<&'a Path>,
    /// Raw bytes that mean something, too.
    pub force: bool,
}

/// Signs a message with the chosen account's key.
///
/// # Errors
/// [`MessageError`], and those of the key.
pub fn sign(context: &mut Context, request: &Sign<'_>) -> Result<()> {
    let entry = context.own_key()?;
    let bytes = read(request.file, request.text)?;
    if request.format == Format::Raw {
        match message::check_harmless(&bytes) {
            Err(error) if !request.force || matches!(error, MessageError::Transfer) => return Err(error.into()),
            Err(error) => context.output.warn(error),
            Ok(()) => {}
        }
    }
    let signer = context.unlock(&entry.name)?;
    let (signature, text) = message::sign(signer.as_ref(), &bytes, request.format, request.namespace)?;
    let address = context.wallet.show(&signer.public().address());
    let mut signed = Signed { format: request.format.word(), address, signature: None, file: None };
    match request.out {
        Some(path) => {
            let bytes = if request.format == Format::Raw { signature.as_bytes() } else { text.as_bytes() };
            disk::create_private(path, bytes)?;
            context.output.note(format_args!("wrote {}", path.display()));
            signed.file = Some(path.to_owned());
        }
        None => signed.signature = Some(text),
    }
    Ok(context.output.data(&signed)?)
}

/// What to check.
#[derive(Debug)]
pub struct Verify<'a> {
    /// The file with the message.
    pub file: Option<&'a Path>,
    /// Or the message.
    pub text: Option<&'a str>,
    /// The file with the signature.
    pub signature: &'a Path,
    /// The form, if it is not to be found out.
    pub format: Option<Format>,
    /// What for, in the form sshsig.
    pub namespace: &'a str,
    /// Who must have signed.
    pub by: Option<&'a str>,
    /// The public key that must have signed.
    pub public_key: Option<&'a Path>,
}

/// Checks a signature and says whose it is.
///
/// # Errors
/// [`MessageError`], above all when the signature is bad; a signer that is not known.
pub fn verify(context: &mut Context, request: &Verify<'_>) -> Result<()> {
    let (expected, public) = expected(context, request)?;
    let signature = disk::read_any(request.signature, MAX_SIGNATURE_BYTES)?;
    let bytes = read(request.file, request.text)?;
    let format = request.format.unwrap_or_else(|| message::recognise(&signature));
    let found = message::verify(&bytes, &signature, format, public.as_ref(), request.namespace)?;
    let address = found.address();
    if let Some(expected) = expected.filter(|expected| *expected != address) {
        let (found, expected) = (context.wallet.show(&address), context.wallet.show(&expected));
        return Err(MessageError::OtherSigner { found, expected }.into());
    }
    let verified = Verified {
        valid: true,
        format: format.word(),
        address: context.wallet.show(&address),
        name: context.wallet.name_of(&address)?,
        fingerprint: keystore::fingerprint(&found),
    };
    Ok(context.output.data(&verified)?)
}

/// Whose signature it must be, and the key if it is known.
fn expected(context: &Context, request: &Verify<'_>) -> Result<(Option<Address>, Option<PublicKey>)> {
    let public = match request.public_key {
        Some(file) => {
            let bytes = disk::read_any(file, MAX_KEY_FILE_BYTES)?;
            Some(keystore::read_public(&bytes)?)
        }
        None => None,
    };
    let address = request.by.map(|who| context.wallet.find(who)).transpose()?;
    let own = |address: &Address| -> Result<Option<PublicKey>> {
        let mut entries = context.wallet.keys().list()?.into_iter();
        Ok(entries.find(|entry| entry.public.address() == *address).map(|entry| entry.public))
    };
    // A name or an address alone is checked afterwards, so that the complaint can name both.
    let public = match (public, &address, request.format) {
        (None, Some(address), Some(Format::Raw) | None) => own(address)?,
        (public, ..) => public,
    };
    Ok((address, public))
}

fn read(file: Option<&Path>, text: Option<&str>) -> Result<Zeroizing<Vec<u8>>> {
    if let Some(text) = text {
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    let file = file.filter(|file| *file != Path::new("-")).unwrap_or(Path::new("/dev/stdin"));
    Ok(disk::read_any(file, MAX_MESSAGE_BYTES)?)
}
