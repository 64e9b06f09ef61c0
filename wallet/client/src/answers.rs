//! What nodes answer, as types of this ledger.

use farthing::{
    Account, Address, Block, BlockId, EntryId, Hash, Height, Mites, SignedTransaction, TimeMs, TxId,
    wire::{BlockSummary, ChainPoint, TransactionStatus},
};

use crate::{
    error::Refusal,
    verify::{Cause, VerifiedAccount},
};

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The entries.
    pub entries: Vec<T>,
    /// Names the next page; none at the end.
    pub next: Option<PageToken>,
}

/// Names the next page of the list that it came with, at the node that it came from or another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub(crate) String);

/// What a node says of itself. All of it is on the node's word, but that its network is the client's; texts are fit to
/// be shown.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeInfo {
    /// Name of the network.
    pub network: String,
    /// Program and version.
    pub version: String,
    /// Protocol version.
    pub protocol_version: u32,
    /// The best chain's tip.
    pub tip: ChainPoint,
    /// Height of the best header known.
    pub best_header_height: Height,
    /// Whether it has all blocks that it knows of; none if it does not say.
    pub is_synced: Option<bool>,
    /// Peers with an established session.
    pub peers: Vec<Peer>,
    /// Count of transactions in the mempool.
    pub mempool_transactions: u64,
    /// Their canonical size, in bytes.
    pub mempool_bytes: u64,
    /// Count of accounts at the tip.
    pub accounts: u64,
    /// Root over the accounts at the tip.
    pub accounts_root: Hash,
    /// Whether it mines.
    pub is_mining: bool,
    /// What exists: allocations plus subsidies less what was burned.
    pub supply: Mites,
    /// The node's clock.
    pub time: TimeMs,
    /// The highest block that it never undoes, if it has such a limit.
    pub final_height: Option<Height>,
    /// The lowest block above genesis that it has, if it began with a checkpoint; else 0.
    pub lowest_block_height: Height,
}

/// A peer of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: String,
    /// Whether it dialled the node.
    pub is_inbound: bool,
    /// Height of its tip as last announced.
    pub height: Height,
    /// Program and version that it names.
    pub version: String,
}

/// An account at a node's tip.
#[derive(Debug, Clone)]
pub struct AccountView {
    /// Its address.
    pub address: Address,
    /// Its state; none if it does not exist. Proven if `proven` is there, else on the node's word.
    pub account: Option<Account>,
    /// What was proven, against which header; none with [`crate::Trust::Believe`].
    pub proven: Option<VerifiedAccount>,
    /// The tip that the state is for, on the node's word.
    pub tip: ChainPoint,
    /// The nonce that the next transfer should carry, those in the mempool counted, on the node's word.
    pub next_pending_nonce: u64,
    /// What transfers in the mempool would take from it, on the node's word.
    pub pending_out: Mites,
    /// What transfers in the mempool would bring it, on the node's word.
    pub pending_in: Mites,
    /// Mined rewards that are not yet credited, on the node's word.
    pub immature: Mites,
}

impl AccountView {
    /// The state, an account that does not exist counted as empty.
    #[must_use]
    pub fn state(&self) -> Account {
        self.account.unwrap_or_default()
    }
}

/// Which block is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockRef {
    /// By its id, on whatever branch.
    Id(BlockId),
    /// By its height, on the best chain.
    Height(Height),
}

/// A block with its place. Its parts belong together: transactions and coinbase are those of the header, and the id is
/// the header's. With [`crate::Trust::Verify`] the header has work. Its transactions' signatures were not checked, nor
/// that executing them leads to the header's commitment: that is what nodes do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainBlock {
    /// Id, height, header and coinbase; total work and confirmations are on the node's word.
    pub summary: BlockSummary,
    /// The block.
    pub block: Block,
    /// Ids of its transactions, in order.
    pub tx_ids: Vec<TxId>,
}

impl ChainBlock {
    /// The block's id.
    #[must_use]
    pub const fn id(&self) -> BlockId {
        self.summary.id
    }

    /// The block's height; the coinbase, which the header commits to, has it.
    #[must_use]
    pub const fn height(&self) -> Height {
        self.summary.height
    }

    /// Its transactions with their ids.
    pub fn transactions(&self) -> impl Iterator<Item = (&TxId, &SignedTransaction)> {
        self.tx_ids.iter().zip(&self.block.transactions)
    }
}

/// A transaction and where it stands, on the node's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionView {
    /// Where it stands.
    pub status: TransactionStatus,
    /// The transaction, whose id is the one asked for; none once it was dropped.
    pub transaction: Option<SignedTransaction>,
}

/// The verdict on one transfer of a batch.
pub type Verdict = Result<TransactionStatus, Box<Refusal>>;

/// A page of an account's history, on the node's word but for the transfers' ids: hold it against a proven account with
/// [`crate::verify::HistoryWalk`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryView {
    /// 1 for the first of the account.
    pub number: u64,
    /// Height that the link carries.
    pub height: Height,
    /// The id that the link carries.
    pub id: EntryId,
    /// What touched the account.
    pub cause: Cause,
    /// Time of the block at that height.
    pub time: TimeMs,
}

/// A transaction that waits, on the node's word but for its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingTransaction {
    /// Its id.
    pub id: TxId,
    /// The transaction.
    pub transaction: SignedTransaction,
    /// Whether the next block may include it; else it waits for an earlier nonce.
    pub is_executable: bool,
    /// When it arrived, by the node's clock.
    pub received: TimeMs,
}

/// A page of the mempool with its totals, on the node's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MempoolPage {
    /// Transactions in the order in which a block would take them.
    pub page: Page<WaitingTransaction>,
    /// Count of transactions in the whole mempool.
    pub total_transactions: u64,
    /// Their canonical size, in bytes.
    pub total_bytes: u64,
}
