//! The subcommands that ask a running node (`peers`, `status`, `mine`, `stop`): each a call on its admin socket, with the
//! answer as text for people or JSON for programs.

use tokio::runtime::Builder;

use crate::{
    config::{AdminCommand, Config},
    env::Env,
};

mod client;
mod error;
mod report;
mod table;

pub use error::ControlError;
use report::Report;

/// Asks the node that runs on the data directory of a configuration, and gives what is to be printed.
///
/// # Errors
/// See [`ControlError`].
pub fn run(config: &Config, command: &AdminCommand) -> Result<String, ControlError> {
    let env = Env::system().map_err(ControlError::Runtime)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(ControlError::Runtime)?;
    let report = runtime.block_on(client::ask(&env, &config.data_dir, &command.wish))?;
    Ok(if command.json { report.to_json() } else { report.to_text(env.clock().now()) })
}
