//! A node that begins with a peer's checkpoint: asks one session after the other for headers, then for a checkpoint's
//! pieces. What comes is judged by [`Bootstrap`]; who sent what is wrong pays for it, and another one is asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::checkpoint::CheckpointFault;
use tokio::{
    sync::{OwnedMutexGuard, oneshot},
    time::timeout,
};

use super::{
    blame::Misdeed,
    convert::PiecesQuery,
    hearing::{Claim, ENOUGH_PEERS, Hearing},
    limits::{CLAIM_DEADLINE, MAX_HEADERS, MAX_PIECES_AT_ONCE, MAX_STALLS},
    network::Inner,
    remote::PullError,
    session::{Direction, Session, lock},
    standing::Culprit,
    sync::{Outcome, SyncError},
};
use crate::chain::{
    Asker, Begun, Bootstrap, CheckpointOffer, Choice, HeaderRejection, Missing, Offers, Phase, Refusal, SessionId,
};

/// How long one session is asked before the others have their turn.
const TURN: Duration = Duration::from_secs(20);
/// And how long if it has not sent by then what it was asked for last, and nobody else has that.
const LONGEST_TURN: Duration = Duration::from_secs(120);
/// How soon something that may be right a little later is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What all sessions share while the chain is to begin with a checkpoint.
#[derive(Debug)]
pub(super) struct Beginning {
    pub(super) bootstrap: Bootstrap,
    /// One session at a time is asked.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Who had a say about the headers.
    hearing: Mutex<Hearing>,
    /// What sessions offer.
    offers: Mutex<BTreeMap<SessionId, Vec<CheckpointOffer>>>,
    /// Who gave pieces of what is being fetched, and so vouched for its digest; who has left by now too.
    givers: Mutex<BTreeMap<SessionId, Culprit>>,
}

impl Beginning {
    pub(super) fn new(bootstrap: Bootstrap) -> Self {
        Self {
            bootstrap,
            turn: Arc::default(),
            hearing: Mutex::default(),
            offers: Mutex::default(),
            givers: Mutex::default(),
        }
    }

    /// Whether blocks have to wait for it.
    pub(super) fn goes_on(&self) -> bool {
        self.bootstrap.phase() != Phase::Blocks
    }

    /// What a session offers, beside what the others offer that are there.
    fn offers_of(&self, inner: &Inner, session: &Session, own: Vec<CheckpointOffer>) -> Offers {
        let there: BTreeMap<_, _> = lock(&inner.state).sessions.all().map(|one| (one.id, is_chosen(one))).collect();
        let mut known = lock(&self.offers);
        known.insert(session.id, own.clone());
        known.retain(|id, _| there.contains_key(id));
        let mut offers = Offers { own, is_chosen: is_chosen(session), ..Offers::default() };
        for (id, offered) in known.iter().filter(|(id, _)| **id != session.id) {
            let is_chosen = there.get(id).copied().unwrap_or_default();
            let of_its_kind = if is_chosen { &mut offers.chosen } else { &mut offers.strangers };
            of_its_kind.extend(offered.iter().cloned());
        }
        offers
    }

    /// Whether a session that has no checkpoint may say so for all: no stranger, while a peer of this node's choice is there,
    /// nor anybody before all of those were asked.
    fn speaks_for_all(&self, inner: &Inner, session: &Session) -> bool {
        let is_alone = || !lock(&inner.state).sessions.all().any(|one| is_chosen(one));
        self.all_chosen_were_asked(inner) && (is_chosen(session) || is_alone())
    }

    /// Whether all peers of this node's choice that are there said what they have.
    fn all_chosen_were_asked(&self, inner: &Inner) -> bool {
        let chosen: Vec<_> = lock(&inner.state).sessions.all().filter(|one| is_chosen(one)).map(|one| one.id).collect();
        let offers = lock(&self.offers);
        chosen.iter().all(|id| offers.contains_key(id))
    }
}

fn is_chosen(session: &Session) -> bool {
    session.who.direction == Direction::Outbound
}

/// The right to be asked, of one session at a time.
struct Turn {
    of: Arc<tokio::sync::Mutex<()>>,
    held: Option<OwnedMutexGuard<()>>,
}

impl Turn {
    async fn take(of: &Arc<tokio::sync::Mutex<()>>) -> Self {
        Self { of: Arc::clone(of), held: Some(Arc::clone(of).lock_owned().await) }
    }

