//! `key ...`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::{
    keystore::{Format, Holder},
    name::Name,
};

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
    /// Who shall hold the private key: file, or a pkcs11: URI with the object that the token shall make.
    #[arg(long, value_name = "SIGNER", default_value = "file", value_parser = str::parse::<Holder>)]
    pub signer: Holder,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Make a key.
    New(NewKey),
    /// Take over a key: PKCS#1, PKCS#8 (plain or encrypted), OpenSSH or Python `rsa`, in PEM.
    Import {
        /// The file; - for stdin.
        #[arg(required_unless_present_any = ["dev", "signer"], conflicts_with = "dev")]
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
        /// Keep the public half only: the account is watched, and nothing can be spent. Takes public keys of openssl,
        /// OpenSSH and Python `rsa` too.
        #[arg(long, conflicts_with_all = ["dev", "no_passphrase"])]
        watch_only: bool,
        /// Who holds the private key: file, ssh-agent, or a pkcs11: URI of a key in a token. The wallet never sees the
        /// private key of the last two; FILE is then the public half, needed if the agent has several keys.
        #[arg(long, value_name = "SIGNER", value_parser = str::parse::<Holder>,
            conflicts_with_all = ["dev", "watch_only", "no_passphrase", "file_passphrase_file"])]
        signer: Option<Holder>,
    },
    /// Print a key: encrypted, unless told otherwise.
    Export {
        /// The key.
        name: Name,
        /// The form: PKCS#8, PKCS#1, OpenSSH, or the public half as SubjectPublicKeyInfo.
        #[arg(long, value_enum, default_value_t = Format::Pkcs8)]
        format: Format,
        /// The public half only.
        #[arg(long, conflicts_with = "unencrypted")]
        public: bool,
        /// The private key WITHOUT encryption: whoever reads it owns the money. Asks for the key's name.
        #[arg(long, alias = "plain")]
        unencrypted: bool,
        /// The key's name once more, for scripts: what --unencrypted asks for on a terminal.
        #[arg(long, value_name = "NAME", requires = "unencrypted")]
        confirm_name: Option<String>,
        /// Write it to this new file instead of stdout.
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// List the keys.
    List,
    /// Show what is known of a key without its passphrase.
    Show {
        /// The key; not needed if there is only one.
        name: Option<Name>,
    },
    /// Give a key another name.
    Rename {
        /// The name now.
        name: Name,
        /// The name from now on.
        new_name: Name,
    },
    /// Give a key another passphrase.
    Passwd {
        /// The key.
        name: Name,
        /// Read the new passphrase from the first line of this file instead of asking.
        #[arg(long, value_name = "FILE")]
        new_passphrase_file: Option<PathBuf>,
        /// Leave the key unencrypted; on development networks only.
        #[arg(long, conflicts_with = "new_passphrase_file")]
        no_passphrase: bool,
    },
    /// Write keys, contacts, settings and unsettled transfers of all networks into one new file, encrypted under a
    /// passphrase. `age -d FILE | tar x` opens it too.
    Backup {
        /// The new file.
        file: PathBuf,
    },
    /// Write what is in a backup and not here. Nothing is overwritten.
    Restore {
        /// The backup.
        file: PathBuf,
    },
    /// Remove a key for good. Asks for its name.
    Remove {
        /// The key.
        name: Name,
        /// The key's name once more, for scripts: what is asked for on a terminal.
        #[arg(long, value_name = "NAME")]
        confirm_name: Option<String>,
    },
}
