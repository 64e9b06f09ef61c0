//! Every number that bounds what a peer can cost (SPEC section 11, "Limits").

use std::time::Duration;

use farthing::{
    checkpoint::{MAX_PIECE_BYTES, MAX_PIECES},
    limits::MIN_TRANSACTION_BYTES,
};

/// Version of the peer protocol.
pub(super) const PROTOCOL_VERSION: u32 = 1;

/// Longest version text of a hello in bytes.
pub(super) const MAX_VERSION_BYTES: usize = 64;
/// Longest network name of a hello in bytes, as for parameters.
pub(super) const MAX_NETWORK_NAME_BYTES: usize = 32;
/// Longest address of a host in bytes: an IPv6 address with room to spare.
pub(super) const MAX_HOST_BYTES: usize = 64;
/// Most headers of an answer.
pub(super) const MAX_HEADERS: usize = 2_000;
/// Most headers of an announced tip.
pub(super) const MAX_TIP_HEADERS: usize = 16;
/// Most ids of a locator.
pub(super) const MAX_LOCATOR_IDS: usize = 64;
/// Most wire ids of a message.
pub(super) const MAX_WIRE_IDS: usize = 1_000;
/// Most transactions of a message.
pub(super) const MAX_TRANSACTIONS: usize = 1_000;
/// Most block ids of a request.
pub(super) const MAX_BLOCK_IDS: usize = 16;
/// Most places of transactions in a query for them; what lacks more is fetched whole.
pub(super) const MAX_BLOCK_INDEXES: usize = 16_384;
/// Blocks are asked for compactly when at most so many bodies are missing: only near the tip has a node their transactions.
pub(super) const MAX_COMPACT_BEHIND: usize = 3;
/// Salts that are tried before a block is given whole because short ids collide within it.
pub(super) const COMPACT_SALTS: usize = 4;
/// Peers that tips are pushed to compactly, without being asked: those that asked last.
pub(super) const MAX_PUSHED_PEERS: usize = 3;
/// Tips that are pushed to a peer before it has to ask again, which shows that it still needs them from here.
pub(super) const PUSHES: u32 = 8;
/// Most checkpoints of an answer.
pub(super) const MAX_CHECKPOINTS: usize = 16;
/// Most pieces of a checkpoint in a request.
pub(super) const MAX_PIECES_AT_ONCE: u64 = 16;
/// Largest message with the hashes of a checkpoint's pieces.
pub(super) const CHECKPOINT_HASHES_BYTES: usize = MAX_PIECES * 32 + BLOCK_MESSAGE_OVERHEAD;
/// Largest message with a piece of a checkpoint.
pub(super) const CHECKPOINT_PIECE_BYTES: usize = MAX_PIECE_BYTES + BLOCK_MESSAGE_OVERHEAD;
/// Most addresses of an exchange.
pub(super) const MAX_ADDRESSES: usize = 100;

/// How many transactions this node asks for at once: even the largest ones then fit the answer's size.
pub(super) const TRANSACTIONS_PER_REQUEST: usize = 250;

/// Largest message without an own limit.
pub(super) const MAX_MESSAGE_BYTES: usize = 64 * 1024;
/// Largest message with headers.
pub(super) const MAX_HEADERS_MESSAGE_BYTES: usize = 256 * 1024;
/// Largest message with transactions.
pub(super) const MAX_TRANSACTIONS_MESSAGE_BYTES: usize = 1024 * 1024;
/// What a message around a block may add to it.
pub(super) const BLOCK_MESSAGE_OVERHEAD: usize = 1024;

/// Largest message with a compact block, on a network whose blocks have so many bytes: six for each of the shortest
/// transactions that fit.
pub(super) const fn compact_block_bytes(max_block_bytes: usize) -> usize {
    max_block_bytes / MIN_TRANSACTION_BYTES * 6 + BLOCK_MESSAGE_OVERHEAD
}

/// Largest announcement: one that comes with a compact block.
pub(super) const fn announcement_bytes(max_block_bytes: usize) -> usize {
    MAX_MESSAGE_BYTES + compact_block_bytes(max_block_bytes)
}

