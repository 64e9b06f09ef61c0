//! What every command works with: the wallet, the output, and the person at the terminal, if any.

use std::{
    fs::File,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use farthing::Address;

use crate::{
    cli::Global,
    client::NodeClient,
    config::{ConfigFile, Settings},
    disk,
    error::{Exit, Explain, Result},
    keystore::{FileSigner, KeyEntry, KeystoreError, Signer},
    name::Name,
    output::Output,
    passphrase::{Passphrase, PassphraseError},
    terminal::Terminal,
    verify::Evidence,
    wallet::Wallet,
};

/// How often a passphrase may be typed wrongly.
const TRIES: usize = 3;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The person said no.
    #[error("{0}: you said no")]
    Declined(&'static str),
    /// Nobody is there to ask.
    #[error("{0}: there is no terminal to ask for a confirmation")]
    NoTerminal(&'static str),
    /// The input ended.
    #[error("the input ended")]
    Ended,
    /// The terminal is broken.
    #[error("cannot read from the terminal")]
    Io(#[source] std::io::Error),
}

impl Explain for AskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Declined(_) => "DECLINED",
            Self::NoTerminal(_) => "CONFIRMATION_NEEDED",
            Self::Ended | Self::Io(_) => "NO_INPUT",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Declined(_) | Self::NoTerminal(_) | Self::Ended => Exit::Declined,
            Self::Io(_) => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::NoTerminal(_) => vec!["--yes, if you are sure".into()],
            Self::Declined(_) => vec!["the command again, and y when it asks".into()],
            Self::Ended => vec!["--yes, or answers on the terminal".into()],
            Self::Io(_) => vec!["--yes and --passphrase-file, which need no terminal".into()],
        }
    }
}

/// Everything at hand.
pub struct Context {
    /// Network, node and folder.
    pub settings: Settings,
    /// The wallet on that network.
    pub wallet: Wallet,
    /// Where results go.
    pub output: Output,
    /// Who answers.
    pub terminal: Box<dyn Terminal>,
    /// The account that the person chose for every command, if any.
    pub account: Option<String>,
    /// How long to wait for a confirmation, if the person said so.
    pub timeout: Option<Duration>,
    yes: bool,
    no_input: bool,
    passphrase_file: Option<PathBuf>,
    /// Passphrase files whose mode was already remarked on.
    remarked: Vec<PathBuf>,
}

impl Context {
    /// Opens the wallet that the flags name.
    ///
    /// # Errors
    /// [`crate::config::ConfigError`].
    pub fn open(
        global: &Global,
        output: Output,
        terminal: Box<dyn Terminal>,
        variable: impl Fn(&str) -> Option<PathBuf>,
    ) -> Result<Self, (Output, crate::error::Error)> {
        let opened = Settings::resolve(&global.choices(), variable)
            .and_then(|settings| Wallet::open(&settings).map(|wallet| (settings, wallet)));
        match opened {
            Ok((settings, wallet)) => {
                let in_file = || settings.account().map(|name| name.as_str().to_owned());
                let account = global.account().map(str::to_owned).or_else(in_file);
                let passphrase_file = global.passphrase_file();
                let (timeout, yes, no_input) = (global.timeout.or(settings.timeout()), global.yes, global.no_input);
                let remarked = Vec::new();
                Ok(Self {
                    settings,
                    wallet,
                    output,
                    terminal,
                    account,
                    timeout,
                    yes,
                    no_input,
                    passphrase_file,
                    remarked,
                })
            }
            Err(error) => Err((output, error.into())),
        }
    }

    /// The own key that pays or is asked about: the chosen one, or the only one.
    ///
    /// # Errors
    /// [`crate::name::NameError`], and those of [`Wallet::own_key`].
    pub fn own_key(&self) -> Result<KeyEntry> {
        let name = self.account.as_deref().map(str::parse).transpose()?;
        self.wallet.own_key(name.as_ref())
    }

