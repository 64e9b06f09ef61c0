//! Compact relay: a block travels as its header, its coinbase and six bytes a transaction, for the other side mostly has
//! the transactions; those that it lacks follow in one round trip. After BIP 152.
//!
//! Short ids can collide, and a pool can hold another signature of the same transfer. So a block that does not come
//! together is nobody's fault: it is fetched whole.

mod block;
mod counters;
mod draft;
mod fetch;
mod push;
mod relay;
mod short_id;

#[cfg(test)]
mod tests;

pub(super) use self::{
    block::CompactBlock,
    fetch::fetch,
    push::{push, take_announced},
    relay::{Relay, serve_block, serve_transactions},
};
pub use counters::RelayCounts;
pub(super) use counters::Sent;