    /// Waits for an answer; without the turn, once it takes long, so that mute peers, however many, cost the others
    /// little.
    async fn while_waiting<T>(&mut self, answer: impl Future<Output = T>) -> T {
        let mut answer = std::pin::pin!(answer);
        if let Ok(answer) = timeout(CLAIM_DEADLINE, &mut answer).await {
            return answer;
        }
        self.held = None;
        let answer = answer.await;
        self.held = Some(Arc::clone(&self.of).lock_owned().await);
        answer
    }
}

/// Has the session do its part until the chain has begun. False if the session is over.
pub(super) async fn run(inner: &Arc<Inner>, session: &Arc<Session>) -> bool {
    let Some(beginning) = &inner.begin else { return true };
    let mut phase = beginning.bootstrap.watch();
    let mut stalls = 0;
    while beginning.goes_on() {
        match drive(inner, session, beginning, &mut stalls).await {
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

async fn drive(
    inner: &Arc<Inner>,
    session: &Arc<Session>,
    beginning: &Beginning,
    stalls: &mut u32,
) -> Result<Outcome, SyncError> {
    let mut turn = Turn::take(&beginning.turn).await;
    let bootstrap = &beginning.bootstrap;
    if !beginning.goes_on() {
        return Ok(Outcome::Done);
    }
    inner.note_progress();
    if bootstrap.rests() {
        return Ok(Outcome::Later);
    }
    if !hear(inner, session, beginning, &mut turn).await? {
        return Ok(Outcome::Later);
    }
    if bootstrap.phase() == Phase::Headers {
        let enough = lock(&beginning.hearing).is_enough(peers_to_hear(inner), inner.elapsed());
        if !enough || is_held_up(inner, beginning) {
            return Ok(Outcome::Later);
        }
        bootstrap.headers_are_here();
    }
    match bootstrap.phase() {
        Phase::Headers => Ok(Outcome::Later),
        Phase::Checkpoint => fetch_checkpoint(inner, session, beginning, turn, stalls).await,
        Phase::Blocks => Ok(Outcome::Done),
    }
}

/// How many peers of this node's choice are to be heard, unless they are slow to come.
fn peers_to_hear(inner: &Inner) -> usize {
    let sought = if inner.config.discovery { inner.config.outbound_target.min(ENOUGH_PEERS) } else { 0 };
    lock(&inner.kept).len().max(sought)
}

/// Whether a session claims more work than the headers have, and is to be heard before anything is settled.
fn is_held_up(inner: &Inner, beginning: &Beginning) -> bool {
    let best = beginning.bootstrap.best_header().total_work();
    let claim = |session: &Arc<Session>| Claim {
        culprit: session.who.culprit(),
        work: session.tip().work,
        is_chosen: is_chosen(session),
    };
    let claims: Vec<_> = lock(&inner.state).sessions.all().map(claim).collect();
    lock(&beginning.hearing).holds_up(best, claims, inner.elapsed())
}

/// Whether a session other than this one claims more work than the headers have.
fn others_have_more(inner: &Inner, beginning: &Beginning, session: &Session) -> bool {
    let best = beginning.bootstrap.best_header().total_work();
    let state = lock(&inner.state);
    state.sessions.all().any(|other| other.id != session.id && other.tip().work > best)
}

fn is_over(inner: &Inner, began: Duration, turn: Duration) -> bool {
    inner.elapsed().saturating_sub(began) >= turn
}

fn stopping<E>(_: E) -> SyncError {
    SyncError::Stopping
}

/// Lets the session say what it has to say about the headers; false if its turn ends before that.
async fn hear(inner: &Inner, session: &Session, beginning: &Beginning, turn: &mut Turn) -> Result<bool, SyncError> {
    let (culprit, claimed) = (session.who.culprit(), session.tip().work);
    if claimed > beginning.bootstrap.best_header().total_work() {
        lock(&beginning.hearing).asks(culprit);
        let told = fetch_headers(inner, session, beginning, turn).await?;
        let best = beginning.bootstrap.best_header().total_work();
        if best >= claimed {
            lock(&beginning.hearing).shows(culprit, best);
        }
        match told {
            Told::All => {}
            Told::Some => return Ok(false),
            Told::NothingNow => {
                lock(&beginning.hearing).is_excused(culprit);
                return Ok(false);
            }
        }
    }
    lock(&beginning.hearing).heard(culprit, is_chosen(session), inner.elapsed());
    Ok(true)
}

/// What a session said of the headers that it claims to have.
enum Told {
    /// All that it has to say.
    All,
    /// Its turn ended before that.
    Some,
    /// It could not be heard, through no fault of its own.
    NothingNow,
}

/// Asks for headers until the session has no more, or its turn ends.
async fn fetch_headers(
    inner: &Inner,
    session: &Session,
    beginning: &Beginning,
    turn: &mut Turn,
) -> Result<Told, SyncError> {
    let (bootstrap, began) = (&beginning.bootstrap, inner.elapsed());
    let asker = Asker { session: session.id, is_chosen: is_chosen(session) };
    loop {
        let there = lock(&inner.state).sessions.all().map(|session| session.id).collect();
        let locator = match bootstrap.locator(session.id, there).await {
            Ok(locator) => locator,
            Err(error) if error.is_fatal() => return Err(SyncError::Stopping),
            Err(_) => return Ok(Told::NothingNow),
        };
        let (ids, asked) = (locator.ids(), inner.elapsed());
        let headers = turn.while_waiting(inner.patience.headers(session.remote.headers(&ids))).await?;
        session.merits.answered(inner.elapsed().saturating_sub(asked));
        let count = headers.len();
        let taken = bootstrap.take_headers(asker, locator, headers).await;
        inner.note_progress();
        match taken {
            Ok(Some(work)) => {
                lock(&beginning.hearing).shows(session.who.culprit(), work);
                if count < MAX_HEADERS {
                    return Ok(Told::All);
                }
                if is_over(inner, began, TURN) && others_have_more(inner, beginning, session) {
                    return Ok(Told::Some);
                }
            }
            // It has no more, or turns in a circle.
            Ok(None) => return Ok(Told::All),
            Err(HeaderRejection::Invalid { error, .. }) if error.is_temporary() => return Ok(Told::All),
            Err(error @ HeaderRejection::Invalid { .. }) => {
                return Err(Misdeed::InvalidHeader(error.to_string()).into());
            }
            Err(HeaderRejection::Chain(error)) if error.is_fatal() => return Err(SyncError::Stopping),
            // The disk does not take them now.
            Err(HeaderRejection::Chain(_)) => return Ok(Told::NothingNow),
            // It answers what it was asked, and another one has led to another branch meanwhile.
            Err(HeaderRejection::Orphan { missing }) if ids.contains(&missing) => return Ok(Told::NothingNow),
            // It has changed to another branch meanwhile, or there is no room.
            Err(_) => return Ok(Told::All),
        }
    }
}

async fn fetch_checkpoint(
    inner: &Arc<Inner>,
    session: &Arc<Session>,
    beginning: &Beginning,
    mut turn: Turn,
    stalls: &mut u32,
) -> Result<Outcome, SyncError> {
    let bootstrap = &beginning.bootstrap;
    if !is_chosen(session) {
        let chosen = beginning.offers_of(inner, session, Vec::new()).chosen;
        if !beginning.all_chosen_were_asked(inner) || bootstrap.will_do(chosen).await.map_err(stopping)? {
            return Ok(Outcome::Later);
        }
    }
    let offered =
        if session.who.checkpoints { turn.while_waiting(session.remote.checkpoints()).await? } else { Vec::new() };
    let (offers, began) = (beginning.offers_of(inner, session, offered), inner.elapsed());
    let others = offers.rivals();
    // The turn may have been with others meanwhile, and they may have come to the end.
    if bootstrap.phase() != Phase::Checkpoint {
        return Ok(Outcome::Later);
    }
    let offer = match bootstrap.choose(offers).await.map_err(stopping)? {
        Choice::Fetch(offer) => offer,
        Choice::WithOthers => return Ok(Outcome::Later),
        Choice::Nothing => {
            if !is_held_up(inner, beginning) && beginning.speaks_for_all(inner, session) {
                bootstrap.none_will_do();
            }
            return Ok(Outcome::Later);
        }
    };
    let longest = if others.contains(&(offer.block, offer.digest)) { TURN } else { LONGEST_TURN };
    loop {
        let missing = bootstrap.missing(&offer);
        // A chain that begins cannot leave its beginning: whoever claims more work is heard before it does.
        if missing != Missing::Hashes && is_held_up(inner, beginning) {
            return Ok(Outcome::Later);
        }
        match missing {
            Missing::Hashes => {
                // It may have gone with the coming of a newer one.
                let hashes = inner.patience.bodies(session.remote.checkpoint_hashes(&offer)).await?;
                let Some(hashes) = hashes else { return Ok(Outcome::Later) };
                lock(&beginning.givers).clear();
                if !judge(bootstrap.take_hashes(offer.clone(), hashes).await)? {
                    return Ok(Outcome::Later);
                }
            }
            Missing::Pieces { from, count } => {
                let count = count.min(MAX_PIECES_AT_ONCE);
                let query = PiecesQuery { block: offer.block, digest: offer.digest, first: from, count };
                let mut pieces = inner.patience.bodies(session.remote.checkpoint_pieces(query)).await?;
                for index in from..from + count {
                    let piece = inner.patience.body(pieces.next()).await?;
                    let Some(piece) = piece else { return Err(PullError::Stalled.into()) };
                    lock(&beginning.givers).insert(session.id, session.who.culprit());
                    let taken = bootstrap.take_piece(session.id, offer.clone(), index, piece.into()).await;
                    blame_others(inner, session, beginning, &taken);
                    if !judge(taken)? {
                        return Ok(Outcome::Later);
                    }
                    *stalls = 0;
                    if is_over(inner, began, longest) {
                        return Ok(Outcome::Progress);
                    }
                }
                if is_over(inner, began, TURN) && bootstrap.missing(&offer) != Missing::Nothing {
                    return Ok(Outcome::Progress);
                }
            }
            Missing::Nothing => break,
        }
    }
    // Whatever becomes of the session, this goes on, and nobody has a turn before it has ended.
    let (said, outcome) = oneshot::channel();
    let node = Arc::clone(inner);
    inner.spawn("peers: beginning with a checkpoint", async move {
        let outcome = begin(&node).await;
        drop(turn);
        let _ = said.send(outcome);
    });
    outcome.await.unwrap_or(Err(SyncError::Stopping))
}

/// Begins with what was fetched. Whoever gave a piece had said that it has the checkpoint of that block under this digest.
async fn begin(inner: &Inner) -> Result<Outcome, SyncError> {
    let Some(beginning) = &inner.begin else { return Ok(Outcome::Done) };
    match beginning.bootstrap.begin().await.map_err(stopping)? {
        Begun::Yes => Ok(Outcome::Done),
        Begun::Outdated | Begun::Failed(_) => Ok(Outcome::Later),
        Begun::Refuted(fault, givers) => {
            let misdeed = Misdeed::FalseCheckpoint(fault.to_string());
            let culprits: BTreeSet<_> = {
                let known = lock(&beginning.givers);
                givers.iter().filter_map(|giver| known.get(giver).copied()).collect()
            };
            for culprit in culprits {
                inner.blame_culprit(culprit, &misdeed);
            }
            Ok(Outcome::Later)
        }
    }
}

/// A piece that is false in itself though the digest covers it: all who gave others had vouched for that digest.
fn blame_others(inner: &Inner, session: &Session, beginning: &Beginning, taken: &Result<(), Refusal>) {
    let Err(Refusal::Fault(fault)) = taken else { return };
    if matches!(fault, CheckpointFault::WrongPiece { .. }) {
        return;
    }
    let misdeed = Misdeed::FalseCheckpoint(fault.to_string());
    let givers: BTreeSet<_> = lock(&beginning.givers).values().copied().collect();
    for culprit in givers.into_iter().filter(|giver| *giver != session.who.culprit()) {
        inner.blame_culprit(culprit, &misdeed);
    }
}

/// Whether what came was taken. If not, and it was not the sender's fault, it is tried again a little later.
fn judge(taken: Result<(), Refusal>) -> Result<bool, SyncError> {
    match taken {
        Ok(()) => Ok(true),
        Err(Refusal::Fault(fault)) => Err(Misdeed::FalseCheckpoint(fault.to_string()).into()),
        Err(Refusal::Outdated | Refusal::NoRoom(_) | Refusal::Store(_)) => Ok(false),
    }
}
