//! The miner: makes blocks of what waits, searches their nonces, hands them to the chain.

mod policy;
mod search;
mod task;
mod template;
mod threads;

#[cfg(test)]
mod tests;

pub use policy::Policy;
pub use search::Search;
pub use task::{MineError, Miner, start};
pub use template::{Reward, Template, TemplateError, build, limits};
pub(crate) use {
    policy::hesitation,
    task::{REFRESH_AFTER, RENEW_AFTER, pool_follows, prepare},
    threads::Searchers,
};
