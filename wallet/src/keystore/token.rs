//! Keys in hardware, or in whatever else stands behind a PKCS #11 module: the token signs on request, and never gives a
//! private key away.

use std::path::{Path, PathBuf};

use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error as Pkcs11Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    slot::{Slot, TokenInfo},
    types::AuthPin,
};
use farthing::{PublicKey, Signature, keys::KeySize};

use super::{
    public,
    secret::{EXPONENT, SecretKeyError},
    signer::{SignError, Signer, checked},
    token_uri::TokenUri,
};
use crate::{
    error::{Exit, Explain},
    passphrase::{Passphrase, PassphraseError},
};

/// Why a token did not help.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Nobody said which module leads to it.
    #[error("no PKCS #11 module is known that leads to {0}")]
    NoModule(TokenUri),
    /// The module cannot be used.
    #[error("cannot use the PKCS #11 module {}", path.display())]
    Module {
        /// The module.
        path: PathBuf,
        /// What it said.
        #[source]
        source: Pkcs11Error,
    },
    /// No such token, or several.
    #[error("{found} tokens fit {uri}, expected one; there are: {labels:?}")]
    Tokens {
        /// What was looked for.
        uri: TokenUri,
        /// How many fit.
        found: usize,
        /// The labels of those that are there.
        labels: Vec<String>,
    },
    /// No such key, or several.
    #[error("{found} RSA keys fit {uri}, expected one")]
    Keys {
        /// What was looked for.
        uri: TokenUri,
        /// How many fit.
        found: usize,
    },
    /// A new key would have the name of something that is there.
    #[error("the token has something already that {0} names; nothing was made")]
    Taken(TokenUri),
    /// The key in the token is another one than when it was taken over.
    #[error("{0} is another key now than the one that this wallet knows")]
    OtherKey(TokenUri),
    /// The key is none that Farthing takes.
    #[error(transparent)]
    Rules(SecretKeyError),
    /// There is no PIN.
    #[error(transparent)]
    Pin(PassphraseError),
    /// The PIN is wrong.
    #[error("the token refuses the PIN")]
    WrongPin(#[source] Pkcs11Error),
    /// No PIN opens it any more.
    #[error("the token is locked: too many wrong PINs")]
    Locked,
    /// Anything else that the token said.
    #[error("the token does not {action}")]
    Token {
        /// What was asked of it.
        action: &'static str,
        /// What it said.
        #[source]
        source: Pkcs11Error,
    },
}

impl TokenError {
    fn token(action: &'static str) -> impl FnOnce(Pkcs11Error) -> Self {
        move |source| Self::Token { action, source }
    }
}

impl Explain for TokenError {
    fn code(&self) -> &'static str {
        match self {
            Self::NoModule(_) | Self::Module { .. } => "TOKEN_MODULE",
            Self::Tokens { .. } => "TOKEN_NOT_FOUND",
            Self::Keys { .. } => "TOKEN_KEY_NOT_FOUND",
            Self::Taken(_) => "TOKEN_KEY_TAKEN",
            Self::OtherKey(_) => "TOKEN_KEY_DIFFERS",
            Self::Rules(error) => error.code(),
            Self::Pin(error) => error.code(),
            Self::WrongPin(_) => "WRONG_PIN",
            Self::Locked => "PIN_LOCKED",
            Self::Token { .. } => "TOKEN",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::NoModule(_) | Self::Tokens { .. } | Self::Keys { .. } | Self::Taken(_) => Exit::Usage,
            Self::Rules(error) => error.exit(),
            Self::Pin(error) => error.exit(),
            Self::WrongPin(_) => Exit::WrongPassphrase,
            Self::Module { .. } | Self::OtherKey(_) | Self::Locked | Self::Token { .. } => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NoModule(_) => vec![
                "?module-path=FILE.so at the end of the pkcs11: URI".into(),
                "FARTHING_PKCS11_MODULE=FILE.so".into(),
            ],
            Self::Module { path, .. } => vec![format!("ls -l '{}'; the module's own settings", path.display())],
            Self::Tokens { .. } => vec!["token=LABEL in the pkcs11: URI, and the token plugged in".into()],
            Self::Keys { .. } => vec![
                "object=LABEL or id=%01 in the pkcs11: URI, so that one key fits".into(),
                "farthing-wallet key new NAME --signer URI, which makes a key in the token".into(),
            ],
            Self::Taken(uri) => vec![
                format!("farthing-wallet key import --name NAME --signer '{uri}', which takes that key over"),
                "another object=LABEL in the pkcs11: URI".into(),
            ],
            Self::OtherKey(_) => vec!["the token that held the key when it was taken over".into()],
            Self::Rules(error) => error.tries(),
            Self::Pin(error) => error.tries(),
            Self::WrongPin(_) => vec!["the PIN again; most tokens lock themselves after a few wrong ones".into()],
            Self::Locked => vec![
                "the token's own program, which sets a new PIN with the security officer's PIN or PUK; no other try helps"
                    .into(),
            ],
            Self::Token { .. } => vec!["the token's own program, which says in what state it is".into()],
        }
    }
}

