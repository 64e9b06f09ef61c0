//! The subcommands `verify` and `reindex`: the store's offline work, with progress in the log and a result in words.

use std::{io, sync::Arc};

use crate::{
    config::Config,
    env::Env,
    node::Shown,
    store::{self, StoreError, StoreOptions},
};

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The result, for stdout.
    pub text: String,
    /// Whether all is well.
    pub good: bool,
}

/// Why the work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum OfflineError {
    /// The system gives no threads.
    #[error("the environment cannot be set up")]
    Environment(#[from] io::Error),
    /// The data directory cannot be worked on.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Checks the data directory of a configuration without changing it.
///
/// # Errors
/// If it cannot be read, or a node runs on it.
pub fn verify(config: &Config) -> Result<Outcome, OfflineError> {
    let env = Env::system()?;
    let shown = Shown::new(&env);
    let params = Arc::clone(&config.params);
    let report = store::verify(params, &env, &config.data_dir, &|progress| shown.log(progress))?;
    Ok(Outcome { text: report.to_string(), good: report.is_good() })
}

/// Rebuilds the index of the data directory of a configuration.
///
/// # Errors
/// If it cannot be read or written, or a node runs on it.
pub fn reindex(config: &Config) -> Result<Outcome, OfflineError> {
    let env = Env::system()?;
    let shown = Shown::new(&env);
    let options = StoreOptions {
        transaction_index: config.transaction_index,
        index_cache_bytes: config.index_cache_bytes,
        ..StoreOptions::default()
    };
    let params = Arc::clone(&config.params);
    let recovered = store::reindex(params, &env, &config.data_dir, options, &|progress| shown.log(progress))?;
    let view = recovered.view;
    let (tip, height, accounts) = (view.tip.id(), view.tip.height(), view.accounts.len());
    let text = format!("index rebuilt\ntip            {tip} at height {height}\naccounts       {accounts}\n");
    Ok(Outcome { text, good: true })
}
