//! Fetching blocks from one peer: headers first, then bodies in order, whoever dialled.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use farthing::{BlockId, Header};
use farthing_consensus::HeaderContext;
use tokio::time::{sleep, timeout};

use super::{
    blame::Misdeed,
    checkpoint,
    convert::Tip,
    fetch,
    limits::{
        CLAIM_DEADLINE, FRUITLESS_PAUSE, FRUITLESS_TIPS, HEADERS_AT_A_STRETCH, MAX_HEADERS, MAX_STALLS,
        MAX_WAITING_TIPS,
    },
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::chain::{HeaderRejection, HeadersAccepted, PutOff};

/// How soon something that may be right a little later is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// A peer that was last mute so long ago begins anew.
const STALL_FORGIVEN: Duration = Duration::from_secs(600);

/// What came of going after a peer's tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There is nothing more to get from this tip.
    Done,
    /// Some was got; there is more.
    Progress,
    /// Not now; try again a little later. Nobody's fault.
    Later,
}

/// Why a session cannot be synchronised from any more.
#[derive(Debug, thiserror::Error)]
pub(super) enum SyncError {
    #[error(transparent)]
    Pull(#[from] PullError),
    #[error("the node is stopping")]
    Stopping,
}

impl From<Misdeed> for SyncError {
    fn from(misdeed: Misdeed) -> Self {
        Self::Pull(misdeed.into())
    }
}

/// Requests of a peer in a row that it left unanswered. That others gave what it did not is no answer of its own.
#[derive(Debug, Default)]
pub(super) struct Stalls {
    count: u32,
    last: Duration,
    bodies: u64,
}

impl Stalls {
    /// It has sent a body that it was asked for.
    pub(super) const fn delivered(&mut self) {
        self.count = 0;
        self.bodies += 1;
    }

    /// Bodies that it has sent so far.
    pub(super) const fn delivered_count(&self) -> u64 {
        self.bodies
    }

