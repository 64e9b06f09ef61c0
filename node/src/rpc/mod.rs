//! The public API: `farthing.v1` over the handles of chain and mempool.
//!
//! Requests become domain types in `farthing::wire`, errors become statuses in [`error`], and nothing here knows peers,
//! the miner or the store. [`routes`] and [`methods`] are what a listener needs to serve it.

use std::sync::Arc;

use farthing::wire::{
    PUBLIC_DESCRIPTORS,
    v1::{ledger_service_server::LedgerServiceServer, mining_service_server::MiningServiceServer},
};
use tonic::service::Routes;

use crate::{
    chain::Chain,
    env::Env,
    mempool::Mempool,
    network_view::NetworkView,
    server::{MethodPolicy, MethodTable, Unit, calls},
    tasks::Tasks,
};

mod accounts;
mod blocks;
mod error;
mod fees;
mod headers;
mod health;
mod info;
mod ledger;
mod limits;
mod mining;
mod oldest;
mod page;
mod proofs;
mod refusals;
mod stream;
mod submission;
mod supply;
mod transactions;
mod waiting;

#[cfg(test)]
mod tests;

pub use blocks::ShownBlocks;
#[cfg(test)]
pub(crate) use error::documented;
pub use error::{ApiError, Reason};
pub use limits::Listeners;
pub use transactions::MAX_BATCH;

/// What the API is made of.
#[derive(Debug, Clone)]
pub struct Deps {
    /// The chain.
    pub chain: Chain,
    /// The mempool.
    pub mempool: Mempool,
    /// The outside world.
    pub env: Env,
    /// Peers, state of synchronisation, mining.
    pub network: Arc<dyn NetworkView>,
    /// Blocks as readers were shown them last.
    pub shown_blocks: Arc<ShownBlocks>,
    /// The limits of the listeners, for those who ask for them.
    pub listeners: Listeners,
    /// The group in which the API's own task runs, and whose stop drains streams.
    pub tasks: Tasks,
}

/// Largest request that names one thing: an id, an address, a page.
const SMALL_REQUEST: usize = 4 * 1024;
/// Largest request with a filter of 64 addresses, the longest text of one has 77 bytes, or with the longest page token and a
/// mask of all fields.
const FILTER_REQUEST: usize = 8 * 1024;
/// Largest request with one transaction. The typed form of 4,096 canonical bytes is a little longer than they are.
const TRANSACTION_REQUEST: usize = 8 * 1024;
/// Largest request with a batch of transactions.
const BATCH_REQUEST: usize = 1024 * 1024;

/// Largest request with a block of this network.
fn block_request(params: &farthing::Params) -> usize {
    usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX).saturating_add(1024)
}

/// What a view may be larger than the canonical bytes that it shows: hex and bech32m beside every id and address.
const VIEW_FACTOR: usize = 4;
/// What an answer may hold beside one block: a page is closed at 3 MiB.
const ANSWER_OVERHEAD: usize = 4 * 1024 * 1024;

/// Largest answer. None comes near it unless this program is at fault.
fn largest_answer(params: &farthing::Params) -> usize {
    let block = usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX);
    block.saturating_mul(VIEW_FACTOR).saturating_add(ANSWER_OVERHEAD)
}

