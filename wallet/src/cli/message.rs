//! `message ...`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::message::Format;

/// What to do with messages.
#[derive(Debug, Subcommand)]
pub enum MessageCommand {
    /// Sign a message, as proof that it is from whoever holds an account.
    Sign {
        /// The file with the message; stdin if left out.
        file: Option<PathBuf>,
        /// The message itself instead of a file.
        #[arg(long, conflicts_with = "file")]
        text: Option<String>,
        /// The signature's form.
        #[arg(long, value_enum, default_value_t = Format::Farthing)]
        format: Format,
        /// What the signature is for, in the form sshsig.
        #[arg(long, default_value = "file")]
        namespace: String,
        /// Write it to this new file instead of stdout; a raw one as bytes, not as base64.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// Sign in the form raw what could be a message in another form. What could be a transfer is never signed so.
        #[arg(long)]
        force: bool,
    },
    /// Check the signature of a message, and say whose it is.
    Verify {
        /// The file with the message; stdin if left out.
        file: Option<PathBuf>,
        /// The message itself instead of a file.
        #[arg(long, conflicts_with = "file")]
        text: Option<String>,
        /// The file with the signature.
        #[arg(long, value_name = "FILE")]
        signature: PathBuf,
        /// The signature's form; found out if left out.
        #[arg(long, value_enum)]
        format: Option<Format>,
        /// What the signature must be for, in the form sshsig.
        #[arg(long, default_value = "file")]
        namespace: String,
        /// Who must have signed: a key of this wallet, a contact or an address.
        #[arg(long, value_name = "WHO")]
        by: Option<String>,
        /// The file with the public key that must have signed; openssl's, OpenSSH's or Python's.
        #[arg(long, value_name = "FILE")]
        public_key: Option<PathBuf>,
    },
}