    /// It has not. True if that is enough.
    fn one_more(&mut self, now: Duration) -> bool {
        let forgiven = now.saturating_sub(self.last) >= STALL_FORGIVEN;
        self.count = if forgiven { 1 } else { self.count + 1 };
        self.last = now;
        self.count >= MAX_STALLS
    }
}

/// Tips in a row that brought no body from this peer: however quickly it announces them, looking at them must not keep the
/// chain busy.
#[derive(Debug, Default)]
struct Haste(u32);

impl Haste {
    /// How long to wait after one more tip. Those that others were quicker with come one by one, and far apart.
    const fn pause(&mut self, has_delivered: bool) -> Option<Duration> {
        self.0 = if has_delivered { 0 } else { self.0.saturating_add(1) };
        if self.0 > FRUITLESS_TIPS { Some(FRUITLESS_PAUSE) } else { None }
    }
}

/// Goes after the peer's tips for as long as the session lasts: each until there is nothing more to get from it, for a
/// branch of equal work that is announced behind the tip does not stand for it.
pub(super) async fn run(inner: &Arc<Inner>, session: &Arc<Session>) {
    if !checkpoint::run(inner, session).await {
        return;
    }
    let mut open: VecDeque<Arc<Tip>> = VecDeque::new();
    let (mut stalls, mut haste) = (Stalls::default(), Haste::default());
    loop {
        for tip in session.announced_tips() {
            open.retain(|known| known.id != tip.id);
            open.push_back(tip);
        }
        while open.len() > MAX_WAITING_TIPS {
            open.pop_front();
        }
        let Some(tip) = open.pop_front() else {
            session.tips_ready().await;
            continue;
        };
        let before = stalls.delivered_count();
        let outcome = pursue(inner, session, &tip, &mut stalls).await;
        if let Some(pause) = haste.pause(stalls.delivered_count() > before) {
            sleep(pause).await;
        }
        match outcome {
            Ok(Outcome::Done) => continue,
            Ok(Outcome::Progress) => {
                open.push_front(tip);
                continue;
            }
            Ok(Outcome::Later) => {}
            Err(SyncError::Pull(PullError::Stalled)) => {
                if stalls.one_more(inner.elapsed()) {
                    tracing::info!(peer = %session.who.address, "peer let go: it announces blocks that it does not send");
                    return;
                }
            }
            Err(SyncError::Pull(PullError::Misdeed(misdeed))) => {
                inner.blame(session, &misdeed);
                return;
            }
            Err(SyncError::Pull(PullError::Ended(reason))) => {
                tracing::debug!(peer = %session.who.address, reason, "session over");
                return;
            }
            Err(SyncError::Stopping) => return,
        }
        // The others first, and not at once.
        open.push_back(tip);
        let _ = timeout(RETRY, session.tips_ready()).await;
    }
}

/// Gets what the peer's tip has and this node has not.
async fn pursue(inner: &Inner, session: &Arc<Session>, tip: &Tip, stalls: &mut Stalls) -> Result<Outcome, SyncError> {
    // A tie is fetched as well: only whoever knows both branches can later agree with the others on one.
    if tip.work < inner.chain.view().tip.total_work() || has_body(inner, tip.id).await? {
        return Ok(Outcome::Done);
    }
    let announced = match tip.headers.as_slice() {
        [] => None,
        headers => Some(accept(inner, session, headers.to_vec(), None).await?),
    };
    if matches!(announced, Some(Accepting::Yes(_))) {
        inner.patience.headers_came();
    }
    let Target { last: target, is_part } = match announced {
        Some(Accepting::Yes(target)) => target,
        Some(Accepting::RuledOut(_)) => return Ok(Outcome::Done),
        Some(Accepting::Detached) | None => match fetch_headers(inner, session).await? {
            Fetched::UpTo(target) => target,
            Fetched::NotNow => return Ok(Outcome::Later),
            Fetched::RuledOut => return Ok(Outcome::Done),
            Fetched::Nothing if has_body(inner, tip.id).await? => return Ok(Outcome::Done),
            // It has told of its tip before, or others have.
            Fetched::Nothing => match known_header(inner, tip.id).await? {
                Some(last) => Target { last, is_part: false },
                // It claims more work than its headers have. It may have changed its mind and be about to say so.
                None => return Err(PullError::Stalled.into()),
            },
        },
    };
    if target.total_work() < inner.chain.view().tip.total_work() {
        return Ok(if is_part { Outcome::Later } else { Outcome::Done });
    }
    let was_here = has_body(inner, target.id()).await?;
    let fetched = fetch::bodies(inner, session, &target, stalls).await?;
    if fetched == Outcome::Later || target.id() == tip.id || has_body(inner, tip.id).await? {
        return Ok(fetched);
    }
    match (was_here, is_part) {
        (false, _) => Ok(Outcome::Progress),
        // The rest of its headers is to come.
        (true, true) => Ok(Outcome::Later),
        // Whatever it sent does not lead to what it announced.
        (true, false) => Err(PullError::Stalled.into()),
    }
}

pub(super) async fn has_body(inner: &Inner, id: BlockId) -> Result<bool, SyncError> {
    inner.chain.has_body(id).await.map_err(|_| SyncError::Stopping)
}

/// How far a peer's branch is known.
#[derive(Clone, Copy)]
struct Target {
    last: HeaderContext,
    /// Whether the peer has more that is not known yet.
    is_part: bool,
}

/// What the chain made of headers.
enum Accepting {
    /// They are known now, as far as there is room and the clock allows.
    Yes(Target),
    /// The first one's parent is not known.
    Detached,
    /// They are on a branch that this node's operator has ruled out, or that leaves the chain below the checkpoint that it
    /// begins with. Nobody's fault. Their last.
    RuledOut(Box<HeaderContext>),
}

/// Takes headers; `ruled_out` is what they stand on if that was ruled out.
async fn accept(
    inner: &Inner,
    session: &Session,
    headers: Vec<Header>,
    ruled_out: Option<HeaderContext>,
) -> Result<Accepting, SyncError> {
    let accepted = match ruled_out {
        None => inner.chain.accept_headers(headers, session.id).await,
        Some(last) => inner.chain.accept_headers_on_ruled_out(last, headers, session.id).await,
    };
    // Also when the list turned out wrong in the end: what came before is kept.
    inner.note_progress();
    match accepted {
        Ok(HeadersAccepted { last, put_off }) => {
            if let Some(PutOff::AheadOfClock(error)) = &put_off {
                let peers: BTreeSet<_> = lock(&inner.state).sessions.all().map(|one| one.who.culprit()).collect();
                inner.clock_doubts.note(inner.elapsed(), session.who.culprit(), peers.len(), error);
            }
            session.has_shown(last.total_work());
            Ok(Accepting::Yes(Target { last, is_part: put_off.is_some() }))
        }
        Err(HeaderRejection::Orphan { .. }) => Ok(Accepting::Detached),
        Err(error @ (HeaderRejection::Invalid { .. } | HeaderRejection::KnownInvalid { .. })) => {
            Err(Misdeed::InvalidHeader(error.to_string()).into())
        }
        Err(HeaderRejection::BelowFinal { last, .. } | HeaderRejection::BelowBase { last, .. }) => {
            tracing::debug!(peer = %session.who.address, last = %last.id(), "a peer is on a branch that is ruled out here");
            Ok(Accepting::RuledOut(last))
        }
        // That there is room for no more is said of lists for a checkpoint only.
        Err(HeaderRejection::Full(_) | HeaderRejection::Chain(_)) => Err(SyncError::Stopping),
    }
}

/// What came of asking for headers.
enum Fetched {
    /// So far they are known now; there may be more.
    UpTo(Target),
    /// The peer has none that this node lacks.
    Nothing,
    /// It has, but only such as are ruled out here. Nobody's fault.
    RuledOut,
    /// It has, but they cannot be taken now. Nobody's fault.
    NotNow,
}

/// Asks for headers until the peer has no more, as many wait as this node keeps, or it takes long and there are bodies to
/// fetch.
async fn fetch_headers(inner: &Inner, session: &Session) -> Result<Fetched, SyncError> {
    let begun = inner.elapsed();
    let mut last: Option<HeaderContext> = None;
    let mut ruled_out: Option<HeaderContext> = None;
    let so_far =
        |last: Option<HeaderContext>, none| last.map_or(none, |last| Fetched::UpTo(Target { last, is_part: false }));
    let none = |ruled_out: Option<HeaderContext>, last| {
        if ruled_out.is_some() { Fetched::RuledOut } else { so_far(last, Fetched::Nothing) }
    };
    loop {
        // One peer at a time, for the others' headers are mostly the same; and one answer a turn, so that no peer keeps
        // it from the others. Whoever has waited long for it does without, and whoever is slow to answer has had it:
        // mute peers, however many, cost the others no more than that.
        let turn = timeout(CLAIM_DEADLINE, inner.headers_turn.lock()).await.ok();
        let mut locator = inner.chain.locator().await.map_err(|_| SyncError::Stopping)?;
        let known = ruled_out.or(last);
        let ahead = known.as_ref().map_or_else(|| inner.chain.best_header().id(), HeaderContext::id);
        if locator.first() != Some(&ahead) {
            locator.insert(0, ahead);
        }
        let asked = inner.elapsed();
        let answer = inner.patience.headers(session.remote.headers(&locator));
        let (_turn, headers) = in_turn(turn, CLAIM_DEADLINE, answer).await;
        let headers = headers?;
        session.merits.answered(inner.elapsed().saturating_sub(asked));
        let count = headers.len();
        let Some(first) = headers.first() else {
            return Ok(none(ruled_out, last));
        };
        if known.is_some_and(|known| first.previous != known.id()) {
            // It has changed to another branch meanwhile, or turns in a circle.
            return Ok(none(ruled_out, last));
        }
        match accept(inner, session, headers, ruled_out).await? {
            Accepting::Yes(accepted) => {
                last = Some(accepted.last);
                if accepted.is_part || count < MAX_HEADERS {
                    return Ok(Fetched::UpTo(accepted));
                }
                let is_heavier = accepted.last.total_work() > inner.chain.view().tip.total_work();
                if bodies_are_due(is_heavier, inner.elapsed().saturating_sub(begun)) {
                    return Ok(Fetched::UpTo(Target { is_part: true, ..accepted }));
                }
            }
            Accepting::RuledOut(to) => {
                // People are told only of a branch that has more work, and that must be seen first. What does not come further
                // is no reason to ask again: the rest may be ahead of this node's clock.
                let stands_still = known.is_some_and(|known| known.id() == to.id());
                if count < MAX_HEADERS || stands_still || to.total_work() > inner.chain.view().tip.total_work() {
                    return Ok(Fetched::RuledOut);
                }
                ruled_out = Some(*to);
            }
            // The branch that was asked from is no longer kept here.
            Accepting::Detached if ruled_out.is_some() => return Ok(Fetched::RuledOut),
            Accepting::Detached => {
                let part = last.map(|last| Fetched::UpTo(Target { last, is_part: true }));
                return Ok(part.unwrap_or(Fetched::NotNow));
            }
        }
    }
}

/// Waits for an answer, and gives up its turn if that takes long.
async fn in_turn<G, T>(turn: Option<G>, most: Duration, answer: impl Future<Output = T>) -> (Option<G>, T) {
    let mut answer = std::pin::pin!(answer);
    match timeout(most, &mut answer).await {
        Ok(answer) => (turn, answer),
        Err(_elapsed) => {
            drop(turn);
            (None, answer.await)
        }
    }
}

/// Whether the bodies of what is known so far come before more headers: others may make these slow to come, but not keep
/// this node from blocks that it can already tell to be on a heavier branch.
fn bodies_are_due(is_heavier: bool, since_begun: Duration) -> bool {
    is_heavier && since_begun >= HEADERS_AT_A_STRETCH
}

/// What is known of a block whose body may be missing.
async fn known_header(inner: &Inner, id: BlockId) -> Result<Option<HeaderContext>, SyncError> {
    inner.chain.header(id).await.map_err(|_| SyncError::Stopping)
}

#[cfg(test)]
mod tests {
    use tokio::{
        sync::Mutex,
        time::{Instant, sleep},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_slow_to_answer_keeps_its_turn_for_a_moment_only() {
        let (turns, start) = (Mutex::new(()), Instant::now());
        let mute = async {
            let slow = sleep(CLAIM_DEADLINE * 10);
            let (turn, ()) = in_turn(turns.try_lock().ok(), CLAIM_DEADLINE, slow).await;
            assert!(turn.is_none());
        };
        let next = async {
            let turn = turns.lock().await;
            assert_eq!(start.elapsed(), CLAIM_DEADLINE);
            let (turn, ()) = in_turn(Some(turn), CLAIM_DEADLINE, sleep(CLAIM_DEADLINE / 2)).await;
            assert!(turn.is_some(), "whoever answers keeps it until its answer is taken");
        };
        tokio::join!(mute, next);
    }

    #[test]
    fn a_peer_whose_tips_bring_nothing_is_looked_at_ten_times_a_second_and_one_that_sends_at_once() {
        let mut haste = Haste::default();
        assert!((0..FRUITLESS_TIPS).all(|_| haste.pause(false).is_none()));
        assert_eq!(haste.pause(false), Some(FRUITLESS_PAUSE));
        assert_eq!((haste.pause(true), haste.pause(false)), (None, None));
    }

    #[test]
    fn bodies_of_a_heavier_branch_do_not_wait_for_headers_that_are_slow_to_come() {
        let long = HEADERS_AT_A_STRETCH;
        assert!(bodies_are_due(true, long) && !bodies_are_due(false, long) && !bodies_are_due(true, long / 2));
    }
}