/// A session with the one token that a URI names.
pub struct Token {
    session: Session,
    uri: TokenUri,
    needs_login: bool,
    is_locked: bool,
    /// What its owner should know before giving a PIN.
    remark: Option<&'static str>,
    is_logged_in: bool,
}

impl Token {
    /// Loads the module and finds the token; `writes` to make keys in it.
    ///
    /// # Errors
    /// [`TokenError::NoModule`], [`TokenError::Module`], [`TokenError::Tokens`], [`TokenError::Token`].
    pub fn open(uri: &TokenUri, default_module: Option<&Path>, writes: bool) -> Result<Self, TokenError> {
        let path = uri.module().or(default_module).ok_or_else(|| TokenError::NoModule(uri.clone()))?;
        let broken = |source| TokenError::Module { path: path.to_owned(), source };
        let module = Pkcs11::new(path).map_err(broken)?;
        match module.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK)) {
            // Loaded before, in this process.
            Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => {}
            Err(source) => return Err(broken(source)),
        }
        let (slot, info) = find(&module, uri)?;
        let session = if writes { module.open_rw_session(slot) } else { module.open_ro_session(slot) };
        let session = session.map_err(TokenError::token("open a session"))?;
        let (needs_login, is_locked) = (info.login_required(), info.user_pin_locked());
        let remark = if info.user_pin_final_try() {
            Some("one more wrong PIN, and the token locks itself")
        } else if info.user_pin_count_low() {
            Some("the token was given a wrong PIN; after a few it locks itself")
        } else {
            None
        };
        Ok(Self { session, uri: uri.clone(), needs_login, is_locked, remark, is_logged_in: false })
    }

    /// What its owner should know before giving a PIN, if anything.
    pub const fn remark(&self) -> Option<&'static str> {
        self.remark
    }

    fn login(&mut self, ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>) -> Result<(), TokenError> {
        if self.is_logged_in || !self.needs_login {
            return Ok(());
        }
        // Said before a PIN is asked for, which would be of no use.
        if self.is_locked {
            return Err(TokenError::Locked);
        }
        let pin = ask().map_err(TokenError::Pin)?;
        let pin = AuthPin::new(String::from_utf8_lossy(pin.as_bytes()).into());
        match self.session.login(UserType::User, Some(&pin)) {
            Ok(()) | Err(Pkcs11Error::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => {}
            Err(error) => return Err(refusal(error)),
        }
        self.is_logged_in = true;
        Ok(())
    }

    /// The public half of the key that the URI names; asks for the PIN only if the token hides even that.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn public(
        &mut self,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<PublicKey, TokenError> {
        if let Ok(handle) = self.find(ObjectClass::PUBLIC_KEY) {
            return self.read(handle);
        }
        self.login(ask)?;
        let handle = self.find(ObjectClass::PUBLIC_KEY).or_else(|_| self.find(ObjectClass::PRIVATE_KEY))?;
        self.read(handle)
    }

    /// Makes a key in the token, under the object and id of the URI.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn generate(
        &mut self,
        size: KeySize,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<PublicKey, TokenError> {
        self.login(ask)?;
        let both = self.named(vec![Attribute::Token(true)]);
        // A second key of that name could never be told from the first.
        let taken = self.session.find_objects(&self.named(Vec::new())).map_err(TokenError::token("list its keys"))?;
        if !taken.is_empty() {
            return Err(TokenError::Taken(self.uri.clone()));
        }
        let mut public = both.clone();
        public.extend([
            Attribute::Private(false),
            Attribute::Verify(true),
            Attribute::ModulusBits(u64::try_from(size.bits()).unwrap_or_default().into()),
            Attribute::PublicExponent(EXPONENT.to_be_bytes()[1..].to_vec()),
        ]);
        let mut private = both;
        private.extend([
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ]);
        let pair = self.session.generate_key_pair(&Mechanism::RsaPkcsKeyPairGen, &public, &private);
        let (public, _) = pair.map_err(TokenError::token("make a key"))?;
        self.read(public)
    }

    /// Gets ready to sign with the key that the URI names, which must be this one.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn signer(
        mut self,
        public: PublicKey,
        ask: &mut dyn FnMut() -> Result<Passphrase, PassphraseError>,
    ) -> Result<TokenSigner, TokenError> {
        self.login(ask)?;
        let key = self.find(ObjectClass::PRIVATE_KEY)?;
        if self.read(key)? != public {
            return Err(TokenError::OtherKey(self.uri));
        }
        Ok(TokenSigner { session: self.session, key, public })
    }

    fn named(&self, mut attributes: Vec<Attribute>) -> Vec<Attribute> {
        attributes.extend(self.uri.object.as_ref().map(|label| Attribute::Label(label.as_bytes().to_vec())));
        attributes.extend(self.uri.id.clone().map(Attribute::Id));
        attributes
    }

    fn find(&self, class: ObjectClass) -> Result<ObjectHandle, TokenError> {
        let template = self.named(vec![Attribute::Class(class), Attribute::KeyType(KeyType::RSA)]);
        let found = self.session.find_objects(&template).map_err(TokenError::token("list its keys"))?;
        match found.as_slice() {
            [one] => Ok(*one),
            others => Err(TokenError::Keys { uri: self.uri.clone(), found: others.len() }),
        }
    }

    fn read(&self, handle: ObjectHandle) -> Result<PublicKey, TokenError> {
        let wanted = [AttributeType::Modulus, AttributeType::PublicExponent];
        let attributes = self.session.get_attributes(handle, &wanted).map_err(TokenError::token("show its key"))?;
        let (mut modulus, mut exponent) = (Vec::new(), Vec::new());
        for attribute in attributes {
            match attribute {
                Attribute::Modulus(bytes) => modulus = bytes,
                Attribute::PublicExponent(bytes) => exponent = bytes,
                _ => {}
            }
        }
        public::from_numbers(&modulus, &exponent).map_err(TokenError::Rules)
    }
}