    /// The account that a command is about: the one that it names, or the chosen one, or the only key's.
    ///
    /// # Errors
    /// Those of [`Wallet::find`] and [`Wallet::own_key`].
    pub fn account(&self, named: Option<&str>) -> Result<Address> {
        match named.or(self.account.as_deref()) {
            Some(text) => self.wallet.find(text),
            None => Ok(self.wallet.own_key(None)?.public.address()),
        }
    }

    /// Connects to the node and makes sure that it is of the wallet's network.
    ///
    /// # Errors
    /// [`crate::client::NodeError`] and [`crate::client::OtherNetwork`].
    pub fn connect(&mut self) -> Result<NodeClient> {
        let url = self.settings.node();
        if !url.is_local() {
            self.output.warn(format_args!(
                "the connection to {url} is not encrypted: others on the way can see which accounts you ask about"
            ));
        }
        let client = NodeClient::connect(url, self.settings.network())?;
        let info = client.node_info()?;
        if info.is_synced == Some(false) {
            let height = info.tip.height;
            self.output.warn(format_args!(
                "the node is still fetching blocks: what follows is as of block {height} of {} or more",
                info.best_header_height.max(height)
            ));
        }
        Ok(client)
    }

    /// Says what was verified and what not, unless the JSON of the result has it.
    pub fn tell(&mut self, proof: &Evidence) {
        if self.output.is_json() {
            return;
        }
        self.output.note(proof);
        if let Some(age) = proof.age_note(SystemTime::now()) {
            self.output.note(format_args!("note: {age}"));
        }
    }

    /// Waits until no other command sends from this wallet, saying so.
    ///
    /// # Errors
    /// [`crate::disk::DiskError`], above all when the other one takes too long.
    pub fn lock_sending(&mut self) -> Result<File> {
        let output = &mut self.output;
        self.wallet.lock_sending(&mut || {
            output.note("another farthing-wallet is sending from this wallet; waiting for it ...");
        })
    }

