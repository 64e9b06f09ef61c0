//! Accounts: state with proof, pending changes, history.

use std::{sync::Arc, time::Duration};

use farthing::{
    Account, Address, BlockId, EntryId, Hash, Height, Params,
    account::history_link,
    codec::{Canonical as _, Reader},
    wire::{AddressLookup, AnchoredProof, ReadMask, transaction_view, v1},
};
use tokio::time::timeout;

use super::{
    ApiError, Deps, blocks, oldest,
    page::{self, Listing},
};
use crate::chain::{AccountEntry, Chain, ChainError, ChainView, EntryCause, EntryCursor};
use crate::server::CallMeter;

const DEFAULT_PAGE: usize = 20;
pub(super) const MAX_PAGE: usize = 100;
/// How often an answer is tried again because the chain reorganised while it was made.
pub(super) const MAX_RACES: usize = 8;
/// How long the store may be ahead of the published view at the most.
pub(super) const PUBLISHED_WITHIN: Duration = Duration::from_millis(500);

pub(super) async fn get(deps: &Deps, request: v1::GetAccountRequest) -> Result<v1::GetAccountResponse, ApiError> {
    let prefix = &deps.chain.params().prefix;
    let address = AddressLookup::try_from(&request)?.resolve(prefix)?;
    let (view, proof) = if request.with_proof {
        let (view, proof) = prove(deps, address).await?;
        (view, Some(proof))
    } else {
        (deps.chain.view(), None)
    };
    let account = view.account(&address);
    let pending = deps.mempool.account_pending(&address);
    Ok(v1::GetAccountResponse {
        address: address.to_bytes().to_vec().into(),
        address_text: prefix.format(&address),
        exists: account.is_some(),
        account: Some((&account.unwrap_or_else(Account::default)).into()),
        tip: Some((&blocks::tip(&view)).into()),
        next_pending_nonce: pending.next_nonce,
        pending_out_mites: pending.outgoing.get(),
        pending_in_mites: pending.incoming.get(),
        immature_mites: view.immature_of(&address).get(),
        proof: proof.as_ref().map(v1::AccountProof::from),
    })
}

/// A proof against the tip's header, and the view that it was made from.
async fn prove(deps: &Deps, address: Address) -> Result<(Arc<ChainView>, AnchoredProof), ApiError> {
    for _ in 0..MAX_RACES {
        let view = deps.chain.view();
        let Some(range) = deps.chain.range_before(&view).await? else {
            // The chain has left this view's tip, and the store its range.
            moved_from(&deps.chain, view.tip.id()).await;
            continue;
        };
        let proof = AnchoredProof {
            header: *view.tip.header(),
            height: view.tip.height(),
            chain_root: range.map_or(Hash::ZERO, |range| range.chain_root()),
            range,
            proof: view.accounts.prove(&address),
        };
        return Ok((view, proof));
    }
    Err(raced())
}

/// The account's history, newest first unless asked otherwise.
pub(super) async fn list_entries(
    deps: &Deps,
    request: v1::ListAccountEntriesRequest,
    meter: Option<&CallMeter>,
) -> Result<v1::ListAccountEntriesResponse, ApiError> {
    let size = page::size(request.page_size, DEFAULT_PAGE, MAX_PAGE)?;
    let mask = ReadMask::read(request.read_mask.as_ref())?;
    let address = AddressLookup::try_from(&request)?.resolve(&deps.chain.params().prefix)?;
    if entries_order(request.order)? == v1::AccountEntryOrder::OldestFirst {
        return oldest::list(deps, address, size, &request.page_token, &mask, meter).await;
    }
    let above = match page::read::<TOKEN_BYTES>(Listing::AccountEntries, &request.page_token)? {
        None => None,
        Some(token) => Some(Link::from_token(&token, &address).ok_or_else(page::invalid)?),
    };
    let (found, tip) = entries(deps, address, above.as_ref().map(Link::cursor), size).await?;
    if let Some(meter) = meter {
        // One block an entry at most.
        meter.charge(found.len());
    }
    if let (Some(above), Some(first)) = (&above, found.first())
        && !above.stands_on(first)
    {
        // The history was reorganised between the pages.
        return Err(page::invalid());
    }
    let mut entries = Vec::with_capacity(found.len());
    let mut budget = page::Budget::default();
    let mut last = None;
    for entry in &found {
        let message = masked_entry_view(deps.chain.params(), entry, &mask);
        if !budget.fits(&message) {
            break;
        }
        last = Some(Link::of(entry));
        entries.push(message);
    }
    // The first link of an account is number 1: nothing is behind it.
    let next = last.filter(|link| link.entry > 1);
    Ok(v1::ListAccountEntriesResponse {
        entries,
        next_page_token: next.map(|link| link.to_token(&address)).unwrap_or_default(),
        tip: Some((&blocks::point(&tip)).into()),
    })
}

