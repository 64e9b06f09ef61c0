//! A chain that begins with a peer's checkpoint: first all headers, whose work is checked, then the accounts after one
//! block of them, then blocks as usual. Knows no peers: they are asked elsewhere, and what they said is judged here.
//!
//! Nothing that a peer sends is believed. Headers wait in files; pieces of the checkpoint are held against what their
//! digest covers as they come, and the whole against its header before any of it is in force.
//!
//! **What nobody can do without work**: have the node accept accounts to which the headers with the most work do not commit,
//! of those that any peer shows that it reaches in the time allowed. A checkpoint is a candidate until the store has
//! certified it; its block is one of the heaviest branch when it is asked for, with each piece, and when the chain begins; and
//! that branch is the heaviest of all that were shown, for no session takes away what another one has brought, and one
//! that this node dialled and that claims more is waited for as long as it shows more.
//!
//! **What strangers without work can cost**: time. For headers each has its turn among the others, of 20 s, or of 2 s if it is
//! mute; by what they claim they hold the node up for half of the time; by branches, for nobody but each other. While a
//! peer that this node dialled has a checkpoint that will do, or has not yet said what it has, no stranger is asked for one, so
//! that what strangers offer, made up, slow or huge, delays nothing; a false one costs its address a ban and the node no
//! header. Where *only* strangers have one, a slow one is left for another after 20 s, then 40 s and so on, a mute one keeps
//! its turn as long as an answer is waited for, and how long all takes depends on how many they are.
//!
//! **Falling back** to executing all blocks is always safe, so that it is done as soon as nobody of this node's choice has what
//! will do; but strangers do not decide it while one of these is there.

mod download;
mod fetching;
mod headers;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use farthing::{BlockId, Header, Work, checkpoint::CheckpointFault};
use farthing_consensus::HeaderContext;
use tokio::sync::watch;

pub use download::Missing;
pub use fetching::Offers;
pub use headers::Asked;

use self::{
    download::{Download, Remembered, Resting},
    headers::{Headers, MAX_BRANCHES},
};
use super::{Chain, ChainError, HeaderRejection, SessionId};
use crate::{
    env::Disk,
    store::{BASE_HEADERS, FETCHED_HEADERS, HeaderFile, StoreError, checkpoint::Offer},
};

/// How long peers are asked for a checkpoint that will do, or for a chain long enough to have one, before all blocks are
/// executed instead.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long nothing is fetched after the disk did not take something.
const REST: Duration = Duration::from_secs(120);
/// One that comes slowly is fetched for 20 s before another one is taken in its place, for twice as long after each such
/// change, and so on so many times: where this node's own link is slow, all are.
const MOST_DOUBLINGS: u32 = 10;
/// How often it is said what is waited for.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// What an operator decides about beginning with a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootstrapOptions {
    /// How many blocks behind the best header the checkpoint must be.
    pub depth: u64,
    /// The least work that the headers must show.
    pub minimum_work: Work,
    /// Bytes of the disk that are left free.
    pub reserve_bytes: u64,
}

/// How far a node has come that begins with a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It fetches headers.
    Headers,
    /// It fetches the accounts after a block.
    Checkpoint,
    /// It fetches blocks, as any node does.
    Blocks,
}

