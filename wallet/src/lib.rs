//! The Farthing wallet: the only holder of private keys. It signs locally, and verifies what nodes tell it.
//!
//! `main` parses the command line ([`cli`]), opens the [`context`], and runs one of the [`commands`] or the
//! interactive [`session`]. Keys live in [`keystore`]; everything from a node passes [`client`] and [`verify`];
//! everything that a person reads passes [`output`].

pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod contacts;
pub mod context;
pub mod disk;
pub mod error;
pub mod history;
pub mod keystore;
pub mod name;
pub mod outbox;
pub mod output;
pub mod passphrase;
pub mod session;
pub mod terminal;
pub mod transfer;
pub mod verify;
pub mod wallet;

use std::{path::PathBuf, process::ExitCode, thread};

use clap::Parser as _;

use crate::{
    cli::Cli,
    context::Context,
    error::Exit,
    output::{Output, Parting},
    terminal::{Settings, SystemTerminal},
};

/// The whole program: parses the command line, runs the command, and turns its outcome into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    keep_memory_private();
    let cli = Cli::parse();
    let output = Output::standard(cli.global.json);
    watch_for_interruption(output.parting());
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let mut context = match Context::open(&cli.global, output, Box::new(SystemTerminal), variable) {
        Ok(context) => context,
        Err((mut output, error)) => {
            output.error(&error);
            return ExitCode::from(error.exit().code());
        }
    };
    match commands::run(&mut context, &cli) {
        Ok(()) => ExitCode::from(Exit::Ok.code()),
        Err(error) => {
            context.output.error(&error);
            ExitCode::from(error.exit().code())
        }
    }
}

/// Secrets must not end in a core dump, nor be read by another process of the same user through a debugger.
fn keep_memory_private() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    // Neither can fail in a way that should keep a person from their money.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    #[cfg(target_os = "linux")]
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
}

/// On Ctrl-C: sets the terminal right, says what is under way, and leaves with 130, whatever the wallet waits for.
fn watch_for_interruption(parting: Parting) {
    let terminal = Settings::remember();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    thread::spawn(move || {
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            terminal.restore();
            Output::interrupted(&parting);
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
}
