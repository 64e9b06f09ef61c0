//! Passphrases, by whichever door they come, and the keys that they open.
//!
//! The doors, first come first served: `--passphrase-fd`, `--passphrase-file`, the program in `FARTHING_ASKPASS`, the
//! terminal.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::Context;
use crate::{
    cli::Global,
    disk,
    error::{Exit, Explain as _},
    keystore::{
        Agent, AgentError, AgentSigner, FileSigner, Holder, KeystoreError, SecretKey, Signer, Token, TokenError,
        TokenUri,
    },
    name::Name,
    passphrase::{Passphrase, PassphraseError},
};

/// How often a passphrase may be typed wrongly.
const TRIES: usize = 3;

/// Where passphrases come from.
#[derive(Debug)]
pub(super) struct Secrets {
    file: Option<PathBuf>,
    descriptor: Option<u32>,
    /// What the descriptor gave, which can be read once only.
    read: Option<Passphrase>,
    askpass: Option<PathBuf>,
    /// The socket of an ssh-agent.
    agent: Option<PathBuf>,
    /// The module of tokens whose URI names none.
    module: Option<PathBuf>,
    /// Passphrase files whose mode was already remarked on.
    remarked: Vec<PathBuf>,
}

impl Secrets {
    pub(super) fn new(global: &Global, variable: impl Fn(&str) -> Option<PathBuf>) -> Self {
        let filled = |name: &str| variable(name).filter(|path| !path.as_os_str().is_empty());
        Self {
            file: global.passphrase_file(),
            descriptor: global.passphrase_fd,
            read: None,
            askpass: filled("FARTHING_ASKPASS"),
            agent: filled("SSH_AUTH_SOCK"),
            module: filled("FARTHING_PKCS11_MODULE"),
            remarked: Vec::new(),
        }
    }

    /// Whether the passphrase is given beforehand, so that there is no use in asking twice.
    const fn is_given(&self) -> bool {
        self.file.is_some() || self.descriptor.is_some()
    }
}