/// Why what a session sent is not taken.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// It is not what it was said to be: the sender's fault.
    #[error(transparent)]
    Fault(#[from] CheckpointFault),
    /// What was being fetched is no longer wanted. Nobody's fault.
    #[error("the checkpoint is no longer wanted")]
    Outdated,
    /// There is no room for as much as it is said to be.
    #[error("no room for the checkpoint: {0}")]
    NoRoom(StoreError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asker {
    /// The session.
    pub session: SessionId,
    /// Whether this node chose the peer, by dialling it. Whoever dialled this node is a stranger.
    pub is_chosen: bool,
}

/// What to fetch of what a session offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Fetch(Offer),
    /// Nothing: what is being fetched is with others.
    WithOthers,
    /// Nothing, and nothing is being fetched.
    Nothing,
}

/// How an attempt to begin ended.
#[derive(Debug)]
pub enum Begun {
    /// The chain begins with the checkpoint now.
    Yes,
    /// What was fetched is no longer wanted: another branch of headers is heavier now. Nobody's fault.
    Outdated,
    /// It was not the checkpoint of its block: all of these sessions gave pieces of it, and vouched for its digest.
    Refuted(CheckpointFault, Vec<SessionId>),
    /// The node could not keep it; tried again from the start.
    Failed(StoreError),
}

/// What is under way. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bootstrap(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    chain: Chain,
    disk: Arc<dyn Disk>,
    data_dir: PathBuf,
    options: BootstrapOptions,
    phase: watch::Sender<Phase>,
    state: Mutex<State>,
    /// What was last seen of it: whoever works on it may read all headers, and nobody waits for that only to look.
    seen: Mutex<Seen>,
}

/// What is looked at while others work on it.
#[derive(Debug, Clone, Copy)]
struct Seen {
    best: HeaderContext,
    pieces: Option<(u64, u64)>,
    rests_until: Option<Duration>,
}

/// The state, while one works on it. What others see of it changes when that ends.
struct Held<'a> {
    state: MutexGuard<'a, State>,
    seen: &'a Mutex<Seen>,
}

impl Deref for Held<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.state
    }
}

impl DerefMut for Held<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.state
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = self.state.seen();
    }
}

#[derive(Debug)]
struct State {
    headers: Headers,
    download: Option<Download>,
    refuted: Remembered,
    /// Those that came slowly or did not fit on the disk.
    avoided: Remembered,
    /// Those that did not fit, for a while.
    resting: Resting,
    /// How often one was dropped because it came slowly.
    dropped: u32,
    waits: Waits,
    /// Until when nothing is fetched.
    rests_until: Option<Duration>,
}

impl State {
    fn seen(&self) -> Seen {
        let pieces = self.download.as_ref().map(Download::progress);
        Seen { best: self.headers.best(), pieces, rests_until: self.rests_until }
    }

    /// The store did not take something: nothing more is fetched for a while, or it would only be fetched again.
    fn note(&mut self, error: &StoreError, now: Duration) {
        tracing::warn!(%error, rest_s = REST.as_secs(), "what peers send to begin with cannot be kept now; trying again later");
        self.rests_until = Some(now + REST);
    }
}

/// Since when there is nothing to do but to wait.
#[derive(Debug, Default)]
struct Waits {
    /// For a chain that is long enough: since this was the best header.
    longer: Option<(BlockId, Duration)>,
    /// For a peer that has a checkpoint that will do.
    checkpoint: Option<Duration>,
    /// When it was last said.
    said: Option<Duration>,
}

impl Waits {
    /// Whether it is to be said again.
    fn say(&mut self, now: Duration) -> bool {
        let again = self.said.is_none_or(|said| now.saturating_sub(said) >= SAY_AGAIN);
        if again {
            self.said = Some(now);
        }
        again
    }
}

impl Bootstrap {
    /// Begins, or goes on where an earlier run ended: headers that it left are checked again. None if the chain has
    /// blocks already: it goes on as it began.
    ///
    /// # Errors
    /// When the data directory cannot be read or written.
    pub async fn start(
        chain: &Chain,
        data_dir: PathBuf,
        options: BootstrapOptions,
    ) -> Result<Option<Self>, StoreError> {
        if chain.view().tip.height() != farthing::Height::GENESIS {
            forget_headers(chain, &data_dir)?;
            return Ok(None);
        }
        let (chain, disk) = (chain.clone(), Arc::clone(chain.shared.env.disk()));
        let compute = chain.shared.env.compute().clone();
        compute
            .run_blocking(move || {
                let headers = Headers::resume(&chain, &disk, &data_dir, options.reserve_bytes)?;
                chain.set_waiting(true);
                let state = State {
                    headers,
                    download: None,
                    refuted: Remembered::default(),
                    avoided: Remembered::default(),
                    resting: Resting::default(),
                    dropped: 0,
                    waits: Waits::default(),
                    rests_until: None,
                };
                Ok(Some(Self(Arc::new(Inner {
                    chain,
                    disk,
                    data_dir,
                    options,
                    phase: watch::Sender::new(Phase::Headers),
                    seen: Mutex::new(state.seen()),
                    state: Mutex::new(state),
                }))))
            })
            .await
    }

