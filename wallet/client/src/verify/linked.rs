//! A link of an account's history as nodes send it, whose id is that of what it shows.

use farthing::{
    Coinbase, Hash, Height, Params, TimeMs,
    history::{EntryCause, HistoryEntry},
    wire::{WireError, read_transaction_view, v1},
};

use super::{Cause, VerifyError, stated_head};
use crate::answers::EntryView;

/// A link of an account's history.
#[derive(Debug, Clone)]
pub(crate) struct Linked {
    pub(crate) view: EntryView,
    /// What the rules know of it.
    pub(crate) linked: HistoryEntry,
    /// The history's head behind it, as stated.
    pub(crate) head: Hash,
}

impl Linked {
    /// Reads one.
    ///
    /// # Errors
    /// [`VerifyError::Malformed`], with the path inside of the entry; [`VerifyError::BrokenHistory`] if the id is another one.
    pub(crate) fn read(network: &Params, message: v1::AccountEntry) -> Result<Self, VerifyError> {
        let head = stated_head(&message)?;
        let (number, height) = (message.entry, Height::new(message.height));
        let (linked, cause) = match message.cause {
            None => return Err(VerifyError::Malformed(WireError::missing("cause"))),
            Some(v1::account_entry::Cause::Transaction(view)) => {
                let (_, transfer) = read_transaction_view(network, view).map_err(VerifyError::Malformed)?;
                let linked = EntryCause::Transfer(Box::new(transfer.transaction().clone()));
                (linked, Cause::Transfer(Box::new(transfer)))
            }
            Some(v1::account_entry::Cause::Coinbase(message)) => {
                let coinbase = Coinbase::try_from(message).map_err(VerifyError::Malformed)?;
                let amount = coinbase.amount;
                (EntryCause::Reward(coinbase), Cause::Reward(amount))
            }
        };
        let linked = HistoryEntry { height, cause: linked };
        let id = linked.id(network);
        if message.id.as_ref() != id.as_bytes() {
            return Err(VerifyError::BrokenHistory { entry: number });
        }
        Ok(Self { view: EntryView { number, height, id, cause, time: TimeMs::new(message.time_ms) }, linked, head })
    }
}

impl From<Linked> for EntryView {
    fn from(entry: Linked) -> Self {
        entry.view
    }
}