/// Why nobody was let in.
fn refusal(error: Pkcs11Error) -> TokenError {
    match error {
        Pkcs11Error::Pkcs11(RvError::PinLocked, _) => TokenError::Locked,
        Pkcs11Error::Pkcs11(RvError::PinIncorrect | RvError::PinLenRange | RvError::PinInvalid, _) => {
            TokenError::WrongPin(error)
        }
        other => TokenError::token("let one log in")(other),
    }
}

fn find(module: &Pkcs11, uri: &TokenUri) -> Result<(Slot, TokenInfo), TokenError> {
    let slots = module.get_slots_with_initialized_token().map_err(TokenError::token("show itself"))?;
    let tokens = slots.into_iter().filter_map(|slot| Some((slot, module.get_token_info(slot).ok()?)));
    let (mut fitting, mut labels) = (Vec::new(), Vec::new());
    let is = |wanted: &Option<String>, found: &str| wanted.as_ref().is_none_or(|wanted| wanted == found.trim_end());
    for (slot, info) in tokens {
        labels.push(info.label().trim_end().to_owned());
        if is(&uri.token, info.label())
            && is(&uri.serial, info.serial_number())
            && is(&uri.manufacturer, info.manufacturer_id())
            && is(&uri.model, info.model())
        {
            fitting.push((slot, info));
        }
    }
    match (fitting.pop(), fitting.len()) {
        (Some(one), 0) => Ok(one),
        (_, others) => {
            let found = if others == 0 { 0 } else { others + 1 };
            Err(TokenError::Tokens { uri: uri.clone(), found, labels })
        }
    }
}

/// Signs with a key in a token.
pub struct TokenSigner {
    session: Session,
    key: ObjectHandle,
    public: PublicKey,
}

impl Signer for TokenSigner {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign_bytes(&self, message: &[u8]) -> Result<Signature, SignError> {
        let signature = self.session.sign(&Mechanism::Sha256RsaPkcs, self.key, message);
        let signature = signature.map_err(|error| SignError::Token(TokenError::token("sign")(error)))?;
        checked(&self.public, message, &signature)
    }
}

#[cfg(test)]
mod tests {
    use cryptoki::context::Function;

    use super::*;

    #[test]
    fn a_locked_token_is_told_from_a_wrong_pin() {
        let said = |reason| refusal(Pkcs11Error::Pkcs11(reason, Function::Login));
        assert_eq!(
            (said(RvError::PinIncorrect).code(), said(RvError::PinIncorrect).exit()),
            ("WRONG_PIN", Exit::WrongPassphrase)
        );
        assert_eq!((said(RvError::PinLocked).code(), said(RvError::PinLocked).exit()), ("PIN_LOCKED", Exit::Other));
        assert_eq!(said(RvError::DeviceError).code(), "TOKEN");
    }
}
