//! Many readers of `SubscribeBlocks` while nodes are killed and the chain reorganises: whatever happens, each ends with
//! exactly what the nodes hold, and saw neither a gap nor a block twice.
//!
//! Two real nodes in processes of their own follow a node in this process, whose blocks are made here: on time, in
//! bursts, as longer branches and as shorter ones with more work. What each reader must see is in [`state`].

mod author;
mod lines;
mod model;
mod reader;
#[cfg(test)]
mod small;
mod state;
#[cfg(test)]
mod state_tests;
mod world;

pub(crate) use world::{Settings, run};
