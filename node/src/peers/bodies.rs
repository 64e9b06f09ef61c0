//! Bodies that came before their turn: fetched from several peers at once, given to the chain in order by one task.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use farthing::{Block, BlockId};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    time::timeout,
};

use super::{
    backoff,
    blame::Misdeed,
    hub,
    limits::MAX_BODY_BYTES,
    network::Inner,
    session::{Session, lock},
};
use crate::chain::{Accepted, BlockRejection, Origin};

/// How soon something that may be right a little later is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// The longest pause before a block is tried again that the node could not take.
const LONGEST_RETRY: Duration = Duration::from_secs(60);
/// How long a body waits for the one before it. Its place is then free again, and it is fetched anew when its turn comes.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Most blocks that are put off.
const MAX_PUT_OFF: usize = 64;

/// A body on its way to the chain.
#[derive(Debug)]
struct Body {
    block: Block,
    session: Arc<Session>,
    /// Its room; none for the block whose turn it is, which must never wait for room that later ones hold.
    _room: Option<OwnedSemaphorePermit>,
    came_at: Duration,
}

/// What fetching sessions and the task that connects share.
#[derive(Debug)]
pub(super) struct Bodies {
    here: Mutex<HashSet<BlockId>>,
    /// Blocks that the chain could not take just now, and until when nobody should fetch them.
    put_off: Mutex<HashMap<BlockId, Duration>>,
    room: Arc<Semaphore>,
    incoming: mpsc::Sender<Body>,
    /// Taken by the task.
    received: Mutex<Option<mpsc::Receiver<Body>>>,
    /// A body was connected or given up.
    pub(super) moved: Notify,
}

impl Bodies {
    /// Room for as many blocks as fit, were all as large as can be.
    pub(super) fn new(max_block_bytes: usize) -> Self {
        let most = (MAX_BODY_BYTES / max_block_bytes.max(1)).max(4);
        let (incoming, received) = mpsc::channel(most + 1);
        Self {
            here: Mutex::default(),
            put_off: Mutex::default(),
            room: Arc::new(Semaphore::new(most)),
            incoming,
            received: Mutex::new(Some(received)),
            moved: Notify::new(),
        }
    }

    /// Whether a body is here and waits for its turn.
    pub(super) fn has(&self, id: &BlockId) -> bool {
        lock(&self.here).contains(id)
    }

    /// Whether the chain could not take the block a moment ago.
    pub(super) fn is_put_off(&self, id: &BlockId, now: Duration) -> bool {
        lock(&self.put_off).get(id).is_some_and(|until| *until > now)
    }

    /// Whether there is no room for more.
    pub(super) fn is_full(&self) -> bool {
        self.room.available_permits() == 0
    }

    /// Room for one more body, if there is some.
    pub(super) fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).try_acquire_owned().ok()
    }

    /// Takes a body that was asked for. Waits while the task is behind.
    pub(super) async fn put(
        &self,
        block: Block,
        session: &Arc<Session>,
        room: Option<OwnedSemaphorePermit>,
        now: Duration,
    ) {
        // Whoever gives up waiting for the place leaves nothing behind. The task ends only with the node.
        let Ok(place) = self.incoming.reserve().await else { return };
        if lock(&self.here).insert(block.id()) {
            place.send(Body { block, session: Arc::clone(session), _room: room, came_at: now });
        }
    }

    fn gone(&self, id: &BlockId) {
        lock(&self.here).remove(id);
        self.moved.notify_waiters();
    }

    fn put_off(&self, id: BlockId, now: Duration, pause: Duration) {
        let mut put_off = lock(&self.put_off);
        if put_off.len() >= MAX_PUT_OFF {
            put_off.retain(|_, until| *until > now);
        }
        if put_off.len() < MAX_PUT_OFF {
            put_off.insert(id, now.saturating_add(pause));
        }
    }
}

/// Starts the task that gives bodies to the chain.
pub(super) fn start(inner: &Arc<Inner>) {
    let connector = Arc::clone(inner);
    let received = lock(&inner.bodies.received).take();
    inner.spawn("peers: bodies", async move {
        if let Some(received) = received {
            connect(&connector, received).await;
        }
    });
}

async fn connect(inner: &Inner, mut received: mpsc::Receiver<Body>) {
    let mut waiting = Waiting::default();
    let mut looked_at = inner.elapsed();
    let mut failures = 0;
    loop {
        let mut ready = match timeout(RETRY, received.recv()).await {
            Ok(None) => return,
            Ok(Some(body)) => waiting.put(inner, body).await,
            Err(_) => VecDeque::new(),
        };
        // Now and then those that wait are looked at: what they wait for may have come in another way.
        let now = inner.elapsed();
        if now.saturating_sub(looked_at) >= RETRY {
            looked_at = now;
            waiting.give_up_old(inner, now);
            ready.extend(waiting.take_ready(inner).await);
        }
        while let Some(body) = ready.pop_front() {
            let id = body.block.id();
            match give(inner, body).await {
                Given::Taken => {
                    failures = 0;
                    ready.extend(waiting.take_children(&id));
                }
                Given::Refused => {
                    for child in waiting.take_descendants(id) {
                        inner.bodies.gone(&child);
                    }
                }
                // A full disk, mostly. What stands on it stays for a while: fetching all of it anew would not help.
                Given::Failed => {
                    inner.bodies.put_off(id, inner.elapsed(), backoff::delay(RETRY, LONGEST_RETRY, failures, 1.0));
                    failures += 1;
                }
            }
            inner.bodies.gone(&id);
            inner.released.notify_waiters();
        }
    }
}

