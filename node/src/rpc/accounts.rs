//! Accounts: state with proof, pending changes, history.

use std::sync::Arc;

use farthing::{
    Account, Address, Height,
    wire::{AddressLookup, AnchoredProof, transaction_view, v1},
};

use super::{
    ApiError, Deps, blocks,
    page::{self, Listing},
};
use crate::chain::{AccountEntry, ChainError, ChainView, EntryCause, EntryCursor};

const DEFAULT_PAGE: usize = 20;
const MAX_PAGE: usize = 100;
/// How often an answer is tried again because the chain reorganised while it was made.
const MAX_RACES: usize = 8;

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
        // None: the chain has left this view's tip, and the store its range.
        let Some(chain_root) = deps.chain.chain_root_before(&view).await? else { continue };
        let proof = AnchoredProof {
            header: *view.tip.header(),
            height: view.tip.height(),
            chain_root,
            proof: view.accounts.prove(&address),
        };
        return Ok((view, proof));
    }
    Err(raced())
}

/// The account's history, newest first.
pub(super) async fn list_entries(
    deps: &Deps,
    request: v1::ListAccountEntriesRequest,
) -> Result<v1::ListAccountEntriesResponse, ApiError> {
    let size = page::size(request.page_size, DEFAULT_PAGE, MAX_PAGE)?;
    let address = AddressLookup::try_from(&request)?.resolve(&deps.chain.params().prefix)?;
    let before = match page::read::<48>(Listing::AccountEntries, &request.page_token)? {
        None => None,
        Some(token) => Some(read_cursor(&token, address).ok_or_else(page::invalid)?),
    };
    let (found, tip) = entries(deps, address, before, size).await?;
    let mut entries = Vec::with_capacity(found.len());
    let mut budget = page::Budget::default();
    let mut last = None;
    for entry in found {
        let message = entry_view(deps, &entry);
        if !budget.fits(&message) {
            break;
        }
        last = Some(EntryCursor { entry: entry.entry, height: entry.height });
        entries.push(message);
    }
    // The first link of an account is number 1: nothing is behind it.
    let next = last.filter(|cursor| cursor.entry > 1);
    let next_page_token = next.map(|cursor| {
        let (entry, height) = (cursor.entry.to_le_bytes(), cursor.height.get().to_le_bytes());
        page::token(Listing::AccountEntries, &[address.as_bytes(), &entry, &height])
    });
    Ok(v1::ListAccountEntriesResponse {
        entries,
        next_page_token: next_page_token.unwrap_or_default(),
        tip: Some((&blocks::point(&tip)).into()),
    })
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
            Err(ChainError::Inconsistent(_)) if deps.chain.view().tip.id() != tip => {}
            Err(ChainError::Inconsistent(_)) if before.is_some() => return Err(page::invalid()),
            result => return Ok(result?),
        }
    }
    Err(raced())
}

fn read_cursor(token: &[u8; 48], address: Address) -> Option<EntryCursor> {
    let (of, rest) = token.split_first_chunk::<32>()?;
    let (entry, height) = rest.split_first_chunk::<8>()?;
    let height = Height::new(u64::from_le_bytes(height.try_into().ok()?));
    (of == address.as_bytes()).then_some(EntryCursor { entry: u64::from_le_bytes(*entry), height })
}

fn entry_view(deps: &Deps, entry: &AccountEntry) -> v1::AccountEntry {
    let cause = match &entry.cause {
        EntryCause::Transaction(signed) => {
            v1::account_entry::Cause::Transaction(transaction_view(deps.chain.params(), signed))
        }
        EntryCause::Coinbase(coinbase) => v1::account_entry::Cause::Coinbase((&**coinbase).into()),
    };
    v1::AccountEntry {
        entry: entry.entry,
        height: entry.height.get(),
        id: entry.id.to_bytes().to_vec().into(),
        id_hex: entry.id.to_string(),
        history: entry.history.to_bytes().to_vec().into(),
        time_ms: entry.time.get(),
        cause: Some(cause),
    }
}

/// The chain reorganised again and again while the answer was made.
fn raced() -> ApiError {
    ApiError::new(super::Reason::StoreFailed, "the chain kept reorganising while the answer was made")
}
