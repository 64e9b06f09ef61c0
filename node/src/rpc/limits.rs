//! What this node takes at most, told from the values that enforce it.

use farthing::{
    limits::{MAX_COINBASE_TAG_BYTES, MAX_FUTURE_MS, MAX_MEMO_BYTES, MAX_OUTPUTS, MAX_TRANSACTION_BYTES},
    wire::{MAX_MASK_PATH_BYTES, MAX_MASK_PATHS, v1},
};

use super::{Deps, accounts, blocks, page::PAGE_BYTES, transactions::MAX_BATCH, waiting};
use crate::server::{MethodPolicy, Rate, ServerSettings};

/// The limits of the two listeners that strangers reach.
#[derive(Debug, Clone)]
pub struct Listeners {
    /// The public API's, which serves this.
    pub public: ServerSettings,
    /// The one for nodes.
    pub peers: ServerSettings,
}

pub(super) fn get(deps: &Deps) -> v1::GetLimitsResponse {
    v1::GetLimitsResponse {
        protocol: Some(protocol(deps)),
        api: Some(api(deps)),
        public_listener: Some(listener(&deps.listeners.public)),
        peer_listener: Some(listener(&deps.listeners.peers)),
    }
}

fn protocol(deps: &Deps) -> v1::ProtocolLimits {
    let params = deps.chain.params();
    v1::ProtocolLimits {
        max_block_bytes: params.max_block_bytes,
        max_block_signature_units: params.max_signature_units,
        max_block_openings: params.max_openings,
        opening_cost_mites: params.opening_cost.get(),
        reward_delay_blocks: params.reward_delay,
        max_future_ms: MAX_FUTURE_MS,
        max_transaction_bytes: number(MAX_TRANSACTION_BYTES),
        max_transaction_outputs: number(MAX_OUTPUTS),
        max_memo_bytes: number(MAX_MEMO_BYTES),
        max_coinbase_tag_bytes: number(MAX_COINBASE_TAG_BYTES),
    }
}

fn api(deps: &Deps) -> v1::ApiLimits {
    let pool = deps.mempool.limits();
    v1::ApiLimits {
        max_batch_transactions: number(MAX_BATCH),
        max_blocks_page_size: number(blocks::MAX_PAGE),
        max_account_entries_page_size: number(accounts::MAX_PAGE),
        max_mempool_page_size: number(waiting::MAX_PAGE),
        max_page_bytes: number(PAGE_BYTES),
        max_mempool_bytes: pool.bytes as u64,
        max_pending_per_account: number(pool.executable_per_account),
        max_queued_per_account: number(pool.queued_per_account),
        min_fee_mites_per_byte: pool.floor_mites_per_byte,
        max_mask_paths: number(MAX_MASK_PATHS),
        max_mask_path_bytes: number(MAX_MASK_PATH_BYTES),
    }
}

fn listener(settings: &ServerSettings) -> v1::ListenerLimits {
    let new_connections = |of: Rate| Some(rate("connections", of));
    v1::ListenerLimits {
        max_connections: number(settings.connections.total),
        max_connections_per_network: number(settings.connections.per_prefix),
        max_calls_per_connection: settings.max_streams,
        counts_own_machine: settings.counts_own_machine,
        methods: settings.methods.iter().map(|(path, policy)| method(path, policy)).collect(),
        new_connections_per_network: new_connections(settings.new_connections.per_network),
        new_connections: new_connections(settings.new_connections.total),
        new_connections_of_newcomers: new_connections(settings.new_connections.newcomers),
        resets_per_connection: Some(rate("resets", settings.resets)),
    }
}

fn method(path: &str, policy: &MethodPolicy) -> v1::MethodLimits {
    let calls = policy.calls();
    v1::MethodLimits {
        method: path.to_owned(),
        max_request_bytes: number(policy.max_message()),
        deadline_ms: policy.deadline().map_or(0, |deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
        max_open_calls: calls.at_a_time,
        calls: Some(rate("calls", calls.rate)),
        items: policy.items().map(|(unit, items)| rate(unit.as_str(), items)),
    }
}

fn rate(unit: &str, Rate { per_second, burst }: Rate) -> v1::RateLimit {
    v1::RateLimit { unit: unit.to_owned(), per_second, burst }
}

fn number(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}
