//! `key ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::name::Name;

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
