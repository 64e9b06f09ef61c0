//! The Farthing wallet: the only holder of private keys. It signs locally, and verifies what nodes tell it.
//!
//! `main` parses the command line ([`cli`]), opens the [`context`], and runs one of the [`commands`] or the
//! interactive [`session`]. Keys live in [`keystore`]; everything from a node passes [`client`] and [`verify`];
//! everything that a person reads passes [`output`].

#[cfg(test)]
mod advice_tests;
mod age;
pub mod armor;
pub mod backup;
pub mod cli;
pub mod client;
pub mod commands;
pub mod config;
pub mod contacts;
pub mod context;
pub mod depth;
pub mod disk;
pub mod error;
pub mod fate;
pub mod history;
pub mod keystore;
pub mod light;
pub mod lookalike;
pub mod message;
pub mod name;
pub mod outbox;
pub mod output;
pub mod passphrase;
pub mod payment_uri;
pub mod receipt;
pub mod recipients;
pub mod session;
pub mod terminal;
pub mod transfer;
pub mod transfer_file;
pub mod verify;
pub mod wallet;
pub mod watch;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, thread};

use clap::{ColorChoice, FromArgMatches as _, error::ErrorKind};

use crate::{
    cli::Cli,
    context::Context,
    error::Exit,
    output::{Output, Parting, style::Styled},
    terminal::{Settings, SystemTerminal},
};

/// The flag that keeps colours away, as it may be spelt.
const PLAIN: &[&str] = &["--no-color", "--no-colour"];

/// The whole program: parses the command line, runs the command, and turns its outcome into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    keep_memory_private();
    let cli = match parse() {
        Ok(cli) => cli,
        Err(error) => return refuse_words(&error),
    };
    let variable = |name: &str| std::env::var_os(name).map(PathBuf::from);
    let plain = cli.global.no_color || config::file::forbids_colours(&cli.global.choices(), variable);
    let mut output = Output::standard(cli.global.json).quiet(cli.global.quiet).styled(Styled::standard(plain));
    watch_for_interruption(cli.global.json, output.parting());
    if let Some(outcome) = commands::run_without_wallet(&mut output, &cli, variable) {
        return end(&mut output, outcome);
    }
    let mut context = match Context::open(&cli.global, output, Box::new(SystemTerminal::default()), variable) {
        Ok(context) => context,
        Err((mut output, error)) => {
            output.error(&error);
            return ExitCode::from(error.exit().code());
        }
    };
    let outcome = commands::run(&mut context, &cli);
    context.tell_remarks();
    end(&mut context.output, outcome)
}

fn end(output: &mut Output, outcome: Result<(), error::Error>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::from(Exit::Ok.code()),
        Err(error) => {
            match error.exit() {
                // Ctrl-C where it was a key like others: the end is the same.
                Exit::Interrupted => Output::interrupted(output.is_json(), &output.parting()),
                _ => output.error(&error),
            }
            ExitCode::from(error.exit().code())
        }
    }
}

/// Whether one of the words is a flag, before the flags are read.
fn is_said(flags: &[&str]) -> bool {
    std::env::args_os().any(|word| flags.iter().any(|flag| word == *flag))
}

/// The words of the command line; `help COMMAND` means `COMMAND --help`, as in other programs.
fn words() -> Vec<OsString> {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// Reads the command line. Help comes before its flags are known, so that the one about colours is looked for beforehand.
fn parse() -> Result<Cli, clap::Error> {
    let colours = if is_said(PLAIN) { ColorChoice::Never } else { ColorChoice::Auto };
    let mut command = cli::command().color(colours);
    let matches = command.try_get_matches_from_mut(words())?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Ends a command line that cannot be read; `--help` and `--version` come this way too.
fn refuse_words(error: &clap::Error) -> ExitCode {
    // Help that was not asked for is printed on stderr as it is.
    let is_help = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if error.use_stderr() && (!is_help || is_said(&["--json"])) {
        let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let mut output = Output::standard(is_said(&["--json"])).styled(Styled::standard(is_said(PLAIN)));
        output.report(cli::report(error, &words));
    } else {
        // Nobody is left to tell when printing fails.
        let _ = error.print();
    }
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Exit::Usage.code()))
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
fn watch_for_interruption(json: bool, parting: Parting) {
    let terminal = Settings::remember();
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return;
    };
    thread::spawn(move || {
        while runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            // Someone waits for something that can be given up.
            if parting.is_press_taken() {
                continue;
            }
            terminal.restore();
            Output::interrupted(json, &parting);
            std::process::exit(Exit::Interrupted.code().into());
        }
    });
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn this_processs_memory_cannot_be_dumped_or_traced() {
        use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
        super::keep_memory_private();
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        assert_eq!(getrlimit(Resource::Core).current, Some(0));
    }
}
