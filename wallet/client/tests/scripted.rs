//! The client against nodes that do what a script says.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "scripted/answers.rs"]
mod answers;
#[path = "scripted/failover.rs"]
mod failover;
#[path = "scripted/frames.rs"]
mod frames;
#[path = "scripted/headers.rs"]
mod headers;
#[path = "scripted/node.rs"]
mod node;
#[path = "scripted/queries.rs"]
mod queries;
#[path = "scripted/retries.rs"]
mod retries;
#[path = "scripted/streams.rs"]
mod streams;
#[path = "scripted/watched_accounts.rs"]
mod watched_accounts;
#[path = "scripted/watched_mempool.rs"]
mod watched_mempool;
#[path = "scripted/watched_transactions.rs"]
mod watched_transactions;
