//! The `farthing-node` program.

use std::{
    env::{args_os, vars_os},
    error::Error,
    io::{self, Write as _},
    process::ExitCode,
};

use farthing_node::{
    config::{AdminCommand, Config, ConfigError, Invocation, LogFormat, RemoteMining, load},
    control,
    env::RealDisk,
    logging,
    offline::{self, OfflineError, Outcome},
    remote_miner,
    run::run,
    tasks::Chain,
};

#[expect(clippy::disallowed_methods, reason = "the environment enters here, and goes to the configuration")]
fn main() -> ExitCode {
    let config = match load(args_os(), vars_os(), &RealDisk) {
        Ok(Invocation::Run(config)) => config,
        Ok(Invocation::Print(text)) => return print(&text),
        Ok(Invocation::Verify(config)) => return offline(&config, offline::verify),
        Ok(Invocation::Reindex(config)) => return offline(&config, offline::reindex),
        Ok(Invocation::Ask(config, command)) => return ask(&config, &command),
        Ok(Invocation::Mine { mining, log_filter, log_format }) => return mine(mining, &log_filter, log_format),
        Err(ConfigError::Usage(error)) => {
            // clap's own form: colours, suggestions, help on stdout.
            let _ = error.print();
            return ExitCode::from(ConfigError::Usage(error).exit_code());
        }
        Err(error) => return fail(&error, error.exit_code()),
    };
    if let Err(error) = logging::init(&config.log_filter, config.log_format) {
        return fail(&error, 2);
    }
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, error.exit_code()),
    }
}

/// Work on a data directory on which no node runs.
fn offline(config: &Config, work: fn(&Config) -> Result<Outcome, OfflineError>) -> ExitCode {
    if let Err(error) = logging::init(&config.log_filter, config.log_format) {
        return fail(&error, 2);
    }
    match work(config) {
        Ok(Outcome { text, good }) => {
            let printed = print(&text);
            if good { printed } else { ExitCode::FAILURE }
        }
        Err(error) => fail(&error, 1),
    }
}

/// Mines on another node.
fn mine(mining: RemoteMining, log_filter: &str, log_format: LogFormat) -> ExitCode {
    if let Err(error) = logging::init(log_filter, log_format) {
        return fail(&error, 2);
    }
    match remote_miner::run(mining) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&error, 1),
    }
}

/// Asks a running node.
fn ask(config: &Config, command: &AdminCommand) -> ExitCode {
    match control::run(config, command) {
        Ok(text) => print(&text),
        Err(error) if command.json => {
            let _ = io::stderr().write_all(error.to_json().as_bytes());
            ExitCode::from(error.exit_code())
        }
        Err(error) => fail(&error, error.exit_code()),
    }
}

fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(error: &(dyn Error + 'static), code: u8) -> ExitCode {
    // If stderr is gone there is nobody to tell.
    let _ = writeln!(io::stderr(), "farthing-node: {}", Chain(error));
    ExitCode::from(code)
}
