//! Pages of an account's history, the oldest entry first.

use farthing::{
    Address, Hash, Height,
    account::history_link,
    codec::{Canonical as _, Reader},
    wire::{ReadMask, v1},
};

use super::{
    ApiError, Deps,
    accounts::{MAX_RACES, masked_entry_view, moved_from, raced},
    blocks,
    page::{self, Listing},
};
use crate::{
    chain::{Ascent, ChainError, MAX_BACK_BLOCKS, Mark, sparse},
    server::CallMeter,
};

/// Most marks of a token: one for each power of two.
const MAX_MARKS: usize = 64;
/// Bytes of a mark in a token.
const MARK_BYTES: usize = 16;

/// Where a listing goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Number of the entry that comes next.
    next: u64,
    /// Head of the history before it.
    history: Hash,
    /// Where to look for it from, the highest first.
    marks: Vec<Mark>,
}

impl Place {
    const fn beginning() -> Self {
        Self { next: 1, history: Hash::ZERO, marks: Vec::new() }
    }

    fn to_token(&self, address: &Address) -> String {
        let mut body = address.as_bytes().to_vec();
        body.extend_from_slice(&self.next.to_le_bytes());
        self.history.encode(&mut body);
        for mark in &self.marks {
            body.extend_from_slice(&mark.entry.to_le_bytes());
            mark.height.encode(&mut body);
        }
        page::token(Listing::OldestEntries, &[&body])
    }

    /// None if the token is another account's, or none that was made here.
    fn from_token(token: &[u8], address: &Address) -> Option<Self> {
        let mut reader = Reader::new(token);
        let of = Address::decode(&mut reader).ok()?;
        let (next, history) = (reader.u64("entry").ok()?, Hash::decode(&mut reader).ok()?);
        if of != *address || next == 0 || reader.remaining() > MAX_MARKS * MARK_BYTES {
            return None;
        }
        let mut marks = Vec::new();
        while reader.remaining() > 0 {
            let entry = reader.u64("entry").ok()?;
            marks.push(Mark { entry, height: Height::decode(&mut reader).ok()? });
        }
        Some(Self { next, history, marks })
    }
}

/// The account's history, oldest first.
pub(super) async fn list(
    deps: &Deps,
    address: Address,
    size: usize,
    page_token: &str,
    mask: &ReadMask<v1::AccountEntry>,
    meter: Option<&CallMeter>,
) -> Result<v1::ListAccountEntriesResponse, ApiError> {
    let place = match page::read_bytes(Listing::OldestEntries, page_token)? {
        None => Place::beginning(),
        Some(token) => Place::from_token(&token, &address).ok_or_else(page::invalid)?,
    };
    let Ascent { entries: found, marks, account, tip, .. } = ascend(deps, address, &place, size, meter).await?;
    let continues = match found.first() {
        Some(first) => history_link(&place.history, first.id, first.height) == first.history,
        // All that was known then is all that there is, or the way down takes another call.
        None if account.entries < place.next => {
            account.entries.checked_add(1) == Some(place.next) && account.history == place.history
        }
        None => true,
    };
    if !continues {
        // The history was reorganised between the pages.
        return Err(page::invalid());
    }
    let mut next = Place { marks: Vec::new(), ..place };
    let mut entries = Vec::with_capacity(found.len());
    let mut budget = page::Budget::default();
    for entry in &found {
        let message = masked_entry_view(deps.chain.params(), entry, mask);
        if !budget.fits(&message) {
            break;
        }
        (next.next, next.history) = (entry.entry.saturating_add(1), entry.history);
        entries.push(message);
    }
    next.marks = sparse(&marks, next.next);
    let more = next.next <= account.entries;
    Ok(v1::ListAccountEntriesResponse {
        entries,
        next_page_token: if more { next.to_token(&address) } else { String::new() },
        tip: Some((&blocks::point(&tip)).into()),
    })
}

/// Reads the entries; a reorganisation in the middle looks like damage, so it is tried again when the tip has moved.
async fn ascend(
    deps: &Deps,
    address: Address,
    place: &Place,
    size: usize,
    meter: Option<&CallMeter>,
) -> Result<Ascent, ApiError> {
    for _ in 0..MAX_RACES {
        let view = deps.chain.view();
        let tip = view.tip.id();
        // However few entries the page has, the way down to them is read: as many blocks as hold them at the most.
        let there_are = view.account(&address).map_or(0, |account| account.entries);
        let left = there_are.saturating_add(1).saturating_sub(place.next);
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(MAX_BACK_BLOCKS);
        if let Some(meter) = meter {
            meter.charge(most);
        }
        let result = deps.chain.account_entries_from(address, place.next, place.marks.clone(), size).await;
        // What failed has read nobody knows how much.
        if let (Some(meter), Ok(Ascent { passed, .. })) = (meter, &result) {
            meter.put_back(most.saturating_sub(*passed));
        }
        match result {
            Err(ChainError::Inconsistent(_)) if moved_from(&deps.chain, tip).await => {}
            Err(ChainError::Inconsistent(_)) if !place.marks.is_empty() => return Err(page::invalid()),
            result => return Ok(result?),
        }
    }
    Err(raced())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_with_all_marks_fits_a_request_and_reads_back_for_its_account_only() {
        let mark = |entry| Mark { entry, height: Height::new(u64::MAX) };
        let marks = (0..MAX_MARKS as u64).rev().map(mark).collect();
        let place = Place { next: 7, history: Hash::from_bytes([3; 32]), marks };
        let (of, other) = (Address::from_bytes([1; 32]), Address::from_bytes([2; 32]));
        let token = place.to_token(&of);
        assert!(token.len() < crate::rpc::SMALL_REQUEST - 100, "{}", token.len());
        let bytes = page::read_bytes(Listing::OldestEntries, &token).unwrap().unwrap();
        assert_eq!(Place::from_token(&bytes, &of), Some(place));
        assert_eq!(Place::from_token(&bytes, &other), None);
        assert_eq!(Place::from_token(&[bytes.as_slice(), &[0; 16]].concat(), &of), None);
        assert_eq!(Place::from_token(&bytes[..bytes.len() - 1], &of), None);
    }
}