/// The order asked for; newest first if nothing is.
fn entries_order(asked: i32) -> Result<v1::AccountEntryOrder, ApiError> {
    match v1::AccountEntryOrder::try_from(asked) {
        Ok(v1::AccountEntryOrder::Unspecified) => Ok(v1::AccountEntryOrder::NewestFirst),
        Ok(order) => Ok(order),
        Err(_) => {
            let message = format!("order: expected 0 to 2, got {asked}");
            Err(ApiError::new(super::Reason::InvalidField, message).with("field", "order"))
        }
    }
}

/// Reads the entries; a reorganisation in the middle looks like damage, so it is tried again when the tip has moved.
/// A token that does not lead to an entry was forged, or made on a branch that has left the best chain.
async fn entries(
    deps: &Deps,
    address: Address,
    before: Option<EntryCursor>,
    size: usize,
) -> Result<(Vec<AccountEntry>, farthing_consensus::HeaderContext), ApiError> {
    for _ in 0..MAX_RACES {
        let tip = deps.chain.view().tip.id();
        match deps.chain.account_entries(address, before, size).await {
            Err(ChainError::Inconsistent(_)) if moved_from(&deps.chain, tip).await => {}
            Err(ChainError::Inconsistent(_)) if before.is_some() => return Err(page::invalid()),
            result => return Ok(result?),
        }
    }
    Err(raced())
}

/// Bytes of a page token: address, entry, height, id, history.
const TOKEN_BYTES: usize = 32 + 8 + 8 + 32 + 32;

/// The last link of a page, by which the next page is held to the same history.
#[derive(Debug, Clone, Copy)]
struct Link {
    entry: u64,
    height: Height,
    id: EntryId,
    history: Hash,
}

impl Link {
    const fn of(entry: &AccountEntry) -> Self {
        Self { entry: entry.entry, height: entry.height, id: entry.id, history: entry.history }
    }

    const fn cursor(&self) -> EntryCursor {
        EntryCursor { entry: self.entry, height: self.height }
    }

    /// Whether this link is the one that follows `below`.
    fn stands_on(&self, below: &AccountEntry) -> bool {
        history_link(&below.history, self.id, self.height) == self.history
    }

    fn to_token(self, address: &Address) -> String {
        let (entry, height) = (self.entry.to_le_bytes(), self.height.get().to_le_bytes());
        let parts: [&[u8]; 5] = [address.as_bytes(), &entry, &height, self.id.as_bytes(), self.history.as_bytes()];
        page::token(Listing::AccountEntries, &parts)
    }

    /// None if the token is another account's.
    fn from_token(token: &[u8; TOKEN_BYTES], address: &Address) -> Option<Self> {
        let mut reader = Reader::new(token);
        let of = Address::decode(&mut reader).ok()?;
        let link = Self {
            entry: reader.u64("entry").ok()?,
            height: Height::decode(&mut reader).ok()?,
            id: EntryId::decode(&mut reader).ok()?,
            history: Hash::decode(&mut reader).ok()?,
        };
        (of == *address).then_some(link)
    }
}

/// The view of an entry, as far as it is wanted.
pub(super) fn masked_entry_view(
    params: &Params,
    entry: &AccountEntry,
    mask: &ReadMask<v1::AccountEntry>,
) -> v1::AccountEntry {
    let mut view = match &entry.cause {
        EntryCause::Transaction(_) if !mask.wants("transaction") => entry_view_with(entry, None),
        _ => entry_view(params, entry),
    };
    mask.apply(&mut view);
    view
}

pub(super) fn entry_view(params: &Params, entry: &AccountEntry) -> v1::AccountEntry {
    let cause = match &entry.cause {
        EntryCause::Transaction(signed) => v1::account_entry::Cause::Transaction(transaction_view(params, signed)),
        EntryCause::Coinbase(coinbase) => v1::account_entry::Cause::Coinbase((&**coinbase).into()),
    };
    entry_view_with(entry, Some(cause))
}

fn entry_view_with(entry: &AccountEntry, cause: Option<v1::account_entry::Cause>) -> v1::AccountEntry {
    v1::AccountEntry {
        entry: entry.entry,
        height: entry.height.get(),
        id: entry.id.to_bytes().to_vec().into(),
        id_hex: entry.id.to_string(),
        history: entry.history.to_bytes().to_vec().into(),
        time_ms: entry.time.get(),
        cause,
    }
}

/// Waits until the published tip is another, for the moment by which the store may be ahead of it. False if it stays.
pub(super) async fn moved_from(chain: &Chain, tip: BlockId) -> bool {
    let mut views = chain.watch();
    matches!(timeout(PUBLISHED_WITHIN, views.wait_for(|view| view.tip.id() != tip)).await, Ok(Ok(_)))
}

/// The chain reorganised again and again while the answer was made.
pub(super) fn raced() -> ApiError {
    ApiError::new(super::Reason::StoreFailed, "the chain kept reorganising while the answer was made")
}
