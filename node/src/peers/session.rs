//! One session with a peer: what it is known to have, what it announced, what waits to be announced to it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use farthing::{BlockId, Height, WireId, Work};
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use super::{
    NodeId,
    compact::CompactBlock,
    convert::Tip,
    handshake::Hello,
    known::Known,
    limits::{MAX_KNOWN_WIRE_IDS, MAX_OUTGOING_WIRE_IDS, MAX_TOLD_TIPS, MAX_WAITING_TIPS, POOL_QUERY_INTERVAL},
    merits::Merits,
    remote::Remote,
    room::Share,
    standing::Culprit,
};
use crate::{chain::SessionId, mempool::Arrival};

/// Who began a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// This node dialled.
    Outbound,
    /// The other node dialled.
    Inbound,
}

/// Who is at the other end.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) direction: Direction,
    pub(super) node_id: NodeId,
    /// The other end of the connection.
    pub(super) address: SocketAddr,
    /// Where the peer takes peers: on the host that it was seen at, whatever it says, or it could pass for another.
    pub(super) listens_at: Option<SocketAddr>,
    /// Where it says that it takes peers: worth no more than any other hearsay.
    pub(super) advertised: Option<SocketAddr>,
    pub(super) version: String,
    /// Whether it answers for compact blocks.
    pub(super) compact_relay: bool,
    /// The lowest block above genesis that it has; genesis if it has all.
    pub(super) lowest_body: Height,
    /// Whether it answers for checkpoints.
    pub(super) checkpoints: bool,
}

impl Identity {
    pub(super) fn new(direction: Direction, address: SocketAddr, hello: &Hello) -> Self {
        let at = |host| hello.listen_port.map(|port| SocketAddr::new(host, port));
        let listens_at = match direction {
            Direction::Outbound => Some(address),
            Direction::Inbound => at(address.ip()),
        };
        let advertised = at(hello.listen_host.unwrap_or_else(|| address.ip()));
        Self {
            direction,
            node_id: hello.node_id,
            address,
            listens_at,
            advertised,
            version: hello.version.clone(),
            compact_relay: hello.compact_relay,
            lowest_body: hello.lowest_body,
            checkpoints: hello.checkpoints,
        }
    }

    /// Who pays for what it does.
    pub(super) fn culprit(&self) -> Culprit {
        Culprit::new(self.address.ip(), self.listens_at.map_or(0, |address| address.port()))
    }
}

/// A session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) id: SessionId,
    pub(super) who: Identity,
    pub(super) remote: Remote,
    /// Cancelled when the session is to end.
    pub(super) end: CancellationToken,
    /// The first tip with the most work of those that the peer announced, or was seen to have.
    tip: watch::Sender<Arc<Tip>>,
    /// The most work of headers that it has sent and this node has found valid.
    shown: Mutex<Work>,
    /// The newest ones that it announced: an announcement may be overtaken by the next one before it is looked at.
    told_tips: Mutex<Known<BlockId>>,
    /// Tips that were not looked at yet.
    tips: Mutex<VecDeque<Arc<Tip>>>,
    tips_ready: Notify,
    known: Mutex<Known<WireId>>,
    announced: Mutex<VecDeque<WireId>>,
    /// Room for these, and for those that wait for another peer's answer.
    waiting: Share,
    announced_ready: Notify,
    /// Announcements were dropped for want of room.
    missed: AtomicBool,
    outgoing: Mutex<Outgoing>,
    outgoing_ready: Notify,
    heard_at_ms: AtomicU64,
    /// The tip that the peer pushed last, without its transactions.
    pushed: Mutex<Option<CompactBlock>>,
    /// The block that the peer did not give compactly in time: it is asked for the whole one.
    whole: Mutex<Option<BlockId>>,
    began_at_ms: OnceLock<u64>,
    pub(super) merits: Merits,
}

#[derive(Debug)]
struct Outgoing {
    wire_ids: VecDeque<WireId>,
    /// The pool is still to be offered from here on: at the start, and after the queue ran over.
    pool_from: Option<Arrival>,
    /// When the peer last asked for the whole pool.
    asked_at: Option<Duration>,
}

impl Outgoing {
    fn is_waiting(&self) -> bool {
        self.pool_from.is_some() || !self.wire_ids.is_empty()
    }
}