/// Wants of a listener that may be open at a time.
pub(super) const MAX_WANTS: usize = 16;
/// How long a request or a want waits for its answer, or for the next piece of it, once its turn has come; headers and
/// bodies up to [`MAX_PATIENCE`].
pub(super) const ANSWER_DEADLINE: Duration = Duration::from_secs(5);
/// How long a piece of headers or of bodies is waited for at most, once shorter waits were in vain.
pub(super) const MAX_PATIENCE: Duration = Duration::from_secs(60);
/// How long another session may be waited for before the same thing is asked of this one.
pub(super) const CLAIM_DEADLINE: Duration = Duration::from_secs(2);
/// How long a session asks for headers before it fetches the bodies of those that it has, if their branch is heavier.
pub(super) const HEADERS_AT_A_STRETCH: Duration = Duration::from_secs(30);
/// How long the block that all later ones wait for may be with one session while another has nothing else to fetch.
pub(super) const TURN_DEADLINE: Duration = Duration::from_secs(1);
/// Requests in a row without an answer before a peer is let go.
pub(super) const MAX_STALLS: u32 = 3;

/// How long connecting and the handshake may take together.
pub(super) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);
/// How soon a dialler must follow after its handshake.
pub(super) const FOLLOW_DEADLINE: Duration = Duration::from_secs(10);
/// A dialler asks a silent connection for a sign of life after this time.
pub(super) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);
/// Without one for so much longer the connection is dead.
pub(super) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// A silent stream carries a ping this often.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(15);
/// A stream that stays silent this long is dead.
pub(super) const SILENCE_DEADLINE: Duration = Duration::from_secs(60);
/// How long a peer may leave an announcement unread.
pub(super) const SEND_DEADLINE: Duration = Duration::from_secs(30);

/// Sessions that other nodes begin; those that this node begins are bounded by what it wants.
pub(super) const MAX_INBOUND_SESSIONS: usize = 112;
/// Of these, sessions of one /24 or /64; loopback is exempt.
pub(super) const MAX_INBOUND_PER_PREFIX: usize = 4;
/// Events queued for one follower.
pub(super) const FOLLOW_QUEUE: usize = 16;
/// Tips of one peer that are remembered as announced by it, half of them at least.
pub(super) const MAX_TOLD_TIPS: usize = 32;
/// Announced tips of one peer that wait to be looked at; the oldest leaves first.
pub(super) const MAX_WAITING_TIPS: usize = 8;
/// Announced tips of one peer in a row that may bring nothing from it; after each one more it is left alone for a moment.
pub(super) const FRUITLESS_TIPS: u32 = 16;
/// For so long.
pub(super) const FRUITLESS_PAUSE: Duration = Duration::from_millis(100);
/// Announced wire ids of one peer that wait to be looked at, or for another peer's answer.
pub(super) const MAX_WAITING_WIRE_IDS: usize = 50_000;
/// Of all peers together, beyond [`OWN_WAITING_WIRE_IDS`] of each.
pub(super) const MAX_WAITING_IN_ALL: usize = 400_000;
/// So many a peer may have waiting however many the others have.
pub(super) const OWN_WAITING_WIRE_IDS: usize = 2_000;
/// Wire ids that wait to be announced to one peer; beyond that the whole pool is offered again.
pub(super) const MAX_OUTGOING_WIRE_IDS: usize = 50_000;
/// How often a peer is asked to offer its whole pool again.
pub(super) const POOL_QUERY_INTERVAL: Duration = Duration::from_secs(30);
/// Transactions of the pool that are read at once to be offered to a peer.
pub(super) const POOL_PART: usize = 5_000;
/// Wire ids remembered as known to a peer: two tables of 32,768 slots, of which an eighth stays free.
pub(super) const MAX_KNOWN_WIRE_IDS: usize = 2 * 28_672;
/// Transactions of one peer kept to be tried again, because what they build on may be on its way, and their bytes.
pub(super) const MAX_PARKED: usize = 1_000;
pub(super) const MAX_PARKED_BYTES: usize = 384 * 1024;
/// Missing blocks that are looked at to find some that nobody fetches yet.
pub(super) const FETCH_WINDOW: usize = 512;
/// Bodies that are fetched or wait for those before them, in bytes, were all blocks as large as can be.
pub(super) const MAX_BODY_BYTES: usize = 64 * 1024 * 1024;
/// Things that are being fetched, over all sessions.
pub(super) const MAX_CLAIMS: usize = 100_000;

