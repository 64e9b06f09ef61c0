//! The journal's writer: one sync for all who wait, then announcements and answers.

use std::sync::Arc;

use farthing::{TxId, WireId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::{
    Announcement, JournalEntry, JournalError, PoolJournal, Source,
    shared::{Shared, Ticket},
};

/// Most tickets that share one sync.
const MAX_GROUP: usize = 4_096;
/// Bytes that a journal may grow by before it is worth rewriting, whatever the pool holds.
const MIN_GROWTH: usize = 4 * 1024 * 1024;

/// Writes until the token is cancelled; what was handed over before is still written.
///
/// # Errors
/// If the journal fails in a way after which nothing is known about the disk.
pub(super) async fn run(
    shared: Arc<Shared>,
    journal: Arc<dyn PoolJournal>,
    mut tickets: UnboundedReceiver<Ticket>,
    token: CancellationToken,
) -> Result<(), JournalError> {
    let mut grown = 0;
    loop {
        let mut group = Vec::new();
        let received = tokio::select! {
            biased;
            received = tickets.recv_many(&mut group, MAX_GROUP) => received,
            () = token.cancelled() => {
                // Those who come later learn from the closed channel that the node is stopping.
                tickets.close();
                tickets.recv_many(&mut group, usize::MAX).await
            }
        };
        if received == 0 {
            return Ok(());
        }
        grown += write(&shared, &journal, group).await?;
        if grown > MIN_GROWTH.max(2 * shared.stats.borrow().bytes) {
            grown = 0;
            rewrite(&shared, &journal).await?;
        }
    }
}

/// Writes a group with one sync. Returns how many bytes of transactions that was.
async fn write(
    shared: &Arc<Shared>,
    journal: &Arc<dyn PoolJournal>,
    group: Vec<Ticket>,
) -> Result<usize, JournalError> {
    let mut entries = Vec::new();
    let mut announced = Vec::new();
    let mut waiters = Vec::new();
    for ticket in group {
        entries.extend(ticket.entries);
        announced.extend(ticket.announced);
        waiters.extend(ticket.waiter);
    }
    let added: Vec<TxId> = entries.iter().filter_map(added_id).collect();
    let bytes = entries.iter().map(size).sum();
    let outcome = if entries.is_empty() {
        Ok(())
    } else {
        let journal = Arc::clone(journal);
        shared.env.compute().run_blocking(move || journal.append(&entries)).await
    };
    match &outcome {
        Ok(()) => {
            shared.change(|pool, _| pool.mark_synced(added));
            announce(shared, announced);
        }
        Err(error) => {
            tracing::error!(%error, transactions = added.len(), "the mempool's journal failed; new transfers are refused");
            shared.change(|pool, now| pool.withdraw(&added, now));
        }
    }
    for waiter in waiters {
        // Whoever stopped waiting does not need the answer.
        let _ = waiter.send(outcome.clone());
    }
    match outcome {
        Err(error) if error.is_fatal => Err(error),
        _ => Ok(bytes),
    }
}

/// Leaves only what is still needed in the journal.
async fn rewrite(shared: &Arc<Shared>, journal: &Arc<dyn PoolJournal>) -> Result<(), JournalError> {
    let image = shared.read(super::pool::Pool::journal_image);
    let journal = Arc::clone(journal);
    let outcome = shared.env.compute().run_blocking(move || journal.rewrite(&image)).await;
    match outcome {
        Err(error) if error.is_fatal => Err(error),
        Err(error) => {
            tracing::warn!(%error, "the mempool's journal could not be shortened; the old one still stands");
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

fn announce(shared: &Shared, announced: Vec<(WireId, Source)>) {
    if announced.is_empty() {
        return;
    }
    let here = shared.read(|pool| {
        let present = |(id, _): &(WireId, Source)| pool.get_by_wire(id).is_some();
        announced.into_iter().filter(present).collect::<Vec<_>>()
    });
    if !here.is_empty() {
        // An error means that nobody listens.
        let _ = shared.announcements.send(Arc::new(Announcement { transactions: here }));
    }
}

fn added_id(entry: &JournalEntry) -> Option<TxId> {
    match entry {
        JournalEntry::Added(pooled) => Some(pooled.id()),
        JournalEntry::Dropped { .. } => None,
    }
}

fn size(entry: &JournalEntry) -> usize {
    match entry {
        JournalEntry::Added(pooled) => pooled.transaction().size_bytes() + 32,
        JournalEntry::Dropped { .. } => 96,
    }
}
