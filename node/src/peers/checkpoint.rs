//! A node that begins with a peer's checkpoint: asks one session after the other for headers, then for a checkpoint's
//! pieces. What comes is judged by [`Bootstrap`]; who sent what is wrong pays for it, and another one is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::timeout;

use super::{
    blame::Misdeed,
    convert::PiecesQuery,
    limits::{MAX_HEADERS, MAX_PIECES_AT_ONCE, MAX_STALLS},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
    sync::{Outcome, SyncError},
};
use crate::chain::{Begun, Bootstrap, CheckpointOffer, HeaderRejection, Missing, Phase, Refusal, SessionId};

/// How long one session is asked while others have the same: one that is slow keeps it from them no longer.
const TURN: Duration = Duration::from_secs(20);
/// How soon something that may be right a little later is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What all sessions share while the chain is to begin with a checkpoint.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) bootstrap: Bootstrap,
    /// One session at a time is asked.
    turn: tokio::sync::Mutex<()>,
    /// Sessions whose headers were asked for, whatever came.
    heard: Mutex<BTreeSet<SessionId>>,
    /// What sessions offer.
    offers: Mutex<BTreeMap<SessionId, Vec<CheckpointOffer>>>,
}

impl Beginning {
    pub(super) fn new(bootstrap: Bootstrap) -> Self {
        Self { bootstrap, turn: tokio::sync::Mutex::default(), heard: Mutex::default(), offers: Mutex::default() }
    }

    /// Whether blocks have to wait for it.
    pub(super) fn goes_on(&self) -> bool {
        self.bootstrap.phase() != Phase::Blocks
    }

    /// What the other sessions that are there offer.
    fn offered_by_others(&self, inner: &Inner, session: &Session) -> Vec<CheckpointOffer> {
        let there: BTreeSet<_> = lock(&inner.state).sessions.all().map(|session| session.id).collect();
        let mut offers = lock(&self.offers);
        offers.retain(|id, _| there.contains(id));
        offers.iter().filter(|(id, _)| **id != session.id).flat_map(|(_, offers)| offers.clone()).collect()
    }
}

/// Has the session do its part until the chain has begun. False if the session is over.
pub(super) async fn run(inner: &Inner, session: &Arc<Session>) -> bool {
    let Some(beginning) = &inner.begin else { return true };
    let mut phase = beginning.bootstrap.watch();
    let mut stalls = 0;
    while beginning.goes_on() {
        match drive(inner, session, beginning).await {
            Ok(Outcome::Done | Outcome::Progress) => {
                stalls = 0;
                continue;
            }
            Ok(Outcome::Later) => stalls = 0,
            Err(SyncError::Pull(PullError::Stalled)) => {
                stalls += 1;
                if stalls >= MAX_STALLS {
                    tracing::info!(peer = %session.who.address, "peer let go: it does not send what it says it has");
                    return false;
                }
            }
            Err(SyncError::Pull(PullError::Misdeed(misdeed))) => {
                inner.blame(session, &misdeed);
                return false;
            }
            Err(SyncError::Pull(PullError::Ended(reason))) => {
                tracing::debug!(peer = %session.who.address, reason, "session over");
                return false;
            }
            Err(SyncError::Stopping) => return false,
        }
        // The others first, and not at once.
        let _ = timeout(RETRY, phase.wait_for(|phase| *phase == Phase::Blocks)).await;
    }
    inner.note_progress();
    true
}

async fn drive(inner: &Inner, session: &Arc<Session>, beginning: &Beginning) -> Result<Outcome, SyncError> {
    let _turn = beginning.turn.lock().await;
    let bootstrap = &beginning.bootstrap;
    if !beginning.goes_on() {
        return Ok(Outcome::Done);
    }
    inner.note_progress();
    if session.tip().work > bootstrap.best_header().total_work() {
        let fetched = fetch_headers(inner, session, beginning).await;
        if matches!(fetched, Ok(false)) {
            return Ok(Outcome::Later);
        }
        lock(&beginning.heard).insert(session.id);
        fetched?;
    }
    if bootstrap.phase() == Phase::Headers {
        if others_claim_more(inner, beginning) {
            return Ok(Outcome::Later);
        }
        bootstrap.headers_are_here();
    }
    match bootstrap.phase() {
        Phase::Headers => Ok(Outcome::Later),
        Phase::Checkpoint => fetch_checkpoint(inner, session, beginning).await,
        Phase::Blocks => Ok(Outcome::Done),
    }
}

/// Whether a session that was not asked yet claims more work than the headers have.
fn others_claim_more(inner: &Inner, beginning: &Beginning) -> bool {
    let best = beginning.bootstrap.best_header().total_work();
    let heard = lock(&beginning.heard);
    let state = lock(&inner.state);
    state.sessions.all().any(|session| session.tip().work > best && !heard.contains(&session.id))
}

/// Whether a session other than this one claims more work than the headers have.
fn others_have_more(inner: &Inner, beginning: &Beginning, session: &Session) -> bool {
    let best = beginning.bootstrap.best_header().total_work();
    let state = lock(&inner.state);
    state.sessions.all().any(|other| other.id != session.id && other.tip().work > best)
}