/// New transactions are announced together after this time, or once [`ANNOUNCE_BATCH`] wait.
pub(super) const ANNOUNCE_INTERVAL: Duration = Duration::from_millis(20);
/// Transactions of a full announcement.
pub(super) const ANNOUNCE_BATCH: usize = 500;

/// Addresses of the book that were never reached, at most: so many buckets of [`BOOK_BUCKET`] addresses.
pub(super) const BOOK_NEW_BUCKETS: u64 = 256;
/// Addresses of a bucket of these. One network group told of by one informer's group has one bucket.
pub(super) const BOOK_BUCKET: usize = 64;
/// Buckets of these that one informer's network group reaches, whatever it tells.
pub(super) const BOOK_NEW_PER_SOURCE: u64 = 16;
/// Addresses of the book that were reached, at most: so many buckets of [`BOOK_TRIED_BUCKET`] addresses.
pub(super) const BOOK_TRIED_BUCKETS: u64 = 256;
/// Addresses of a bucket of these.
pub(super) const BOOK_TRIED_BUCKET: usize = 16;
/// Buckets of these that one network group reaches.
pub(super) const BOOK_TRIED_PER_GROUP: u64 = 8;
/// Claims on places among the addresses that were reached; the oldest leaves first.
pub(super) const MAX_BOOK_CONTESTS: usize = 32;
/// Mean time between probes of addresses that were never reached; each waits between half and one and a half of it.
pub(super) const FEELER_INTERVAL: Duration = Duration::from_secs(120);
/// Peers of this node's choice that are dialled first at the next start.
pub(super) const ANCHORS: usize = 2;
/// A book with fewer addresses is nearly empty: seeds are asked.
pub(super) const NEARLY_EMPTY_BOOK: usize = 16;
/// Addresses taken from one answer of a seed.
pub(super) const MAX_SEED_ADDRESSES: usize = 256;
/// How long a seed may take to answer.
pub(super) const SEED_DEADLINE: Duration = Duration::from_secs(10);
/// Bans, each with an end.
pub(super) const MAX_BANS: usize = 4_096;
/// Nodes that a session is kept with, when the operator adds one to a running node.
pub(super) const MAX_KEPT: usize = 128;
/// Addresses at which this node met itself.
pub(super) const MAX_OWN_ADDRESSES: usize = 64;
/// For so long it is not dialled there.
pub(super) const OWN_ADDRESS_TIME: Duration = Duration::from_secs(60 * 60);
/// Peers whose misdeeds are remembered.
pub(super) const MAX_SCORES: usize = 4_096;
/// How often addresses are exchanged on a lasting session.
pub(super) const EXCHANGE_INTERVAL: Duration = Duration::from_secs(180);
/// For so long everybody is told the same addresses, where there are more than an exchange has room for.
pub(super) const SAME_ADDRESSES_TIME: Duration = Duration::from_secs(600);
/// How often the peers of this node's choice are looked at.
pub(super) const LAGGARDS_INTERVAL: Duration = Duration::from_secs(30);
/// For so long one of them may stay behind what this node had at its beginning, and for [`STALE_TARGETS`].
pub(super) const BEHIND_TIME: Duration = Duration::from_secs(20 * 60);
/// One more is asked when no block came for so many times the target, and for so long.
pub(super) const STALE_TARGETS: u64 = 30;
pub(super) const STALE_TIME: Duration = Duration::from_secs(10 * 60);
/// So long it has to bring something before one of them has to leave.
pub(super) const PROVING_TIME: Duration = Duration::from_secs(60);
/// How often the book and the bans are written.
pub(super) const SAVE_INTERVAL: Duration = Duration::from_secs(10);
