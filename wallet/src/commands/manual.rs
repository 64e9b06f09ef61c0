//! `completions` and `man`: what shells and readers of manuals want, made from the definitions of the command line.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

use clap_complete::Shell;
use clap_mangen::Man;
use serde::Serialize;

use crate::{
    cli,
    error::{Exit, Explain, Result},
    output::Output,
};

/// Why the pages could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the man pages to {}", folder.display())]
struct ManError {
    folder: PathBuf,
    #[source]
    source: io::Error,
}

impl Explain for ManError {
    fn code(&self) -> &'static str {
        "FILE_IO"
    }

    fn exit(&self) -> Exit {
        Exit::Other
    }

    fn tries(&self) -> Vec<String> {
        vec!["a folder of your own, such as ~/.local/share/man/man1".into()]
    }
}

#[derive(Serialize)]
struct Completions {
    shell: String,
    script: String,
}

impl fmt::Display for Completions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.script)
    }
}

#[derive(Serialize)]
struct Pages {
    folder: PathBuf,
    pages: Vec<String>,
}

impl fmt::Display for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pages.iter().try_for_each(|page| writeln!(f, "{}", self.folder.join(page).display()))
    }
}

/// Prints what makes a shell complete this wallet's commands.
///
/// # Errors
/// When it cannot be printed.
pub fn completions(output: &mut Output, shell: Shell) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::command(), "farthing-wallet", &mut script);
    let mut script = String::from_utf8_lossy(&script).into_owned();
    if shell == Shell::Bash {
        // The generator writes a hyphen in the program's name in two ways, so that nothing below it completes
        // (clap issue 6421); a test completes every command.
        script = script.replace("farthing__subcmd__wallet", "farthing__wallet");
    }
    Ok(output.data(&Completions { shell: shell.to_string(), script })?)
}

/// Writes a man page for every command, over those of an earlier version.
///
/// # Errors
/// When the folder or a page cannot be written.
pub fn man(output: &mut Output, folder: &Path) -> Result<()> {
    let failed = |source| ManError { folder: folder.to_owned(), source };
    fs::create_dir_all(folder).map_err(failed)?;
    let mut root = cli::command();
    root.build();
    let mut pages = Vec::new();
    write(&root, folder, &mut pages).map_err(failed)?;
    pages.sort();
    output.data(&Pages { folder: folder.to_owned(), pages })?;
    output.note("read them with: man -l FILE, or as man farthing-wallet if the folder is one of man's");
    Ok(())
}

fn write(command: &clap::Command, folder: &Path, pages: &mut Vec<String>) -> io::Result<()> {
    let page = Man::new(command.clone());
    page.generate_to(folder)?;
    pages.push(page.get_filename());
    let mut inner = command.get_subcommands().filter(|inner| !inner.is_hide_set());
    inner.try_for_each(|inner| write(inner, folder, pages))
}
