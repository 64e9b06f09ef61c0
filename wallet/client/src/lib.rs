//! Speaks to Farthing nodes for a service in Rust.
//!
//! A [`Client`] asks one or several nodes of one network: it tries again with growing pauses ([`RetryPolicy`] has the
//! table), goes to the next node when one fails, lags or lies, and holds what it is told against proofs
//! ([`Trust::Verify`]). [`Client::follow`] is the chain as a stream that never ends: blocks applied and undone, over
//! restarts of nodes and of the program. [`Client::watch_account`] and [`Client::watch_transaction`] are the same for one
//! account and for one transfer, [`Client::watch_mempool`] for what waits.
//!
//! Nothing here holds a private key, reads a clock of the network or writes to disk.
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use farthing::{Height, Network};
//! use farthing_client::{BlockEvent, Client, Start};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let network = Arc::new(Network::Dev.params().clone());
//! let client = Client::builder(network)
//!     .node("http://127.0.0.1:50051".parse()?)
//!     .node("http://127.0.0.1:50052".parse()?)
//!     .user_agent("our-shop/1.0")
//!     .build()?;
//!
//! // An account, proven against a header with work.
//! let alice = client.network().allocations[0].address;
//! let account = client.account(&alice).await?;
//! println!("{} far, {:?}", account.state().balance, account.proven.map(|proven| proven.evidence()));
//!
//! // The chain from its first block, for ever. Store the cursor with what the block led to, in one transaction, and
//! // start with `Start::Cursor` next time.
//! let mut blocks = client.follow(Start::Height(Height::GENESIS));
//! loop {
//!     let frame = blocks.next().await?;
//!     match frame.event {
//!         BlockEvent::Apply(block) => println!("+ {} {}", block.height(), block.id()),
//!         BlockEvent::Undo { height, id } => println!("- {height} {id}"),
//!     }
//! }
//! # }
//! ```

mod advice;
mod answers;
mod blocks;
mod calls;
mod client;
mod cursor;
mod error;
mod follow;
mod headers;
mod lists;
mod place;
mod pool;
mod proofs;
mod read;
mod retry;
mod text;
mod url;
pub mod verify;
mod waits;
mod watch;
mod watch_account;
mod watch_mempool;
mod watch_transaction;

pub use self::{
    answers::{
        AccountView, BlockRef, ChainBlock, EntryView, MempoolPage, NodeInfo, Page, PageToken, Peer, TransactionView,
        Verdict, WaitingTransaction,
    },
    blocks::{BlockEvent, Blocks, Frame, Start},
    client::{Builder, Client, Trust},
    cursor::{Cursor, CursorError},
    error::{Error, Refusal},
    headers::{HeaderBatch, Headers, HeadersFrom},
    proofs::{MinedTransaction, ShownChain, Supply},
    retry::RetryPolicy,
    text::printable,
    url::{NodeUrl, NodeUrlError},
    waits::{FeeEstimate, FeeEstimates, Simulation, WaitFor, Waited},
    watch::WatchStart,
    watch_account::{AccountAt, AccountEvent, AccountFrame, AccountWatch},
    watch_mempool::{MempoolCursor, MempoolEvent, MempoolExit, MempoolFrame, MempoolWatch},
    watch_transaction::{TransactionFrame, TransactionWatch, WatchedStatus},
};
