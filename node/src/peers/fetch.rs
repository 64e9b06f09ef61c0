//! Fetching the bodies of a branch from one peer, while other sessions fetch other parts of it.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use farthing::{Block, BlockId, Height};
use farthing_consensus::HeaderContext;
use tokio::{sync::OwnedSemaphorePermit, time::timeout};

use super::{
    blame::Misdeed,
    compact,
    limits::{FETCH_WINDOW, MAX_BLOCK_IDS, MAX_BODY_BYTES, MAX_COMPACT_BEHIND, TURN_DEADLINE},
    network::Inner,
    remote::PullError,
    session::{Session, lock},
    sync::{Outcome, Stalls, SyncError, has_body},
};
use crate::chain::BlockRejection;

/// How long a session may hold the claim on blocks that it is sent one by one; later ones may then be asked of others.
const BATCH_DEADLINE: Duration = Duration::from_secs(10);

/// How long the one whose block comes next may take while all room waits for it.
const SLOW: Duration = Duration::from_secs(2);

/// What this session should do next for a branch.
enum Choice {
    /// Fetch these, each with its room.
    Fetch(Vec<Wanted>),
    /// Others are at it, or there is no room.
    Wait,
    /// The next block could not be taken a moment ago.
    NotNow,
}

struct Wanted {
    id: BlockId,
    room: Option<OwnedSemaphorePermit>,
}

/// Fetches what is missing up to a header, together with other sessions that fetch the same branch.
pub(super) async fn bodies(
    inner: &Inner,
    session: &Arc<Session>,
    target: &HeaderContext,
    stalls: &mut Stalls,
) -> Result<Outcome, SyncError> {
    let before = stalls.delivered_count();
    let mut bodies = inner.chain.missing_bodies(target.id());
    loop {
        let (released, moved) = (inner.released.notified(), inner.bodies.moved.notified());
        let missing = bodies.lowest(FETCH_WINDOW).await;
        if missing.is_empty() {
            // Its headers may have gone with another session that told of them first: they are asked for again.
            let done = has_body(inner, target.id()).await?;
            return Ok(if done { Outcome::Done } else { Outcome::Later });
        }
        if target.total_work() < inner.chain.view().tip.total_work() {
            // Another branch has won meanwhile.
            return Ok(Outcome::Done);
        }
        // Whoever began with a checkpoint lacks what stands below it: others are asked for that.
        if session.who.lowest_body > Height::GENESIS {
            let next = inner.chain.header(missing[0]).await.map_err(|_| SyncError::Stopping)?;
            if next.is_some_and(|next| next.height() < session.who.lowest_body) {
                return Ok(Outcome::Later);
            }
        }
        match choose(inner, session, &missing) {
            Choice::Fetch(wanted) => {
                match fetch(inner, session, wanted, missing.len(), stalls).await {
                    Ok(()) => {}
                    // One late body among many is no reason to part.
                    Err(SyncError::Pull(PullError::Stalled)) if stalls.delivered_count() > before => {
                        return Ok(Outcome::Progress);
                    }
                    Err(error) => return Err(error),
                }
            }
            Choice::Wait => {
                let _ = timeout(TURN_DEADLINE / 2, async {
                    tokio::select! { () = released => {} () = moved => {} }
                })
                .await;
            }
            Choice::NotNow => return Ok(Outcome::Later),
        }
    }
}

/// The first run of blocks that nobody else fetches, as far as there is room for it. If there is none, the block whose
/// turn it is, if it is long with another session.
fn choose(inner: &Inner, session: &Session, missing: &[BlockId]) -> Choice {
    let now = inner.elapsed();
    if missing.first().is_some_and(|first| inner.bodies.is_put_off(first, now)) {
        return Choice::NotNow;
    }
    let mut claims = lock(&inner.blocks);
    let mut wanted: Vec<Wanted> = Vec::new();
    for (place, id) in missing.iter().enumerate() {
        let free = !inner.bodies.has(id) && claims.take_if_free(*id, session.id, now);
        if !free {
            if wanted.is_empty() { continue } else { break }
        }
        let room = inner.bodies.room();
        // Later blocks may hold all the room: the one whose turn it is needs none.
        if room.is_none() && place > 0 {
            claims.release(id, session.id, now);
            break;
        }
        wanted.push(Wanted { id: *id, room });
        if wanted.len() >= batch(inner) {
            break;
        }
    }
    if wanted.is_empty()
        && let Some(first) = missing.first().filter(|first| !inner.bodies.has(first))
    {
        let is_mute = claims.take_over(first, session.id, TURN_DEADLINE, now);
        // Whoever claimed it may be mute, or send just enough to keep it while all room waits for it: with one such claim
        // after the other it would set the pace of all.
        if is_mute || (inner.bodies.is_full() && claims.take_over_from_slow(first, session.id, SLOW, now)) {
            wanted.push(Wanted { id: *first, room: None });
        } else {
            claims.take(*first, session.id, now);
        }
    }
    if wanted.is_empty() { Choice::Wait } else { Choice::Fetch(wanted) }
}