/// The services of the public listener, reflection and health included.
///
/// # Errors
/// If the descriptors that this program was built with cannot be read.
pub async fn routes(deps: &Deps) -> Result<Routes, tonic_reflection::server::Error> {
    let reflect = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(PUBLIC_DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let ledger = LedgerServiceServer::new(ledger::LedgerApi::new(deps.clone()))
        .max_decoding_message_size(BATCH_REQUEST)
        .max_encoding_message_size(largest_answer(deps.chain.params()));
    let mining = MiningServiceServer::new(mining::MiningApi::new(deps.clone()))
        .max_decoding_message_size(block_request(deps.chain.params()));
    Ok(Routes::new(ledger)
        .add_service(mining)
        .add_service(health::start(deps).await)
        .add_service(reflect().build_v1()?)
        .add_service(reflect().build_v1alpha()?))
}

/// What each method of the public listener may cost on a network.
#[must_use]
pub fn methods(params: &farthing::Params) -> MethodTable {
    // calls(at a time, a second, at once); counting(what else, a second, at once).
    let look_up = MethodPolicy::unary(SMALL_REQUEST, calls(64, 2_000, 4_000));
    let pages = MethodPolicy::unary(SMALL_REQUEST, calls(16, 200, 1_000));
    MethodTable::new()
        .with(
            "/farthing.v1.LedgerService/SubmitTransaction",
            MethodPolicy::unary(TRANSACTION_REQUEST, calls(100, 5_000, 10_000)),
        )
        .with(
            "/farthing.v1.LedgerService/SubmitTransactions",
            // Few at a time, for each is held in memory before anything of it can be looked at.
            MethodPolicy::unary(BATCH_REQUEST, calls(4, 500, 2_000)).counting(Unit::Transactions, 50_000, 200_000),
        )
        .with(
            "/farthing.v1.LedgerService/SubmitTransactionStream",
            MethodPolicy::client_stream(TRANSACTION_REQUEST, calls(8, 20, 100)).counting(
                Unit::Transactions,
                50_000,
                200_000,
            ),
        )
        .with(
            "/farthing.v1.LedgerService/SubmitTransactionAndWait",
            MethodPolicy::wait(TRANSACTION_REQUEST, calls(64, 500, 2_000), submission::DEADLINE),
        )
        // As dear as a submission that is refused behind its signature.
        .with(
            "/farthing.v1.LedgerService/SimulateTransaction",
            MethodPolicy::unary(TRANSACTION_REQUEST, calls(32, 1_000, 4_000)),
        )
        .with("/farthing.v1.LedgerService/EstimateFee", MethodPolicy::unary(TRANSACTION_REQUEST, calls(16, 200, 1_000)))
        .with("/farthing.v1.LedgerService/GetFees", MethodPolicy::unary(SMALL_REQUEST, calls(8, 50, 500)))
        // The block that holds it is read whole, unless it is in memory.
        .with("/farthing.v1.LedgerService/GetTransaction", look_up.counting(Unit::Blocks, 200, 5_000))
        // The Merkle tree of a whole block.
        .with("/farthing.v1.LedgerService/GetTransactionProof", pages)
        .with("/farthing.v1.LedgerService/GetAccount", look_up)
        .with("/farthing.v1.LedgerService/GetBlock", pages)
        // Each block of a page is read whole, however little of it is shown.
        .with("/farthing.v1.LedgerService/ListBlocks", pages.counting(Unit::Blocks, 2_000, 50_000))
        .with(
            "/farthing.v1.LedgerService/ListAccountEntries",
            MethodPolicy::unary(FILTER_REQUEST, calls(16, 200, 1_000)).counting(Unit::Blocks, 1_000, 20_000),
        )
        .with(
            "/farthing.v1.LedgerService/SubscribeBlocks",
            MethodPolicy::server_stream(FILTER_REQUEST, calls(64, 20, 200)).counting(Unit::Blocks, 2_000, 50_000),
        )
        .with(
            "/farthing.v1.LedgerService/GetHeaders",
            MethodPolicy::server_stream(SMALL_REQUEST, calls(8, 20, 100)).counting(Unit::Headers, 50_000, 1_000_000),
        )
        .with("/farthing.v1.LedgerService/GetChainProof", MethodPolicy::unary(SMALL_REQUEST, calls(2, 5, 50)))
        .with("/farthing.v1.LedgerService/GetSupply", look_up)
        .with(
            "/farthing.v1.LedgerService/SubscribeTransactions",
            MethodPolicy::server_stream(FILTER_REQUEST, calls(16, 20, 100)).counting(
                Unit::Transactions,
                100_000,
                500_000,
            ),
        )
        .with(
            "/farthing.v1.LedgerService/WatchTransaction",
            MethodPolicy::server_stream(SMALL_REQUEST, calls(128, 100, 500)).counting(Unit::Blocks, 500, 20_000),
        )
        .with(
            "/farthing.v1.LedgerService/WatchAccount",
            MethodPolicy::server_stream(SMALL_REQUEST, calls(64, 50, 200)).counting(Unit::Blocks, 500, 20_000),
        )
        .with("/farthing.v1.LedgerService/GetNodeInfo", look_up)
        .with("/farthing.v1.LedgerService/GetMempool", MethodPolicy::unary(SMALL_REQUEST, calls(8, 50, 500)))
        .with("/farthing.v1.LedgerService/GetLimits", MethodPolicy::unary(SMALL_REQUEST, calls(8, 50, 500)))
        .with(
            "/farthing.v1.MiningService/GetBlockTemplate",
            MethodPolicy::server_stream(SMALL_REQUEST, calls(4, 2, 20)),
        )
        // One at a time, for a request is held in memory before anything of it can be looked at.
        .with("/farthing.v1.MiningService/SubmitBlock", MethodPolicy::unary(block_request(params), calls(1, 20, 100)))
}
