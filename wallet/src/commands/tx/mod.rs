//! `tx ...`: one transfer, as a file on its way from machine to machine, or on the chain.

mod broadcast;
mod build;
mod inspect;
mod particulars;
mod prove;
mod replace;
mod show;
mod sign;
mod standing;
mod verify_proof;
mod wait;

use std::path::{Path, PathBuf};

use self::particulars::Particulars;
use crate::{cli::TxCommand, context::Context, disk, error::Result, transfer_file::TransferFile};

/// Runs one of them.
///
/// # Errors
/// Whatever stops it.
pub fn run(context: &mut Context, command: &TxCommand) -> Result<()> {
    match command {
        TxCommand::Build(arguments) => build::run(context, arguments),
        TxCommand::Inspect { file, message_out } => inspect::run(context, file, message_out.as_deref()),
        TxCommand::Sign { file, out, signature } => sign::run(context, file, out.as_deref(), signature.as_deref()),
        TxCommand::Broadcast { file, wait } => broadcast::run(context, file, wait.wanted()),
        TxCommand::Show { id } => show::run(context, id),
        TxCommand::Wait { id, confirmations } => wait::run(context, id, *confirmations),
        TxCommand::Bump(arguments) => replace::run(context, arguments, replace::What::Bump),
        TxCommand::Cancel(arguments) => replace::run(context, arguments, replace::What::Cancel),
        TxCommand::Prove { id, out } => prove::run(context, id, out.as_deref()),
        TxCommand::VerifyProof { file } => verify_proof::run(context, file),
    }
}

/// `-` stands for what comes through a pipe.
fn or_pipe(path: &Path) -> &Path {
    if path == Path::new("-") { Path::new("/dev/stdin") } else { path }
}

/// Reads a transfer's file.
fn read(context: &Context, path: &Path) -> Result<TransferFile> {
    Ok(TransferFile::read(or_pipe(path), context.settings.network())?)
}

/// Gives the file to the person: into a new file, or printed. As JSON, it comes with all particulars.
fn hand_over(context: &mut Context, file: &TransferFile, out: Option<&Path>) -> Result<()> {
    let text = file.to_text();
    if let Some(out) = out {
        disk::create_private(out, text.as_bytes())?;
    }
    let particulars = Particulars::of(context, file)?;
    let path = out.map(Path::to_owned);
    Ok(context.output.data(&Handed { particulars, path, text })?)
}

/// A file that was made, and what it says.
#[derive(serde::Serialize)]
struct Handed {
    #[serde(flatten)]
    particulars: Particulars,
    /// Where it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<PathBuf>,
    /// The file itself.
    #[serde(rename = "transfer_file")]
    text: String,
}

impl std::fmt::Display for Handed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}", path.display()),
            None => f.write_str(&self.text),
        }
    }
}
