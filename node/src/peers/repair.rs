//! Fetching good copies of blocks whose records on this node's disk are damaged, by id, from whoever has them.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use farthing::BlockId;
use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{sleep, timeout};

use super::{
    blame::Misdeed,
    limits::{ANSWER_DEADLINE, MAX_PATIENCE, TURN_DEADLINE},
    network::Inner,
    remote::PullError,
    session::{Direction, Session, lock},
};
use crate::chain::{BlockRejection, ChainError, Origin, SessionId};

/// How often the chain is asked for damaged blocks. New sessions are asked at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Peers that are asked for one block at the same time, each a moment after the one before.
const AT_ONCE: usize = 8;

/// Starts to look after damaged blocks.
pub(super) fn start(inner: &Arc<Inner>) {
    let repairer = Arc::clone(inner);
    inner.spawn("peers: repair", async move { run(&repairer).await });
}

async fn run(inner: &Inner) {
    let mut repair = Repair::default();
    loop {
        let changed = inner.changed.notified();
        // A block that is healed may bring to light that one above it is damaged too.
        while repair.heal(inner).await {}
        let _ = timeout(LOOK_EVERY, changed).await;
    }
}

/// What is remembered from one look to the next. How long a peer may take is decided here alone: those that are mute must
/// not hold up others, nor what else is fetched.
#[derive(Debug)]
struct Repair {
    mute: BTreeSet<SessionId>,
    deadline: Duration,
}

impl Default for Repair {
    fn default() -> Self {
        Self { mute: BTreeSet::new(), deadline: ANSWER_DEADLINE }
    }
}

/// What came of asking a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// The block is whole again.
    Healed,
    /// It does not have it, or what it has is no use.
    NoCopy,
    /// It did not answer in time.
    Mute,
}

impl Repair {
    /// Tries every damaged block once. True if one at least was healed.
    async fn heal(&mut self, inner: &Inner) -> bool {
        // A store that fails stops the node by itself.
        let damaged = inner.chain.damaged().await.unwrap_or_default();
        let (mut any, mut mute) = (false, BTreeSet::new());
        for id in damaged {
            let mut sessions: Vec<_> = lock(&inner.state).sessions.all().cloned().collect();
            sessions.sort_by_key(|session| self.rank(session));
            let deadline = self.deadline;
            let ask = |session: Arc<Session>| async move { (session.id, ask(inner, &session, id, deadline).await) };
            any |= first_copy(sessions, ask, &mut mute).await;
        }
        // Over a slow link a block takes longer than an answer should.
        let is_slow = !any && !mute.is_empty();
        self.deadline = if is_slow { (self.deadline * 2).min(MAX_PATIENCE) } else { ANSWER_DEADLINE };
        self.mute = mute;
        any
    }

    /// Whoever comes first is asked first: those that answered last time, and whom this node chose.
    fn rank(&self, session: &Session) -> (bool, bool) {
        (self.mute.contains(&session.id), session.who.direction == Direction::Inbound)
    }
}

/// Asks one peer after the other until one gives a good copy; does not wait for those that are slow.
async fn first_copy<S, F>(peers: Vec<S>, ask: impl Fn(S) -> F, mute: &mut BTreeSet<SessionId>) -> bool
where
    F: Future<Output = (SessionId, Asked)>,
{
    let mut peers = peers.into_iter();
    let mut asked = FuturesUnordered::new();
    loop {
        if asked.len() < AT_ONCE {
            asked.extend(peers.next().map(&ask));
        }
        match timeout(TURN_DEADLINE, asked.next()).await {
            Ok(Some((_, Asked::Healed))) => return true,
            Ok(Some((session, Asked::Mute))) => drop(mute.insert(session)),
            Ok(None) => return false,
            Ok(Some((_, Asked::NoCopy))) | Err(_) => {}
        }
    }
}

/// Asks one peer for one block.
async fn ask(inner: &Inner, session: &Session, id: BlockId, deadline: Duration) -> Asked {
    match fetch(inner, session, id, deadline).await {
        Ok(true) => Asked::Healed,
        Ok(false) => Asked::NoCopy,
        Err(PullError::Misdeed(misdeed)) => {
            inner.blame(session, &misdeed);
            Asked::NoCopy
        }
        Err(error) => {
            tracing::debug!(peer = %session.who.address, %id, %error, "no copy of a damaged block");
            if matches!(error, PullError::Stalled) { Asked::Mute } else { Asked::NoCopy }
        }
    }
}

/// False if the peer does not have it.
async fn fetch(inner: &Inner, session: &Session, id: BlockId, deadline: Duration) -> Result<bool, PullError> {
    let blocks = timeout(deadline, session.remote.blocks(&[id])).await;
    let mut blocks = blocks.map_err(|_| PullError::Stalled)??;
    let next = timeout(deadline, blocks.next(inner.max_block_bytes(), inner.env.compute())).await;
    let Some(block) = next.map_err(|_| PullError::Stalled)?? else { return Ok(false) };
    match inner.chain.submit_block(block, Origin::Peer(session.id)).await {
        Ok(_) => Ok(true),
        Err(rejection) if rejection.is_senders_fault() => Err(Misdeed::InvalidBlock(rejection.to_string()).into()),
        Err(rejection) => {
            if !matches!(rejection, BlockRejection::Chain(ChainError::Stopping)) {
                tracing::warn!(%id, %rejection, "a good copy of a damaged block was not taken");
                sleep(LOOK_EVERY).await;
            }
            Ok(false)
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn peers_that_are_mute_hold_up_a_damaged_block_for_seconds_however_many_they_are() {
        let start = Instant::now();
        let mut mute = BTreeSet::new();
        let healed = first_copy(
            (0..113).collect(),
            |peer: u64| async move {
                if peer == 112 {
                    return (SessionId::new(peer), Asked::Healed);
                }
                sleep(ANSWER_DEADLINE).await;
                (SessionId::new(peer), Asked::Mute)
            },
            &mut mute,
        )
        .await;
        assert!(healed && mute.len() >= 112 - AT_ONCE);
        assert!(start.elapsed() <= TURN_DEADLINE * 113, "{:?}", start.elapsed());
        let none = first_copy(vec![1, 2], |peer| async move { (SessionId::new(peer), Asked::NoCopy) }, &mut mute).await;
        assert!(!none);
    }

    #[tokio::test(start_paused = true)]
    async fn one_peer_that_answers_soon_is_the_only_one_that_is_asked() {
        let asked = std::cell::Cell::new(0);
        let healed = first_copy(
            vec![1, 2, 3],
            |peer| {
                asked.set(asked.get() + 1);
                async move {
                    sleep(TURN_DEADLINE / 2).await;
                    (SessionId::new(peer), Asked::Healed)
                }
            },
            &mut BTreeSet::new(),
        )
        .await;
        assert_eq!((healed, asked.get()), (true, 1));
    }
}