    /// Whether someone can be asked.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        !self.no_input && self.terminal.is_interactive()
    }

    /// Asks for a line; none at the end of input.
    ///
    /// # Errors
    /// [`AskError::Io`].
    pub fn ask(&mut self, question: &str) -> Result<Option<String>, AskError> {
        self.output.prompt(question);
        let line = self.terminal.line();
        self.output.answered();
        let line = line.map_err(AskError::Io)?;
        if line.is_none() {
            self.output.note("");
        }
        Ok(line.map(|line| line.trim().to_owned()))
    }

    /// Asks until the answer is yes or no; an empty answer is the default.
    ///
    /// # Errors
    /// [`AskError::Ended`] and [`AskError::Io`].
    pub fn ask_yes_no(&mut self, question: &str, default: bool) -> Result<bool, AskError> {
        let choice = if default { "[Y/n]" } else { "[y/N]" };
        loop {
            let answer = self.ask(&format!("{question} {choice} "))?.ok_or(AskError::Ended)?;
            match answer.to_lowercase().as_str() {
                "" => return Ok(default),
                "y" | "yes" => return Ok(true),
                "n" | "no" => return Ok(false),
                _ => self.output.note("please answer yes or no"),
            }
        }
    }

    /// Goes on only if the person agrees, or agreed beforehand with `--yes`.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn confirm(&mut self, what: &'static str, question: &str) -> Result<(), AskError> {
        if self.yes {
            return Ok(());
        }
        if !self.is_interactive() {
            return Err(AskError::NoTerminal(what));
        }
        if self.ask_yes_no(question, false)? { Ok(()) } else { Err(AskError::Declined(what)) }
    }

    /// The passphrase of something that exists: from `--passphrase-file`, or typed once.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn passphrase(&mut self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        match self.passphrase_file.clone() {
            Some(file) => self.passphrase_in(&file),
            None => self.typed(prompt),
        }
    }

    /// The passphrase in a file, with a remark if others can read it too.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn passphrase_in(&mut self, file: &Path) -> Result<Passphrase, PassphraseError> {
        if let Some(mode) = disk::loose_mode(file)
            && !self.remarked.iter().any(|earlier| earlier == file)
        {
            let shown = file.display();
            self.output.warn(format_args!(
                "{shown} has mode {mode:04o}: other users can read the passphrase; try: chmod 600 '{shown}'"
            ));
            self.remarked.push(file.to_owned());
        }
        Passphrase::from_file(file)
    }

    fn typed(&mut self, prompt: &str) -> Result<Passphrase, PassphraseError> {
        if !self.is_interactive() {
            return Err(PassphraseError::NoTerminal);
        }
        self.output.asking();
        let secret = self.terminal.secret(prompt);
        self.output.answered();
        Passphrase::new(secret.map_err(|_| PassphraseError::NoTerminal)?)
    }

    /// The passphrase of a new key: from `--passphrase-file`, or typed twice; long enough. On development networks an
    /// empty answer on the terminal means none.
    ///
    /// # Errors
    /// [`PassphraseError`].
    pub fn new_passphrase(&mut self, name: &Name) -> Result<Option<Passphrase>, PassphraseError> {
        let none_allowed = self.wallet.network().is_dev();
        if let Some(file) = self.passphrase_file.clone() {
            return self.passphrase_in(&file)?.fit_for_a_new_key().map(Some);
        }
        let hint = if none_allowed { " (empty for none: development network)" } else { "" };
        for _ in 0..TRIES {
            let first = match self.typed(&format!("New passphrase for {name}{hint}: ")) {
                Err(PassphraseError::Empty) if none_allowed => return Ok(None),
                other => other.and_then(Passphrase::fit_for_a_new_key),
            };
            let problem = match first {
                Ok(first) if self.typed("The same again: ").is_ok_and(|second| second == first) => {
                    return Ok(Some(first));
                }
                Ok(_) => PassphraseError::Mismatch,
                Err(error @ (PassphraseError::TooShort { .. } | PassphraseError::Empty | PassphraseError::Control)) => {
                    error
                }
                Err(error) => return Err(error),
            };
            self.output.note(problem);
        }
        Err(PassphraseError::Mismatch)
    }

    /// Opens a key of this wallet for signing; a typed passphrase may be wrong twice.
    ///
    /// # Errors
    /// [`KeystoreError`].
    pub fn unlock(&mut self, name: &Name) -> Result<Box<dyn Signer>, KeystoreError> {
        let keys = self.wallet.keys();
        let tries = if self.passphrase_file.is_none() && self.is_interactive() { TRIES } else { 1 };
        let mut attempt = 1;
        loop {
            match keys.unlock(name, &mut || self.passphrase(&format!("Passphrase for {name}: "))) {
                // An empty line is a slip of the finger too.
                Err(error)
                    if attempt < tries
                        && (error.exit() == Exit::WrongPassphrase || error.code() == "PASSPHRASE_EMPTY") =>
                {
                    self.output.note("that passphrase does not open the key; once more");
                    attempt += 1;
                }
                other => return other.map(|key| Box::new(FileSigner::new(key)) as Box<dyn Signer>),
            }
        }
    }

    /// Writes the choice of network and node into `config.toml`, if there is none yet, so that later commands need no
    /// flags; tells whether it did.
    ///
    /// # Errors
    /// [`crate::config::ConfigError`].
    pub fn remember_choices(&self, global: &Global) -> Result<bool> {
        let choices = global.choices();
        // A file's path may be relative to where the command was started.
        let network = choices.network.map(|network| match std::fs::canonicalize(&network) {
            Ok(path) if farthing::params::Network::by_name(&network).is_none() => path.to_string_lossy().into_owned(),
            _ => network,
        });
        let node = (!choices.nodes.is_empty()).then(|| choices.nodes.join(","));
        let file = ConfigFile { network, node, ..ConfigFile::default() };
        Ok(file.create(self.settings.config())?)
    }
}
