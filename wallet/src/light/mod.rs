//! The light client: on which chain an account's header stands, and how much work that took from genesis on.
//!
//! A node shows a sampled proof of the work (SPEC section 8, "Chain proof"), or, when the wallet knows the chain already,
//! the few headers since. What was shown is kept in a [`cache`], so that a node that later shows less work is noticed.

pub mod cache;
pub mod chain;
mod error;
#[cfg(test)]
mod tests;

use std::{
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use farthing::{
    BlockId, Header, Height, Params, TimeMs, Work,
    chain_proof::{ChainProof, SAMPLES_PER_HALVING, TAIL_HEADERS},
    params::Retarget,
};

pub use self::error::{ChainError, ShowError};
use self::{
    cache::{Cache, Kept},
    chain::Chain,
};

/// What a sampled proof leaves to chance, in words.
#[must_use]
pub fn promise() -> String {
    format!(
        "{SAMPLES_PER_HALVING} samples from each halving of the work, and the last {TAIL_HEADERS} headers: a chain of which at \
         most half was worked for passes with a probability of at most 2^-{ERROR_BITS}"
    )
}

/// What to say of a chain that is long behind the schedule of its network: then its blocks were of the easiest kind, and whoever has
/// seen no other chain should ask more nodes.
#[must_use]
pub fn schedule_note(network: &Params, height: Height, time: TimeMs) -> Option<String> {
    if network.retarget != Retarget::Asert {
        return None;
    }
    let due = time.get().checked_sub(network.genesis_time.get())? / network.target_spacing_ms.max(1);
    let missing = due.checked_sub(height.get())?;
    let behind = missing.saturating_mul(network.target_spacing_ms);
    (behind >= BEHIND_SCHEDULE_MS).then(|| {
        format!(
            "block {height} is {missing} blocks behind the network's schedule, so that little work made its chain: unless the network \
             slept, another chain has more; ask several nodes (--quorum)"
        )
    })
}

/// That a chain's newest block is not dated far ahead of the clock: where difficulty follows a schedule, whoever may date blocks as
/// late as he likes makes more of them for next to nothing.
///
/// # Errors
/// [`ChainError::FromTheFuture`].
pub fn check_clock(network: &Params, height: Height, time: TimeMs, now: SystemTime) -> Result<(), ChainError> {
    if network.retarget != Retarget::Asert || height == Height::GENESIS {
        return Ok(());
    }
    let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_millis());
    let ahead = u128::from(time.get()).saturating_sub(now);
    if ahead <= u128::from(MAX_AHEAD_MS) {
        return Ok(());
    }
    let seconds = u64::try_from(ahead / 1_000).unwrap_or(u64::MAX);
    Err(ChainError::FromTheFuture { height, ahead: Duration::from_secs(seconds) })
}

/// Up to so many headers are fetched one by one rather than a new proof, which has a few hundred.
const MAX_STEP: u64 = 500;
/// How far a node may be behind what another one showed before: this much work, in blocks like the newest.
pub const MAX_BEHIND: u32 = 3;

/// How far the newest block may be dated ahead of this machine's clock, which may be slow. Nodes take 60 s. Later blocks are easier:
/// with these ten minutes of the public networks' half-life of an hour, by a tenth.
pub const MAX_AHEAD_MS: u64 = 600_000;

/// From so many blocks on that a chain has lost it is worth a remark: honest networks hardly ever undo so many.
const MANY_UNDONE: u64 = 10;

/// From so far behind its schedule on a chain is worth a remark: blocks are at their easiest long before.
const BEHIND_SCHEDULE_MS: u64 = 24 * 3_600_000;

/// How likely a chain passes of which at most half was worked for: one in two to this power.
pub const ERROR_BITS: u32 = 2 * SAMPLES_PER_HALVING;

/// Where the light client gets what it checks: a node, or in tests something that plays one.
pub trait Shows {
    /// The sampled proof of the work below the tip.
    fn chain_proof(&self) -> impl Future<Output = Result<ChainProof, ShowError>> + Send;

    /// Headers behind one up to a height, at most `MAX_STEP`; none if that one is not on the best chain any more.
    fn headers_after(
        &self,
        height: Height,
        id: BlockId,
        stop: Height,
    ) -> impl Future<Output = Result<Option<Vec<Header>>, ShowError>> + Send;
}

/// How a header stands on a chain whose work was shown.
#[derive(Debug, Clone)]
pub struct Standing {
    /// The header's height.
    pub height: Height,
    /// Its id.
    pub id: BlockId,
    /// Work of the chain from genesis up to the header.
    pub work: Work,
    /// The end of the chain that it stands on.
    pub chain: Arc<Chain>,
    /// Height of the heaviest chain known, if that has more work.
    pub newer: Option<Height>,
    /// What a person should hear about it.
    pub remark: Option<String>,
    /// Whether this wallet has seen no chain of the network before, and so has nothing to hold its work against.
    pub is_first: bool,
}