/// What became of a body.
enum Given {
    /// Those that stand on it may follow.
    Taken,
    /// It, and what stands on it, is not wanted.
    Refused,
    /// The node itself could not take it.
    Failed,
}

/// Gives a body to the chain.
async fn give(inner: &Inner, body: Body) -> Given {
    let Body { block, session, .. } = body;
    let id = block.id();
    match inner.chain.submit_block(block, Origin::Peer(session.id)).await {
        Ok(Accepted::Connected) => {
            session.merits.gave_block(inner.elapsed());
            Given::Taken
        }
        Ok(Accepted::AlreadyKnown | Accepted::Repaired | Accepted::Unchecked) => Given::Taken,
        Ok(Accepted::SideBranch) => {
            hub::announce_tie(inner, id).await;
            Given::Taken
        }
        Err(BlockRejection::Orphan { .. } | BlockRejection::FromFuture { .. } | BlockRejection::BelowFinal { .. }) => {
            inner.bodies.put_off(id, inner.elapsed(), RETRY);
            Given::Refused
        }
        // It cannot be executed here, and the log says so: nobody's fault.
        Err(BlockRejection::BelowBase { .. }) => Given::Refused,
        Err(BlockRejection::Chain(error)) => {
            tracing::debug!(%error, "a block was not taken");
            Given::Failed
        }
        Err(error) => {
            inner.blame(&session, &Misdeed::InvalidBlock(error.to_string()));
            Given::Refused
        }
    }
}

/// Bodies by the block that they stand on, in an order that a simulation can repeat.
#[derive(Debug, Default)]
struct Waiting(BTreeMap<BlockId, Vec<Body>>);

impl Waiting {
    /// Keeps a body until its turn has come; gives it back if that is now.
    async fn put(&mut self, inner: &Inner, body: Body) -> VecDeque<Body> {
        let parent = body.block.header.previous;
        // A store that fails stops the node by itself.
        if inner.chain.has_body(parent).await.unwrap_or(false) {
            return VecDeque::from([body]);
        }
        self.0.entry(parent).or_default().push(body);
        VecDeque::new()
    }

    /// Those whose parent is on the disk.
    async fn take_ready(&mut self, inner: &Inner) -> Vec<Body> {
        let mut ready = Vec::new();
        let parents: Vec<BlockId> = self.0.keys().copied().collect();
        for parent in parents {
            if inner.chain.has_body(parent).await.unwrap_or(false) {
                ready.extend(self.take_children(&parent));
            }
        }
        ready
    }

    fn give_up_old(&mut self, inner: &Inner, now: Duration) {
        for bodies in self.0.values_mut() {
            bodies.retain(|body| {
                let keep = now.saturating_sub(body.came_at) < KEPT_FOR;
                if !keep {
                    inner.bodies.gone(&body.block.id());
                }
                keep
            });
        }
        self.0.retain(|_, bodies| !bodies.is_empty());
    }

    fn take_children(&mut self, parent: &BlockId) -> Vec<Body> {
        self.0.remove(parent).unwrap_or_default()
    }

    /// Gives up everything that stands on a block. Returns the ids.
    fn take_descendants(&mut self, id: BlockId) -> Vec<BlockId> {
        let (mut gone, mut next) = (Vec::new(), vec![id]);
        while let Some(parent) = next.pop() {
            for child in self.take_children(&parent) {
                gone.push(child.block.id());
                next.push(child.block.id());
            }
        }
        gone
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_as_many_bodies_as_fit_were_all_as_large_as_can_be() {
        for (largest, most) in [(1 << 20, 64), (4 << 20, 16), (16 << 20, 4), (256 << 20, 4)] {
            let bodies = Bodies::new(largest);
            let taken: Vec<_> = std::iter::from_fn(|| bodies.room()).collect();
            assert_eq!(taken.len(), most);
            drop(taken);
            assert!(bodies.room().is_some());
        }
    }

    #[test]
    fn a_block_that_was_put_off_is_left_alone_for_a_moment_and_few_are_remembered() {
        let bodies = Bodies::new(1 << 20);
        for byte in 0..100 {
            bodies.put_off(BlockId::from_bytes([byte; 32]), Duration::ZERO, RETRY);
        }
        assert_eq!(lock(&bodies.put_off).len(), MAX_PUT_OFF);
        let first = BlockId::from_bytes([0; 32]);
        assert!(bodies.is_put_off(&first, Duration::ZERO) && !bodies.is_put_off(&first, RETRY));
        bodies.put_off(BlockId::from_bytes([200; 32]), RETRY, RETRY);
        assert_eq!(lock(&bodies.put_off).len(), 1, "those whose time is over make room");
    }
}