impl Session {
    pub(super) fn new(
        id: SessionId,
        who: Identity,
        remote: Remote,
        tip: Tip,
        end: CancellationToken,
        waiting: Share,
    ) -> Self {
        let outgoing = Outgoing { wire_ids: VecDeque::new(), pool_from: Some(Arrival::FIRST), asked_at: None };
        let tip = Arc::new(tip);
        let mut told_tips = Known::new(MAX_TOLD_TIPS);
        told_tips.insert(&tip.id);
        let session = Self {
            id,
            who,
            remote,
            end,
            tip: watch::Sender::new(Arc::clone(&tip)),
            shown: Mutex::default(),
            told_tips: Mutex::new(told_tips),
            tips: Mutex::new(VecDeque::from([tip])),
            tips_ready: Notify::new(),
            known: Mutex::new(Known::new(MAX_KNOWN_WIRE_IDS)),
            announced: Mutex::default(),
            waiting,
            announced_ready: Notify::new(),
            missed: AtomicBool::new(false),
            outgoing: Mutex::new(outgoing),
            outgoing_ready: Notify::new(),
            heard_at_ms: AtomicU64::new(0),
            pushed: Mutex::default(),
            whole: Mutex::default(),
            began_at_ms: OnceLock::new(),
            merits: Merits::default(),
        };
        session.outgoing_ready.notify_one();
        session
    }

    /// The peer's tip.
    pub(super) fn tip(&self) -> Arc<Tip> {
        Arc::clone(&self.tip.borrow())
    }

    /// Whether the peer announced this one lately, or is known to have it.
    pub(super) fn announced(&self, tip: BlockId) -> bool {
        self.tip.borrow().id == tip || lock(&self.told_tips).contains(&tip)
    }

    /// The peer announced a tip, or a branch with as much work beside it.
    pub(super) fn take_tip(&self, tip: Tip) {
        let tip = Arc::new(tip);
        let mut tips = lock(&self.tips);
        tips.retain(|known| known.id != tip.id);
        if tips.len() >= MAX_WAITING_TIPS {
            tips.pop_front();
        }
        tips.push_back(Arc::clone(&tip));
        drop(tips);
        lock(&self.told_tips).insert(&tip.id);
        self.is_at(tip);
        self.tips_ready.notify_one();
    }

    /// The peer has sent valid headers up to so much work.
    pub(super) fn has_shown(&self, work: Work) {
        let mut shown = lock(&self.shown);
        *shown = work.max(*shown);
    }

    /// How much work it has shown so far, whatever it claims.
    pub(super) fn shown(&self) -> Work {
        *lock(&self.shown)
    }

    /// The peer has this block, whether or not it announced it.
    pub(super) fn is_at(&self, tip: impl Into<Arc<Tip>>) {
        let tip = tip.into();
        // A branch with as much work beside it is not where the peer is.
        self.tip.send_if_modified(|known| {
            let is_better = tip.work > known.work;
            if is_better {
                *known = tip;
            }
            is_better
        });
    }

    /// Tips that were announced and not yet looked at, the oldest first.
    pub(super) fn announced_tips(&self) -> VecDeque<Arc<Tip>> {
        std::mem::take(&mut *lock(&self.tips))
    }

    /// Resolves when there may be some.
    pub(super) async fn tips_ready(&self) {
        self.tips_ready.notified().await;
    }

    /// The peer announced transactions. What is more than waits at most is dropped, and asked for again later.
    pub(super) fn take_wire_ids(&self, ids: Vec<WireId>) {
        {
            let mut known = lock(&self.known);
            for id in &ids {
                known.insert(id);
            }
        }
        let mut announced = lock(&self.announced);
        let room = self.waiting.take(ids.len());
        if ids.len() > room {
            self.missed.store(true, Ordering::Relaxed);
        }
        announced.extend(ids.into_iter().take(room));
        drop(announced);
        self.announced_ready.notify_one();
    }

    /// Whether there is room for one more that waits for another peer's answer; without it it is asked for again later.
    pub(super) fn may_wait(&self) -> bool {
        let may = self.waiting.take(1) == 1;
        if !may {
            self.missed.store(true, Ordering::Relaxed);
        }
        may
    }

    /// So many wait no longer.
    pub(super) fn waited(&self, count: usize) {
        self.waiting.give_back(count);
    }

    /// Whether announcements were dropped, and those that were not have all been looked at.
    pub(super) fn wants_pool_again(&self) -> bool {
        self.missed.load(Ordering::Relaxed) && lock(&self.announced).is_empty()
    }

    /// The peer is being asked to offer its whole pool again.
    pub(super) fn asks_for_pool(&self) {
        self.missed.store(false, Ordering::Relaxed);
    }

    /// Announced transactions that were not looked at yet; waits until there are some.
    pub(super) async fn next_announced(&self, most: usize) -> Vec<WireId> {
        loop {
            let ready = self.announced_ready.notified();
            {
                let mut announced = lock(&self.announced);
                if !announced.is_empty() {
                    let count = announced.len().min(most);
                    let ids = announced.drain(..count).collect();
                    self.waiting.give_back(count);
                    if !announced.is_empty() {
                        self.announced_ready.notify_one();
                    }
                    return ids;
                }
            }
            ready.await;
        }
    }

