//! What a peer may cost, method by method: the one table that the listener enforces, `GetLimits` tells and the tests
//! exceed.
//!
//! Counted for each connection, which is one session. The rates are above what an honest node needs, whatever it fetches
//! or announces (docs/limits.md); who meets one all the same waits as long as it is told, and loses nothing by it.

use super::limits::{
    BLOCK_MESSAGE_OVERHEAD, CHECKPOINT_HASHES_BYTES, CHECKPOINT_PIECE_BYTES, MAX_HEADERS_MESSAGE_BYTES,
    MAX_MESSAGE_BYTES, MAX_TRANSACTIONS_MESSAGE_BYTES, SEND_DEADLINE, announcement_bytes,
};
use crate::server::{MethodPolicy, MethodTable, Unit, calls};

const MIB: u64 = 1024 * 1024;

/// What each method of the peer service may cost on this network.
#[must_use]
pub fn methods(params: &farthing::Params) -> MethodTable {
    use Unit::{Addresses, BlockBytes, Headers, WireIds};
    let block = usize::try_from(params.max_block_bytes).unwrap_or(usize::MAX).saturating_add(BLOCK_MESSAGE_OVERHEAD);
    let largest_delivery = [MAX_TRANSACTIONS_MESSAGE_BYTES, MAX_HEADERS_MESSAGE_BYTES, CHECKPOINT_HASHES_BYTES]
        .into_iter()
        .fold(block.max(CHECKPOINT_PIECE_BYTES), usize::max);
    let transfers = (200_000, 1_000_000);
    let bytes = (64 * MIB, 128 * MIB);
    // calls(at a time, a second, at once); counting(what else, a second, at once).
    MethodTable::new()
        // One connection, one session.
        .with("/farthing.peer.v1.PeerService/Handshake", MethodPolicy::unary(4 * 1024, calls(2, 1, 8)))
        .with("/farthing.peer.v1.PeerService/Follow", MethodPolicy::session(1024, calls(1, 1, 8)))
        // A dialler announces one thing after the other, and may ask for the pool beside it.
        .with(
            "/farthing.peer.v1.PeerService/Announce",
            MethodPolicy::unary(announcement_bytes(block), calls(4, 4_000, 8_000)).counting(
                WireIds,
                transfers.0,
                transfers.1,
            ),
        )
        // As many as there are wants, and some that are late. Waits while the listener works on the piece before, which
        // may be a block with which it reorganises.
        .with(
            "/farthing.peer.v1.PeerService/Deliver",
            MethodPolicy::wait(largest_delivery, calls(24, 8_000, 8_000), SEND_DEADLINE)
                .counting(BlockBytes, bytes.0, bytes.1),
        )
        .with(
            "/farthing.peer.v1.PeerService/GetHeaders",
            MethodPolicy::unary(4 * 1024, calls(4, 250, 1_000)).counting(Headers, 200_000, 1_000_000),
        )
        .with(
            "/farthing.peer.v1.PeerService/GetBlocks",
            MethodPolicy::server_stream(4 * 1024, calls(4, 4_000, 4_000)).counting(BlockBytes, bytes.0, bytes.1),
        )
        .with("/farthing.peer.v1.PeerService/GetCompactBlock", MethodPolicy::unary(1024, calls(4, 200, 1_000)))
        .with(
            "/farthing.peer.v1.PeerService/GetBlockTransactions",
            MethodPolicy::unary(MAX_MESSAGE_BYTES, calls(4, 200, 1_000)).counting(BlockBytes, bytes.0, bytes.1),
        )
        .with(
            "/farthing.peer.v1.PeerService/GetTransactions",
            MethodPolicy::unary(MAX_MESSAGE_BYTES, calls(4, 1_000, 4_000)).counting(WireIds, transfers.0, transfers.1),
        )
        .with("/farthing.peer.v1.PeerService/GetCheckpoints", MethodPolicy::unary(1024, calls(2, 1, 16)))
        .with(
            "/farthing.peer.v1.PeerService/GetCheckpointHashes",
            MethodPolicy::unary(1024, calls(4, 100, 200)).counting(BlockBytes, bytes.0, bytes.1),
        )
        .with(
            "/farthing.peer.v1.PeerService/GetCheckpointPieces",
            MethodPolicy::server_stream(1024, calls(4, 100, 200)).counting(BlockBytes, bytes.0, bytes.1),
        )
        .with(
            "/farthing.peer.v1.PeerService/ExchangePeers",
            MethodPolicy::unary(MAX_MESSAGE_BYTES, calls(1, 1, 16)).counting(Addresses, 10, 1_000),
        )
}
