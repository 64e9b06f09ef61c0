//! Peers that this node chose and that stay behind it give way to others, and one more is asked for a while when nothing
//! new comes at all. Otherwise peers that keep their sessions and tell nothing would cut this node off for ever. After
//! Bitcoin Core's `ConsiderEviction` and `CheckForStaleTipAndEvictPeers`.
//!
//! What a peer announced is not all that it has: nobody announces a tip to whoever announced it. So whoever seems to have
//! stayed behind is asked before it is let go.

use std::{cmp::Reverse, collections::BTreeMap, sync::Arc, time::Duration};

use farthing::{BlockId, Height, Work};
use farthing_consensus::HeaderContext;
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::{
    convert::Tip,
    limits::{ANSWER_DEADLINE, BEHIND_TIME, LAGGARDS_INTERVAL, PROVING_TIME, STALE_TARGETS, STALE_TIME},
    network::Inner,
    outbound,
    session::{Direction, Session, lock},
};
use crate::chain::SessionId;

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
pub(super) struct Watch {
    behind: BTreeMap<SessionId, Behind>,
    /// This node's tip, and since when.
    tip: Option<(BlockId, Duration)>,
    /// When one more peer was last asked for.
    asked_at: Option<Duration>,
}

/// A peer that was behind.
#[derive(Debug, Clone, Copy)]
struct Behind {
    since: Duration,
    /// What this node had then, and the peer is to reach.
    work: Work,
    height: Height,
}

/// What is seen of a peer.
#[derive(Debug, Clone, Copy)]
struct Seen {
    id: SessionId,
    work: Work,
}

impl Watch {
    /// Those that have stayed behind for too long. One that comes as far as this node was gets as much time again.
    fn laggards(&mut self, peers: &[Seen], own: (Work, Height), after: Duration, now: Duration) -> Vec<SessionId> {
        let (work, height) = own;
        self.behind.retain(|id, _| peers.iter().any(|peer| peer.id == *id));
        let mut laggards = Vec::new();
        for peer in peers {
            if peer.work >= work {
                self.behind.remove(&peer.id);
                continue;
            }
            let behind = self.behind.entry(peer.id).or_insert(Behind { since: now, work, height });
            if peer.work >= behind.work {
                *behind = Behind { since: now, work, height };
            } else if now.saturating_sub(behind.since) >= after {
                laggards.push(peer.id);
            }
        }
        laggards
    }

    /// Whether one more peer is to be asked, because the tip has not changed for very long. Again after as long.
    fn asks_one_more(&mut self, tip: BlockId, stale_after: Duration, now: Duration) -> bool {
        match self.tip {
            Some((known, since)) if known == tip => {
                let last = self.asked_at.map_or(since, |asked_at| asked_at.max(since));
                let asks = now.saturating_sub(last) >= stale_after;
                if asks {
                    self.asked_at = Some(now);
                }
                asks
            }
            _ => {
                self.tip = Some((tip, now));
                false
            }
        }
    }
}

/// Starts to look after the peers of this node's choice.
pub(super) fn start(inner: &Arc<Inner>) {
    let looker = Arc::clone(inner);
    inner.spawn("peers: laggards", async move {
        let mut watch = Watch::default();
        loop {
            sleep(LAGGARDS_INTERVAL).await;
            look(&looker, &mut watch, looker.elapsed()).await;
        }
    });
}

