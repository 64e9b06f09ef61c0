//! `tx verify-proof`, and what a receipt says.

use std::{
    fmt,
    path::Path,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use farthing::{Account, Address, TimeMs};
use serde::Serialize;

use super::or_pipe;
use crate::{
    commands::terms::{Terms, name_of, named},
    context::Context,
    error::Result,
    receipt::{Proven, Receipt},
};

/// A recipient's account at the receipt's tip.
#[derive(Debug, Serialize)]
struct Recipient {
    address: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    exists: bool,
    balance: String,
    balance_mites: String,
    /// Entries of its history.
    entries: u64,
}

/// What a receipt proves.
#[derive(Debug, Serialize)]
pub(super) struct ProvenView {
    verified: bool,
    transaction_id: String,
    network: String,
    genesis_id: String,
    #[serde(flatten)]
    terms: Terms,
    block_height: u64,
    block_id: String,
    block_time_ms: u64,
    /// The same in words.
    block_time: String,
    confirmations: u64,
    /// The last block that the receipt knows of.
    tip_height: u64,
    tip_id: String,
    tip_time_ms: u64,
    tip_time: String,
    /// Expected number of attempts behind the whole chain, in decimal.
    total_work: String,
    /// That of the transfer's block and all above it.
    work_since: String,
    headers_checked: usize,
    /// How likely a chain passes of which at most half was worked for: `2^-50`, or `0` if nothing is left to chance.
    error_probability: String,
    recipients: Vec<Recipient>,
}

impl ProvenView {
    pub(super) fn new(context: &Context, proven: &Proven) -> Result<Self> {
        let transaction = proven.transfer.transaction();
        let network = context.settings.network();
        let recipient = |(address, account): &(Address, Option<Account>)| {
            let state = account.unwrap_or_default();
            Ok::<_, crate::error::Error>(Recipient {
                address: context.wallet.show(address),
                name: name_of(context, address)?,
                exists: account.is_some(),
                balance: state.balance.to_string(),
                balance_mites: state.balance.get().to_string(),
                entries: state.entries,
            })
        };
        Ok(Self {
            verified: true,
            transaction_id: proven.id.to_string(),
            network: network.name.clone(),
            genesis_id: network.genesis_id().to_string(),
            terms: Terms::of(context, transaction)?,
            block_height: proven.place.height.get(),
            block_id: proven.place.block_id.to_string(),
            block_time_ms: proven.header.time.get(),
            block_time: in_words(proven.header.time),
            confirmations: proven.place.confirmations(),
            tip_height: proven.place.tip_height.get(),
            tip_id: proven.tip.id().to_string(),
            tip_time_ms: proven.tip.time.get(),
            tip_time: in_words(proven.tip.time),
            total_work: proven.total_work.get().to_string(),
            work_since: proven.work_since.get().to_string(),
            headers_checked: proven.headers_checked,
            error_probability: proven.error_bits.map_or_else(|| "0".to_owned(), |bits| format!("2^-{bits}")),
            recipients: proven.recipients.iter().map(recipient).collect::<Result<_>>()?,
        })
    }
}

/// A time as people write it, in UTC.
fn in_words(time: TimeMs) -> String {
    // Far beyond what a header may say, and what can be written with four digits of a year.
    let time = Duration::from_millis(time.get()).min(Duration::from_secs(253_402_300_799));
    humantime::format_rfc3339_seconds(UNIX_EPOCH + time).to_string()
}

impl fmt::Display for ProvenView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "proven: this payment was mined on the network {} (genesis {})", self.network, self.genesis_id)?;
        writeln!(f, "id         {}", self.transaction_id)?;
        writeln!(f, "{}", self.terms)?;
        writeln!(f, "block      {} of {} ({})", self.block_height, self.block_time, self.block_id)?;
        writeln!(f, "as of      block {} of {} ({})", self.tip_height, self.tip_time, self.tip_id)?;
        writeln!(f, "depth      confirmations: {}", self.confirmations)?;
        writeln!(f, "work       {} attempts to undo it, {} for the whole chain", self.work_since, self.total_work)?;
        for Recipient { address, name, exists, balance, entries, .. } in &self.recipients {
            let who = named(name.as_ref(), address);
            if *exists {
                writeln!(f, "recipient  {who}: holds {balance} far after {entries} entries")?;
            } else {
                writeln!(f, "recipient  {who}: no account")?;
            }
        }
        let checked = self.headers_checked;
        if self.error_probability == "0" {
            write!(f, "checked    the work of all {checked} headers, which leaves nothing to chance")?;
        } else {
            let odds = &self.error_probability;
            write!(
                f,
                "checked    the work of {checked} headers, all from the payment's block on and a sample of those before: a chain of which at most half was worked for passes with a \
                 probability of at most {odds}"
            )?;
        }
        f.write_str("\nnot proven: that no chain with more work leaves this payment out")
    }
}

/// Checks a receipt.
///
/// # Errors
/// [`crate::receipt::ReceiptError`].
pub(super) fn run(context: &mut Context, path: &Path) -> Result<()> {
    let proven = Receipt::read(or_pipe(path))?.verify(context.settings.network(), SystemTime::now())?;
    let view = ProvenView::new(context, &proven)?;
    Ok(context.output.data(&view)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_and_never_overflow() {
        assert_eq!(in_words(TimeMs::new(1_796_083_200_000)), "2026-12-01T00:00:00Z");
        assert_eq!(in_words(TimeMs::new(u64::MAX)), "9999-12-31T23:59:59Z");
    }
}
