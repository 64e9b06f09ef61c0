//! Fetches an account's history and proves it entry by entry.

use farthing::{Address, EntryId, Hash, Height, Params, wire::v1};

use crate::{
    client::NodeClient,
    error::{Error, Result},
    verify::{self, Entry, HistoryWalk, ProvenAccount, VerifyError},
};

/// Entries a page: the most that a node gives.
const PAGE: u32 = 100;
/// How often a walk begins anew because the chain changed under it.
const TRIES: usize = 4;
/// Pages of entries newer than the proven account that a busy chain may put before the ones sought.
const SPARE_PAGES: u64 = 100;
/// How far back a transfer is looked for; its sender can hardly have done more since it was mined.
const SEARCH_ENTRIES: u64 = 10_000;

/// An account and the newest part of its history, proven.
#[derive(Debug)]
pub struct History {
    /// The account that the history leads to.
    pub account: ProvenAccount,
    /// The newest first.
    pub entries: Vec<Entry>,
    /// Whether the history was read to its beginning; then it was also found to add up to the balance.
    pub complete: bool,
}

/// What to do with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// Keep it, and go on to older ones.
    Keep,
    /// Leave it out, and go on.
    Skip,
    /// Keep it, and read no older ones.
    Last,
    /// Leave it out, and read no older ones.
    Stop,
}

/// Fetches and proves at most `limit` entries, the newest first.
///
/// # Errors
/// [`VerifyError`] and [`crate::client::NodeError`].
pub fn fetch(client: &NodeClient, network: &Params, address: &Address, limit: u64) -> Result<History> {
    search(client, network, address, limit, &|_| Visit::Keep)
}

/// Fetches and proves entries, the newest first, and keeps at most `limit` of those that `visit` wants.
///
/// # Errors
/// [`VerifyError`] and [`crate::client::NodeError`].
pub fn fetch_some(
    client: &NodeClient,
    network: &Params,
    address: &Address,
    limit: u64,
    visit: &dyn Fn(&Entry) -> Visit,
) -> Result<History> {
    search(client, network, address, limit, visit)
}

fn up_to(is_it: impl Fn(&Entry) -> bool) -> impl Fn(&Entry) -> Visit {
    move |entry| if is_it(entry) { Visit::Last } else { Visit::Keep }
}

/// Proves that an id is in an account's history at that height.
///
/// # Errors
/// [`VerifyError::NotInHistory`], and those of [`fetch`].
pub fn contains(
    client: &NodeClient,
    network: &Params,
    address: &Address,
    id: EntryId,
    height: Height,
) -> Result<ProvenAccount> {
    let is_it = |entry: &Entry| entry.id == id;
    let found = search(client, network, address, SEARCH_ENTRIES, &up_to(is_it))?;
    match found.entries.last() {
        Some(last) if is_it(last) && last.height == height => Ok(found.account),
        _ => Err(VerifyError::NotInHistory.into()),
    }
}

/// Finds, in an account's proven history, the transfer of its own with that nonce.
///
/// # Errors
/// [`VerifyError::NotInHistory`] if the account has not used the nonce, and those of [`fetch`].
pub fn with_nonce(
    client: &NodeClient,
    network: &Params,
    address: &Address,
    nonce: u64,
) -> Result<(ProvenAccount, Entry)> {
    let is_it = |entry: &Entry| entry.paid_nonce(address) == Some(nonce);
    // Without a bound: an account's nonces have no gaps, so the walk ends where it must.
    let visit = |entry: &Entry| if is_it(entry) { Visit::Last } else { Visit::Skip };
    let mut found = search(client, network, address, u64::MAX, &visit)?;
    match found.entries.pop() {
        Some(last) if is_it(&last) => Ok((found.account, last)),
        _ => Err(VerifyError::NotInHistory.into()),
    }
}

/// The same for any account: reads the newest part of its history only, and finds nothing in what lies deeper.
///
/// # Errors
/// As [`with_nonce`].
pub fn recent_with_nonce(
    client: &NodeClient,
    network: &Params,
    address: &Address,
    nonce: u64,
) -> Result<(ProvenAccount, Option<Entry>)> {
    let is_it = |entry: &Entry| entry.paid_nonce(address) == Some(nonce);
    let mut found = search(client, network, address, SEARCH_ENTRIES, &up_to(is_it))?;
    let last = found.entries.pop().filter(is_it);
    if last.is_none() && found.complete {
        return Err(VerifyError::NotInHistory.into());
    }
    Ok((found.account, last))
}

fn search(
    client: &NodeClient,
    network: &Params,
    address: &Address,
    limit: u64,
    visit: &dyn Fn(&Entry) -> Visit,
) -> Result<History> {
    let mut attempt = 1;
    loop {
        let account = client.account(address)?.0;
        match walk(client, network, account, limit, visit) {
            Err(error) if error.code() == "VERIFICATION_FAILED" && attempt < TRIES => attempt += 1,
            other => return other,
        }
    }
}

fn walk(
    client: &NodeClient,
    network: &Params,
    account: ProvenAccount,
    limit: u64,
    visit: &dyn Fn(&Entry) -> Visit,
) -> Result<History> {
    let mut walk = HistoryWalk::new(network, &account);
    let newest = walk.left();
    let mut entries = Vec::new();
    let mut token = None;
    // An entry is proven once the one below it is known, which states the chain's head before it.
    let mut upper: Option<v1::AccountEntry> = None;
    let mut idle_pages = 0;
    while walk.left() > 0 && (entries.len() as u64) < limit {
        // A node that sends pages without end must not keep us.
        let left = walk.left();
        if idle_pages > SPARE_PAGES {
            return Err(VerifyError::BrokenHistory { entry: left }.into());
        }
        let page = client.account_entries(&account.address, PAGE, token.as_ref()).map_err(|error| {
            // Pages belong to one history; a reorganisation between two of them ends it.
            let is_other = error.is_refused_for("INVALID_PAGE_TOKEN");
            if is_other { Error::from(VerifyError::HistoryChanged) } else { error.into() }
        })?;
        let is_last = page.next.is_none() || page.entries.is_empty();
        token = page.next;
        // The chain may have grown since the account was proven.
        for message in page.entries.into_iter().filter(|message| message.entry <= newest) {
            if let Some(upper) = upper.replace(message.clone()) {
                let entry = walk.step(upper, verify::stated_head(&message)?)?;
                let wanted = visit(&entry);
                if matches!(wanted, Visit::Keep | Visit::Last) {
                    entries.push(entry);
                }
                if entries.len() as u64 == limit || matches!(wanted, Visit::Last | Visit::Stop) {
                    return Ok(History { account, entries, complete: false });
                }
            }
        }
        if is_last {
            let oldest = upper.take().ok_or(VerifyError::BrokenHistory { entry: walk.left() })?;
            let entry = walk.step(oldest, Hash::ZERO)?;
            if matches!(visit(&entry), Visit::Keep | Visit::Last) {
                entries.push(entry);
            }
            if walk.left() > 0 {
                return Err(VerifyError::BrokenHistory { entry: walk.left() }.into());
            }
        }
        // The first page that says something leads nowhere yet: what it says is proven by the next one.
        idle_pages = if walk.left() < left { 0 } else { idle_pages + 1 };
    }
    let complete = walk.left() == 0;
    if complete {
        walk.finish()?;
    }
    Ok(History { account, entries, complete })
}
