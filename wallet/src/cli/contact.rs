//! `contact ...`.

use clap::Subcommand;

use crate::name::Name;

/// What to do with contacts.
#[derive(Debug, Subcommand)]
pub enum ContactCommand {
    /// Remember an address under a name.
    Add {
        /// The name.
        name: Name,
        /// The address.
        address: String,
    },
    /// Forget a name.
    Remove {
        /// The name.
        name: Name,
    },
    /// List the contacts.
    List,
}