impl Context {
    /// The passphrase of something that exists: given beforehand, or asked for once.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn passphrase(&mut self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        match self.given_passphrase()? {
            Some(passphrase) => Ok(passphrase),
            None => self.typed(prompt),
        }
    }

    /// How often a passphrase may be wrong: three times if it is typed.
    #[must_use]
    pub fn attempts(&self) -> usize {
        let asks = !self.secrets.is_given() && self.secrets.askpass.is_none() && self.is_interactive();
        if asks { TRIES } else { 1 }
    }

    fn given_passphrase(&mut self) -> Result<Option<Passphrase>, PassphraseError> {
        if let Some(number) = self.secrets.descriptor {
            if self.secrets.read.is_none() {
                self.secrets.read = Some(Passphrase::from_descriptor(number)?);
            }
            return Ok(self.secrets.read.clone());
        }
        match self.secrets.file.clone() {
            Some(file) => self.passphrase_in(&file).map(Some),
            None => Ok(None),
        }
    }

    /// The passphrase in a file, with a remark if others can read it too.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn passphrase_in(&mut self, file: &Path) -> Result<Passphrase, PassphraseError> {
        if let Some(mode) = disk::loose_mode(file)
            && !self.secrets.remarked.iter().any(|earlier| earlier == file)
        {
            let shown = file.display();
            self.output.warn(format_args!(
                "{shown} has mode {mode:04o}: other users can read the passphrase; try: chmod 600 '{shown}'"
            ));
            self.secrets.remarked.push(file.to_owned());
        }
        Passphrase::from_file(file)
    }

    fn typed(&mut self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        if let Some(program) = self.secrets.askpass.as_deref().filter(|_| !self.no_input) {
            return Passphrase::from_program(program, prompt);
        }
        if !self.is_interactive() {
            return Err(PassphraseError::NoTerminal);
        }
        self.output.asking();
        let secret = self.terminal.secret(prompt);
        self.output.answered();
        Passphrase::new(secret.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => PassphraseError::Ended,
            io::ErrorKind::Interrupted => PassphraseError::Interrupted,
            _ => PassphraseError::NoTerminal,
        })?)
    }

    /// The passphrase of a new key: given beforehand, or asked for twice; long enough. On development networks an
    /// empty answer means none.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn new_passphrase(&mut self, name: &Name) -> Result<Option<Passphrase>, PassphraseError> {
        match self.given_passphrase()? {
            Some(passphrase) => passphrase.fit_for_a_new_key().map(Some),
            None => self.typed_twice(name.as_str(), self.wallet.network().is_dev()),
        }
    }

    /// The passphrase of a new backup: given beforehand, or asked for twice; long enough, and never none.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn backup_passphrase(&mut self) -> Result<Passphrase, PassphraseError> {
        match self.given_passphrase()? {
            Some(passphrase) => passphrase.fit_for_a_new_key(),
            None => self.typed_twice("the backup", false)?.ok_or(PassphraseError::Empty),
        }
    }

    /// A new passphrase, asked for twice; long enough.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub(crate) fn typed_twice(
        &mut self,
        what: &str,
        none_allowed: bool,
    ) -> Result<Option<Passphrase>, PassphraseError> {
        let hint = if none_allowed { " (empty for none: development network)" } else { "" };
        let mut problem = PassphraseError::Mismatch;
        for tries_left in (0..TRIES).rev() {
            let first = match self.typed(&format!("New passphrase for {what}{hint}: ")) {
                Err(PassphraseError::Empty) if none_allowed => return Ok(None),
                other => other.and_then(Passphrase::fit_for_a_new_key),
            };
            problem = match first {
                Ok(first) => match self.typed("The same again: ") {
                    Ok(second) if second == first => return Ok(Some(first)),
                    Err(PassphraseError::Interrupted) => return Err(PassphraseError::Interrupted),
                    _ => PassphraseError::Mismatch,
                },
                Err(error @ (PassphraseError::TooShort { .. } | PassphraseError::Empty | PassphraseError::Control)) => {
                    error
                }
                Err(error) => return Err(error),
            };
            if tries_left > 0 {
                self.output.note(&problem);
            }
        }
        Err(problem)
    }

    /// Opens a key of this wallet for signing, whoever holds it; a typed passphrase may be wrong twice.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn unlock(&mut self, name: &Name) -> Result<Box<dyn Signer>, KeystoreError> {
        match self.wallet.keys().elsewhere(name)? {
            None => Ok(Box::new(FileSigner::new(self.open_key(name)?.0))),
            Some((public, Holder::Agent)) => Ok(Box::new(AgentSigner::new(self.agent()?, public)?)),
            Some((public, Holder::Token(uri))) => {
                let token = self.token(&uri, false)?;
                Ok(Box::new(token.signer(public, &mut || self.pin(&uri))?))
            }
            Some((_, holder)) => Err(KeystoreError::NotHere { name: name.clone(), holder }),
        }
    }

    /// Connects to this session's ssh-agent.
    ///
    /// # Errors
    /// [`AgentError`].
    pub fn agent(&self) -> Result<Agent, AgentError> {
        Agent::connect(self.secrets.agent.as_deref())
    }

    /// Finds a token, and says how near it is to locking itself; `writes` to make keys in it.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn token(&mut self, uri: &TokenUri, writes: bool) -> Result<Token, TokenError> {
        let token = Token::open(uri, self.secrets.module.as_deref(), writes)?;
        if let Some(remark) = token.remark() {
            self.output.warn(remark);
        }
        Ok(token)
    }

    /// The PIN of a token, through the same doors as a passphrase. Asked for once: tokens lock themselves.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn pin(&mut self, uri: &TokenUri) -> Result<Passphrase, PassphraseError> {
        self.passphrase(&format!("PIN for {uri}: "))
    }

    /// Opens a key of this wallet, and gives the passphrase that opened it, if it has one.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn open_key(&mut self, name: &Name) -> Result<(SecretKey, Option<Passphrase>), KeystoreError> {
        let keys = self.wallet.keys();
        let mut attempts = self.attempts();
        loop {
            let mut used = None;
            let opened = keys.unlock(name, &mut || {
                let passphrase = self.passphrase(&format!("Passphrase for {name}: "))?;
                used = Some(passphrase.clone());
                Ok(passphrase)
            });
            attempts -= 1;
            match opened {
                // An empty line is a slip of the finger too.
                Err(error)
                    if attempts > 0
                        && (error.exit() == Exit::WrongPassphrase || error.code() == "PASSPHRASE_EMPTY") =>
                {
                    self.output.note("that passphrase does not open the key; once more");
                }
                other => return other.map(|key| (key, used)),
            }
        }
    }
}
