//! `network ...`.

use std::path::PathBuf;

use clap::Subcommand;

/// What to do with networks.
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// List the networks that this wallet knows, and which one is in use.
    List,
    /// Remember the file of a private network, under the name that stands in it.
    Add {
        /// The file with its parameters.
        #[arg(value_parser = super::path())]
        file: PathBuf,
    },
    /// Use a network for all later commands.
    Use {
        /// main, test, dev, one that was added, or a file.
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
    /// Look for nodes on a range of ports, and say of which network they are and how far they are.
    Find {
        /// Such as 127.0.0.1:50000-50100; one port will do.
        #[arg(value_name = "HOST:LOW-HIGH")]
        place: String,
    },
}
