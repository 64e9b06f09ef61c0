//! The journal's writer: one sync for all who wait, then announcements and answers.

use std::sync::Arc;

use farthing::{TxId, WireId};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio_util::sync::CancellationToken;

use super::{
    Announcement, JournalEntry, JournalError, PoolJournal, Source,
    pool::{Change, Pool, Withdrawn},
    shared::{NotWritten, Shared, Ticket, Waiter},
};

/// Most tickets that share one sync.
const MAX_GROUP: usize = 4_096;
/// Bytes that a journal may grow by before it is worth rewriting, whatever the pool holds.
const MIN_GROWTH: usize = 4 * 1024 * 1024;

/// Whoever hands the pool's changes to the journal.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Arc<dyn PoolJournal>,
    pub(super) tickets: UnboundedReceiver<Ticket>,
    /// The journal holds more than it must, and could not be rewritten.
    pub(super) rewrite_due: bool,
}

/// Tickets that share one sync.
#[derive(Debug, Default)]
struct Group {
    changes: Vec<Change>,
    announced: Vec<(WireId, Source)>,
    waiters: Vec<Waiter>,
}

/// How the journal fares.
#[derive(Debug, Default)]
struct Health {
    /// The last write failed: said once, not for every transfer that is refused.
    failing: bool,
    /// Bytes that the journal has grown by since it was rewritten.
    grown: usize,
}

impl Group {
    fn add(&mut self, ticket: Ticket) {
        self.changes.extend(ticket.changes);
        self.announced.extend(ticket.announced);
        self.waiters.extend(ticket.waiter);
    }

    fn answer(self, outcome: &Result<(), Arc<NotWritten>>) {
        for waiter in self.waiters {
            // Whoever stopped waiting does not need the answer.
            let _ = waiter.answer.send(outcome.clone());
        }
    }
}

impl Writer {
    /// Writes until the token is cancelled; what was handed over before is still written.
    ///
    /// # Errors
    /// If the journal fails in a way after which nothing is known about the disk.
    pub(super) async fn run(mut self, token: CancellationToken) -> Result<(), JournalError> {
        let mut health = Health::default();
        loop {
            let mut group = Vec::new();
            let received = tokio::select! {
                biased;
                received = self.tickets.recv_many(&mut group, MAX_GROUP) => received,
                () = token.cancelled() => {
                    // Those who come later learn from the closed channel that the node is stopping.
                    self.tickets.close();
                    self.tickets.recv_many(&mut group, usize::MAX).await
                }
            };
            if received == 0 {
                return Ok(());
            }
            let mut tickets = Group::default();
            group.into_iter().for_each(|ticket| tickets.add(ticket));
            self.write(tickets, &mut health).await?;
            if (self.rewrite_due && !health.failing)
                || health.grown > MIN_GROWTH.max(2 * self.shared.stats.borrow().bytes)
            {
                self.rewrite(&mut health).await?;
            }
        }
    }

    /// Writes a group with one sync.
    async fn write(&mut self, group: Group, health: &mut Health) -> Result<(), JournalError> {
        // What should have been written earlier and still stands.
        let mut entries = if health.failing { self.shared.read(Pool::unwritten) } else { Vec::new() };
        entries.extend(group.changes.iter().map(|change| change.entry.clone()));
        if entries.is_empty() {
            self.durable(group, Vec::new());
            return Ok(());
        }
        let added: Vec<TxId> = entries.iter().filter_map(added_id).collect();
        let bytes: usize = entries.iter().map(size).sum();
        let journal = Arc::clone(&self.journal);
        match self.shared.env.compute().run_blocking(move || journal.append(&entries)).await {
            Ok(()) => {
                if std::mem::take(&mut health.failing) {
                    tracing::info!("the mempool's journal can be written again; new transfers are taken");
                }
                health.grown = health.grown.saturating_add(bytes);
                self.durable(group, added);
                Ok(())
            }
            Err(error) => {
                if !std::mem::replace(&mut health.failing, true) {
                    tracing::error!(%error, "the mempool's journal cannot be written; new transfers are refused");
                }
                self.take_back(group, error.clone()).await;
                if error.is_fatal() { Err(error) } else { Ok(()) }
            }
        }
    }

    /// Undoes what could not be written, and all that was done since: it may rest on it.
    async fn take_back(&mut self, mut group: Group, error: JournalError) {
        let tickets = &mut self.tickets;
        // Tickets are sent under the pool's lock, so none can be sent between looking for the last and undoing it.
        let Withdrawn { lost, used } = self.shared.change(|pool, now| {
            while let Ok(ticket) = tickets.try_recv() {
                group.add(ticket);
            }
            pool.withdraw(std::mem::take(&mut group.changes), now)
        });
        if !used.is_empty() {
            let shared = Arc::clone(&self.shared);
            self.shared.env.compute().run_blocking(move || shared.settle_used(&used)).await;
        }
        // Of these, what is still here is durable, or was on the chain.
        announce(&self.shared, &group.announced);
        group.answer(&Err(Arc::new(NotWritten { error, lost })));
    }

    /// Leaves only what is still needed in the journal. What is on its way there is then in it too.
    async fn rewrite(&mut self, health: &mut Health) -> Result<(), JournalError> {
        health.grown = 0;
        let mut group = Group::default();
        let tickets = &mut self.tickets;
        let image = self.shared.change(|pool, _| {
            while let Ok(ticket) = tickets.try_recv() {
                group.add(ticket);
            }
            pool.journal_image()
        });
        let added: Vec<TxId> = image.iter().filter_map(added_id).collect();
        let journal = Arc::clone(&self.journal);
        match rewritten(self.shared.env.compute().run_blocking(move || journal.rewrite(&image)).await) {
            Ok(true) => {
                self.rewrite_due = false;
                self.durable(group, added);
                Ok(())
            }
            Ok(false) => {
                self.rewrite_due = true;
                self.write(group, health).await
            }
            Err(error) => {
                self.take_back(group, error.clone()).await;
                Err(error)
            }
        }
    }

    /// What was to be written is on disk.
    fn durable(&self, group: Group, added: Vec<TxId>) {
        self.shared.change(|pool, _| pool.mark_synced(added));
        announce(&self.shared, &group.announced);
        group.answer(&Ok(()));
    }
}

/// Whether a rewrite has taken place; if only for lack of room it has not, the old journal still serves.
pub(super) fn rewritten(outcome: Result<(), JournalError>) -> Result<bool, JournalError> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.is_fatal() => Err(error),
        Err(error) => {
            tracing::debug!(%error, "the mempool's journal could not be shortened; the old one still stands");
            Ok(false)
        }
    }
}

fn announce(shared: &Shared, announced: &[(WireId, Source)]) {
    if announced.is_empty() {
        return;
    }
    let here = shared.read(|pool| {
        let present = |(id, _): &&(WireId, Source)| pool.get_by_wire(id).is_some();
        announced.iter().filter(present).copied().collect::<Vec<_>>()
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
