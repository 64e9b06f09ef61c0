//! A node that begins with a checkpoint, and peers that dial it and are mute, too early, too poor, or gone.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use farthing::{
    BlockId, Height, Work,
    wire::peer::{deliver_request::Item, want},
};
use prost::bytes::Bytes;
use tokio::sync::watch;

use super::{
    Node, alone, eventually,
    hostile::{Hostile, hello},
};
use crate::{
    chain::{BootstrapOptions, Phase},
    env::{
        Disk, DiskFile, Env, ManualClock, MemDisk,
        disk::{DirEntry, DiskLock},
    },
    peers::{
        convert::{checkpoints_to_wire, headers_to_wire},
        handshake::Hello,
        session::lock,
    },
    testing::{TestCheckpoint, TestSource, dev, made_up_accounts},
};

const DEPTH: u64 = 8;

/// A node that is to begin with a checkpoint, on this disk, and its clock.
async fn beginner(disk: impl Disk + 'static) -> (Node, ManualClock) {
    let clock = ManualClock::new(dev().genesis_time.saturating_add(86_400_000));
    disk.create_dir_all(Path::new("/data/checkpoints")).unwrap();
    let env = Env::system().unwrap().with_clock(clock.clone()).with_disk(disk);
    let options = BootstrapOptions { depth: DEPTH, minimum_work: Work::ZERO, reserve_bytes: 0 };
    (Node::to_begin(alone(), env, options).await, clock)
}

fn phase(node: &Node) -> Phase {
    node.network.inner().begin.as_ref().unwrap().bootstrap.phase()
}

/// Time in which peers that are slow to come would have come.
const LONG: Duration = Duration::from_secs(11);

/// Lets time pass until nobody else is waited for. What a peer had to say counts a moment after its headers are here.
async fn enough_were_heard(node: &Node, clock: &ManualClock) {
    eventually("it looks for a checkpoint", || {
        clock.advance(Duration::from_millis(100));
        phase(node) != Phase::Headers
    })
    .await;
}

