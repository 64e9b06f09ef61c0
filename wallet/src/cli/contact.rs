//! `contact ...`.

use std::path::PathBuf;

use clap::Subcommand;

use crate::name::Name;

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub enum ContactCommand {
    /// Remember an address under a name.
    Add {
        /// The name: a-z, 0-9, '.', '_' and '-'.
        name: Name,
        /// The address.
        address: String,
    },
    /// List the contacts.
    List,
    /// Show a contact, and what your keys paid to it and got from it.
    Show {
        /// The name.
        name: Name,
        /// Ask no node: only the address and the transfers that this wallet still keeps.
        #[arg(long)]
        offline: bool,
    },
    /// Give a contact another name.
    Rename {
        /// The name now.
        name: Name,
        /// The name from now on.
        new_name: Name,
    },
    /// Forget a name.
    Remove {
        /// The name.
        name: Name,
    },
    /// Take over contacts from lines `name,address`, or from the contacts.toml of another wallet: all or none.
    Import {
        /// The file; - for stdin.
        file: PathBuf,
    },
}
