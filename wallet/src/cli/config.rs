//! `config ...`.

use clap::Subcommand;

/// What to do with the settings.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Show a setting, or all of them and where they come from.
    Get {
        /// Which one; all if left out.
        key: Option<String>,
    },
    /// Choose something for all later commands; comments and everything else in the file stay.
    Set {
        /// Which one: network, node, account, quorum, timeout, max_fee, minimum_work or color.
        key: String,
        /// The value.
        value: String,
    },
    /// Choose nothing any more: the default holds again.
    Unset {
        /// Which one.
        key: String,
    },
    /// Show where settings, keys and contacts lie.
    Path,
}
