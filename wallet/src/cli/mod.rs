//! The command line. A file for each group of commands.

mod config;
mod contact;
pub(crate) mod duration;
mod help;
mod key;
mod ledger;
mod message;
mod network;
mod pay;
mod receive;
mod send;
mod spending;
mod tx;
mod usage;

use std::{path::PathBuf, time::Duration};

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};

pub use self::{
    config::ConfigCommand,
    contact::ContactCommand,
    help::command,
    key::{KeyCommand, NewKey},
    ledger::{Balance, History, When},
    message::MessageCommand,
    network::NetworkCommand,
    pay::Pay,
    receive::{Ground, Receive},
    send::Send,
    spending::{Fees, Wait},
    tx::{TxBuild, TxCommand, TxReplace},
    usage::report,
};
use crate::{config::Choices, name::Name};

/// A wallet for Farthing: keeps your keys, pays and is paid, and checks what nodes say.
#[derive(Debug, Parser)]
#[command(name = "farthing-wallet", version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// What applies to every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do; without it, and on a terminal, an interactive session.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// main, test, dev, or the file of a private network.
    #[arg(long, global = true, value_name = "NAME|FILE", env = "FARTHING_NETWORK")]
    pub network: Option<String>,
    /// A node to ask; several if it is given several times, or with commas between them.
    #[arg(long, global = true, value_name = "URL", env = "FARTHING_NODE", value_delimiter = ',')]
    pub node: Vec<String>,
    /// So many of the nodes must prove an account on the same chain, or nothing is believed.
    #[arg(long, global = true, value_name = "K", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub quorum: Option<u8>,
    /// The account that pays, or that is asked about; not needed if there is only one key.
    #[arg(long, global = true, value_name = "NAME", env = "FARTHING_ACCOUNT", visible_alias = "from")]
    pub account: Option<String>,
    /// The wallet's folder.
    #[arg(long, global = true, value_name = "FOLDER", env = "FARTHING_WALLET_DIR", value_parser = path())]
    pub wallet_dir: Option<PathBuf>,
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing beside results, warnings and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Show no colours; so do NO_COLOR, TERM=dumb, and anything that is no terminal.
    #[arg(long, global = true, alias = "no-colour")]
    pub no_color: bool,
    /// Ask nothing: what would have to be asked is an error.
    #[arg(long, global = true)]
    pub no_input: bool,
    /// Answer yes to what a command wants confirmed.
    #[arg(long, short, global = true)]
    pub yes: bool,
    /// Give up waiting for a confirmation after so long, such as 90s or 10m.
    #[arg(long, global = true, value_name = "DURATION", value_parser = duration::parse)]
    pub timeout: Option<Duration>,
    /// Read the passphrase from the first line of this file instead of asking.
    #[arg(long, global = true, value_name = "FILE", env = "FARTHING_PASSPHRASE_FILE", value_parser = path())]
    pub passphrase_file: Option<PathBuf>,
    /// Read the passphrase from the first line of this open descriptor, such as 3 with `3< FILE`.
    #[arg(long, global = true, value_name = "N")]
    pub passphrase_fd: Option<u32>,
}

/// Takes an empty path too: an empty variable counts as unset, as shells leave them behind.
fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new().map(PathBuf::from)
}

fn filled_path(path: Option<&PathBuf>) -> Option<PathBuf> {
    path.filter(|path| !path.as_os_str().is_empty()).cloned()
}

impl Global {
    /// The file with the passphrase, if any.
    #[must_use]
    pub fn passphrase_file(&self) -> Option<PathBuf> {
        filled_path(self.passphrase_file.as_ref())
    }

    /// The account that was chosen, if any.
    #[must_use]
    pub fn account(&self) -> Option<&str> {
        self.account.as_deref().filter(|name| !name.is_empty())
    }

    /// What decides on network, nodes and folder.
    #[must_use]
    pub fn choices(&self) -> Choices {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Choices {
            network: filled(&self.network),
            nodes: self.node.iter().filter(|url| !url.is_empty()).cloned().collect(),
            wallet_dir: filled_path(self.wallet_dir.as_ref()),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a wallet: its folder, its settings and a first key.
    Init(NewKey),
    /// Be asked instead, step by step; so does no command at all.
    ///
    /// On a terminal only. Tab completes names, payments to you are told as they arrive, and `help` lists its words.
    Shell {
        /// Pay at most this fee in far a transfer, opening costs included. Without it the miner gets at most 0.05 far (max_fee
        /// in the settings), whatever the node estimates.
        #[arg(long, value_name = "AMOUNT", allow_negative_numbers = true)]
        max_fee: Option<String>,
    },
    /// Show the wallet, its nodes and how far they are.
    Status,
    /// Look whether all is well, and say what to do if it is not.
    Doctor,
    /// Show an address of yours, for whoever shall pay you.
    Address {
        /// The key; not needed if there is only one.
        name: Option<Name>,
    },
    /// Ask for a payment, as text or as QR code, and wait for it.
    Receive(Receive),
    /// Show what accounts hold, verified.
    Balance(Balance),
    /// Show what an account received and spent, verified.
    History(History),
    /// Send money.
    Send(Send),
    /// Pay everybody in a file: once, however often the command comes.
    Pay(Pay),
    /// One transfer: show it, wait, speed it up, call it off, prove it.
    ///
    /// Or make it in steps, as files, on machines without a network: build, inspect, sign, broadcast.
    #[command(subcommand)]
    Tx(TxCommand),
    /// Hand in again what got no answer, and say what became of it.
    Resubmit,
    /// Names for other people's addresses.
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Keys: make, take over, give out, list, back up.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Messages: sign them, check who signed them.
    #[command(subcommand)]
    Message(MessageCommand),
    /// Networks: list, add a private one, use one, find nodes.
    #[command(subcommand)]
    Network(NetworkCommand),
    /// Settings: show, choose, and where things lie.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what makes a shell complete these commands.
    ///
    /// For bash: farthing-wallet completions bash > ~/.local/share/bash-completion/completions/farthing-wallet
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write man pages, one for each command.
    Man {
        /// The folder, such as ~/.local/share/man/man1.
        folder: PathBuf,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn no_flag_takes_a_passphrase_itself() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let harmless = name.ends_with("_file") || name.ends_with("_fd") || name == "no_passphrase";
                assert!(!name.contains("pass") || harmless, "{name}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&command());
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let cli = Cli::try_parse_from(["farthing-wallet", "--network", "", "--wallet-dir", "", "status"]).unwrap();
        let choices = cli.global.choices();
        assert_eq!((choices.network, choices.wallet_dir), (None, None));
    }
}