/// A peer that dials the node and answers what it is asked.
struct Giver {
    /// Pieces that it has been asked for.
    asked: watch::Receiver<u64>,
    /// Pieces that it may give.
    may_give: watch::Sender<u64>,
    /// How often it was asked for its checkpoints.
    polls: watch::Receiver<u64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Giver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Giver {
    /// Gives so many pieces of a checkpoint until it is told to go on, and hangs up after the last.
    async fn dial(node: &Node, id: u8, source: &TestSource, checkpoint: TestCheckpoint, pieces: u64) -> Self {
        let tip = source.tip();
        let hello = Hello {
            listen_port: Some(id.into()),
            height: tip.height(),
            tip: tip.id(),
            work: tip.total_work(),
            checkpoints: true,
            ..hello(id)
        };
        let peer = Hostile::meet(node, hello).await.unwrap();
        let (may_give, mut may) = watch::channel(pieces);
        let (count, asked) = watch::channel(0);
        let (polled, polls) = watch::channel(0);
        let headers = source.headers.clone();
        #[expect(clippy::disallowed_methods, reason = "it ends with the test")]
        let serving = tokio::spawn(async move {
            let mut peer = peer;
            loop {
                let want = peer.want().await;
                let last = async |item| drop(peer.client.deliver(want.want_id, Some(item), true).await);
                match want.item.unwrap() {
                    want::Item::HeadersAfter(locator) => {
                        let ids = locator.block_ids.iter().map(|id| BlockId::try_from(id.as_ref()).unwrap());
                        let known = |id: BlockId| headers.iter().position(|header| header.id() == id);
                        let from = ids.filter_map(known).next().map_or(0, |at| at + 1);
                        last(Item::Headers(headers_to_wire(&headers[from..]))).await;
                    }
                    want::Item::Checkpoints(_) => {
                        polled.send_modify(|polls| *polls += 1);
                        last(Item::Checkpoints(checkpoints_to_wire(std::slice::from_ref(&checkpoint.offer)))).await;
                    }
                    want::Item::CheckpointHashes(_) => {
                        let hashes = checkpoint.hashes.iter().flat_map(|hash| *hash.as_bytes()).collect();
                        last(Item::CheckpointHashes(hashes)).await;
                    }
                    want::Item::CheckpointPieces(query) => {
                        for index in query.first..query.first + u64::from(query.count) {
                            count.send_replace(index + 1);
                            may.wait_for(|may| *may > index).await.unwrap();
                            let piece = Bytes::from(checkpoint.pieces[usize::try_from(index).unwrap()].clone());
                            let is_last = index + 1 == query.first + u64::from(query.count);
                            let given = Some(Item::CheckpointPiece(piece));
                            let _ = peer.client.deliver(want.want_id, given, is_last).await;
                        }
                    }
                    // The chain has begun.
                    _ => drop(peer.client.deliver(want.want_id, None, true).await),
                }
            }
        });
        Self { asked, may_give, polls, serving }
    }

    /// Waits until what it said so far was looked at, and what it says after that.
    async fn is_polled(&mut self) {
        let enough = *self.polls.borrow() + 3;
        let polled = self.polls.wait_for(|polls| *polls >= enough);
        tokio::time::timeout(super::PATIENCE, polled).await.unwrap().unwrap();
    }

    async fn is_asked_for_piece(&mut self, number: u64) {
        let asked = self.asked.wait_for(|asked| *asked >= number);
        tokio::time::timeout(super::PATIENCE, asked).await.unwrap().unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mute_peers_that_dial_in_and_claim_everything_keep_nobody_from_being_asked_for_headers() {
    let (node, clock) = beginner(MemDisk::new()).await;
    let honest = Node::start(alone()).await;
    honest.mine(20, 1).await;
    let mut mute = Vec::new();
    for id in 1..=3 {
        let work = Work::new(1 << 100);
        let hello = Hello { listen_port: Some(id.into()), height: Height::new(9_000), work, ..hello(id) };
        mute.push(Hostile::meet(&node, hello).await.unwrap());
    }
    let want = mute[0].want().await;
    assert!(matches!(want.item, Some(want::Item::HeadersAfter(_))), "{want:?}");
    node.connect(&honest).await;
    eventually("the headers are here", || node.network.best_header_height() == Height::new(20)).await;
    // And once each was asked three times they hold up nothing.
    clock.advance(LONG);
    eventually("it goes on", || phase(&node) == Phase::Checkpoint).await;
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_peer_that_dials_in_does_not_settle_which_chain_it_is_before_others_could_come() {
    let (node, clock) = beginner(MemDisk::new()).await;
    let (cheap, honest) = (TestSource::grow(12, 1), TestSource::grow(30, 2));
    let first = Giver::dial(&node, 1, &cheap, cheap.checkpoint(3), 99).await;
    eventually("its headers are here", || node.network.best_header_height() == Height::new(12)).await;
    clock.advance(Duration::from_secs(9));
    let second = Giver::dial(&node, 2, &honest, honest.checkpoint(20), 99).await;
    eventually("the other one was heard", || node.network.best_header_height() == Height::new(30)).await;
    assert_eq!((phase(&node), *first.asked.borrow()), (Phase::Headers, 0));
    clock.advance(LONG);
    eventually("it begins with the heavier chain", || node.chain.base().is_some()).await;
    assert_eq!(node.chain.base().unwrap().tip.id(), honest.checkpoint(20).offer.block);
    assert!(node.network.bans().is_empty());
    drop((first, second));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_claims_more_work_is_heard_even_when_only_the_last_piece_of_a_checkpoint_is_missing() {
    let (node, clock) = beginner(MemDisk::new()).await;
    let (cheap, honest) = (TestSource::grow(12, 1), TestSource::grow(30, 2));
    let mut first = Giver::dial(&node, 1, &cheap, cheap.checkpoint(3), 0).await;
    eventually("its headers are here", || node.network.best_header_height() == Height::new(12)).await;
    enough_were_heard(&node, &clock).await;
    first.is_asked_for_piece(1).await;
    let _second = Giver::dial(&node, 2, &honest, honest.checkpoint(20), 99).await;
    first.may_give.send_replace(1);
    eventually("it begins", || node.chain.base().is_some()).await;
    assert_eq!(node.chain.base().unwrap().tip.id(), honest.checkpoint(20).offer.block);
    assert!(node.network.bans().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_search_for_a_checkpoint_does_not_end_while_somebody_with_more_work_is_to_be_heard() {
    let (node, clock) = beginner(MemDisk::new()).await;
    let source = TestSource::grow(12, 1);
    // Not deep enough.
    let mut first = Giver::dial(&node, 1, &source, source.checkpoint(11), 99).await;
    eventually("its headers are here", || node.network.best_header_height() == Height::new(12)).await;
    enough_were_heard(&node, &clock).await;
    let claims = Hello { listen_port: Some(2), height: Height::new(9_000), work: Work::new(1 << 100), ..hello(2) };
    let mut mute = Hostile::meet(&node, claims).await.unwrap();
    let want = mute.want().await;
    assert!(matches!(want.item, Some(want::Item::HeadersAfter(_))), "{want:?}");
    first.is_polled().await;
    clock.advance(Duration::from_secs(61));
    first.is_polled().await;
    assert_eq!(phase(&node), Phase::Checkpoint);
    // Once it was asked three times it keeps the node no longer.
    eventually("all blocks are executed", || {
        clock.advance(Duration::from_secs(5));
        phase(&node) == Phase::Blocks
    })
    .await;
}

/// A disk on which pieces of a checkpoint cannot be read until they may be.
#[derive(Debug, Clone, Default)]
struct Gate {
    disk: MemDisk,
    open: Arc<(Mutex<bool>, Condvar)>,
    /// Reads that wait or waited.
    reads: Arc<AtomicU64>,
}

impl Gate {
    fn open_it(&self) {
        *lock(&self.open.0) = true;
        self.open.1.notify_all();
    }
}

#[derive(Debug)]
struct Gated(Arc<dyn DiskFile>, Gate);

impl DiskFile for Gated {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.1.reads.fetch_add(1, Ordering::AcqRel);
        drop(self.1.open.1.wait_while(lock(&self.1.open.0), |open| !*open));
        self.0.read_at(offset, buffer)
    }
    fn write_all_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(offset, bytes)
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

impl Disk for Gate {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.create(path)?;
        let is_spool = path.extension().is_some_and(|extension| extension == "generating");
        Ok(if is_spool { Arc::new(Gated(file, self.clone())) } else { file })
    }
    fn open(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path)
    }
    fn open_read(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open_read(path)
    }
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir_all(path)
    }
    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(path)
    }
    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.disk.exists(path)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_space(path)
    }
    fn try_lock(&self, path: &Path) -> io::Result<DiskLock> {
        self.disk.try_lock(path)
    }
}

/// Has a peer give its last piece and hang up while the store looks at the whole.
async fn hangs_up_at_the_end(checkpoint: impl Fn(&TestSource) -> TestCheckpoint) -> (Node, ManualClock, TestSource) {
    let gate = Gate::default();
    let (node, clock) = beginner(gate.clone()).await;
    let source = TestSource::grow(20, 1);
    let giver = Giver::dial(&node, 1, &source, checkpoint(&source), 99).await;
    eventually("its headers are here", || node.network.best_header_height() == Height::new(20)).await;
    enough_were_heard(&node, &clock).await;
    eventually("the store looks at it", || gate.reads.load(Ordering::Acquire) > 0).await;
    drop(giver);
    eventually("the peer is gone", || node.network.peers().is_empty()).await;
    gate.open_it();
    (node, clock, source)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chain_begins_though_the_peer_that_gave_the_last_piece_has_left() {
    let (node, _, source) = hangs_up_at_the_end(|source| source.checkpoint(10)).await;
    eventually("it has begun, and goes on with blocks", || phase(&node) == Phase::Blocks).await;
    assert_eq!(node.chain.base().unwrap().tip.id(), source.checkpoint(10).offer.block);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_liar_that_gives_the_last_piece_and_hangs_up_is_banned_and_another_one_is_asked() {
    let lie = |source: &TestSource| source.checkpoint_of(10, &made_up_accounts(1_500));
    let (node, _, source) = hangs_up_at_the_end(lie).await;
    eventually("the liar is banned", || node.network.bans().len() == 1).await;
    let (whom, _, reason) = node.network.bans().remove(0);
    assert!(whom == "127.0.0.1:1" && reason.starts_with("sent a false checkpoint"), "{whom} {reason}");
    assert_eq!((phase(&node), node.chain.base()), (Phase::Headers, None));
    let _honest = Giver::dial(&node, 2, &source, source.checkpoint(10), 99).await;
    eventually("it begins", || node.chain.base().is_some()).await;
}
