//! The thread that writes checkpoints: one at a time, always of the newest snapshot.

use std::{
    collections::BTreeSet,
    io,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use farthing::Params;
use farthing_consensus::HeaderContext;

use super::{
    CheckpointError, CheckpointName, KeyOf, Limits, Policy, Snapshot, Written, list, policy::Since, write::write,
};
use crate::{
    env::{Clock, Disk},
    tasks::Chain,
};

/// How much longer than its time to end a writer is waited for: it looks at the clock between chunks.
const GRACE: Duration = Duration::from_millis(500);

/// What a [`Checkpointer`] is made of.
#[derive(Debug)]
pub struct Setup {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// The directory of the checkpoints; it must be there.
    pub directory: PathBuf,
    /// The network.
    pub params: Arc<Params>,
    /// How often, how many.
    pub policy: Policy,
    /// The tip of the newest good checkpoint; genesis if there is none.
    pub newest: HeaderContext,
    /// The one that the chain begins with, which always stays.
    pub base: Option<CheckpointName>,
    /// Checkpoints found not to be good at the start: removed once there is a new one.
    pub rejected: Vec<CheckpointName>,
}

/// Decides when a checkpoint is due and writes it, on a thread that the owner gives to [`Checkpointer::run`].
#[derive(Debug)]
pub struct Checkpointer {
    setup: Setup,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    /// The newest snapshot offered that is not yet written.
    latest: Option<Snapshot>,
    /// The newest one at a height at which other nodes make theirs, if it is not yet written.
    common: Option<Snapshot>,
    newest: HeaderContext,
    base: Option<CheckpointName>,
    made: Duration,
    tried: Option<Duration>,
    /// How long the last one took.
    took: Option<Duration>,
    /// When all must have ended, by the clock's elapsed time; set by `close`.
    deadline: Option<Duration>,
    running: bool,
}

impl Checkpointer {
    /// Counts from now.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let state = State {
            latest: None,
            common: None,
            newest: setup.newest,
            base: setup.base,
            made: setup.clock.elapsed(),
            tried: None,
            took: None,
            deadline: None,
            running: false,
        };
        Self { setup, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The chain begins with this checkpoint, which was written elsewhere.
    pub(in crate::store) fn begins_with(&self, name: CheckpointName, tip: HeaderContext) {
        let mut state = self.lock();
        state.base = Some(name);
        state.newest = tip;
        state.made = self.setup.clock.elapsed();
    }

    /// Offers the newest snapshot; it takes the place of one that waits. Returns at once.
    pub fn offer(&self, snapshot: Snapshot) {
        let mut state = self.lock();
        if self.setup.policy.is_common(snapshot.view.tip.height().get()) {
            state.common = Some(snapshot.clone());
        }
        state.latest = Some(snapshot);
        if self.is_due(&state) {
            self.changed.notify_all();
        }
    }

    /// Writes what is due until [`Checkpointer::close`] is called, and then the newest snapshot, if there is time for
    /// it. Blocks: for a thread of its own. A checkpoint that cannot be written is logged and tried again later.
    pub fn run(&self, key_of: &KeyOf<'_>) {
        {
            let mut state = self.lock();
            if state.deadline.is_some() {
                return;
            }
            state.running = true;
        }
        // Whatever ends this thread, nobody may wait for it in vain.
        let _ended = Ended(self);
        while let Some(snapshot) = self.next_due() {
            self.attempt(&snapshot, key_of);
        }
        let last = self.lock().latest.take();
        if let Some(snapshot) = last.filter(|snapshot| self.is_worth_it(snapshot)) {
            self.attempt(&snapshot, key_of);
        }
    }

    /// Writes what is due now, or, once [`Checkpointer::close`] was called, the newest snapshot: for a store without
    /// threads.
    pub fn run_in_place(&self, key_of: &KeyOf<'_>) {
        let snapshot = {
            let mut state = self.lock();
            if state.deadline.is_some() {
                state.latest.take()
            } else if self.is_due(&state) {
                state.common.take().or_else(|| state.latest.take())
            } else {
                None
            }
        };
        if let Some(snapshot) = snapshot.filter(|snapshot| !self.is_closed() || self.is_worth_it(snapshot)) {
            self.attempt(&snapshot, key_of);
        }
    }

    fn is_closed(&self) -> bool {
        self.lock().deadline.is_some()
    }

    /// Ends the thread: what it writes is finished or abandoned within `time`. True if it has ended. One that has not
    /// begun by then never does.
    pub fn close(&self, time: Duration) -> bool {
        let mut state = self.lock();
        let deadline = self.setup.clock.elapsed().saturating_add(time);
        state.deadline.get_or_insert(deadline);
        self.changed.notify_all();
        let waited = self.changed.wait_timeout_while(state, time + GRACE, |state| state.running);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        !state.running
    }

    pub(in crate::store) const fn policy(&self) -> &Policy {
        &self.setup.policy
    }

    /// Whether a thread has begun and not ended.
    #[cfg(test)]
    pub(in crate::store) fn is_running(&self) -> bool {
        self.lock().running
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a checkpoint is due; none when it is time to end.
    fn next_due(&self) -> Option<Snapshot> {
        let state = self.lock();
        let waiting = |state: &mut State| state.deadline.is_none() && !self.is_due(state);
        let mut state = self.changed.wait_while(state, waiting).unwrap_or_else(PoisonError::into_inner);
        if state.deadline.is_some() { None } else { state.common.take().or_else(|| state.latest.take()) }
    }

    fn is_due(&self, state: &State) -> bool {
        let Some(snapshot) = state.common.as_ref().or(state.latest.as_ref()) else { return false };
        let now = self.setup.clock.elapsed();
        let since = Since {
            blocks: blocks_between(&state.newest, &snapshot.view.tip),
            made: now.saturating_sub(state.made),
            tried: state.tried.map(|tried| now.saturating_sub(tried)),
        };
        let since = if state.common.is_some() { Since { blocks: u64::MAX, ..since } } else { since };
        self.setup.policy.is_due(since)
    }

    /// Whether there is something new to write at the end, and time for it if it takes as long as the last one.
    fn is_worth_it(&self, snapshot: &Snapshot) -> bool {
        let state = self.lock();
        let left = state.deadline.unwrap_or_default().saturating_sub(self.setup.clock.elapsed());
        blocks_between(&state.newest, &snapshot.view.tip) > 0 && state.took.unwrap_or_default() < left
    }

    fn attempt(&self, snapshot: &Snapshot, key_of: &KeyOf<'_>) {
        let Setup { disk, clock, directory, params, policy, .. } = &self.setup;
        let begun = clock.elapsed();
        let overdue = || self.lock().deadline.is_some_and(|deadline| clock.elapsed() >= deadline);
        let limits = Limits::leaving(policy.reserve_bytes);
        let written = write(&**disk, directory, params, snapshot, key_of, limits, &overdue);
        let now = clock.elapsed();
        let took = now.saturating_sub(begun);
        let mut state = self.lock();
        state.tried = Some(now);
        match written {
            Ok(written) => {
                state.newest = snapshot.view.tip;
                state.made = now;
                state.took = Some(took);
                drop(state);
                let Written { name, bytes, accounts } = written;
                tracing::info!(checkpoint = %name, accounts, bytes, ms = took.as_millis() as u64, "checkpoint written");
                self.tidy(name);
            }
            Err(error) => {
                // Unless a newer one waits, this one is tried again at the next offer, or at the end.
                state.latest.get_or_insert_with(|| snapshot.clone());
                drop(state);
                self.report(&error, snapshot);
            }
        }
    }

    fn report(&self, error: &CheckpointError, snapshot: &Snapshot) {
        let height = snapshot.view.tip.height().get();
        match error {
            CheckpointError::Abandoned(_) => tracing::info!(height, %error, "checkpoint not written"),
            error => tracing::warn!(height, error = %Chain(error), "checkpoint not written; the older ones stay"),
        }
    }

    /// Removes the checkpoints that are not needed any more. Only after the new one is durable.
    fn tidy(&self, written: CheckpointName) {
        let Setup { disk, directory, policy, rejected, .. } = &self.setup;
        let remove = || -> io::Result<()> {
            let there = list(&**disk, directory)?;
            let good: Vec<_> =
                there.iter().copied().filter(|name| *name == written || !rejected.contains(name)).collect();
            let mut kept: BTreeSet<_> = policy.keep(&good, written);
            // Whatever becomes of the others: nothing below it can be executed again.
            kept.extend(self.lock().base);
            let gone: Vec<_> = there.iter().filter(|name| !kept.contains(name)).collect();
            for name in &gone {
                disk.remove(&directory.join(name.to_string()))?;
            }
            if gone.is_empty() { Ok(()) } else { disk.sync_dir(directory) }
        };
        if let Err(error) = remove() {
            tracing::warn!(%error, "an old checkpoint is not removed; tried again after the next one");
        }
    }
}

/// Tells the waiting that the thread has ended, even by a panic.
struct Ended<'a>(&'a Checkpointer);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.lock().running = false;
        self.0.changed.notify_all();
    }
}

/// How far a tip is from another, in blocks; at least 1 if they differ.
fn blocks_between(from: &HeaderContext, to: &HeaderContext) -> u64 {
    if from.id() == to.id() { 0 } else { from.height().get().abs_diff(to.height().get()).max(1) }
}