    /// How far it has come, as a value that can be waited on.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.phase.subscribe()
    }

    /// How far it has come.
    #[must_use]
    pub fn phase(&self) -> Phase {
        *self.0.phase.borrow()
    }

    /// Whether nothing is to be fetched now, because the store did not take what came.
    #[must_use]
    pub fn rests(&self) -> bool {
        let now = self.0.elapsed();
        self.0.seen().rests_until.is_some_and(|until| now < until)
    }

    /// The last header of the heaviest branch that was checked.
    #[must_use]
    pub fn best_header(&self) -> HeaderContext {
        self.0.seen().best
    }

    /// Pieces of the checkpoint that are here, and how many there are.
    #[must_use]
    pub fn pieces(&self) -> Option<(u64, u64)> {
        self.0.seen().pieces
    }

    /// Where to ask a session for headers from. `there` are all sessions that are there: branches of others are forgotten.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn locator(&self, session: SessionId, there: BTreeSet<SessionId>) -> Result<Asked, StoreError> {
        self.run(move |inner| {
            let mut state = inner.lock();
            if state.headers.are_gone() && *inner.phase.borrow() != Phase::Blocks {
                inner.resume_headers(&mut state)?;
            }
            state.headers.locator(session, &there).inspect_err(|error| state.note(error, inner.elapsed()))
        })
        .await
    }

    /// Takes headers that a session sent in answer to a locator. If that leads any further: the work that its branch shows
    /// now.
    ///
    /// # Errors
    /// Why a header is not taken; those before it are.
    pub async fn take_headers(
        &self,
        asker: Asker,
        asked: Asked,
        headers: Vec<Header>,
    ) -> Result<Option<Work>, HeaderRejection> {
        self.run(move |inner| {
            let (params, now) = (inner.chain.params().clone(), inner.chain.shared.env.clock().now());
            let mut state = inner.lock();
            let moved = state.headers.take(&params, now, asker, &asked, &headers).inspect_err(|error| {
                if let HeaderRejection::Chain(ChainError::Store(error)) = error {
                    state.note(error, inner.elapsed());
                }
            })?;
            let State { headers, download, .. } = &mut *state;
            if moved && download.as_ref().is_some_and(|download| !headers.holds(&download.offer).unwrap_or(false)) {
                tracing::info!(
                    "the heaviest branch of headers does not hold the checkpoint any more; looking for another"
                );
                *download = None;
            }
            Ok(moved.then(|| headers.tip_of(asker.session).total_work()))
        })
        .await
    }

    /// Enough peers were heard: goes on with the checkpoint, or, on a chain that stays too short for one, with all blocks.
    /// A peer may be as new as this node: that it has no longer chain says little of the others.
    pub fn headers_are_here(&self) {
        let (now, BootstrapOptions { depth, minimum_work, .. }) = (self.0.elapsed(), self.0.options);
        let mut state = self.0.lock();
        let State { headers, waits, .. } = &mut *state;
        let best = headers.best();
        if best.total_work() < minimum_work {
            if waits.say(now) {
                let (height, work) = (best.height(), best.total_work());
                tracing::info!(%height, %work, %minimum_work, "no peer's headers show the work that --minimum-work asks for; waiting for more");
            }
            return;
        }
        if best.height().get() > depth {
            drop(state);
            tracing::info!(height = %best.height(), id = %best.id(), "all headers are here; looking for a checkpoint");
            self.0.phase.send_replace(Phase::Checkpoint);
            return;
        }
        let since = match waits.longer {
            Some((id, since)) if id == best.id() => since,
            _ => now,
        };
        waits.longer = Some((best.id(), since));
        if now.saturating_sub(since) >= PATIENCE {
            drop(state);
            tracing::info!(height = %best.height(), depth, "the chain is too short for a checkpoint; executing all blocks");
            self.finish();
        }
    }

    /// From here on the node is like any other.
    fn finish(&self) {
        {
            let mut state = self.0.lock();
            state.download = None;
            state.headers.close();
        }
        self.0.phase.send_replace(Phase::Blocks);
        self.0.chain.set_waiting(false);
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&Inner) -> T + Send + 'static) -> T {
        let inner = Arc::clone(&self.0);
        self.0.chain.shared.env.compute().run_blocking(move || work(&inner)).await
    }
}

