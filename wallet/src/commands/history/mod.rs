//! `history`.

mod csv;
mod view;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use farthing::Address;
use serde::Serialize;

use self::{
    csv::Table,
    view::{EntryView, PendingView},
};
use crate::{
    cli::{self, When},
    client::NodeClient,
    context::Context,
    error::Result,
    history::{self, Visit},
    verify::{Entry, Evidence, Label},
};

/// Transfers of a page of the mempool.
const POOL_PAGE: u32 = 200;
/// A day, in UTC.
const DAY: Duration = Duration::from_secs(86_400);
/// Pages of it that are read.
const POOL_PAGES: usize = 250;

/// How much each figure is worth.
#[derive(Serialize)]
struct Labels {
    balance: Label,
    entries: Label,
    times: Label,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Label>,
}

#[derive(Serialize)]
struct HistoryView {
    network: String,
    address: String,
    balance: String,
    balance_mites: String,
    entries_total: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pending: Option<Vec<PendingView>>,
    entries: Vec<EntryView>,
    /// Whether these are all entries that the account has.
    complete: bool,
    labels: Labels,
    proof: Evidence,
}

impl fmt::Display for HistoryView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pending.iter().flatten().try_for_each(|pending| writeln!(f, "{pending}"))?;
        self.entries.iter().try_for_each(|entry| writeln!(f, "{entry}"))
    }
}

/// Shows the newest entries of an account's history.
///
/// # Errors
/// Those of [`show`].
pub fn run(context: &mut Context, account: Option<&str>, limit: u32) -> Result<()> {
    let (who, limit) = (account.map(str::to_owned), Some(limit));
    show(context, &cli::History { who, limit, ..cli::History::default() })
}

/// Shows entries of an account's history, the newest first and every one of them proven.
///
/// # Errors
/// Those of looking up, asking and verifying.
pub fn show(context: &mut Context, arguments: &cli::History) -> Result<()> {
    let address = context.account(arguments.who.as_deref())?;
    let client = context.connect()?;
    let network = Arc::clone(context.settings.network());
    let visit = |entry: &Entry| within(entry, arguments.since, arguments.until);
    let found = history::fetch_some(&client, &network, &address, arguments.limit(), &visit)?;
    let pending = arguments.pending.then(|| pending(context, &client, &address)).transpose()?;
    let state = found.account.state();
    let mut proof = found.account.evidence();
    proof.verified.push("every entry shown and their order");
    if found.complete {
        proof.verified.push("that none is missing and all add up to the balance");
    }
    // A date leaves out entries by times that are the node's word.
    let is_date = |when: Option<When>| matches!(when, Some(When::Time(_) | When::Day(_)));
    let by_date = is_date(arguments.since) || is_date(arguments.until);
    proof.not_verified.push(if by_date { "times, and so which entries the dates leave out" } else { "times" });
    if pending.is_some() {
        proof.not_verified.push("what is pending");
    }
    let view = HistoryView {
        network: network.name.clone(),
        address: context.wallet.show(&address),
        balance: state.balance.to_string(),
        balance_mites: state.balance.get().to_string(),
        entries_total: state.entries,
        labels: Labels {
            balance: Label::Verified,
            entries: Label::Verified,
            times: Label::Unverified,
            pending: pending.as_ref().map(|_| Label::Unverified),
        },
        pending,
        entries: found.entries.iter().map(|entry| EntryView::new(context, &address, entry)).collect::<Result<_>>()?,
        complete: found.complete && found.entries.len() as u64 == state.entries,
        proof,
    };
    if arguments.csv {
        let pending = view.pending.as_deref().unwrap_or_default();
        context.output.data(&Table { pending, entries: &view.entries })?;
    } else {
        context.output.data(&view)?;
    }
    if !context.output.is_json() {
        context.output.note(format_args!(
            "balance {} far ({}), {} entries in all",
            view.balance, view.labels.balance, view.entries_total
        ));
    }
    context.tell(&view.proof);
    Ok(())
}

/// Whether an entry is between two moments. Entries come the newest first, and blocks' times only grow.
fn within(entry: &Entry, since: Option<When>, until: Option<When>) -> Visit {
    let time = UNIX_EPOCH + Duration::from_millis(entry.time.get());
    let is_too_old = match since {
        Some(When::Height(since)) => entry.height < since,
        Some(When::Time(since) | When::Day(since)) => time < since,
        None => false,
    };
    let is_too_new = match until {
        Some(When::Height(until)) => entry.height > until,
        Some(When::Time(until)) => time > until,
        Some(When::Day(until)) => time >= until + DAY,
        None => false,
    };
    match (is_too_old, is_too_new) {
        (true, _) => Visit::Stop,
        (false, true) => Visit::Skip,
        (false, false) => Visit::Keep,
    }
}

/// What waits in the mempool and touches the account, on the node's word.
fn pending(context: &mut Context, client: &NodeClient, address: &Address) -> Result<Vec<PendingView>> {
    let (mut found, mut page) = (Vec::new(), None);
    for _ in 0..POOL_PAGES {
        let read = client.mempool(POOL_PAGE, page.as_ref())?.page;
        for waiting in &read.entries {
            let transaction = waiting.transaction.transaction();
            let pays = transaction.sender_address() == *address;
            if pays || transaction.outputs().iter().any(|output| output.to == *address) {
                found.push(PendingView::new(context, address, waiting)?);
            }
        }
        page = read.next;
        if page.is_none() {
            return Ok(found);
        }
    }
    let read = POOL_PAGES as u64 * u64::from(POOL_PAGE);
    context.output.warn(format_args!("the node's mempool has more than the {read} transfers that were looked at"));
    Ok(found)
}
