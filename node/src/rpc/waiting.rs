//! What waits to be mined, page by page.

use farthing::{
    TxId,
    wire::{ReadMask, transaction_view, v1},
};

use super::{
    ApiError, Deps,
    page::{self, Listing},
    transactions::in_pool,
};
use crate::mempool::{Listed, PageCursor};

const DEFAULT_PAGE: usize = 100;
pub(super) const MAX_PAGE: usize = 1_000;

pub(super) async fn list(deps: &Deps, request: v1::GetMempoolRequest) -> Result<v1::GetMempoolResponse, ApiError> {
    let size = page::size(request.page_size, DEFAULT_PAGE, MAX_PAGE)?;
    let mask = ReadMask::read(request.read_mask.as_ref())?;
    let from = page::read::<40>(Listing::Mempool, &request.page_token)?.map(|token| read_cursor(&token));
    let mempool = deps.mempool.clone();
    let page = deps.env.compute().run_blocking(move || mempool.page(from, size)).await;
    let (stats, listed) = (page.stats, page.entries.len());
    let worker = deps.clone();
    let entries = deps.env.compute().run(move || views(&worker, &page.entries, &mask)).await;
    let next = match page.next {
        // Closed at its bytes: the next page begins behind the last entry that fitted.
        _ if entries.len() < listed => {
            let first = from.map_or(0, |from| from.index.saturating_add(1));
            let index = first.saturating_add(entries.len() as u64).saturating_sub(1);
            entries.last().map(|(id, _)| PageCursor { after: *id, index })
        }
        next => next,
    };
    let next_page_token =
        next.map(|next| page::token(Listing::Mempool, &[next.after.as_bytes(), &next.index.to_le_bytes()]));
    Ok(v1::GetMempoolResponse {
        entries: entries.into_iter().map(|(_, entry)| entry).collect(),
        next_page_token: next_page_token.unwrap_or_default(),
        total_transactions: stats.executable.saturating_add(stats.queued) as u64,
        total_bytes: stats.bytes as u64,
    })
}

fn views(deps: &Deps, listed: &[Listed], mask: &ReadMask<v1::MempoolEntry>) -> Vec<(TxId, v1::MempoolEntry)> {
    let wants_transaction = mask.wants("transaction");
    let mut budget = page::Budget::default();
    let entries = listed.iter().map(|listed| {
        let id = listed.pooled.id();
        let status = v1::TransactionStatus::from(&in_pool(id, listed.status));
        let view = || transaction_view(deps.chain.params(), listed.pooled.transaction());
        let mut entry = v1::MempoolEntry {
            transaction: wants_transaction.then(view),
            state: status.state,
            received_ms: listed.pooled.received().get(),
        };
        mask.apply(&mut entry);
        (id, entry)
    });
    entries.take_while(|(_, entry)| budget.fits(entry)).collect()
}

fn read_cursor(token: &[u8; 40]) -> PageCursor {
    let (after, index) = token.split_first_chunk::<32>().expect("40 bytes begin with 32");
    let index = u64::from_le_bytes(index.try_into().expect("40 bytes are 32 and 8"));
    PageCursor { after: TxId::from_bytes(*after), index }
}
