//! What a node answered, as JSON of a stated schema and as text.

use farthing::{TimeMs, wire::admin as wire};
use serde::Serialize;

use super::table::{Table, age, plain, time_left};

/// Version of the JSON; raised when a field changes its meaning or goes.
const SCHEMA: u32 = 1;

/// An answer.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Report {
    Peers { peers: Vec<Peer>, kept: Vec<Kept>, bans: Vec<Ban> },
    Added { address: String, already_kept: bool },
    Removed { address: String, sessions_ended: u32, was_kept: bool },
    Banned { ban: Ban, sessions_ended: u32 },
    Unbanned { target: String },
    Status(Box<Status>),
    Mined { blocks: Vec<MinedBlock> },
    Stopped { process_id: Option<u32>, stopped: bool },
}

#[derive(Debug, Serialize)]
pub(super) struct Peer {
    address: String,
    direction: &'static str,
    node_id: String,
    version: String,
    height: u64,
    connected_at_ms: u64,
    last_heard_at_ms: u64,
    score: u32,
    listen_address: Option<String>,
    ban_target: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Kept {
    address: String,
    last_error: Option<String>,
}

#[derive(Debug, Default, Serialize)]
pub(super) struct Ban {
    target: String,
    reason: String,
    until_ms: u64,
}

#[derive(Debug, Serialize)]
pub(super) struct MinedBlock {
    height: u64,
    block_id: String,
}

#[derive(Debug, Serialize)]
pub(super) struct Status {
    network: String,
    genesis_id: String,
    version: String,
    node_id: String,
    tip_height: u64,
    tip_id: String,
    tip_time_ms: u64,
    /// A decimal text: it does not fit the numbers of every JSON reader.
    total_work: String,
    best_header_height: u64,
    /// None if the node undoes any block for a branch with more work.
    final_height: Option<u64>,
    sync_state: &'static str,
    mempool_transactions: u64,
    mempool_bytes: u64,
    inbound_peers: u32,
    outbound_peers: u32,
    bans: u32,
    mining: bool,
    data_dir: String,
    started_at_ms: u64,
    uptime_ms: u64,
    rpc_address: String,
    p2p_address: String,
    admin_socket: String,
    process_id: u32,
    lowest_block_height: u64,
}

#[derive(Serialize)]
struct Envelope<'a> {
    schema: u32,
    #[serde(flatten)]
    report: &'a Report,
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

pub(super) fn peers(answer: wire::ListPeersResponse) -> Report {
    let peer = |peer: wire::Peer| Peer {
        direction: match peer.direction() {
            wire::Direction::Inbound => "inbound",
            wire::Direction::Outbound => "outbound",
            wire::Direction::Unspecified => "unknown",
        },
        address: peer.address,
        node_id: peer.node_id_hex,
        version: peer.version,
        height: peer.height,
        connected_at_ms: peer.connected_at_ms,
        last_heard_at_ms: peer.last_heard_at_ms,
        score: peer.score,
        listen_address: given(peer.listen_address),
        ban_target: peer.ban_target,
    };
    let kept = |kept: wire::KeptPeer| Kept { address: kept.address, last_error: given(kept.last_error) };
    Report::Peers {
        peers: answer.peers.into_iter().map(peer).collect(),
        kept: answer.kept.into_iter().map(kept).collect(),
        bans: answer.bans.into_iter().map(ban).collect(),
    }
}

fn ban(ban: wire::Ban) -> Ban {
    Ban { target: ban.target, reason: ban.reason, until_ms: ban.until_ms }
}

pub(super) const fn added(address: String, answer: wire::AddPeerResponse) -> Report {
    Report::Added { address, already_kept: answer.already_kept }
}

pub(super) const fn removed(address: String, answer: wire::RemovePeerResponse) -> Report {
    Report::Removed { address, sessions_ended: answer.sessions_ended, was_kept: answer.was_kept }
}

pub(super) fn banned(answer: wire::BanPeerResponse) -> Report {
    let sessions_ended = answer.sessions_ended;
    Report::Banned { ban: answer.ban.map(ban).unwrap_or_default(), sessions_ended }
}

pub(super) const fn unbanned(target: String) -> Report {
    Report::Unbanned { target }
}

pub(super) fn mined(answer: wire::MineBlocksResponse) -> Report {
    let block = |block: wire::MinedBlock| MinedBlock { height: block.height, block_id: block.block_id_hex };
    Report::Mined { blocks: answer.blocks.into_iter().map(block).collect() }
}

pub(super) const fn stopped(process_id: Option<u32>, stopped: bool) -> Report {
    Report::Stopped { process_id, stopped }
}

pub(super) fn status(answer: wire::GetStatusResponse) -> Report {
    Report::Status(Box::new(Status {
        sync_state: match answer.sync_state() {
            wire::SyncState::Synced => "synced",
            wire::SyncState::Syncing => "syncing",
            wire::SyncState::Unspecified => "unknown",
        },
        network: answer.network,
        genesis_id: answer.genesis_id_hex,
        version: answer.version,
        node_id: answer.node_id_hex,
        tip_height: answer.tip_height,
        tip_id: answer.tip_id_hex,
        tip_time_ms: answer.tip_time_ms,
        total_work: answer.total_work,
        best_header_height: answer.best_header_height,
        final_height: answer.final_height,
        mempool_transactions: answer.mempool_transactions,
        mempool_bytes: answer.mempool_bytes,
        inbound_peers: answer.inbound_peers,
        outbound_peers: answer.outbound_peers,
        bans: answer.bans,
        mining: answer.mining,
        data_dir: answer.data_dir,
        started_at_ms: answer.started_at_ms,
        uptime_ms: answer.uptime_ms,
        rpc_address: answer.rpc_address,
        p2p_address: answer.p2p_address,
        admin_socket: answer.admin_socket,
        process_id: answer.process_id,
        lowest_block_height: answer.lowest_block_height,
    }))
}

impl Report {
    /// One line of JSON.
    pub(super) fn to_json(&self) -> String {
        let envelope = Envelope { schema: SCHEMA, report: self };
        format!("{}\n", serde_json::to_string(&envelope).expect("texts and numbers are valid JSON"))
    }