    /// Queues transactions for announcement, except those that the peer has.
    pub(super) fn offer(&self, ids: impl IntoIterator<Item = WireId>) {
        let known = lock(&self.known);
        let mut outgoing = lock(&self.outgoing);
        for id in ids {
            if known.contains(&id) {
                continue;
            }
            if outgoing.wire_ids.len() >= MAX_OUTGOING_WIRE_IDS {
                outgoing.pool_from = Some(Arrival::FIRST);
                break;
            }
            outgoing.wire_ids.push_back(id);
        }
        if outgoing.is_waiting() {
            self.outgoing_ready.notify_one();
        }
    }

    /// Offers the whole pool, because announcements may have been missed.
    pub(super) fn offer_whole_pool(&self) {
        lock(&self.outgoing).pool_from = Some(Arrival::FIRST);
        self.outgoing_ready.notify_one();
    }

    /// The peer has missed announcements: the whole pool is offered again, whatever it is known to have. No more often
    /// than it may ask.
    pub(super) fn offer_pool_again(&self, now: Duration) {
        {
            let mut known = lock(&self.known);
            let mut outgoing = lock(&self.outgoing);
            if outgoing.asked_at.is_some_and(|asked| now.saturating_sub(asked) < POOL_QUERY_INTERVAL / 2) {
                return;
            }
            outgoing.asked_at = Some(now);
            outgoing.pool_from = Some(Arrival::FIRST);
            *known = Known::new(MAX_KNOWN_WIRE_IDS);
        }
        self.outgoing_ready.notify_one();
    }

    /// Resolves when something waits to be announced.
    pub(super) async fn outgoing_ready(&self) {
        self.outgoing_ready.notified().await;
    }

    /// How many transactions wait to be announced.
    pub(super) fn outgoing_len(&self) -> usize {
        lock(&self.outgoing).wire_ids.len()
    }

    /// From where on the pool is to be offered, once nothing else is queued. Said once: whoever takes it hands back the
    /// rest with [`Session::offer_pool`].
    pub(super) fn take_pool(&self) -> Option<Arrival> {
        let mut outgoing = lock(&self.outgoing);
        if outgoing.wire_ids.is_empty() { outgoing.pool_from.take() } else { None }
    }

    /// Queues a part of the pool, and remembers where the rest begins.
    pub(super) fn offer_pool(&self, ids: impl IntoIterator<Item = WireId>, rest: Option<Arrival>) {
        if let Some(rest) = rest {
            let mut outgoing = lock(&self.outgoing);
            // Begun anew meanwhile, if it is set.
            outgoing.pool_from.get_or_insert(rest);
        }
        self.offer(ids);
    }

    /// The next transactions to announce. The peer knows them from now on.
    pub(super) fn take_outgoing(&self, most: usize) -> Vec<WireId> {
        let mut known = lock(&self.known);
        let mut outgoing = lock(&self.outgoing);
        let mut taken = Vec::new();
        while taken.len() < most {
            let Some(id) = outgoing.wire_ids.pop_front() else { break };
            if known.insert(&id) {
                taken.push(id);
            }
        }
        if outgoing.is_waiting() {
            self.outgoing_ready.notify_one();
        }
        taken
    }

    /// The peer pushed its tip without the transactions. One is kept, the newest.
    pub(super) fn keep_pushed(&self, compact: CompactBlock) {
        *lock(&self.pushed) = Some(compact);
    }

    /// This block, if the peer pushed it.
    pub(super) fn take_pushed(&self, id: BlockId) -> Option<CompactBlock> {
        lock(&self.pushed).take_if(|pushed| pushed.id() == id)
    }

    /// Whether the peer may be asked for this block compactly.
    pub(super) fn gives_compactly(&self, id: BlockId) -> bool {
        self.who.compact_relay && *lock(&self.whole) != Some(id)
    }

    /// This block is asked for as a whole from now on.
    pub(super) fn give_whole(&self, id: BlockId) {
        *lock(&self.whole) = Some(id);
    }

    /// The peer was heard; the first time is when the session began.
    pub(super) fn heard(&self, now: Duration) {
        let now_ms = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        self.began_at_ms.get_or_init(|| now_ms);
        self.heard_at_ms.store(now_ms, Ordering::Relaxed);
    }

    /// When the peer was last heard.
    pub(super) fn heard_at(&self) -> Duration {
        Duration::from_millis(self.heard_at_ms.load(Ordering::Relaxed))
    }

    /// When the session began.
    pub(super) fn began_at(&self) -> Duration {
        self.began_at_ms.get().map_or_else(|| self.heard_at(), |began| Duration::from_millis(*began))
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