fn is_over(inner: &Inner, began: Duration) -> bool {
    inner.elapsed().saturating_sub(began) >= TURN
}

fn stopping<E>(_: E) -> SyncError {
    SyncError::Stopping
}

/// Asks for headers until the session has no more; false if its turn ends before that.
async fn fetch_headers(inner: &Inner, session: &Session, beginning: &Beginning) -> Result<bool, SyncError> {
    let (bootstrap, began) = (&beginning.bootstrap, inner.elapsed());
    loop {
        let locator = bootstrap.locator(session.id).await.map_err(stopping)?;
        let asked = inner.elapsed();
        let headers = session.remote.headers(&locator).await?;
        session.merits.answered(inner.elapsed().saturating_sub(asked));
        let count = headers.len();
        let taken = bootstrap.take_headers(session.id, headers).await;
        inner.note_progress();
        match taken {
            Ok(true) if count >= MAX_HEADERS => {
                if is_over(inner, began) && others_have_more(inner, beginning, session) {
                    return Ok(false);
                }
            }
            // It has no more, or turns in a circle.
            Ok(_) => return Ok(true),
            Err(HeaderRejection::Invalid { error, .. }) if error.is_temporary() => return Ok(true),
            Err(error @ HeaderRejection::Invalid { .. }) => {
                return Err(Misdeed::InvalidHeader(error.to_string()).into());
            }
            Err(HeaderRejection::Chain(_)) => return Err(SyncError::Stopping),
            // It has changed to another branch meanwhile, or there is no room.
            Err(_) => return Ok(true),
        }
    }
}

async fn fetch_checkpoint(inner: &Inner, session: &Arc<Session>, beginning: &Beginning) -> Result<Outcome, SyncError> {
    let bootstrap = &beginning.bootstrap;
    let offered = if session.who.checkpoints { session.remote.checkpoints().await? } else { Vec::new() };
    lock(&beginning.offers).insert(session.id, offered.clone());
    let (others, began) = (beginning.offered_by_others(inner, session), inner.elapsed());
    let Some(offer) = bootstrap.choose(offered, others.clone()).await.map_err(stopping)? else {
        bootstrap.none_will_do();
        return Ok(Outcome::Later);
    };
    loop {
        match bootstrap.missing(&offer) {
            Missing::Hashes => {
                // It may have gone with the coming of a newer one.
                let hashes = session.remote.checkpoint_hashes(&offer).await?;
                let Some(hashes) = hashes else { return Ok(Outcome::Later) };
                if !judge(bootstrap.take_hashes(offer.clone(), hashes).await)? {
                    return Ok(Outcome::Later);
                }
            }
            Missing::Pieces { from, count } => {
                let count = count.min(MAX_PIECES_AT_ONCE);
                let query = PiecesQuery { block: offer.block, digest: offer.digest, first: from, count };
                let mut pieces = session.remote.checkpoint_pieces(query).await?;
                for index in from..from + count {
                    let Some(piece) = pieces.next().await? else { return Err(PullError::Stalled.into()) };
                    if !judge(bootstrap.take_piece(session.id, offer.clone(), index, piece.into()).await)? {
                        return Ok(Outcome::Later);
                    }
                }
                if is_over(inner, began) && others.contains(&offer) && bootstrap.missing(&offer) != Missing::Nothing {
                    return Ok(Outcome::Later);
                }
            }
            Missing::Nothing => break,
        }
    }
    match bootstrap.begin().await.map_err(stopping)? {
        Begun::Yes => Ok(Outcome::Done),
        Begun::Outdated => Ok(Outcome::Later),
        Begun::Failed(error) => {
            tracing::warn!(%error, "the checkpoint cannot be kept now; trying again");
            Ok(Outcome::Later)
        }
        Begun::Refuted(fault, givers) => {
            // Whoever gave a piece had said that it has the checkpoint of that block under this digest.
            let misdeed = Misdeed::FalseCheckpoint(fault.to_string());
            let sessions: Vec<_> = lock(&inner.state).sessions.all().cloned().collect();
            for giver in sessions.iter().filter(|giver| givers.contains(&giver.id) && giver.id != session.id) {
                inner.blame(giver, &misdeed);
            }
            if givers.contains(&session.id) { Err(misdeed.into()) } else { Ok(Outcome::Later) }
        }
    }
}

/// Whether what came was taken. If not, and it was not the sender's fault, it is tried again a little later.
fn judge(taken: Result<(), Refusal>) -> Result<bool, SyncError> {
    match taken {
        Ok(()) => Ok(true),
        Err(Refusal::Fault(fault)) => Err(Misdeed::FalseCheckpoint(fault.to_string()).into()),
        Err(Refusal::Outdated) => Ok(false),
        Err(Refusal::Store(error)) => {
            tracing::warn!(%error, "a piece of a checkpoint cannot be kept now; trying again");
            Ok(false)
        }
    }
}