    /// For people.
    pub(super) fn to_text(&self, now: TimeMs) -> String {
        match self {
            Self::Peers { peers, kept, bans } => peers_text(peers, kept, bans, now),
            Self::Added { address, already_kept: false } => format!("keeping a session with {address}\n"),
            Self::Added { address, already_kept: true } => format!("a session with {address} was kept already\n"),
            Self::Removed { address, sessions_ended, was_kept } => {
                let kept = if *was_kept { "; none is kept any longer" } else { "" };
                format!("{address}: {} ended{kept}\n", sessions(*sessions_ended))
            }
            Self::Banned { ban, sessions_ended } => {
                let (left, ended) = (time_left(ban.until_ms, now), sessions(*sessions_ended));
                format!("{} is banned for {left} ({}); {ended} ended\n", plain(&ban.target), plain(&ban.reason))
            }
            Self::Unbanned { target } => format!("{target} is not banned any longer\n"),
            Self::Status(status) => status.text(now),
            Self::Mined { blocks } => {
                let mut table = Table::new(&["HEIGHT", "BLOCK"]);
                for block in blocks {
                    table.row([block.height.to_string(), block.block_id.clone()]);
                }
                table.to_string()
            }
            Self::Stopped { process_id, stopped } => {
                let process = process_id.map_or_else(String::new, |process| format!(" (process {process})"));
                let what = if *stopped { "has stopped" } else { "is stopping" };
                format!("the node{process} {what}\n")
            }
        }
    }
}

fn sessions(count: u32) -> String {
    if count == 1 { "1 session".to_owned() } else { format!("{count} sessions") }
}

fn peers_text(peers: &[Peer], kept: &[Kept], bans: &[Ban], now: TimeMs) -> String {
    let mut text = String::new();
    if peers.is_empty() {
        text.push_str("no peers\n");
    } else {
        let head = ["ADDRESS", "DIRECTION", "HEIGHT", "CONNECTED", "HEARD", "SCORE", "VERSION", "NODE", "BAN AS"];
        let mut table = Table::new(&head);
        for peer in peers {
            table.row([
                peer.address.clone(),
                peer.direction.to_owned(),
                peer.height.to_string(),
                age(peer.connected_at_ms, now),
                format!("{} ago", age(peer.last_heard_at_ms, now)),
                peer.score.to_string(),
                peer.version.clone(),
                peer.node_id.clone(),
                peer.ban_target.clone(),
            ]);
        }
        text.push_str(&table.to_string());
    }
    if !kept.is_empty() {
        let mut table = Table::new(&["KEPT", "LAST ERROR"]);
        for kept in kept {
            table.row([kept.address.clone(), kept.last_error.clone().unwrap_or_else(|| "-".to_owned())]);
        }
        text.push_str(&format!("\n{table}"));
    }
    if !bans.is_empty() {
        let mut table = Table::new(&["BANNED", "ENDS IN", "REASON"]);
        for ban in bans {
            table.row([ban.target.clone(), time_left(ban.until_ms, now), ban.reason.clone()]);
        }
        text.push_str(&format!("\n{table}"));
    }
    text
}

impl Status {
    fn text(&self, now: TimeMs) -> String {
        let sync = match self.best_header_height.saturating_sub(self.tip_height) {
            0 => self.sync_state.to_owned(),
            behind => format!("{}, {behind} blocks behind header {}", self.sync_state, self.best_header_height),
        };
        let rows = [
            ("version", self.version.clone()),
            ("network", format!("{} ({})", self.network, self.genesis_id)),
            ("tip", format!("{} at height {}", self.tip_id, self.tip_height)),
            ("tip age", age(self.tip_time_ms, now)),
            ("total work", self.total_work.clone()),
            ("sync", sync),
            ("final", self.final_height.map_or_else(|| "no".to_owned(), |height| format!("up to height {height}"))),
            ("mempool", format!("{} transactions, {} bytes", self.mempool_transactions, self.mempool_bytes)),
            ("peers", format!("{} inbound, {} outbound, {} bans", self.inbound_peers, self.outbound_peers, self.bans)),
            ("mining", if self.mining { "yes" } else { "no" }.to_owned()),
            ("uptime", age(now.get().saturating_sub(self.uptime_ms), now)),
            ("node id", self.node_id.clone()),
            ("process", self.process_id.to_string()),
            ("data", self.data_dir.clone()),
            ("api", self.rpc_address.clone()),
            ("nodes", self.p2p_address.clone()),
            ("admin", self.admin_socket.clone()),
        ];
        let began = (self.lowest_block_height > 0).then(|| {
            let height = self.lowest_block_height;
            ("blocks", format!("from height {height} on; it began with the checkpoint at {}", height - 1))
        });
        rows.iter().chain(&began).map(|(name, value)| format!("{name:<11} {}\n", plain(value))).collect()
    }
}
