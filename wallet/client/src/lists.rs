//! What a node is, what waits in it, what it takes, and histories of accounts.

use farthing::{
    Address, EntryId, Hash, Height, Mites, TimeMs,
    wire::{WireError, v1},
};

use crate::{
    answers::{EntryView, MempoolPage, NodeInfo, Page, PageToken, Peer},
    calls::{ask, next, token},
    client::{Client, Needs},
    error::Error,
    pool::{self, NodeSlot},
    read,
    text::{MAX_TEXT, printable},
    verify::Cause,
};

impl Client {
    /// What a node says of itself; the network was checked.
    ///
    /// # Errors
    /// [`Error`]; [`Error::WrongNetwork`] names the network of a node of another one.
    pub async fn node_info(&self) -> Result<NodeInfo, Error> {
        let request = v1::GetNodeInfoRequest {};
        self.call(Needs::Anyone, ask!(get_node_info, request), |answer: v1::GetNodeInfoResponse, node| {
            pool::check_network(&answer, self.network(), &node.url)?;
            read_info(answer, node)
        })
        .await
    }

    /// What a node takes at most, as the message that it sends (`docs/limits.md` explains it).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn limits(&self) -> Result<v1::GetLimitsResponse, Error> {
        let request = v1::GetLimitsRequest {};
        self.call(Needs::Anyone, ask!(get_limits, request), |answer: v1::GetLimitsResponse, _| Ok(answer)).await
    }

    /// An account's history, newest first. At most `size` entries (up to 100; 0 for 20).
    ///
    /// # Errors
    /// [`Error`]; with `INVALID_PAGE_TOKEN`, the history changed in between: begin again.
    pub async fn account_entries(
        &self,
        address: &Address,
        size: u32,
        page: Option<&PageToken>,
    ) -> Result<Page<EntryView>, Error> {
        let request = entries_request(address, size, token(page));
        self.call(Needs::Tip, ask!(list_account_entries, request), |answer: v1::ListAccountEntriesResponse, node| {
            let entries = answer.entries.into_iter().enumerate().map(|(at, entry)| self.read_entry(at, entry, node));
            Ok(Page { entries: entries.collect::<Result<_, _>>()?, next: next(answer.next_page_token) })
        })
        .await
    }

    /// The same as the messages that [`crate::verify::HistoryWalk`] takes.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn account_entries_to_prove(
        &self,
        address: &Address,
        size: u32,
        page: Option<&PageToken>,
    ) -> Result<Page<v1::AccountEntry>, Error> {
        let request = entries_request(address, size, token(page));
        self.call(Needs::Tip, ask!(list_account_entries, request), |answer: v1::ListAccountEntriesResponse, _| {
            Ok(Page { entries: answer.entries, next: next(answer.next_page_token) })
        })
        .await
    }

    fn read_entry(&self, at: usize, entry: v1::AccountEntry, node: &NodeSlot) -> Result<EntryView, Error> {
        let malformed = |error: WireError| node.malformed(error.within_item("entries", at));
        let cause = match entry.cause.ok_or_else(|| malformed(WireError::missing("cause")))? {
            v1::account_entry::Cause::Transaction(view) => {
                let (_, transfer) = farthing::wire::read_transaction_view(self.network(), view).map_err(malformed)?;
                Cause::Transfer(Box::new(transfer))
            }
            v1::account_entry::Cause::Coinbase(coinbase) => {
                Cause::Reward(farthing::Coinbase::try_from(coinbase).map_err(malformed)?.amount)
            }
        };
        let id: EntryId = read::id("entries.id", &entry.id, node)?;
        Ok(EntryView {
            number: entry.entry,
            height: Height::new(entry.height),
            id,
            cause,
            time: TimeMs::new(entry.time_ms),
        })
    }

    /// What waits to be mined, in the order in which a block would take it. At most `size` entries (up to 1,000; 0 for
    /// 100).
    ///
    /// # Errors
    /// [`Error`].
    pub async fn mempool(&self, size: u32, page: Option<&PageToken>) -> Result<MempoolPage, Error> {
        let request = v1::GetMempoolRequest { page_size: size, page_token: token(page), read_mask: None };
        self.call(Needs::Anyone, ask!(get_mempool, request), |answer: v1::GetMempoolResponse, node| {
            let read = |entry| read::waiting(self.network(), entry, "entries.transaction", node);
            let entries = answer.entries.into_iter().map(read);
            Ok(MempoolPage {
                page: Page { entries: entries.collect::<Result<_, Error>>()?, next: next(answer.next_page_token) },
                total_transactions: answer.total_transactions,
                total_bytes: answer.total_bytes,
            })
        })
        .await
    }
}

fn entries_request(address: &Address, page_size: u32, page_token: String) -> v1::ListAccountEntriesRequest {
    let id = Some(v1::list_account_entries_request::Id::Address(address.to_bytes().to_vec().into()));
    v1::ListAccountEntriesRequest { id, page_size, page_token, ..Default::default() }
}

fn read_info(answer: v1::GetNodeInfoResponse, node: &NodeSlot) -> Result<NodeInfo, Error> {
    let is_synced = match answer.sync_state() {
        v1::SyncState::Synced => Some(true),
        v1::SyncState::Syncing => Some(false),
        v1::SyncState::Unspecified => None,
    };
    let accounts_root: Hash = read::id("accounts_root", &answer.accounts_root, node)?;
    let shown = |text: &str| printable(text, MAX_TEXT);
    Ok(NodeInfo {
        network: shown(&answer.network),
        version: shown(&answer.version),
        protocol_version: answer.protocol_version,
        tip: node.read_tip(answer.tip)?,
        best_header_height: Height::new(answer.best_header_height),
        is_synced,
        peers: answer
            .peers
            .iter()
            .map(|peer| Peer {
                address: shown(&peer.address),
                is_inbound: peer.inbound,
                height: Height::new(peer.height),
                version: shown(&peer.version),
            })
            .collect(),
        mempool_transactions: answer.mempool_transactions,
        mempool_bytes: answer.mempool_bytes,
        accounts: answer.accounts,
        accounts_root,
        is_mining: answer.mining,
        supply: Mites::new(answer.supply_mites),
        time: TimeMs::new(answer.time_ms),
        final_height: answer.final_height.map(Height::new),
        lowest_block_height: Height::new(answer.lowest_block_height),
    })
}