/// Ends what lags, asks one more if need be, and ends one of those that are then too many.
pub(super) async fn look(inner: &Inner, watch: &mut Watch, now: Duration) {
    let tip = inner.chain.view().tip;
    let target_ms = inner.params().target_spacing_ms;
    let own = (tip.total_work(), tip.height());
    let mut laggards = watch.laggards(&seen(inner, &chosen(inner)).await, own, behind_time(target_ms), now);
    if !laggards.is_empty() {
        let suspects = chosen(inner).into_iter().filter(|session| laggards.contains(&session.id));
        let suspects: Vec<_> =
            suspects.map(|one| (watch.behind.get(&one.id).map(|behind| behind.height), one)).collect();
        join_all(suspects.iter().map(|(height, one)| ask(inner, one, height.unwrap_or_default()))).await;
        laggards = watch.laggards(&seen(inner, &chosen(inner)).await, own, behind_time(target_ms), now);
    }
    let chosen = chosen(inner);
    let mut state = lock(&inner.state);
    let state = &mut *state;
    for session in chosen.iter().filter(|session| laggards.contains(&session.id)) {
        tracing::info!(peer = %session.who.address, height = %session.tip().height, "peer let go: it stays behind");
        state.anchors.refuse(|address| address == session.who.address);
        state.rest(session.who.address, now, outbound::LONG_REST);
        session.end.cancel();
    }
    let left = |session: &&Arc<Session>| session.end.is_cancelled();
    let leaving = state.sessions.all().filter(|one| one.who.direction == Direction::Outbound).filter(left).count();
    let chosen: Vec<Arc<Session>> = chosen.into_iter().filter(|session| !session.end.is_cancelled()).collect();
    if watch.asks_one_more(tip.id(), stale_after(target_ms), now) {
        tracing::debug!("no block for long: asking one more peer");
        state.one_more = true;
        inner.changed.notify_waiters();
    }
    if state.one_more
        && state.sessions.outbound() > outbound::wanted(inner) + leaving
        && let Some(least) = least(&chosen, now)
    {
        tracing::info!(peer = %least.who.address, "peer let go: there is one more than wanted, and it brought nothing new");
        state.rest(least.who.address, now, outbound::LONG_REST);
        least.end.cancel();
        state.one_more = false;
    }
}

/// The sessions of this node's choice.
fn chosen(inner: &Inner) -> Vec<Arc<Session>> {
    let state = lock(&inner.state);
    let begun = state.sessions.all().filter(|session| session.who.direction == Direction::Outbound);
    let lasting = begun.filter(|session| !session.end.is_cancelled());
    lasting.filter(|session| state.anchors.is_of_own_choice(session.id)).cloned().collect()
}

/// How much work each has, by the headers that are known here: what it claims beyond that may be a lie.
async fn seen(inner: &Inner, sessions: &[Arc<Session>]) -> Vec<Seen> {
    let mut seen = Vec::with_capacity(sessions.len());
    for session in sessions {
        let tip = inner.chain.header(session.tip().id).await.ok().flatten();
        let work = tip.map_or(session.shown(), |tip| tip.total_work().max(session.shown()));
        seen.push(Seen { id: session.id, work });
    }
    seen
}

/// Asks a peer how far it has come on the chain that this node follows, which is to be at least this height.
async fn ask(inner: &Inner, session: &Session, height: Height) {
    let known = timeout(ANSWER_DEADLINE, newest_of(inner, session, height)).await.unwrap_or_default();
    if let Some(known) = known {
        let (height, work) = (known.height(), known.total_work());
        session.has_shown(work);
        session.is_at(Tip { height, work, id: known.id(), headers: Vec::new() });
    }
}

/// The newest block from this height on that is here, and that the peer says it has.
async fn newest_of(inner: &Inner, session: &Session, height: Height) -> Option<HeaderContext> {
    let parent = height.min(inner.chain.view().tip.height()).checked_sub(1)?;
    let parent = inner.chain.best_at(parent).await.ok().flatten()?;
    for header in session.remote.headers(&[parent]).await.ok()?.iter().rev() {
        let known = inner.chain.header(header.id()).await.ok()?;
        if known.is_some() {
            return known;
        }
    }
    None
}

/// For how long a peer may stay behind.
fn behind_time(target_ms: u64) -> Duration {
    Duration::from_millis(target_ms.saturating_mul(STALE_TARGETS)).max(BEHIND_TIME)
}