/// Blocks of one request: several sessions must find room.
fn batch(inner: &Inner) -> usize {
    (MAX_BODY_BYTES / 4 / inner.max_block_bytes().max(1)).clamp(1, MAX_BLOCK_IDS)
}

/// Fetches claimed blocks, of so many that are missing, and gives up the claims.
async fn fetch(
    inner: &Inner,
    session: &Arc<Session>,
    wanted: Vec<Wanted>,
    missing: usize,
    stalls: &mut Stalls,
) -> Result<(), SyncError> {
    let ids: Vec<BlockId> = wanted.iter().map(|wanted| wanted.id).collect();
    let outcome = if missing <= MAX_COMPACT_BEHIND {
        receive_compactly(inner, session, wanted.into(), missing, stalls).await
    } else {
        receive(inner, session, wanted, missing, stalls).await
    };
    {
        let (mut claims, now) = (lock(&inner.blocks), inner.elapsed());
        for id in &ids {
            if inner.bodies.has(id) {
                claims.settle(id);
            } else {
                claims.release(id, session.id, now);
            }
        }
    }
    inner.released.notify_waiters();
    outcome
}

/// Takes the blocks one by one without the transactions that are here, as far as that is possible.
async fn receive_compactly(
    inner: &Inner,
    session: &Arc<Session>,
    mut wanted: VecDeque<Wanted>,
    missing: usize,
    stalls: &mut Stalls,
) -> Result<(), SyncError> {
    while let Some(next) = wanted.pop_front() {
        let Some(block) = compact::fetch(inner, session, next.id).await? else {
            wanted.push_front(next);
            return receive(inner, session, wanted.into(), missing, stalls).await;
        };
        inner.patience.compact_body_came();
        stalls.delivered();
        renew(inner, session, wanted.iter().map(|wanted| wanted.id));
        hand_on(inner, session, block, next.room).await?;
    }
    Ok(())
}

/// Takes the blocks one by one.
async fn receive(
    inner: &Inner,
    session: &Arc<Session>,
    wanted: Vec<Wanted>,
    missing: usize,
    stalls: &mut Stalls,
) -> Result<(), SyncError> {
    let begun = inner.elapsed();
    let ids: Vec<BlockId> = wanted.iter().map(|wanted| wanted.id).collect();
    let mut blocks = inner.patience.bodies(session.remote.blocks(&ids)).await?;
    for (at, Wanted { room, .. }) in wanted.into_iter().enumerate() {
        let next = inner.patience.body(blocks.next(inner.max_block_bytes(), inner.env.compute())).await?;
        // It announced the branch but does not send it: as good as no answer.
        let Some(block) = next else { return Err(PullError::Stalled.into()) };
        stalls.delivered();
        inner.note_body(missing);
        if inner.elapsed().saturating_sub(begun) < BATCH_DEADLINE {
            renew(inner, session, ids.iter().skip(at).copied());
        }
        hand_on(inner, session, block, room).await?;
    }
    Ok(())
}

/// Renews the claims on blocks that are still to come.
fn renew(inner: &Inner, session: &Session, ids: impl Iterator<Item = BlockId>) {
    let (mut claims, now) = (lock(&inner.blocks), inner.elapsed());
    for id in ids {
        claims.renew(&id, session.id, now);
    }
}

/// Checks a block by itself, and hands it on to be connected in its turn.
async fn hand_on(
    inner: &Inner,
    session: &Arc<Session>,
    block: Block,
    room: Option<OwnedSemaphorePermit>,
) -> Result<(), SyncError> {
    match inner.chain.preverify(block).await {
        Ok(block) => {
            inner.bodies.put(block, session, room, inner.elapsed()).await;
            Ok(())
        }
        Err(BlockRejection::Chain(error)) => {
            tracing::debug!(%error, "a block was not looked at");
            Err(PullError::Stalled.into())
        }
        Err(error) => Err(Misdeed::InvalidBlock(error.to_string()).into()),
    }
}