impl Inner {
    fn elapsed(&self) -> Duration {
        self.chain.shared.env.clock().elapsed()
    }

    fn lock(&self) -> Held<'_> {
        Held { state: self.state.lock().unwrap_or_else(PoisonError::into_inner), seen: &self.seen }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that the store needs, out of what was fetched; none if it is no longer wanted.
    fn take_beginning(&self) -> Result<Option<(crate::store::Beginning, Offer, Vec<SessionId>)>, StoreError> {
        let mut state = self.lock();
        let State { headers, download, .. } = &mut *state;
        let Some(current) = download else { return Ok(None) };
        // The branch may be another one by now, and it may be shorter.
        let is_deep = current.offer.height.get().saturating_add(self.options.depth) <= headers.best().height().get();
        if !is_deep || !headers.holds(&current.offer)? {
            *download = None;
            return Ok(None);
        }
        let headers = headers.lend_up_to(current.offer.height)?;
        Ok(headers.map(|headers| current.beginning(headers)))
    }

    fn resume_headers(&self, state: &mut State) -> Result<(), StoreError> {
        let resumed = Headers::resume(&self.chain, &self.disk, &self.data_dir, self.options.reserve_bytes);
        state.headers = resumed.inspect_err(|error| state.note(error, self.elapsed()))?;
        Ok(())
    }
}

/// The file with headers of a branch that may turn out to be heavier.
fn challenger_path(data_dir: &Path, slot: usize) -> PathBuf {
    data_dir.join(format!("headers.challenger-{slot}"))
}

/// The file of headers that an earlier run left, under whichever name.
fn left_headers(chain: &Chain, disk: &Arc<dyn Disk>, data_dir: &Path) -> Result<HeaderFile, StoreError> {
    let (path, settled) = (data_dir.join(FETCHED_HEADERS), data_dir.join(BASE_HEADERS));
    if disk.exists(&settled).map_err(StoreError::io("looking for a file of headers", &settled))? {
        // The last step was never done: nothing stands on it.
        disk.rename(&settled, &path).map_err(StoreError::io("naming a file of headers", &path))?;
    }
    HeaderFile::resume(disk, &path, chain.params(), chain.shared.env.clock().now())
}

/// Removes the headers of a beginning that never came to be and is not to be gone on with.
///
/// # Errors
/// When the data directory cannot be read or changed.
pub fn forget_headers(chain: &Chain, data_dir: &Path) -> Result<(), StoreError> {
    let disk = chain.shared.env.disk();
    let settled = chain.base().is_none().then_some(BASE_HEADERS);
    let named = [FETCHED_HEADERS].into_iter().chain(settled).map(|name| data_dir.join(name));
    for path in named.chain((0..MAX_BRANCHES).map(|slot| challenger_path(data_dir, slot))) {
        if disk.exists(&path).map_err(StoreError::io("looking for a file of headers", &path))? {
            disk.remove(&path).map_err(StoreError::io("removing a file of headers", &path))?;
        }
    }
    Ok(())
}