/// After how long without a block this node asks whether it misses some.
fn stale_after(target_ms: u64) -> Duration {
    Duration::from_millis(target_ms.saturating_mul(STALE_TARGETS)).max(STALE_TIME)
}

/// The one that brought a block longest ago, or never; of several the youngest. Once all had time to bring one.
fn least(chosen: &[Arc<Session>], now: Duration) -> Option<&Arc<Session>> {
    let youngest = chosen.iter().map(|session| session.began_at()).max()?;
    if now.saturating_sub(youngest) < PROVING_TIME {
        return None;
    }
    chosen.iter().min_by_key(|session| (session.merits.block_at(), Reverse(session.id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> SessionId {
        SessionId::new(number)
    }

    fn seen(number: u64, work: u128) -> Seen {
        Seen { id: id(number), work: Work::new(work) }
    }

    fn own(work: u128) -> (Work, Height) {
        (Work::new(work), Height::new(7))
    }

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn a_peer_that_stays_behind_is_a_laggard_after_its_time_and_one_that_follows_is_not() {
        let mut watch = Watch::default();
        let at = |minutes: u32| MINUTE * minutes;
        // 1 is mute, 2 is as far as this node, 3 is a little behind but goes on.
        assert!(watch.laggards(&[seen(1, 5), seen(2, 10), seen(3, 9)], own(10), BEHIND_TIME, at(0)).is_empty());
        assert!(watch.laggards(&[seen(1, 5), seen(2, 20), seen(3, 19)], own(20), BEHIND_TIME, at(19)).is_empty());
        let laggards = watch.laggards(&[seen(1, 5), seen(2, 20), seen(3, 19)], own(20), BEHIND_TIME, at(20));
        assert_eq!(laggards, [id(1)]);
        // What 3 was to reach is now what this node had at 19 minutes.
        assert!(watch.laggards(&[seen(3, 19)], own(20), BEHIND_TIME, at(38)).is_empty());
        assert_eq!(watch.laggards(&[seen(3, 19)], own(20), BEHIND_TIME, at(39)), [id(3)]);
        assert!(watch.behind.len() == 1, "those that are gone are not remembered");
    }

    #[test]
    fn a_peer_that_is_behind_by_as_much_as_it_may_comes_back_and_is_forgiven() {
        let mut watch = Watch::default();
        assert!(watch.laggards(&[seen(1, 5)], own(10), BEHIND_TIME, Duration::ZERO).is_empty());
        assert!(watch.laggards(&[seen(1, 10)], own(10), BEHIND_TIME, MINUTE).is_empty());
        assert!(watch.laggards(&[seen(1, 10)], own(11), BEHIND_TIME, BEHIND_TIME).is_empty());
    }

    #[test]
    fn one_more_is_asked_when_the_tip_stays_the_same_and_again_after_as_long() {
        let mut watch = Watch::default();
        let (one, other, stale) = (BlockId::from_bytes([1; 32]), BlockId::from_bytes([2; 32]), MINUTE * 10);
        assert_eq!((stale_after(10_000), stale_after(60_000)), (stale, MINUTE * 30));
        assert_eq!((behind_time(10_000), behind_time(60_000)), (BEHIND_TIME, MINUTE * 30));
        assert!(!watch.asks_one_more(one, stale, MINUTE));
        assert!(!watch.asks_one_more(one, stale, MINUTE * 10));
        assert!(watch.asks_one_more(one, stale, MINUTE * 11));
        assert!(!watch.asks_one_more(one, stale, MINUTE * 20));
        assert!(watch.asks_one_more(one, stale, MINUTE * 21));
        assert!(!watch.asks_one_more(other, stale, MINUTE * 30));
        assert!(!watch.asks_one_more(other, stale, MINUTE * 39));
        assert!(watch.asks_one_more(other, stale, MINUTE * 40));
    }
}
