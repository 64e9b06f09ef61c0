//! `pkcs11:` URIs (RFC 7512): which token, and which key in it. A PIN in one is refused: it would show in the list of
//! processes.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// Longest URI.
const MAX_BYTES: usize = 1024;

/// Which key in which token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenUri {
    text: String,
    /// What the token must say of itself.
    pub(super) token: Option<String>,
    pub(super) serial: Option<String>,
    pub(super) manufacturer: Option<String>,
    pub(super) model: Option<String>,
    /// What the key must be called.
    pub(super) object: Option<String>,
    pub(super) id: Option<Vec<u8>>,
    pub(super) module: Option<PathBuf>,
}

/// Why a text does not name a key in a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseUriError {
    /// Too long, or with characters that no URI has.
    #[error("the pkcs11: URI is longer than {MAX_BYTES} bytes, or has spaces or control characters in it")]
    Form,
    /// An attribute that is not known, or has a value that it cannot have.
    #[error("the pkcs11: URI has an attribute that is not understood: {0:?}")]
    Attribute(String),
    /// An attribute twice.
    #[error("the pkcs11: URI has the attribute {0:?} twice")]
    Twice(String),
    /// A PIN, or where to find one.
    #[error("the pkcs11: URI has the attribute {0:?}; a PIN comes through the doors for passphrases")]
    Pin(String),
    /// Nothing that would tell one key from another.
    #[error("the pkcs11: URI names no key: neither object nor id")]
    NoKey,
}

impl TokenUri {
    /// How such URIs begin.
    pub(super) const SCHEME: &'static str = "pkcs11:";

    /// The module that leads to the token, if the URI says so.
    #[must_use]
    pub fn module(&self) -> Option<&Path> {
        self.module.as_deref()
    }

    fn put(&mut self, attribute: &str) -> Result<(), ParseUriError> {
        let unknown = || ParseUriError::Attribute(attribute.to_owned());
        let (name, value) = attribute.split_once('=').ok_or_else(unknown)?;
        let bytes = decode(value).ok_or_else(unknown)?;
        if name.starts_with("pin-") {
            return Err(ParseUriError::Pin(name.to_owned()));
        }
        if name == "id" {
            return set(&mut self.id, name, bytes);
        }
        let value = String::from_utf8(bytes).map_err(|_| unknown())?;
        match name {
            "token" => set(&mut self.token, name, value),
            "serial" => set(&mut self.serial, name, value),
            "manufacturer" => set(&mut self.manufacturer, name, value),
            "model" => set(&mut self.model, name, value),
            "object" => set(&mut self.object, name, value),
            "module-path" => set(&mut self.module, name, value.into()),
            // What it is about is the pair of both.
            "type" if value == "private" || value == "public" => Ok(()),
            _ => Err(unknown()),
        }
    }
}

fn set<T>(place: &mut Option<T>, name: &str, value: T) -> Result<(), ParseUriError> {
    if place.replace(value).is_some() { Err(ParseUriError::Twice(name.to_owned())) } else { Ok(()) }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let pair = [rest.next()?, rest.next()?];
            bytes.extend(hex::decode(pair).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    Some(bytes)
}

impl FromStr for TokenUri {
    type Err = ParseUriError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix(Self::SCHEME).ok_or(ParseUriError::Form)?;
        if text.len() > MAX_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ParseUriError::Form);
        }
        let mut uri = Self {
            text: text.to_owned(),
            token: None,
            serial: None,
            manufacturer: None,
            model: None,
            object: None,
            id: None,
            module: None,
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let attributes = path.split(';').chain(query.split('&')).filter(|attribute| !attribute.is_empty());
        attributes.into_iter().try_for_each(|attribute| uri.put(attribute))?;
        if uri.object.is_none() && uri.id.is_none() { Err(ParseUriError::NoKey) } else { Ok(uri) }
    }
}

impl fmt::Display for TokenUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_names_token_key_and_module() {
        let text = "pkcs11:token=my%20token;object=spend;id=%01%ff;type=private?module-path=/usr/lib/m.so";
        let uri: TokenUri = text.parse().unwrap();
        assert_eq!((uri.token.as_deref(), uri.object.as_deref()), (Some("my token"), Some("spend")));
        assert_eq!((uri.id.as_deref(), uri.module()), (Some(&[1, 0xff][..]), Some(Path::new("/usr/lib/m.so"))));
        assert_eq!(uri.to_string(), text);
    }

    #[test]
    fn what_is_not_understood_is_refused_and_a_pin_above_all() {
        let error = |text: &str| text.parse::<TokenUri>().unwrap_err();
        assert_eq!(error("pkcs11:object=a?pin-value=1234"), ParseUriError::Pin("pin-value".into()));
        assert_eq!(error("pkcs11:object=a?pin-source=file:/x"), ParseUriError::Pin("pin-source".into()));
        assert_eq!(error("pkcs11:token=t"), ParseUriError::NoKey);
        assert_eq!(error("pkcs11:object=a;object=b"), ParseUriError::Twice("object".into()));
        assert_eq!(error("pkcs11:object=a b"), ParseUriError::Form);
        assert_eq!(error("pkcs11:object=a\n"), ParseUriError::Form);
        assert_eq!(error(&format!("pkcs11:object={}", "a".repeat(1024))), ParseUriError::Form);
        for text in ["object", "object=%4", "object=%zz", "object=%ff", "slot-id=1", "object=a;type=cert"] {
            assert!(matches!(error(&format!("pkcs11:{text}")), ParseUriError::Attribute(_)), "{text}");
        }
    }
}