impl Standing {
    /// What to say of the first chain that a wallet sees, if one node alone shows it. What people begin anew all the time is not worth
    /// it.
    #[must_use]
    pub fn first_note(&self, network: &Params, minimum: Work) -> Option<String> {
        let is_worth_it = self.is_first && !network.is_dev() && self.height > Height::GENESIS && minimum == Work::ZERO;
        is_worth_it.then(|| {
            format!(
                "this wallet has seen no chain of the network {} before, and one node alone says that this is the one with most work: \
                 its {} blocks took {} attempts, {}; if that is little for what the network is, ask several nodes (--quorum)",
                network.name,
                self.height,
                self.work.get(),
                effort(self.work)
            )
        })
    }
}

/// How long one processor core is at some work, in words: at 25 million attempts a second, which is fast for one.
#[must_use]
pub fn effort(work: Work) -> String {
    let seconds = work.get() / ATTEMPTS_A_SECOND;
    let (number, unit) = match seconds {
        0 => return "less than a second of one processor core".to_owned(),
        1 => return "about a second of one processor core".to_owned(),
        seconds @ 2..120 => (seconds, "seconds"),
        seconds @ 120..7_200 => (seconds / 60, "minutes"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hours"),
        seconds @ 172_800..63_072_000 => (seconds / 86_400, "days"),
        seconds => (seconds / 31_536_000, "years"),
    };
    format!("about {number} {unit} of one processor core")
}

/// What the best miner for processors does on one core.
const ATTEMPTS_A_SECOND: u128 = 25_000_000;

/// Knows the heaviest chain that was ever shown to this wallet.
#[derive(Debug)]
pub struct Light {
    network: Arc<Params>,
    cache: Option<Cache>,
    known: Mutex<State>,
    clock: fn() -> SystemTime,
    minimum: Work,
}

#[derive(Debug)]
enum State {
    Unread,
    Known(Option<Arc<Chain>>),
}

impl Light {
    /// Knows what the cache has, or nothing without one. It is read when it is needed.
    #[must_use]
    pub const fn new(network: Arc<Params>, cache: Option<Cache>) -> Self {
        Self { network, cache, known: Mutex::new(State::Unread), clock: SystemTime::now, minimum: Work::ZERO }
    }

    /// Believes no chain with less work than this.
    #[must_use]
    pub const fn with_minimum(mut self, minimum: Work) -> Self {
        self.minimum = minimum;
        self
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The heaviest chain known, and a remark if the cache could not be used.
    fn known(&self) -> (Option<Arc<Chain>>, Option<String>) {
        let mut state = self.state();
        if let State::Known(chain) = &*state {
            return (chain.clone(), None);
        }
        let (chain, remark) = match self.cache.as_ref().map_or(Kept::Nothing, |cache| cache.read(&self.network)) {
            Kept::Nothing => (None, None),
            Kept::Chain(chain) => (Some(Arc::from(chain)), None),
            Kept::Damaged(why) => (None, Some(format!("what was verified before is not known any more: {why}"))),
        };
        *state = State::Known(chain.clone());
        drop(state);
        (chain, remark)
    }

    /// Finds out how a header stands on its node's chain, and whether that may be the network's: that it has no less work
    /// than was shown before.
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn stand(&self, node: &impl Shows, height: Height, id: BlockId) -> Result<Standing, ChainError> {
        let mut standing = self.look(node, height, id).await?;
        self.judge(&mut standing)?;
        Ok(standing)
    }

    /// Finds out how a header stands on its node's chain: from what is known, by the headers since, or by a new proof.
    /// Whether that is the network's chain is left to [`Light::judge`].
    ///
    /// # Errors
    /// [`ChainError`].
    pub async fn look(&self, node: &impl Shows, height: Height, id: BlockId) -> Result<Standing, ChainError> {
        let (known, remark) = self.known();
        let shown = match &known {
            Some(chain) if chain.work_up_to(height, &id).is_some() => Arc::clone(chain),
            _ => self.shown(node, known.as_deref(), height, id).await?,
        };
        check_clock(&self.network, shown.height(), shown.time(), (self.clock)())?;
        let remark = remark.or_else(|| known.as_deref().and_then(|known| self.undone_note(known, &shown)));
        let work = shown.work_up_to(height, &id).ok_or(ChainError::OffChain { height, id })?;
        if work < self.minimum {
            return Err(ChainError::TooLittleWork { height, work, minimum: self.minimum });
        }
        Ok(Standing { height, id, work, chain: shown, newer: None, remark, is_first: false })
    }

    /// Holds the work of a chain against the most that was ever shown, and remembers the chain if it has as much.
    ///
    /// # Errors
    /// [`ChainError::LessWork`].
    pub fn judge(&self, standing: &mut Standing) -> Result<(), ChainError> {
        match self.known().0 {
            // Another node showed more.
            Some(known) if known.work() > standing.work => self.compare(&known, standing),
            known => {
                let chain = Arc::clone(&standing.chain);
                if standing.remark.is_none() {
                    standing.remark = schedule_note(&self.network, chain.height(), chain.time());
                }
                standing.is_first = known.is_none();
                self.adopt(&chain, &mut standing.remark, false);
                Ok(())
            }
        }
    }

    /// What to say of a chain that has other blocks than many of those kept of the one known.
    fn undone_note(&self, known: &Chain, shown: &Chain) -> Option<String> {
        let lowest = known.first_height().max(shown.first_height());
        let (left, taken) = (known.header_at(lowest)?, shown.header_at(lowest)?);
        let blocks = known.height().get().saturating_sub(lowest.get()).saturating_add(1);
        (left != taken && blocks >= MANY_UNDONE && !self.network.is_dev()).then(|| {
            format!(
                "the last {blocks} blocks or more of the chain that this wallet saw before, from block {lowest} on, are not on this node's: \
                 if nobody speaks of that, ask several nodes (--quorum)"
            )
        })
    }

    /// A chain with the headers since, up to the one asked about; none if there are too many, or the node's chain has left it.
    async fn steps(
        &self,
        node: &impl Shows,
        mut chain: Chain,
        height: Height,
        id: BlockId,
    ) -> Result<Option<Chain>, ChainError> {
        if !(1..=MAX_STEP).contains(&height.get().saturating_sub(chain.height().get())) {
            return Ok(None);
        }
        let Some(headers) = node.headers_after(chain.height(), chain.id(), height).await? else { return Ok(None) };
        for header in headers {
            let height = chain.height().next();
            chain.push(&self.network, header).map_err(|error| ChainError::Header { height, error })?;
        }
        Ok(chain.work_up_to(height, &id).is_some().then_some(chain))
    }

    /// The chain that the node shows, up to the header at least.
    async fn shown(
        &self,
        node: &impl Shows,
        known: Option<&Chain>,
        height: Height,
        id: BlockId,
    ) -> Result<Arc<Chain>, ChainError> {
        if height == Height::GENESIS && id == *self.network.genesis_id() {
            return Ok(Arc::new(Chain::genesis(&self.network)));
        }
        // From its tip; if the chain has left that, from the oldest header kept, so that a few blocks undone are linked as well.
        for from in known.into_iter().flat_map(|known| [Some(known.clone()), known.oldest()]).flatten() {
            if let Some(chain) = self.steps(node, from, height, id).await? {
                return Ok(Arc::new(chain));
            }
        }
        let proof = node.chain_proof().await?;
        let chain = Chain::of_proof(&self.network, &proof)?;
        if let Some((height, found, expected)) = known.and_then(|known| chain.contradicts(known)) {
            let cache = self.cache.as_ref().map(|cache| cache.path().to_owned());
            return Err(ChainError::Contradiction { height, found, expected, cache });
        }
        Ok(Arc::new(chain))
    }

    /// What it means that more work is known than a header stands on.
    fn compare(&self, known: &Arc<Chain>, standing: &mut Standing) -> Result<(), ChainError> {
        standing.newer = Some(known.height());
        let missing = known.work().get().saturating_sub(standing.work.get());
        // One of the last blocks of the chain that has more, not one beside it: that lost.
        let is_old = known.work_up_to(standing.height, &standing.id).is_some();
        if is_old && missing <= known.work_of(MAX_BEHIND).get() {
            return Ok(());
        }
        // Development networks are begun anew all the time, from one genesis block that everybody has.
        if self.network.is_dev() && !is_old {
            standing.newer = None;
            standing.remark = Some(format!(
                "this development network has less work than the one that this wallet saw before (block {}): it counts as begun anew",
                known.height()
            ));
            let chain = Arc::clone(&standing.chain);
            self.adopt(&chain, &mut standing.remark, true);
            return Ok(());
        }
        Err(ChainError::LessWork {
            height: standing.height,
            work: standing.work,
            known_height: known.height(),
            known_work: known.work(),
            is_old,
            cache: self.cache.as_ref().map(|cache| cache.path().to_owned()),
        })
    }

    /// Takes a chain for the heaviest one known.
    fn adopt(&self, chain: &Arc<Chain>, remark: &mut Option<String>, anew: bool) {
        {
            let mut state = self.state();
            if let State::Known(Some(known)) = &*state
                && !anew
                && (known.work() > chain.work() || known.id() == chain.id())
            {
                return;
            }
            *state = State::Known(Some(Arc::clone(chain)));
        }
        let Some(cache) = &self.cache else { return };
        let kept = if anew { cache.begin_anew(&self.network, chain) } else { cache.keep(&self.network, chain) };
        if let Err(error) = kept {
            remark.get_or_insert_with(|| format!("what was verified is not kept for the next command: {error}"));
        }
    }
}
