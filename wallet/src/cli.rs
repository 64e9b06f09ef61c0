//! The command line.

use std::path::PathBuf;

use clap::{
    Args, Parser, Subcommand,
    builder::{OsStringValueParser, TypedValueParser},
};

use crate::{
    config::Choices,
    error::{Exit, Report},
    name::Name,
};

/// Holds the keys, signs transfers, and checks what the node says.
///
/// Exit codes: 0 done, 1 other, 2 usage, 3 declined, 4 wrong passphrase, 5 not enough money, 6 node unreachable,
/// 7 rejected by the node, 8 submitted but not confirmed, 9 the node's answer failed verification, 130 interrupted.
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

/// What is wrong with a command line, for programs; people get the parser's own words.
#[must_use]
pub fn report(error: &clap::Error) -> Report {
    let text = error.render().to_string();
    let what = text.lines().next().unwrap_or_default();
    let why: Vec<&str> = text.lines().skip(1).map(str::trim).filter(|line| !line.is_empty()).collect();
    Report {
        code: "USAGE",
        what: what.strip_prefix("error: ").unwrap_or(what).to_owned(),
        why: (!why.is_empty()).then(|| why.join("; ")),
        tries: vec!["farthing-wallet --help".to_owned()],
        exit: Exit::Usage.code(),
    }
}

/// Flags of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// main, test, dev, or the file of a private network.
    #[arg(long, global = true, value_name = "NAME|FILE", env = "FARTHING_NETWORK")]
    pub network: Option<String>,
    /// The node to ask.
    #[arg(long, global = true, value_name = "URL", env = "FARTHING_NODE")]
    pub node: Option<String>,
    /// The wallet's folder.
    #[arg(long, global = true, value_name = "FOLDER", env = "FARTHING_WALLET_DIR", value_parser = path())]
    pub wallet_dir: Option<PathBuf>,
    /// Print results and errors as JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// Read the passphrase from the first line of this file instead of asking.
    #[arg(long, global = true, value_name = "FILE", env = "FARTHING_PASSPHRASE_FILE", value_parser = path())]
    pub passphrase_file: Option<PathBuf>,
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

    /// What decides on network, node and folder.
    #[must_use]
    pub fn choices(&self) -> Choices {
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        Choices {
            network: filled(&self.network),
            node: filled(&self.node),
            wallet_dir: filled_path(self.wallet_dir.as_ref()),
        }
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Set up a wallet: its folder, its settings and a first key.
    Init(NewKey),
    /// Keys: make, import, export, list.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Show the address of a key.
    Address {
        /// The key; not needed if there is only one.
        name: Option<Name>,
    },
    /// Names for other people's addresses.
    #[command(subcommand)]
    Contact(ContactCommand),
    /// Show what an account holds, proven by the node.
    Balance {
        /// A key, a contact or an address; all keys if left out.
        account: Option<String>,
    },
    /// Send money.
    Send(Send),
    /// Show what an account received and spent, proven by the node.
    History {
        /// A key, a contact or an address; not needed if there is only one key.
        account: Option<String>,
        /// At most so many entries, the newest first.
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Submit again what the outbox holds: transfers whose answer was lost.
    Resubmit,
    /// Show what the node is and how far it is.
    Status,
}

/// How a new key is made.
#[derive(Debug, Args)]
pub struct NewKey {
    /// Its name: a-z, 0-9, '.', '_' and '-'.
    #[arg(default_value = "me")]
    pub name: Name,
    /// Size in bits; larger keys sign slower and cost higher fees.
    #[arg(long, default_value = "2048", value_parser = ["2048", "3072", "4096"])]
    pub bits: String,
    /// Leave the key unencrypted; on development networks only.
    #[arg(long)]
    pub no_passphrase: bool,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key.
    New(NewKey),
    /// Take over a key: PKCS#1, PKCS#8 (plain or encrypted), OpenSSH or Python `rsa`, in PEM.
    Import {
        /// The file.
        #[arg(required_unless_present = "dev", conflicts_with = "dev")]
        file: Option<PathBuf>,
        /// Its name in this wallet; the file's name if left out.
        #[arg(long)]
        name: Option<Name>,
        /// A well-known key of the development network: alice, bob, carol or dave.
        #[arg(long, value_name = "NAME")]
        dev: Option<Name>,
        /// Passphrase of the file, when it differs from the one that shall guard the key here.
        #[arg(long, value_name = "FILE", conflicts_with = "dev")]
        file_passphrase_file: Option<PathBuf>,
        /// Leave the key unencrypted; on development networks only.
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Print a key as PEM: encrypted, unless told otherwise.
    Export {
        /// The key.
        name: Name,
        /// The public half only.
        #[arg(long, conflicts_with = "plain")]
        public: bool,
        /// The private key WITHOUT encryption: whoever reads it owns the money.
        #[arg(long)]
        plain: bool,
        /// Write it to this new file instead of stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys.
    List,
}

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub enum ContactCommand {
    /// Remember an address under a name.
    Add {
        /// The name.
        name: Name,
        /// The address.
        address: String,
    },
    /// Forget a name.
    Remove {
        /// The name.
        name: Name,
    },
    /// List the contacts.
    List,
}

/// A transfer.
#[derive(Debug, Args)]
pub struct Send {
    /// Who receives: a contact, a key of this wallet, or an address.
    pub to: String,
    /// How much, in far, such as 12.5.
    pub amount: String,
    /// The key that pays; not needed if there is only one.
    #[arg(long, value_name = "NAME")]
    pub from: Option<Name>,
    /// Fee in far, opening costs included; computed if left out.
    #[arg(long, value_name = "AMOUNT")]
    pub fee: Option<String>,
    /// At most 256 bytes for the recipient, public for ever.
    #[arg(long, value_name = "TEXT")]
    pub memo: Option<String>,
    /// Wait until the transfer has so many confirmations.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub wait: u64,
    /// Give up waiting after so many seconds (exit code 8; the transfer stays submitted).
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub timeout: u64,
    /// Do not ask for confirmation.
    #[arg(long, short)]
    pub yes: bool,
    /// Sign and print the request for SubmitTransaction as JSON, for grpcurl or another machine; submit nothing.
    #[arg(long, conflicts_with_all = ["wait", "timeout"])]
    pub sign_only: bool,
    /// Ask no node: sign the transfer with this nonce, how many the key has paid before. Needs --fee.
    #[arg(long, value_name = "N", requires_all = ["sign_only", "fee"])]
    pub nonce: Option<u64>,
    /// The last block that may include what is signed; without it, it stays good until its nonce is used.
    #[arg(long, value_name = "HEIGHT", requires = "sign_only", value_parser = clap::value_parser!(u64).range(1..))]
    pub valid_until: Option<u64>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn no_flag_takes_a_passphrase_itself() {
        fn check(command: &clap::Command) {
            for argument in command.get_arguments() {
                let name = argument.get_id().as_str();
                let harmless = name.ends_with("_file") || name == "no_passphrase";
                assert!(!name.contains("pass") || harmless, "{name}");
            }
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let cli = Cli::try_parse_from(["farthing-wallet", "--network", "", "--wallet-dir", "", "status"]).unwrap();
        let choices = cli.global.choices();
        assert_eq!((choices.network, choices.wallet_dir), (None, None));
    }
}
