//! Fetching blocks from one peer: headers first, then bodies in order, whoever dialled.

use std::{sync::Arc, time::Duration};

use farthing::{BlockId, Header};
use farthing_consensus::HeaderContext;
use tokio::time::{sleep, timeout};

use super::{
    blame::Misdeed,
    convert::Tip,
    hub,
    limits::{CLAIM_DEADLINE, MAX_BLOCK_IDS, MAX_HEADERS, MAX_STALLS},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
};
use crate::chain::{Accepted, BlockRejection, HeaderRejection, Origin};

/// Missing bodies that are looked up at once.
const LOOKAHEAD: usize = 2_048;
/// How soon something that may be right a little later is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What came of going after a peer's tip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// There is nothing more to get from this tip.
    Done,
    /// Some was got; there is more.
    Progress,
    /// Not now; try again a little later. Nobody's fault.
    Later,
}

/// Why a session cannot be synchronised from any more.
#[derive(Debug, thiserror::Error)]
enum SyncError {
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

/// Follows the peer's tips for as long as the session lasts.
pub(super) async fn run(inner: &Inner, session: &Session) {
    let mut tips = session.watch_tip();
    let mut stalls = 0;
    loop {
        let tip = Arc::clone(&tips.borrow_and_update());
        let pause = match pursue(inner, session, &tip).await {
            Ok(Outcome::Done) => {
                stalls = 0;
                None
            }
            Ok(Outcome::Progress) => {
                stalls = 0;
                continue;
            }
            Ok(Outcome::Later) => Some(RETRY),
            Err(SyncError::Pull(PullError::Stalled)) => {
                stalls += 1;
                if stalls >= MAX_STALLS {
                    tracing::info!(peer = %session.who.address, "peer let go: it announces blocks that it does not send");
                    return;
                }
                Some(RETRY)
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
        };
        let changed = tips.changed();
        let changed = match pause {
            None => changed.await,
            Some(pause) => timeout(pause, changed).await.unwrap_or(Ok(())),
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Gets what the peer's tip has and this node has not.
async fn pursue(inner: &Inner, session: &Session, tip: &Tip) -> Result<Outcome, SyncError> {
    // A tie is fetched as well: only whoever knows both branches can later agree with the others on one.
    if tip.work < inner.chain.view().tip.total_work() || has_body(inner, tip.id).await? {
        return Ok(Outcome::Done);
    }
    let announced = match tip.headers.as_slice() {
        [] => None,
        headers => Some(accept(inner, headers.to_vec()).await?),
    };
    let target = match announced {
        Some(Accepting::Yes(target)) => target,
        Some(Accepting::NotYet) => return Ok(Outcome::Later),
        Some(Accepting::Detached) | None => match fetch_headers(inner, session).await? {
            Some(target) => target,
            None if has_body(inner, tip.id).await? => return Ok(Outcome::Done),
            // It claims more work than its headers have. It may have changed its mind and be about to say so.
            None => return Err(PullError::Stalled.into()),
        },
    };
    if target.total_work() < inner.chain.view().tip.total_work() {
        return Ok(Outcome::Done);
    }
    let was_here = has_body(inner, target.id()).await?;
    let fetched = fetch_bodies(inner, session, &target).await?;
    if fetched == Outcome::Later || target.id() == tip.id || has_body(inner, tip.id).await? {
        return Ok(fetched);
    }
    // Whatever it sent does not lead to what it announced.
    if was_here { Err(PullError::Stalled.into()) } else { Ok(Outcome::Progress) }
}

async fn has_body(inner: &Inner, id: BlockId) -> Result<bool, SyncError> {
    inner.chain.has_body(id).await.map_err(|_| SyncError::Stopping)
}

/// What the chain made of headers.
enum Accepting {
    /// They are known now; this is the last one.
    Yes(HeaderContext),
    /// The first one's parent is not known.
    Detached,
    /// One is ahead of this node's clock, or there is no room now.
    NotYet,
}

async fn accept(inner: &Inner, headers: Vec<Header>) -> Result<Accepting, SyncError> {
    match inner.chain.accept_headers(headers, 0).await {
        Ok(accepted) => {
            inner.note_progress();
            Ok(Accepting::Yes(accepted.last))
        }
        Err(HeaderRejection::Orphan { .. }) => Ok(Accepting::Detached),
        Err(HeaderRejection::Invalid { error, .. }) if error.is_temporary() => Ok(Accepting::NotYet),
        Err(error @ (HeaderRejection::Invalid { .. } | HeaderRejection::KnownInvalid { .. })) => {
            Err(Misdeed::InvalidHeader(error.to_string()).into())
        }
        Err(HeaderRejection::Full(_)) => Ok(Accepting::NotYet),
        Err(HeaderRejection::Chain(_)) => Err(SyncError::Stopping),
    }
}

/// Asks for headers until the peer has no more, or as many wait as this node keeps. The last one that is new.
async fn fetch_headers(inner: &Inner, session: &Session) -> Result<Option<HeaderContext>, SyncError> {
    // One peer at a time: the others' headers are mostly the same.
    let _turn = inner.headers_turn.lock().await;
    let mut last: Option<HeaderContext> = None;
    loop {
        let mut locator = inner.chain.locator().await.map_err(|_| SyncError::Stopping)?;
        let ahead = last.as_ref().map_or_else(|| inner.chain.best_header().id(), HeaderContext::id);
        if locator.first() != Some(&ahead) {
            locator.insert(0, ahead);
        }
        let headers = session.remote.headers(&locator).await?;
        let count = headers.len();
        if count == 0 {
            return Ok(last.or_else(|| better_than_tip(inner)));
        }
        match accept(inner, headers).await? {
            Accepting::Yes(accepted) => {
                let stuck = last.as_ref().is_some_and(|last| last.id() == accepted.id());
                last = Some(accepted);
                if count < MAX_HEADERS || stuck {
                    return Ok(last);
                }
            }
            // The branch that was asked from is no longer kept here, or is too long for now.
            Accepting::Detached | Accepting::NotYet => return Ok(last),
        }
    }
}

/// The best header, if its body is missing: the peer has nothing behind it, so it has that branch.
fn better_than_tip(inner: &Inner) -> Option<HeaderContext> {
    let best = inner.chain.best_header();
    (best.total_work() > inner.chain.view().tip.total_work()).then_some(best)
}

/// Fetches the bodies up to a header, in order.
async fn fetch_bodies(inner: &Inner, session: &Session, target: &HeaderContext) -> Result<Outcome, SyncError> {
    loop {
        let missing = inner.chain.missing_bodies(&target.id(), LOOKAHEAD);
        if missing.is_empty() {
            return Ok(Outcome::Done);
        }
        for batch in missing.chunks(MAX_BLOCK_IDS) {
            match fetch_batch(inner, session, batch).await? {
                Outcome::Done | Outcome::Progress => {}
                Outcome::Later => return Ok(Outcome::Later),
            }
        }
    }
}

/// Fetches some bodies, unless another session is at it: then waits for that one, but not for long.
async fn fetch_batch(inner: &Inner, session: &Session, batch: &[BlockId]) -> Result<Outcome, SyncError> {
    loop {
        let mut wanted = Vec::new();
        for id in batch {
            if !has_body(inner, *id).await? {
                wanted.push(*id);
            }
        }
        let Some(first) = wanted.first() else { return Ok(Outcome::Done) };
        let released = inner.released.notified();
        let now = inner.elapsed();
        if !lock(&inner.blocks).take(*first, session.id, now) {
            let _ = timeout(CLAIM_DEADLINE, released).await;
            continue;
        }
        {
            let mut claims = lock(&inner.blocks);
            let claimed = wanted.iter().position(|id| !claims.take(*id, session.id, now)).unwrap_or(wanted.len());
            wanted.truncate(claimed);
        }
        let outcome = receive(inner, session, &wanted).await;
        {
            let mut claims = lock(&inner.blocks);
            for id in &wanted {
                claims.release(id, session.id);
            }
        }
        inner.released.notify_waiters();
        match outcome? {
            Outcome::Progress => {}
            other => return Ok(other),
        }
    }
}

/// Takes the claimed bodies one by one and gives them to the chain.
async fn receive(inner: &Inner, session: &Session, wanted: &[BlockId]) -> Result<Outcome, SyncError> {
    let mut blocks = session.remote.blocks(wanted).await?;
    for id in wanted {
        let next = blocks.next(inner.max_block_bytes(), inner.env.compute()).await?;
        // It announced the branch but does not send it: as good as no answer.
        let Some(block) = next else { return Err(PullError::Stalled.into()) };
        {
            let now = inner.elapsed();
            let mut claims = lock(&inner.blocks);
            for id in wanted {
                claims.take(*id, session.id, now);
            }
        }
        match inner.chain.submit_block(block, Origin::Peer(session.id)).await {
            Ok(Accepted::Connected | Accepted::AlreadyKnown | Accepted::Repaired) => {}
            Ok(Accepted::SideBranch) => hub::announce_tie(inner, *id).await,
            Err(BlockRejection::Orphan { .. } | BlockRejection::FromFuture { .. }) => return Ok(Outcome::Later),
            Err(BlockRejection::Chain(error)) => {
                tracing::debug!(%error, "a block was not taken");
                sleep(RETRY).await;
                return Ok(Outcome::Later);
            }
            Err(error) => return Err(Misdeed::InvalidBlock(error.to_string()).into()),
        }
        inner.released.notify_waiters();
    }
    Ok(Outcome::Progress)
}
