//! One room a command.

pub mod balance;
pub mod config;
pub mod contact;
pub mod doctor;
pub mod history;
pub mod init;
pub mod key;
pub mod manual;
pub mod message;
pub mod network;
pub mod pay;
pub mod receive;
pub mod resubmit;
pub mod send;
pub mod sign_only;
pub mod status;
pub mod terms;
pub mod tx;

use std::path::PathBuf;

use crate::{
    cli::{Cli, Command, KeyCommand, MessageCommand},
    context::Context,
    error::{Exit, Explain, Result},
    output::Output,
    session,
};

/// Why a command line without a command does nothing.
#[derive(Debug, thiserror::Error)]
#[error("no command given, and there is no terminal for an interactive session")]
struct NoCommand;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
#[error("the interactive session needs a terminal, and may not be told to ask nothing")]
struct NoTerminal;

impl Explain for NoTerminal {
    fn code(&self) -> &'static str {
        "NO_TERMINAL"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["the same on a terminal, without --no-input".into(), "farthing-wallet --help, for single commands".into()]
    }
}

impl Explain for NoCommand {
    fn code(&self) -> &'static str {
        "NO_COMMAND"
    }

    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn tries(&self) -> Vec<String> {
        vec!["farthing-wallet --help".into()]
    }
}

/// Runs what the command line says, if it is something that needs no wallet.
///
/// # Errors
/// Whatever stops the command, with its exit code.
pub fn run_without_wallet(
    output: &mut Output,
    cli: &Cli,
    variable: impl Fn(&str) -> Option<PathBuf>,
) -> Option<Result<()>> {
    match cli.command.as_ref()? {
        Command::Network(command) => Some(network::run(output, &cli.global, command, variable)),
        Command::Config(command) => Some(config::run(output, &cli.global, command, variable)),
        Command::Doctor => Some(doctor::run(output, &cli.global, variable)),
        Command::Completions { shell } => Some(manual::completions(output, *shell)),
        Command::Man { folder } => Some(manual::man(output, folder)),
        _ => None,
    }
}

/// Runs what the command line says; the rest of it.
///
/// # Errors
/// Whatever stops the command, with its exit code.
pub fn run(context: &mut Context, cli: &Cli) -> Result<()> {
    match &cli.command {
        None if context.is_interactive() => session::run(context, None),
        Some(Command::Shell { max_fee }) if context.is_interactive() => session::run(context, max_fee.as_deref()),
        None => Err(NoCommand.into()),
        Some(Command::Shell { .. }) => Err(NoTerminal.into()),
        Some(Command::Init(new)) => init::run(context, &cli.global, new),
        Some(Command::Key(command)) => run_key(context, command),
        Some(Command::Address { name }) => key::address(context, name.as_ref()),
        Some(Command::Contact(command)) => contact::run(context, command),
        Some(Command::Balance(arguments)) => balance::show(context, arguments),
        Some(Command::Receive(arguments)) => receive::run(context, arguments),
        Some(Command::Send(arguments)) => send::run(context, arguments),
        Some(Command::Pay(arguments)) => pay::run(context, arguments),
        Some(Command::History(arguments)) => history::show(context, arguments),
        Some(Command::Tx(command)) => tx::run(context, command),
        Some(Command::Message(command)) => run_message(context, command),
        Some(Command::Resubmit) => resubmit::run(context),
        Some(Command::Status) => status::run(context),
        // They ran before there was a wallet to open.
        Some(
            Command::Config(_)
            | Command::Network(_)
            | Command::Doctor
            | Command::Completions { .. }
            | Command::Man { .. },
        ) => Ok(()),
    }
}

fn run_key(context: &mut Context, command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::New(new) => key::new(context, new),
        KeyCommand::Import { file, name, dev, file_passphrase_file, no_passphrase, watch_only, signer } => {
            let request = key::Import {
                file: file.as_deref(),
                name: name.as_ref(),
                dev: dev.as_ref(),
                file_passphrase: file_passphrase_file.as_deref(),
                plain: *no_passphrase,
                watch_only: *watch_only,
                signer: signer.as_ref(),
            };
            key::import(context, &request)
        }
        KeyCommand::Export { name, format, public, unencrypted, confirm_name, out } => {
            let request = key::Request {
                name,
                format: *format,
                public: *public,
                unencrypted: *unencrypted,
                confirm_name: confirm_name.as_deref(),
                out: out.as_deref(),
            };
            key::export(context, &request)
        }
        KeyCommand::List => key::list(context),
        KeyCommand::Show { name } => key::show(context, name.as_ref()),
        KeyCommand::Rename { name, new_name } => key::rename(context, name, new_name),
        KeyCommand::Passwd { name, new_passphrase_file, no_passphrase } => {
            key::passwd(context, name, new_passphrase_file.as_deref(), *no_passphrase)
        }
        KeyCommand::Backup { file } => key::backup(context, file),
        KeyCommand::Restore { file } => key::restore(context, file),
        KeyCommand::Remove { name, confirm_name } => key::remove(context, name, confirm_name.as_deref()),
    }
}

fn run_message(context: &mut Context, command: &MessageCommand) -> Result<()> {
    match command {
        MessageCommand::Sign { file, text, format, namespace, out, force } => {
            let request = message::Sign {
                file: file.as_deref(),
                text: text.as_deref(),
                format: *format,
                namespace,
                out: out.as_deref(),
                force: *force,
            };
            message::sign(context, &request)
        }
        MessageCommand::Verify { file, text, signature, format, namespace, by, public_key } => {
            let request = message::Verify {
                file: file.as_deref(),
                text: text.as_deref(),
                signature,
                format: *format,
                namespace,
                by: by.as_deref(),
                public_key: public_key.as_deref(),
            };
            message::verify(context, &request)
        }
    }
}
