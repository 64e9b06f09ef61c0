//! What every command works with: the wallet, the output, and the person at the terminal, if any.

mod secrets;

use std::{
    fs::File,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use farthing::Address;

use crate::{
    cli::Global,
    client::{NodeClient, Remarks},
    config::{ConfigFile, Settings},
    error::{Exit, Explain, Result},
    keystore::KeyEntry,
    light::cache::Cache,
    name::Name,
    output::{Output, style::fit},
    terminal::{Reply, Terminal, Wording, columns_of_a_question},
    verify::Evidence,
    wallet::Wallet,
};

use self::secrets::Secrets;

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The person said no.
    #[error("{0}: you said no")]
    Declined(&'static str),
    /// Nobody is there to ask.
    #[error("{0}: there is no terminal to ask for a confirmation")]
    NoTerminal(&'static str),
    /// The name of what is at stake was not given, and nobody is there to ask for it.
    #[error("{what}: its name must be given once more, and there is no terminal to ask for it")]
    NameNeeded {
        /// What was to be done.
        what: &'static str,
        /// The name.
        name: Name,
    },
    /// Another name was given.
    #[error("{what}: {given:?} is not the name {name:?}")]
    NameDiffers {
        /// What was to be done.
        what: &'static str,
        /// The name.
        name: Name,
        /// What was given.
        given: String,
    },
    /// The input ended.
    #[error("the input ended")]
    Ended,
    /// Ctrl-C at a question.
    #[error("the question was given up")]
    GivenUp,
    /// The terminal is broken.
    #[error("cannot read from the terminal")]
    Io(#[source] std::io::Error),
}

impl Explain for AskError {
    fn code(&self) -> &'static str {
        match self {
            Self::Declined(_) => "DECLINED",
            Self::NoTerminal(_) | Self::NameNeeded { .. } => "CONFIRMATION_NEEDED",
            Self::NameDiffers { .. } => "NAME_DIFFERS",
            Self::GivenUp => "GIVEN_UP",
            Self::Ended | Self::Io(_) => "NO_INPUT",
        }
    }

    fn exit(&self) -> Exit {
        match self {
            Self::Declined(_)
            | Self::NoTerminal(_)
            | Self::NameNeeded { .. }
            | Self::NameDiffers { .. }
            | Self::Ended => Exit::Declined,
            Self::GivenUp => Exit::Interrupted,
            Self::Io(_) => Exit::Other,
        }
    }

    fn tries(&self) -> Vec<String> {
        match self {
            Self::GivenUp => vec!["the command again, and an answer".into()],
            Self::NoTerminal(_) => vec!["--yes, if you are sure".into()],
            Self::NameNeeded { name, .. } | Self::NameDiffers { name, .. } => {
                vec![format!("--confirm-name {name}, if you are sure; --yes alone is not enough")]
            }
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
    /// What is to be said of nodes.
    remarks: Remarks,
    /// How many nodes must agree.
    quorum: Option<usize>,
    yes: bool,
    no_input: bool,
    secrets: Secrets,
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
        let secrets = Secrets::new(global, &variable);
        let opened = Settings::resolve(&global.choices(), variable)
            .and_then(|settings| Wallet::open(&settings).map(|wallet| (settings, wallet)));
        match opened {
            Ok((settings, wallet)) => {
                let in_file = || settings.account().map(|name| name.as_str().to_owned());
                let account = global.account().map(str::to_owned).or_else(in_file);
                let (timeout, yes, no_input) = (global.timeout.or(settings.timeout()), global.yes, global.no_input);
                let (remarks, quorum) = (Remarks::default(), global.quorum.or(settings.quorum()).map(usize::from));
                Ok(Self {
                    settings,
                    wallet,
                    output,
                    terminal,
                    account,
                    timeout,
                    remarks,
                    quorum,
                    yes,
                    no_input,
                    secrets,
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

    /// How many nodes must agree, if several are to.
    #[must_use]
    pub const fn quorum(&self) -> Option<usize> {
        self.quorum
    }

    /// Connects to the node and makes sure that it is of the wallet's network.
    ///
    /// # Errors
    /// [`crate::client::NodeError`] and [`crate::client::OtherNetwork`].
    pub fn connect(&mut self) -> Result<NodeClient> {
        for url in self.settings.nodes().iter().filter(|url| !url.is_local()) {
            self.output.warn(format_args!(
                "the connection to {url} is not encrypted: others on the way can see which accounts you ask about"
            ));
        }
        let cache = Cache::within(self.wallet.home());
        let client =
            NodeClient::connect(self.settings.nodes(), self.settings.network(), Some(cache), self.remarks.clone())?
                .with_minimum_work(self.settings.minimum_work())
                .with_quorum(self.quorum)?;
        let info = client.node_info()?;
        self.tell_remarks();
        if info.is_synced == Some(false) {
            let height = info.tip.height;
            self.output.warn(format_args!(
                "the node is still fetching blocks: what follows is as of block {height} of {} or more",
                info.best_header_height.max(height)
            ));
        }
        Ok(client)
    }

    /// Says what there is to say of nodes: which were passed over, and why.
    pub fn tell_remarks(&mut self) {
        self.remarks.take().iter().for_each(|remark| self.output.warn(remark));
    }

    /// Says what was verified and what not, unless the JSON of the result has it.
    pub fn tell(&mut self, proof: &Evidence) {
        self.tell_remarks();
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

    /// Whether [`Context::confirm`] will ask somebody.
    #[must_use]
    pub fn will_ask(&self) -> bool {
        !self.yes && self.is_interactive()
    }

    /// Says what a question is about: always if somebody is asked, else as a note.
    pub fn show(&mut self, text: &str) {
        if self.is_interactive() && !self.yes {
            self.output.screen(text);
        } else {
            self.output.note(text);
        }
    }

    /// Whether someone can be asked.
    #[must_use]
    pub fn is_interactive(&self) -> bool {
        !self.no_input && self.terminal.is_interactive()
    }

    /// Asks for a line; none at the end of input.
    ///
    /// # Errors
    /// [`AskError::Io`], and [`AskError::GivenUp`] with an editor.
    pub fn ask(&mut self, question: &str) -> Result<Option<String>, AskError> {
        self.ask_for(&|_| question.to_owned(), &[])
    }

    /// The same with words that an editor completes, if there is one, and a question that may change while it stands.
    ///
    /// # Errors
    /// [`AskError::Io`], and [`AskError::GivenUp`] with an editor.
    pub fn ask_for(&mut self, question: &Wording<'_>, words: &[String]) -> Result<Option<String>, AskError> {
        self.output.asking();
        let edited = self.terminal.edit(&|columns| fit(question(columns), false), words);
        self.output.answered();
        match edited.transpose().map_err(AskError::Io)? {
            Some(Reply::Line(line)) => return Ok(Some(line.trim().to_owned())),
            Some(Reply::End) => return Ok(None),
            Some(Reply::GivenUp) => return Err(AskError::GivenUp),
            None => {}
        }
        self.output.prompt(question(columns_of_a_question()));
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

    /// Forgets what was typed before a question was there to be read: neither a paste nor a cat on the keyboard answers it.
    pub fn drop_typed(&mut self) {
        self.terminal.drop_typed();
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
        self.drop_typed();
        if self.ask_yes_no(question, false)? { Ok(()) } else { Err(AskError::Declined(what)) }
    }

    /// Goes on only if the person types the name of what is at stake, or gave it beforehand with `--confirm-name`.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn confirm_name(&mut self, what: &'static str, name: &Name, given: Option<&str>) -> Result<(), AskError> {
        let typed = match given {
            Some(given) => given.to_owned(),
            None if self.is_interactive() => {
                self.ask(&format!("Type the name {name} to go on: "))?.ok_or(AskError::Ended)?
            }
            None => return Err(AskError::NameNeeded { what, name: name.clone() }),
        };
        if typed == name.as_str() {
            Ok(())
        } else {
            Err(AskError::NameDiffers { what, name: name.clone(), given: typed })
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
